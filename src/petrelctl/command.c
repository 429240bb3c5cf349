#include "petrelctl/command.h"

#include "petrelctl/invocation.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* clang-format off */
static const struct command_option globals[] = {
    {"data-dir", COMMAND_FOLDER, "DIR", "the server's data directory, where petreld.json and admin.token are "
        "(PETREL_DATA_DIR, else /var/lib/petrel)", 0},
    {"admin", COMMAND_TEXT, "URL", "the admin API, or unix:PATH (PETREL_ADMIN, else what petreld.json says: its socket where you may use it)", 0},
    {"admin-ca", COMMAND_FILE, "FILE", "trust these certificates (PEM) of an https://HOST:PORT in --admin instead of the system's", 0},
    {"token-file", COMMAND_FILE, "FILE", "holds the admin token (admin.token in the data directory; a socket needs none)", 0},
    {"output", COMMAND_CHOICE, "table|json", "for people, or for machines", 'o'},
    {"timeout", COMMAND_DURATION, "TIME", "how long one request may take: 500ms, 10s, 1m (10s; a backup: 1h)", 0},
    {"help", COMMAND_FLAG, NULL, "tell how it is used", 'h'},
    {NULL},
};

static const struct command_option yes[] = {
    {"yes", COMMAND_FLAG, NULL, "do not ask", 'y'},
    {NULL},
};

static const struct command_option names[] = {
    {"names", COMMAND_FLAG, NULL, "print the names only, a line each", 0},
    {NULL},
};

static const struct command_option key_create[] = {
    {"label", COMMAND_TEXT, "TEXT", "what the key is for, to tell it from others", 0},
    {"scope", COMMAND_TEXT, "send,admin,read", "what it may do, by commas: send messages; register, subscribe and revoke; look (all)", 0},
    {"expires", COMMAND_DURATION, "TIME", "how long it is good: 90d (for ever)", 0},
    {NULL},
};

static const struct command_option app_limit[] = {
    {"rate", COMMAND_NUMBER, "N", "requests a second of the app on each node (the server's api.app_rate)", 0},
    {"key-rate", COMMAND_NUMBER, "N", "requests a second of each of its keys on each node (the server's api.key_rate)", 0},
    {NULL},
};

static const struct command_option app_set[] = {
    {"origins", COMMAND_TEXT, "LIST", "origins of the pages that may connect, by commas: https://app.example; *: all; none: no page (the server's session.origins)", 0},
    {"connects", COMMAND_NUMBER, "N", "connects a second of its devices on each node (the server's session.app_connects_per_second)", 0},
    {NULL},
};

static const struct command_option token_key_add[] = {
    {"kid", COMMAND_TEXT, "TEXT", "what the header of tokens calls the key; needs --pem", 0},
    {"pem", COMMAND_FILE, "FILE", "a public key: EC on P-256 (ES256), RSA of 2048 to 4096 bits (RS256); - is standard input", 0},
    {NULL},
};

static const struct command_option audit_options[] = {
    {"since", COMMAND_DURATION, "TIME", "not older than this: 30m, 24h, 7d (all that is kept)", 0},
    {"app", COMMAND_TEXT, "APP", "only of this app", 0},
    {"limit", COMMAND_NUMBER, "N", "at most so many, the newest (100)", 'n'},
    {NULL},
};

static const struct command_option device_register[] = {
    {"device", COMMAND_TEXT, "NAME", "the installation's name; the server makes one when it is left out", 0},
    {"platform", COMMAND_TEXT, "TEXT", "what it runs on, for people", 0},
    {"token-ttl", COMMAND_DURATION, "TIME", "life of the token (the server's api.token_ttl)", 0},
    {NULL},
};

static const struct command_option send_options[] = {
    {"user", COMMAND_TEXT, "USER", "send to all devices of this user", 'u'},
    {"device", COMMAND_TEXT, "NAME", "of them, only to this one", 0},
    {"address", COMMAND_TEXT, "ADDRESS", "send to the device of this address, as `device register` gave it", 0},
    {"topic", COMMAND_TEXT, "TOPIC", "send to all devices that follow this topic; all: to every device", 0},
    {"condition", COMMAND_TEXT, "TEXT", "send to all devices that meet this: 'a' in topics && !('b' in topics)", 0},
    {"rate", COMMAND_NUMBER, "N", "of a topic or condition: so many devices a second (as fast as it goes)", 0},
    {"data", COMMAND_TEXT, "JSON", "the message: any JSON value", 'd'},
    {"text", COMMAND_TEXT, "TEXT", "the message: this text, as a JSON string", 't'},
    {"payload-file", COMMAND_FILE, "FILE", "the message: the bytes of this file; - is standard input", 0},
    {"ttl", COMMAND_DURATION, "TIME", "how long it may wait for a device: 30s, 1h, 7d (the server's api.ttl_default)", 0},
    {"priority", COMMAND_CHOICE, "high|normal|low", "what the inbox's cap drops last, and first (normal)", 0},
    {"collapse-key", COMMAND_TEXT, "KEY", "replaces a waiting message of the same key", 0},
    {"key", COMMAND_TEXT, "KEY", "idempotency key: sent twice, the message still goes out once", 0},
    {"require-device", COMMAND_FLAG, NULL, "refuse when the user has no device yet", 0},
    {"validate-only", COMMAND_FLAG, NULL, "check it, send nothing", 0},
    {NULL},
};

static const struct command_option listen_options[] = {
    {"device", COMMAND_TEXT, "NAME", "listen as this device (the one of the state file, else petrelctl)", 0},
    {"state", COMMAND_FILE, "FILE", "keep the device's name and position here, to go on where it stopped", 0},
    {"count", COMMAND_NUMBER, "N", "end after so many messages", 'n'},
    {"for", COMMAND_DURATION, "TIME", "end after so long; exit code 5 when --count was not reached", 0},
    {"topics", COMMAND_FLAG, NULL, "take messages to topics, too: to all, and to those that the device is subscribed to", 0},
    {"topic", COMMAND_TEXT, "TOPIC", "the same, and subscribe the device to this one; that stays, see topic unsubscribe", 0},
    {"lookup", COMMAND_TEXT, "HOST:PORT[,...]", "send API listeners that name session servers (the admin API's own lookup)", 0},
    {"server", COMMAND_TEXT, "HOST:PORT", "connect to this session server and no other", 0},
    {"token", COMMAND_FILE, "FILE", "holds the device's token; nothing is registered then; needs --lookup or --server", 0},
    {"tls", COMMAND_FLAG, NULL, "speak TLS with --server, or with --lookup, which may then be session servers, and who they name", 0},
    {"tls-ca", COMMAND_FILE, "FILE", "the same, and trust these certificates (PEM) instead of the system's", 0},
    {"tls-name", COMMAND_TEXT, "NAME", "the same, and the servers have to prove that name instead of the host's", 0},
    {NULL},
};

static const struct command_option sessions_list[] = {
    {"app", COMMAND_TEXT, "APP", "only of this app", 0},
    {"user", COMMAND_TEXT, "USER", "only of this user; needs --app", 'u'},
    {"node", COMMAND_TEXT, "NODE", "only those that this node holds", 0},
    {"limit", COMMAND_NUMBER, "N", "at most so many (all)", 'n'},
    {NULL},
};

static const struct command_option moving[] = {
    {"rate", COMMAND_NUMBER, "N", "tell so many sessions a second, of each node that gives some away (100)", 0},
    {"no-wait", COMMAND_FLAG, NULL, "only begin; else progress is told until it is done", 0},
    {NULL},
};

static const struct command_option message_show[] = {
    {"app", COMMAND_TEXT, "APP", "the app it was sent to (all are asked)", 0},
    {NULL},
};

static const struct command commands[] = {
    {"status", "", "say how the server is", NULL, command_status, "status", NULL},
    {"app create", "APP", "create an app", NULL, command_app_create, "app create shop", NULL},
    {"app list", "", "list all apps", names, command_app_list, "app list -o json", NULL},
    {"app show", "APP", "show one app", NULL, command_app_show, "app show shop", NULL},
    {"app secrets", "APP", "show the secrets that sign the app's device tokens, for a backend that mints them itself", NULL,
        command_app_secrets, "app secrets shop", NULL},
    {"app limit", "APP", "limit the requests a second of an app and of its keys; what is not named is the server's again", app_limit,
        command_app_limit, "app limit shop --rate 500 --key-rate 100",
        "A limit is each node's: an app that asks three nodes may make three times as many. `petrelctl app show` tells what this node has left\n"
        "and has refused."},
    {"app set", "APP", "set what the app's devices meet where they connect; what is not named is the server's again", app_set,
        command_app_set, "app set shop --origins https://shop.example,https://www.shop.example",
        "A page of another origin is refused as its browser connects (403), or, where another app lets it in, when its token names this app (3514).\n"
        "Clients that are no browsers name no origin and may always."},
    {"app delete", "APP", "delete an app with its keys and devices", yes, command_app_delete, "app delete shop --yes", NULL},
    {"token-key list", "APP", "list the keys that sign the app's device tokens, without the secrets", NULL, command_token_key_list,
        "token-key list shop", NULL},
    {"token-key add", "APP", "add a key that signs device tokens: a public one of yours, else a new secret", token_key_add,
        command_token_key_add, "token-key add shop --kid 2026-02 --pem phones.pub.pem",
        "To replace a key without a device noticing: add the new one, sign with it a minute later, retire the old one when the tokens that it\n"
        "signed have expired. The server signs with its newest secret from a minute after it was made."},
    {"token-key retire", "APP KID", "retire a key: no token that it signed is taken any more", yes, command_token_key_retire,
        "token-key retire shop 2025-11 --yes", NULL},
    {"key create", "APP", "make an API key for backends of an app; it is shown this once", key_create, command_key_create,
        "key create shop --label orders --scope send --expires 90d", NULL},
    {"key list", "APP", "list the API keys of an app", NULL, command_key_list, "key list shop", NULL},
    {"key revoke", "APP KEY-ID", "revoke an API key, for ever", yes, command_key_revoke,
        "key revoke shop 5f0c2b9a7d3e4811 --yes", NULL},
    {"device register", "APP USER", "register a device of a user; gives its address and token", device_register,
        command_device_register, "device register shop alice --device phone-1", NULL},
    {"device list", "APP USER", "list the devices of a user", NULL, command_device_list, "device list shop alice", NULL},
    {"device revoke", "APP USER DEVICE", "revoke a device: its session ends, its tokens are worth nothing", yes,
        command_device_revoke, "device revoke shop alice phone-1 --yes", NULL},
    {"user revoke", "APP USER", "revoke all devices of a user: their sessions end, their tokens are worth nothing", yes,
        command_user_revoke, "user revoke shop alice --yes", NULL},
    {"topic subscribe", "APP USER DEVICE TOPIC", "subscribe a device to a topic", NULL, command_topic_subscribe,
        "topic subscribe shop alice phone-1 news", NULL},
    {"topic unsubscribe", "APP USER DEVICE TOPIC", "end a device's subscription", NULL, command_topic_unsubscribe,
        "topic unsubscribe shop alice phone-1 news", NULL},
    {"topic list", "APP USER DEVICE", "list what a device is subscribed to", NULL, command_topic_list,
        "topic list shop alice phone-1", NULL},
    {"send", "APP", "send a message", send_options, command_send,
        "send shop --user alice --data '{\"order\":7}' --ttl 1h", "Prints the message's id, for `petrelctl message show`."},
    {"listen", "APP USER", "be a device: print every message as it comes", listen_options, command_listen,
        "listen shop alice --state alice.state",
        "Prints a line for each message: when it came, its id, how long it took, the message. Every message is acked once it is\n"
        "printed; with --state, what was missed while away comes next time. Ctrl-C ends it in order."},
    {"sessions list", "", "list live sessions", sessions_list, command_sessions_list, "sessions list --app shop", NULL},
    {"sessions show", "SESSION", "show one live session", NULL, command_sessions_show,
        "sessions show 1-19a5c03ff42-0-2f-1", NULL},
    {"sessions kick", "SESSION", "close a session; its device comes back by itself", yes, command_sessions_kick,
        "sessions kick 1-19a5c03ff42-0-2f-1 --yes", NULL},
    {"node list", "", "list the cluster's nodes", names, command_node_list, "node list", NULL},
    {"node show", "NODE", "show one node, and how far it is with a drain", NULL, command_node_show, "node show session-1", NULL},
    {"node drain", "NODE", "send a node's sessions to other nodes, and let no new one in", moving, command_node_drain,
        "node drain session-1 --rate 500",
        "Each device is told to go, connects to another node and goes on there: nothing is lost, and it sees one reconnect. Ends when\n"
        "the node holds no session; Ctrl-C ends the waiting, not the drain."},
    {"node undrain", "NODE", "end a drain: the node takes sessions again, those that it still has stay", NULL,
        command_node_undrain, "node undrain session-1", NULL},
    {"rebalance", "", "move sessions from nodes that have more than their share to the others", moving, command_rebalance,
        "rebalance --rate 200",
        "A node's share goes by its session.max_sessions. Run it after nodes were added, or came back."},
    {"message show", "ID", "say where a message is", message_show, command_message_show,
        "message show 019a9c1e-5d2b-7c44-9a51-0c8e3a5f7b10~YWxpY2U", NULL},
    {"audit", "", "list what operators did, the newest first", audit_options, command_audit, "audit --since 24h", NULL},
    {"config show", "", "show the configuration in force", NULL, command_config_show, "config show", NULL},
    {"cert show", "", "show the certificates that devices are served, and until when", NULL, command_cert_show, "cert show", NULL},
    {"reload", "", "have the running server read its certificates again, without dropping a session", NULL, command_reload,
        "reload", "SIGHUP does the same. Files that are of no use are refused, and those before stay in service."},
    {"backup", "DIR", "have the running server copy its stores to a new directory on its own machine", NULL, command_backup,
        "backup /var/backups/petrel-monday", NULL},
    {"restore", "DIR", "put a backup in place of a stopped server's stores", yes, command_restore,
        "restore /var/backups/petrel-monday --data-dir /var/lib/petrel",
        "What was there is kept beside it as *.before-restore. On its next start the server begins a new epoch, so that devices\n"
        "that are ahead of the backup notice, and are told."},
    {"completion bash", "", "print the completion for bash", NULL, command_completion_bash,
        "completion bash > /etc/bash_completion.d/petrelctl", NULL},
    {"version", "", "print the version", NULL, command_version, "version", NULL},
};
/* clang-format on */

const struct command *command_table(size_t *count)
{
    *count = sizeof commands / sizeof commands[0];
    return commands;
}

const struct command_option *command_globals(void)
{
    return globals;
}

/* How many words of the path the given words match from the start; *whole: that is all of it. */
static size_t match(const char *path, size_t count, const char *const *words, bool *whole)
{
    size_t matched = 0;
    while (matched < count && *path != '\0') {
        size_t len = strcspn(path, " ");
        if (strlen(words[matched]) != len || memcmp(words[matched], path, len) != 0)
            break;
        matched++;
        path += len;
        path += *path == ' ';
    }
    *whole = *path == '\0';
    return matched;
}

size_t command_find(size_t count, const char *const *words, const struct command **found)
{
    *found = NULL;
    size_t group = 0;
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        bool whole;
        size_t matched = match(commands[i].path, count, words, &whole);
        if (matched > 0 && whole) {
            *found = &commands[i];
            return matched;
        }
        if (matched > group)
            group = matched;
    }
    return group;
}

enum command_exit command_fail(enum command_exit code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("petrelctl: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    return code;
}

enum command_exit command_confirm(const struct invocation *call, const char *question)
{
    if (invocation_flag(call, "yes"))
        return COMMAND_OK;
    if (!isatty(STDIN_FILENO))
        return command_fail(COMMAND_USAGE, "%s Standard input is no terminal to ask on: say --yes if so.", question);
    fprintf(stderr, "%s [y/N] ", question);
    char answer[16];
    if (fgets(answer, sizeof answer, stdin) == NULL)
        answer[0] = '\0';
    answer[strcspn(answer, "\r\n")] = '\0';
    if (strcmp(answer, "y") == 0 || strcmp(answer, "yes") == 0)
        return COMMAND_OK;
    return command_fail(COMMAND_FAILED, "nothing was done");
}
