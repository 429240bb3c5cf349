-- How an operation becomes a function of the library.

local limits

-- What a call brings, in place of what the last one left. What Redis lends is not there yet when the library is loaded.
local function begin(keys, argv)
    call, pack, unpack, sub = redis.call, struct.pack, struct.unpack, string.sub
    KEYS, ARGV, key, now = keys, argv, keys[1], tonumber(argv[1])
    if limits ~= argv[2] then
        limits = argv[2]
        cap_entries, cap_bytes, cap_collapse, recent_ids, recent_ms, lapse_ms, refresh_ms, fate_ms, fates_max =
            unpack('<I4I4I4I4I8I8I8I8I4', limits)
    end
    dead, loaded, loaded_all, any_gone = false, {}, false, false
end

-- flags: allow-oom: what frees memory, or lets a known device go on, runs when Redis is at its limit; else it is refused whole, before
-- it has written anything. no-writes: it also runs when nothing can be written at all.
local function define(name, flags, run)
    redis.register_function({
        function_name = library .. '_' .. name,
        flags = flags,
        callback = function(keys, argv)
            begin(keys, argv)
            return run()
        end,
    })
end
