-- ARGV: 3 device, 4 epoch (low, high), 5 seq, 6 route.
local function check()
    local r = load_record()
    local device = r and find_device(r, ARGV[3])
    if not device or not device.route then
        return refuse('UNROUTED')
    end
    if device.route ~= ARGV[6] then
        return refuse('REPLACED')
    end
    local low, high = unpack('<I4I4', ARGV[4])
    local e_high, e_low = epoch_of(r)
    local same = high == e_high and low == e_low and tonumber(ARGV[5]) == r.head
    return refuse(same and 'SAME' or 'BEHIND')
end

return check()
