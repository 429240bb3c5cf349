/* A checkpoint of the SQLite store: that it writes every user that was dirty, whatever their order, in slices; and what one costs, printed:
 * CPU of the store's thread and bytes that it wrote, for a user. Nothing here is held to a time.
 *
 * PETREL_STORE_COST_USERS is how many users there are: 3000, or 300000 to measure with. */
#include "contract/store_load.h"
#include "contract/store_rig.h"
#include "lib/until.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#define USERS_FEW 3000
#define INFLIGHT 256
#define DEVICE "0192f0c1-7e4a-7cc2-9d3c-1f2e3d4c5b6a"

struct binding {
    struct store_load load;
    uint64_t users;
    uint64_t attempt;
    uint64_t failed;
    bool at_random; /* the names are in no order */
    char names[INFLIGHT][32];
};

static void name_of(const struct binding *binding, uint64_t number, char name[32])
{
    const uint64_t mixed = number * UINT64_C(0x9e3779b97f4a7c15);
    if (binding->at_random)
        snprintf(name, 32, "%016" PRIx64, mixed);
    else
        snprintf(name, 32, "user-%011" PRIu64, number);
}

static bool bind_next(struct store_load *load, struct store_load_slot *slot)
{
    struct binding *binding = container_of(load, struct binding, load);
    if (load->count == binding->users)
        return false;
    char *name = binding->names[slot - load->slots];
    name_of(binding, load->count, name);
    slot->op = STORE_BIND;
    slot->request.in.bind = (struct peer_bind){.target = store_rig_target(name, DEVICE),
                                               .attempt = binding->attempt,
                                               .token_issued_ms = STORE_RIG_T0,
                                               .route = store_rig_route((uint32_t)binding->attempt),
                                               .max_entries = PEER_PAGE_MAX,
                                               .max_bytes = PEER_PAGE_BYTES};
    return true;
}

static void bind_done(struct store_load *load, struct store_load_slot *slot)
{
    container_of(load, struct binding, load)->failed += slot->request.status != 0;
}

static void bind_all(struct binding *binding, struct store_rig *rig, uint64_t attempt)
{
    binding->attempt = attempt;
    binding->load =
        (struct store_load){.store = rig->store, .inflight = INFLIGHT, .next = bind_next, .done = bind_done};
    store_load_start(&binding->load, &rig->loops, 0);
    assert_true(store_load_join(&binding->load));
    assert_int_equal(binding->failed, 0);
}

/* What the thread that is called "store" has used. */
struct used {
    uint64_t cpu_ns;
    uint64_t written;
};

static uint64_t number_in(const char *task, const char *file, const char *format)
{
    char path[300], line[256];
    uint64_t number = 0;
    snprintf(path, sizeof path, "/proc/self/task/%s/%s", task, file);
    FILE *in = fopen(path, "re");
    assert_non_null(in);
    while (fgets(line, sizeof line, in) != NULL && sscanf(line, format, &number) != 1)
        continue;
    fclose(in);
    return number;
}

static bool is_store(const char *task)
{
    char path[300], name[32] = "";
    snprintf(path, sizeof path, "/proc/self/task/%s/comm", task);
    FILE *in = fopen(path, "re");
    const bool is = in != NULL && fgets(name, sizeof name, in) != NULL && strcmp(name, "store\n") == 0;
    if (in != NULL)
        fclose(in);
    return is;
}

static struct used used(void)
{
    struct used used = {0};
    DIR *tasks = opendir("/proc/self/task");
    assert_non_null(tasks);
    for (struct dirent *task; (task = readdir(tasks)) != NULL;) {
        if (!is_store(task->d_name))
            continue;
        used.cpu_ns = number_in(task->d_name, "schedstat", "%" SCNu64);
        used.written = number_in(task->d_name, "io", "wchar: %" SCNu64);
    }
    closedir(tasks);
    return used;
}

static bool is_taken_in(void *ctx)
{
    const struct store_rig *rig = ctx;
    return metrics_get(rig->metrics, METRIC_STORE_JOURNAL_BYTES) == 0 &&
           metrics_get(rig->metrics, METRIC_STORE_CHECKPOINT_BYTES) == 0;
}

/* Two minutes without a write: a checkpoint of whatever there is. */
static void take_in(struct binding *binding, struct store_rig *rig, const char *what)
{
    const struct used before = used();
    store_rig_advance(rig, 120000);
    assert_true(until(is_taken_in, rig, 100000));
    const struct used after = used();
    print_message("%-26s %6.2f us of CPU, %6.0f bytes written a user\n", what,
                  (double)(after.cpu_ns - before.cpu_ns) / 1e3 / (double)binding->users,
                  (double)(after.written - before.written) / (double)binding->users);
}

/* The journal is empty: what is there after a restart is in the table. */
static void expect_all(struct binding *binding, struct store_rig *rig)
{
    struct peer_user user;
    char name[32];
    store_rig_reopen(rig);
    for (uint64_t i = 0; i < binding->users; i += binding->users / USERS_FEW) {
        name_of(binding, i, name);
        assert_int_equal(store_rig_user(rig, name, &user), 0);
        assert_int_equal(user.count, 1);
    }
}

static void all_are_written(void **state, bool at_random)
{
    static struct binding binding;
    struct store_rig rig;
    const char *users = getenv("PETREL_STORE_COST_USERS");
    binding = (struct binding){.at_random = at_random, .users = users != NULL ? strtoull(users, NULL, 10) : USERS_FEW};
    assert_true(binding.users >= USERS_FEW);
    store_rig_open(&rig, *state, NULL);
    bind_all(&binding, &rig, 1);
    take_in(&binding, &rig, at_random ? "new, names at random" : "new, names in order");
    bind_all(&binding, &rig, 2);
    take_in(&binding, &rig, at_random ? "again, names at random" : "again, names in order");
    expect_all(&binding, &rig);
    store_rig_close(&rig);
}

static void names_in_order(void **state)
{
    all_are_written(state, false);
}

static void names_at_random(void **state)
{
    all_are_written(state, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_in_order),
        cmocka_unit_test(names_at_random),
    };
    return store_rig_main_on("sqlite", "checkpoint of the store in SQLite", tests, sizeof tests / sizeof tests[0]);
}
