/* Lists that travel between nodes: what can be read can be packed, and reads the same. */
#include "base/object.h"
#include "fuzz/fuzz.h"
#include "wire/peer_record.h"

static void pack_session(void *ctx, const struct peer_session *session)
{
    struct bytebuf *packed = ctx;
    struct buf *record = peer_record_pack_sessions(session, 1);
    bytes_append(packed, record->data, record->len);
    buf_unref(record);
}

static void pack_app(void *ctx, const struct peer_app *app)
{
    struct bytebuf *packed = ctx;
    struct buf *record = peer_record_pack_apps(app, 1);
    bytes_append(packed, record->data, record->len);
    buf_unref(record);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytebuf once = {0};
    struct bytebuf twice = {0};
    (void)peer_record_each_session(bytes_of(data, size), pack_session, &once);
    petrel_assert(peer_record_each_session(bytes_view(&once), pack_session, &twice) == 0);
    petrel_assert(bytes_equal(bytes_view(&once), bytes_view(&twice)));
    once.len = 0;
    twice.len = 0;
    (void)peer_record_each_app(bytes_of(data, size), pack_app, &once);
    petrel_assert(peer_record_each_app(bytes_view(&once), pack_app, &twice) == 0);
    petrel_assert(bytes_equal(bytes_view(&once), bytes_view(&twice)));
    bytes_reset(&once);
    bytes_reset(&twice);
    return 0;
}
