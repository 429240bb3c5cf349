-- Devices that come and go.

local function drop_device(r, number)
    for e in each_entry(r) do
        if e.target == number then
            remove(r, e, ORPHANED)
        end
    end
    for i, device in ipairs(r.devices) do
        if device.number == number then
            -- What it may have been sent stays sent.
            if device.sent > r.sent then
                r.sent = device.sent
            end
            table.remove(r.devices, i)
            break
        end
    end
    forget_if_empty(r)
    trim(r)
end

-- A record has room for so many devices in all: the one that lapsed first gives way.
local function make_room_for_device(r)
    local first
    if #r.devices < DEVICES_MAX then
        return
    end
    for _, device in ipairs(r.devices) do
        if lapsed(device) and (not first or device.bound_ms < first.bound_ms) then
            first = device
        end
    end
    drop_device(r, first.number)
end

-- A user's first device gets what has waited for one; a later one begins at the head.
local function enrol(r, name)
    make_room_for_device(r)
    local acked = r.head
    if targets(r) == 0 and entries(r) > 0 then
        acked = each_entry(r)().seq - 1
    end
    r.last_number = r.last_number + 1
    local device = {
        number = r.last_number, name = name, acked = acked, floor = acked, told = r.floor, sent = 0, bound_ms = now,
        attempt = '\0\0\0\0\0\0\0\0',
    }
    r.devices[#r.devices + 1] = device
    return device
end

-- revoked_ms of a name, and where it stands; nil: no tombstone.
local function find_tombstone(r, name)
    local at, all = 1, r.tombstones
    while at <= #all do
        local revoked, found, after = unpack('<I6Bc0', all, at)
        if found == name then
            return revoked, at, after
        end
        at = after
    end
end
