#include "lib/daemon.h"

#include "lib/until.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <jansson.h>

#define STOP_MS 10000

bool daemon_init(struct daemon *daemon)
{
    *daemon = (struct daemon){0};
    if (!tmpdir_make(&daemon->tmp))
        return false;
    snprintf(daemon->data_dir, sizeof daemon->data_dir, "%s/data", daemon->tmp.path);
    return true;
}

void daemon_free(struct daemon *daemon)
{
    daemon_stop(daemon, SIGKILL, STOP_MS);
    tmpdir_remove(&daemon->tmp);
}

static void log_path(const struct daemon *daemon, char *out, size_t size)
{
    snprintf(out, size, "%s/petreld.log", daemon->tmp.path);
}

/* In the child, before exec. */
static void become(const struct daemon *daemon, const char *const *argv, pid_t parent)
{
    char path[TMPDIR_PATH_MAX + 16];
    log_path(daemon, path, sizeof path);
    int in = open("/dev/null", O_RDONLY);
    int log = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (in < 0 || log < 0 || getppid() != parent)
        _exit(127);
    dup2(in, STDIN_FILENO);
    dup2(log, STDOUT_FILENO);
    dup2(log, STDERR_FILENO);
    close_range(STDERR_FILENO + 1, ~0U, 0);
    execv(argv[0], (char *const *)(uintptr_t)argv);
    _exit(127);
}

bool daemon_spawn(struct daemon *daemon, const char *binary, const char *const *args)
{
    const char *argv[DAEMON_ARGS_MAX + 16] = {binary,
                                              "--data-dir",
                                              daemon->data_dir,
                                              "--session-host",
                                              "127.0.0.1",
                                              "--api-host",
                                              "127.0.0.1",
                                              "--session-port",
                                              "0",
                                              "--api-port",
                                              "0",
                                              "--admin-port",
                                              "0",
                                              "--user", /* of no account unless the tests run as root */
                                              "root"};
    size_t count = 15;
    for (size_t i = 0; args != NULL && args[i] != NULL && i < DAEMON_ARGS_MAX; i++)
        argv[count++] = args[i];
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid == 0)
        become(daemon, argv, parent);
    daemon->pid = pid > 0 ? pid : 0;
    daemon->session[0] = daemon->api[0] = daemon->admin[0] = daemon->token[0] = '\0';
    return pid > 0;
}

static void read_token(struct daemon *daemon)
{
    char path[TMPDIR_PATH_MAX + 32];
    snprintf(path, sizeof path, "%s/admin.token", daemon->data_dir);
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return;
    if (fgets(daemon->token, sizeof daemon->token, file) != NULL)
        daemon->token[strcspn(daemon->token, "\r\n")] = '\0';
    fclose(file);
}

bool daemon_is_up(struct daemon *daemon)
{
    char path[TMPDIR_PATH_MAX + 32];
    snprintf(path, sizeof path, "%s/petreld.json", daemon->data_dir);
    json_t *root = json_load_file(path, 0, NULL);
    int pid = 0;
    const char *session, *api, *admin;
    /* A server that was killed leaves its file behind: the pid tells. */
    bool up =
        root != NULL &&
        json_unpack(root, "{s:i,s:s,s:s,s:s}", "pid", &pid, "session", &session, "api", &api, "admin", &admin) == 0 &&
        pid == (int)daemon->pid && pid != 0;
    if (up) {
        snprintf(daemon->session, sizeof daemon->session, "%s", session);
        snprintf(daemon->api, sizeof daemon->api, "%s", api);
        snprintf(daemon->admin, sizeof daemon->admin, "%s", admin);
        read_token(daemon);
    }
    json_decref(root);
    return up;
}

bool daemon_has_ended(struct daemon *daemon)
{
    if (daemon->pid != 0 && waitpid(daemon->pid, &daemon->status, WNOHANG) == daemon->pid)
        daemon->pid = 0;
    return daemon->pid == 0;
}

static bool up_or_ended(void *ctx)
{
    return daemon_has_ended(ctx) || daemon_is_up(ctx);
}

static bool ended(void *ctx)
{
    return daemon_has_ended(ctx);
}

bool daemon_start(struct daemon *daemon, const char *const *args, unsigned timeout_ms)
{
    const char *folder = getenv("PETREL_BIN_DIR");
    char binary[1024];
    snprintf(binary, sizeof binary, "%s/petreld", folder != NULL ? folder : PETREL_BIN_DIR);
    return daemon_spawn(daemon, binary, args) && until(up_or_ended, daemon, timeout_ms) && daemon->pid != 0;
}

bool daemon_stop(struct daemon *daemon, int signal, unsigned timeout_ms)
{
    if (daemon_has_ended(daemon))
        return true;
    kill(daemon->pid, signal);
    return until(ended, daemon, timeout_ms);
}

const char *daemon_log_tail(const struct daemon *daemon, char *buffer, size_t size)
{
    char path[TMPDIR_PATH_MAX + 16];
    log_path(daemon, path, sizeof path);
    buffer[0] = '\0';
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return buffer;
    fseek(file, 0, SEEK_END);
    long len = ftell(file);
    fseek(file, len > (long)size - 1 ? len - ((long)size - 1) : 0, SEEK_SET);
    buffer[fread(buffer, 1, size - 1, file)] = '\0';
    fclose(file);
    return buffer;
}
