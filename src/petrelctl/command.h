/* command.h: the words of petrelctl, and the one table of its commands.
 *
 * command     what a path of words ("app create") does: its arguments, options, handler and an example
 * group       the commands that share a first word
 * invocation  one command line, understood: see invocation.h
 *
 * The table makes the parser, --help at every level and the shell completion. To add a command: its line in command.c, its handler
 * in the command_*.c of its theme, declared below. */
#ifndef PETREL_PETRELCTL_COMMAND_H
#define PETREL_PETRELCTL_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How petrelctl ends. --help and deploy/README.md tell the same. */
#define COMMAND_EXIT_TABLE(X)                                                                                          \
    X(0, OK, "done")                                                                                                   \
    X(1, FAILED, "the server refused, or a file could not be read or written")                                         \
    X(2, USAGE, "wrong usage")                                                                                         \
    X(3, UNREACHABLE, "no server was reached")                                                                         \
    X(4, NOT_FOUND, "no such app, key, device, session, node, message or directory")                                   \
    X(5, TIMEOUT, "no answer, or not enough of them, in time")

enum command_exit {
#define COMMAND_EXIT_ENUM(num, name, text) COMMAND_##name = (num),
    COMMAND_EXIT_TABLE(COMMAND_EXIT_ENUM)
#undef COMMAND_EXIT_ENUM
};

enum command_option_type {
    COMMAND_FLAG,
    COMMAND_TEXT,
    COMMAND_NUMBER,   /* 1 .. 2^53 */
    COMMAND_DURATION, /* 500ms 30s 5m 2h 7d; read as ms */
    COMMAND_CHOICE,
    COMMAND_FILE,
    COMMAND_FOLDER,
};

struct command_option {
    const char *name; /* without the hyphens; NULL ends a list */
    enum command_option_type type;
    const char *value; /* what stands for the value in --help; of a choice: "a|b|c" */
    const char *text;
    char letter; /* 0: none */
};

struct invocation;

struct command {
    const char *path;      /* "app create" */
    const char *arguments; /* "APP USER"; all are needed. APP, NODE, DIR and FILE are known to the completion */
    const char *text;
    const struct command_option *options; /* NULL: only the global ones */
    enum command_exit (*run)(const struct invocation *call);
    const char *example; /* the rest of a line that begins with petrelctl */
    const char *more;    /* a paragraph for --help; NULL: none */
};

/* Static storage. */
const struct command *command_table(size_t *count);
const struct command_option *command_globals(void);

/* How many of the words are the path of a command, or of a group: sets *found, or leaves it NULL for a group. 0: neither. */
size_t command_find(size_t count, const char *const *words, const struct command **found);

/* On standard error: "petrelctl: ", the text, a line end. Returns code, so that a check reads `return command_fail(...)`. */
enum command_exit command_fail(enum command_exit code, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Asks on the terminal, unless --yes was given. 0; COMMAND_FAILED: the answer was not yes; COMMAND_USAGE: there is nobody to ask. */
enum command_exit command_confirm(const struct invocation *call, const char *question);

enum command_exit command_status(const struct invocation *call);
enum command_exit command_version(const struct invocation *call);
enum command_exit command_app_create(const struct invocation *call);
enum command_exit command_app_list(const struct invocation *call);
enum command_exit command_app_show(const struct invocation *call);
enum command_exit command_app_secrets(const struct invocation *call);
enum command_exit command_app_limit(const struct invocation *call);
enum command_exit command_app_set(const struct invocation *call);
enum command_exit command_app_delete(const struct invocation *call);
enum command_exit command_token_key_list(const struct invocation *call);
enum command_exit command_token_key_add(const struct invocation *call);
enum command_exit command_token_key_retire(const struct invocation *call);
enum command_exit command_key_create(const struct invocation *call);
enum command_exit command_key_list(const struct invocation *call);
enum command_exit command_key_revoke(const struct invocation *call);
enum command_exit command_device_register(const struct invocation *call);
enum command_exit command_device_list(const struct invocation *call);
enum command_exit command_device_revoke(const struct invocation *call);
enum command_exit command_user_revoke(const struct invocation *call);
enum command_exit command_topic_subscribe(const struct invocation *call);
enum command_exit command_topic_unsubscribe(const struct invocation *call);
enum command_exit command_topic_list(const struct invocation *call);
enum command_exit command_send(const struct invocation *call);
enum command_exit command_listen(const struct invocation *call);
enum command_exit command_sessions_list(const struct invocation *call);
enum command_exit command_sessions_show(const struct invocation *call);
enum command_exit command_sessions_kick(const struct invocation *call);
enum command_exit command_node_list(const struct invocation *call);
enum command_exit command_node_show(const struct invocation *call);
enum command_exit command_node_drain(const struct invocation *call);
enum command_exit command_node_undrain(const struct invocation *call);
enum command_exit command_rebalance(const struct invocation *call);
enum command_exit command_message_show(const struct invocation *call);
enum command_exit command_audit(const struct invocation *call);
enum command_exit command_config_show(const struct invocation *call);
enum command_exit command_cert_show(const struct invocation *call);
enum command_exit command_reload(const struct invocation *call);
enum command_exit command_backup(const struct invocation *call);
enum command_exit command_restore(const struct invocation *call);
enum command_exit command_completion_bash(const struct invocation *call);

#endif
