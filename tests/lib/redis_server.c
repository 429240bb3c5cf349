#include "lib/redis_server.h"

#include "lib/child.h"
#include "lib/until.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define WAIT_MS 30000
#define START_TRIES 8

/* Below the range from which the kernel takes ports of outgoing connections: a server that restarts finds its own again. */
#define PORT_FIRST 12000
#define PORT_COUNT 18000

static struct sockaddr_in loopback(uint16_t port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static bool port_is_free(uint16_t port)
{
    const struct sockaddr_in address = loopback(port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool is_free = fd >= 0 && bind(fd, (const struct sockaddr *)&address, sizeof address) == 0;
    if (fd >= 0)
        close(fd);
    return is_free;
}

static uint16_t free_port(void)
{
    for (;;) {
        uint16_t chance;
        if (getrandom(&chance, sizeof chance, 0) != (ssize_t)sizeof chance)
            return 0;
        uint16_t port = (uint16_t)(PORT_FIRST + chance % PORT_COUNT);
        if (port_is_free(port))
            return port;
    }
}

/* In the child, before exec. */
static void become(const struct redis_server *server, const char *const *argv, pid_t parent)
{
    int in = open("/dev/null", O_RDONLY | O_CLOEXEC);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (in < 0 || chdir(server->tmp.path) != 0 || getppid() != parent)
        _exit(127);
    int log = open("redis.log", O_WRONLY | O_CREAT | O_APPEND, 0600);
    dup2(in, STDIN_FILENO);
    dup2(log, STDOUT_FILENO);
    dup2(log, STDERR_FILENO);
    close_range(STDERR_FILENO + 1, ~0U, 0);
    execvp(argv[0], (char *const *)(uintptr_t)argv);
    _exit(127);
}

static bool spawn(struct redis_server *server)
{
    char port[8], bus_port[8], tls_port[8];
    snprintf(port, sizeof port, "%u", server->port);
    snprintf(bus_port, sizeof bus_port, "%u", server->bus_port);
    snprintf(tls_port, sizeof tls_port, "%u", server->tls_port);
    const char *argv[48 + REDIS_SERVER_ARGS_MAX] = {"redis-server",
                                                    "--port",
                                                    port,
                                                    "--bind",
                                                    "127.0.0.1",
                                                    "--dir",
                                                    server->tmp.path,
                                                    "--appendonly",
                                                    "yes",
                                                    "--save",
                                                    "",
                                                    "--repl-diskless-sync-delay",
                                                    "0"};
    static const char *const cluster_args[] = {"--cluster-enabled", "yes", "--cluster-node-timeout", "1500",
                                               "--cluster-port"};
    size_t count = 13;
    for (size_t i = 0; server->bus_port != 0 && i < sizeof cluster_args / sizeof cluster_args[0]; i++)
        argv[count++] = cluster_args[i];
    if (server->bus_port != 0)
        argv[count++] = bus_port;
    if (server->tls != NULL) {
        const char *const tls_args[] = {"--tls-port",      tls_port,          "--tls-ca-cert-file", server->tls->ca,
                                        "--tls-cert-file", server->tls->cert, "--tls-key-file",     server->tls->key};
        memcpy(argv + count, tls_args, sizeof tls_args);
        count += sizeof tls_args / sizeof tls_args[0];
    }
    for (size_t i = 0; server->args[i] != NULL; i++)
        argv[count++] = server->args[i];
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid == 0)
        become(server, argv, parent);
    server->pid = pid > 0 ? pid : 0;
    return pid > 0;
}

static bool has_ended(struct redis_server *server)
{
    if (server->pid != 0 && waitpid(server->pid, NULL, WNOHANG) == server->pid)
        server->pid = 0;
    return server->pid == 0;
}

static bool up_or_ended(void *ctx)
{
    struct redis_server *server = ctx;
    char reply[REDIS_SERVER_REPLY_MAX];
    /* It may also be another process that answers on a port that this one could not have. */
    return has_ended(server) || (redis_server_command(server, reply, "PING") &&
                                 redis_server_info(server, "process_id") == (long)server->pid);
}

static bool read_id(struct redis_server *server)
{
    char reply[REDIS_SERVER_REPLY_MAX];
    return redis_server_command(server, reply, "CLUSTER MYID") &&
           snprintf(server->id, sizeof server->id, "%.40s", reply) == 40;
}

static bool start(struct redis_server *server, bool cluster)
{
    if (!tmpdir_make(&server->tmp))
        return false;
    /* Another process may take a port between our look at it and the server's. */
    for (int tries = 0; tries < START_TRIES; tries++) {
        server->port = free_port();
        server->bus_port = cluster ? free_port() : 0;
        server->tls_port = server->tls != NULL ? free_port() : 0;
        if (spawn(server) && until(up_or_ended, server, WAIT_MS) && server->pid != 0)
            return !cluster || read_id(server);
    }
    return false;
}

bool redis_server_start(struct redis_server *server, bool cluster, const char *const *args)
{
    *server = (struct redis_server){0};
    for (size_t i = 0; args != NULL && args[i] != NULL && i < REDIS_SERVER_ARGS_MAX; i++)
        server->args[i] = args[i];
    return start(server, cluster);
}

bool redis_server_start_tls(struct redis_server *server, const struct redis_server_tls *tls)
{
    *server = (struct redis_server){.tls = tls};
    return start(server, false);
}

bool redis_server_restart(struct redis_server *server)
{
    return server->pid == 0 && spawn(server) && until(up_or_ended, server, WAIT_MS) && server->pid != 0;
}

void redis_server_kill(struct redis_server *server)
{
    if (server->pid == 0)
        return;
    kill(server->pid, SIGKILL);
    while (waitpid(server->pid, NULL, 0) < 0 && errno == EINTR) {
    }
    server->pid = 0;
}

void redis_server_signal(const struct redis_server *server, int signal)
{
    if (server->pid != 0)
        (void)child_signal(server->pid, signal);
}

void redis_server_free(struct redis_server *server)
{
    redis_server_kill(server);
    tmpdir_remove(&server->tmp);
}

static FILE *open_connection(const struct redis_server *server)
{
    const struct sockaddr_in address = loopback(server->port);
    const struct timeval patience = {.tv_sec = 5};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return NULL;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    FILE *file = connect(fd, (const struct sockaddr *)&address, sizeof address) == 0 ? fdopen(fd, "r+") : NULL;
    if (file == NULL)
        close(fd);
    return file;
}

static void add(char *reply, const char *text, size_t len)
{
    size_t used = strlen(reply);
    if (used + len + 2 > REDIS_SERVER_REPLY_MAX)
        return;
    memcpy(reply + used, text, len);
    memcpy(reply + used + len, "\n", 2);
}

static bool read_bulk(FILE *file, char *reply, size_t len)
{
    char *text = malloc(len + 2);
    bool whole = text != NULL && fread(text, 1, len + 2, file) == len + 2;
    if (whole)
        add(reply, text, len);
    free(text);
    return whole;
}

/* One reply, flattened. */
static bool read_reply(FILE *file, char *reply)
{
    size_t more = 1;
    bool good = true;
    char line[4096];
    while (more > 0) {
        if (fgets(line, sizeof line, file) == NULL)
            return false;
        more--;
        line[strcspn(line, "\r\n")] = '\0';
        long number = strtol(line + 1, NULL, 10);
        if (line[0] == '*')
            more += number > 0 ? (size_t)number : 0;
        else if (line[0] == '$' && number >= 0)
            good = read_bulk(file, reply, (size_t)number) && good;
        else if (line[0] == '$' || line[0] == '_')
            add(reply, "", 0);
        else
            add(reply, line[0] == '-' ? line : line + 1, strlen(line) - (line[0] != '-'));
        good = good && line[0] != '-';
    }
    return good;
}

bool redis_server_command(const struct redis_server *server, char *reply, const char *format, ...)
{
    char text[REDIS_SERVER_REPLY_MAX] = "";
    FILE *file = open_connection(server);
    if (file == NULL)
        return false;
    va_list args;
    va_start(args, format);
    vfprintf(file, format, args);
    va_end(args);
    fputs("\r\n", file);
    bool good = fflush(file) == 0 && read_reply(file, text);
    fclose(file);
    size_t len = strlen(text);
    if (len > 0 && text[len - 1] == '\n')
        text[len - 1] = '\0';
    strcpy(reply, text);
    return good;
}

long redis_server_info(const struct redis_server *server, const char *field)
{
    char reply[REDIS_SERVER_REPLY_MAX];
    char wanted[64];
    snprintf(wanted, sizeof wanted, "\n%s:", field);
    const char *at = redis_server_command(server, reply, "INFO") ? strstr(reply, wanted) : NULL;
    return at != NULL ? strtol(at + strlen(wanted), NULL, 10) : -1;
}

long redis_server_calls(const struct redis_server *server, const char *command)
{
    char reply[REDIS_SERVER_REPLY_MAX];
    char wanted[64];
    snprintf(wanted, sizeof wanted, "\ncmdstat_%s:calls=", command);
    const char *at = redis_server_command(server, reply, "INFO commandstats") ? strstr(reply, wanted) : NULL;
    return at != NULL ? strtol(at + strlen(wanted), NULL, 10) : 0;
}

bool redis_server_is_master(const struct redis_server *server)
{
    char reply[REDIS_SERVER_REPLY_MAX];
    return redis_server_command(server, reply, "ROLE") && strncmp(reply, "master", 6) == 0;
}

static bool is_synced(void *ctx)
{
    char reply[REDIS_SERVER_REPLY_MAX];
    return redis_server_command(ctx, reply, "INFO replication") && strstr(reply, "master_link_status:up") != NULL;
}

bool redis_server_wait_synced(const struct redis_server *replica)
{
    return until(is_synced, (void *)(uintptr_t)replica, WAIT_MS);
}
