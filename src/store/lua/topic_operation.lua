-- How an operation becomes a function of the library.

-- What a call brings, in place of what the last one left. What Redis lends is not there yet when the library is loaded.
local function begin(keys, argv)
    call, pack, unpack, sub, format = redis.call, struct.pack, struct.unpack, string.sub, string.format
    KEYS, ARGV, log, facts = keys, argv, keys[1], keys[2]
    now, cap_entries, cap_bytes, recent_ids, keep_ms, lapse_ms, topics_max = unpack('<I8I4I4I4I8I8I4', argv[1])
end

-- flags: as in operation.lua.
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
