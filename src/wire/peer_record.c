#include "wire/peer_record.h"

#include "base/err.h"
#include "base/object.h"
#include "peer.pb-c.h"
#include "wire/arena.h"
#include "wire/text.h"
#include "wire/token_public.h"

/* Both lists are field 1, repeated messages: this tag, a length, the record. So a list is read record by record, in memory
 * that one record needs. */
#define RECORD_TAG 0x0a
#define RECORD_MAX 65536U
#define RECORD_TEXT_MAX 255

static void put_record(struct bytebuf *out, const ProtobufCMessage *record)
{
    size_t len = protobuf_c_message_get_packed_size(record);
    bytes_put_u8(out, RECORD_TAG);
    bytes_put_varint(out, len);
    protobuf_c_message_pack(record, bytes_reserve(out, len));
    out->len += len;
}

static struct buf *seal(struct bytebuf *packed)
{
    struct buf *buf = buf_copy(bytes_view(packed));
    bytes_reset(packed);
    return buf;
}

struct buf *peer_record_pack_sessions(const struct peer_session *sessions, size_t count)
{
    struct bytebuf packed = {0};
    for (size_t i = 0; i < count; i++) {
        const struct peer_session *session = &sessions[i];
        Petrel__Peer__Route route = PETREL__PEER__ROUTE__INIT;
        route.incarnation = session->route.incarnation;
        route.node = session->route.node;
        route.loop = session->route.loop;
        route.slot = session->route.slot;
        route.generation = session->route.generation;
        Petrel__Peer__Position at = PETREL__PEER__POSITION__INIT;
        at.epoch = session->at.epoch;
        at.seq = session->at.seq;
        Petrel__Peer__SessionInfo record = PETREL__PEER__SESSION_INFO__INIT;
        record.route = &route;
        record.app = text_lend(session->app);
        record.user = text_lend(session->user);
        record.device = text_lend(session->device);
        record.address = text_lend(session->address);
        record.since_ms = session->since_ms;
        record.at = &at;
        record.acked = session->acked;
        record.behind = session->behind;
        record.client = text_lend(session->client);
        put_record(&packed, &record.base);
    }
    return seal(&packed);
}

static void pack_app(struct bytebuf *packed, const struct peer_app *app)
{
    Petrel__Peer__AppKey keys[PEER_APP_KEYS_MAX];
    Petrel__Peer__AppKey *key_ptrs[PEER_APP_KEYS_MAX];
    Petrel__Peer__PublicKey publics[PEER_APP_PUBLIC_KEYS_MAX];
    Petrel__Peer__PublicKey *public_ptrs[PEER_APP_PUBLIC_KEYS_MAX];
    petrel_assert(app->keys_count <= PEER_APP_KEYS_MAX && app->public_keys_count <= PEER_APP_PUBLIC_KEYS_MAX);
    for (size_t k = 0; k < app->keys_count; k++) {
        keys[k] = (Petrel__Peer__AppKey)PETREL__PEER__APP_KEY__INIT;
        keys[k].kid = text_lend(app->keys[k].kid);
        keys[k].secret = text_lend(app->keys[k].secret);
        key_ptrs[k] = &keys[k];
    }
    for (size_t k = 0; k < app->public_keys_count; k++) {
        publics[k] = (Petrel__Peer__PublicKey)PETREL__PEER__PUBLIC_KEY__INIT;
        publics[k].kid = text_lend(app->public_keys[k].kid);
        publics[k].algorithm = app->public_keys[k].algorithm;
        publics[k].der = text_lend(app->public_keys[k].der);
        public_ptrs[k] = &publics[k];
    }
    Petrel__Peer__App record = PETREL__PEER__APP__INIT;
    record.name = text_lend(app->name);
    record.n_keys = app->keys_count;
    record.keys = key_ptrs;
    record.n_public_keys = app->public_keys_count;
    record.public_keys = public_ptrs;
    record.origins = text_lend(app->origins);
    record.connects_per_second = app->connects_per_second;
    put_record(packed, &record.base);
}

struct buf *peer_record_pack_apps(const struct peer_app *apps, size_t count)
{
    struct bytebuf packed = {0};
    for (size_t i = 0; i < count; i++)
        pack_app(&packed, &apps[i]);
    return seal(&packed);
}

/* Reads one record of a list and hands it on. 0 or PETREL_E_PROTOCOL. */
typedef int record_fn(void *unpacked, void *reader);

static int each(struct bytes list, const ProtobufCMessageDescriptor *type, record_fn *read, void *reader)
{
    struct arena arena = {0};
    ProtobufCAllocator allocator = arena_allocator(&arena);
    int rc = 0;
    while (rc == 0 && list.len > 0) {
        uint8_t tag;
        struct bytes record;
        rc = bytes_get_u8(&list, &tag);
        if (rc != 0 || tag != RECORD_TAG || bytes_get_blob(&list, &record) != 0 || record.len > RECORD_MAX) {
            rc = PETREL_E_PROTOCOL;
            break;
        }
        arena_begin(&arena, record.len);
        void *unpacked = protobuf_c_message_unpack(type, &allocator, record.len, record.ptr);
        rc = unpacked != NULL ? read(unpacked, reader) : PETREL_E_PROTOCOL;
    }
    arena_reset(&arena);
    return rc;
}

struct session_reader {
    void (*each)(void *ctx, const struct peer_session *session);
    void *ctx;
};

static int read_session(void *unpacked, void *data)
{
    const Petrel__Peer__SessionInfo *record = unpacked;
    const struct session_reader *reader = data;
    if (record->route == NULL || record->route->loop > UINT16_MAX)
        return PETREL_E_PROTOCOL;
    struct peer_session session = {
        .route = {.incarnation = record->route->incarnation,
                  .node = record->route->node,
                  .loop = (uint16_t)record->route->loop,
                  .slot = record->route->slot,
                  .generation = record->route->generation},
        .app = text_borrow(record->app),
        .user = text_borrow(record->user),
        .device = text_borrow(record->device),
        .address = text_borrow(record->address),
        .since_ms = record->since_ms,
        .acked = record->acked,
        .behind = record->behind != 0,
        .client = text_borrow(record->client),
    };
    if (record->at != NULL)
        session.at = (struct position){record->at->epoch, record->at->seq};
    if (!route_valid_app(session.app) || !route_valid_user(session.user) || !route_valid_device(session.device) ||
        !text_is_printable(session.address, RECORD_TEXT_MAX) || !text_is_printable(session.client, SESSION_CLIENT_MAX))
        return PETREL_E_PROTOCOL;
    reader->each(reader->ctx, &session);
    return 0;
}

int peer_record_each_session(struct bytes records, void (*each_session)(void *ctx, const struct peer_session *session),
                             void *ctx)
{
    struct session_reader reader = {each_session, ctx};
    return each(records, &petrel__peer__session_info__descriptor, read_session, &reader);
}

struct app_reader {
    void (*each)(void *ctx, const struct peer_app *app);
    void *ctx;
};

static int read_public_keys(const Petrel__Peer__App *record, struct peer_app *app)
{
    if (record->n_public_keys > PEER_APP_PUBLIC_KEYS_MAX)
        return PETREL_E_PROTOCOL;
    app->public_keys_count = record->n_public_keys;
    for (size_t i = 0; i < record->n_public_keys; i++) {
        const Petrel__Peer__PublicKey *from = record->public_keys[i];
        app->public_keys[i] = (struct peer_public_key){text_borrow(from->kid), from->algorithm, text_borrow(from->der)};
        if (!text_is_printable(app->public_keys[i].kid, RECORD_TEXT_MAX) || from->der.len > TOKEN_PUBLIC_DER_MAX)
            return PETREL_E_PROTOCOL;
    }
    return 0;
}

static int read_app(void *unpacked, void *data)
{
    const Petrel__Peer__App *record = unpacked;
    const struct app_reader *reader = data;
    struct peer_app app = {.name = text_borrow(record->name),
                           .keys_count = record->n_keys,
                           .origins = text_borrow(record->origins),
                           .connects_per_second = record->connects_per_second};
    if (!route_valid_app(app.name) || record->n_keys > PEER_APP_KEYS_MAX || read_public_keys(record, &app) != 0 ||
        !text_is_printable(app.origins, PEER_ORIGINS_MAX))
        return PETREL_E_PROTOCOL;
    for (size_t i = 0; i < record->n_keys; i++) {
        app.keys[i] = (struct peer_app_key){text_borrow(record->keys[i]->kid), text_borrow(record->keys[i]->secret)};
        if (!text_is_printable(app.keys[i].kid, RECORD_TEXT_MAX) || app.keys[i].secret.len > PEER_SECRET_MAX)
            return PETREL_E_PROTOCOL;
    }
    reader->each(reader->ctx, &app);
    return 0;
}

int peer_record_each_app(struct bytes records, void (*each_app)(void *ctx, const struct peer_app *app), void *ctx)
{
    struct app_reader reader = {each_app, ctx};
    return each(records, &petrel__peer__app__descriptor, read_app, &reader);
}
