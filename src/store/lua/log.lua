-- The entries of a log: read as they are asked for, removed with what their leaving means.
--
-- entry     flags, seq, target (a device's number; 0: all); then, as the client packed it: id, expiry, priority, collapse key, message
-- fate      what became of an entry that left: the last 8 bytes of its id, its seq, when, its expiry, how
local ENTRY_SENT = 1
local ACKED, EXPIRED, RECALLED, COLLAPSED, DROPPED, ORPHANED = 1, 2, 3, 4, 5, 6
local CHUNK = 16

local loaded, loaded_all, any_gone

-- The i-th entry of the log as it was when the operation began; nil after the last.
local function entry_at(r, i)
    while not loaded[i] and not loaded_all and r.exists do
        local from = #loaded + 1
        local raws = call('LRANGE', key, from, from + CHUNK - 1)
        for n, raw in ipairs(raws) do
            local e = { raw = raw }
            local at
            e.flags, e.seq, e.target, e.id, e.expires, e.priority, e.collapse, at = unpack('<BI7I3c16I6BBc0', raw)
            e.bytes = #raw - at + 1
            loaded[from + n - 1] = e
        end
        loaded_all = #raws < CHUNK
    end
    return loaded[i]
end

-- All entries that are left, from the first.
local function each_entry(r)
    local i = 0
    return function()
        local e
        repeat
            i = i + 1
            e = entry_at(r, i)
        until not e or not e.gone
        return e
    end
end

local function meant_for(e, device)
    return e.target == 0 or e.target == device.number
end

-- Whether a device may have been sent it: by its append, or by a page since.
local function was_sent(r, e)
    if has(e.flags, ENTRY_SENT) or r.sent >= e.seq then
        return true
    end
    for _, device in ipairs(r.devices) do
        if device.sent >= e.seq and meant_for(e, device) then
            return true
        end
    end
    return false
end

local function forget_if_empty(r)
    if entries(r) > 0 then
        return
    end
    r.sent = 0
    for _, device in ipairs(r.devices) do
        device.sent = 0
    end
end

local function remember_fate(r, id, seq, expires, fate)
    if fates_max > 0 then
        r.fates = sub(r.fates .. sub(id, 9, 16) .. pack('<I7I6I6B', seq, now, expires, fate), -fates_max * FATE)
    end
end

-- The oldest go first, wherever several go: of their fates the newest are remembered.
local function remove(r, e, fate)
    e.gone, any_gone = true, true
    if fate == DROPPED and r.floor < e.seq then
        r.floor = e.seq
    end
    if fate == ACKED then
        -- All targets that have not lapsed acked it: who has not had lapsed, and has missed it.
        for _, device in ipairs(r.devices) do
            if device.acked < e.seq and device.floor < e.seq and meant_for(e, device) then
                device.floor = e.seq
            end
        end
    end
    remember_fate(r, e.id, e.seq, e.expires, fate)
    r.bytes = r.bytes - e.bytes
    if e.collapse ~= '' then
        r.collapsing = r.collapsing - 1
    end
    local class = e.priority == 0 and 'low' or e.priority == 1 and 'normal' or 'high'
    r[class] = r[class] - 1
    forget_if_empty(r)
end

local function expire(r)
    if entries(r) == 0 or r.next_expiry > now then
        return
    end
    local next_expiry = r.last_expiry
    for e in each_entry(r) do
        if e.expires <= now then
            remove(r, e, EXPIRED)
        elseif e.expires < next_expiry then
            next_expiry = e.expires
        end
    end
    r.next_expiry = next_expiry
end

-- The least position that holds an entry back; nil when no target is left.
local function acked_by_targets(r, e)
    local least
    for _, device in ipairs(r.devices) do
        if meant_for(e, device) and not lapsed(device) and (not least or device.acked < least) then
            least = device.acked
        end
    end
    return least
end

-- Remove what every target that has not lapsed has acked. A user without such a device keeps everything.
local function trim(r)
    local most
    for _, device in ipairs(r.devices) do
        if not lapsed(device) and (not most or device.acked > most) then
            most = device.acked
        end
    end
    if not most or entries(r) == 0 then
        return
    end
    for e in each_entry(r) do
        if e.seq > most then
            return
        end
        local acked = acked_by_targets(r, e)
        if acked and acked >= e.seq then
            remove(r, e, ACKED)
        end
    end
end

local function advance(r, device, seq)
    if seq > device.acked then
        device.acked = seq
        trim(r)
    end
end

-- Take what is gone out of the list: the first ones with one LTRIM that leaves the last of them to become the record, others by
-- a mark that no entry is equal to. Then write the record, and an entry after the last if there is one.
local function save_log(r, entry)
    if any_gone then
        local first = 0
        while loaded[first + 1] and loaded[first + 1].gone do
            first = first + 1
        end
        local marked = 0
        for i = first + 2, #loaded do
            if loaded[i].gone then
                call('LSET', key, i, '')
                marked = marked + 1
            end
        end
        if marked > 0 then
            call('LREM', key, marked, '')
        end
        if first > 0 then
            call('LTRIM', key, first, -1)
        end
    end
    save_record(r, entry)
end
