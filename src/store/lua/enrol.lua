-- ARGV: 3 device.
local function enrol_device()
    local r, name = load_record(), ARGV[3]
    local device = r and find_device(r, name)
    if device and not lapsed(device) then
        return refuse('OK')
    end
    if r and targets(r) >= DEVICES_MAX then
        return refuse('TOO_LARGE')
    end
    r = own(r)
    if device then
        device.bound_ms = now
    else
        enrol(r, name)
    end
    save_log(r)
    return refuse('OK')
end

define('enrol', {}, enrol_device)
