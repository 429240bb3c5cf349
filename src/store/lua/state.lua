-- What is known of one message, and of users: for recall, message_state and user.

local function find_entry(r, id)
    local found
    for e in each_entry(r) do
        if e.id == id then
            found = e
        end
    end
    return found
end

-- The last fate of an id, while it is remembered: how, seq, expiry.
local function find_fate(r, id)
    local hash = sub(id, 9, 16)
    for at = #r.fates - FATE + 1, 1, -FATE do
        local found, seq, when, expires, fate = unpack('<c8I7I6I6B', r.fates, at)
        if found == hash and when + fate_ms >= now then
            return fate, seq, expires
        end
    end
end

-- Devices that have not lapsed, of those an entry is for; nil: of all.
local function list_devices(r, e)
    local list = {}
    for _, device in ipairs(r.devices) do
        if not lapsed(device) and (not e or meant_for(e, device)) then
            list[#list + 1] = pack('<BI8I8B', device.route and 1 or 0, device.acked, device.bound_ms, #device.name) ..
                device.name .. (device.route or '')
        end
    end
    return list
end
