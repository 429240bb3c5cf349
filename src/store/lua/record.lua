-- A user's record, read and written.
--
-- All files here make one library of functions, which Redis runs once, when it is loaded; a call then runs one function of it. So
-- what a call brings stands in the locals below, which begin() in operation.lua sets: nothing else outlives a call.
-- A user is one key, a list: element 0 the record, then the entries of the log by seq. KEYS[1] is that key.
-- ARGV[1] is now, ARGV[2] the limits; what follows is the operation's own. Numbers are little endian. What can be larger than
-- 2^53 (attempts, routes, hashes, epochs) stays bytes or two halves: a number of Lua's is a double.
--
-- record    version, flags, owner, head, last device number, counts; epochs; what the flags say is there; devices. Positions of
--           devices and bases of epochs are written as their distance from the head: 5 bytes in place of 7
local call, pack, unpack, sub, KEYS, ARGV, key, now
local cap_entries, cap_bytes, cap_collapse, recent_ids, recent_ms, lapse_ms, refresh_ms, fate_ms, fates_max

local VERSION, DEVICES_MAX, EPOCHS_MAX = 1, 16, 4
local HAS_FLOOR, HAS_ENTRIES, HAS_TOMBSTONES, HAS_RECENT, HAS_FATES, HAS_OVER = 1, 2, 4, 8, 16, 32
local DEVICE_ROUTE, DEVICE_TOLD, DEVICE_SENT = 1, 2, 4
local EPOCH, RECENT, FATE, ROUTE = 13, 21, 28, 20 -- bytes of each

local function has(flags, bit)
    return flags % (bit + bit) >= bit
end

-- Tables are made whole: one that grows field by field is hashed anew five times, which is what costs here.
local function read_device(raw, at, head)
    local flags, number, acked, attempt, bound_ms, floor, name, after = unpack('<BI3I5c8I6I5Bc0', raw, at)
    local told, sent, route = 0, 0, nil
    if has(flags, DEVICE_TOLD) then
        told, after = unpack('<I7', raw, after)
    end
    if has(flags, DEVICE_SENT) then
        sent, after = unpack('<I7', raw, after)
    end
    if has(flags, DEVICE_ROUTE) then
        route = sub(raw, after, after + ROUTE - 1)
        after = after + ROUTE
    end
    return { number = number, name = name, acked = head - acked, floor = head - floor, told = told, sent = sent,
        attempt = attempt, bound_ms = bound_ms, route = route }, after
end

-- low, normal, high: entries of each priority; collapsing: entries with a collapse key; bytes: of messages;
-- next_expiry: no entry expires before; last_expiry: none after; sent: entries up to here may have been sent to a device that is gone
local function new_record(owner, head, last_number)
    return { exists = false, owner = owner, head = head, last_number = last_number, epochs = {}, devices = {}, floor = 0,
        low = 0, normal = 0, high = 0, collapsing = 0, bytes = 0, next_expiry = 0, last_expiry = 0, sent = 0,
        tombstones = '', recent = '', fates = '', over = false }
end

local function read_parts(r, flags, raw, at)
    if has(flags, HAS_FLOOR) then
        r.floor, at = unpack('<I7', raw, at)
    end
    if has(flags, HAS_ENTRIES) then
        r.low, r.normal, r.high, r.collapsing, r.bytes, r.next_expiry, r.last_expiry, r.sent, at =
            unpack('<I3I3I3I3I4I6I6I7', raw, at)
    end
    if has(flags, HAS_TOMBSTONES) then
        r.tombstones, at = unpack('<I4c0', raw, at)
    end
    if has(flags, HAS_RECENT) then
        r.recent, at = unpack('<I4c0', raw, at)
    end
    if has(flags, HAS_FATES) then
        r.fates, at = unpack('<I4c0', raw, at)
    end
    if has(flags, HAS_OVER) then
        r.over, at = unpack('<I6', raw, at)
    end
    return at
end

-- The last moment at which a device has not lapsed: lapse_ms after it was last there. While its session lives it binds again every
-- refresh_ms; a route that was left for twice that longer is of a process that is gone.
local function lasts(device)
    return device.bound_ms + lapse_ms + (device.route and 2 * refresh_ms or 0)
end

local function lapsed(device)
    return lasts(device) < now
end

-- When the last device has lapsed.
local function all_lapsed_at(r)
    local last = 0
    for i = 1, #r.devices do
        last = math.max(last, lasts(r.devices[i]) + 1)
    end
    return last
end

-- The record; nil when there is none or its time is over. dead: it is to be deleted before another is written.
local dead
local function load_record()
    local raw = call('LINDEX', key, '0')
    if not raw then
        return nil
    end
    local version, flags, owner, head, last_number, devices, epochs, at = unpack('<BBI5I7I3BB', raw)
    if version ~= VERSION then
        error({ err = 'ERR a user record of another version' })
    end
    local r = new_record(owner, head, last_number)
    r.exists = true
    for i = 1, epochs do
        local low, high, below = unpack('<I4I4I5', raw, at)
        r.epochs[i] = { low = low, high = high, base = head - below }
        at = at + EPOCH
    end
    if flags > 0 then
        at = read_parts(r, flags, raw, at)
    end
    for i = 1, devices do
        r.devices[i], at = read_device(raw, at, head)
    end
    -- Most records are over with their last device, so that is not written.
    if not r.over and devices > 0 and r.tombstones == '' then
        r.over = all_lapsed_at(r)
    end
    -- A record made anew must begin after this one.
    if r.over and r.over <= now and head < now * 1000 then
        dead = true
        return nil
    end
    return r
end

local function epoch_of(r)
    local last = r.epochs[#r.epochs]
    return last.high, last.low
end

local function find_device(r, name)
    for i = 1, #r.devices do
        if r.devices[i].name == name then
            return r.devices[i]
        end
    end
end

local function targets(r)
    local count = 0
    for _, device in ipairs(r.devices) do
        if not lapsed(device) then
            count = count + 1
        end
    end
    return count
end

local function entries(r)
    return r.low + r.normal + r.high
end

-- Take the log over from an earlier owner, or begin one: before any change of the log. The second: whether that was so.
local function own(r)
    local owner = read_owner()
    if r and r.owner == owner then
        return r, false
    end
    -- One made anew begins ahead of any seq that a record of this user had before.
    r = r or new_record(owner, now * 1000, 0)
    local high, low = begin_epoch(r.epochs[#r.epochs])
    r.owner = owner
    r.epochs[#r.epochs + 1] = { low = low, high = high, base = r.head }
    if #r.epochs > EPOCHS_MAX then
        table.remove(r.epochs, 1)
    end
    return r, true
end

local function write_device(device, head)
    local flags, parts = 0, ''
    if device.told > 0 then
        flags, parts = DEVICE_TOLD, pack('<I7', device.told)
    end
    if device.sent > 0 then
        flags, parts = flags + DEVICE_SENT, parts .. pack('<I7', device.sent)
    end
    if device.route then
        flags, parts = flags + DEVICE_ROUTE, parts .. device.route
    end
    return pack('<BI3I5c8I6I5Bc0', flags, device.number, head - device.acked, device.attempt, device.bound_ms,
        head - device.floor, #device.name, device.name) .. parts
end

-- What time has made worthless. Items are in the order of their times, which stand after a hash and a seq.
local function prune(items, size, keep_ms)
    local old = 0
    while old < #items and unpack('<I6', items, old + 16) + keep_ms < now do
        old = old + size
    end
    return old > 0 and sub(items, old + 1) or items
end

-- When nothing in the record counts any more; false: never by itself (a tombstone, which a token may outlive).
local function over_of(r)
    if r.tombstones ~= '' then
        return false
    end
    local over = math.max(now + 1, all_lapsed_at(r))
    if entries(r) > 0 then
        over = math.max(over, r.last_expiry + 1)
    end
    if r.fates ~= '' then
        over = math.max(over, unpack('<I6', r.fates, #r.fates - FATE + 16) + fate_ms + 1)
    end
    if r.recent ~= '' then
        over = math.max(over, unpack('<I6', r.recent, #r.recent - RECENT + 16) + recent_ms + 1)
    end
    return over
end

local function write_record(r)
    local flags, parts, head = 0, {}, r.head
    for i = 1, #r.epochs do
        local epoch = r.epochs[i]
        parts[i] = pack('<I4I4I5', epoch.low, epoch.high, head - epoch.base)
    end
    if r.floor > 0 then
        flags = HAS_FLOOR
        parts[#parts + 1] = pack('<I7', r.floor)
    end
    if entries(r) > 0 then
        flags = flags + HAS_ENTRIES
        parts[#parts + 1] = pack('<I3I3I3I3I4I6I6I7', r.low, r.normal, r.high, r.collapsing, r.bytes, r.next_expiry,
            r.last_expiry, r.sent)
    end
    if r.tombstones ~= '' then
        flags = flags + HAS_TOMBSTONES
        parts[#parts + 1] = pack('<I4', #r.tombstones) .. r.tombstones
    end
    if r.recent ~= '' then
        flags = flags + HAS_RECENT
        parts[#parts + 1] = pack('<I4', #r.recent) .. r.recent
    end
    if r.fates ~= '' then
        flags = flags + HAS_FATES
        parts[#parts + 1] = pack('<I4', #r.fates) .. r.fates
    end
    if r.over and r.over ~= all_lapsed_at(r) then
        flags = flags + HAS_OVER
        parts[#parts + 1] = pack('<I6', r.over)
    end
    for i = 1, #r.devices do
        parts[#parts + 1] = write_device(r.devices[i], head)
    end
    return pack('<BBI5I7I3BB', VERSION, flags, r.owner, head, r.last_number, #r.devices, #r.epochs) .. table.concat(parts)
end

-- Write the record, and an entry after the last if there is one. The key's own time to live is what reclaims a record that
-- nobody asks for again: it is only ever moved later, and a second late, because what counts is `over`.
local function save_record(r, entry)
    r.recent = prune(r.recent, RECENT, recent_ms)
    r.fates = prune(r.fates, FATE, fate_ms)
    local over, was = over_of(r), r.over
    r.over = over and was and was > over and was or over
    local raw = write_record(r)
    if r.exists then
        call('LSET', key, '0', raw)
    else
        if dead then
            call('DEL', key)
        end
        call('RPUSH', key, raw)
    end
    if entry then
        call('RPUSH', key, entry)
    end
    if r.over and r.over ~= was then
        call('PEXPIRE', key, r.over - now + 1000)
    elseif was and not r.over then
        call('PERSIST', key)
    end
end
