/* Other servers, started as they come, but for limits of connections and what they would write to disk. */
#include "bench_others.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define READY_SECONDS 20
#define DESCRIPTORS_SPARE 300

static const char *const folders[] = {"/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/local/bin"};

static const struct bench_other others[] = {
    {"mosquitto_qos1", "mosquitto", "-c",
     "listener %u 127.0.0.1\nallow_anonymous true\npersistence false\nlog_dest none\n"
     "set_tcp_nodelay true\nmax_queued_messages 100000\n",
     &bench_others_mqtt_qos1},
    {"mosquitto_qos0", "mosquitto", "-c",
     "listener %u 127.0.0.1\nallow_anonymous true\npersistence false\nlog_dest none\n"
     "set_tcp_nodelay true\nmax_queued_messages 100000\n",
     &bench_others_mqtt_qos0},
    {"nats", "nats-server", "-c", "host: 127.0.0.1\nport: %u\nmax_connections: 2000000\nlogfile: \"/dev/null\"\n",
     &bench_others_nats},
    {"redis_pubsub", "redis-server", NULL,
     "bind 127.0.0.1\nprotected-mode no\nport %u\nmaxclients 2000000\nsave \"\"\nappendonly no\ntcp-backlog "
     "4096\nlogfile /dev/null\n",
     &bench_others_resp},
};

const struct bench_other *bench_others_at(size_t index)
{
    return index < sizeof others / sizeof others[0] ? &others[index] : NULL;
}

static bool find_program(const struct bench_other *other, char *path, size_t size)
{
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++) {
        snprintf(path, size, "%s/%s", folders[i], other->program);
        if (access(path, X_OK) == 0)
            return true;
    }
    return false;
}

bool bench_others_is_installed(const struct bench_other *other)
{
    char path[128];
    return find_program(other, path, sizeof path);
}

uint32_t bench_others_sessions_max(void)
{
    struct rlimit limit = {0};
    (void)getrlimit(RLIMIT_NOFILE, &limit);
    const uint64_t room = limit.rlim_max > 2 * DESCRIPTORS_SPARE ? limit.rlim_max - DESCRIPTORS_SPARE : 0;
    return room < UINT32_MAX ? (uint32_t)room : UINT32_MAX;
}

static void config_path(const struct bench *bench, char *path, size_t size)
{
    snprintf(path, size, "%s/conf", bench->target.dir);
}

/* A port that is free now. */
static struct sockaddr_in free_address(struct bench *bench)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (const struct sockaddr *)&at, sizeof at) != 0 ||
        getsockname(fd, (struct sockaddr *)&at, &len) != 0)
        bench_die(bench, "no port is free: %s", strerror(errno));
    close(fd);
    return at;
}

void bench_others_configure(struct bench *bench)
{
    char path[300];
    bench->target.sessions[0] = free_address(bench);
    bench->target.sessions_count = 1;
    config_path(bench, path, sizeof path);
    FILE *file = fopen(path, "we");
    const char *config = bench->other->config, *gap = strstr(config, "%u");
    if (file == NULL || gap == NULL)
        bench_die(bench, "%s: %s", path, strerror(errno));
    fprintf(file, "%.*s%u%s", (int)(gap - config), config, ntohs(bench->target.sessions[0].sin_port), gap + 2);
    if (fclose(file) != 0)
        bench_die(bench, "%s: %s", path, strerror(errno));
}

_Noreturn void bench_others_become(const struct bench *bench)
{
    const struct bench_other *other = bench->other;
    char program[128], path[300];
    config_path(bench, path, sizeof path);
    if (find_program(other, program, sizeof program) && other->argument != NULL)
        execl(program, other->program, other->argument, path, (char *)NULL);
    else
        execl(program, other->program, path, (char *)NULL);
    fprintf(stderr, "petrel-bench: %s can't be started: %s\n", other->program, strerror(errno));
    _exit(127);
}

void bench_others_await(struct bench *bench)
{
    struct bench_target *target = &bench->target;
    const uint64_t deadline = bench_now_us() + READY_SECONDS * 1000000ULL;
    for (bool up = false; !up; usleep(20000)) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        up = fd >= 0 && connect(fd, (const struct sockaddr *)&target->sessions[0], sizeof target->sessions[0]) == 0;
        if (fd >= 0)
            close(fd);
        if (waitpid(target->processes[0].pid, NULL, WNOHANG) > 0) {
            target->started = false;
            bench_die(bench, "%s ended", bench->other->program);
        }
        if (!up && bench_now_us() > deadline)
            bench_die(bench, "%s does not listen", bench->other->program);
    }
}
