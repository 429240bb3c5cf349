#include "loop/tls_loop.h"

#include "base/object.h"
#include "loop/loop_impl.h"
#include "loop/stream_impl.h"
#include "loop/tls_bio.h"
#include "loop/tls_conn.h"

#include <malloc.h>
#include <stdlib.h>

#define HANDSHAKES 512U
#define HANDSHAKES_PER_SECOND 2000U
#define KEPT_MAX 10000U
#define SECOND_US UINT64_C(1000000)
/* The pace may be made up for by so much after a pause: a turn's length or two. */
#define BURST_US UINT64_C(100000)
/* Handshakes at a time that leave enough behind to be worth a walk over the heap. */
#define STORM 64U

static void fill_in(struct tls_limits *limits)
{
    if (limits->handshakes == 0)
        limits->handshakes = HANDSHAKES;
    if (limits->handshakes_per_second == 0)
        limits->handshakes_per_second = HANDSHAKES_PER_SECOND;
    if (limits->kept == 0)
        limits->kept = KEPT_MAX;
}

/* ---- whose turn it is ---- */

static uint64_t now_us(const struct tls_loop *tls)
{
    return loop_now_ms(tls->loop) * 1000;
}

/* 0: one may begin now. */
static uint64_t wait_us(const struct tls_loop *tls)
{
    uint64_t from = now_us(tls) + BURST_US;
    return tls->due_us > from ? tls->due_us - from : 0;
}

static void begin_one(struct tls_loop *tls)
{
    if (tls->due_us < now_us(tls))
        tls->due_us = now_us(tls);
    tls->due_us += SECOND_US / tls->limits.handshakes_per_second;
    struct tls_talk *talk = container_of(tls->waiting.next, struct tls_talk, node);
    int rc = tls_conn_begin(talk->conn);
    if (tls->counts.handshaking > tls->busiest)
        tls->busiest = tls->counts.handshaking;
    stream_tls_begin(talk->stream, rc);
}

static void on_pace(struct timer *timer)
{
    struct tls_loop *tls = container_of(timer, struct tls_loop, pace);
    loop_defer(tls->loop, &tls->turn);
}

/* Links between nodes carry what all the others wait for, so they go first, also in a storm. */
static bool goes_first(const struct tls_talk *talk)
{
    return talk->server->nodes;
}

static void begin_first(struct tls_loop *tls)
{
    while (!list_empty(&tls->waiting) && goes_first(container_of(tls->waiting.next, struct tls_talk, node)))
        begin_one(tls);
}

static void on_turn(struct loop_task *task)
{
    struct tls_loop *tls = container_of(task, struct tls_loop, turn);
    begin_first(tls);
    while (!list_empty(&tls->waiting) && tls->counts.handshaking < tls->limits.handshakes) {
        uint64_t wait = wait_us(tls);
        if (wait > 0) {
            timer_start(tls->loop, &tls->pace, wait / 1000 + 1, on_pace);
            return;
        }
        begin_one(tls);
    }
}

void tls_loop_wait(struct tls_loop *tls, struct tls_talk *talk)
{
    if (goes_first(talk))
        list_push_front(&tls->waiting, &talk->node);
    else
        list_push_back(&tls->waiting, &talk->node);
    if (goes_first(talk) || !timer_running(&tls->pace))
        loop_defer(tls->loop, &tls->turn);
}

void tls_loop_note_ended(struct tls_loop *tls)
{
    if (!list_empty(&tls->waiting) && !timer_running(&tls->pace))
        loop_defer(tls->loop, &tls->turn);
}

/* ---- life ---- */

struct tls_loop *tls_loop_of(struct loop *loop)
{
    if (loop->tls != NULL)
        return loop->tls;
    struct tls_loop *tls = object_zalloc(sizeof *tls);
    tls->loop = loop;
    tls->cipher = tls_cipher_new();
    tls->bio = tls_bio_method();
    petrel_assert(tls->cipher != NULL && tls->bio != NULL && "an OpenSSL with AES-GCM, ChaCha20-Poly1305 and HKDF");
    tls->seal = object_alloc(TLS_SEAL_SIZE(TLS_DATA_MAX));
    slab_init(&tls->conns, sizeof(struct tls_conn), tls);
    list_init(&tls->waiting);
    tls->turn.run = on_turn;
    fill_in(&tls->limits);
    loop->tls = tls;
    return tls;
}

void tls_loop_free(struct tls_loop **inside)
{
    struct tls_loop *tls = *inside;
    if (tls == NULL)
        return;
    petrel_assert(list_empty(&tls->waiting));
    loop_undefer(&tls->turn);
    timer_stop(&tls->pace);
    slab_reset(&tls->conns);
    tls_cipher_free(&tls->cipher);
    BIO_meth_free(tls->bio);
    bytes_reset(&tls->out);
    bytes_reset(&tls->session);
    OPENSSL_cleanse(tls->seal, TLS_SEAL_SIZE(TLS_DATA_MAX));
    free(tls->seal);
    free(tls);
    *inside = NULL;
}

void tls_loop_trim(struct tls_loop *tls)
{
    if (tls == NULL)
        return;
    slab_trim(&tls->conns);
    if (tls->busiest >= STORM && tls->counts.handshaking < tls->busiest / 4) {
        (void)malloc_trim(0);
        tls->busiest = tls->counts.handshaking;
    }
}

void tls_loop_limit(struct loop *loop, const struct tls_limits *limits, struct metrics_shard *metrics)
{
    struct tls_loop *tls = tls_loop_of(loop);
    tls->limits = *limits;
    tls->metrics = metrics;
    fill_in(&tls->limits);
}

const char *tls_loop_why(const struct loop *loop)
{
    return loop->tls != NULL && loop->tls->why[0] != '\0' ? loop->tls->why : NULL;
}

void tls_loop_counts(const struct loop *loop, struct tls_counts *out)
{
    *out = loop->tls != NULL ? loop->tls->counts : (struct tls_counts){0};
}
