#include "bench_limits.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

/* Measured: the kernel has 4.3 to 4.6 KB for each end of an idle connection, petreld and the devices less than 1 KB. */
#define BYTES_PER_SESSION 10000
#define BYTES_PER_END 5000
#define BYTES_OF_OPENSSL 16000 /* of a session of petrel-limit's, measured */
#define FILES_SPARE 10000
#define PORTS_NEEDED 5000 /* of one source address: what the devices use of it, and spare */
#define BACKLOG_NEEDED 1024
#define TABLES_MAX 128 /* of descriptors: the server has one for each loop, the devices for each process */
#define TABLE_SPARE 1024

/* The number at a place in a file of /proc; 0 when there is none. */
static uint64_t number_in(const char *path, int at)
{
    FILE *file = fopen(path, "re");
    uint64_t value = 0;
    for (int i = 0; file != NULL && i <= at; i++)
        if (fscanf(file, "%" SCNu64, &value) != 1)
            value = 0;
    if (file != NULL)
        fclose(file);
    return value;
}

static uint64_t memory_available(void)
{
    FILE *file = fopen("/proc/meminfo", "re");
    char line[128];
    uint64_t kib = 0;
    while (file != NULL && kib == 0 && fgets(line, sizeof line, file) != NULL)
        if (sscanf(line, "MemAvailable: %" SCNu64, &kib) != 1)
            kib = 0;
    if (file != NULL)
        fclose(file);
    return kib * 1024;
}

/* The hard limit too, where we may: to what the kernel allows any process. */
static void raise_descriptors(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    const rlim_t open = number_in("/proc/sys/fs/nr_open", 0);
    const struct rlimit most = {.rlim_cur = open, .rlim_max = open};
    if (open > limit.rlim_max && setrlimit(RLIMIT_NOFILE, &most) == 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
}

struct shortage {
    const char *what;
    uint64_t have;
    uint64_t need;
    const char *remedy;
    bool fatal; /* the run can't succeed; else it may be slow or lose packets */
};

static bool is_local(const struct bench *bench)
{
    return bench->options.server == NULL || bench->options.server_pid > 0;
}

static size_t list(const struct bench *bench, struct shortage *out)
{
    const uint64_t sessions = bench->options.sessions, ends = is_local(bench) ? 2 : 1;
    const uint64_t ports = number_in("/proc/sys/net/ipv4/ip_local_port_range", 1) -
                           number_in("/proc/sys/net/ipv4/ip_local_port_range", 0) + 1;
    /* Over loopback each 4,000 devices have an address of their own; over a network there is one for all. */
    const uint64_t of_one_address = is_local(bench) ? PORTS_NEEDED : sessions + FILES_SPARE / 10;
    const uint64_t files = number_in("/proc/sys/fs/file-nr", 0);
    /* Loaded, it may track nothing for want of rules. */
    const bool tracks = number_in("/proc/sys/net/netfilter/nf_conntrack_count", 0) > 0;
    const uint64_t tracked = tracks ? number_in("/proc/sys/net/netfilter/nf_conntrack_max", 0) : UINT64_MAX;
    const uint64_t tls = bench->compares && bench->options.tls ? BYTES_OF_OPENSSL : 0;
    struct rlimit descriptors = {0};
    (void)getrlimit(RLIMIT_NOFILE, &descriptors);
    const struct shortage all[] = {
        {"the hard limit of descriptors", descriptors.rlim_max, sessions * 5 / 4 / TABLES_MAX + TABLE_SPARE,
         "ulimit -Hn as root, LimitNOFILE= of a unit; fs.nr_open is what it can be at most", true},
        {"memory available, bytes", memory_available(),
         sessions * ((ends == 2 ? BYTES_PER_SESSION : BYTES_PER_END) + tls), "fewer --sessions, or a larger machine",
         true},
        {"fs.file-max", number_in("/proc/sys/fs/file-max", 0), files + sessions * ends + FILES_SPARE, NULL, true},
        {"ports in net.ipv4.ip_local_port_range", ports, sessions < of_one_address ? sessions : of_one_address,
         "sysctl -w net.ipv4.ip_local_port_range='1024 65535'", true},
        {"net.netfilter.nf_conntrack_max", tracked, sessions + FILES_SPARE, NULL, false},
        {"net.core.somaxconn", number_in("/proc/sys/net/core/somaxconn", 0), BACKLOG_NEEDED, NULL, false},
        /* A page for each connection that a broadcast is under way to, at either end. */
        {"pages in net.ipv4.tcp_mem (the third)", number_in("/proc/sys/net/ipv4/tcp_mem", 2), sessions / 2,
         "sysctl -w net.ipv4.tcp_mem='1048576 1572864 2097152'", false},
    };
    size_t count = 0;
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (all[i].have < all[i].need)
            out[count++] = all[i];
    return count;
}

void bench_limits_prepare(struct bench *bench)
{
    raise_descriptors();
    struct shortage shortages[8];
    const size_t count = list(bench, shortages);
    bool fatal = false;
    for (size_t i = 0; i < count; i++) {
        const struct shortage *shortage = &shortages[i];
        char remedy[128];
        snprintf(remedy, sizeof remedy, "sysctl -w %s=%" PRIu64, shortage->what, shortage->need);
        bench_progress("%s: %s is %" PRIu64 ", for %" PRIu32 " sessions it takes %" PRIu64 ": %s",
                       shortage->fatal ? "short" : "may be short", shortage->what, shortage->have,
                       bench->options.sessions, shortage->need, shortage->remedy != NULL ? shortage->remedy : remedy);
        fatal = fatal || shortage->fatal;
    }
    if (fatal)
        bench_die(bench, "this machine can't hold %" PRIu32 " sessions as it is set up", bench->options.sessions);
}
