-- ARGV: 3 device, 4 epoch (low, high), 5 seq.
local function ack()
    local r = load_record()
    local device = r and find_device(r, ARGV[3])
    if not device then
        return refuse('UNREGISTERED')
    end
    local low, high = unpack('<I4I4', ARGV[4])
    local at = judge(r, device, high, low, tonumber(ARGV[5]), 0)
    if at.ahead then
        return refuse('INVALID')
    end
    if (high == 0 and low == 0) or at.proven <= device.acked then
        return refuse('OK')
    end
    r = own(r)
    expire(r)
    advance(r, device, at.proven)
    save_log(r)
    return refuse('OK')
end

define('ack', { 'allow-oom' }, ack)
