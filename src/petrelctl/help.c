#include "petrelctl/help.h"

#include <string.h>

#define COLUMN 30

static void print_row(FILE *out, const char *left, const char *text)
{
    if (strlen(left) < COLUMN - 2)
        fprintf(out, "  %-*s%s\n", COLUMN - 2, left, text);
    else
        fprintf(out, "  %s\n%*s%s\n", left, COLUMN, "", text);
}

static void print_options(FILE *out, const struct command_option *options)
{
    for (; options != NULL && options->name != NULL; options++) {
        char letter[] = "-x, ", left[96];
        letter[1] = options->letter;
        snprintf(left, sizeof left, "%s--%s%s%s", options->letter != 0 ? letter : "    ", options->name,
                 options->value != NULL ? " " : "", options->value != NULL ? options->value : "");
        print_row(out, left, options->text);
    }
}

/* The commands whose path begins with the group; all for "". Returns the first. */
static const struct command *print_commands(FILE *out, const char *group)
{
    const struct command *first = NULL;
    size_t count, len = strlen(group);
    const struct command *commands = command_table(&count);
    for (size_t i = 0; i < count; i++) {
        const struct command *command = &commands[i];
        if (len > 0 && (strncmp(command->path, group, len) != 0 || command->path[len] != ' '))
            continue;
        char left[96];
        snprintf(left, sizeof left, "%s%s%s", command->path, command->arguments[0] != '\0' ? " " : "",
                 command->arguments);
        print_row(out, left, command->text);
        first = first != NULL ? first : command;
    }
    return first;
}

void help_overview(FILE *out)
{
    fputs("petrelctl: see and steer a Petrel push messaging server\n\n"
          "usage: petrelctl [option...] COMMAND [argument...] [option...]\n\n"
          "commands:\n",
          out);
    print_commands(out, "");
    fputs("\noptions of every command:\n", out);
    print_options(out, command_globals());
    fputs("\nThe admin token is read from a file and never stands on a command line.\n"
          "Each command explains itself: petrelctl COMMAND --help\n\n"
          "exit codes:\n",
          out);
#define HELP_EXIT(num, name, text) fprintf(out, "  %d  %s\n", num, text);
    COMMAND_EXIT_TABLE(HELP_EXIT)
#undef HELP_EXIT
    fputs("\nexample: petrelctl --data-dir /var/lib/petrel status\n", out);
}

void help_group(FILE *out, const char *group)
{
    fprintf(out, "usage: petrelctl %s COMMAND [argument...] [option...]\n\ncommands:\n", group);
    const struct command *first = print_commands(out, group);
    fprintf(out, "\nEach explains itself: petrelctl %s --help\n\nexample: petrelctl %s\n", first->path, first->example);
}

void help_command(FILE *out, const struct command *command)
{
    fprintf(out, "petrelctl %s: %s\n\nusage: petrelctl %s%s%s [option...]\n", command->path, command->text,
            command->path, command->arguments[0] != '\0' ? " " : "", command->arguments);
    if (command->more != NULL)
        fprintf(out, "\n%s\n", command->more);
    if (command->options != NULL) {
        fputs("\noptions:\n", out);
        print_options(out, command->options);
    }
    fputs("\noptions of every command:\n", out);
    print_options(out, command_globals());
    fprintf(out, "\nExit codes: petrelctl --help\n\nexample: petrelctl %s\n", command->example);
}
