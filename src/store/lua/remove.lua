-- ARGV: 3 device, 4 when it was revoked; 0: no tombstone. Answer: the route it had, or nothing.
local TOMBSTONES_MAX = 32
local name, revoked_ms

local function bury(r)
    local revoked, at, after = find_tombstone(r, name)
    if revoked then
        revoked_ms = revoked > revoked_ms and revoked or revoked_ms
        r.tombstones = sub(r.tombstones, 1, at - 1) .. sub(r.tombstones, after)
    end
    r.tombstones = r.tombstones .. pack('<I6Bc0', revoked_ms, #name, name)
end

-- The oldest gives way.
local function forget_a_tombstone(r)
    local at, count, oldest, from, to = 1, 0, nil, nil, nil
    while at <= #r.tombstones do
        local revoked, _, after = unpack('<I6Bc0', r.tombstones, at)
        if not oldest or revoked < oldest then
            oldest, from, to = revoked, at, after
        end
        at, count = after, count + 1
    end
    if count > TOMBSTONES_MAX then
        r.tombstones = sub(r.tombstones, 1, from - 1) .. sub(r.tombstones, to)
    end
end

local function remove_device()
    local r = load_record()
    name, revoked_ms = ARGV[3], tonumber(ARGV[4])
    local device = r and find_device(r, name)
    if not device and revoked_ms == 0 then
        return ''
    end
    r = own(r)
    if device then
        drop_device(r, device.number)
    end
    if revoked_ms > 0 then
        bury(r)
        forget_a_tombstone(r)
    end
    save_log(r)
    return device and device.route or ''
end

define('remove', { 'allow-oom' }, remove_device)
