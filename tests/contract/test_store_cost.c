/* What each operation of the Redis store costs its server: CPU of redis-server per call, printed. Nothing here is held to a time.
 *
 * PETREL_STORE_COST_USERS is how many users there are, each with one device and one message: 500, or 20000 to measure with. */
#include "contract/store_load.h"
#include "contract/store_rig_redis.h"
#include "wire/peer_check.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define USERS_FEW 500
#define INFLIGHT 256

struct costing {
    struct store_load load;
    enum store_op op;
    uint64_t users;
    uint64_t failed;
    struct position *at; /* of each user's message */
    char names[INFLIGHT][24];
    struct bytebuf entries[INFLIGHT]; /* of a check */
};

static const char message[100] = "a message of a hundred bytes";

/* One entry a request: what each costs on its own server is what is asked. */
static void fill_check(struct bytebuf *entries, struct store_request *request, const struct peer_check *check)
{
    entries->len = 0;
    peer_check_put(entries, check);
    request->in.check = (struct peer_checks){check->route, 1, bytes_view(entries)};
}

static void fill(struct costing *costing, struct store_request *request, uint64_t number, const char *user,
                 struct bytebuf *entries)
{
    const struct peer_target target = store_rig_target(user, "0192f0c1-7e4a-7cc2-9d3c-1f2e3d4c5b6a");
    const struct position at = costing->at[number];
    switch (costing->op) {
    case STORE_BIND:
        request->in.bind = (struct peer_bind){.target = target,
                                              .attempt = 1,
                                              .token_issued_ms = STORE_RIG_T0,
                                              .route = store_rig_route((uint32_t)number),
                                              .max_entries = PEER_PAGE_MAX,
                                              .max_bytes = PEER_PAGE_BYTES};
        return;
    case STORE_APPEND:
        request->in.append = (struct peer_send){.target = {.app = target.app, .user = target.user},
                                                .id = store_rig_id(user),
                                                .message = buf_copy(bytes_of(message, sizeof message)),
                                                .priority = PEER_PRIORITY_NORMAL,
                                                .expires_ms = STORE_RIG_T0 + STORE_RIG_DAY};
        return;
    case STORE_FETCH:
        request->in.fetch = (struct peer_fetch){.target = target,
                                                .position = {at.epoch, at.seq - 1},
                                                .max_entries = PEER_PAGE_MAX,
                                                .max_bytes = PEER_PAGE_BYTES};
        return;
    case STORE_ACK:
        request->in.ack = (struct peer_ack){.target = target, .position = at};
        return;
    default:
        fill_check(entries, request, &(struct peer_check){target, at, store_rig_route((uint32_t)number), 1, 0});
    }
}

static bool cost_next(struct store_load *load, struct store_load_slot *slot)
{
    struct costing *costing = container_of(load, struct costing, load);
    if (load->count == costing->users)
        return false;
    const size_t index = (size_t)(slot - load->slots);
    char *name = costing->names[index];
    snprintf(name, sizeof costing->names[0], "user-%08" PRIu64, load->count);
    slot->op = costing->op;
    fill(costing, &slot->request, load->count, name, &costing->entries[index]);
    return true;
}

static void cost_done(struct store_load *load, struct store_load_slot *slot)
{
    struct costing *costing = container_of(load, struct costing, load);
    costing->failed += slot->request.status != 0;
    if (costing->op == STORE_APPEND) {
        buf_unref(slot->request.in.append.message);
        costing->at[slot->number] = slot->request.out.append.sent.position;
    } else if (costing->op == STORE_CHECK) {
        costing->failed += slot->request.out.checked->count != 0;
    }
}

/* Nanoseconds that the server's main thread has run. */
static uint64_t cpu_of(const struct redis_server *server)
{
    char path[64];
    uint64_t ns = 0;
    snprintf(path, sizeof path, "/proc/%d/task/%d/schedstat", (int)server->pid, (int)server->pid);
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%" SCNu64, &ns), 1);
    fclose(file);
    return ns;
}

static void each_operation_has_its_cost(void **state)
{
    static const struct {
        const char *name;
        enum store_op op;
    } steps[] = {{"bind", STORE_BIND},
                 {"append", STORE_APPEND},
                 {"fetch", STORE_FETCH},
                 {"check", STORE_CHECK},
                 {"ack", STORE_ACK}};
    static struct costing costing;
    struct store_rig rig;
    const char *users = getenv("PETREL_STORE_COST_USERS");
    store_rig_open(&rig, *state, NULL);
    const struct redis_server *server = store_rig_redis_owner(&rig, "user-00000000");
    costing.users = users != NULL ? strtoull(users, NULL, 10) : USERS_FEW;
    assert_true(costing.users > 0);
    costing.at = object_zalloc(costing.users * sizeof *costing.at);
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        costing.op = steps[i].op;
        costing.load =
            (struct store_load){.store = rig.store, .inflight = INFLIGHT, .next = cost_next, .done = cost_done};
        const uint64_t before = cpu_of(server);
        store_load_start(&costing.load, &rig.loops, 0);
        assert_true(store_load_join(&costing.load));
        print_message("%-6s %5.1f us of redis-server a call, %" PRIu64 " calls\n", steps[i].name,
                      (double)(cpu_of(server) - before) / 1e3 / (double)costing.users, costing.users);
        assert_int_equal(costing.failed, 0);
    }
    free(costing.at);
    for (size_t i = 0; i < INFLIGHT; i++)
        bytes_reset(&costing.entries[i]);
    store_rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_operation_has_its_cost),
    };
    return store_rig_main_on("redis", "cost of the store on Redis", tests, sizeof tests / sizeof tests[0]);
}
