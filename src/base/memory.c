#include "base/memory.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define KIB 1024U
#define FILE_MAX 8192 /* /proc/meminfo and memory.stat have what is looked for in their first lines */
#define UNLIMITED UINT64_MAX

/* The kernel's files say no size before they are read, and give all of a small one at once. Whether anything was read. */
static bool slurp(const char *directory, const char *name, char out[FILE_MAX])
{
    char path[PATH_MAX + 64];
    const int len = snprintf(path, sizeof path, "%s/%s", directory, name);
    const int fd = len > 0 && (size_t)len < sizeof path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    const ssize_t got = fd >= 0 ? read(fd, out, FILE_MAX - 1) : -1;
    if (fd >= 0)
        (void)close(fd);
    out[got > 0 ? got : 0] = '\0';
    return got > 0;
}

/* The number after the word that begins a line; 0: there is no such line. */
static uint64_t number_after(const char *text, const char *word)
{
    const size_t len = strlen(word);
    for (const char *line = text; line != NULL && *line != '\0';) {
        if (strncmp(line, word, len) == 0)
            return strtoull(line + len, NULL, 10);
        line = strchr(line, '\n');
        line = line != NULL ? line + 1 : NULL;
    }
    return 0;
}

static uint64_t group_limit(const char *group)
{
    char text[FILE_MAX];
    if (group[0] == '\0' || !slurp(group, "memory.max", text) || strncmp(text, "max", 3) == 0)
        return UNLIMITED;
    return strtoull(text, NULL, 10);
}

/* From the process's own group up to the root of what is seen of the tree, which in a container is its own. */
static void find_group(struct memory_gauge *gauge, const char *groups)
{
    char text[FILE_MAX];
    if (!slurp(gauge->proc, "self/cgroup", text))
        return;
    const char *own = strncmp(text, "0::", 3) == 0 ? text : strstr(text, "\n0::");
    own = own != NULL ? strchr(own, '/') : NULL;
    if (own == NULL)
        return;
    char path[PATH_MAX];
    const int len = snprintf(path, sizeof path, "%s%.*s", groups, (int)strcspn(own, "\n"), own);
    if (len < 0 || (size_t)len >= sizeof path)
        return;
    const size_t root = strlen(groups);
    for (uint64_t least = UNLIMITED; strlen(path) >= root; *strrchr(path, '/') = '\0') {
        const uint64_t limit = group_limit(path);
        if (limit < least) {
            least = limit;
            memcpy(gauge->group, path, sizeof path);
        }
        if (strlen(path) == root)
            return;
    }
}

void memory_init(struct memory_gauge *gauge, const char *proc, const char *groups)
{
    memset(gauge, 0, sizeof *gauge);
    (void)snprintf(gauge->proc, sizeof gauge->proc, "%s", proc != NULL ? proc : "/proc");
    find_group(gauge, groups != NULL ? groups : "/sys/fs/cgroup");
}

static uint64_t resident(const struct memory_gauge *gauge)
{
    char text[FILE_MAX];
    unsigned long long pages = 0;
    if (!slurp(gauge->proc, "self/statm", text) || sscanf(text, "%*u %llu", &pages) != 1)
        return 0;
    return (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static uint64_t above(uint64_t whole, uint64_t part)
{
    return whole > part ? whole - part : 0;
}

void memory_measure(const struct memory_gauge *gauge, struct memory_usage *out)
{
    char text[FILE_MAX];
    *out = (struct memory_usage){.rss = resident(gauge)};
    if (slurp(gauge->proc, "meminfo", text)) {
        out->limit = number_after(text, "MemTotal:") * KIB;
        out->used = above(out->limit, number_after(text, "MemAvailable:") * KIB);
    }
    const uint64_t limit = group_limit(gauge->group);
    if (limit == UNLIMITED || (out->limit != 0 && limit >= out->limit) || !slurp(gauge->group, "memory.current", text))
        return;
    out->limit = limit;
    out->used = strtoull(text, NULL, 10);
    if (slurp(gauge->group, "memory.stat", text))
        out->used = above(out->used, number_after(text, "inactive_file ") + number_after(text, "slab_reclaimable "));
}
