#include "unit/loop_rig.h"

#include "loop/mailbox.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define RIG_PATIENCE_S 30
#define RIG_TURNS 5

struct call {
    struct mail mail;
    struct loop_rig *rig;
    void (*fn)(void *arg);
    void *arg;
    int done;
};

void loop_rig_start(struct loop_rig *rig)
{
    loop_rig_start_with(rig, &(struct loop_config){.index = 1});
}

void loop_rig_start_with(struct loop_rig *rig, const struct loop_config *config)
{
    pthread_mutex_init(&rig->lock, NULL);
    pthread_cond_init(&rig->changed, NULL);
    assert_int_equal(loop_new(&rig->loop, config), 0);
    assert_int_equal(loop_start_thread(rig->loop, "test-loop"), 0);
}

void loop_rig_stop(struct loop_rig *rig)
{
    loop_stop(rig->loop);
    loop_join_thread(rig->loop);
    loop_free(&rig->loop);
    assert_null(rig->loop);
    pthread_cond_destroy(&rig->changed);
    pthread_mutex_destroy(&rig->lock);
}

static void run_call(struct mail *mail)
{
    struct call *call = (struct call *)(void *)mail;
    call->fn(call->arg);
    loop_rig_bump(call->rig, &call->done);
}

void loop_rig_call(struct loop_rig *rig, void (*fn)(void *arg), void *arg)
{
    struct call call = {.mail = {.run = run_call}, .rig = rig, .fn = fn, .arg = arg};
    mailbox_post(rig->loop, &call.mail);
    loop_rig_wait(rig, &call.done, 1);
}

static void nothing(void *arg)
{
    (void)arg;
}

void loop_rig_turns(struct loop_rig *rig)
{
    for (int i = 0; i < RIG_TURNS; i++)
        loop_rig_call(rig, nothing, NULL);
}

void loop_rig_bump(struct loop_rig *rig, int *count)
{
    pthread_mutex_lock(&rig->lock);
    ++*count;
    pthread_cond_broadcast(&rig->changed);
    pthread_mutex_unlock(&rig->lock);
}

int loop_rig_read(struct loop_rig *rig, const int *count)
{
    pthread_mutex_lock(&rig->lock);
    int value = *count;
    pthread_mutex_unlock(&rig->lock);
    return value;
}

bool loop_rig_await(struct loop_rig *rig, const int *count, int least)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += RIG_PATIENCE_S;
    int rc = 0;
    pthread_mutex_lock(&rig->lock);
    while (*count < least && rc == 0)
        rc = pthread_cond_timedwait(&rig->changed, &rig->lock, &until);
    bool reached = *count >= least;
    pthread_mutex_unlock(&rig->lock);
    return reached;
}

void loop_rig_wait(struct loop_rig *rig, const int *count, int least)
{
    if (!loop_rig_await(rig, count, least))
        fail_msg("waited in vain for %d, there are %d", least, loop_rig_read(rig, count));
}

int loop_rig_connect(uint16_t port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    struct timeval patience = {.tv_sec = RIG_PATIENCE_S};
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience), 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience), 0);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

long loop_rig_read_all(int fd, void *out, size_t max)
{
    static char dropped[65536];
    size_t total = 0;
    for (;;) {
        char *place = total < max ? (char *)out + total : dropped;
        size_t room = total < max ? max - total : sizeof dropped;
        ssize_t got = recv(fd, place, room, 0);
        if (got <= 0)
            return got == 0 ? (long)total : -1;
        total += (size_t)got;
    }
}
