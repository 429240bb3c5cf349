#include "system/ledger/cluster.h"

#include "lib/http_call.h"
#include "system/ledger/fault.h"
#include "system/ledger/tenant.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_MAX_LEN 1000

/* ---- commands, waited for ---- */

static void on_done(void *ctx, bool good, const char *output)
{
    struct cluster *cluster = ctx;
    cluster->good = good;
    if (!good)
        fputs(output, stdout);
}

/* An interruption ends the command, if it is one that may be ended. */
static bool run(struct cluster *cluster, bool may_end, const char *const *words)
{
    operate_begin(&cluster->operate, words, on_done, cluster);
    while (cluster->operate.busy) {
        uv_run(&cluster->ledger->loop, UV_RUN_ONCE);
        if (may_end && cluster->ledger->failure[0] != '\0') {
            may_end = false;
            operate_end(&cluster->operate);
        }
    }
    return cluster->good;
}

/* ---- what deploy/cluster keeps in the directory ---- */

uint16_t cluster_port(const struct cluster *cluster, const char *name, const char *kind)
{
    char path[TMPDIR_PATH_MAX + 16], line[LINE_MAX_LEN], its_name[32], its_kind[32];
    unsigned number, found = 0;
    snprintf(path, sizeof path, "%s/shape", cluster->dir);
    FILE *file = fopen(path, "r");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        if (sscanf(line, "%31s %31s %u", its_name, its_kind, &number) == 3 && strcmp(its_name, name) == 0 &&
            strcmp(its_kind, kind) == 0)
            found = number;
    }
    if (file != NULL)
        fclose(file);
    return (uint16_t)found;
}

static bool read_admin_token(const struct cluster *cluster, char *out, size_t size)
{
    char path[TMPDIR_PATH_MAX + 40];
    snprintf(path, sizeof path, "%s/message-1/data/admin.token", cluster->dir);
    FILE *file = fopen(path, "r");
    bool got = file != NULL && fgets(out, (int)size, file) != NULL;
    if (file != NULL)
        fclose(file);
    if (got)
        out[strcspn(out, "\r\n")] = '\0';
    return got;
}

/* ---- up ---- */

static bool choose_dir(struct cluster *cluster)
{
    const char *dir = cluster->ledger->options.dir;
    if (dir == NULL && !tmpdir_make(&cluster->tmp))
        return false;
    return (size_t)snprintf(cluster->dir, sizeof cluster->dir, "%s", dir != NULL ? dir : cluster->tmp.path) <
           sizeof cluster->dir;
}

static bool wants(const struct cluster *cluster, enum fault_victim victim)
{
    for (uint32_t i = 0; i < FAULT_COUNT; i++) {
        if ((cluster->ledger->options.faults >> i & 1) != 0 && fault_table[i].victim == victim)
            return true;
    }
    return false;
}

static bool add_links(struct cluster *cluster)
{
    bool good = true;
    for (int i = 1; i <= CLUSTER_MESSAGES && good; i++) {
        char name[CUT_NAME_MAX];
        snprintf(name, sizeof name, "message-%d", i);
        uint16_t port = cluster_port(cluster, name, "peer");
        good = cut_add(&cluster->cuts, CUT_LINK, cluster->dir, name, &port, 1);
    }
    return good;
}

static bool add_paths(struct cluster *cluster)
{
    static const char *const nodes[] = {"message-1", "session-1"};
    uint16_t ports[CLUSTER_ZOOKEEPERS];
    for (int i = 0; i < CLUSTER_ZOOKEEPERS; i++) {
        char name[CUT_NAME_MAX];
        snprintf(name, sizeof name, "zookeeper-%d", i + 1);
        ports[i] = cluster_port(cluster, name, "port");
    }
    return cut_add(&cluster->cuts, CUT_PATH, cluster->dir, nodes[0], ports, CLUSTER_ZOOKEEPERS) &&
           cut_add(&cluster->cuts, CUT_PATH, cluster->dir, nodes[1], ports, CLUSTER_ZOOKEEPERS);
}

/* The ports are known only now that it is up: who has a relay before it is started once more. */
static bool add_cuts(struct cluster *cluster)
{
    static const char *const stop[] = {"stop", "message-1", "message-2", "session-1", NULL};
    static const char *const start[] = {"start", "message-1", "message-2", "session-1", NULL};
    bool links = wants(cluster, FAULT_LINK), paths = wants(cluster, FAULT_PATH);
    if (!links && !paths)
        return true;
    return (!links || add_links(cluster)) && (!paths || add_paths(cluster)) && run(cluster, true, stop) &&
           run(cluster, true, start);
}

bool cluster_set_up(struct cluster *cluster, struct ledger *ledger, char **tokens)
{
    const char *const up[] = {"up", ledger->options.tls ? "--tls" : NULL, NULL};
    char admin[LEDGER_ADDRESS_MAX], token[100];
    *cluster = (struct cluster){.ledger = ledger};
    if (!choose_dir(cluster)) {
        ledger_fail(ledger, "no folder could be made, or its name is too long");
        return false;
    }
    operate_init(&cluster->operate, &ledger->loop, cluster->dir, ledger->options.bin);
    printf("deploy/cluster up in %s\n", cluster->dir);
    snprintf(ledger->ca, sizeof ledger->ca, "%s/tls/ca.crt", cluster->dir); /* the authority that --tls made */
    cluster->up = true;
    if (!run(cluster, true, up) || !add_cuts(cluster) || !read_admin_token(cluster, token, sizeof token)) {
        ledger_fail(ledger, "the cluster did not come up");
        return false;
    }
    for (int i = 1; i <= CLUSTER_MESSAGES; i++) {
        char name[CUT_NAME_MAX];
        snprintf(name, sizeof name, "message-%d", i);
        snprintf(ledger->apis[ledger->apis_count++], LEDGER_ADDRESS_MAX, "127.0.0.1:%u",
                 (unsigned)cluster_port(cluster, name, "api"));
    }
    snprintf(admin, sizeof admin, "127.0.0.1:%u", (unsigned)cluster_port(cluster, "message-1", "admin"));
    return tenant_set_up(ledger, admin, token, tokens);
}

/* ---- the end ---- */

static uint64_t metric_of(const char *text, const char *name)
{
    char line[80];
    snprintf(line, sizeof line, "\n%s ", name);
    const char *at = text != NULL ? strstr(text, line) : NULL;
    return at != NULL ? strtoull(at + strlen(line), NULL, 10) : 0;
}

/* Of all session nodes, each since it was started last: one that was killed has forgotten what was before. */
static void count_handshakes(const struct cluster *cluster)
{
    struct ledger *ledger = cluster->ledger;
    struct http_call call = {0};
    for (int i = 1; i <= CLUSTER_SESSIONS; i++) {
        char path[TMPDIR_PATH_MAX + 40];
        snprintf(path, sizeof path, "%s/session-%d/data/petreld.json", cluster->dir, i);
        json_t *state = json_load_file(path, 0, NULL); /* where it has its ports: the kernel chose this one */
        const char *admin = json_string_value(json_object_get(state, "admin"));
        const bool told = admin != NULL && http_call(&call, "GET", admin, "/metrics", NULL, NULL) == 200;
        json_decref(state);
        if (!told)
            continue;
        ledger->shaken_full += metric_of(call.text, "petrel_tls_handshakes_full_total");
        ledger->shaken_resumed += metric_of(call.text, "petrel_tls_handshakes_resumed_total");
    }
    http_call_reset(&call);
}

bool cluster_is_well(struct cluster *cluster)
{
    static const char *const status[] = {"status", NULL};
    bool well = run(cluster, true, status);
    if (cluster->ledger->options.tls)
        count_handshakes(cluster);
    if (!well)
        printf("the cluster is not whole at the end\n");
    return well;
}

/* A node with nothing to hide has neither failed an assertion nor been found out by a sanitizer. */
static bool log_is_clean(const struct cluster *cluster, const char *name)
{
    static const char *const complaints[] = {"assertion failed", "Sanitizer", "runtime error:"};
    char path[TMPDIR_PATH_MAX + 40], line[LINE_MAX_LEN];
    bool clean = true;
    snprintf(path, sizeof path, "%s/%s/log", cluster->dir, name);
    FILE *file = fopen(path, "r");
    while (clean && file != NULL && fgets(line, sizeof line, file) != NULL) {
        for (size_t i = 0; i < sizeof complaints / sizeof complaints[0]; i++)
            clean = clean && strstr(line, complaints[i]) == NULL;
    }
    if (!clean)
        printf("%s: %s", name, line);
    if (file != NULL)
        fclose(file);
    return clean;
}

static bool logs_are_clean(const struct cluster *cluster)
{
    bool clean = true;
    char name[CUT_NAME_MAX];
    for (int i = 1; i <= CLUSTER_MESSAGES; i++) {
        snprintf(name, sizeof name, "message-%d", i);
        clean = log_is_clean(cluster, name) && clean;
    }
    for (int i = 1; i <= CLUSTER_SESSIONS; i++) {
        snprintf(name, sizeof name, "session-%d", i);
        clean = log_is_clean(cluster, name) && clean;
    }
    return clean;
}

bool cluster_take_down(struct cluster *cluster)
{
    static const char *const down[] = {"down", NULL};
    if (!cluster->up)
        return true;
    bool ended = run(cluster, false, down);
    cluster->up = false;
    cut_reset(&cluster->cuts, cluster->dir);
    if (!ended)
        printf("the cluster did not end\n");
    return logs_are_clean(cluster) && ended;
}

void cluster_free(struct cluster *cluster, bool keep)
{
    if (cluster->dir[0] == '\0')
        return;
    if (keep || cluster->ledger->options.dir != NULL)
        printf("data and logs of the cluster are in %s\n", cluster->dir);
    else
        tmpdir_remove(&cluster->tmp);
}
