-- ARGV: 2 node, incarnation, milliseconds of the lease (0: give it up). Answer: epoch, head; of a log that never began, 1 and 0.

-- The leases that have not run out, but this node's own; how many; the last one's end; the incarnation that holds the node's.
local function keep(leases, node)
    local kept, last, held = {}, 0, nil
    for at = 1, #leases, LEASE do
        local who, start, over = unpack('<I4I6I6', leases, at)
        if over > now and who == node then
            held = start
        elseif over > now then
            kept[#kept + 1] = sub(leases, at, at + LEASE - 1)
            last = math.max(last, over)
        end
    end
    return kept, last, held
end

local function interest()
    local node, incarnation, lease_ms = unpack('<I4I8I8', ARGV[2])
    local t, leases = load_topic()
    local kept, last, held = keep(leases, node)
    if held and held > incarnation then
        return refuse('STALE')
    end
    if lease_ms > 0 then
        if #kept >= NODES_MAX then
            return refuse('TOO_LARGE')
        end
        kept[#kept + 1] = pack('<I4I6I6', node, incarnation, now + lease_ms)
        last = math.max(last, now + lease_ms)
    end
    leases = table.concat(kept)
    if t then
        t = own(t)
        expire_front(t)
        forget_ids(8)
        save_topic(t, 'l', leases)
        local high, low = epoch_of(t)
        return pack('<I4I4I8', low, high, t.head)
    end
    call('DEL', log, facts)
    if leases ~= '' then
        call('HSET', facts, 'l', leases)
        call('PEXPIRE', facts, last - now + 1000)
    end
    return pack('<I4I4I8', 1, 0, 0)
end

define('interest', { 'allow-oom' }, interest)
