/* help.h: --help of petrelctl, of a group of commands, of a command; made from the table of commands. */
#ifndef PETREL_PETRELCTL_HELP_H
#define PETREL_PETRELCTL_HELP_H

#include "petrelctl/command.h"

#include <stdio.h>

void help_overview(FILE *out);
/* All commands whose first word this is. */
void help_group(FILE *out, const char *group);
void help_command(FILE *out, const struct command *command);

#endif
