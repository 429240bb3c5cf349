#include "system/ledger/options.h"

#include "system/ledger/fault.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define SECONDS_PER_KILL 5
#define SECONDS_OF_CLUSTER 60
#define SECONDS_OF_TWO_TURNS 20
#define SENDERS 64
#define SENDERS_OF_CLUSTER 512 /* so many that those who wait for one shard are not all */

static const char HELP[] =
    "usage: tests/ledger [--kills N] [--devices N] [--rate N] [--seconds N] [--seed S] [--senders N] [--drop-one]\n"
    "                    [--no-topics] [--tls] [--ws]\n"
    "       tests/ledger --cluster [--tls] [--faults LIST] [--durability D] [--dir DIR] [--keep] [--devices N] ...\n"
    "\n"
    "Holds a real petreld to its promise: every message that was answered 2xx reaches every target device in order, "
    "once.\n"
    "Senders retry with the same Idempotency-Key until they have an answer. Devices drop, resume, crash and read "
    "slowly at\n"
    "random. The server is killed (kill -9) and started again under load. Some messages go to topics, to all devices, "
    "to "
    "conditions:\n"
    "who is subscribed is known, for once or twice in a run all is awaited, and devices and backends change "
    "subscriptions.\n"
    "\n"
    "  --kills N     how often the server is killed (default 5)\n"
    "  --devices N   devices, one to four to a user (default 200)\n"
    "  --rate N      messages a second, of all senders (default 500)\n"
    "  --seconds N   time under load, in all (default 5 a kill, at least 5)\n"
    "  --senders N   connections of senders (default 64; of a cluster 512)\n"
    "  --seed S      what happens to whom (default: drawn, and told)\n"
    "  --drop-one    swallow one message on the device's side: the ledger must then report 1 lost\n"
    "  --no-topics   send to users alone\n"
    "  --tls         devices speak TLS, and resume; one server takes nothing else. Of a cluster all but ZooKeeper "
    "speak it\n"
    "  --ws          devices speak WebSocket; with --tls within it\n"
    "  --bin DIR     where petreld and petrelctl are (default: beside this program)\n"
    "\n"
    "With --cluster the same is done to a cluster of its own, brought up by deploy/cluster and taken down at the end. "
    "Devices find\n"
    "their servers by lookup, senders go from one send API to the other. Faults happen one after the other, with time "
    "to recover.\n"
    "  --faults LIST by commas, each some times, drawn by the seed (default: all):\n";

static const char HELP_END[] =
    "      all                 any of these\n"
    "  --durability D  standard or replicated, of every message (default: replicated)\n"
    "  --dir DIR     where the cluster keeps everything; left there (default: a temporary folder)\n"
    "  --keep        leave the temporary folder, too; it is left anyway when the promise was broken\n"
    "  --seconds N   (default: 60)\n"
    "\n"
    "The last line is JSON: accepted counts messages, delivered counts deliveries to devices. With --cluster also: "
    "faults by name,\n"
    "503s and their share, the longest time in which no send was accepted, and how soon devices of a session node that "
    "was killed\n"
    "were connected to another. What a Redis that fails over loses of messages with the durability standard is counted "
    "as lost, but\n"
    "breaks no promise. Exit codes: 0 the promise was kept; 1 it was not, or the run could not be made; 2 wrong "
    "usage.\n"
    "\n"
    "example: tests/ledger --kills 20 --devices 1000 --rate 2000 --seed 7\n"
    "         tests/ledger --cluster --faults kill-session,kill-redis-master --seconds 90\n"
    "         tests/ledger --cluster --tls --faults kill-session --seconds 30\n";

static void print_help(void)
{
    fputs(HELP, stdout);
    for (size_t i = 0; i < FAULT_COUNT; i++)
        printf("      %-19s %s\n", fault_table[i].name, fault_table[i].text);
    fputs(HELP_END, stdout);
}

static bool number(const char *text, uint64_t least, uint64_t most, uint64_t *out)
{
    char *end;
    uint64_t value = strtoull(text, &end, 10);
    if (*text == '\0' || *text == '-' || *end != '\0' || value < least || value > most)
        return false;
    *out = value;
    return true;
}

static const struct option LONG[] = {
    {"kills", required_argument, NULL, 'k'},   {"devices", required_argument, NULL, 'd'},
    {"rate", required_argument, NULL, 'r'},    {"seconds", required_argument, NULL, 't'},
    {"senders", required_argument, NULL, 'n'}, {"seed", required_argument, NULL, 's'},
    {"bin", required_argument, NULL, 'b'},     {"drop-one", no_argument, NULL, 'o'},
    {"no-topics", no_argument, NULL, 'p'},     {"cluster", no_argument, NULL, 'c'},
    {"faults", required_argument, NULL, 'f'},  {"durability", required_argument, NULL, 'u'},
    {"dir", required_argument, NULL, 'i'},     {"keep", no_argument, NULL, 'e'},
    {"tls", no_argument, NULL, 'l'},           {"ws", no_argument, NULL, 'w'},
    {"help", no_argument, NULL, 'h'},          {NULL, 0, NULL, 0},
};

static bool take_word(struct options *options, int letter)
{
    switch (letter) {
    case 'b':
        options->bin = optarg;
        return true;
    case 'i':
        options->dir = optarg;
        return true;
    case 'f':
        options->faults = fault_parse(optarg);
        return options->faults != 0;
    default:
        options->replicated = strcmp(optarg, "replicated") == 0;
        return options->replicated || strcmp(optarg, "standard") == 0;
    }
}

static bool take_number(struct options *options, int letter)
{
    uint64_t value = 0;
    bool good = true;
    switch (letter) {
    case 'k':
        good = number(optarg, 0, 10000, &value);
        options->kills = (uint32_t)value;
        break;
    case 'd':
        good = number(optarg, 1, 20000, &value);
        options->devices = (uint32_t)value;
        break;
    case 'r':
        good = number(optarg, 1, 100000, &value);
        options->rate = (uint32_t)value;
        break;
    case 't':
        good = number(optarg, 1, 86400, &value);
        options->seconds = (uint32_t)value;
        break;
    case 'n':
        good = number(optarg, 1, 1000, &value);
        options->senders = (uint32_t)value;
        break;
    default:
        good = number(optarg, 0, UINT64_MAX, &options->seed);
    }
    return good;
}

static bool take(struct options *options, int letter)
{
    bool good = true;
    if (letter == 'o')
        options->drop_one = true;
    else if (letter == 'p')
        options->topics = false;
    else if (letter == 'l')
        options->tls = true;
    else if (letter == 'w')
        options->ws = true;
    else if (letter == 'c')
        options->cluster = true;
    else if (letter == 'e')
        options->keep = true;
    else
        good = strchr("bifu", letter) != NULL ? take_word(options, letter) : take_number(options, letter);
    if (!good)
        fprintf(stderr, "ledger: '%s' is not what this option takes; see --help\n", optarg);
    return good;
}

/* What belongs to a cluster stands with --cluster only, and the other way round. */
static bool fits(const struct options *options, const char *cluster_only, const char *single_only)
{
    const char *wrong = options->cluster ? single_only : cluster_only;
    if (wrong != NULL)
        fprintf(stderr, "ledger: --%s is of a run %s --cluster; see --help\n", wrong,
                options->cluster ? "without" : "with");
    return wrong == NULL;
}

static void fill(struct options *options)
{
    if (options->senders == 0)
        options->senders = options->cluster ? SENDERS_OF_CLUSTER : SENDERS;
    options->replicated = options->replicated && options->cluster; /* one server has no replicas */
    if (options->cluster) {
        options->kills = 0;
        options->faults = options->faults != 0 ? options->faults : fault_parse("all");
        options->seconds = options->seconds != 0 ? options->seconds : SECONDS_OF_CLUSTER;
    }
    if (options->seconds == 0)
        options->seconds = SECONDS_PER_KILL * (options->kills > 0 ? options->kills : 1);
    options->turns = !options->topics ? 0 : options->seconds < SECONDS_OF_TWO_TURNS ? 1 : 2;
}

int options_parse(struct options *options, int argc, char **argv)
{
    *options = (struct options){.kills = 5, .devices = 200, .rate = 500, .replicated = true, .topics = true};
    if (getrandom(&options->seed, sizeof options->seed, 0) != (ssize_t)sizeof options->seed)
        options->seed = 1;
    options->seed >>= 32; /* short enough to be typed again */
    const char *cluster_only = NULL, *single_only = NULL;
    int letter, which = 0;
    while ((letter = getopt_long(argc, argv, "h", LONG, &which)) != -1) {
        if (letter == 'h')
            return print_help(), 1;
        if (letter == '?' || !take(options, letter))
            return 2;
        if (strchr("fuie", letter) != NULL)
            cluster_only = LONG[which].name;
        if (strchr("kw", letter) != NULL)
            single_only = LONG[which].name;
    }
    if (optind < argc) {
        fprintf(stderr, "ledger: '%s' is no option; see --help\n", argv[optind]);
        return 2;
    }
    if (!fits(options, cluster_only, single_only))
        return 2;
    fill(options);
    return 0;
}
