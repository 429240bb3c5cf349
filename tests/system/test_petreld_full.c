/* A disk that runs full, and has room again: on a tmpfs of the test's own, in a mount namespace that ends with the process. */
#include "lib/until.h"
#include "system/device.h"
#include "system/raw.h"
#include "system/rig.h"

#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define DISK "size=48m"
#define BALLAST_BYTES (8 << 20)
#define RESERVE "8MiB" /* more than is written between two looks at the disk */
#define USERS 4
#define SENDS_MAX 4000
#define DATA_BYTES 12000

struct full {
    struct rig rig;
    bool mounted;
    char ballast[TMPDIR_PATH_MAX + 32];
    char *tokens[USERS];
    bool accepted[SENDS_MAX]; /* message i, which is for user i % USERS */
    int sent;
};

static bool write_text(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool done = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    if (fd >= 0)
        close(fd);
    return done;
}

/* A mount namespace of our own: as root, or else with a user namespace in which we are root. */
static bool enter_namespace(void)
{
    static int entered = -1;
    char map[64];
    if (entered >= 0)
        return entered == 1;
    snprintf(map, sizeof map, "0 %u 1", (unsigned)geteuid());
    entered = unshare(CLONE_NEWNS) == 0 ||
              (unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0 && write_text("/proc/self/uid_map", map));
    return entered == 1 && mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
}

static int setup(void **state)
{
    struct full *full = calloc(1, sizeof *full);
    *state = full;
    if (full == NULL || !rig_prepare(&full->rig) || mkdir(full->rig.daemon.data_dir, 0700) != 0)
        return -1;
    full->mounted = enter_namespace() && mount("tmpfs", full->rig.daemon.data_dir, "tmpfs", 0, DISK ",mode=0700") == 0;
    snprintf(full->ballast, sizeof full->ballast, "%s/ballast", full->rig.daemon.data_dir);
    return 0;
}

static int teardown(void **state)
{
    struct full *full = *state;
    daemon_stop(&full->rig.daemon, SIGKILL, RIG_WAIT_MS);
    if (full->mounted)
        umount2(full->rig.daemon.data_dir, MNT_DETACH);
    rig_end(&full->rig);
    for (int i = 0; i < USERS; i++)
        free(full->tokens[i]);
    free(full);
    return 0;
}

static void begin(struct full *full, const char *min_free)
{
    if (!full->mounted) {
        print_message("SKIPPED: no tmpfs can be mounted here; run it as root, or with user namespaces\n");
        skip();
    }
    int fd = open(full->ballast, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(posix_fallocate(fd, 0, BALLAST_BYTES), 0);
    close(fd);
    const char *const args[] = {"--store-min-free",
                                min_free,
                                "--store-checkpoint",
                                "1MiB",
                                "--inbox-cap-bytes",
                                "16MiB",
                                "--inbox-cap-entries",
                                "10000",
                                "--inbox-recent-ids",
                                "10000",
                                NULL};
    assert_true(rig_start(&full->rig, args) && rig_make_app(&full->rig));
    for (int i = 0; i < USERS; i++) {
        char user[24];
        snprintf(user, sizeof user, "away-%d", i);
        full->tokens[i] = rig_register(&full->rig, user, "phone");
        assert_non_null(full->tokens[i]);
    }
}

static void make_data(int number, char out[DATA_BYTES + 32])
{
    int len = sprintf(out, "\"%d:", number);
    memset(out + len, 'x', DATA_BYTES);
    strcpy(out + len + DATA_BYTES, "\"");
}

static long send_next(struct full *full)
{
    char data[DATA_BYTES + 32], user[24];
    assert_true(full->sent < SENDS_MAX);
    make_data(full->sent, data);
    snprintf(user, sizeof user, "away-%d", full->sent % USERS);
    long status = rig_send(&full->rig, user, data, "");
    full->accepted[full->sent++] = status == 200;
    return status;
}

static bool says_full(struct rig *rig)
{
    return rig_get(rig, "/readyz") == 503 && strstr(rig->http.text, "full") != NULL;
}

/* Send until it is refused, as it should be, and /readyz says so. At first a checkpoint may make a little room again. */
static void fill(struct full *full)
{
    struct rig *rig = &full->rig;
    do {
        long status = send_next(full);
        if (status == 200)
            continue;
        if (status != 507)
            fail_msg("%ld: %s", status, rig->http.text != NULL ? rig->http.text : "");
        assert_string_equal(rig_error(rig), "FULL");
        assert_true(rig->http.retry_s > 0);
    } while (full->accepted[full->sent - 1] || !says_full(rig));
    assert_true(full->sent > 10);
}

static bool is_ready(void *ctx)
{
    struct rig *rig = ctx;
    return rig_get(rig, "/readyz") == 200;
}

/* Every device gets all that was accepted for it, in order, and nothing else but what got no clear answer. */
static void expect_all(struct full *full)
{
    for (int user = 0; user < USERS; user++) {
        struct bytebuf wanted = {0};
        char data[DATA_BYTES + 32];
        for (int i = user; i < full->sent; i += USERS) {
            if (!full->accepted[i])
                continue;
            make_data(i, data);
            bytes_append_str(&wanted, data);
            bytes_append_str(&wanted, " ");
        }
        bytes_append(&wanted, "", 1);
        struct device *device = device_open(&full->rig, full->tokens[user], NULL);
        bool all = device_sees(&full->rig, device, (const char *)wanted.ptr);
        if (!all)
            print_error("user %d: %zu messages, %zu bytes of %zu; %u connects, code %u\n", user, device_count(device),
                        strlen(device_seen(device)), wanted.len - 1, device_connects(device), device_code(device));
        bytes_reset(&wanted);
        assert_true(device_gaps(device) == 0);
        assert_true(all);
    }
}

static struct raw join_raw(struct rig *rig)
{
    struct raw raw;
    char *token = rig_register(rig, "here", "phone");
    assert_non_null(token);
    assert_true(raw_open(&raw, rig->daemon.session, 0));
    assert_true(raw_connect(&raw, token, 1, (struct position){0, 0}));
    free(token);
    return raw;
}

struct wish {
    struct rig *rig;
    const char *id;
};

static bool is_delivered(void *ctx)
{
    const struct wish *wish = ctx;
    return strcmp(rig_state(wish->rig, wish->id), "DELIVERED") == 0;
}

/* Sends are refused while there is room for acks: who is connected goes on, and makes room. */
static void a_nearly_full_disk_takes_acks(void **state)
{
    struct full *full = *state;
    struct rig *rig = &full->rig;
    begin(full, RESERVE);
    struct raw raw = join_raw(rig);
    char id[512];
    struct session_frame frame;
    assert_int_equal(rig_send(rig, "here", "1", ""), 200);
    snprintf(id, sizeof id, "%s", rig->id);
    assert_true(raw_frame_of(&raw, SESSION_PUSH, &frame));
    struct position at = frame.push.position;
    fill(full);
    assert_int_equal(rig_get(rig, "/healthz"), 200); /* alive: a supervisor must not restart it */
    assert_true(raw_ping(&raw, 7));
    struct bytebuf ack = {0};
    session_encode_ack(&ack, at);
    assert_true(raw_write(&raw, bytes_view(&ack)));
    bytes_reset(&ack);
    assert_true(rig_until(rig, is_delivered, &(struct wish){rig, id}));

    assert_int_equal(unlink(full->ballast), 0);
    assert_true(rig_until(rig, is_ready, rig)); /* by itself: nothing is sent meanwhile */
    assert_int_equal(send_next(full), 200);
    assert_int_equal(rig_send(rig, "here", "2", ""), 200);
    assert_true(raw_frame_of(&raw, SESSION_PUSH, &frame)); /* to the session that lived through all of it */
    raw_close(&raw);
    expect_all(full);
}

/* Not a block is left: writes fail in the middle. */
static void a_full_disk_loses_nothing(void **state)
{
    struct full *full = *state;
    struct rig *rig = &full->rig;
    begin(full, "0");
    struct raw raw = join_raw(rig);
    fill(full);
    assert_true(raw_ping(&raw, 8));
    for (int i = 0; i < 3 * USERS; i++) { /* small gaps may be left between refusals */
        long status = send_next(full);
        assert_true(status == 507 || status == 200);
    }
    assert_int_equal(unlink(full->ballast), 0);
    assert_true(rig_until(rig, is_ready, rig));
    for (int i = 0; i < USERS; i++)
        assert_int_equal(send_next(full), 200);
    assert_true(raw_ping(&raw, 9));
    raw_close(&raw);
    expect_all(full);
}

/* What was accepted before the disk was full survives a kill there. */
static void a_server_killed_on_a_full_disk_starts_again(void **state)
{
    struct full *full = *state;
    struct rig *rig = &full->rig;
    static const char *const args[] = {
        "--store-min-free", RESERVE, "--inbox-cap-bytes", "16MiB", "--inbox-cap-entries", "10000", NULL};
    begin(full, RESERVE);
    fill(full);
    assert_true(rig_restart(rig, SIGKILL, args));
    assert_int_equal(unlink(full->ballast), 0);
    assert_true(rig_until(rig, is_ready, rig));
    expect_all(full);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_nearly_full_disk_takes_acks, setup, teardown),
        cmocka_unit_test_setup_teardown(a_full_disk_loses_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(a_server_killed_on_a_full_disk_starts_again, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
