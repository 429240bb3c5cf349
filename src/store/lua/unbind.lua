-- ARGV: 3 device, 4 route. Only a route equal as a whole is deleted.
local function unbind()
    local r = load_record()
    local device = r and find_device(r, ARGV[3])
    if device and device.route == ARGV[4] then
        device.route, device.bound_ms = nil, now
        save_record(r)
    end
    return refuse('OK')
end

define('unbind', { 'allow-oom' }, unbind)
