/* What topics_sqlite.h promises beyond the port: backups of the live file. */
#include "contract/topics_rig.h"

#include "base/object.h"
#include "store/topics_sqlite.h"

#include <stdio.h>
#include <unistd.h>

struct backing {
    struct topics_sqlite_backup backup;
    struct topics_rig *rig;
    int posted;
    struct loops_tally done;
};

static void on_backup(struct topics_sqlite_backup *backup)
{
    loops_tally_add(&container_of(backup, struct backing, backup)->done, 1);
}

static void begin(void *ctx)
{
    struct backing *backing = ctx;
    backing->posted =
        topics_sqlite_backup(backing->rig->topics, &backing->backup, backing->rig->loops.loops[0], on_backup);
}

static int back_up(struct topics_rig *rig, const char *path)
{
    struct backing backing = {.backup.path = path, .rig = rig};
    loops_tally_init(&backing.done);
    loops_run_on(&rig->loops, 0, begin, &backing);
    assert_int_equal(backing.posted, 0);
    assert_true(loops_tally_wait(&backing.done, 1));
    loops_tally_destroy(&backing.done);
    return backing.backup.status;
}

static void a_backup_holds_what_was_answered_and_begins_an_epoch(void **state)
{
    struct topics_rig rig;
    struct topics_subscribed subscribed;
    char live[96], copy[128];
    topics_rig_open(&rig, *state);
    struct position m1 = topics_rig_put(&rig, "news", "m1");
    assert_int_equal(topics_rig_subscribe(&rig, "d", "news", m1, &subscribed), 0);
    snprintf(copy, sizeof copy, "%s/copy.db", rig.folder);
    assert_int_equal(back_up(&rig, copy), 0);
    assert_int_equal(back_up(&rig, copy), PETREL_E_EXISTS);
    struct position lost = topics_rig_put(&rig, "news", "lost");
    snprintf(live, sizeof live, "%s", rig.path);
    snprintf(rig.path, sizeof rig.path, "%s/copy.db", rig.folder);
    rig.restored = true;
    topics_rig_reopen(&rig);
    struct position n2 = topics_rig_put(&rig, "news", "n2");
    assert_int_equal(n2.seq, lost.seq);
    struct topics_rig_page page = topics_rig_read(&rig, "news", lost);
    assert_string_equal(page.texts, "n2");
    assert_int_equal(page.page.gap.reason, SESSION_GAP_ROLLBACK);
    assert_int_equal(page.page.gap.lost_at_most, 1);
    assert_int_equal(topics_rig_set(&rig, "d").version, subscribed.version);
    assert_int_equal(unlink(live), 0);
    topics_rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_backup_holds_what_was_answered_and_begins_an_epoch),
    };
    return topics_rig_main_on("sqlite", "topics in SQLite", tests, sizeof tests / sizeof tests[0]);
}
