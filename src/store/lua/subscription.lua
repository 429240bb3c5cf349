-- A device's subscriptions: read and written.
--
-- KEYS[1], a string: the form's version, the set's version, when it was last asked for; then for each topic where it began, and its
-- name. The set's version is the time of the change or more, so that one that was forgotten does not come back with another set.
-- A check reads the first of these itself (topics_redis_check.c).
local SET_VERSION = 1

local function load_set()
    local raw = call('GET', KEYS[1])
    if not raw then
        return { version = 0, touched = 0, all = '' }
    end
    local form, version, touched, at = unpack('<BI7I6', raw)
    if form ~= SET_VERSION then
        error({ err = 'ERR a set of subscriptions of another version' })
    end
    if touched + lapse_ms < now then
        return { version = 0, touched = 0, all = '' }
    end
    return { version = version, touched = touched, all = sub(raw, at) }
end

-- Where a topic stands: from, to before; its position. nil: not subscribed; the second then: how many are.
local function find_topic(set, topic)
    local at, count = 1, 0
    while at <= #set.all do
        local low, high, seq, name, after = unpack('<I4I4I7Bc0', set.all, at)
        if name == topic then
            return at, after, low, high, seq
        end
        at, count = after, count + 1
    end
    return nil, count
end

local function save_set(set)
    call('SET', KEYS[1], pack('<BI7I6', SET_VERSION, set.version, now) .. set.all, 'PX', lapse_ms + 1000)
end

-- What it is before a change; 0: nothing is in it.
local function version_of(set)
    return set.all ~= '' and set.version or 0
end

local function raise_version(set)
    set.version = math.max(set.version + 1, now)
end
