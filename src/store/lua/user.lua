-- Answer: epoch, head, floor, what is pending; then the devices.
local function user()
    local r = load_record()
    if not r then
        return refuse('NOT_FOUND')
    end
    local high, low = epoch_of(r)
    local pending, bytes = entries(r), r.bytes
    if pending > 0 and r.next_expiry <= now then
        for e in each_entry(r) do
            if e.expires <= now then
                pending, bytes = pending - 1, bytes - e.bytes
            end
        end
    end
    local reply = list_devices(r)
    table.insert(reply, 1, pack('<I4I4I8I8I4I4', low, high, r.head, r.floor, pending, bytes))
    return reply
end

define('user', { 'no-writes' }, user)
