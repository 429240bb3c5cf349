#include "system/ledger/options.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#define SECONDS_PER_KILL 5

static const char HELP[] =
    "usage: tests/ledger [--kills N] [--devices N] [--rate N] [--seconds N] [--seed S] [--senders N] [--drop-one]\n"
    "\n"
    "Holds a real petreld to its promise: every message that was answered 2xx reaches every target device in order, "
    "once.\n"
    "Senders retry with the same Idempotency-Key until they have an answer. Devices drop, resume, crash and read "
    "slowly at\n"
    "random. The server is killed (kill -9) and started again under load.\n"
    "\n"
    "  --kills N     how often the server is killed (default 5)\n"
    "  --devices N   devices, one to four to a user (default 200)\n"
    "  --rate N      messages a second, of all senders (default 500)\n"
    "  --seconds N   time under load, in all (default 5 a kill, at least 5)\n"
    "  --senders N   connections of senders (default 64)\n"
    "  --seed S      what happens to whom (default: drawn, and told)\n"
    "  --drop-one    swallow one message on the device's side: the ledger must then report 1 lost\n"
    "  --petreld P   the server's binary (default: beside this program)\n"
    "\n"
    "The last line is JSON: accepted counts messages, delivered counts deliveries to devices. Exit codes: 0 the "
    "promise was\n"
    "kept; 1 it was not, or the run could not be made; 2 wrong usage.\n"
    "\n"
    "example: tests/ledger --kills 20 --devices 1000 --rate 2000 --seed 7\n";

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
    {"petreld", required_argument, NULL, 'p'}, {"drop-one", no_argument, NULL, 'o'},
    {"help", no_argument, NULL, 'h'},          {NULL, 0, NULL, 0},
};

static bool take(struct options *options, int letter)
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
    case 's':
        good = number(optarg, 0, UINT64_MAX, &options->seed);
        break;
    case 'p':
        options->petreld = optarg;
        break;
    default:
        options->drop_one = true;
    }
    if (!good)
        fprintf(stderr, "ledger: '%s' is no number that this option takes; see --help\n", optarg);
    return good;
}

int options_parse(struct options *options, int argc, char **argv)
{
    *options = (struct options){.kills = 5, .devices = 200, .rate = 500, .senders = 64};
    if (getrandom(&options->seed, sizeof options->seed, 0) != (ssize_t)sizeof options->seed)
        options->seed = 1;
    options->seed >>= 32; /* short enough to be typed again */
    int letter;
    while ((letter = getopt_long(argc, argv, "h", LONG, NULL)) != -1) {
        if (letter == 'h')
            return fputs(HELP, stdout), 1;
        if (letter == '?' || !take(options, letter))
            return 2;
    }
    if (optind < argc) {
        fprintf(stderr, "ledger: '%s' is no option; see --help\n", argv[optind]);
        return 2;
    }
    if (options->seconds == 0)
        options->seconds = SECONDS_PER_KILL * (options->kills > 0 ? options->kills : 1);
    return 0;
}
