-- ARGV: 3 topic; '': the device is gone. Answer: version, and the version before.
local function unsubscribe()
    if ARGV[3] == '' then
        call('DEL', KEYS[1])
        return pack('<I8I8', 0, 0)
    end
    local set = load_set()
    local prev = version_of(set)
    local found, after = find_topic(set, ARGV[3])
    if found then
        set.all = sub(set.all, 1, found - 1) .. sub(set.all, after)
        raise_version(set)
        save_set(set)
    end
    return pack('<I8I8', set.version, prev)
end

define('unsubscribe', { 'allow-oom' }, unsubscribe)
