#include "petrelctl/invocation.h"

#include "base/object.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NUMBER_MAX (UINT64_C(1) << 53)

/* An option by its name (of len bytes) or its letter, in one list. */
static const struct command_option *find_in(const struct command_option *list, const char *name, size_t len,
                                            char letter)
{
    for (; list != NULL && list->name != NULL; list++) {
        bool by_name = name != NULL && strlen(list->name) == len && memcmp(list->name, name, len) == 0;
        if (by_name || (letter != 0 && list->letter == letter))
            return list;
    }
    return NULL;
}

static const struct command_option *find_option(const struct command *command, const char *name, size_t len,
                                                char letter)
{
    const struct command_option *own = command != NULL ? find_in(command->options, name, len, letter) : NULL;
    return own != NULL ? own : find_in(command_globals(), name, len, letter);
}

static bool parse_digits(const char *text, uint64_t *number, const char **rest)
{
    char *end;
    errno = 0;
    *number = strtoull(text, &end, 10);
    *rest = end;
    return text[0] >= '0' && text[0] <= '9' && errno == 0 && *number <= NUMBER_MAX;
}

static bool parse_duration(const char *text, uint64_t *ms)
{
    static const struct {
        const char *name;
        uint64_t ms;
    } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}};
    const char *unit;
    if (!parse_digits(text, ms, &unit))
        return false;
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (strcmp(unit, units[i].name) == 0 && *ms <= NUMBER_MAX / units[i].ms) {
            *ms *= units[i].ms;
            return true;
        }
    }
    return false;
}

static bool is_choice(const char *choices, const char *text)
{
    size_t len = strlen(text);
    for (const char *at = choices; len > 0; at++) {
        size_t own = strcspn(at, "|");
        if (own == len && memcmp(at, text, len) == 0)
            return true;
        at += own;
        if (*at == '\0')
            break;
    }
    return false;
}

static enum command_exit parse_value(struct invocation_option *given)
{
    const struct command_option *option = given->option;
    const char *rest;
    switch (option->type) {
    case COMMAND_NUMBER:
        if (!parse_digits(given->text, &given->number, &rest) || *rest != '\0' || given->number == 0)
            return command_fail(COMMAND_USAGE, "--%s: '%s' is no number from 1 on", option->name, given->text);
        return COMMAND_OK;
    case COMMAND_DURATION:
        if (!parse_duration(given->text, &given->number))
            return command_fail(COMMAND_USAGE, "--%s: '%s' is no time; write it as 500ms, 30s, 5m, 2h or 7d",
                                option->name, given->text);
        return COMMAND_OK;
    case COMMAND_CHOICE:
        if (!is_choice(option->value, given->text))
            return command_fail(COMMAND_USAGE, "--%s: '%s' is none of %s", option->name, given->text, option->value);
        return COMMAND_OK;
    case COMMAND_FLAG:
        return COMMAND_OK;
    case COMMAND_TEXT:
    case COMMAND_FILE:
    case COMMAND_FOLDER:
        if (given->text[0] == '\0')
            return command_fail(COMMAND_USAGE, "--%s: the value is empty", option->name);
        return COMMAND_OK;
    }
    object_panic(__FILE__, __LINE__, "no such type of option");
}

/* argv[*i] is an option; takes its value along. Given twice, the later counts. */
static enum command_exit take_option(struct invocation *call, int argc, char *const *argv, int *i)
{
    const char *arg = argv[*i];
    bool is_long = arg[1] == '-';
    const char *equals = is_long ? strchr(arg, '=') : NULL;
    size_t len = equals != NULL ? (size_t)(equals - arg) - 2 : strlen(arg) - 2;
    const struct command_option *option = is_long            ? find_option(call->command, arg + 2, len, 0)
                                          : strlen(arg) == 2 ? find_option(call->command, NULL, 0, arg[1])
                                                             : NULL;
    if (option == NULL && call->command == NULL)
        return command_fail(COMMAND_USAGE,
                            "'%s' is no option here (options of a command stand behind it); see petrelctl --help", arg);
    if (option == NULL)
        return command_fail(COMMAND_USAGE, "'%s' is no option of '%s'; see petrelctl %s --help", arg,
                            call->command->path, call->command->path);
    struct invocation_option given = {.option = option, .text = equals != NULL ? equals + 1 : NULL};
    if (option->type == COMMAND_FLAG && equals != NULL)
        return command_fail(COMMAND_USAGE, "--%s takes no value", option->name);
    if (option->type != COMMAND_FLAG && equals == NULL) {
        if (*i + 1 >= argc)
            return command_fail(COMMAND_USAGE, "--%s needs a value: %s", option->name, option->value);
        given.text = argv[++*i];
    }
    size_t at = 0;
    while (at < call->options_count && call->options[at].option != option)
        at++;
    petrel_assert(at < INVOCATION_OPTIONS_MAX);
    call->options[at] = given;
    call->options_count += at == call->options_count;
    if (strcmp(option->name, "help") == 0)
        call->help = true;
    return parse_value(&call->options[at]);
}

/* A word that is no option: the next of the path, or an argument. */
static enum command_exit take_word(struct invocation *call, const char *word)
{
    if (call->command != NULL) {
        if (call->arguments_count == INVOCATION_ARGUMENTS_MAX)
            return command_fail(COMMAND_USAGE, "'%s' is one argument too many", word);
        if (word[0] == '\0')
            return command_fail(COMMAND_USAGE, "argument %zu of '%s' is empty", call->arguments_count + 1,
                                call->command->path);
        call->arguments[call->arguments_count++] = word;
        return COMMAND_OK;
    }
    bool second = call->group[0] != '\0';
    const char *words[] = {second ? call->group : word, word};
    size_t count = second ? 2 : 1;
    if (command_find(count, words, &call->command) != count) {
        if (second)
            return command_fail(COMMAND_USAGE, "'%s %s' is no command; see petrelctl %s --help", call->group, word,
                                call->group);
        return command_fail(COMMAND_USAGE, "'%s' is no command; see petrelctl --help", word);
    }
    if (call->command == NULL)
        snprintf(call->group, sizeof call->group, "%s", word);
    return COMMAND_OK;
}

static size_t count_words(const char *text)
{
    size_t count = *text != '\0';
    for (; *text != '\0'; text++)
        count += *text == ' ';
    return count;
}

static enum command_exit check_arguments(const struct invocation *call)
{
    const struct command *command = call->command;
    if (command == NULL)
        return call->group[0] == '\0' ? command_fail(COMMAND_USAGE, "no command; see petrelctl --help")
                                      : command_fail(COMMAND_USAGE, "'%s' needs one more word; see petrelctl %s --help",
                                                     call->group, call->group);
    size_t wanted = count_words(command->arguments);
    if (call->arguments_count == wanted)
        return COMMAND_OK;
    if (wanted == 0)
        return command_fail(COMMAND_USAGE, "'%s' takes no argument; see petrelctl %s --help", command->path,
                            command->path);
    return command_fail(COMMAND_USAGE, "'%s' takes %s, and was given %zu; see petrelctl %s --help", command->path,
                        command->arguments, call->arguments_count, command->path);
}

enum command_exit invocation_parse(struct invocation *call, int argc, char *const *argv)
{
    *call = (struct invocation){0};
    enum command_exit code = COMMAND_OK;
    bool words_only = false;
    for (int i = 1; i < argc && code == COMMAND_OK; i++) {
        if (!words_only && strcmp(argv[i], "--") == 0)
            words_only = true;
        else if (!words_only && argv[i][0] == '-' && argv[i][1] != '\0')
            code = take_option(call, argc, argv, &i);
        else
            code = take_word(call, argv[i]);
    }
    return code == COMMAND_OK && !call->help ? check_arguments(call) : code;
}

const char *invocation_argument(const struct invocation *call, size_t i)
{
    petrel_assert(i < call->arguments_count);
    return call->arguments[i];
}

static const struct invocation_option *given(const struct invocation *call, const char *name)
{
    const struct command_option *option = find_option(call->command, name, strlen(name), 0);
    petrel_assert(option != NULL);
    for (size_t i = 0; i < call->options_count; i++)
        if (call->options[i].option == option)
            return &call->options[i];
    return NULL;
}

const char *invocation_text(const struct invocation *call, const char *name)
{
    const struct invocation_option *option = given(call, name);
    return option != NULL ? option->text : NULL;
}

bool invocation_flag(const struct invocation *call, const char *name)
{
    return given(call, name) != NULL;
}

uint64_t invocation_number(const struct invocation *call, const char *name, uint64_t otherwise)
{
    const struct invocation_option *option = given(call, name);
    return option != NULL ? option->number : otherwise;
}

bool invocation_json(const struct invocation *call)
{
    const char *output = invocation_text(call, "output");
    return output != NULL && strcmp(output, "json") == 0;
}
