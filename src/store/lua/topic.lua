-- A topic's log: what is known of it read and written, entries that go.
--
-- These files, from owner.lua on, make one library of functions, which Redis runs once, when it is loaded; what a call brings stands in
-- the locals below, which begin() in topic_operation.lua sets: nothing else outlives a call.
-- KEYS[1] is the log, a stream: ids <epoch>-<seq>, so that Redis itself refuses to go back, and one field, the entry as the client
-- packed it: id, expiry, length of the condition, condition, message. It has a time to live: that of its entries.
-- KEYS[2] is what is known of it, a hash: 'm' the record, 'e' the epochs, 'l' the leases, and under their 16 bytes the ids that
-- are remembered. Without 'm' nothing was appended yet, and all there is are leases.
-- ARGV[1] is now and the limits; ARGV[2] packs what is the operation's own. Numbers are little endian; epochs are two halves.
--
-- owner, epoch   as in owner.lua
-- birth          the head before the first entry ever
-- bytes          of messages and conditions that the log holds
-- next_expiry    no entry expires before; last_expiry: none after
-- log_until      until when the log lives, by its time to live
-- touched        when the time to live of the hash was last moved on
-- fields         of the hash, that are no id

local function spread(list)
    return unpack(list) -- Lua's own: that of the next line is struct's
end

local call, pack, unpack, sub, format, KEYS, ARGV, log, facts, now
local cap_entries, cap_bytes, recent_ids, keep_ms, lapse_ms, topics_max

local VERSION, EPOCHS_MAX, EPOCH, LEASE, NODES_MAX = 1, 4, 15, 16, 256
local ID, HEADER = 16, 24 -- bytes of an id, and of an entry before its condition

-- The record; nil when there is none or its time is over. Then the leases, and what is remembered of an id.
local function load_topic(id)
    local raw = call('HMGET', facts, 'm', 'e', 'l', id or 'm')
    if not raw[1] then
        return nil, raw[3] or ''
    end
    local version, owner, head, birth, floor, bytes, next_expiry, last_expiry, log_until, touched =
        unpack('<BI5I7I7I7I4I6I6I6I6', raw[1])
    if version ~= VERSION then
        error({ err = 'ERR a topic record of another version' })
    end
    if touched + keep_ms < now and last_expiry <= now then
        return nil, ''
    end
    local epochs = {}
    for at = 1, #raw[2], EPOCH do
        local low, high, base = unpack('<I4I4I7', raw[2], at)
        epochs[#epochs + 1] = { low = low, high = high, base = base }
    end
    return { owner = owner, head = head, birth = birth, floor = floor, bytes = bytes, next_expiry = next_expiry,
        last_expiry = last_expiry, log_until = log_until, touched = touched, epochs = epochs, fields = raw[3] and 3 or 2, taken = false }, raw[3] or '',
        raw[4]
end

local function epoch_of(t)
    local last = t.epochs[#t.epochs]
    return last.high, last.low
end

-- In decimal, of two halves that may be more than a number of Lua's holds.
local function decimal(high, low)
    if high < 2097152 then
        return format('%.0f', high * 4294967296 + low)
    end
    local rest = high % 1000000 * 4294967296 + low
    return format('%.0f%06.0f', math.floor(high / 1000000) * 4294967296 + math.floor(rest / 1000000), rest % 1000000)
end

-- The id of the entry after seq; of the first one, where seq is before all epochs that are known.
local function id_after(t, seq)
    for i = #t.epochs, 1, -1 do
        local epoch = t.epochs[i]
        if epoch.base <= seq then
            return decimal(epoch.high, epoch.low) .. format('-%.0f', seq + 1)
        end
    end
    return '-'
end

-- Take the log over from an earlier owner, or begin one: before any change of the log.
local function own(t)
    local owner = read_owner()
    if t and t.owner == owner then
        return t
    end
    if not t then
        -- What an earlier one of this name left counts no more. Ahead of any seq that it had.
        call('DEL', log)
        call('HDEL', facts, 'm', 'e')
        local head = now * 1000
        t = { head = head, birth = head, floor = head, bytes = 0, next_expiry = 0, last_expiry = 0, log_until = 0,
            touched = 0, epochs = {} }
    end
    local high, low = begin_epoch(t.epochs[#t.epochs])
    t.owner, t.taken = owner, true
    t.epochs[#t.epochs + 1] = { low = low, high = high, base = t.head }
    if #t.epochs > EPOCHS_MAX then
        table.remove(t.epochs, 1)
    end
    return t
end

-- Write the record, and one more field of the hash. Its time to live is moved on now and then.
local function save_topic(t, field, value)
    local is_touched = t.touched + keep_ms / 64 < now or t.last_expiry > t.touched + keep_ms
    if is_touched then
        t.touched = now
    end
    local raw = pack('<BI5I7I7I7I4I6I6I6I6', VERSION, t.owner, t.head, t.birth, t.floor, t.bytes, t.next_expiry, t.last_expiry,
        t.log_until, t.touched)
    if t.taken then
        local parts = {}
        for i, epoch in ipairs(t.epochs) do
            parts[i] = pack('<I4I4I7', epoch.low, epoch.high, epoch.base)
        end
        call('HSET', facts, 'e', table.concat(parts))
    end
    call('HSET', facts, 'm', raw, field, value)
    if is_touched then
        call('PEXPIRE', facts, math.max(keep_ms, t.last_expiry - now) + 1000)
    end
end

local function read_seq(id)
    return tonumber(string.match(id, '-(%d+)$'))
end

-- Remove entries, as XRANGE gave them.
local function remove(t, entries)
    local ids = {}
    for i, e in ipairs(entries) do
        ids[i] = e[1]
        t.bytes = t.bytes - #e[2][2] + HEADER
    end
    if #ids > 0 then
        call('XDEL', log, spread(ids))
    end
end

local function expiry(e)
    return (unpack('<I6', e[2][2], ID + 1))
end

-- Remove what has expired at the front of the log: mostly that is all of it. The rest takes no room that others need: see make_room.
local function expire_front(t)
    local count = 1
    while t.next_expiry > 0 and t.next_expiry <= now do
        local over, some = {}, call('XRANGE', log, '-', '+', 'COUNT', count)
        for i, e in ipairs(some) do
            if expiry(e) > now then
                break
            end
            over[i] = e
        end
        remove(t, over)
        if #some == 0 then
            t.next_expiry, t.last_expiry, t.bytes = 0, 0, 0
        end
        if #over < #some then
            return
        end
        count = 16
    end
end

-- Forget ids whose time is over: of so many taken at random, some of them twice.
local function forget_ids(most)
    local some, over = call('HRANDFIELD', facts, -most, 'WITHVALUES'), {}
    for i = 1, #some, 2 do
        if #some[i] == ID and unpack('<I6', some[i + 1], 8) <= now then
            over[#over + 1] = some[i]
        end
    end
    if #over > 0 then
        call('HDEL', facts, spread(over))
    end
end
