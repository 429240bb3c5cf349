#include "unit/tls_ends.h"

#include "base/object.h"
#include "loop/tls_loop.h"

#include <stdlib.h>

#define READ_MAX 65536U

static void take_out(struct tls_ends *ends, struct tls_end *from)
{
    bytes_append(&from->wire, ends->tls->out.ptr, ends->tls->out.len);
    ends->tls->out.len = 0;
    if (ends->tls->session.len > 0) {
        ends->session.len = 0;
        bytes_append(&ends->session, ends->tls->session.ptr, ends->tls->session.len);
        ends->tls->session.len = 0;
    }
}

void tls_ends_start(struct tls_ends *ends, struct loop *loop, struct tls_client *client, struct tls_server *server,
                    struct bytes session)
{
    *ends = (struct tls_ends){.tls = tls_loop_of(loop)};
    ends->server.conn = tls_conn_accept(ends->tls, NULL, server, bytes_of("", 0));
    int rc = tls_conn_begin(ends->server.conn);
    petrel_assert(rc == 0);
    rc = tls_conn_connect(&ends->client.conn, ends->tls, NULL, client, "push.test", session);
    petrel_assert(rc == 0);
    take_out(ends, &ends->client);
}

void tls_ends_stop(struct tls_ends *ends)
{
    tls_conn_free(ends->client.conn);
    tls_conn_free(ends->server.conn);
    bytes_reset(&ends->client.wire);
    bytes_reset(&ends->client.got);
    bytes_reset(&ends->server.wire);
    bytes_reset(&ends->server.got);
    bytes_reset(&ends->session);
}

/* One read; whether there was something. */
static bool read_some(struct tls_ends *ends, struct tls_end *to, struct tls_end *from)
{
    if (from->wire.len == 0 || to->status != 0)
        return false;
    uint8_t *buffer = object_alloc(READ_MAX);
    size_t kept = tls_conn_partial(to->conn, buffer);
    size_t len = READ_MAX - kept < from->wire.len ? READ_MAX - kept : from->wire.len;
    if (ends->piece != 0 && len > ends->piece)
        len = ends->piece;
    memcpy(buffer + kept, from->wire.ptr, len);
    bytes_consume(&from->wire, len);
    struct bytes data;
    to->status = tls_conn_read(to->conn, buffer, kept + len, &data);
    bytes_append(&to->got, data.ptr, data.len);
    take_out(ends, to);
    free(buffer);
    return true;
}

void tls_ends_run(struct tls_ends *ends)
{
    bool more = true;
    while (more) {
        more = read_some(ends, &ends->server, &ends->client);
        more = read_some(ends, &ends->client, &ends->server) || more;
    }
}

bool tls_ends_write(struct tls_ends *ends, struct tls_end *from, struct bytes data)
{
    while (data.len > 0) {
        size_t len = data.len < TLS_DATA_MAX ? data.len : TLS_DATA_MAX;
        memcpy(ends->tls->seal + TLS_SEAL_AT, data.ptr, len);
        struct bytes sealed = tls_conn_seal(from->conn, len);
        if (sealed.len == 0)
            return false;
        bytes_append(&from->wire, sealed.ptr, sealed.len);
        data = bytes_of(data.ptr + len, data.len - len);
    }
    return true;
}
