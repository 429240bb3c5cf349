-- Which history a log belongs to, and the epochs of its positions (PROMISE §4).
--
-- owner     the history that wrote last: 40 bits of Redis's own replication id, which is another one after every restart and every
--           promotion, so a log that forgot something is always found under another owner
-- epoch     two halves: the configuration epoch of the node (0 without a cluster), the second in which the process started

local function read_owner()
    local info = redis.call('INFO', 'replication')
    local _, at = string.find(info, 'master_replid:', 1, true)
    return tonumber(string.sub(info, at + 1, at + 10), 16)
end

-- Whether an epoch or an attempt, in halves, comes before another.
local function before(a_high, a_low, b_high, b_low)
    return a_high < b_high or (a_high == b_high and a_low < b_low)
end

-- The epoch of a log that begins here, after one that ended, or first of all.
local function begin_epoch(last)
    local server = redis.call('INFO', 'server')
    local cluster = redis.pcall('CLUSTER', 'INFO')
    local low = math.floor(tonumber(string.match(server, 'server_time_usec:(%d+)')) / 1000000) -
        tonumber(string.match(server, 'uptime_in_seconds:(%d+)'))
    local high = type(cluster) == 'string' and tonumber(string.match(cluster, 'cluster_my_epoch:(%d+)')) % 65536 or 0
    if last and not before(last.high, last.low, high, low) then
        high, low = last.high, last.low + 1
        if low == 4294967296 then
            high, low = high + 1, 0
        end
    end
    return high, low
end

local function refuse(name)
    return redis.status_reply(name)
end
