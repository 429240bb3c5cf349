/* invocation.h: one command line, understood and checked against the table of commands. */
#ifndef PETREL_PETRELCTL_INVOCATION_H
#define PETREL_PETRELCTL_INVOCATION_H

#include "petrelctl/command.h"

#define INVOCATION_ARGUMENTS_MAX 4
#define INVOCATION_OPTIONS_MAX 24 /* global ones and those of one command */

struct invocation {
    const struct command *command; /* NULL: --help of a group, or of all */
    char group[32];                /* then: the first word; "" for all */
    bool help;
    size_t arguments_count;
    const char *arguments[INVOCATION_ARGUMENTS_MAX];
    size_t options_count;
    struct invocation_option {
        const struct command_option *option;
        const char *text;
        uint64_t number; /* COMMAND_NUMBER; COMMAND_DURATION: ms */
    } options[INVOCATION_OPTIONS_MAX];
};

/* Texts are borrowed from argv. COMMAND_OK, or COMMAND_USAGE with the reason said on standard error. */
enum command_exit invocation_parse(struct invocation *call, int argc, char *const *argv);

/* The i-th argument; it is there. */
const char *invocation_argument(const struct invocation *call, size_t i);
/* The names below are those of the command's options or global ones, or it asserts. NULL: not given. */
const char *invocation_text(const struct invocation *call, const char *name);
bool invocation_flag(const struct invocation *call, const char *name);
uint64_t invocation_number(const struct invocation *call, const char *name, uint64_t otherwise);
/* -o json */
bool invocation_json(const struct invocation *call);

#endif
