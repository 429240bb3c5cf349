-- ARGV: 3 id.
local function recall()
    local r = load_record()
    local e = r and find_entry(r, ARGV[3])
    if not e or e.expires <= now then
        local fate = r and not e and find_fate(r, ARGV[3])
        return refuse(fate == ACKED and 'ALREADY_DELIVERED' or fate == RECALLED and 'OK' or 'NOT_FOUND')
    end
    if was_sent(r, e) then
        return refuse('ALREADY_DELIVERED')
    end
    r = own(r)
    remove(r, e, RECALLED)
    save_log(r)
    return refuse('OK')
end

define('recall', { 'allow-oom' }, recall)
