#include "loop/tls_loop.h"

#include "base/err.h"
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
#define WAIT_MS 10000U
#define SECOND_US UINT64_C(1000000)
#define SECOND_MS UINT64_C(1000)
/* In one turn: about 0.4 ms. Mail waits for the turn's end, and with more threads than cores for several times as long. */
#define BEGINS_MAX 2
/* From one look at how fast the line moves to the next. */
#define COUNTED_MS 100U
/* The pace may be made up for by so much after a pause: a turn's length or two. */
#define BURST_US UINT64_C(100000)
/* Handshakes at a time that leave enough behind to be worth a walk over the heap; a loop is one of many. */
#define STORM 16U

static void fill_in(struct tls_limits *limits)
{
    if (limits->handshakes == 0)
        limits->handshakes = HANDSHAKES;
    if (limits->handshakes_per_second == 0)
        limits->handshakes_per_second = HANDSHAKES_PER_SECOND;
    if (limits->kept == 0)
        limits->kept = KEPT_MAX;
    if (limits->wait_ms == 0)
        limits->wait_ms = WAIT_MS;
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

static struct tls_talk *first(const struct tls_loop *tls)
{
    return list_empty(&tls->waiting) ? NULL : container_of(tls->waiting.next, struct tls_talk, node);
}

/* How fast the line moves: begins a second, for as long as there is one. */
static void count_begin(struct tls_loop *tls)
{
    uint64_t passed_ms = loop_now_ms(tls->loop) - tls->counted_ms;
    tls->begun++;
    if (passed_ms < COUNTED_MS)
        return;
    tls->rate = (uint32_t)(tls->begun * SECOND_MS / passed_ms) + 1;
    tls->begun = 0;
    tls->counted_ms += passed_ms;
}

static void begin_one(struct tls_loop *tls, struct tls_talk *talk)
{
    if (tls->due_us < now_us(tls))
        tls->due_us = now_us(tls);
    tls->due_us += SECOND_US / tls->limits.handshakes_per_second;
    count_begin(tls);
    int rc = tls_conn_begin(talk->conn);
    if (tls->counts.handshaking > tls->busiest)
        tls->busiest = tls->counts.handshaking;
    stream_tls_begin(talk->stream, rc);
}

static void on_turn(struct loop_task *task);

static bool is_to_go_on(const struct tls_loop *tls)
{
    return tls->posted || timer_running(&tls->pace);
}

static void on_pace(struct timer *timer)
{
    on_turn(&container_of(timer, struct tls_loop, pace)->turn);
}

static void on_more(struct mail *mail)
{
    struct tls_loop *tls = container_of(mail, struct tls_loop, more);
    tls->posted = false;
    on_turn(&tls->turn);
}

/* What a turn has no room for is the next one's: a deferred task would still be of this one, and a timer takes a tick of the wheel. */
static void go_on(struct tls_loop *tls, uint64_t in_us)
{
    if (in_us > 0) {
        timer_start(tls->loop, &tls->pace, in_us / 1000 + 1, on_pace);
        return;
    }
    tls->posted = true;
    mailbox_post(tls->loop, &tls->more);
}

/* Links between nodes carry what all the others wait for: their handshakes go first, also in a storm. */
static void begin_ahead(struct tls_loop *tls)
{
    while (!list_empty(&tls->ahead))
        begin_one(tls, container_of(tls->ahead.next, struct tls_talk, node));
}

static void on_turn(struct loop_task *task)
{
    struct tls_loop *tls = container_of(task, struct tls_loop, turn);
    begin_ahead(tls);
    if (is_to_go_on(tls))
        return;
    uint64_t wait = 0;
    for (int begins = 0; begins < BEGINS_MAX && wait == 0; begins++) {
        struct tls_talk *talk = first(tls);
        if (talk == NULL || tls->counts.handshaking >= tls->limits.handshakes)
            return;
        wait = wait_us(tls);
        if (wait == 0)
            begin_one(tls, talk);
    }
    if (!list_empty(&tls->waiting))
        go_on(tls, wait);
}

/* ---- who waits for too long ---- */

static void on_patience(struct timer *timer);

static void be_patient(struct tls_loop *tls)
{
    const struct tls_talk *talk = first(tls);
    if (talk == NULL || timer_running(&tls->patience))
        return;
    uint64_t due_ms = talk->since_ms + tls->limits.wait_ms;
    uint64_t now_ms = loop_now_ms(tls->loop);
    timer_start(tls->loop, &tls->patience, due_ms > now_ms ? due_ms - now_ms : 0, on_patience);
}

/* Some of them may have begun meanwhile: the next one's time is later. */
static void on_patience(struct timer *timer)
{
    struct tls_loop *tls = container_of(timer, struct tls_loop, patience);
    uint64_t now_ms = loop_now_ms(tls->loop);
    for (struct tls_talk *talk = first(tls); talk != NULL && talk->since_ms + tls->limits.wait_ms <= now_ms;
         talk = first(tls)) {
        tls->counts.refused++;
        metrics_add(tls->metrics, METRIC_TLS_REFUSED, 1);
        stream_tls_begin(talk->stream, PETREL_E_BUSY);
        petrel_assert(first(tls) != talk);
    }
    be_patient(tls);
}

/* ---- the line ---- */

void tls_loop_wait(struct tls_loop *tls, struct tls_talk *talk)
{
    if (talk->server->nodes) {
        list_push_back(&tls->ahead, &talk->node);
        loop_defer(tls->loop, &tls->turn);
        return;
    }
    talk->since_ms = loop_now_ms(tls->loop);
    if (list_empty(&tls->waiting)) {
        tls->counted_ms = talk->since_ms;
        tls->begun = 0;
    }
    list_push_back(&tls->waiting, &talk->node);
    be_patient(tls);
    if (!is_to_go_on(tls))
        loop_defer(tls->loop, &tls->turn);
}

void tls_loop_leave(struct tls_loop *tls, struct tls_talk *talk)
{
    list_remove(&talk->node);
    if (!list_empty(&tls->waiting))
        return;
    timer_stop(&tls->patience);
    timer_stop(&tls->pace);
}

void tls_loop_note_ended(struct tls_loop *tls)
{
    if (!list_empty(&tls->waiting) && !is_to_go_on(tls))
        loop_defer(tls->loop, &tls->turn);
}

/* Where nothing has begun of late, how long the first has waited says more than a rate. */
uint32_t tls_loop_wait_ms(const struct loop *loop)
{
    const struct tls_loop *tls = loop->tls;
    const struct tls_talk *talk = tls != NULL ? first(tls) : NULL;
    if (talk == NULL)
        return 0;
    uint64_t rate = tls->rate > 0 ? tls->rate : tls->limits.handshakes_per_second;
    uint64_t expected_ms = tls->counts.waiting * SECOND_MS / rate;
    uint64_t waited_ms = loop_now_ms(loop) - talk->since_ms;
    return (uint32_t)(expected_ms > waited_ms ? expected_ms : waited_ms);
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
    tls->ticket_cipher = EVP_CIPHER_fetch(NULL, "AES-256-CBC", NULL);
    petrel_assert(tls->cipher != NULL && tls->bio != NULL && tls->ticket_cipher != NULL &&
                  "an OpenSSL with AES-GCM, ChaCha20-Poly1305 and HKDF");
    tls->seal = object_alloc(TLS_SEAL_SIZE(TLS_DATA_MAX));
    slab_init(&tls->conns, sizeof(struct tls_conn), tls);
    list_init(&tls->waiting);
    list_init(&tls->ahead);
    tls->turn.run = on_turn;
    tls->more.run = on_more;
    fill_in(&tls->limits);
    loop->tls = tls;
    return tls;
}

void tls_loop_free(struct tls_loop **inside)
{
    struct tls_loop *tls = *inside;
    if (tls == NULL)
        return;
    petrel_assert(list_empty(&tls->waiting) && list_empty(&tls->ahead));
    loop_undefer(&tls->turn);
    timer_stop(&tls->pace);
    timer_stop(&tls->patience);
    slab_reset(&tls->conns);
    tls_cipher_free(&tls->cipher);
    BIO_meth_free(tls->bio);
    EVP_CIPHER_free(tls->ticket_cipher);
    OPENSSL_cleanse(tls->tickets, sizeof tls->tickets);
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
