#include "lib/relay.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define PAIRS_MAX 64

struct relay {
    pthread_t thread;
    int listener;
    int wakeup; /* eventfd */
    uint16_t port;
    uint16_t to_port;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    /* Under lock. */
    bool wanted_hold;
    bool is_held;
    bool ending;
    /* The thread's. */
    int pairs[PAIRS_MAX][2];
    size_t count;
};

static struct sockaddr_in loopback(uint16_t port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static void take(struct relay *relay)
{
    const struct sockaddr_in address = loopback(relay->to_port);
    int near = accept4(relay->listener, NULL, NULL, SOCK_CLOEXEC);
    int far = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (near >= 0 && far >= 0 && relay->count < PAIRS_MAX &&
        connect(far, (const struct sockaddr *)&address, sizeof address) == 0) {
        relay->pairs[relay->count][0] = near;
        relay->pairs[relay->count][1] = far;
        relay->count++;
        return;
    }
    if (near >= 0)
        close(near);
    if (far >= 0)
        close(far);
}

static void drop(struct relay *relay, size_t index)
{
    close(relay->pairs[index][0]);
    close(relay->pairs[index][1]);
    relay->count--;
    relay->pairs[index][0] = relay->pairs[relay->count][0];
    relay->pairs[index][1] = relay->pairs[relay->count][1];
}

/* Whether both sides still stand. */
static bool pass(int from, int to)
{
    char bytes[16384];
    ssize_t got = recv(from, bytes, sizeof bytes, 0);
    for (ssize_t sent = 0; sent < got;) {
        ssize_t now = send(to, bytes + sent, (size_t)(got - sent), MSG_NOSIGNAL);
        if (now <= 0)
            return false;
        sent += now;
    }
    return got > 0;
}

/* What the owner wants; whether to go on. */
static bool look(struct relay *relay, bool *held)
{
    pthread_mutex_lock(&relay->lock);
    relay->is_held = relay->wanted_hold;
    *held = relay->is_held;
    bool going = !relay->ending;
    pthread_cond_broadcast(&relay->changed);
    pthread_mutex_unlock(&relay->lock);
    return going;
}

static void *run(void *arg)
{
    struct relay *relay = arg;
    bool held = false;
    while (look(relay, &held)) {
        struct pollfd fds[2 + 2 * PAIRS_MAX] = {{.fd = relay->wakeup, .events = POLLIN},
                                                {.fd = relay->listener, .events = POLLIN}};
        const size_t pairs = relay->count;
        for (size_t i = 0; i < 2 * pairs; i++)
            fds[2 + i] = (struct pollfd){.fd = relay->pairs[i / 2][i % 2], .events = POLLIN};
        poll(fds, held ? 1 : 2 + 2 * pairs, -1);
        uint64_t wakeups;
        if ((fds[0].revents & POLLIN) != 0 && read(relay->wakeup, &wakeups, sizeof wakeups) != sizeof wakeups)
            abort();
        if (held)
            continue;
        for (size_t i = pairs; i-- > 0;) {
            const bool broken = (fds[2 + 2 * i].revents != 0 && !pass(relay->pairs[i][0], relay->pairs[i][1])) ||
                                (fds[3 + 2 * i].revents != 0 && !pass(relay->pairs[i][1], relay->pairs[i][0]));
            if (broken)
                drop(relay, i);
        }
        if ((fds[1].revents & POLLIN) != 0)
            take(relay);
    }
    while (relay->count > 0)
        drop(relay, 0);
    return NULL;
}

static void wake(struct relay *relay)
{
    const uint64_t one = 1;
    if (write(relay->wakeup, &one, sizeof one) != (ssize_t)sizeof one)
        abort();
}

static void free_relay(struct relay *relay)
{
    if (relay->listener >= 0)
        close(relay->listener);
    if (relay->wakeup >= 0)
        close(relay->wakeup);
    pthread_cond_destroy(&relay->changed);
    pthread_mutex_destroy(&relay->lock);
    free(relay);
}

struct relay *relay_open(uint16_t to_port)
{
    struct relay *relay = calloc(1, sizeof *relay);
    if (relay == NULL)
        return NULL;
    struct sockaddr_in address = loopback(0);
    socklen_t size = sizeof address;
    relay->to_port = to_port;
    relay->wakeup = eventfd(0, EFD_CLOEXEC);
    relay->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    pthread_mutex_init(&relay->lock, NULL);
    pthread_cond_init(&relay->changed, NULL);
    if (relay->wakeup < 0 || relay->listener < 0 ||
        bind(relay->listener, (const struct sockaddr *)&address, sizeof address) != 0 ||
        listen(relay->listener, 16) != 0 || getsockname(relay->listener, (struct sockaddr *)&address, &size) != 0 ||
        pthread_create(&relay->thread, NULL, run, relay) != 0) {
        free_relay(relay);
        return NULL;
    }
    relay->port = ntohs(address.sin_port);
    return relay;
}

void relay_close(struct relay *relay)
{
    if (relay == NULL)
        return;
    pthread_mutex_lock(&relay->lock);
    relay->ending = true;
    pthread_mutex_unlock(&relay->lock);
    wake(relay);
    pthread_join(relay->thread, NULL);
    free_relay(relay);
}

uint16_t relay_port(const struct relay *relay)
{
    return relay->port;
}

void relay_hold(struct relay *relay, bool held)
{
    pthread_mutex_lock(&relay->lock);
    relay->wanted_hold = held;
    wake(relay);
    while (relay->is_held != held)
        pthread_cond_wait(&relay->changed, &relay->lock);
    pthread_mutex_unlock(&relay->lock);
}
