#include "lib/mariadb_server.h"

#include "lib/child.h"
#include "lib/until.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define INSTALL_MS 60000
#define STOP_MS 20000
#define GREETING_MS 100
#define STARTS 3 /* another may take the port between our look and the server's */
#define ARGS_MAX 32
#define ARG_MAX_BYTES (TMPDIR_PATH_MAX + 64)

struct args {
    const char *argv[ARGS_MAX];
    size_t count;
    char texts[ARGS_MAX][ARG_MAX_BYTES];
};

__attribute__((format(printf, 2, 3))) static void add(struct args *args, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    vsnprintf(args->texts[args->count], ARG_MAX_BYTES, format, list);
    va_end(list);
    args->argv[args->count] = args->texts[args->count];
    args->argv[++args->count] = NULL;
}

/* What the installation and the server have in common. Small files: a test reads them all. */
static void add_common(struct args *args, const struct mariadb_server *server)
{
    add(args, "--no-defaults");
    add(args, "--datadir=%s", server->data);
    add(args, "--tmpdir=%s", server->tmp.path);
    add(args, "--innodb-log-file-size=8M");
    add(args, "--innodb-buffer-pool-size=16M");
    add(args, "--skip-name-resolve");
    /* It refuses to be root unless it is told to. */
    if (geteuid() == 0)
        add(args, "--user=root");
}

static void log_path(const struct mariadb_server *server, char *out, size_t size)
{
    snprintf(out, size, "%s/server.log", server->tmp.path);
}

/* In the child, before exec. The server is in sbin, which is not on everybody's path. */
static void become(const struct mariadb_server *server, const struct args *args, pid_t parent)
{
    char path[TMPDIR_PATH_MAX + 16];
    log_path(server, path, sizeof path);
    const int in = open("/dev/null", O_RDONLY);
    const int log = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (in < 0 || log < 0 || getppid() != parent)
        _exit(127);
    dup2(in, STDIN_FILENO);
    dup2(log, STDOUT_FILENO);
    dup2(log, STDERR_FILENO);
    close_range(STDERR_FILENO + 1, ~0U, 0);
    setenv("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", 1);
    execvp(args->argv[0], (char *const *)(uintptr_t)args->argv);
    _exit(127);
}

static bool spawn(struct mariadb_server *server, const struct args *args)
{
    const pid_t parent = getpid();
    const pid_t pid = fork();
    if (pid == 0)
        become(server, args, parent);
    server->pid = pid > 0 ? pid : 0;
    return pid > 0;
}

static bool has_ended(void *ctx)
{
    struct mariadb_server *server = ctx;
    if (server->pid != 0 && waitpid(server->pid, &server->status, WNOHANG) == server->pid)
        server->pid = 0;
    return server->pid == 0;
}

static bool install(struct mariadb_server *server)
{
    struct args args = {0};
    add(&args, "%s", "mariadb-install-db");
    add_common(&args, server);
    add(&args, "--auth-root-authentication-method=normal");
    add(&args, "--skip-test-db");
    return spawn(server, &args) && until(has_ended, server, INSTALL_MS) && server->status == 0;
}

static uint16_t free_port(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (const struct sockaddr *)&at, len) != 0 ||
        getsockname(fd, (struct sockaddr *)&at, &len) != 0)
        at.sin_port = 0;
    if (fd >= 0)
        close(fd);
    return ntohs(at.sin_port);
}

bool mariadb_server_init(struct mariadb_server *server)
{
    *server = (struct mariadb_server){0};
    if (!tmpdir_make(&server->tmp))
        return false;
    snprintf(server->data, sizeof server->data, "%s/data", server->tmp.path);
    snprintf(server->socket, sizeof server->socket, "%s/sock", server->tmp.path);
    return strlen(server->socket) < sizeof((struct sockaddr_un *)NULL)->sun_path && install(server);
}

void mariadb_server_free(struct mariadb_server *server)
{
    mariadb_server_stop(server, SIGKILL, STOP_MS);
    tmpdir_remove(&server->tmp);
}

static bool greets(const struct mariadb_server *server)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    memcpy(at.sun_path, server->socket,
           strlen(server->socket) + 1); /* mariadb_server_init() has looked at its length */
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    struct pollfd greeting = {.fd = fd, .events = POLLIN};
    char first;
    const bool greeted = connect(fd, (const struct sockaddr *)&at, sizeof at) == 0 &&
                         poll(&greeting, 1, GREETING_MS) == 1 && read(fd, &first, 1) == 1;
    close(fd);
    return greeted;
}

static bool up_or_ended(void *ctx)
{
    return has_ended(ctx) || greets(ctx);
}

static bool start(struct mariadb_server *server, unsigned timeout_ms)
{
    struct args args = {0};
    add(&args, "%s", "mariadbd");
    add_common(&args, server);
    add(&args, "--socket=%s", server->socket);
    add(&args, "--pid-file=%s/pid", server->tmp.path);
    add(&args, "--bind-address=127.0.0.1");
    add(&args, "--port=%u", server->port);
    add(&args, "--performance-schema=OFF");
    add(&args, "--skip-log-bin");
    add(&args, "--max-connections=64");
    for (size_t i = 0; server->args != NULL && server->args[i] != NULL; i++)
        add(&args, "%s", server->args[i]);
    return spawn(server, &args) && until(up_or_ended, server, timeout_ms) && server->pid != 0;
}

bool mariadb_server_start(struct mariadb_server *server, unsigned timeout_ms)
{
    if (server->port != 0)
        return start(server, timeout_ms);
    for (int i = 0; i < STARTS; i++) {
        server->port = free_port();
        if (server->port != 0 && start(server, timeout_ms))
            return true;
        mariadb_server_stop(server, SIGKILL, STOP_MS);
    }
    return false;
}

bool mariadb_server_signal(struct mariadb_server *server, int signal)
{
    return !has_ended(server) && child_signal(server->pid, signal);
}

bool mariadb_server_stop(struct mariadb_server *server, int signal, unsigned timeout_ms)
{
    if (has_ended(server))
        return true;
    kill(server->pid, signal);
    kill(server->pid, SIGCONT);
    return until(has_ended, server, timeout_ms);
}

const char *mariadb_server_log_tail(const struct mariadb_server *server, char *buffer, size_t size)
{
    char path[TMPDIR_PATH_MAX + 16];
    log_path(server, path, sizeof path);
    buffer[0] = '\0';
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return buffer;
    fseek(file, 0, SEEK_END);
    const long len = ftell(file);
    fseek(file, len > (long)size - 1 ? len - ((long)size - 1) : 0, SEEK_SET);
    buffer[fread(buffer, 1, size - 1, file)] = '\0';
    fclose(file);
    return buffer;
}
