-- ARGV: 3 device, 4 epoch (low, high), 5 seq, 6 route, 7 attempt (big endian).
local function check()
    local r = load_record()
    local device = r and find_device(r, ARGV[3])
    if not device or not device.route then
        return refuse('UNROUTED')
    end
    if device.route ~= ARGV[6] then
        -- One of an older attempt stands here if the log has forgotten the bind after it.
        local high, low = unpack('>I4I4', ARGV[7])
        local its_high, its_low = unpack('>I4I4', device.attempt)
        return refuse(before(its_high, its_low, high, low) and 'UNROUTED' or 'REPLACED')
    end
    -- A session that lives says so by binding again, now and then: checks write nothing.
    if device.bound_ms + refresh_ms < now then
        return refuse('UNROUTED')
    end
    local low, high = unpack('<I4I4', ARGV[4])
    local e_high, e_low = epoch_of(r)
    local same = high == e_high and low == e_low and tonumber(ARGV[5]) == r.head
    return refuse(same and 'SAME' or 'BEHIND')
end

define('check', { 'no-writes' }, check)
