#include "lib/zookeeper_server.h"

#include "lib/child.h"
#include "lib/until.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define SERVER_CLASS "org.apache.zookeeper.server.quorum.QuorumPeerMain"
#define CLASS_PATH "/usr/share/java/zookeeper.jar"
#define START_MS 60000
#define STARTS 3 /* with other ports, if somebody was faster */
#define ANSWER_MS 2000

/* Below the range that the kernel gives out by itself, so that a server that is started again finds its port free. */
#define PORT_FIRST 20000
#define PORTS 12000

static struct sockaddr_in loopback(uint16_t port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static bool port_is_free(uint16_t port)
{
    const struct sockaddr_in address = loopback(port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool bound = fd >= 0 && bind(fd, (const struct sockaddr *)&address, sizeof address) == 0;
    if (fd >= 0)
        close(fd);
    return bound;
}

static uint16_t pick_port(void)
{
    for (int i = 0; i < 1000; i++) {
        uint16_t chance = 0;
        if (getrandom(&chance, sizeof chance, 0) != (ssize_t)sizeof chance)
            return 0;
        uint16_t port = (uint16_t)(PORT_FIRST + chance % PORTS);
        if (port_is_free(port))
            return port;
    }
    return 0;
}

static FILE *create(const struct zookeeper_server *ensemble, size_t index, const char *name)
{
    char path[TMPDIR_PATH_MAX + 32];
    snprintf(path, sizeof path, "%s/%zu%s", ensemble->tmp.path, index, name);
    return fopen(path, "w");
}

static bool configure(struct zookeeper_server *ensemble, size_t index, const uint16_t *peer_ports)
{
    char path[TMPDIR_PATH_MAX + 32];
    snprintf(path, sizeof path, "%s/%zu", ensemble->tmp.path, index);
    if (mkdir(path, 0700) != 0)
        return false;
    FILE *id = create(ensemble, index, "/myid");
    FILE *conf = create(ensemble, index, ".cfg");
    if (id != NULL)
        fprintf(id, "%zu\n", index + 1);
    if (conf != NULL) {
        fprintf(conf,
                "tickTime=200\ninitLimit=50\nsyncLimit=25\nmaxSessionTimeout=60000\ndataDir=%s\n"
                "clientPort=%u\nclientPortAddress=127.0.0.1\nadmin.enableServer=false\n"
                "4lw.commands.whitelist=srvr\nmaxClientCnxns=0\n",
                path, (unsigned)ensemble->ports[index]);
        for (size_t i = 0; i < ensemble->count && ensemble->count > 1; i++)
            fprintf(conf, "server.%zu=127.0.0.1:%u:%u\n", i + 1, (unsigned)peer_ports[2 * i],
                    (unsigned)peer_ports[2 * i + 1]);
    }
    bool done = id != NULL && conf != NULL;
    if (id != NULL)
        done = fclose(id) == 0 && done;
    if (conf != NULL)
        done = fclose(conf) == 0 && done;
    return done;
}

/* In the child, before exec. */
static void become(const struct zookeeper_server *ensemble, size_t index, pid_t parent)
{
    char conf[TMPDIR_PATH_MAX + 32];
    char log[TMPDIR_PATH_MAX + 32];
    snprintf(conf, sizeof conf, "%s/%zu.cfg", ensemble->tmp.path, index);
    snprintf(log, sizeof log, "%s/%zu.log", ensemble->tmp.path, index);
    int in = open("/dev/null", O_RDONLY);
    int out = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (in < 0 || out < 0 || getppid() != parent)
        _exit(127);
    dup2(in, STDIN_FILENO);
    dup2(out, STDOUT_FILENO);
    dup2(out, STDERR_FILENO);
    close_range(STDERR_FILENO + 1, ~0U, 0);
    /* Killed, never powered off: what was written is there again without fsync. */
    execlp("java", "java", "-Xms16m", "-Xmx64m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData",
           "-Dzookeeper.forceSync=no", "-Dzookeeper.jmx.log4j.disable=true", "-cp", CLASS_PATH, SERVER_CLASS, conf,
           (char *)NULL);
    _exit(127);
}

bool zookeeper_server_start(struct zookeeper_server *ensemble, size_t index)
{
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid == 0)
        become(ensemble, index, parent);
    ensemble->pids[index] = pid > 0 ? pid : 0;
    return pid > 0;
}

void zookeeper_server_kill(struct zookeeper_server *ensemble, size_t index)
{
    if (ensemble->pids[index] == 0)
        return;
    kill(ensemble->pids[index], SIGKILL);
    waitpid(ensemble->pids[index], NULL, 0);
    ensemble->pids[index] = 0;
}

void zookeeper_server_signal(struct zookeeper_server *ensemble, size_t index, int signal)
{
    if (ensemble->pids[index] != 0)
        (void)child_signal(ensemble->pids[index], signal);
}

bool zookeeper_server_serves(const struct zookeeper_server *ensemble, size_t index)
{
    const struct sockaddr_in address = loopback(ensemble->ports[index]);
    const struct timeval limit = {.tv_sec = ANSWER_MS / 1000};
    char answer[2048];
    size_t len = 0;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    if (connect(fd, (const struct sockaddr *)&address, sizeof address) == 0 && send(fd, "srvr", 4, MSG_NOSIGNAL) == 4) {
        ssize_t got;
        while (len < sizeof answer - 1 && (got = recv(fd, answer + len, sizeof answer - 1 - len, 0)) > 0)
            len += (size_t)got;
    }
    close(fd);
    answer[len] = '\0';
    return strstr(answer, "Mode: ") != NULL;
}

static bool all_serve_or_one_ended(void *ctx)
{
    struct zookeeper_server *ensemble = ctx;
    bool all = true;
    for (size_t i = 0; i < ensemble->count; i++) {
        if (ensemble->pids[i] == 0 || waitpid(ensemble->pids[i], NULL, WNOHANG) == ensemble->pids[i]) {
            ensemble->pids[i] = 0;
            return true;
        }
        all = all && zookeeper_server_serves(ensemble, i);
    }
    return all;
}

bool zookeeper_server_await(struct zookeeper_server *ensemble, unsigned timeout_ms)
{
    if (!until(all_serve_or_one_ended, ensemble, timeout_ms))
        return false;
    for (size_t i = 0; i < ensemble->count; i++) {
        if (ensemble->pids[i] == 0)
            return false;
    }
    return true;
}

static bool open_once(struct zookeeper_server *ensemble, size_t count)
{
    uint16_t peer_ports[2 * ZOOKEEPER_SERVERS_MAX];
    *ensemble = (struct zookeeper_server){.count = count};
    if (!tmpdir_make(&ensemble->tmp))
        return false;
    size_t len = 0;
    for (size_t i = 0; i < count; i++) {
        ensemble->ports[i] = pick_port();
        peer_ports[2 * i] = pick_port();
        peer_ports[2 * i + 1] = pick_port();
        len += (size_t)snprintf(ensemble->servers + len, sizeof ensemble->servers - len, "%s127.0.0.1:%u",
                                i > 0 ? "," : "", (unsigned)ensemble->ports[i]);
    }
    bool started = true;
    for (size_t i = 0; i < count && started; i++)
        started = configure(ensemble, i, peer_ports) && zookeeper_server_start(ensemble, i);
    return started && zookeeper_server_await(ensemble, START_MS);
}

bool zookeeper_server_open(struct zookeeper_server *ensemble, size_t count)
{
    for (int i = 0; i < STARTS; i++) {
        if (open_once(ensemble, count))
            return true;
        zookeeper_server_close(ensemble);
    }
    return false;
}

void zookeeper_server_close(struct zookeeper_server *ensemble)
{
    for (size_t i = 0; i < ensemble->count; i++)
        zookeeper_server_kill(ensemble, i);
    tmpdir_remove(&ensemble->tmp);
}
