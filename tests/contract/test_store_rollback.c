/* The contract of store.h: a store that lost its last writes, and was given others before anyone checked. A file that is put back, a
 * server whose journal is cut. */
#include "contract/store_rig_redis.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#define AT(bound, seq_) ((struct position){(bound).page.epoch, (seq_)})

/* What a store holds at a moment, to go back to. */
struct moment {
    struct store_rig *rig;
    struct redis_server *master;
    char path[512]; /* of the server's journal, or the file's copy */
    off_t bytes;
};

/* ---- SQLite: a copy of the file ---- */

static void copy_file(const char *from, const char *to)
{
    struct stat st;
    int in = open(from, O_RDONLY | O_CLOEXEC), out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(in >= 0 && out >= 0);
    assert_int_equal(fstat(in, &st), 0);
    for (off_t at = 0; at < st.st_size;)
        assert_true(sendfile(out, in, &at, (size_t)(st.st_size - at)) > 0);
    close(in);
    close(out);
}

static void mark_file(struct moment *moment)
{
    struct store_rig *rig = moment->rig;
    snprintf(moment->path, sizeof moment->path, "%s/copy.db", rig->folder);
    store_rig_stop(rig); /* closed, the file is whole without its -wal */
    copy_file(rig->path, moment->path);
    store_rig_start(rig);
}

static void forget_file(struct moment *moment)
{
    struct store_rig *rig = moment->rig;
    store_rig_stop(rig);
    copy_file(moment->path, rig->path);
    rig->options.restored = true;
    store_rig_start(rig);
    rig->options.restored = false;
}

/* ---- Redis: the journal up to here ---- */

static void mark_journal(struct moment *moment)
{
    char folder[256];
    struct stat st = {0};
    moment->master = store_rig_redis_owner(moment->rig, "u");
    snprintf(folder, sizeof folder, "%s/appendonlydir", moment->master->tmp.path);
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    moment->path[0] = '\0';
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        if (strstr(entry->d_name, ".incr.aof") != NULL)
            snprintf(moment->path, sizeof moment->path, "%s/%s", folder, entry->d_name);
    }
    closedir(dir);
    assert_int_equal(stat(moment->path, &st), 0);
    moment->bytes = st.st_size;
}

/* The replica would know better: it is away while the master comes back. */
static void forget_journal(struct moment *moment)
{
    struct store_rig_redis *redis = store_rig_redis_of(moment->rig);
    struct redis_server *replica = redis->cluster ? moment->master + redis->nodes.count / 2 : NULL;
    if (replica != NULL)
        redis_server_kill(replica);
    redis_server_kill(moment->master);
    assert_int_equal(truncate(moment->path, moment->bytes), 0);
    assert_true(redis_server_restart(moment->master));
    assert_true(replica == NULL || redis_server_restart(replica));
    assert_true(!redis->cluster || redis_server_cluster_wait_ok(&redis->nodes));
}

static void mark(struct moment *moment, struct store_rig *rig)
{
    *moment = (struct moment){.rig = rig};
    if (rig->subject->servers != NULL)
        mark_journal(moment);
    else
        mark_file(moment);
}

static void forget_since(struct moment *moment)
{
    if (moment->master != NULL)
        forget_journal(moment);
    else
        forget_file(moment);
}

/* ---- the tests ---- */

static void what_was_lost_is_told_though_others_took_its_place(void **state)
{
    struct store_rig rig;
    struct peer_bound bound;
    struct peer_page page;
    struct moment kept;
    store_rig_open(&rig, *state, NULL);
    struct peer_bound first = store_rig_bound(&rig, "u", "d", 1);
    store_rig_bound(&rig, "u", "e", 1);
    uint64_t m1 = store_rig_put(&rig, "u", "m1");
    mark(&kept, &rig);
    store_rig_put(&rig, "u", "m2");
    uint64_t m3 = store_rig_put(&rig, "u", "m3");
    forget_since(&kept);
    /* Before anyone checks, others take the same places. */
    uint64_t n2 = store_rig_put(&rig, "u", "n2");
    uint64_t n3 = store_rig_put(&rig, "u", "n3");
    assert_int_equal(n2, m1 + 1);
    assert_int_equal(n3, m3);
    if (rig.subject->backend->keeps_routes)
        assert_int_equal(store_rig_check(&rig, "u", "d", 1, AT(first, m3)), PEER_BEHIND);
    else
        assert_int_equal(store_rig_check(&rig, "u", "d", 1, AT(first, m3)), PEER_UNROUTED);
    assert_int_equal(store_rig_fetch(&rig, "u", "d", AT(first, m3), 0, &page), 0);
    assert_true(page.epoch > first.page.epoch);
    assert_int_equal(page.gap.reason, SESSION_GAP_ROLLBACK);
    assert_int_equal(page.gap.from, m3);
    assert_int_equal(page.gap.to, m1);
    assert_int_equal(page.gap.lost_at_most, 2);
    store_rig_expect(&page, "n2 n3");
    /* An ack of what is there no more is no ack of what took its place. */
    assert_int_equal(store_rig_ack(&rig, "u", "d", AT(first, m3)), 0);
    assert_int_equal(store_rig_bind(&rig, "u", "d", 2, AT(first, m3), &bound), 0);
    assert_int_equal(bound.verdict, SESSION_GAPPED);
    store_rig_expect(&bound.page, "n2 n3");
    /* Who had no more than what was kept lost nothing. */
    assert_int_equal(store_rig_bind(&rig, "u", "e", 2, AT(first, m1), &bound), 0);
    assert_int_equal(bound.verdict, SESSION_RESUMED);
    store_rig_expect(&bound.page, "n2 n3");
    store_rig_close(&rig);
}

/* A log that nobody has written since is taken over by the first who reads it: else a position would be judged by what is not there. */
static void a_fetch_takes_a_log_over(void **state)
{
    struct store_rig rig;
    struct peer_page page;
    struct peer_user user;
    struct moment kept;
    store_rig_open(&rig, *state, NULL);
    struct peer_bound first = store_rig_bound(&rig, "u", "d", 1);
    uint64_t m1 = store_rig_put(&rig, "u", "m1");
    mark(&kept, &rig);
    uint64_t m2 = store_rig_put(&rig, "u", "m2");
    forget_since(&kept);
    assert_int_equal(store_rig_fetch(&rig, "u", "d", AT(first, m2), 0, &page), 0);
    assert_int_equal(page.gap.reason, SESSION_GAP_ROLLBACK);
    assert_int_equal(page.gap.to, m1);
    assert_true(page.epoch > first.page.epoch);
    assert_int_equal(store_rig_user(&rig, "u", &user), 0);
    assert_int_equal(user.head.epoch, page.epoch);
    /* What comes next is in that epoch, so who has been told is not told again. */
    assert_int_equal(store_rig_put(&rig, "u", "n2"), m2);
    assert_int_equal(store_rig_fetch(&rig, "u", "d", (struct position){page.epoch, m1}, 0, &page), 0);
    assert_int_equal(page.gap.reason, SESSION_GAP_NONE);
    store_rig_expect(&page, "n2");
    store_rig_close(&rig);
}

/* The newer bind was forgotten: the session that made it is not closed for the one before it. */
static void a_forgotten_bind_is_made_again(void **state)
{
    struct store_rig rig;
    struct peer_bound bound;
    struct moment kept;
    store_rig_open(&rig, *state, NULL);
    bound = store_rig_bound(&rig, "u", "d", 1);
    struct position at = bound.position;
    mark(&kept, &rig);
    store_rig_bound(&rig, "u", "d", 2);
    forget_since(&kept);
    struct peer_check check = {
        .target = store_rig_target("u", "d"), .position = at, .route = store_rig_route(2), .attempt = 2};
    enum peer_verdict verdict;
    assert_int_equal(store_rig_check_all(&rig, &check, 1, &verdict), 0);
    assert_int_equal(verdict, PEER_UNROUTED);
    assert_int_equal(store_rig_bind(&rig, "u", "d", 2, at, &bound), 0);
    assert_int_equal(store_rig_bind(&rig, "u", "d", 1, at, &bound), PETREL_E_STALE);
    assert_int_equal(store_rig_check(&rig, "u", "d", 1, at), PEER_REPLACED);
    store_rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_lost_is_told_though_others_took_its_place),
        cmocka_unit_test(a_fetch_takes_a_log_over),
        cmocka_unit_test(a_forgotten_bind_is_made_again),
    };
    return store_rig_main("store that forgot", tests, sizeof tests / sizeof tests[0]);
}
