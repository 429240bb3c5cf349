#include "base/err.h"
#include "base/log.h"
#include "base/object.h"
#include "loop/loop_impl.h"
#include "unit/stream_rig.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define CONNECTS_MAX 1000
#define UNSENT 12345
#define SEND_BUFFER 70000

/* A listener that closes what it accepts, and counts. */
struct door {
    struct loop_rig loop;
    struct listener *listener;
    struct listener_config config;
    int rc;
    int accepted;
    bool close_listener; /* in the accept callback */
    int nodelay, unsent, send_buffer;
    int warned, relieved;
};

static void on_accept(void *ctx, struct stream *stream)
{
    struct door *door = ctx;
    socklen_t size = sizeof door->nodelay;
    const int fd = ((struct endpoint *)(void *)stream)->fd;
    (void)getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &door->nodelay, &size);
    (void)getsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &door->unsent, &size);
    (void)getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &door->send_buffer, &size);
    stream_close(stream);
    if (door->close_listener)
        listener_close(&door->listener);
    loop_rig_bump(&door->loop, &door->accepted);
}

static void open_door(void *arg)
{
    struct door *door = arg;
    door->rc = listener_open(&door->listener, door->loop.loop, &door->config, on_accept, door);
}

static void close_door(void *arg)
{
    struct door *door = arg;
    listener_close(&door->listener);
}

static void pause_door(void *arg)
{
    struct door *door = arg;
    listener_pause(door->listener);
}

static void resume_door(void *arg)
{
    struct door *door = arg;
    listener_resume(door->listener);
}

static void start(struct door *door, const char *host, uint16_t port)
{
    *door =
        (struct door){.config = {.host = host, .port = port, .unsent_bytes = UNSENT, .send_buffer_bytes = SEND_BUFFER}};
    loop_rig_start(&door->loop);
    loop_rig_call(&door->loop, open_door, door);
}

static void stop(struct door *door)
{
    loop_rig_call(&door->loop, close_door, door);
    loop_rig_stop(&door->loop);
}

/* The kernel spreads connections over the loops that listen on one port. */
static void two_loops_share_a_port(void **state)
{
    (void)state;
    struct door one, two;
    start(&one, "127.0.0.1", 0);
    assert_int_equal(one.rc, 0);
    uint16_t port = listener_port(one.listener);
    assert_true(port != 0);
    start(&two, "127.0.0.1", port);
    assert_int_equal(two.rc, 0);
    assert_int_equal(listener_port(two.listener), port);
    int connects = 0;
    while (loop_rig_read(&one.loop, &one.accepted) == 0 || loop_rig_read(&two.loop, &two.accepted) == 0) {
        assert_true(connects++ < CONNECTS_MAX);
        int fd = loop_rig_connect(port);
        assert_int_equal(loop_rig_read_all(fd, NULL, 0), 0); /* accepted, and closed */
        close(fd);
    }
    stop(&one);
    stop(&two);
    assert_int_equal(one.accepted + two.accepted, connects);
    assert_int_equal(one.nodelay, 1);
    assert_int_equal(one.unsent, UNSENT);
    assert_int_equal(one.send_buffer, 2 * SEND_BUFFER); /* the kernel counts its own share too */
}

/* SO_REUSEPORT would let a second server in; the connections that were closed on the port are no reason to stay out. */
static void a_probe_sees_another_listener(void **state)
{
    (void)state;
    struct door door;
    start(&door, "127.0.0.1", 0);
    struct listener_config config = {.host = "127.0.0.1", .port = listener_port(door.listener)};
    int fd = loop_rig_connect(config.port);
    assert_int_equal(loop_rig_read_all(fd, NULL, 0), 0);
    close(fd);
    assert_int_equal(listener_probe(&config), PETREL_E_EXISTS);
    config.host = "0.0.0.0";
    assert_int_equal(listener_probe(&config), PETREL_E_EXISTS);
    stop(&door);
    assert_int_equal(listener_probe(&config), 0);
    config.host = "localhost";
    assert_int_equal(listener_probe(&config), PETREL_E_INVALID);
}

static void what_cannot_be_listened_on_is_refused(void **state)
{
    (void)state;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in taken = {.sin_family = AF_INET};
    taken.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof taken;
    assert_int_equal(bind(fd, (struct sockaddr *)&taken, size), 0);
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&taken, &size), 0);
    struct door door;
    start(&door, "127.0.0.1", ntohs(taken.sin_port));
    assert_int_equal(door.rc, PETREL_E_EXISTS);
    assert_null(door.listener);
    stop(&door);
    close(fd);

    static const char *const bad[] = {"localhost", "", "127.0.0", "::g", "192.0.2.1"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        start(&door, bad[i], 0);
        assert_int_equal(door.rc, PETREL_E_INVALID);
        stop(&door);
    }
}

static void a_paused_listener_leaves_the_backlog_alone(void **state)
{
    (void)state;
    struct door door;
    start(&door, "127.0.0.1", 0);
    loop_rig_call(&door.loop, pause_door, &door);
    int fd = loop_rig_connect(listener_port(door.listener));
    loop_rig_turns(&door.loop);
    assert_int_equal(loop_rig_read(&door.loop, &door.accepted), 0);
    loop_rig_call(&door.loop, resume_door, &door);
    loop_rig_wait(&door.loop, &door.accepted, 1);
    assert_int_equal(loop_rig_read_all(fd, NULL, 0), 0);
    close(fd);
    stop(&door);
}

/* With more connections waiting, in the same batch of events. */
static void a_listener_may_be_closed_by_its_accept(void **state)
{
    (void)state;
    struct door door;
    start(&door, "127.0.0.1", 0);
    loop_rig_call(&door.loop, pause_door, &door);
    int fds[3];
    for (int i = 0; i < 3; i++)
        fds[i] = loop_rig_connect(listener_port(door.listener));
    door.close_listener = true;
    loop_rig_call(&door.loop, resume_door, &door);
    loop_rig_wait(&door.loop, &door.accepted, 1);
    for (int i = 0; i < 3; i++) {
        errno = 0;
        (void)loop_rig_read_all(fds[i], NULL, 0); /* closed or reset, but not left hanging */
        assert_true(errno != EAGAIN);
        close(fds[i]);
    }
    stop(&door);
    assert_int_equal(door.accepted, 1);
    assert_null(door.listener);
}

static void count_lines(void *ctx, const char *line, size_t len)
{
    struct door *door = ctx;
    if (memmem(line, len, "cannot accept", 13) != NULL)
        loop_rig_bump(&door->loop, &door->warned);
    if (memmem(line, len, "accepting connections again", 27) != NULL)
        loop_rig_bump(&door->loop, &door->relieved);
}

/* Out of descriptors: nobody is dropped, the log says so once, and accepting goes on when there are some again. */
static void running_out_of_descriptors_is_survived(void **state)
{
    (void)state;
    enum { FILL_MAX = 256 };
    struct door door;
    start(&door, "127.0.0.1", 0);
    log_set_sink(count_lines, &door);
    loop_rig_call(&door.loop, pause_door, &door);
    int fds[3];
    for (int i = 0; i < 3; i++)
        fds[i] = loop_rig_connect(listener_port(door.listener));
    struct rlimit before, low;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    low = before;
    low.rlim_cur = (rlim_t)fds[2] + 8;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    int filler[FILL_MAX];
    int fill = 0;
    while (fill < FILL_MAX && (filler[fill] = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0)
        fill++;
    assert_in_range(fill, 1, FILL_MAX - 1);
    loop_rig_call(&door.loop, resume_door, &door);
    loop_rig_wait(&door.loop, &door.warned, 1);
    assert_int_equal(loop_rig_read(&door.loop, &door.accepted), 0);
    while (fill > 0)
        close(filler[--fill]);
    loop_rig_wait(&door.loop, &door.accepted, 3);
    loop_rig_wait(&door.loop, &door.relieved, 1);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    for (int i = 0; i < 3; i++)
        close(fds[i]);
    stop(&door);
    log_set_sink(NULL, NULL);
    assert_int_equal(door.warned, 1);
    assert_int_equal(door.relieved, 1);
}

/* What a SIGTERM does: stop is asked while connections are open, each is closed, then the loop ends. */
static void the_loop_ends_when_the_last_stream_has_closed(void **state)
{
    (void)state;
    enum { STREAMS = 20 };
    struct stream_rig rig;
    assert_true(stream_rig_start(&rig, false));
    rig.echo = true;
    int fds[STREAMS];
    for (int i = 0; i < STREAMS; i++)
        fds[i] = loop_rig_connect(rig.port);
    loop_rig_wait(&rig.loop, &rig.accepted, STREAMS);
    loop_stop(rig.loop.loop);
    for (int i = 0; i < STREAMS; i++) {
        char c = 'x';
        assert_int_equal(send(fds[i], &c, 1, 0), 1);
        assert_int_equal(recv(fds[i], &c, 1, 0), 1); /* still served */
        close(fds[i]);
    }
    loop_rig_wait(&rig.loop, &rig.closed, STREAMS);
    stream_rig_stop(&rig);
    assert_int_equal(rig.ended, STREAMS);
}

/* A loop that is kept busy finds both when it wakes: the mail, and the connection that was made after the post. */
struct order {
    struct door door;
    struct mail busy, mail;
    int began, may_go, mail_at, accepted_at, steps;
};

static void keep_busy(struct mail *mail)
{
    struct order *order = container_of(mail, struct order, busy);
    loop_rig_bump(&order->door.loop, &order->began);
    while (loop_rig_read(&order->door.loop, &order->may_go) == 0)
        (void)sched_yield();
}

static void note_mail(struct mail *mail)
{
    struct order *order = container_of(mail, struct order, mail);
    order->mail_at = ++order->steps;
}

static void note_accept(void *ctx, struct stream *stream)
{
    struct order *order = ctx;
    order->accepted_at = ++order->steps;
    stream_close(stream);
    loop_rig_bump(&order->door.loop, &order->door.accepted);
}

static void open_order(void *arg)
{
    struct order *order = arg;
    struct door *door = &order->door;
    door->rc = listener_open(&door->listener, door->loop.loop, &door->config, note_accept, order);
}

static void mail_is_run_before_a_later_connection(void **state)
{
    (void)state;
    for (int round = 0; round < 20; round++) {
        struct order order = {.door.config.host = "127.0.0.1", .busy.run = keep_busy, .mail.run = note_mail};
        loop_rig_start(&order.door.loop);
        loop_rig_call(&order.door.loop, open_order, &order);
        assert_int_equal(order.door.rc, 0);
        mailbox_post(order.door.loop.loop, &order.busy);
        loop_rig_wait(&order.door.loop, &order.began, 1);
        mailbox_post(order.door.loop.loop, &order.mail);
        int fd = loop_rig_connect(listener_port(order.door.listener));
        loop_rig_bump(&order.door.loop, &order.may_go);
        loop_rig_wait(&order.door.loop, &order.door.accepted, 1);
        close(fd);
        stop(&order.door);
        assert_int_equal(order.mail_at, 1);
        assert_int_equal(order.accepted_at, 2);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_loops_share_a_port),
        cmocka_unit_test(a_probe_sees_another_listener),
        cmocka_unit_test(mail_is_run_before_a_later_connection),
        cmocka_unit_test(what_cannot_be_listened_on_is_refused),
        cmocka_unit_test(a_paused_listener_leaves_the_backlog_alone),
        cmocka_unit_test(a_listener_may_be_closed_by_its_accept),
        cmocka_unit_test(running_out_of_descriptors_is_survived),
        cmocka_unit_test(the_loop_ends_when_the_last_stream_has_closed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
