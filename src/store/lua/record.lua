-- What every operation begins with: its arguments, and a user's record read and written.
--
-- A user is one key, a list: element 0 the record, then the entries of the log by seq. KEYS[1] is that key.
-- ARGV[1] is now, ARGV[2] the limits; what follows is the operation's own. Numbers are little endian. What can be larger than
-- 2^53 (attempts, routes, hashes, epochs) stays bytes or two halves: a number of Lua's is a double.
--
-- record    version, flags, owner, head, last device number, counts; epochs; what the flags say is there; devices. Positions of
--           devices and bases of epochs are written as their distance from the head: 5 bytes in place of 7
-- owner     the history that wrote last: 40 bits of Redis's own replication id, which is another one after every restart and every
--           promotion, so a log that forgot something is always found under another owner
-- epoch     two halves: the configuration epoch of the node (0 without a cluster), the second in which the process started
local call, pack, unpack, sub = redis.call, struct.pack, struct.unpack, string.sub
local key, now = KEYS[1], tonumber(ARGV[1])
local cap_entries, cap_bytes, cap_collapse, recent_ids, recent_ms, lapse_ms, fate_ms, fates_max =
    unpack('<I4I4I4I4I8I8I8I4', ARGV[2])

local VERSION, DEVICES_MAX, EPOCHS_MAX = 1, 16, 4
local HAS_FLOOR, HAS_ENTRIES, HAS_TOMBSTONES, HAS_RECENT, HAS_FATES, HAS_OVER = 1, 2, 4, 8, 16, 32
local DEVICE_ROUTE, DEVICE_TOLD, DEVICE_SENT = 1, 2, 4
local EPOCH, RECENT, FATE, ROUTE = 13, 21, 28, 20 -- bytes of each

local function has(flags, bit)
    return flags % (bit + bit) >= bit
end

local function read_device(raw, at, head)
    local device = {}
    local flags
    flags, device.number, device.acked, device.attempt, device.bound_ms, device.floor, device.name, at =
        unpack('<BI3I5c8I6I5Bc0', raw, at)
    device.acked, device.floor = head - device.acked, head - device.floor
    device.told, device.sent = 0, 0
    if has(flags, DEVICE_TOLD) then
        device.told, at = unpack('<I7', raw, at)
    end
    if has(flags, DEVICE_SENT) then
        device.sent, at = unpack('<I7', raw, at)
    end
    if has(flags, DEVICE_ROUTE) then
        device.route = sub(raw, at, at + ROUTE - 1)
        at = at + ROUTE
    end
    return device, at
end

-- low, normal, high: entries of each priority; collapsing: entries with a collapse key; bytes: of messages;
-- next_expiry: no entry expires before; last_expiry: none after; sent: entries up to here may have been sent to a device that is gone
local function read_parts(r, flags, raw, at)
    r.floor, r.low, r.normal, r.high, r.collapsing, r.bytes, r.next_expiry, r.last_expiry, r.sent =
        0, 0, 0, 0, 0, 0, 0, 0, 0
    r.tombstones, r.recent, r.fates = '', '', ''
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

-- The record; nil when there is none or its time is over. dead: it is to be deleted before another is written.
local dead = false
local function load_record()
    local raw = call('LINDEX', key, 0)
    if not raw then
        return nil
    end
    local r = { exists = true, devices = {} }
    local version, flags, devices, epochs, at
    version, flags, r.owner, r.head, r.last_number, devices, epochs, at = unpack('<BBI5I7I3BB', raw)
    if version ~= VERSION then
        error({ err = 'ERR a user record of another version' })
    end
    r.epochs = {}
    for i = 1, epochs do
        local low, high, below = unpack('<I4I4I5', raw, at)
        r.epochs[i] = { low = low, high = high, base = r.head - below }
        at = at + EPOCH
    end
    at = read_parts(r, flags, raw, at)
    for i = 1, devices do
        r.devices[i], at = read_device(raw, at, r.head)
    end
    -- A record made anew must begin after this one.
    if r.over and r.over <= now and r.head < now * 1000 then
        dead = true
        return nil
    end
    return r
end

local function epoch_of(r)
    local last = r.epochs[#r.epochs]
    return last.high, last.low
end

-- Whether an epoch or an attempt, in halves, comes before another.
local function before(a_high, a_low, b_high, b_low)
    return a_high < b_high or (a_high == b_high and a_low < b_low)
end

local function find_device(r, name)
    for i, device in ipairs(r.devices) do
        if device.name == name then
            return device, i
        end
    end
end

-- Unbound for longer than lapse_ms.
local function lapsed(device)
    return not device.route and device.bound_ms + lapse_ms < now
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

-- Take the log over from an earlier owner, or begin one: before any change of the log. Redis's INFO is 2 us, so only writers ask.
local function own(r)
    local owner = tonumber(string.match(call('INFO', 'replication'), 'master_replid:(%x%x%x%x%x%x%x%x%x%x)'), 16)
    if r and r.owner == owner then
        return r
    end
    local server = call('INFO', 'server')
    local cluster = redis.pcall('CLUSTER', 'INFO')
    local low = math.floor(tonumber(string.match(server, 'server_time_usec:(%d+)')) / 1000000) -
        tonumber(string.match(server, 'uptime_in_seconds:(%d+)'))
    local high = type(cluster) == 'string' and tonumber(string.match(cluster, 'cluster_my_epoch:(%d+)')) % 65536 or 0
    if not r then
        -- Ahead of any seq that a record of this user had before.
        r = { devices = {}, head = now * 1000, last_number = 0, epochs = {} }
        read_parts(r, 0)
    else
        local last_high, last_low = epoch_of(r)
        if not before(last_high, last_low, high, low) then
            high, low = last_high, last_low + 1
            if low == 4294967296 then
                high, low = high + 1, 0
            end
        end
    end
    r.owner = owner
    r.epochs[#r.epochs + 1] = { low = low, high = high, base = r.head }
    if #r.epochs > EPOCHS_MAX then
        table.remove(r.epochs, 1)
    end
    return r
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

-- What time has made worthless. Items are in the order of their times, which stand at `place` in each.
local function prune(items, size, place, keep_ms)
    local old = 0
    while old < #items and unpack('<I6', items, old + place) + keep_ms < now do
        old = old + size
    end
    return old > 0 and sub(items, old + 1) or items
end

-- When nothing in the record counts any more; nil: never by itself (a route, or a tombstone, which a token may outlive).
local function over_of(r)
    local over = now + 1
    local function later(ms)
        over = ms > over and ms or over
    end
    if r.tombstones ~= '' then
        return nil
    end
    for _, device in ipairs(r.devices) do
        if device.route then
            return nil
        end
        later(device.bound_ms + lapse_ms + 1)
    end
    if entries(r) > 0 then
        later(r.last_expiry + 1)
    end
    if r.fates ~= '' then
        later(unpack('<I6', r.fates, #r.fates - FATE + 16) + fate_ms + 1)
    end
    if r.recent ~= '' then
        later(unpack('<I6', r.recent, #r.recent - RECENT + 16) + recent_ms + 1)
    end
    return over
end

local function write_record(r)
    local flags, epochs, parts, devices = 0, {}, {}, {}
    local function part(bit, bytes)
        flags = flags + bit
        parts[#parts + 1] = bytes
    end
    if r.floor > 0 then
        part(HAS_FLOOR, pack('<I7', r.floor))
    end
    if entries(r) > 0 then
        part(HAS_ENTRIES, pack('<I3I3I3I3I4I6I6I7', r.low, r.normal, r.high, r.collapsing, r.bytes, r.next_expiry,
            r.last_expiry, r.sent))
    end
    if r.tombstones ~= '' then
        part(HAS_TOMBSTONES, pack('<I4c0', #r.tombstones, r.tombstones))
    end
    if r.recent ~= '' then
        part(HAS_RECENT, pack('<I4c0', #r.recent, r.recent))
    end
    if r.fates ~= '' then
        part(HAS_FATES, pack('<I4c0', #r.fates, r.fates))
    end
    if r.over then
        part(HAS_OVER, pack('<I6', r.over))
    end
    for i, device in ipairs(r.devices) do
        devices[i] = write_device(device, r.head)
    end
    for i, epoch in ipairs(r.epochs) do
        epochs[i] = pack('<I4I4I5', epoch.low, epoch.high, r.head - epoch.base)
    end
    return pack('<BBI5I7I3BB', VERSION, flags, r.owner, r.head, r.last_number, #r.devices, #r.epochs) ..
        table.concat(epochs) .. table.concat(parts) .. table.concat(devices)
end

-- Write the record, and an entry after the last if there is one. The key's own time to live is what reclaims a record that
-- nobody asks for again: it is only ever moved later, and a second late, because what counts is `over`.
local function save_record(r, entry)
    r.recent = prune(r.recent, RECENT, 16, recent_ms)
    r.fates = prune(r.fates, FATE, 16, fate_ms)
    local over, was = over_of(r), r.over
    r.over = over and was and was > over and was or over
    local raw = write_record(r)
    if not r.exists then
        if dead then
            call('DEL', key)
        end
        if entry then
            call('RPUSH', key, raw, entry)
        else
            call('RPUSH', key, raw)
        end
    else
        call('LSET', key, 0, raw)
        if entry then
            call('RPUSH', key, entry)
        end
    end
    if r.over and r.over ~= was then
        call('PEXPIRE', key, r.over - now + 1000)
    elseif was and not r.over then
        call('PERSIST', key)
    end
end

local function refuse(name)
    return redis.status_reply(name)
end
