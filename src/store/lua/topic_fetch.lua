-- ARGV: 2 epoch (low, high), seq, entries, bytes.
-- Answer: a head, with the seqs of the entries at its end; then the entries.
local NEW, RESUMED, GAPPED = 1, 2, 3
local NONE, ROLLBACK, TRIMMED = 0, 2, 4

-- The seq up to which a position of an older epoch still counts: the base of the first epoch after it.
local function base_after(t, high, low)
    for _, epoch in ipairs(t.epochs) do
        if before(high, low, epoch.high, epoch.low) then
            return epoch.base
        end
    end
    return t.head
end

-- Where reading goes on, and what is missing before it.
local function judge(t, high, low, seq)
    local at = { verdict = RESUMED, reason = NONE, from = seq, start = seq, lost = 0, ahead = 0 }
    if high == 0 and low == 0 then
        at.verdict, at.from, at.start = NEW, t.head, t.head
        return at
    end
    if seq == 0 then
        at.from, at.start = t.birth, t.birth
    end
    local e_high, e_low = epoch_of(t)
    if before(e_high, e_low, high, low) or (high == e_high and low == e_low and at.start > t.head) then
        at.ahead = 1
    end
    local limit = at.ahead == 1 and t.head or base_after(t, high, low)
    if at.ahead == 1 or at.start > limit then
        at.reason, at.start = ROLLBACK, math.min(at.start, limit)
        at.lost = at.from - at.start
    end
    if at.start < t.floor then
        at.reason = at.reason == NONE and TRIMMED or at.reason
        at.lost = at.lost + t.floor - at.start
        at.start = t.floor
    end
    if at.reason ~= NONE then
        at.verdict = GAPPED
    end
    return at
end

local function read_page(t, at, max_entries, max_bytes)
    local page, seqs, bytes, upto = {}, {}, 0, t.head
    local from = at.start < t.head and id_after(t, at.start)
    while from do
        local some = call('XRANGE', log, from, '+', 'COUNT', 16)
        for _, e in ipairs(some) do
            local this, raw = read_seq(e[1]), e[2][2]
            if this > at.start and expiry(e) > now then
                -- A page is never empty while something waits, or its reader would ask for ever.
                if #page > 0 and (#page >= max_entries or bytes + #raw - HEADER > max_bytes) then
                    return page, seqs, page.last
                end
                bytes = bytes + #raw - HEADER
                page[#page + 1], page.last = raw, this
                seqs[#seqs + 1] = pack('<I8', this)
            end
        end
        from = #some == 16 and '(' .. some[16][1]
    end
    return page, seqs, upto
end

local function fetch()
    local t = load_topic()
    if not t then
        return refuse('NOT_FOUND')
    end
    local low, high, seq, max_entries, max_bytes = unpack('<I4I4I8I4I4', ARGV[2])
    local at = judge(t, high, low, seq)
    local page, seqs, upto = read_page(t, at, max_entries, max_bytes)
    local e_high, e_low = epoch_of(t)
    local reply = { pack('<BBBI4I4I8I8I8I8I8', at.verdict, at.reason, at.ahead, e_low, e_high, at.from, at.start, upto, t.head,
        at.lost) .. table.concat(seqs) }
    for i, raw in ipairs(page) do
        reply[i + 1] = raw
    end
    return reply
end

define('fetch', { 'no-writes' }, fetch)
