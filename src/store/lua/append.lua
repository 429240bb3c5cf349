-- ARGV: 3 id, 4 the entry's tail, 5 expiry, 6 priority, 7 message's bytes, 8 collapse key, 9 device or '', 10 require_device,
-- 11 '' or the hash of the body, 12 when the idempotency key's time is over, 13 '1': asked before, with no answer. KEYS[2]: the
-- idempotency key's record.
-- Answer: duplicate, epoch, seq, prev, id, then for each session whether the message is for it, and its route.
local LOW, NORMAL, HIGH = 0, 1, 2
local id, expires, priority, bytes, collapse_key, name, body, keyed

local function answer(duplicate, low, high, seq, prev, of, hits)
    return pack('<BI4I4I8I8c16', duplicate, low, high, seq, prev, of) .. hits
end

local function find_at(r, seq)
    for e in each_entry(r) do
        if e.seq >= seq then
            return e.seq == seq and e
        end
    end
end

local function find_hits(r, target)
    local hits, any, some_lapsed = {}, false, false
    for _, device in ipairs(r.devices) do
        if lapsed(device) then
            some_lapsed = true
        elseif device.route then
            local meant = target == 0 or target == device.number
            hits[#hits + 1] = (meant and '\1' or '\0') .. device.route
            any = any or meant
        end
    end
    return table.concat(hits), any, some_lapsed
end

-- What was accepted before. Whether its sessions were sent it is not known, their names may have been lost with the answer: while it
-- stands in the log they are named again. Asked again by the store itself, it is answered as the first one.
local function answer_again(r, low, high, seq, of)
    local duplicate = (ARGV[13] ~= '1' or of ~= id) and 1 or 0
    local e = r and of == id and find_at(r, seq)
    if not e or e.id ~= id or e.expires <= now then
        return answer(duplicate, low, high, seq, 0, of, '')
    end
    high, low = epoch_of(r)
    return answer(duplicate, low, high, seq, seq - 1, of, (find_hits(r, e.target)))
end

-- Duplicates write as well: what a replicated one waits for must come after the first one's write.
local function answer_from_key(found)
    local was_body, low, high, seq, of, over = unpack('<c8I4I4I7c16I6', found)
    if over <= now then
        return nil
    end
    if was_body ~= body then
        return refuse('CONFLICT')
    end
    call('SET', KEYS[2], found, 'KEEPTTL')
    return answer_again(load_record(), low, high, seq, of)
end

-- The first append of this id, if it was lately and without a key; else how many such ids there were lately. Those of a time that
-- is still to come, by a clock that was set back, are known and do not count: they would for as long as it was set back.
local function find_recent(r)
    local count, hash = 0, sub(id, 9, 16)
    for at = #r.recent - RECENT + 1, 1, -RECENT do
        local found, seq, when = unpack('<c8I7I6', r.recent, at)
        if when + recent_ms < now then
            break
        end
        if found == hash then
            return seq
        end
        count = when <= now and count + 1 or count
    end
    return nil, count
end

local function collapse(r, target)
    local oldest
    for e in each_entry(r) do
        if e.collapse == collapse_key and e.target == target then
            remove(r, e, COLLAPSED)
            return
        end
        oldest = oldest or (e.collapse ~= '' and e)
    end
    if oldest and r.collapsing >= cap_collapse then
        remove(r, oldest, DROPPED)
    end
end

-- Low before normal before high, the oldest first. Mostly all are of one priority, and then nothing else is read. False: everything
-- that waits counts for more than the new entry, which is itself what the cap drops.
local function make_room(r)
    local class, following
    while entries(r) > 0 and (entries(r) >= cap_entries or r.bytes + bytes > cap_bytes) do
        local least = r.low > 0 and LOW or r.normal > 0 and NORMAL or HIGH
        if class ~= least then
            class, following = least, each_entry(r)
        end
        if class > priority then
            return false
        end
        local e = following()
        if e.priority == class then
            remove(r, e, DROPPED)
        end
    end
    return true
end

-- Account for the entry that is about to be written.
local function count_in(r)
    if entries(r) == 0 then
        r.next_expiry, r.last_expiry = expires, expires
    elseif expires < r.next_expiry then
        r.next_expiry = expires
    elseif expires > r.last_expiry then
        r.last_expiry = expires
    end
    r.bytes = r.bytes + bytes
    if collapse_key ~= '' then
        r.collapsing = r.collapsing + 1
    end
    if priority == LOW then
        r.low = r.low + 1
    elseif priority == NORMAL then
        r.normal = r.normal + 1
    else
        r.high = r.high + 1
    end
end

local function save_appended(r, target, sent, kept)
    r.head = r.head + 1
    if not keyed then
        r.recent = sub(r.recent .. sub(id, 9, 16) .. pack('<I7I6', r.head, now), -recent_ids * RECENT)
    end
    if kept then
        count_in(r)
        save_log(r, pack('<BI7I3', sent and ENTRY_SENT or 0, r.head, target) .. ARGV[4])
    else
        -- Sessions that are live are sent it all the same; devices that are away are told the gap.
        r.floor = r.head
        remember_fate(r, id, r.head, expires, DROPPED)
        save_log(r)
    end
end

local function put(r, target)
    r = own(r)
    local hits, sent, some_lapsed = find_hits(r, target)
    expire(r)
    if some_lapsed then
        trim(r)
    end
    if collapse_key ~= '' then
        collapse(r, target)
    end
    local kept, prev = make_room(r), r.head
    save_appended(r, target, sent, kept)
    local high, low = epoch_of(r)
    if keyed then
        local over = tonumber(ARGV[12])
        call('SET', KEYS[2], pack('<c8I4I4I7c16I6', body, low, high, r.head, id, over), 'PX', over > now and over - now or 1)
    end
    return answer(0, low, high, r.head, prev, id, hits)
end

local function append()
    id, expires, priority, bytes = ARGV[3], tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
    collapse_key, name, body = ARGV[8], ARGV[9], ARGV[11]
    keyed = body ~= ''
    if keyed then
        local found = call('GET', KEYS[2])
        local reply = found and answer_from_key(found)
        if reply then
            return reply
        end
    end
    if bytes > cap_bytes then
        return refuse('TOO_LARGE')
    end
    local r = load_record()
    if r and not keyed then
        local seq, lately = find_recent(r)
        if seq then
            local high, low = epoch_of(r)
            save_record(r)
            return answer_again(r, low, high, seq, id)
        end
        if lately >= recent_ids then
            return refuse('RATE_LIMITED')
        end
    end
    local target = 0
    if name ~= '' then
        local device = r and find_device(r, name)
        if not device or lapsed(device) then
            return refuse('UNREGISTERED')
        end
        target = device.number
    end
    if ARGV[10] == '1' and (not r or targets(r) == 0) then
        return refuse('UNREGISTERED')
    end
    return put(r, target)
end

define('append', {}, append)
