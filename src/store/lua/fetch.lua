-- ARGV: 3 device, 4 epoch (low, high), 5 seq, 6 told_floor, 7 entries, 8 bytes.
local function fetch()
    local r = load_record()
    local device = r and find_device(r, ARGV[3])
    if not device then
        return refuse('UNREGISTERED')
    end
    -- An earlier owner's log is taken over before the position is judged against it, as by a bind.
    local is_taken
    r, is_taken = own(r)
    local low, high = unpack('<I4I4', ARGV[4])
    local at = judge(r, device, high, low, tonumber(ARGV[5]), tonumber(ARGV[6]))
    local upto, hole, page, unsent = read_page(r, device, at, tonumber(ARGV[7]), tonumber(ARGV[8]))
    if unsent or is_taken then
        save_record(r)
    end
    return page_reply(r, at, upto, hole, page)
end

define('fetch', { 'allow-oom' }, fetch)
