#include "petrelctl/completion.h"

#include "petrelctl/command.h"

#include <string.h>

/* What does not change with the table. `words` are the words of the line that are no options and no values of options, so its
 * first one or two are the command; the functions above it are made from the table. */
static const char body[] =
    "_petrelctl_apps() {\n"
    "    petrelctl \"${globals[@]}\" app list --names --timeout 1s 2>/dev/null\n"
    "}\n"
    "\n"
    "_petrelctl_nodes() {\n"
    "    petrelctl \"${globals[@]}\" node list --names --timeout 1s 2>/dev/null\n"
    "}\n"
    "\n"
    "_petrelctl_complete() { # what kind of word, the word so far\n"
    "    case \"$1\" in\n"
    "    file) mapfile -t COMPREPLY < <(compgen -f -- \"$2\") ;;\n"
    "    folder | DIR) mapfile -t COMPREPLY < <(compgen -d -- \"$2\") ;;\n"
    "    APP) mapfile -t COMPREPLY < <(compgen -W \"$(_petrelctl_apps)\" -- \"$2\") ;;\n"
    "    NODE) mapfile -t COMPREPLY < <(compgen -W \"$(_petrelctl_nodes)\" -- \"$2\") ;;\n"
    "    choice:*) mapfile -t COMPREPLY < <(compgen -W \"${1#choice:}\" -- \"$2\") ;;\n"
    "    *) COMPREPLY=() ;;\n"
    "    esac\n"
    "}\n"
    "\n"
    "_petrelctl() {\n"
    "    local cur=${COMP_WORDS[COMP_CWORD]} words=() globals=() i word kind path count\n"
    "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
    "        word=${COMP_WORDS[i]}\n"
    "        if [[ $word != -* ]]; then\n"
    "            words+=(\"$word\")\n"
    "            continue\n"
    "        fi\n"
    "        kind=$(_petrelctl_value \"$word\")\n"
    "        [[ -n $kind ]] || continue\n"
    "        if ((i + 1 == COMP_CWORD)); then\n"
    "            [[ $word != --app ]] || kind=APP\n"
    "            [[ $word != --node ]] || kind=NODE\n"
    "            _petrelctl_complete \"$kind\" \"$cur\"\n"
    "            return\n"
    "        fi\n"
    "        i=$((i + 1))\n"
    "        case \"$word\" in\n"
    "        --data-dir | --admin | --token-file) globals+=(\"$word\" \"${COMP_WORDS[i]}\") ;;\n"
    "        esac\n"
    "    done\n"
    "    count=1\n"
    "    path=${words[0]-}\n"
    "    if [[ -n $(_petrelctl_next \"$path\") ]]; then\n"
    "        count=2\n"
    "        path=\"$path ${words[1]-}\"\n"
    "    fi\n"
    "    if [[ $cur == -* ]]; then\n"
    "        mapfile -t COMPREPLY < <(compgen -W \"$(_petrelctl_options \"$path\")\" -- \"$cur\")\n"
    "    elif ((${#words[@]} == 0)); then\n"
    "        mapfile -t COMPREPLY < <(compgen -W \"$(_petrelctl_next '')\" -- \"$cur\")\n"
    "    elif ((${#words[@]} < count)); then\n"
    "        mapfile -t COMPREPLY < <(compgen -W \"$(_petrelctl_next \"${words[0]}\")\" -- \"$cur\")\n"
    "    else\n"
    "        mapfile -t kind < <(_petrelctl_arguments \"$path\")\n"
    "        _petrelctl_complete \"${kind[${#words[@]} - count]-}\" \"$cur\"\n"
    "    fi\n"
    "}\n"
    "complete -F _petrelctl petrelctl\n";

/* Whether an earlier command begins with the same word of len bytes. */
static bool is_repeated(const struct command *commands, size_t index, size_t len)
{
    for (size_t i = 0; i < index; i++)
        if (strncmp(commands[i].path, commands[index].path, len) == 0 && strcspn(commands[i].path, " ") == len)
            return true;
    return false;
}

/* The words that can come next: after nothing, and after each group's word. */
static void print_next(FILE *out, const struct command *commands, size_t count)
{
    fputs("_petrelctl_next() { # the first word, or nothing\n    case \"$1\" in\n    '') echo", out);
    for (size_t i = 0; i < count; i++) {
        size_t len = strcspn(commands[i].path, " ");
        if (!is_repeated(commands, i, len))
            fprintf(out, " %.*s", (int)len, commands[i].path);
    }
    fputs(" ;;\n", out);
    for (size_t i = 0; i < count; i++) {
        size_t len = strcspn(commands[i].path, " ");
        if (commands[i].path[len] == '\0' || is_repeated(commands, i, len))
            continue;
        fprintf(out, "    %.*s) echo", (int)len, commands[i].path);
        for (size_t k = i; k < count; k++)
            if (strncmp(commands[k].path, commands[i].path, len + 1) == 0)
                fprintf(out, " %s", commands[k].path + len + 1);
        fputs(" ;;\n", out);
    }
    fputs("    esac\n}\n\n", out);
}

static void print_names(FILE *out, const struct command_option *options)
{
    for (; options != NULL && options->name != NULL; options++)
        fprintf(out, " --%s", options->name);
}

static void print_options(FILE *out, const struct command *commands, size_t count)
{
    fputs("_petrelctl_options() { # a command's path\n    case \"$1\" in\n", out);
    for (size_t i = 0; i < count; i++) {
        if (commands[i].options == NULL)
            continue;
        fprintf(out, "    '%s') echo", commands[i].path);
        print_names(out, commands[i].options);
        fputs(" ;;\n", out);
    }
    fputs("    esac\n    echo", out);
    print_names(out, command_globals());
    fputs("\n}\n\n", out);
}

static void print_arguments(FILE *out, const struct command *commands, size_t count)
{
    fputs("_petrelctl_arguments() { # a command's path\n    case \"$1\" in\n", out);
    for (size_t i = 0; i < count; i++)
        if (commands[i].arguments[0] != '\0')
            fprintf(out, "    '%s') printf '%%s\\n' %s ;;\n", commands[i].path, commands[i].arguments);
    fputs("    esac\n}\n\n", out);
}

/* One line for each option that takes a value; of those of one name in several commands the first stands for all. */
static void print_values(FILE *out, const struct command_option *options)
{
    for (; options != NULL && options->name != NULL; options++) {
        if (options->type == COMMAND_FLAG)
            continue;
        fputs("    ", out);
        if (options->letter != 0)
            fprintf(out, "-%c | ", options->letter);
        fprintf(out, "--%s) echo ", options->name);
        if (options->type == COMMAND_CHOICE) {
            fputs("'choice:", out);
            for (const char *at = options->value; *at != '\0'; at++)
                fputc(*at == '|' ? ' ' : *at, out);
            fputs("' ;;\n", out);
        } else {
            fprintf(out, "%s ;;\n",
                    options->type == COMMAND_FILE     ? "file"
                    : options->type == COMMAND_FOLDER ? "folder"
                                                      : "text");
        }
    }
}

void completion_bash(FILE *out)
{
    size_t count;
    const struct command *commands = command_table(&count);
    fputs("# bash completion for petrelctl; made by `petrelctl completion bash`\n\n", out);
    print_next(out, commands, count);
    print_options(out, commands, count);
    print_arguments(out, commands, count);
    fputs("_petrelctl_value() { # an option; says what its value is, nothing for a flag\n    case \"$1\" in\n", out);
    print_values(out, command_globals());
    for (size_t i = 0; i < count; i++)
        print_values(out, commands[i].options);
    fputs("    esac\n}\n\n", out);
    fputs(body, out);
}
