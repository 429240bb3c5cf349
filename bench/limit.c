/* petrel-limit: a bare epoll server that does the socket work of a petreld and nothing else, so that a figure of petrel-bench can stand
 * beside what the machine itself costs. It speaks just enough of the protocols for the same clients to be content: it answers CONNECT
 * and PING with ready-made bytes, and writes for each POST a ready-made PUSH to the user's socket, or to all sockets in slices, between
 * which everything else has its turn. No token is checked, nothing is stored, no ack is read but for the reading. What a socket does not
 * take is written later. Threads, listeners (SO_REUSEPORT) and tables of descriptors are as in petreld. With a certificate, sessions
 * speak TLS, which is OpenSSL's alone; who asks by GET is told of its handshakes. */
#include "limit_letters.h"
#include "limit_listen.h"
#include "limit_out.h"

#include "base/object.h"

#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define THREADS_MAX 128
#define USERS_MAX 2000000U
#define EVENTS_MAX 256
#define REQUEST_MAX 16384
#define SLICE 256U /* sessions that a broadcast is written to in one turn */
#define NO_USER UINT32_MAX

enum kind { SESSION_LISTENER, API_LISTENER, WAKE, SESSION, API };

struct conn {
    int fd;
    uint8_t kind;      /* of enum kind */
    bool watches_room; /* to write what waits in out */
    uint32_t user;     /* SESSION: NO_USER before its CONNECT */
    uint32_t have;     /* API: bytes in request */
    union {
        char *request;      /* API */
        struct ssl_st *ssl; /* SESSION; NULL: plain */
    };
    struct limit_out out;
};

struct thread {
    struct limit *limit;
    uint32_t index;
    int epoll_fd;
    struct conn wake;
    struct conn session_listener;
    struct conn api_listener;
    struct conn **sessions; /* by descriptor */
    uint32_t sessions_room;
    struct limit_letters broadcasts; /* the first is being written */
    pthread_mutex_t lock;
    struct limit_letters inbox; /* from all threads, under the lock */
    pthread_t id;
    uint8_t data[65536];
};

struct limit {
    uint32_t threads_count;
    bool own_tables;
    uint16_t session_port;
    uint16_t api_port;
    struct limit_frames *frames;
    struct ssl_ctx_st *tls; /* NULL: sessions are plain */
    pthread_barrier_t ready;
    _Atomic(uint64_t) *users;   /* thread and descriptor, plus one; 0: none */
    pthread_mutex_t in_order;   /* all threads get broadcasts in one order */
    _Atomic(uint64_t) homeless; /* pushes to users who had no session */
    struct thread threads[THREADS_MAX];
};

static _Noreturn void die(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("petrel-limit: ", stderr);
    vfprintf(stderr, format, args);
    va_end(args);
    fprintf(stderr, ": %s\n", strerror(errno));
    exit(1);
}

/* Of a connection's bytes it is told once, which spares a second look at the socket: each read takes all that is there. */
static uint32_t interest(const struct conn *conn)
{
    if (conn->kind != SESSION && conn->kind != API)
        return EPOLLIN;
    return EPOLLIN | EPOLLRDHUP | (conn->watches_room ? (uint32_t)EPOLLOUT : (uint32_t)EPOLLET);
}

static void watch(struct thread *thread, struct conn *conn)
{
    struct epoll_event event = {.events = interest(conn), .data.ptr = conn};
    if (epoll_ctl(thread->epoll_fd, EPOLL_CTL_ADD, conn->fd, &event) != 0)
        die("epoll_ctl");
}

static void open_listener(struct thread *thread, struct conn *conn, enum kind kind, uint16_t *port)
{
    conn->kind = kind;
    conn->fd = limit_listen_open(port);
    if (conn->fd < 0)
        die("a listener can't be opened");
    watch(thread, conn);
}

/* ---- connections ---- */

static struct limit_wire wire_of(const struct conn *conn)
{
    return (struct limit_wire){.fd = conn->fd, .ssl = conn->kind == SESSION ? conn->ssl : NULL};
}

static uint64_t place_of(const struct thread *thread, const struct conn *conn)
{
    return ((uint64_t)thread->index << 32 | (uint32_t)conn->fd) + 1;
}

static void add_session(struct thread *thread, struct conn *conn)
{
    const uint32_t at = (uint32_t)conn->fd;
    while (at >= thread->sessions_room) {
        const uint32_t room = thread->sessions_room > 0 ? thread->sessions_room * 2 : 1024;
        thread->sessions = object_realloc(thread->sessions, room * sizeof *thread->sessions);
        memset(thread->sessions + thread->sessions_room, 0, (room - thread->sessions_room) * sizeof *thread->sessions);
        thread->sessions_room = room;
    }
    conn->user = NO_USER;
    thread->sessions[at] = conn;
}

static void drop(struct thread *thread, struct conn *conn)
{
    if (conn->kind == SESSION) {
        uint64_t place = place_of(thread, conn); /* the user may be elsewhere by now */
        if (conn->user != NO_USER)
            atomic_compare_exchange_strong(&thread->limit->users[conn->user], &place, 0);
        thread->sessions[conn->fd] = NULL;
    }
    if (conn->kind == API)
        free(conn->request);
    limit_wire_close(wire_of(conn));
    limit_out_reset(&conn->out);
    free(conn);
}

/* After each write: the socket is watched for room while something waits for it. */
static bool settle(struct thread *thread, struct conn *conn, bool written)
{
    const bool waits = limit_out_waits(&conn->out);
    if (!written || waits == conn->watches_room)
        return written;
    conn->watches_room = waits;
    struct epoll_event event = {.events = interest(conn), .data.ptr = conn};
    return epoll_ctl(thread->epoll_fd, EPOLL_CTL_MOD, conn->fd, &event) == 0;
}

static bool put(struct thread *thread, struct conn *conn, const void *data, size_t len)
{
    return settle(thread, conn, limit_out_write(&conn->out, wire_of(conn), bytes_of(data, len)));
}

/* A connection that is broken says so to epoll as well, and is dropped then. */
static void put_push(struct thread *thread, struct conn *conn, struct limit_push *push)
{
    (void)settle(thread, conn, limit_out_push(&conn->out, wire_of(conn), push));
}

static void accept_some(struct thread *thread, const struct conn *listener)
{
    const int on = 1;
    for (int i = 0; i < 64; i++) {
        int fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0)
            return;
        (void)setsockopt(fd, IPPROTO_TCP, 1 /* TCP_NODELAY */, &on, sizeof on);
        struct conn *conn = object_zalloc(sizeof *conn);
        conn->fd = fd;
        conn->kind = listener->kind == SESSION_LISTENER ? SESSION : API;
        if (conn->kind == SESSION)
            add_session(thread, conn);
        if (conn->kind == SESSION && thread->limit->tls != NULL &&
            (conn->ssl = limit_wire_accept(thread->limit->tls, fd)) == NULL)
            die("OpenSSL");
        watch(thread, conn);
    }
}

static bool take_frame(struct thread *thread, struct conn *conn, const struct frame *frame)
{
    if (frame->type == SESSION_PING) {
        uint8_t pong[64];
        size_t len = limit_frames_pong(frame, pong, sizeof pong);
        return put(thread, conn, pong, len);
    }
    if (frame->type != SESSION_CONNECT)
        return true;
    uint32_t user;
    if (!limit_frames_user(frame->body, &user) || user >= USERS_MAX)
        return false;
    conn->user = user;
    atomic_store(&thread->limit->users[user], place_of(thread, conn));
    struct bytes connected = limit_frames_connected(thread->limit->frames);
    return put(thread, conn, connected.ptr, connected.len);
}

/* Frames come whole: each is one small write of the client's. */
static bool read_session(struct thread *thread, struct conn *conn)
{
    const struct limit_wire wire = wire_of(conn);
    bool whole;
    do {
        ssize_t got = limit_wire_recv(wire, thread->data, sizeof thread->data);
        if (got <= 0)
            return got == 0;
        struct bytes rest = bytes_of(thread->data, (size_t)got);
        struct frame frame;
        while (frame_take(&rest, FRAME_BODY_MAX, &frame) == 0)
            if (!take_frame(thread, conn, &frame))
                return false;
        if (rest.len > 0)
            return false;
        whole = (size_t)got < sizeof thread->data;
    } while (!whole || limit_wire_pending(wire));
    return true;
}

/* ---- pushes ---- */

static void post(struct thread *to, int fd, uint32_t user, struct limit_push *push)
{
    struct limit_letter *letter = limit_letter_new(fd, user, push);
    pthread_mutex_lock(&to->lock);
    const bool wake = to->inbox.first == NULL;
    limit_letters_add(&to->inbox, letter);
    pthread_mutex_unlock(&to->lock);
    const uint64_t one = 1;
    if (wake && write(to->wake.fd, &one, sizeof one) != sizeof one)
        die("a thread can't be woken");
}

/* The number is given where the session is, so that a session sees its numbers rise. */
static void push_here(struct thread *thread, int fd, uint32_t user, struct limit_push *push)
{
    struct conn *conn = (uint32_t)fd < thread->sessions_room ? thread->sessions[fd] : NULL;
    if (conn == NULL || conn->user != user) {
        atomic_fetch_add(&thread->limit->homeless, 1);
        return;
    }
    limit_push_number(thread->limit->frames, push);
    put_push(thread, conn, push);
}

static void take_letters(struct thread *thread)
{
    uint64_t count;
    if (read(thread->wake.fd, &count, sizeof count) < 0 && errno != EAGAIN)
        die("read");
    pthread_mutex_lock(&thread->lock);
    struct limit_letter *letter = thread->inbox.first;
    thread->inbox.first = NULL;
    pthread_mutex_unlock(&thread->lock);
    while (letter != NULL) {
        struct limit_letter *next = letter->next;
        if (letter->fd < 0) {
            limit_letters_add(&thread->broadcasts, letter);
        } else {
            push_here(thread, letter->fd, letter->user, letter->push);
            limit_letter_free(letter);
        }
        letter = next;
    }
}

static void write_slice(struct thread *thread)
{
    struct limit_letter *letter = thread->broadcasts.first;
    uint32_t written = 0;
    for (; letter->cursor < thread->sessions_room && written < SLICE; letter->cursor++) {
        struct conn *conn = thread->sessions[letter->cursor];
        if (conn == NULL || conn->user == NO_USER)
            continue;
        put_push(thread, conn, letter->push);
        written++;
    }
    if (letter->cursor < thread->sessions_room)
        return;
    thread->broadcasts.first = letter->next;
    limit_letter_free(letter);
}

static void push_to_user(struct thread *thread, uint32_t user, struct limit_push *push)
{
    uint64_t place = user < USERS_MAX ? atomic_load(&thread->limit->users[user]) : 0;
    if (place-- == 0) {
        atomic_fetch_add(&thread->limit->homeless, 1);
        return;
    }
    struct thread *to = &thread->limit->threads[place >> 32];
    const int fd = (int)(uint32_t)place;
    if (to == thread)
        push_here(thread, fd, user, push);
    else
        post(to, fd, user, push);
}

static void push_to_all(struct thread *thread, struct limit_push *push)
{
    struct limit *limit = thread->limit;
    pthread_mutex_lock(&limit->in_order);
    limit_push_number(limit->frames, push);
    for (uint32_t i = 0; i < limit->threads_count; i++)
        post(&limit->threads[i], -1, NO_USER, push);
    pthread_mutex_unlock(&limit->in_order);
}

/* ---- the API ---- */

static bool answer(struct thread *thread, struct conn *conn, struct bytes body)
{
    static const char text[] = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 74\r\n\r\n"
                               "{\"id\":\"00000000-0000-7000-8000-000000000000~AAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}";
    struct limit_target target;
    struct limit_push *push = limit_frames_push(thread->limit->frames, body, &target);
    if (push == NULL)
        return false;
    if (target.all)
        push_to_all(thread, push);
    else
        push_to_user(thread, target.user, push);
    limit_push_unref(push);
    return put(thread, conn, text, sizeof text - 1);
}

static bool read_api(struct thread *thread, struct conn *conn)
{
    if (conn->request == NULL)
        conn->request = object_alloc(REQUEST_MAX + 1);
    ssize_t got = limit_wire_recv(wire_of(conn), conn->request + conn->have, REQUEST_MAX - conn->have);
    if (got <= 0)
        return got == 0;
    conn->have += (uint32_t)got;
    struct bytes body;
    char metrics[LIMIT_WIRE_METRICS_MAX];
    conn->request[conn->have] = '\0';
    const bool asks = strncmp(conn->request, "GET ", 4) == 0;
    if (!asks && !limit_frames_request(conn->request, conn->have, &body))
        return conn->have < REQUEST_MAX;
    conn->have = 0; /* one request at a time is what the clients do */
    if (asks)
        return put(thread, conn, metrics, limit_wire_metrics(thread->limit->tls, metrics));
    return answer(thread, conn, body);
}

/* ---- threads ---- */

static void serve(struct thread *thread, const struct epoll_event *event)
{
    struct conn *conn = event->data.ptr;
    bool good = true;
    switch ((enum kind)conn->kind) {
    case SESSION_LISTENER:
    case API_LISTENER:
        accept_some(thread, conn);
        return;
    case WAKE:
        take_letters(thread);
        return;
    case SESSION:
    case API:
        if ((event->events & EPOLLOUT) != 0)
            good = settle(thread, conn, limit_out_flush(&conn->out, wire_of(conn)));
        if (good && (event->events & ~(uint32_t)EPOLLOUT) != 0)
            good = conn->kind == SESSION ? read_session(thread, conn) : read_api(thread, conn);
        good = good && (event->events & EPOLLRDHUP) == 0; /* who has left has said all */
        break;
    }
    if (!good)
        drop(thread, conn);
}

static void *run(void *arg)
{
    struct thread *thread = arg;
    struct limit *limit = thread->limit;
    if (limit->own_tables && unshare(CLONE_FILES) != 0)
        die("unshare");
    thread->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (thread->epoll_fd < 0)
        die("epoll_create1");
    watch(thread, &thread->wake);
    /* The first gets the ports; the others ask for the same. */
    open_listener(thread, &thread->session_listener, SESSION_LISTENER, &limit->session_port);
    open_listener(thread, &thread->api_listener, API_LISTENER, &limit->api_port);
    pthread_barrier_wait(&limit->ready);
    for (;;) {
        struct epoll_event events[EVENTS_MAX];
        const bool busy = thread->broadcasts.first != NULL;
        int count = epoll_wait(thread->epoll_fd, events, EVENTS_MAX, busy ? 0 : -1);
        for (int i = 0; i < count; i++)
            serve(thread, &events[i]);
        if (busy)
            write_slice(thread);
    }
}

static void set_up(struct limit *limit, char **words)
{
    limit->threads_count = (uint32_t)atoi(words[0]);
    limit->own_tables = strcmp(words[1], "own") == 0;
    limit->frames = limit_frames_new();
    limit->users = calloc(USERS_MAX, sizeof *limit->users);
    if (limit->users == NULL)
        die("memory");
    if (words[3] != NULL && (limit->tls = limit_wire_context(words[3], words[4])) == NULL)
        die("%s, %s", words[3], words[4]);
    pthread_mutex_init(&limit->in_order, NULL);
    pthread_barrier_init(&limit->ready, NULL, 2);
    for (uint32_t i = 0; i < limit->threads_count; i++) {
        struct thread *thread = &limit->threads[i];
        thread->limit = limit;
        thread->index = i;
        pthread_mutex_init(&thread->lock, NULL);
        thread->wake = (struct conn){.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), .kind = WAKE};
        if (thread->wake.fd < 0)
            die("eventfd");
    }
}

int main(int argc, char **argv)
{
    static struct limit limit;
    if ((argc != 4 && argc != 6) || atoi(argv[1]) < 1 || atoi(argv[1]) > THREADS_MAX) {
        fputs("usage: petrel-limit THREADS shared|own DIR [CERT KEY]\n"
              "A bare epoll server for petrel-bench to compare with: writes petreld.json into DIR, ends on SIGTERM.\n"
              "THREADS 1-128; own: each has a table of descriptors of its own. With CERT and KEY (PEM files) sessions\n"
              "speak TLS, by OpenSSL alone.\n",
              stderr);
        return 2;
    }
    struct rlimit descriptors;
    if (getrlimit(RLIMIT_NOFILE, &descriptors) == 0) {
        descriptors.rlim_cur = descriptors.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &descriptors);
    }
    sigset_t end;
    sigemptyset(&end);
    sigaddset(&end, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &end, NULL);
    signal(SIGPIPE, SIG_IGN);
    set_up(&limit, argv + 1);
    for (uint32_t i = 0; i < limit.threads_count; i++) {
        if (pthread_create(&limit.threads[i].id, NULL, run, &limit.threads[i]) != 0)
            die("pthread_create");
        pthread_barrier_wait(&limit.ready);
    }
    if (!limit_listen_tell(argv[3], limit.session_port, limit.api_port))
        die("%s/petreld.json", argv[3]);
    int number;
    (void)sigwait(&end, &number);
    const uint64_t homeless = atomic_load(&limit.homeless);
    if (homeless > 0)
        fprintf(stderr, "petrel-limit: %" PRIu64 " pushes were to users who had no session\n", homeless);
    return 0;
}
