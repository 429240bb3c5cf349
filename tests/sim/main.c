/* petrel-sim: runs seeds. What it means is in tests/sim/README.md. */
#include "base/log.h"
#include "sim/sim_run.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char usage[] =
    "usage: petrel-sim [--seeds N] [--seed S] [--trace] [--verify N] [--shrink] [--plant NAME] [--keep-going] "
    "[--expect-failure]\n"
    "\n"
    "Runs the seeds S .. S+N-1 (1 .. 100) and holds each run to the promise. The first that breaks it is run again "
    "with its\n"
    "trace on standard error; then the program ends with 1.\n"
    "\n"
    "--trace           the trace of every run\n"
    "--verify N        run the first N seeds twice: both runs must be the same\n"
    "--shrink          leave out acts of the failing seed as long as it fails, and trace what is left\n"
    "--plant NAME      plant a fault in the simulated parts: prev, silent, dirty, hits\n"
    "--keep-going      a line per seed that fails, and on to the next\n"
    "--expect-failure  0 when a seed fails and 1 when none does, without its trace\n"
    "\n"
    "Exit codes: 0 the promise was kept; 1 it was not; 2 wrong usage.\n";

struct options {
    uint64_t seeds;
    uint64_t seed;
    uint64_t verify;
    bool trace;
    bool shrink;
    bool keep_going;
    bool expect_failure;
    enum sim_plant plant;
};

/* ---- options ---- */

static bool parse_number(const char *text, uint64_t *out)
{
    char *end;
    errno = 0;
    *out = strtoull(text, &end, 10);
    return errno == 0 && end != text && *end == '\0' && text[0] != '-';
}

static bool parse_plant(const char *text, enum sim_plant *out)
{
    static const char *const names[] = {"none", "prev", "silent", "dirty", "hits"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(text, names[i]) != 0)
            continue;
        *out = (enum sim_plant)i;
        return true;
    }
    return false;
}

/* Whether the argument was understood; *took: its value was, too. */
static bool parse_one(struct options *options, const char *name, const char *value, bool *took)
{
    static const struct {
        const char *name;
        size_t offset;
    } numbers[] =
        {
            {"--seeds", offsetof(struct options, seeds)},
            {"--seed", offsetof(struct options, seed)},
            {"--verify", offsetof(struct options, verify)},
        },
      flags[] = {
          {"--trace", offsetof(struct options, trace)},
          {"--shrink", offsetof(struct options, shrink)},
          {"--keep-going", offsetof(struct options, keep_going)},
          {"--expect-failure", offsetof(struct options, expect_failure)},
      };
    *took = false;
    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++) {
        if (strcmp(name, flags[i].name) == 0) {
            *(bool *)((char *)options + flags[i].offset) = true;
            return true;
        }
    }
    *took = true;
    if (value == NULL)
        return false;
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        if (strcmp(name, numbers[i].name) == 0)
            return parse_number(value, (uint64_t *)(void *)((char *)options + numbers[i].offset));
    }
    return strcmp(name, "--plant") == 0 && parse_plant(value, &options->plant);
}

static bool parse(int argc, char **argv, struct options *options)
{
    for (int i = 1; i < argc; i++) {
        bool took;
        if (!parse_one(options, argv[i], i + 1 < argc ? argv[i + 1] : NULL, &took))
            return false;
        i += took;
    }
    return options->seeds > 0;
}

/* ---- a failing seed ---- */

/* An assertion of the code under test ends the process: say which seed it was. */
static volatile uint64_t current_seed;

static void on_abort(int number)
{
    char text[64] = "petrel-sim: aborted in seed ";
    char digits[24];
    size_t len = strlen(text), count = 0;
    for (uint64_t rest = current_seed; count == 0 || rest > 0; rest /= 10)
        digits[count++] = (char)('0' + rest % 10);
    while (count > 0)
        text[len++] = digits[--count];
    text[len++] = '\n';
    ssize_t written = write(STDERR_FILENO, text, len);
    (void)written;
    signal(number, SIG_DFL);
    raise(number);
}

/* Numbers change when acts are left out. */
static bool same_failure(const char *a, const char *b)
{
    const char *digits = "0123456789";
    for (;; a++, b++) {
        a += strspn(a, digits);
        b += strspn(b, digits);
        if (*a != *b)
            return false;
        if (*a == '\0')
            return true;
    }
}

/* Leave out larger, then smaller pieces of what happens, as long as it fails in the same way. */
static void shrink(const struct sim_plan *plan, enum sim_plant what, const char *broken, bool *left_out)
{
    struct sim_result result;
    for (uint32_t piece = plan->acts_count / 2; piece > 0; piece /= 2) {
        for (uint32_t at = 0; at < plan->acts_count; at += piece) {
            bool before[SIM_ACTS_MAX];
            memcpy(before, left_out, sizeof before);
            for (uint32_t i = at; i < at + piece && i < plan->acts_count; i++)
                left_out[i] = plan->acts[i].kind != SIM_ACT_START;
            if (memcmp(before, left_out, sizeof before) == 0)
                continue;
            sim_run(plan, left_out, what, NULL, &result);
            if (!same_failure(result.broken, broken))
                memcpy(left_out, before, sizeof before);
        }
    }
}

static void show_failure(const struct sim_plan *plan, const struct options *options, const char *broken)
{
    bool left_out[SIM_ACTS_MAX] = {false};
    struct sim_result again;
    fprintf(stderr, "petrel-sim: seed %" PRIu64 ": %s\n", plan->seed, broken);
    if (options->shrink)
        shrink(plan, options->plant, broken, left_out);
    uint32_t left = 0;
    for (uint32_t i = 0; i < plan->acts_count; i++)
        left += !left_out[i];
    fprintf(stderr,
            "%u of %u acts; %u session nodes, %u message nodes, %u users, %u devices, cap %u, %s, %s, wires %s\n", left,
            plan->acts_count, plan->cluster.sessions, plan->cluster.messages, plan->users, plan->devices,
            plan->cluster.store.limits.cap_entries, plan->cluster.strict ? "strict" : "checks by themselves",
            plan->fails_over ? "the store forgets" : "the store is durable",
            plan->cluster.link.ordered ? "ordered" : "unordered");
    sim_run(plan, left_out, options->plant, stderr, &again);
    fprintf(stderr, "petrel-sim: seed %" PRIu64 ": %s\n", plan->seed, again.broken);
}

/* ---- seeds ---- */

static bool run_seed(struct sim_plan *plan, const struct options *options, uint64_t seed, struct sim_result *result)
{
    current_seed = seed;
    sim_plan_make(plan, seed);
    sim_run(plan, NULL, options->plant, options->trace ? stdout : NULL, result);
    if (result->broken[0] == '\0' && seed - options->seed < options->verify) {
        struct sim_result again;
        sim_run(plan, NULL, options->plant, NULL, &again);
        if (again.digest != result->digest)
            (void)snprintf(result->broken, sizeof result->broken, "a second run was another one");
    }
    return result->broken[0] == '\0';
}

int main(int argc, char **argv)
{
    struct options options = {.seeds = 100, .seed = 1};
    struct sim_result total = {0};
    uint64_t failed = 0;
    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        fputs(usage, stdout);
        return 0;
    }
    if (!parse(argc, argv, &options)) {
        fputs(usage, stderr);
        return 2;
    }
    log_set_level(LOG_ERROR);
    signal(SIGABRT, on_abort);
    struct sim_plan *plan = object_zalloc(sizeof *plan);
    for (uint64_t i = 0; i < options.seeds; i++) {
        struct sim_result result;
        if (!run_seed(plan, &options, options.seed + i, &result)) {
            failed++;
            if (options.keep_going) {
                printf("seed %" PRIu64 ": %s\n", options.seed + i, result.broken);
                (void)fflush(stdout);
                continue;
            }
            if (options.expect_failure)
                printf("seed %" PRIu64 ", after %" PRIu64 ": %s\n", options.seed + i, i + 1, result.broken);
            else
                show_failure(plan, &options, result.broken);
            free(plan);
            return options.expect_failure ? 0 : 1;
        }
        total.messages += result.messages;
        total.deliveries += result.deliveries;
        total.gaps += result.gaps;
        total.virtual_us += result.virtual_us;
    }
    free(plan);
    if (failed > 0) {
        printf("%" PRIu64 " of %" PRIu64 " seeds broke the promise\n", failed, options.seeds);
        return 1;
    }
    printf("%" PRIu64 " seeds from %" PRIu64 ": %u messages, %" PRIu64 " deliveries, %" PRIu64 " gaps told, %" PRIu64
           " simulated minutes; the promise was kept\n",
           options.seeds, options.seed, total.messages, total.deliveries, total.gaps,
           (uint64_t)(total.virtual_us / (60 * SIM_S)));
    return options.expect_failure ? 1 : 0;
}
