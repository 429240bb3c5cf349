#include "bench.h"

#include "base/rng.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define READY_SECONDS 30

static void remove_dir(const char *dir)
{
    static const char *const files[] = {"store.db",        "store.db-wal",    "store.db-shm", "registry.db",
                                        "registry.db-wal", "registry.db-shm", "admin.token",  "petreld.lock",
                                        "petreld.json",    "petreld.log"};
    char path[400];
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, files[i]);
        unlink(path);
    }
    rmdir(dir);
}

/* Dies with this program, however that ends. */
static void start(struct bench *bench)
{
    snprintf(bench->dir, sizeof bench->dir, "/tmp/petrel-bench-XXXXXX");
    if (mkdtemp(bench->dir) == NULL)
        bench_die(bench, "no temporary directory can be made: %s", strerror(errno));
    char log[300];
    snprintf(log, sizeof log, "%s/petreld.log", bench->dir);
    pid_t parent = getpid();
    bench->pid = fork();
    if (bench->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
            _exit(1);
        execl(bench->petreld, "petreld", "--data-dir", bench->dir, "--session-host", "127.0.0.1", "--session-port", "0",
              "--session-max-unauthenticated-per-address", "20000", "--api-host", "127.0.0.1", "--api-port", "0",
              "--admin-port", "0", "--shutdown-grace", "0", "--log-file", log, (char *)NULL);
        fprintf(stderr, "petrel-bench: %s can't be started: %s\n", bench->petreld, strerror(errno));
        _exit(127);
    }
    if (bench->pid < 0)
        bench_die(bench, "fork: %s", strerror(errno));
    bench->started = true;
}

static bool parse_address(const char *text, struct sockaddr_in *out)
{
    char host[64];
    unsigned port;
    if (text == NULL || sscanf(text, "%63[0-9.]:%u", host, &port) != 2)
        return false;
    *out = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    return inet_pton(AF_INET, host, &out->sin_addr) == 1;
}

/* What petreld wrote when it was up. */
static bool read_run_file(struct bench *bench)
{
    char path[300];
    snprintf(path, sizeof path, "%s/petreld.json", bench->dir);
    json_t *run = json_load_file(path, 0, NULL);
    if (run == NULL)
        return false;
    bench->pid = (pid_t)json_integer_value(json_object_get(run, "pid"));
    struct sockaddr_in admin;
    const char *admin_text = json_string_value(json_object_get(run, "admin"));
    bool whole = parse_address(json_string_value(json_object_get(run, "session")), &bench->session_address) &&
                 parse_address(json_string_value(json_object_get(run, "api")), &bench->api_address) &&
                 parse_address(admin_text, &admin);
    if (whole)
        snprintf(bench->admin_url, sizeof bench->admin_url, "http://%s", admin_text);
    json_decref(run);
    return whole;
}

static void await_ready(struct bench *bench)
{
    uint64_t deadline = bench_now_us() + READY_SECONDS * 1000000ULL;
    while (!read_run_file(bench)) {
        if (bench->started && waitpid(bench->pid, NULL, WNOHANG) == bench->pid) {
            bench->started = false;
            bench_die(bench, "petreld ended; its log is %s/petreld.log", bench->dir);
        }
        if (!bench->started || bench_now_us() > deadline)
            bench_die(bench, "no petreld is up on %s", bench->dir);
        usleep(20000);
    }
    char path[300];
    snprintf(path, sizeof path, "%s/admin.token", bench->dir);
    FILE *file = fopen(path, "re");
    if (file == NULL || fscanf(file, "%95s", bench->admin_token) != 1)
        bench_die(bench, "%s can't be read", path);
    fclose(file);
}

static size_t take_body(char *data, size_t size, size_t count, void *arg)
{
    bytes_append(arg, data, size * count);
    return size * count;
}

/* The body, NUL-terminated, of an answer that must be 2xx. */
static void admin_call(struct bench *bench, const char *method, const char *path, const char *body, struct bytebuf *out)
{
    char url[256], token[128];
    snprintf(url, sizeof url, "%s%s", bench->admin_url, path);
    snprintf(token, sizeof token, "Authorization: Bearer %s", bench->admin_token);
    CURL *curl = curl_easy_init();
    struct curl_slist *headers = curl_slist_append(NULL, token);
    headers = curl_slist_append(headers, "Content-Type: application/json");
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, 30L);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, out);
    if (body != NULL)
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
    CURLcode code = curl_easy_perform(curl);
    long status = 0;
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    curl_slist_free_all(headers);
    curl_easy_cleanup(curl);
    bytes_append(out, "", 1);
    if (code != CURLE_OK || status / 100 != 2)
        bench_die(bench, "%s %s: %s, status %ld: %s", method, path, curl_easy_strerror(code), status,
                  (const char *)out->ptr);
}

static json_t *admin_json(struct bench *bench, const char *method, const char *path, const char *body)
{
    struct bytebuf out = {0};
    admin_call(bench, method, path, body, &out);
    json_t *json = json_loads((const char *)out.ptr, 0, NULL);
    bytes_reset(&out);
    if (json == NULL)
        bench_die(bench, "%s %s: the answer is no JSON", method, path);
    return json;
}

/* A fresh app: its API key and the secret that signs its devices' tokens. */
static void make_app(struct bench *bench)
{
    uint32_t number;
    rng_secret(&number, sizeof number);
    snprintf(bench->app, sizeof bench->app, "bench-%08x", number);
    char body[64], path[96];
    snprintf(body, sizeof body, "{\"name\":\"%s\"}", bench->app);
    json_decref(admin_json(bench, "POST", "/admin/v1/apps", body));
    snprintf(path, sizeof path, "/admin/v1/apps/%s/keys", bench->app);
    json_t *key = admin_json(bench, "POST", path, "{\"label\":\"petrel-bench\"}");
    const char *text = json_string_value(json_object_get(key, "key"));
    snprintf(bench->api_key, sizeof bench->api_key, "%s", text != NULL ? text : "");
    json_decref(key);
    snprintf(path, sizeof path, "/admin/v1/apps/%s/secrets", bench->app);
    json_t *secrets = admin_json(bench, "GET", path, NULL);
    json_t *first = json_array_get(json_object_get(secrets, "secrets"), 0);
    struct bytebuf secret = {0};
    const char *secret_text = json_string_value(json_object_get(first, "secret"));
    const char *kid = json_string_value(json_object_get(first, "kid"));
    if (secret_text != NULL && kid != NULL && bytes_get_base64url(bytes_str(secret_text), &secret) == 0)
        bench->token_key = token_key_new(bytes_str(kid), bytes_view(&secret));
    bytes_reset(&secret);
    json_decref(secrets);
    if (bench->token_key == NULL)
        bench_die(bench, "the app's secret can't be used");
}

void bench_server_open(struct bench *bench)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
    if (bench->data_dir != NULL)
        snprintf(bench->dir, sizeof bench->dir, "%s", bench->data_dir);
    else
        start(bench);
    await_ready(bench);
    make_app(bench);
}

void bench_server_close(struct bench *bench)
{
    token_key_free(&bench->token_key);
    if (bench->started) {
        kill(bench->pid, SIGTERM);
        while (waitpid(bench->pid, NULL, 0) < 0 && errno == EINTR)
            ;
        remove_dir(bench->dir);
    }
    bench->started = false;
    curl_global_cleanup();
}

struct bench_usage bench_server_usage(struct bench *bench)
{
    struct bench_usage usage = {0};
    char path[64], line[256];
    snprintf(path, sizeof path, "/proc/%d/status", bench->pid);
    FILE *file = fopen(path, "re");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        unsigned long kib;
        if (sscanf(line, "VmRSS: %lu kB", &kib) == 1)
            usage.rss_bytes = kib * 1024;
    }
    if (file != NULL)
        fclose(file);
    snprintf(path, sizeof path, "/proc/%d/stat", bench->pid);
    file = fopen(path, "re");
    char text[1024];
    size_t len = file != NULL ? fread(text, 1, sizeof text - 1, file) : 0;
    if (file != NULL)
        fclose(file);
    text[len] = '\0';
    const char *rest = strrchr(text, ')'); /* the name before it may hold anything */
    unsigned long user = 0, system = 0;
    if (rest == NULL || sscanf(rest + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system) != 2)
        bench_die(bench, "the server's /proc can't be read: is it gone?");
    usage.cpu_seconds = (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
    return usage;
}

double bench_server_metric(struct bench *bench, const char *name)
{
    struct bytebuf out = {0};
    admin_call(bench, "GET", "/metrics", NULL, &out);
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
