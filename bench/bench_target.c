#include "bench_target.h"

#include "bench_admin.h"
#include "bench_others.h"
#include "bench_tls.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <jansson.h>
#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define READY_SECONDS 60
#define WORDS_MAX 40 /* of a command */
/* petreld's defaults */
#define API_PORT 7480
#define ADMIN_URL "http://127.0.0.1:7481"
#define TOKEN_FILE "/var/lib/petrel/admin.token"
#define DESCRIPTORS_SPARE 1024 /* of a table: what is no session */

/* ---- a server of our own ---- */

/* No directories are in it. */
static void remove_dir(const char *dir)
{
    struct dirent **names = NULL;
    int count = scandir(dir, &names, NULL, NULL);
    for (int i = 0; i < count; i++) {
        char path[600];
        snprintf(path, sizeof path, "%s/%s", dir, names[i]->d_name);
        unlink(path);
        free(names[i]);
    }
    free(names);
    rmdir(dir);
}

/* What the server is told to hold at most: the kernel spreads connections over the loops by chance. */
static uint32_t max_sessions(const struct bench *bench)
{
    const uint32_t sessions = bench->options.sessions + bench->options.stay;
    return sessions + sessions / (bench->storms ? 1 : 4) + 1000;
}

/* Loops, or threads, for so many sessions: one per core, and more where a table of descriptors is short. */
static uint32_t loops_of(const struct bench *bench, bool *own_tables)
{
    struct rlimit limit = {0};
    (void)getrlimit(RLIMIT_NOFILE, &limit);
    const uint64_t room =
        limit.rlim_max > 2 * DESCRIPTORS_SPARE ? limit.rlim_max - DESCRIPTORS_SPARE : DESCRIPTORS_SPARE;
    const uint64_t sessions = max_sessions(bench);
    uint64_t loops = (uint64_t)sysconf(_SC_NPROCESSORS_ONLN);
    *own_tables = sessions > room;
    if (loops < (sessions + room - 1) / room)
        loops = (sessions + room - 1) / room;
    return bench->options.loops > 0 ? bench->options.loops : (uint32_t)loops;
}

struct certificate {
    char cert[300];
    char key[300];
};

/* Of a server that is started; ends this process, which is to become one, where none can be made. */
static void certify(const struct bench *bench, struct certificate *made)
{
    snprintf(made->cert, sizeof made->cert, "%s/tls.crt", bench->target.dir);
    snprintf(made->key, sizeof made->key, "%s/tls.key", bench->target.dir);
    if (bench_tls_certify(made->cert, made->key))
        return;
    fprintf(stderr, "petrel-bench: no certificate can be made in %s: %s\n", bench->target.dir, strerror(errno));
    _exit(127);
}

static size_t add_option(const char **words, size_t count, const char *flag, const char *value)
{
    words[count] = flag;
    words[count + 1] = value;
    return count + 2;
}

static _Noreturn void become_petreld(const struct bench *bench, uint32_t loops)
{
    struct certificate certificate;
    char log[300], loops_text[16], sessions_text[16];
    snprintf(log, sizeof log, "%s/petreld.log", bench->target.dir);
    snprintf(loops_text, sizeof loops_text, "%u", loops);
    snprintf(sessions_text, sizeof sessions_text, "%u", max_sessions(bench));
    const char *const always[] = {"petreld",
                                  "--user", /* started by root it may stay root: it lives for this run only */
                                  "root",
                                  "--data-dir",
                                  bench->target.dir,
                                  "--loops",
                                  loops_text,
                                  "--session-host",
                                  "127.0.0.1",
                                  "--session-port",
                                  "0",
                                  "--session-max-sessions",
                                  sessions_text,
                                  "--session-max-unauthenticated-per-address",
                                  "20000",
                                  "--session-address-connects-per-second",
                                  "0", /* all devices are on this machine */
                                  "--api-host",
                                  "127.0.0.1",
                                  "--api-port",
                                  "0",
                                  "--admin-port",
                                  "0",
                                  "--shutdown-grace",
                                  "0",
                                  "--log-file",
                                  log};
    const char *words[WORDS_MAX] = {0};
    size_t count = sizeof always / sizeof always[0];
    memcpy(words, always, sizeof always);
    if (bench->soaks)
        count = add_option(words, count, "--inbox-fate", "60s");
    if (bench->options.tls) {
        certify(bench, &certificate);
        count = add_option(words, count, "--tls-cert", certificate.cert);
        count = add_option(words, count, "--tls-key", certificate.key);
    }
    execv(bench->options.petreld, (char *const *)(uintptr_t)words);
    fprintf(stderr, "petrel-bench: %s can't be started: %s\n", bench->options.petreld, strerror(errno));
    _exit(127);
}

static _Noreturn void become_limit(const struct bench *bench, uint32_t threads, bool own_tables)
{
    struct certificate certificate;
    char threads_text[16];
    snprintf(threads_text, sizeof threads_text, "%u", threads);
    if (bench->options.tls)
        certify(bench, &certificate);
    execl(bench->options.limit, "petrel-limit", threads_text, own_tables ? "own" : "shared", bench->target.dir,
          bench->options.tls ? certificate.cert : NULL, certificate.key, (char *)NULL);
    fprintf(stderr, "petrel-bench: %s can't be started: %s\n", bench->options.limit, strerror(errno));
    _exit(127);
}

/* Dies with this program, however that ends. */
static void start(struct bench *bench)
{
    struct bench_target *target = &bench->target;
    bool own_tables;
    const uint32_t loops = loops_of(bench, &own_tables);
    snprintf(target->dir, sizeof target->dir, "/tmp/petrel-bench-XXXXXX");
    if (mkdtemp(target->dir) == NULL)
        bench_die(bench, "no temporary directory can be made: %s", strerror(errno));
    if (bench->server == BENCH_OTHER)
        bench_others_configure(bench);
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
            _exit(1);
        if (bench->server == BENCH_LIMIT)
            become_limit(bench, loops, own_tables);
        if (bench->server == BENCH_OTHER)
            bench_others_become(bench);
        become_petreld(bench, loops);
    }
    if (pid < 0)
        bench_die(bench, "fork: %s", strerror(errno));
    target->started = true;
    target->processes[0] = (struct bench_process){.pid = pid};
    snprintf(target->processes[0].kind, BENCH_KIND_MAX, "server");
    target->processes_count = 1;
}

/* ---- what a node wrote when it was up ---- */

static bool parse_address(const char *text, struct sockaddr_in *out)
{
    char host[64];
    unsigned port;
    if (text == NULL || sscanf(text, "%63[0-9.]:%u", host, &port) != 2)
        return false;
    *out = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    return inet_pton(AF_INET, host, &out->sin_addr) == 1;
}

static void add_address(const char *text, struct sockaddr_in *addresses, size_t *count)
{
    if (*count < BENCH_ADDRESSES_MAX && parse_address(text, &addresses[*count]))
        ++*count;
}

/* Adds the node of this data directory to the target: its listeners, its process. false: none is up there. */
static bool add_node(struct bench_target *target, const char *data_dir, const char *kind)
{
    char path[400];
    snprintf(path, sizeof path, "%s/petreld.json", data_dir);
    json_t *run = json_load_file(path, 0, NULL);
    if (run == NULL)
        return false;
    add_address(json_string_value(json_object_get(run, "session")), target->sessions, &target->sessions_count);
    const size_t apis = target->apis_count;
    const char *admin = json_string_value(json_object_get(run, "admin"));
    add_address(json_string_value(json_object_get(run, "api")), target->apis, &target->apis_count);
    /* The registry is where the send API is. */
    if (admin != NULL && target->apis_count > apis && target->admin_url[0] == '\0') {
        snprintf(target->admin_url, sizeof target->admin_url, "http://%s", admin);
        snprintf(path, sizeof path, "%s/admin.token", data_dir);
        FILE *file = fopen(path, "re");
        if (file == NULL || fscanf(file, "%95s", target->admin_token) != 1)
            target->admin_token[0] = '\0';
        if (file != NULL)
            fclose(file);
    }
    if (!target->started && target->processes_count < BENCH_PROCESSES_MAX) {
        struct bench_process *process = &target->processes[target->processes_count++];
        snprintf(process->kind, sizeof process->kind, "%s", kind);
        process->pid = (pid_t)json_integer_value(json_object_get(run, "pid"));
    }
    json_decref(run);
    return true;
}

static void open_one(struct bench *bench)
{
    struct bench_target *target = &bench->target;
    if (bench->options.data_dir != NULL)
        snprintf(target->dir, sizeof target->dir, "%s", bench->options.data_dir);
    else
        start(bench);
    uint64_t deadline = bench_now_us() + READY_SECONDS * 1000000ULL;
    while (!add_node(target, target->dir, "petreld")) {
        if (target->started && waitpid(target->processes[0].pid, NULL, WNOHANG) > 0) {
            target->started = false;
            bench_die(bench, "petreld ended; its log is %s/petreld.log", target->dir);
        }
        if (!target->started || bench_now_us() > deadline)
            bench_die(bench, "no petreld is up on %s", target->dir);
        usleep(20000);
    }
}

/* ---- a server that runs ---- */

static void resolve(struct bench *bench, const char *text, struct sockaddr_in *out)
{
    char host[256];
    const char *colon = strrchr(text, ':');
    const struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    snprintf(host, sizeof host, "%.*s", colon != NULL ? (int)(colon - text) : 0, text);
    if (host[0] == '\0' || getaddrinfo(host, colon + 1, &hints, &found) != 0)
        bench_die(bench, "%s: not an IPv4 address or a name of one, and a port", text);
    memcpy(out, found->ai_addr, sizeof *out);
    freeaddrinfo(found);
}

static void open_running(struct bench *bench)
{
    const struct bench_options *options = &bench->options;
    struct bench_target *target = &bench->target;
    const char *path = options->token_file != NULL ? options->token_file : TOKEN_FILE;
    resolve(bench, options->server, &target->sessions[target->sessions_count++]);
    target->apis[0] = target->sessions[0];
    target->apis[0].sin_port = htons(API_PORT);
    if (options->api != NULL)
        resolve(bench, options->api, &target->apis[0]);
    target->apis_count = 1;
    snprintf(target->admin_url, sizeof target->admin_url, "%s",
             options->admin_url != NULL ? options->admin_url : ADMIN_URL);
    FILE *file = fopen(path, "re");
    if (file == NULL || fscanf(file, "%95s", target->admin_token) != 1)
        bench_die(bench, "%s: no admin token can be read: %s", path, strerror(errno));
    fclose(file);
    if (options->server_pid > 0)
        target->processes[target->processes_count++] =
            (struct bench_process){.kind = "petreld", .pid = (pid_t)options->server_pid};
    snprintf(target->dir, sizeof target->dir, "%s", options->server);
}

/* ---- a cluster ---- */

/* "redis-3" is of the kind redis. */
static void add_member(struct bench *bench, const char *name)
{
    struct bench_target *target = &bench->target;
    char path[600], kind[BENCH_KIND_MAX];
    snprintf(kind, sizeof kind, "%.*s", (int)strcspn(name, "-"), name);
    snprintf(path, sizeof path, "%s/%s/data", target->dir, name);
    if (strcmp(kind, "message") == 0 || strcmp(kind, "session") == 0) {
        if (!add_node(target, path, kind))
            bench_die(bench, "%s of the cluster in %s is not up", name, target->dir);
        return;
    }
    snprintf(path, sizeof path, "%s/%s/pid", target->dir, name);
    FILE *file = fopen(path, "re");
    int pid = 0;
    if (file == NULL || fscanf(file, "%d", &pid) != 1)
        pid = 0;
    if (file != NULL)
        fclose(file);
    if (pid > 0 && target->processes_count < BENCH_PROCESSES_MAX) {
        struct bench_process *process = &target->processes[target->processes_count++];
        snprintf(process->kind, sizeof process->kind, "%s", kind);
        process->pid = pid;
    }
}

static void open_cluster(struct bench *bench)
{
    struct bench_target *target = &bench->target;
    snprintf(target->dir, sizeof target->dir, "%s", bench->options.cluster);
    struct dirent **names = NULL;
    int count = scandir(target->dir, &names, NULL, alphasort);
    if (count < 0)
        bench_die(bench, "%s: %s", target->dir, strerror(errno));
    for (int i = 0; i < count; i++) {
        char path[600];
        struct stat info;
        snprintf(path, sizeof path, "%s/%s/pid", target->dir, names[i]->d_name);
        if (stat(path, &info) == 0)
            add_member(bench, names[i]->d_name);
        free(names[i]);
    }
    free(names);
}

/* petrel-limit has no apps and checks no token; the clients make theirs all the same. Its metrics are where sends go. */
static void make_pretence(struct bench *bench)
{
    struct bench_target *target = &bench->target;
    static const uint8_t secret[TOKEN_SECRET_BYTES] = {1};
    snprintf(target->app, sizeof target->app, "bench-00000000");
    snprintf(target->api_key, sizeof target->api_key, "pk_0000000000000000_%043d", 0);
    snprintf(target->admin_url, sizeof target->admin_url, "http://127.0.0.1:%u", ntohs(target->apis[0].sin_port));
    target->token_key = token_key_new(bytes_str("k"), bytes_of(secret, sizeof secret));
    if (target->token_key == NULL)
        bench_die(bench, "no token key can be made");
}

void bench_target_open(struct bench *bench)
{
    struct bench_target *target = &bench->target;
    if (bench->server == BENCH_OTHER) {
        start(bench);
        bench_others_await(bench);
        return;
    }
    if (bench->options.cluster != NULL)
        open_cluster(bench);
    else if (bench->options.server != NULL)
        open_running(bench);
    else
        open_one(bench);
    if (bench->server == BENCH_LIMIT) {
        make_pretence(bench);
        return;
    }
    if (target->sessions_count == 0 || target->apis_count == 0 || target->admin_token[0] == '\0')
        bench_die(bench, "%s has no listeners for sessions, sends and the admin API, or admin.token can't be read",
                  target->dir);
    bench_admin_make_app(bench);
}

void bench_target_close(struct bench_target *target)
{
    token_key_free(&target->token_key);
    if (target->started) {
        kill(target->processes[0].pid, SIGTERM);
        while (waitpid(target->processes[0].pid, NULL, 0) < 0 && errno == EINTR)
            ;
        remove_dir(target->dir);
    }
    memset(target, 0, sizeof *target);
}

/* ---- what it costs ---- */

static double cpu_of(struct bench *bench, pid_t pid)
{
    char path[64], text[1024];
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    FILE *file = fopen(path, "re");
    size_t len = file != NULL ? fread(text, 1, sizeof text - 1, file) : 0;
    if (file != NULL)
        fclose(file);
    text[len] = '\0';
    const char *rest = strrchr(text, ')'); /* the name before it may hold anything */
    unsigned long user = 0, system = 0;
    if (rest == NULL || sscanf(rest + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system) != 2)
        bench_die(bench, "a server's /proc can't be read: is it gone?");
    return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

static uint64_t rss_of(pid_t pid)
{
    char path[64], line[256];
    uint64_t bytes = 0;
    snprintf(path, sizeof path, "/proc/%d/status", pid);
    FILE *file = fopen(path, "re");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        unsigned long kib;
        if (sscanf(line, "VmRSS: %lu kB", &kib) == 1)
            bytes = (uint64_t)kib * 1024;
    }
    if (file != NULL)
        fclose(file);
    return bytes;
}

struct bench_usage bench_target_usage(struct bench *bench, const char *kind)
{
    struct bench_usage usage = {0};
    for (size_t i = 0; i < bench->target.processes_count; i++) {
        const struct bench_process *process = &bench->target.processes[i];
        if (kind != NULL && strcmp(process->kind, kind) != 0)
            continue;
        usage.rss_bytes += rss_of(process->pid);
        usage.cpu_seconds += cpu_of(bench, process->pid);
    }
    return usage;
}

struct bench_snapshot bench_target_snapshot(struct bench *bench)
{
    struct bench_snapshot snapshot = {0};
    for (size_t i = 0; i < bench->target.processes_count; i++)
        snapshot.cpu_seconds[i] = cpu_of(bench, bench->target.processes[i].pid);
    return snapshot;
}

void bench_target_figures(struct bench *bench, const struct bench_snapshot *before, double count)
{
    const struct bench_target *target = &bench->target;
    struct bench_snapshot now = bench_target_snapshot(bench);
    double all = 0;
    for (size_t i = 0; i < target->processes_count; i++) {
        const char *kind = target->processes[i].kind;
        all += now.cpu_seconds[i] - before->cpu_seconds[i];
        double sum = 0;
        bool first = true;
        for (size_t k = 0; k < target->processes_count; k++) {
            if (strcmp(target->processes[k].kind, kind) != 0)
                continue;
            first = first && k >= i;
            sum += now.cpu_seconds[k] - before->cpu_seconds[k];
        }
        char name[BENCH_NAME_MAX];
        snprintf(name, sizeof name, "%s_cpu_s_per_million", kind);
        if (first && target->processes_count > 1)
            bench_figure(bench, name, sum * 1e6 / count, 1);
    }
    bench_figure(bench, "server_cpu_s_per_million", all * 1e6 / count, 1);
}

double bench_target_metric(struct bench *bench, const char *name)
{
    if (bench->server == BENCH_OTHER)
        return 0;
    struct bytebuf out = {0};
    bench_admin_get(bench, "/metrics", &out);
    double value = 0;
    size_t len = strlen(name);
    for (const char *line = (const char *)out.ptr; line != NULL && *line != '\0';) {
        if (strncmp(line, name, len) == 0 && line[len] == ' ')
            value = strtod(line + len, NULL);
        line = strchr(line, '\n');
        line = line != NULL ? line + 1 : NULL;
    }
    bytes_reset(&out);
    return value;
}
