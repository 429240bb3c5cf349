/* options.h: petreld's command line: what to do, and the configuration it leads to. */
#ifndef PETREL_PETRELD_OPTIONS_H
#define PETREL_PETRELD_OPTIONS_H

#include "petreld/config.h"

enum options_action { OPTIONS_RUN, OPTIONS_CHECK, OPTIONS_REFERENCE, OPTIONS_HELP, OPTIONS_VERSION };

struct options {
    enum options_action action;
    bool restored; /* --restored: the stores came from a backup */
    struct config config;
};

/* Defaults, then the file of --config, then the flags, then config_check(). 0, or an error with *error filled. */
int options_parse(struct options *options, int argc, char **argv, struct config_error *error);

/* The text of --help, appended. */
void options_render_help(struct bytebuf *out);

#endif
