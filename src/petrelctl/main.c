/* petrelctl: the admin CLI. It reads the command line against the table in command.c and runs what that names. */
#include "petrelctl/help.h"
#include "petrelctl/invocation.h"

#include <errno.h>
#include <locale.h>
#include <string.h>

static void print_help(const struct invocation *call)
{
    if (call->command != NULL)
        help_command(stdout, call->command);
    else if (call->group[0] != '\0')
        help_group(stdout, call->group);
    else
        help_overview(stdout);
}

int main(int argc, char **argv)
{
    setlocale(LC_TIME, "");
    struct invocation call;
    enum command_exit code = invocation_parse(&call, argc, argv);
    if (code != COMMAND_OK)
        return (int)code;
    if (call.help)
        print_help(&call);
    else
        code = call.command->run(&call);
    if ((fflush(stdout) != 0 || ferror(stdout)) && code == COMMAND_OK)
        code = command_fail(COMMAND_FAILED, "standard output can't be written: %s", strerror(errno));
    return (int)code;
}
