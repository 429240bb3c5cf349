/* A proxy's header: judged the same whether it comes whole or byte by byte, and within its bounds. */
#include "base/err.h"
#include "base/object.h"
#include "fuzz/fuzz.h"
#include "wire/proxy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct proxy_header header, grown;
    struct bytes in = bytes_of(data, size);
    const int rc = proxy_take(&in, &header);
    const size_t taken = size - in.len;
    petrel_assert(rc == 0 || rc == PETREL_E_NEED_MORE || rc == PETREL_E_INVALID || rc == PETREL_E_TOO_LARGE);
    petrel_assert(rc == 0 ? taken > 0 && taken <= PROXY_HEADER_MAX : taken == 0 && !header.known);
    petrel_assert(rc != PETREL_E_NEED_MORE || size < PROXY_HEADER_MAX);
    if (header.known) {
        char text[NETADDR_TEXT_SIZE];
        netaddr_format(&header.peer, text);
    }
    /* As it grows: nothing is said before its time, and then what was said of the whole. */
    int now = PETREL_E_NEED_MORE;
    for (size_t len = 0; len <= size && now == PETREL_E_NEED_MORE; len++) {
        struct bytes part = bytes_of(data, len);
        now = proxy_take(&part, &grown);
        petrel_assert(now != 0 || len == taken);
    }
    petrel_assert(now == rc && grown.known == header.known && grown.peer.port == header.peer.port);
    petrel_assert(memcmp(grown.peer.ip, header.peer.ip, sizeof header.peer.ip) == 0);
    return 0;
}
