/* petrel-link-cost: what a link between two nodes costs in CPU, both ends together, with and without TLS.
 *
 * A message node and a session node stand on one loop of this process, linked by a socket over loopback. DELIVERs go over it some at a
 * time: the next when those before have arrived. */
#include "base/err.h"
#include "base/log.h"
#include "base/object.h"
#include "discovery/link_tcp.h"
#include "loop/loop.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MESSAGE_BYTES 120
#define DELIVERS 1000000U
#define MESSAGE_NODE 1U
#define SESSION_NODE 2U

struct rig {
    struct loop *loop;
    struct link_tcp *sets[2]; /* the message node's, the session node's */
    struct buf *message;
    struct loop_task task;
    uint32_t batch; /* at a time */
    uint32_t delivers;
    uint64_t told;
    uint64_t arrived;
    double began_s;
    double took_s;
};

static double cpu_s(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void close_all(struct rig *rig)
{
    for (int i = 0; i < 2; i++) {
        struct link *link = link_tcp_at(rig->sets[i], 0);
        link->ops->close(link);
    }
    loop_stop(rig->loop);
}

static void tell_batch(struct loop_task *task)
{
    struct rig *rig = container_of(task, struct rig, task);
    struct link *from = link_tcp_at(rig->sets[0], 0);
    for (uint32_t i = 0; i < rig->batch; i++) {
        const struct peer_msg msg = {
            .type = PEER_DELIVER,
            .deliver = {.route = {.incarnation = 1, .node = SESSION_NODE, .loop = 0, .slot = 1, .generation = 1},
                        .position = {3, ++rig->told},
                        .prev = rig->told - 1,
                        .message = rig->message}};
        const int rc = link_tell(from, SESSION_NODE, 0, &msg);
        petrel_assert(rc == 0);
    }
}

static void on_tell(void *ctx, const struct peer_msg *msg)
{
    struct rig *rig = ctx;
    petrel_assert(msg->type == PEER_DELIVER && msg->deliver.position.seq == rig->arrived + 1);
    if (++rig->arrived < rig->told)
        return;
    if (rig->arrived < rig->delivers) {
        loop_defer(rig->loop, &rig->task);
        return;
    }
    rig->took_s = cpu_s() - rig->began_s;
    close_all(rig);
}

/* The message node knows of the link as soon as it has told us so by its hello. */
static void on_dirty(void *ctx)
{
    struct rig *rig = ctx;
    rig->began_s = cpu_s();
    loop_defer(rig->loop, &rig->task);
}

static void refuse(void *ctx, struct link_call *call)
{
    (void)ctx;
    call->reply.status = PETREL_E_UNSUPPORTED;
    link_answer(call);
}

static void open_node(struct rig *rig, int which, struct tls_server *server, struct tls_client *client)
{
    struct link_tcp_config config = link_tcp_defaults();
    config.node = which == 0 ? MESSAGE_NODE : SESSION_NODE;
    config.incarnation = 1;
    config.name = "bench";
    config.roles = which == 0 ? DISCOVERY_MESSAGE : DISCOVERY_SESSION;
    config.secret = bytes_str("a secret of both nodes");
    config.tls = server != NULL ? DISCOVERY_TLS_REQUIRED : DISCOVERY_TLS_OFF;
    config.tls_name = "localhost";
    const int rc = link_tcp_new(&rig->sets[which], &config, &rig->loop, 1);
    petrel_assert(rc == 0);
    struct link *link = link_tcp_at(rig->sets[which], 0);
    link_serve(link, which == 0 ? LINK_MESSAGE : LINK_SESSION,
               (struct link_server){.ctx = rig, .on_call = refuse, .on_tell = on_tell, .on_dirty = on_dirty});
    if (server != NULL)
        link_tcp_secure(link, server, client);
}

static void introduce(struct rig *rig, bool tls)
{
    uint16_t port = 0;
    const int rc = link_tcp_listen(link_tcp_at(rig->sets[0], 0), "127.0.0.1", 0, &port);
    petrel_assert(rc == 0);
    struct discovery_view *view = object_zalloc(sizeof *view + sizeof view->nodes[0]);
    atomic_init(&view->refs, 1);
    view->count = 1;
    view->nodes[0] = (struct discovery_node){.number = MESSAGE_NODE,
                                             .roles = DISCOVERY_MESSAGE,
                                             .incarnation = 1,
                                             .peer_tls = tls ? DISCOVERY_TLS_REQUIRED : DISCOVERY_TLS_OFF,
                                             .name = "bench"};
    snprintf(view->nodes[0].peer_address, sizeof view->nodes[0].peer_address, "127.0.0.1:%u", port);
    link_tcp_view(link_tcp_at(rig->sets[1], 0), view);
    discovery_view_unref(view);
}

/* CPU of a DELIVER, in microseconds. */
static double measure(uint32_t batch, struct tls_server *server, struct tls_client *client)
{
    struct rig rig = {.batch = batch, .delivers = batch == 1 ? DELIVERS / 10 : DELIVERS / batch * batch};
    const struct loop_config config = {.index = 0};
    int rc = loop_new(&rig.loop, &config);
    petrel_assert(rc == 0);
    rig.task.run = tell_batch;
    rig.message = buf_new(MESSAGE_BYTES);
    memset(rig.message->data, 'm', MESSAGE_BYTES);
    open_node(&rig, 0, server, client);
    open_node(&rig, 1, server, client);
    introduce(&rig, server != NULL);
    loop_run(rig.loop);
    loop_free(&rig.loop);
    link_tcp_free(&rig.sets[0]);
    link_tcp_free(&rig.sets[1]);
    buf_unref(rig.message);
    return rig.took_s * 1e6 / (double)rig.delivers;
}

static int load(const char *cert, const char *key, const char *ca, struct tls_server **server,
                struct tls_client **client)
{
    char why[TLS_WHY_SIZE];
    const struct tls_identity identity = {cert, key};
    const struct tls_server_config server_config = {.identities = &identity,
                                                    .identities_count = 1,
                                                    .min_version = TLS_VERSION_1_3,
                                                    .client_ca_file = ca,
                                                    .client_cert_required = true,
                                                    .nodes = true,
                                                    .compact = true};
    const struct tls_client_config client_config = {.ca_file = ca, .cert_file = cert, .key_file = key, .compact = true};
    int rc = tls_server_new(server, &server_config, why);
    if (rc == 0)
        rc = tls_client_new(client, &client_config, why);
    if (rc == 0)
        rc = tls_client_check(*client, "localhost", why);
    if (rc != 0)
        fprintf(stderr, "petrel-link-cost: %s\n", why);
    return rc;
}

int main(int argc, char **argv)
{
    static const uint32_t batches[] = {1, 16, 256, 4096};
    struct tls_server *server = NULL;
    struct tls_client *client = NULL;
    if (argc != 4) {
        fprintf(
            stderr,
            "usage: petrel-link-cost CERT KEY CA\n\nA certificate for localhost, as a node has, and who issued it.\n");
        return 2;
    }
    log_set_level(LOG_ERROR);
    if (load(argv[1], argv[2], argv[3], &server, &client) == 0) {
        printf("CPU of a DELIVER of %d bytes, both ends, in microseconds\n%8s %8s %8s\n", MESSAGE_BYTES, "at once",
               "plain", "TLS");
        for (size_t i = 0; i < sizeof batches / sizeof batches[0]; i++) {
            const double plain = measure(batches[i], NULL, NULL);
            const double secure = measure(batches[i], server, client);
            printf("%8u %8.2f %8.2f\n", (unsigned)batches[i], plain, secure);
        }
    }
    const bool made = client != NULL;
    tls_server_unref(server);
    tls_client_unref(client);
    return made ? 0 : 1;
}
