#include "petreld/privileges.h"

#include "base/err.h"
#include "base/log.h"
#include "base/object.h"
#include "loop/capabilities.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define PORT_PRIVILEGED_MAX 1023
#define LOOKUP_BYTES 16384 /* for the texts of an entry: a group may have many members */

static int refuse(int err, const char *what, const char *name, const char *why)
{
    log_at(LOG_ERROR, "server", what, LOG_STR("name", name), LOG_STR("why", why));
    return err;
}

static int refuse_errno(const char *what, const char *name, int errnum)
{
    return refuse(err_from_errno(errnum), what, name, strerror(errnum));
}

/* ---- what root makes for the user ---- */

/* Made just now by root, or another's: give it away, or say who must. */
static int give(int fd, const char *path, bool made, const struct passwd *user)
{
    struct stat info;
    if (made && fchown(fd, user->pw_uid, user->pw_gid) != 0)
        return refuse_errno("can't be given to the user that petreld becomes", path, errno);
    if (fstat(fd, &info) != 0)
        return refuse_errno("can't be used", path, errno);
    if (info.st_uid == user->pw_uid)
        return 0;
    char why[256];
    (void)snprintf(why, sizeof why, "it is not of the user %s, whom petreld becomes (user): chown -R %s it",
                   user->pw_name, user->pw_name);
    return refuse(PETREL_E_FORBIDDEN, "a directory belongs to another", path, why);
}

static int give_folder(const char *path, mode_t mode, const struct passwd *user)
{
    const bool made = mkdir(path, mode) == 0;
    const int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return refuse_errno("a directory can't be used", path, errno);
    const int err = give(fd, path, made, user);
    (void)close(fd);
    return err;
}

/* Where nothing stands yet: who may write a file that does is its owner's matter. */
static int give_log(const char *path, const struct passwd *user)
{
    const int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0640);
    if (fd < 0)
        return errno == EEXIST ? 0 : refuse_errno("the log file can't be made", path, errno);
    const int err = give(fd, path, true, user);
    (void)close(fd);
    return err;
}

/* A directory under /run is gone with each boot. One that stands is as its owner wants it. */
static int give_socket_folder(const char *path, const struct passwd *user)
{
    char folder[CONFIG_TEXT_MAX + 1];
    (void)snprintf(folder, sizeof folder, "%s", path);
    char *slash = strrchr(folder, '/');
    if (slash == NULL || slash == folder || folder[0] != '/') /* in the data directory */
        return 0;
    *slash = '\0';
    return access(folder, F_OK) == 0 ? 0 : give_folder(folder, 0755, user);
}

static int give_all(const struct config *config, const struct passwd *user)
{
    int err = give_folder(config->data_dir, 0700, user);
    if (err == 0 && config->log_file[0] != '\0')
        err = give_log(config->log_file, user);
    return err == 0 ? give_socket_folder(config->admin_socket, user) : err;
}

/* ---- becoming the user ---- */

static bool needs_low_port(const struct config *config)
{
    const uint64_t ports[] = {config->session_port, config->api_port, config->admin_port, config->peer_port};
    for (size_t i = 0; i < sizeof ports / sizeof ports[0]; i++) {
        if (ports[i] > 0 && ports[i] <= PORT_PRIVILEGED_MAX)
            return true;
    }
    return false;
}

static int become(const struct passwd *user, bool low_port)
{
    const bool done = (!low_port || prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) == 0) &&
                      initgroups(user->pw_name, user->pw_gid) == 0 &&
                      setresgid(user->pw_gid, user->pw_gid, user->pw_gid) == 0 &&
                      setresuid(user->pw_uid, user->pw_uid, user->pw_uid) == 0 &&
                      (!low_port || capabilities_keep_bind()) && prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0) == 0;
    if (!done)
        return refuse_errno("the user can't be taken on", user->pw_name, errno);
    petrel_assert(setuid(0) != 0 && geteuid() == user->pw_uid); /* there is no way back */
    log_at(LOG_INFO, "server", "root's rights are given up", LOG_STR("user", user->pw_name),
           LOG_NUM("uid", (uint64_t)user->pw_uid));
    return 0;
}

static int find_user(const char *name, struct passwd *out, char texts[LOOKUP_BYTES])
{
    struct passwd *found = NULL;
    (void)getpwnam_r(name, out, texts, LOOKUP_BYTES, &found);
    if (found != NULL)
        return 0;
    return refuse(PETREL_E_NOT_FOUND, "started as root, petreld becomes another user, and there is none of that name",
                  name,
                  "make it (useradd --system petrel), name another (user), or have petreld stay root (--user root)");
}

int privileges_drop(const struct config *config)
{
    char texts[LOOKUP_BYTES];
    struct passwd user;
    int err = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 ? 0 : PETREL_E_IO;
    if (err != 0 || geteuid() != 0)
        return err;
    err = find_user(config->user, &user, texts);
    if (err == 0 && user.pw_uid == 0) {
        log_event(LOG_INFO, "server", "petreld stays root, as it is told to (user)");
        return 0;
    }
    if (err == 0)
        err = give_all(config, &user);
    return err == 0 ? become(&user, needs_low_port(config)) : err;
}

void privileges_name(char out[PRIVILEGES_NAME_SIZE])
{
    char texts[LOOKUP_BYTES];
    struct passwd user, *found = NULL;
    (void)getpwuid_r(geteuid(), &user, texts, sizeof texts, &found);
    (void)snprintf(out, PRIVILEGES_NAME_SIZE, "%.*s", PRIVILEGES_NAME_SIZE - 1, found != NULL ? user.pw_name : "");
}

int privileges_group(const char *name, uint32_t *gid)
{
    char texts[LOOKUP_BYTES];
    struct group group, *found = NULL;
    (void)getgrnam_r(name, &group, texts, sizeof texts, &found);
    if (found == NULL)
        return refuse(PETREL_E_NOT_FOUND, "there is no such group", name, "admin.socket_group names it");
    *gid = group.gr_gid;
    return 0;
}
