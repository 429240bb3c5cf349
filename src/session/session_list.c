#include "session/session_list.h"

#include "wire/peer_record.h"

#define RECORDS_MAX 200U
#define SLOTS_MAX 65536U

static bool matches(const struct session *session, const struct peer_sessions *asked)
{
    if (session == NULL || session->state != CONN_LIVE)
        return false;
    struct peer_target target = session_identity_target(session->who);
    return (asked->app.len == 0 || bytes_equal(asked->app, target.app)) &&
           (asked->user.len == 0 || bytes_equal(asked->user, target.user));
}

static void put_address(const struct session *session, char out[STREAM_ADDRESS_SIZE])
{
    _Static_assert(STREAM_ADDRESS_SIZE >= NETADDR_TEXT_SIZE, "either fits");
    struct netaddr peer;
    if (session_identity_peer(session->who, &peer))
        netaddr_format(&peer, out);
    else
        stream_peer(session->stream, out);
}

static void describe(const struct session *session, char address[STREAM_ADDRESS_SIZE], struct peer_session *out)
{
    struct peer_target target = session_identity_target(session->who);
    put_address(session, address);
    *out = (struct peer_session){
        .route = session_route(session),
        .app = target.app,
        .user = target.user,
        .device = target.device,
        .address = bytes_str(address),
        .since_ms = (uint64_t)session->who->since_s * 1000,
        .at = session->at,
        .acked = session->busy != NULL ? session->busy->acked : session->at.seq,
        .behind = (session->flags & SESSION_BEHIND) != 0,
        .client = session_identity_client(session->who),
    };
}

struct peer_session_list session_list_collect(const struct session_role *role, const struct peer_sessions *asked)
{
    struct peer_session records[RECORDS_MAX];
    char addresses[RECORDS_MAX][STREAM_ADDRESS_SIZE];
    const struct session_table *table = &role->table;
    uint32_t table_end = session_table_end(table);
    uint32_t limit = asked->limit > 0 && asked->limit < RECORDS_MAX ? asked->limit : RECORDS_MAX;
    uint32_t slot = asked->slot < table_end ? asked->slot : table_end;
    uint32_t end = table_end - slot > SLOTS_MAX ? slot + SLOTS_MAX : table_end;
    uint32_t count = 0;
    for (; slot < end && count < limit; slot++) {
        const struct session *session = session_table_at(table, slot);
        if (!matches(session, asked))
            continue;
        describe(session, addresses[count], &records[count]);
        count++;
    }
    return (struct peer_session_list){
        .records = peer_record_pack_sessions(records, count),
        .count = count,
        .next_slot = slot < table_end ? slot : 0,
    };
}
