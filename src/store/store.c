#include "store/store.h"

struct store_limits store_limits_default(void)
{
    return (struct store_limits){
        .cap_entries = 200,
        .cap_bytes = 65536,
        .cap_collapse = 16,
        .recent_ids = 64,
        .recent_ms = 30000,
        .lapse_ms = 30ULL * 24 * 3600 * 1000,
        .refresh_ms = 3ULL * 24 * 3600 * 1000,
        .fate_ms = 3600 * 1000,
        .fates = 32,
    };
}
