-- ARGV: 3 id. Answer: the fate (0: pending), epoch, seq, expiry; then the devices.
local function message_state()
    local r = load_record()
    if not r then
        return refuse('NOT_FOUND')
    end
    local high, low = epoch_of(r)
    local e = find_entry(r, ARGV[3])
    if e then
        local pending = e.expires > now
        local reply = pending and list_devices(r, e) or {}
        table.insert(reply, 1, pack('<BI4I4I8I8', pending and 0 or EXPIRED, low, high, e.seq, e.expires))
        return reply
    end
    local fate, seq, expires = find_fate(r, ARGV[3])
    if not fate then
        return refuse('NOT_FOUND')
    end
    return { pack('<BI4I4I8I8', fate, low, high, seq, expires) }
end

define('message_state', { 'no-writes' }, message_state)
