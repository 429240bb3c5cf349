-- Answer: version; then the set as it is. Asking keeps it.
local function subscriptions()
    local set = load_set()
    if set.version > 0 and set.touched + lapse_ms / 32 < now then
        save_set(set)
    end
    return pack('<I8', set.version) .. set.all
end

define('subscriptions', { 'allow-oom' }, subscriptions)
