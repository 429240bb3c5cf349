-- ARGV: 2 epoch, seq; 3 topic. Answer: version, where it begins, and the version before.
local function subscribe()
    local low, high, seq = unpack('<I4I4I8', ARGV[2])
    local set, topic = load_set(), ARGV[3]
    local prev = version_of(set)
    local found, count, its_low, its_high, its_seq = find_topic(set, topic)
    if found then
        low, high, seq = its_low, its_high, its_seq
    elseif count >= topics_max then
        return refuse('TOO_LARGE')
    else
        set.all = set.all .. pack('<I4I4I7Bc0', low, high, seq, #topic, topic)
        raise_version(set)
    end
    save_set(set)
    return pack('<I8I4I4I8I8', set.version, low, high, seq, prev)
end

define('subscribe', {}, subscribe)
