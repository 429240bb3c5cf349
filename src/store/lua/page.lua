-- Where a position stands in a log, and what a device reads from there.
local NEW, RESUMED, GAPPED = 1, 2, 3
local GAP_NONE, GAP_CAP, GAP_ROLLBACK, GAP_LAPSED = 0, 1, 2, 3

-- The seq up to which a position of an older epoch still counts: the base of the first epoch after it.
local function base_after(r, high, low)
    for _, epoch in ipairs(r.epochs) do
        if before(high, low, epoch.high, epoch.low) then
            return epoch.base
        end
    end
    return r.head
end

local function judge_epoch(r, device, high, low, seq)
    local at = { verdict = RESUMED, reason = GAP_NONE, from = seq, start = seq, lost = 0, proven = seq }
    local e_high, e_low = epoch_of(r)
    if high == 0 and low == 0 then
        at.verdict, at.from, at.start, at.proven = NEW, device.acked, device.acked, device.acked
        return at
    end
    local same = high == e_high and low == e_low
    if before(e_high, e_low, high, low) or (same and seq > r.head) then
        -- Its log is not this one. What it acked here is all that is known, and ids keep repeats from the app.
        at.verdict, at.reason, at.ahead = GAPPED, GAP_ROLLBACK, true
        at.start, at.proven = device.acked, device.acked
        at.lost = seq > r.head and seq - r.head or 0
        return at
    end
    local base = base_after(r, high, low)
    if not same and seq > base then
        at.verdict, at.reason = GAPPED, GAP_ROLLBACK
        at.start, at.proven, at.lost = base, base, seq - base
    end
    return at
end

-- told: losses up to here have been told. A loss is counted from the greater of it and where the reading starts.
local function judge(r, device, high, low, seq, told)
    local at = judge_epoch(r, device, high, low, seq)
    -- What the cap dropped before the device enrolled was never its; what it missed by lapsing stands in its own floor.
    local capped = r.floor > device.told and r.floor >= device.floor
    local floor = capped and r.floor or device.floor
    at.floor = at.start
    if floor <= at.start or floor <= told then
        return at
    end
    at.verdict = GAPPED
    if at.reason == GAP_NONE then
        at.reason = capped and GAP_CAP or GAP_LAPSED
    end
    at.floor = floor
    at.lost = at.lost + floor - (told > at.start and told or at.start)
    return at
end

-- The page from a judgement on: upto, where its gap ends, and the entries. True as well when one of them is sent for the first time.
local function read_page(r, device, at, max_entries, max_bytes)
    local page, upto, hole, bytes, unsent = {}, r.head, at.floor, 0, false
    if at.start >= r.head or entries(r) == 0 then
        return upto, hole, page, false
    end
    local in_hole = at.reason ~= GAP_NONE
    for e in each_entry(r) do
        if e.seq > at.start and e.expires > now and meant_for(e, device) then
            -- The hole ends with the floor, or before the first entry that is left: priorities drop from the middle of a log.
            if in_hole and e.seq <= at.floor then
                hole = e.seq - 1
            end
            in_hole = false
            -- A page is never empty while something waits, or its reader would ask for ever.
            if #page > 0 and (#page >= max_entries or bytes + e.bytes > max_bytes) then
                upto = page[#page].seq
                break
            end
            bytes = bytes + e.bytes
            unsent = unsent or not was_sent(r, e)
            page[#page + 1] = e
        end
    end
    if unsent and device.sent < upto then
        device.sent = upto
    end
    return upto, hole, page, unsent
end

-- What a reader is told: a head, then the raw entries.
local function page_reply(r, at, upto, hole, page, replaced)
    local high, low = epoch_of(r)
    local reply = { pack('<BBBI4I4I8I8I8I8I8I8', at.verdict, at.reason, (at.ahead or at.stranger) and 1 or 0, low, high, at.start, upto, r.head,
        hole, at.floor, at.lost) .. (replaced or '') }
    for i, e in ipairs(page) do
        reply[i + 1] = e.raw
    end
    return reply
end
