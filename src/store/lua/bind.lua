-- ARGV: 3 device, 4 attempt (big endian), 5 when the token was issued, 6 epoch (low, high), 7 seq, 8 route, 9 entries, 10 bytes, 11 '1': it
-- binds again, live: its position is what it was sent, which proves nothing.
-- Writes the route and reads what is pending in one step: an append comes wholly before or after.
local function bind_device(r, device, is_new)
    local low, high = unpack('<I4I4', ARGV[6])
    local at = judge(r, device, high, low, tonumber(ARGV[7]), 0)
    -- Who has a position was here: a log that does not know the device is doubted like one that the position is ahead of.
    at.stranger = is_new and (high ~= 0 or low ~= 0)
    local route = ARGV[8]
    local replaced = device.route ~= route and device.route or nil
    device.route, device.attempt, device.bound_ms = route, ARGV[4], now
    expire(r)
    if ARGV[11] ~= '1' then
        advance(r, device, at.proven)
    end
    local upto, hole, page = read_page(r, device, at, tonumber(ARGV[9]), tonumber(ARGV[10]))
    save_log(r)
    return page_reply(r, at, upto, hole, page, replaced)
end

local function bind()
    local r, name = load_record(), ARGV[3]
    local revoked = r and find_tombstone(r, name)
    if revoked and tonumber(ARGV[5]) <= revoked then
        return refuse('REVOKED')
    end
    local device = r and find_device(r, name)
    if device then
        local was_high, was_low = unpack('>I4I4', device.attempt)
        local high, low = unpack('>I4I4', ARGV[4])
        if before(high, low, was_high, was_low) then
            return refuse('STALE')
        end
    end
    if r and (not device or lapsed(device)) and targets(r) >= DEVICES_MAX then
        return refuse('TOO_LARGE')
    end
    -- An earlier owner's log is taken over before the position is judged against it.
    r = own(r)
    return bind_device(r, device or enrol(r, name), not device)
end

define('bind', { 'allow-oom' }, bind)
