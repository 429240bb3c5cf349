/* The contract of store.h: a full disk refuses what must be written, keeps what was, and recovers by itself. */
#include "contract/store_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <unistd.h>

#define AT(bound, seq_) ((struct position){(bound).page.epoch, (seq_)})

static void limit_files(rlim_t bytes)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes < limit.rlim_max ? bytes : limit.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static int put_numbered(struct store_rig *rig, uint32_t number, uint64_t *seq)
{
    char text[1024];
    memset(text, 'x', sizeof text);
    snprintf(text, sizeof text, "%u", number);
    text[strlen(text)] = ' ';
    text[sizeof text - 1] = '\0';
    struct peer_send send = store_rig_send(rig, "u", text);
    struct store_append_out out;
    int status = store_rig_append(rig, &send, &out);
    *seq = out.sent.position.seq;
    return status;
}

/* What a bind's position proves can't be noted: the device is told to ack it again, and nothing goes. */
static void expect_unnoted(struct store_rig *rig, struct position at, uint32_t stored)
{
    struct peer_bound bound;
    struct peer_user user;
    assert_int_equal(store_rig_bind(rig, "u", "d", 2, at, &bound), 0);
    assert_true(bound.unnoted);
    assert_int_equal(store_rig_user(rig, "u", &user), 0);
    assert_int_equal(user.pending, stored);
}

static void a_full_disk_refuses_and_recovers(void **state)
{
    struct store_rig rig;
    struct peer_bound bound;
    struct peer_page page;
    struct peer_user user;
    struct store_rig_options options = store_rig_options();
    options.limits.cap_entries = 1 << 20;
    options.limits.cap_bytes = 1 << 24;
    options.limits.recent_ids = 1 << 20;
    assert_true(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
    store_rig_open(&rig, *state, &options);
    struct peer_bound first = store_rig_bound(&rig, "u", "d", 1);
    limit_files(256 * 1024);
    uint32_t stored = 0;
    uint64_t seq, last = 0;
    int status;
    while ((status = put_numbered(&rig, stored, &seq)) == 0) {
        last = seq;
        assert_true(++stored < 10000);
    }
    assert_int_equal(status, PETREL_E_FULL);
    /* Who is known goes on; what would have to be written is refused. */
    assert_int_equal(store_rig_bind(&rig, "u", "d", 2, first.position, &bound), 0);
    assert_int_equal(bound.verdict, SESSION_RESUMED);
    assert_false(bound.unnoted);
    expect_unnoted(&rig, AT(first, last), stored);
    assert_int_equal(store_rig_fetch(&rig, "u", "d", AT(first, last - 1), 0, &page), 0);
    assert_int_equal(page.count, 1);
    assert_int_equal(store_rig_check(&rig, "u", "d", 2, AT(first, last)), PEER_SAME);
    assert_int_equal(store_rig_bind(&rig, "u", "new", 1, first.position, &bound), PETREL_E_FULL);
    assert_int_equal(store_rig_enrol(&rig, "u", "new"), PETREL_E_FULL);
    assert_int_equal(store_rig_ack(&rig, "u", "d", AT(first, last)), PETREL_E_FULL);
    store_rig_unbind(&rig, "u", "d", 2);
    assert_int_equal(store_rig_check(&rig, "u", "d", 2, AT(first, last)), PEER_UNROUTED);
    assert_int_equal(metrics_get(rig.metrics, METRIC_STORE_FULL), 1);
    assert_int_equal(put_numbered(&rig, stored, &seq), PETREL_E_FULL);
    assert_int_equal(store_rig_user(&rig, "u", &user), 0);
    assert_int_equal(user.pending, stored);
    assert_int_equal(user.head.seq, last);

    limit_files(RLIM_INFINITY);
    store_rig_advance(&rig, 1000);
    /* Any request finds out, be it one that writes nothing. */
    assert_int_equal(store_rig_user(&rig, "u", &user), 0);
    assert_int_equal(metrics_get(rig.metrics, METRIC_STORE_FULL), 0);
    assert_int_equal(put_numbered(&rig, stored, &seq), 0);
    assert_int_equal(seq, last + 1);
    assert_int_equal(metrics_get(rig.metrics, METRIC_STORE_FULL), 0);
    store_rig_reopen(&rig);
    assert_int_equal(store_rig_user(&rig, "u", &user), 0);
    assert_int_equal(user.pending, stored + 1);
    assert_int_equal(user.head.seq, last + 1);
    /* The bind that could not be written was written with the next change. */
    assert_int_equal(store_rig_bind(&rig, "u", "d", 1, first.position, &bound), PETREL_E_STALE);
    assert_int_equal(store_rig_bind(&rig, "u", "d", 2, AT(first, last), &bound), 0);
    assert_int_equal(bound.page.count, 1);
    store_rig_close(&rig);
}

static void fill(const char *path, off_t bytes)
{
    int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(posix_fallocate(fd, 0, bytes), 0);
    close(fd);
}

static void appends_stop_while_there_is_room_for_acks(void **state)
{
    struct store_rig rig;
    struct peer_bound bound;
    char filler[128];
    struct store_rig_options options = store_rig_options();
    options.min_free_bytes = 4 << 20;
    store_rig_prepare(&rig, *state, &options);
    if (mount("tmpfs", rig.folder, "tmpfs", 0, "size=8m") != 0) {
        print_message("skipped: mounting a small tmpfs needs root (%s)\n", strerror(errno));
        store_rig_close(&rig);
        skip();
    }
    store_rig_start(&rig);
    bound = store_rig_bound(&rig, "u", "d", 1);
    uint64_t m1 = store_rig_put(&rig, "u", "m1");
    snprintf(filler, sizeof filler, "%s/filler", rig.folder);
    fill(filler, 5 << 20);
    store_rig_advance(&rig, 1000);
    struct peer_send send = store_rig_send(&rig, "u", "m2");
    assert_int_equal(store_rig_append(&rig, &send, NULL), PETREL_E_FULL);
    assert_int_equal(metrics_get(rig.metrics, METRIC_STORE_FULL), 1);
    assert_int_equal(store_rig_ack(&rig, "u", "d", AT(bound, m1)), 0);
    assert_int_equal(store_rig_enrol(&rig, "u", "new"), 0);
    assert_int_equal(unlink(filler), 0);
    store_rig_advance(&rig, 1000);
    assert_int_equal(store_rig_append(&rig, &send, NULL), 0);
    assert_int_equal(metrics_get(rig.metrics, METRIC_STORE_FULL), 0);
    store_rig_stop(&rig);
    assert_int_equal(umount2(rig.folder, MNT_DETACH), 0);
    store_rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_full_disk_refuses_and_recovers),
        cmocka_unit_test(appends_stop_while_there_is_room_for_acks),
    };
    return store_rig_main_on("sqlite", "store on a full disk", tests, sizeof tests / sizeof tests[0]);
}
