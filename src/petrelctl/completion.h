/* completion.h: the shell's way to the table of commands. */
#ifndef PETREL_PETRELCTL_COMPLETION_H
#define PETREL_PETRELCTL_COMPLETION_H

#include <stdio.h>

/* A script for bash: commands, options, their choices and files from the table; apps by asking the server, quietly. */
void completion_bash(FILE *out);

#endif
