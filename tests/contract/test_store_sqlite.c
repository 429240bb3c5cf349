/* What store_sqlite.h promises beyond the port: backups of the live file, records that leave memory, room given back, one owner. */
#include "contract/store_load.h"
#include "contract/store_rig.h"
#include "store/store_sqlite.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define USERS 2000

struct writer {
    struct store_load load;
    struct buf *message;
    char names[USERS][16];
    uint64_t begun;
    uint64_t most;
    uint64_t ttl_ms;
    bool endless; /* until `stop` */
    struct loops_tally done;
    _Atomic uint64_t failed;
    _Atomic bool stop;
};

static bool write_next(struct store_load *load, struct store_load_slot *slot)
{
    struct writer *writer = container_of(load, struct writer, load);
    char text[32];
    if (writer->stop || (!writer->endless && writer->begun == writer->most))
        return false;
    snprintf(text, sizeof text, "%llu", (unsigned long long)writer->begun);
    slot->op = STORE_APPEND;
    slot->request.in.append = (struct peer_send){
        .target = store_rig_target(writer->names[writer->begun++ % USERS], NULL),
        .id = store_rig_id(text),
        .message = writer->message,
        .priority = PEER_PRIORITY_NORMAL,
        .expires_ms = STORE_RIG_T0 + writer->ttl_ms,
    };
    return true;
}

static void write_done(struct store_load *load, struct store_load_slot *slot)
{
    struct writer *writer = container_of(load, struct writer, load);
    writer->failed += slot->request.status != 0;
    loops_tally_add(&writer->done, 1);
}

static void writer_start(struct writer *writer, struct store_rig *rig, size_t bytes, uint64_t most)
{
    memset(writer, 0, sizeof *writer);
    writer->message = buf_new(bytes);
    memset(writer->message->data, 'm', bytes);
    for (uint32_t i = 0; i < USERS; i++)
        snprintf(writer->names[i], sizeof writer->names[i], "user%u", i);
    writer->most = most;
    writer->endless = most == 0;
    writer->ttl_ms = STORE_RIG_DAY;
    loops_tally_init(&writer->done);
    writer->load = (struct store_load){.store = rig->store, .inflight = 32, .next = write_next, .done = write_done};
    store_load_start(&writer->load, &rig->loops, 0);
}

static void writer_join(struct writer *writer)
{
    writer->stop = writer->endless;
    assert_true(store_load_join(&writer->load));
    assert_int_equal(writer->failed, 0);
    loops_tally_destroy(&writer->done);
    buf_unref(writer->message);
}

struct backing {
    struct store_sqlite_backup backup;
    struct store_rig *rig;
    struct backing *also;
    int posted;
    struct loops_tally done;
};

static void backup_done(struct store_sqlite_backup *backup)
{
    loops_tally_add(&container_of(backup, struct backing, backup)->done, 1);
}

/* Also the ones that `also` names, in the same breath. */
static void start_backup(void *ctx)
{
    for (struct backing *backing = ctx; backing != NULL; backing = backing->also)
        backing->posted =
            store_sqlite_backup(backing->rig->store, &backing->backup, backing->rig->loops.loops[0], backup_done);
}

static void backup_prepare(struct backing *backing, struct store_rig *rig, const char *path)
{
    *backing = (struct backing){.backup.path = path, .rig = rig};
    loops_tally_init(&backing->done);
}

static void backup_begin(struct backing *backing, struct store_rig *rig, const char *path)
{
    backup_prepare(backing, rig, path);
    loops_run_on(&rig->loops, 0, start_backup, backing);
    assert_int_equal(backing->posted, 0);
}

static int backup_wait(struct backing *backing)
{
    assert_true(loops_tally_wait(&backing->done, 1));
    loops_tally_destroy(&backing->done);
    return backing->backup.status;
}

static struct store_rig_options roomy(void)
{
    struct store_rig_options options = store_rig_options();
    options.limits.recent_ids = 1 << 20;
    options.limits.cap_bytes = 1 << 24;
    options.limits.cap_entries = 1 << 20;
    return options;
}

static void a_backup_under_load_holds_what_was_answered(void **state)
{
    static struct writer writer;
    struct store_rig rig;
    struct backing backing, second;
    struct peer_user user;
    char copy[128];
    struct store_rig_options options = roomy();
    options.checkpoint_bytes = 1 << 20;
    store_rig_open(&rig, *state, &options);
    snprintf(copy, sizeof copy, "%s/copy.db", rig.folder);
    writer_start(&writer, &rig, 300, 0);
    assert_true(loops_tally_wait(&writer.done, 3 * USERS));
    uint64_t answered = loops_tally_get(&writer.done);
    backup_begin(&backing, &rig, copy);
    assert_int_equal(backup_wait(&backing), 0);
    uint64_t after = loops_tally_get(&writer.done);
    assert_true(loops_tally_wait(&writer.done, after + 100));
    backup_begin(&second, &rig, copy);
    assert_int_equal(backup_wait(&second), PETREL_E_EXISTS);
    writer_join(&writer);
    store_close(&rig.store);

    snprintf(rig.path, sizeof rig.path, "%s/copy.db", rig.folder);
    rig.options.restored = true;
    assert_int_equal(rig.subject->backend->open(&rig), 0);
    uint64_t held = 0;
    for (uint32_t i = 0; i < USERS; i++) {
        assert_int_equal(store_rig_user(&rig, writer.names[i], &user), 0);
        /* Sends go round the users, and are answered in the order of commits. */
        assert_true(user.pending >= answered / USERS - 1);
        held += user.pending;
    }
    assert_true(held >= answered);
    store_rig_close(&rig);
}

static void one_backup_at_a_time(void **state)
{
    static struct writer writer;
    struct store_rig rig;
    struct backing first, second, third;
    struct store_rig_options options = roomy();
    char paths[3][128];
    store_rig_open(&rig, *state, &options);
    for (int i = 0; i < 3; i++)
        snprintf(paths[i], sizeof paths[i], "%s/copy%d.db", rig.folder, i);
    writer_start(&writer, &rig, 1000, 8 * USERS);
    writer_join(&writer);
    backup_prepare(&first, &rig, paths[0]);
    backup_prepare(&second, &rig, paths[1]);
    first.also = &second;
    loops_run_on(&rig.loops, 0, start_backup, &first);
    assert_int_equal(first.posted | second.posted, 0);
    assert_int_equal(backup_wait(&second), PETREL_E_BUSY);
    assert_int_equal(backup_wait(&first), 0);
    assert_int_equal(access(paths[0], F_OK), 0);
    assert_int_not_equal(access(paths[1], F_OK), 0);
    /* Closing gives one up that has not ended, and leaves no half of a file. */
    backup_begin(&third, &rig, paths[2]);
    store_close(&rig.store);
    int status = backup_wait(&third);
    assert_true(status == PETREL_E_CLOSING || status == 0);
    assert_int_equal(access(paths[2], F_OK) == 0, status == 0);
    assert_int_equal(rig.subject->backend->open(&rig), 0);
    backup_begin(&third, &rig, "/nonexistent/folder/copy.db");
    assert_int_equal(backup_wait(&third), PETREL_E_IO);
    store_rig_close(&rig);
}

static void records_leave_memory_and_come_back(void **state)
{
    static struct writer writer;
    struct store_rig rig;
    struct peer_user user;
    struct store_rig_options options = roomy();
    options.checkpoint_bytes = 1 << 17;
    options.memory_bytes = 1;
    store_rig_open(&rig, *state, &options);
    struct peer_bound bound = store_rig_bound(&rig, "bound", "d", 1);
    writer_start(&writer, &rig, 200, 3 * USERS);
    writer_join(&writer);
    /* Each look at a user is a turn of the store's: checkpoints end, clean records go. */
    for (uint32_t round = 0; round < 100 && metrics_get(rig.metrics, METRIC_STORE_USERS) > USERS / 2; round++) {
        for (uint32_t i = 0; i < 100; i++)
            store_rig_put(&rig, "driver", writer.names[(round * 100 + i) % USERS]);
        store_rig_advance(&rig, 100000);
    }
    assert_true(metrics_get(rig.metrics, METRIC_STORE_USERS) <= USERS / 2);
    for (uint32_t i = 0; i < USERS; i++) {
        assert_int_equal(store_rig_user(&rig, writer.names[i], &user), 0);
        assert_int_equal(user.pending, 3);
        assert_int_equal(user.pending_bytes, 600);
    }
    /* A user with a session stays: its route is nowhere else. */
    assert_int_equal(store_rig_check(&rig, "bound", "d", 1, bound.position), PEER_SAME);
    store_rig_close(&rig);
}

static void room_is_given_back(void **state)
{
    static struct writer writer;
    struct store_rig rig;
    struct peer_user user;
    struct store_rig_options options = roomy();
    options.checkpoint_bytes = 1 << 17;
    options.memory_bytes = 1;
    store_rig_open(&rig, *state, &options);
    writer_start(&writer, &rig, 8000, 2 * USERS);
    writer_join(&writer);
    assert_true(store_rig_file_bytes(&rig) > 30 << 20);
    /* All has expired. Whoever uses the store meanwhile makes it turn; nobody touches those users. */
    store_rig_advance(&rig, 2 * STORE_RIG_DAY);
    for (uint32_t i = 0; i < 20000 && store_rig_file_bytes(&rig) > 16 << 20; i++) {
        store_rig_advance(&rig, 61000);
        store_rig_put(&rig, "driver", writer.names[i % USERS]);
    }
    assert_true(store_rig_file_bytes(&rig) <= 16 << 20);
    /* The records themselves go when it is forgotten that their messages expired. */
    for (uint32_t i = 0; i < 200 && store_rig_user(&rig, writer.names[0], &user) == 0; i++) {
        store_rig_advance(&rig, 61000);
        store_rig_put(&rig, "driver", writer.names[i % USERS]);
    }
    assert_int_equal(store_rig_user(&rig, writer.names[0], &user), PETREL_E_NOT_FOUND);
    store_rig_close(&rig);
}

static void the_file_has_one_owner(void **state)
{
    struct store_rig rig;
    struct store *second = NULL;
    store_rig_open(&rig, *state, NULL);
    const struct store_sqlite_config config = {
        .path = rig.path, .clock = &rig.clock.clock, .limits = store_limits_default()};
    assert_int_equal(store_sqlite_open(&second, &config), PETREL_E_LOCKED);
    assert_null(second);
    store_rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_backup_under_load_holds_what_was_answered),
        cmocka_unit_test(one_backup_at_a_time),
        cmocka_unit_test(records_leave_memory_and_come_back),
        cmocka_unit_test(room_is_given_back),
        cmocka_unit_test(the_file_has_one_owner),
    };
    return store_rig_main_on("sqlite", "store on SQLite", tests, sizeof tests / sizeof tests[0]);
}
