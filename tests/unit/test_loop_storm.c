/* Streams that close each other, pause, half-close and reset at random while events for all of them are in hand. */
#include "base/object.h"
#include "loop/listener.h"
#include "unit/loop_rig.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define PEERS 60
#define ROUNDS 300

struct storm {
    struct loop_rig rig;
    struct listener *listener;
    int rc;
    uint16_t port;
    int accepted, closed;
    /* the loop's alone */
    struct list owners;
    size_t owner_count;
    bool calm; /* no more pauses: all shall see their end */
    int wrong;
};

struct owner {
    struct list node;
    struct storm *storm;
    struct stream *stream;
    bool over;
};

static struct owner *pick(struct storm *storm)
{
    uint64_t skip = rng_below(loop_rng(storm->rig.loop), storm->owner_count);
    struct list *node = storm->owners.next;
    while (skip-- > 0)
        node = node->next;
    return container_of(node, struct owner, node);
}

static void end(struct owner *owner, bool flushed)
{
    owner->over = true;
    if (flushed)
        stream_close_flushed(owner->stream, 50);
    else
        stream_close(owner->stream);
}

static void on_data(void *ctx, struct bytes data)
{
    struct owner *owner = ctx;
    struct storm *storm = owner->storm;
    struct rng *rng = loop_rng(storm->rig.loop);
    if (owner->over)
        storm->wrong++;
    struct owner *other = pick(storm);
    switch (rng_below(rng, 8)) {
    case 0:
        end(other, false);
        break;
    case 1:
        end(other, true);
        break;
    case 2:
        if (!storm->calm)
            stream_pause(other->stream);
        break;
    default:
        stream_resume(other->stream);
        stream_write_copy(other->stream, data);
        break;
    }
    stream_write_copy(owner->stream, data);
}

static void on_drain(void *ctx)
{
    struct owner *owner = ctx;
    if (owner->over)
        owner->storm->wrong++;
}

static void on_end(void *ctx, int status)
{
    struct owner *owner = ctx;
    if (owner->over || status == 0)
        owner->storm->wrong++;
    end(owner, rng_below(loop_rng(owner->storm->rig.loop), 2) == 0);
}

static void on_closed(void *ctx)
{
    struct owner *owner = ctx;
    struct storm *storm = owner->storm;
    if (!owner->over)
        storm->wrong++;
    list_remove(&owner->node);
    storm->owner_count--;
    free(owner);
    loop_rig_bump(&storm->rig, &storm->closed);
}

static const struct stream_ops OPS = {
    .on_data = on_data, .on_drain = on_drain, .on_end = on_end, .on_closed = on_closed};

static void on_accept(void *ctx, struct stream *stream)
{
    struct storm *storm = ctx;
    struct owner *owner = object_zalloc(sizeof *owner);
    owner->storm = storm;
    owner->stream = stream;
    list_push_back(&storm->owners, &owner->node);
    storm->owner_count++;
    stream_attach(stream, &OPS, owner);
    loop_rig_bump(&storm->rig, &storm->accepted);
}

static void open_listener(void *arg)
{
    struct storm *storm = arg;
    struct listener_config config = {.host = "127.0.0.1"};
    storm->rc = listener_open(&storm->listener, storm->rig.loop, &config, on_accept, storm);
    if (storm->rc == 0)
        storm->port = listener_port(storm->listener);
}

static void calm_down(void *arg)
{
    struct storm *storm = arg;
    listener_close(&storm->listener);
    storm->calm = true;
    struct list *node, *tmp;
    LIST_FOREACH(node, tmp, &storm->owners)
    stream_resume(container_of(node, struct owner, node)->stream);
}

/* One peer's part of a round; false when it is gone. */
static bool act(struct rng *rng, int fd)
{
    char text[512];
    ssize_t got;
    memset(text, 'x', sizeof text);
    switch (rng_below(rng, 40)) {
    case 0: {
        struct linger linger = {.l_onoff = 1, .l_linger = 0};
        assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger), 0);
        close(fd);
        return false;
    }
    case 1:
        (void)shutdown(fd, SHUT_WR);
        return true;
    default:
        (void)send(fd, text, 1 + rng_below(rng, sizeof text), MSG_NOSIGNAL | MSG_DONTWAIT);
        while ((got = recv(fd, text, sizeof text, MSG_DONTWAIT)) > 0) {
        }
        if (got < 0 && errno == EAGAIN)
            return true;
        close(fd);
        return false;
    }
}

static void every_stream_is_closed_once_whatever_happens(void **state)
{
    (void)state;
    struct storm storm = {.rc = -1};
    list_init(&storm.owners);
    loop_rig_start(&storm.rig);
    loop_rig_call(&storm.rig, open_listener, &storm);
    assert_int_equal(storm.rc, 0);
    struct rng rng;
    rng_seed(&rng, 6);
    int fds[PEERS];
    int connects = 0;
    for (int i = 0; i < PEERS; i++)
        fds[i] = -1;
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < PEERS; i++) {
            if (fds[i] < 0) {
                fds[i] = loop_rig_connect(storm.port);
                connects++;
            }
            if (!act(&rng, fds[i]))
                fds[i] = -1;
        }
    }
    loop_rig_wait(&storm.rig, &storm.accepted, connects);
    loop_rig_call(&storm.rig, calm_down, &storm);
    for (int i = 0; i < PEERS; i++) {
        if (fds[i] >= 0)
            close(fds[i]);
    }
    loop_rig_wait(&storm.rig, &storm.closed, connects);
    loop_rig_stop(&storm.rig);
    assert_int_equal(storm.closed, storm.accepted);
    assert_int_equal(storm.wrong, 0);
    assert_true(connects > 2 * PEERS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_stream_is_closed_once_whatever_happens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
