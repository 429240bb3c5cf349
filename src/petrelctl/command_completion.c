#include "petrelctl/completion.h"

#include "petrelctl/command.h"

enum command_exit command_completion_bash(const struct invocation *call)
{
    (void)call;
    completion_bash(stdout);
    return COMMAND_OK;
}
