/* Loops with tables of descriptors of their own: more than the limit fits in all, nothing is shared but mail. */
#include "base/object.h"
#include "loop/descriptors.h"
#include "loop/listener.h"
#include "loop/mailbox.h"
#include "loop/stream.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define LOOPS 3
#define LIMIT 96
#define HELD 70 /* of each loop: of two loops more than LIMIT */

struct crew {
    struct loop *loops[LOOPS];
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int answers;
};

struct errand {
    struct mail mail;
    struct crew *crew;
    void (*run)(struct errand *errand);
    int fd; /* of the main thread's table */
    int held[HELD];
    int result;
};

static void on_errand(struct mail *mail)
{
    struct errand *errand = container_of(mail, struct errand, mail);
    errand->run(errand);
    pthread_mutex_lock(&errand->crew->lock);
    errand->crew->answers++;
    pthread_cond_signal(&errand->crew->changed);
    pthread_mutex_unlock(&errand->crew->lock);
}

static void start(struct crew *crew)
{
    *crew = (struct crew){.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    for (int i = 0; i < LOOPS; i++) {
        struct loop_config config = {.index = (uint16_t)i, .own_descriptors = true};
        assert_int_equal(loop_new(&crew->loops[i], &config), 0);
    }
    for (int i = 0; i < LOOPS; i++)
        assert_int_equal(loop_start_thread(crew->loops[i], "own"), 0);
}

static void stop(struct crew *crew)
{
    for (int i = 0; i < LOOPS; i++)
        loop_stop(crew->loops[i]);
    for (int i = 0; i < LOOPS; i++) {
        loop_join_thread(crew->loops[i]);
        loop_free(&crew->loops[i]);
    }
}

/* The same errand on all loops, to its end. */
static void send_out(struct crew *crew, struct errand errands[LOOPS], void (*run)(struct errand *errand))
{
    crew->answers = 0;
    for (int i = 0; i < LOOPS; i++) {
        errands[i].mail = (struct mail){.run = on_errand};
        errands[i].crew = crew;
        errands[i].run = run;
        mailbox_post(crew->loops[i], &errands[i].mail);
    }
    pthread_mutex_lock(&crew->lock);
    while (crew->answers < LOOPS)
        pthread_cond_wait(&crew->changed, &crew->lock);
    pthread_mutex_unlock(&crew->lock);
}

static void look_at(struct errand *errand)
{
    errand->result = fcntl(errand->fd, F_GETFD) == -1 ? errno : 0;
}

static void open_many(struct errand *errand)
{
    errand->result = 0;
    for (int i = 0; i < HELD; i++) {
        errand->held[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        errand->result += errand->held[i] >= 0;
    }
}

static void close_many(struct errand *errand)
{
    for (int i = 0; i < HELD; i++)
        close(errand->held[i]);
}

static void what_the_main_thread_opens_is_not_theirs(void **state)
{
    (void)state;
    struct crew crew;
    int before = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    start(&crew);
    struct errand errands[LOOPS] = {{.fd = before}, {.fd = before}, {.fd = before}};
    send_out(&crew, errands, look_at);
    for (int i = 0; i < LOOPS; i++)
        assert_int_equal(errands[i].result, EBADF);
    assert_int_not_equal(fcntl(before, F_GETFD), -1);
    stop(&crew);
    close(before);
}

static void each_has_the_whole_limit(void **state)
{
    (void)state;
    struct rlimit old, limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    limit = (struct rlimit){.rlim_cur = LIMIT, .rlim_max = old.rlim_max};
    struct crew crew;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    start(&crew);
    struct errand errands[LOOPS] = {{.result = 0}};
    send_out(&crew, errands, open_many);
    for (int i = 0; i < LOOPS; i++)
        assert_int_equal(errands[i].result, HELD);
    send_out(&crew, errands, close_many);
    stop(&crew);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
}

/* ---- sockets: a listener on each loop, all on one port, and a client for each ---- */

struct greeter {
    struct errand errand;
    struct loop *loop;
    struct listener *listener;
    uint16_t port;
};

static void greet(void *ctx, struct stream *stream)
{
    (void)ctx;
    stream_write_copy(stream, bytes_str("hello"));
    stream_close_flushed(stream, 1000);
}

static void open_listener(struct errand *errand)
{
    struct greeter *greeter = container_of(errand, struct greeter, errand);
    struct listener_config config = {.host = "127.0.0.1"};
    errand->result = listener_open(&greeter->listener, greeter->loop, &config, greet, NULL);
    greeter->port = errand->result == 0 ? listener_port(greeter->listener) : 0;
}

static void close_listener(struct errand *errand)
{
    struct greeter *greeter = container_of(errand, struct greeter, errand);
    listener_close(&greeter->listener);
}

static void run_one(struct greeter *greeter, struct crew *crew, void (*run)(struct errand *errand))
{
    crew->answers = 0;
    greeter->errand.mail = (struct mail){.run = on_errand};
    greeter->errand.crew = crew;
    greeter->errand.run = run;
    mailbox_post(greeter->loop, &greeter->errand.mail);
    pthread_mutex_lock(&crew->lock);
    while (crew->answers < 1)
        pthread_cond_wait(&crew->changed, &crew->lock);
    pthread_mutex_unlock(&crew->lock);
}

static void each_accepts_on_its_own(void **state)
{
    (void)state;
    struct crew crew;
    start(&crew);
    for (int i = 0; i < LOOPS; i++) {
        struct greeter greeter = {.loop = crew.loops[i]};
        run_one(&greeter, &crew, open_listener);
        assert_int_equal(greeter.errand.result, 0);
        int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(greeter.port)};
        to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        char text[8] = "";
        assert_int_equal(connect(client, (const struct sockaddr *)&to, sizeof to), 0);
        assert_int_equal(recv(client, text, 5, MSG_WAITALL), 5);
        assert_string_equal(text, "hello");
        close(client);
        run_one(&greeter, &crew, close_listener);
    }
    stop(&crew);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_the_main_thread_opens_is_not_theirs),
        cmocka_unit_test(each_has_the_whole_limit),
        cmocka_unit_test(each_accepts_on_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
