-- ARGV: 2 expiry, bytes, until when the id is remembered; 3 id; 4 the entry; 5 '' or the hash of the body, with an idempotency key.
-- Answer: whether it is a duplicate, epoch, seq; then the leases, as they are.

local function answer(t, duplicate, seq, leases)
    local high, low = epoch_of(t)
    return pack('<BI4I4I8', duplicate, low, high, seq) .. leases
end

local DROP_MAX = 1024 -- at once

-- Expired ones first, wherever they stand; then the oldest. What a cap that was made smaller leaves over goes with the next appends.
local function make_room(t, count)
    if t.next_expiry <= now then
        local from, next_expiry = '-', t.last_expiry
        repeat
            local over, some = {}, call('XRANGE', log, from, '+', 'COUNT', 64)
            for _, e in ipairs(some) do
                local when = expiry(e)
                if when <= now then
                    over[#over + 1] = e
                elseif when < next_expiry then
                    next_expiry = when
                end
            end
            remove(t, over)
            count = count - #over
            from = #some > 0 and '(' .. some[#some][1]
        until #some < 64
        t.next_expiry = next_expiry
    end
    local rest = DROP_MAX
    while count > 1 and rest > 0 and (count > cap_entries or t.bytes > cap_bytes) do
        local oldest = call('XRANGE', log, '-', '+', 'COUNT', 1)
        t.floor = read_seq(oldest[1][1])
        remove(t, oldest)
        count, rest = count - 1, rest - 1
    end
end

local function put(t, id, entry, body)
    local expires, bytes, until_ms = unpack('<I8I4I8', ARGV[2])
    expire_front(t)
    local high, low = epoch_of(t)
    t.head = t.head + 1
    call('XADD', log, decimal(high, low) .. format('-%.0f', t.head), 'e', entry)
    t.bytes = t.bytes + bytes
    if t.next_expiry == 0 or expires < t.next_expiry then
        t.next_expiry = expires
    end
    if expires > t.last_expiry then
        t.last_expiry = expires
    end
    local count = call('XLEN', log)
    if count == 1 then
        t.bytes, t.next_expiry, t.last_expiry = bytes, expires, expires
    end
    if count > cap_entries or t.bytes > cap_bytes then
        make_room(t, count)
    end
    -- Nothing counts any more when all has expired. Late, and not at each append: what counts are the entries' own times.
    if count == 1 or t.last_expiry > t.log_until then
        local rest = math.max(t.last_expiry - now, 0)
        t.log_until = t.last_expiry + math.floor(rest / 64)
        call('PEXPIRE', log, t.log_until - now + 1000)
    end
    save_topic(t, id, pack('<I7I6', t.head, until_ms) .. body)
end

-- Each append adds an id. In turns of eight, three times as many are looked at, so that there are never many whose time is over.
local function is_full_of_ids(t)
    local count = call('HLEN', facts) - t.fields
    if count < recent_ids and (count < 8 or t.head % 8 > 0) then
        return false
    end
    forget_ids(count < recent_ids and 24 or 64)
    return count >= recent_ids and call('HLEN', facts) - t.fields >= recent_ids
end

local function append()
    local id, entry, body = ARGV[3], ARGV[4], ARGV[5]
    local t, leases, known = load_topic(id)
    if known then
        local seq, over = unpack('<I7I6', known)
        if over > now then
            if body ~= '' and sub(known, 14) ~= body then
                return refuse('CONFLICT')
            end
            -- Duplicates write as well: what a replicated one waits for must come after the first one's write.
            call('HSET', facts, id, known)
            return answer(t, 1, seq, leases)
        end
    end
    if t and is_full_of_ids(t) then
        return refuse('RATE_LIMITED')
    end
    t = own(t)
    put(t, id, entry, body)
    return answer(t, 0, t.head, leases)
end

define('append', {}, append)
