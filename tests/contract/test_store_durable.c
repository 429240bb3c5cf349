/* The contract of store.h: what was answered lasts: restarts, kill -9 under load, a long life in a small file. */
#include "contract/store_load.h"
#include "contract/store_rig.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define AT(bound, seq_) ((struct position){(bound).page.epoch, (seq_)})

static void a_restart_keeps_everything(void **state)
{
    struct store_rig rig;
    struct peer_bound bound;
    struct peer_user before, after;
    struct store_rig_options options = store_rig_options();
    options.limits.cap_entries = 3;
    store_rig_open(&rig, *state, &options);
    struct peer_bound first = store_rig_bound(&rig, "u", "d", 7);
    for (int round = 0; round < 2; round++) {
        char text[4][32];
        for (int i = 0; i < 4; i++) {
            snprintf(text[i], sizeof text[i], "r%dm%d", round, i);
            store_rig_put(&rig, "u", text[i]);
        }
        assert_int_equal(store_rig_user(&rig, "u", &before), 0);
        store_rig_reopen(&rig);
        assert_int_equal(store_rig_user(&rig, "u", &after), 0);
        assert_int_equal(after.head.epoch, before.head.epoch);
        assert_int_equal(after.head.seq, before.head.seq);
        assert_int_equal(after.floor, before.floor);
        assert_int_equal(after.pending, 3);
        assert_int_equal(after.pending_bytes, before.pending_bytes);
        assert_int_equal(after.devices[0].acked, before.devices[0].acked);
        /* Routes that are memory of the process die with it, attempts do not. */
        if (!rig.subject->backend->keeps_routes)
            assert_int_equal(after.devices[0].route.generation, 0);
        assert_int_equal(store_rig_bind(&rig, "u", "d", 6, first.position, &bound), PETREL_E_STALE);
    }
    assert_int_equal(store_rig_bind(&rig, "u", "d", 8, first.position, &bound), 0);
    store_rig_expect(&bound.page, "r1m1 r1m2 r1m3");
    assert_int_equal(bound.page.gap.lost_at_most, before.floor - first.position.seq);
    assert_int_equal(store_rig_state(&rig, "u", "r1m0"), PEER_STATE_DROPPED);
    store_rig_close(&rig);
}

/* ---- kill -9 ---- */

#define KILL_USERS 8
#define KILL_LAG 40 /* acks stay so far behind, so that there is something to lose */
#define KILL_ROUNDS 6

enum note_kind { NOTE_APPENDED, NOTE_ACKING, NOTE_ACKED };

struct note {
    uint64_t seq;
    uint64_t epoch;
    uint64_t number;
    uint32_t user;
    enum note_kind kind;
};

struct victim {
    struct store_load load;
    int pipe;
    uint64_t first; /* number of the first message of this life */
    uint64_t done[KILL_USERS][KILL_LAG];
    uint64_t count[KILL_USERS];
    uint64_t epochs[KILL_USERS];
};

static struct peer_send numbered(uint32_t user, uint64_t number, char name[16])
{
    char text[32];
    snprintf(name, 16, "user%u", user);
    snprintf(text, sizeof text, "%llu", (unsigned long long)number);
    struct peer_send send = {
        .target = store_rig_target(name, NULL),
        .id = store_rig_id(text),
        .priority = PEER_PRIORITY_NORMAL,
        .expires_ms = STORE_RIG_T0 + STORE_RIG_DAY,
        .has_key = true,
        .body_hash = number,
        .key_expires_ms = STORE_RIG_T0 + STORE_RIG_DAY,
    };
    send.message = buf_copy(bytes_str(text));
    memcpy(send.key, send.id.bytes, sizeof send.key);
    return send;
}

static void tell(struct victim *victim, struct note note)
{
    ssize_t written = write(victim->pipe, &note, sizeof note);
    petrel_assert(written == sizeof note);
}

/* The names live as long as the child does. */
static bool victim_next(struct store_load *load, struct store_load_slot *slot)
{
    static char names[256][16];
    struct victim *victim = container_of(load, struct victim, load);
    uint32_t user = (uint32_t)(load->count % KILL_USERS);
    char *name = names[slot - load->slots];
    if (load->count % 5 == 4 && victim->count[user] >= KILL_LAG) {
        struct position at = {victim->epochs[user], victim->done[user][victim->count[user] % KILL_LAG]};
        snprintf(name, 16, "user%u", user);
        slot->op = STORE_ACK;
        slot->request.in.ack = (struct peer_ack){.target = store_rig_target(name, "d"), .position = at};
        tell(victim, (struct note){.kind = NOTE_ACKING, .user = user, .seq = at.seq});
        return true;
    }
    slot->op = STORE_APPEND;
    slot->request.in.append = numbered(user, victim->first + load->count, name);
    return true;
}

static void victim_done(struct store_load *load, struct store_load_slot *slot)
{
    struct victim *victim = container_of(load, struct victim, load);
    uint32_t user = (uint32_t)(slot->number % KILL_USERS);
    petrel_assert(slot->request.status == 0);
    if (slot->op == STORE_ACK) {
        tell(victim, (struct note){.kind = NOTE_ACKED, .user = user, .seq = slot->request.in.ack.position.seq});
        return;
    }
    struct position at = slot->request.out.append.sent.position;
    buf_unref(slot->request.in.append.message);
    victim->epochs[user] = at.epoch;
    victim->done[user][victim->count[user]++ % KILL_LAG] = at.seq;
    tell(victim, (struct note){.kind = NOTE_APPENDED,
                               .user = user,
                               .seq = at.seq,
                               .epoch = at.epoch,
                               .number = victim->first + slot->number});
}

static _Noreturn void be_killed(struct store_rig *rig, int pipe_fd, uint64_t first)
{
    static struct victim victim;
    store_rig_start(rig);
    victim.pipe = pipe_fd;
    victim.first = first;
    victim.load = (struct store_load){.store = rig->store, .inflight = 32, .next = victim_next, .done = victim_done};
    store_load_start(&victim.load, &rig->loops, 0);
    store_load_join(&victim.load);
    _exit(1);
}

/* Read notes until the pipe ends; kill the child after `enough`. */
static struct note *run_victim(struct store_rig *rig, uint64_t first, size_t enough, size_t *count)
{
    int fds[2];
    struct note *notes = calloc(enough + 200000, sizeof *notes);
    assert_non_null(notes);
    assert_int_equal(pipe(fds), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        close(fds[0]);
        be_killed(rig, fds[1], first);
    }
    close(fds[1]);
    *count = 0;
    size_t partial = 0;
    for (;;) {
        uint8_t *place = (uint8_t *)&notes[*count] + partial;
        ssize_t got = read(fds[0], place, sizeof *notes - partial);
        if (got <= 0)
            break;
        partial += (size_t)got;
        if (partial < sizeof *notes)
            continue;
        partial = 0;
        if (++*count == enough)
            assert_int_equal(kill(child, SIGKILL), 0);
        assert_true(*count < enough + 200000);
    }
    close(fds[0]);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    return notes;
}

static void check_user(struct store_rig *rig, uint32_t user, const struct note *notes, size_t count)
{
    char name[16];
    struct peer_user found;
    struct peer_page page;
    uint64_t acking = 0, acked = 0;
    snprintf(name, sizeof name, "user%u", user);
    for (size_t i = 0; i < count; i++) {
        if (notes[i].user == user && notes[i].kind == NOTE_ACKING)
            acking = notes[i].seq > acking ? notes[i].seq : acking;
        if (notes[i].user == user && notes[i].kind == NOTE_ACKED)
            acked = notes[i].seq > acked ? notes[i].seq : acked;
    }
    assert_int_equal(store_rig_user(rig, name, &found), 0);
    assert_true(found.devices[0].acked >= acked);
    struct position at = {found.head.epoch, found.devices[0].acked};
    size_t i = 0;
    do {
        assert_int_equal(store_rig_fetch(rig, name, "d", at, 0, &page), 0);
        assert_int_equal(page.gap.reason, SESSION_GAP_NONE);
        for (; i < count && (notes[i].kind != NOTE_APPENDED || notes[i].user != user || notes[i].seq <= page.upto);
             i++) {
            if (notes[i].kind != NOTE_APPENDED || notes[i].user != user || notes[i].seq <= acking ||
                notes[i].seq <= at.seq)
                continue;
            uint32_t e = 0;
            while (e < page.count && page.entries[e].seq != notes[i].seq)
                e++;
            assert_true(e < page.count);
            char text[32];
            snprintf(text, sizeof text, "%llu", (unsigned long long)notes[i].number);
            assert_true(bytes_equal_str(buf_bytes(page.entries[e].message), text));
        }
        at.seq = page.upto;
    } while (page.upto < page.head);
    assert_int_equal(i, count);
}

static void kill_9_loses_nothing_answered(void **state)
{
    struct store_rig rig;
    struct store_rig_options options = store_rig_options();
    options.limits.cap_entries = 1 << 20;
    options.limits.cap_bytes = 1 << 24;
    options.checkpoint_bytes = 1 << 15;
    options.memory_bytes = 1;
    store_rig_prepare(&rig, *state, &options);
    store_rig_start(&rig);
    for (uint32_t user = 0; user < KILL_USERS; user++) {
        char name[16];
        snprintf(name, sizeof name, "user%u", user);
        assert_int_equal(store_rig_enrol(&rig, name, "d"), 0);
    }
    srand((unsigned)getpid());
    for (uint64_t round = 0; round < KILL_ROUNDS; round++) {
        size_t count;
        store_rig_stop(&rig);
        struct note *notes = run_victim(&rig, round << 32, 300 + (size_t)rand() % 3000, &count);
        store_rig_start(&rig);
        for (uint32_t user = 0; user < KILL_USERS; user++)
            check_user(&rig, user, notes, count);
        /* A sender that retries with its key gets the first answer. */
        for (size_t i = 0; i < count; i += count / 16) {
            char name[16];
            struct store_append_out out;
            if (notes[i].kind != NOTE_APPENDED)
                continue;
            struct peer_send send = numbered(notes[i].user, notes[i].number, name);
            assert_int_equal(store_rig_append(&rig, &send, &out), 0);
            assert_true(out.sent.duplicate);
            assert_int_equal(out.sent.position.seq, notes[i].seq);
            buf_unref(send.message);
        }
        free(notes);
    }
    store_rig_close(&rig);
}

/* ---- a long life ---- */

#define LIFE_USERS 500
#define LIFE_MESSAGES 40000
#define LIFE_BYTES 1000

struct life {
    struct store_load load;
    struct buf *message;
    char names[LIFE_USERS][16];
    struct position done[64]; /* by slot: to ack, when not none */
    uint32_t user[64];
    uint64_t begun;
    uint64_t failed;
};

static bool life_next(struct store_load *load, struct store_load_slot *slot)
{
    struct life *life = container_of(load, struct life, load);
    size_t at = (size_t)(slot - load->slots);
    if (!position_is_none(life->done[at])) {
        slot->op = STORE_ACK;
        slot->request.in.ack =
            (struct peer_ack){.target = store_rig_target(life->names[life->user[at]], "d"), .position = life->done[at]};
        return true;
    }
    if (life->begun == LIFE_MESSAGES)
        return false;
    char text[32];
    life->user[at] = (uint32_t)(life->begun % LIFE_USERS);
    snprintf(text, sizeof text, "%llu", (unsigned long long)life->begun++);
    slot->op = STORE_APPEND;
    slot->request.in.append = (struct peer_send){
        .target = store_rig_target(life->names[life->user[at]], NULL),
        .id = store_rig_id(text),
        .message = life->message,
        .priority = PEER_PRIORITY_NORMAL,
        .expires_ms = STORE_RIG_T0 + STORE_RIG_DAY,
    };
    return true;
}

static void life_done(struct store_load *load, struct store_load_slot *slot)
{
    struct life *life = container_of(load, struct life, load);
    size_t at = (size_t)(slot - load->slots);
    life->failed += slot->request.status != 0;
    life->done[at] = slot->op == STORE_ACK ? (struct position){0, 0} : slot->request.out.append.sent.position;
}

static void the_file_stays_small(void **state)
{
    static struct life life;
    struct store_rig rig;
    struct peer_user user;
    struct store_rig_options options = store_rig_options();
    options.checkpoint_bytes = 1 << 20;
    options.limits.recent_ids = 1 << 10;
    store_rig_open(&rig, *state, &options);
    memset(&life, 0, sizeof life);
    life.message = buf_new(LIFE_BYTES);
    memset(life.message->data, 'm', LIFE_BYTES);
    for (uint32_t i = 0; i < LIFE_USERS; i++) {
        snprintf(life.names[i], sizeof life.names[i], "user%u", i);
        assert_int_equal(store_rig_enrol(&rig, life.names[i], "d"), 0);
    }
    life.load = (struct store_load){.store = rig.store, .inflight = 64, .next = life_next, .done = life_done};
    store_load_start(&life.load, &rig.loops, 0);
    assert_true(store_load_join(&life.load));
    assert_int_equal(life.failed, 0);
    /* 40 MB went through: what stays is a few checkpoints' journal, the WAL that SQLite keeps, and 500 records. */
    assert_true(store_rig_file_bytes(&rig) < 16 << 20);
    store_rig_reopen(&rig);
    for (uint32_t i = 0; i < LIFE_USERS; i++) {
        assert_int_equal(store_rig_user(&rig, life.names[i], &user), 0);
        assert_int_equal(user.pending, 0);
        assert_int_equal(user.devices[0].acked, user.head.seq);
    }
    buf_unref(life.message);
    store_rig_close(&rig);
}

/* Whether the store has let go of a message: nothing but the rig holds it. */
static void expired_entries_are_reclaimed_untouched(void **state)
{
    struct store_rig rig;
    struct peer_user user;
    store_rig_open(&rig, *state, NULL);
    struct peer_send send = store_rig_send(&rig, "quiet", "m1");
    send.expires_ms = rig.clock.ms + 1000;
    assert_int_equal(store_rig_append(&rig, &send, NULL), 0);
    assert_int_equal(atomic_load(&send.message->refs), 2);
    for (int i = 0; i < 100 && atomic_load(&send.message->refs) > 1; i++) {
        store_rig_advance(&rig, 60000);
        store_rig_user(&rig, "another", &user);
    }
    assert_int_equal(atomic_load(&send.message->refs), 1);
    store_rig_close(&rig);
}

static void a_record_whose_time_is_over_goes_and_comes_back_ahead(void **state)
{
    struct store_rig rig;
    struct peer_user user;
    store_rig_open(&rig, *state, NULL);
    struct peer_bound bound = store_rig_bound(&rig, "u", "d", 1);
    uint64_t m1 = store_rig_put(&rig, "u", "m1");
    assert_int_equal(store_rig_ack(&rig, "u", "d", AT(bound, m1)), 0);
    store_rig_unbind(&rig, "u", "d", 1);
    for (int i = 0; i < 1000 && store_rig_user(&rig, "u", &user) == 0; i++)
        store_rig_advance(&rig, STORE_RIG_DAY);
    assert_int_equal(store_rig_user(&rig, "u", &user), PETREL_E_NOT_FOUND);
    store_rig_reopen(&rig);
    assert_int_equal(store_rig_user(&rig, "u", &user), PETREL_E_NOT_FOUND);
    assert_true(store_rig_put(&rig, "u", "m2") > m1);
    store_rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_restart_keeps_everything),
        cmocka_unit_test(kill_9_loses_nothing_answered),
        cmocka_unit_test(a_record_whose_time_is_over_goes_and_comes_back_ahead),
    };
    const struct CMUnitTest of_a_file[] = {
        cmocka_unit_test(the_file_stays_small),
        cmocka_unit_test(expired_entries_are_reclaimed_untouched),
    };
    return store_rig_main("store durability", tests, sizeof tests / sizeof tests[0]) +
           store_rig_main_on("sqlite", "store file", of_a_file, sizeof of_a_file / sizeof of_a_file[0]);
}
