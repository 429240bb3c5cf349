#include "petreld/config.h"

#include "base/err.h"
#include "base/netaddr.h"
#include "base/object.h"
#include "petreld/roles.h"

#include <inttypes.h>
#include <stdio.h>

/* No process of ours is so small. */
#define MEMORY_LEAST CONFIG_MIB
#define TLS_NAME_MAX 64 /* as of node_name */

struct unit {
    const char *suffix;
    uint64_t factor;
};

/* Largest first, so that formatting takes the largest that divides. */
static const struct unit byte_units[] = {
    {"GiB", CONFIG_GIB}, {"MiB", CONFIG_MIB}, {"KiB", CONFIG_KIB}, {"B", 1}, {NULL, 0},
};
static const struct unit duration_units[] = {
    {"d", CONFIG_DAY}, {"h", 3600 * CONFIG_SECOND}, {"m", 60 * CONFIG_SECOND}, {"s", CONFIG_SECOND}, {"ms", 1},
    {NULL, 0},
};

/* A percentage is a number of bytes that no memory has. */
static const struct unit memory_units[] = {
    {"GiB", CONFIG_GIB}, {"MiB", CONFIG_MIB}, {"KiB", CONFIG_KIB}, {"%", 1}, {NULL, 0},
};

static const struct config_entry entries[] = {
#define CONFIG_ENTRY(key_, name_, type_, initial_, low_, high_, text_)                                                 \
    {.key = (key_),                                                                                                    \
     .type = CONFIG_##type_,                                                                                           \
     .initial = (initial_),                                                                                            \
     .low = (low_),                                                                                                    \
     .high = (high_),                                                                                                  \
     .text = (text_),                                                                                                  \
     .offset = offsetof(struct config, name_)},
    CONFIG_TABLE(CONFIG_ENTRY)
#undef CONFIG_ENTRY
};

const struct config_entry *config_entries(size_t *count)
{
    *count = sizeof entries / sizeof entries[0];
    return entries;
}

static const struct unit *units_of(const struct config_entry *entry)
{
    switch (entry->type) {
    case CONFIG_BYTES:
        return byte_units;
    case CONFIG_DURATION:
        return duration_units;
    case CONFIG_MEMORY:
        return memory_units;
    default:
        return NULL;
    }
}

static void format_number(const struct config_entry *entry, uint64_t value, struct bytebuf *out)
{
    const struct unit *unit = units_of(entry);
    if (unit == NULL || value == 0) {
        bytes_printf(out, "%" PRIu64, value);
        return;
    }
    while (value % unit->factor != 0)
        unit++;
    bytes_printf(out, "%" PRIu64 "%s", value / unit->factor, unit->suffix);
}

/* The whole of text as digits and a unit. */
static int parse_number(const struct config_entry *entry, const char *text, uint64_t *value)
{
    const struct unit *unit = units_of(entry);
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 18)
        return PETREL_E_INVALID;
    uint64_t number = 0;
    for (size_t i = 0; i < digits; i++)
        number = number * 10 + (uint64_t)(text[i] - '0');
    const char *suffix = text + digits;
    *value = number;
    if (unit == NULL || (number == 0 && *suffix == '\0'))
        return *suffix == '\0' ? 0 : PETREL_E_INVALID;
    for (; unit->suffix != NULL; unit++)
        if (strcmp(unit->suffix, suffix) == 0)
            return __builtin_mul_overflow(number, unit->factor, value) ? PETREL_E_INVALID : 0;
    return PETREL_E_INVALID;
}

static int set_number(const struct config_entry *entry, uint64_t *field, const char *text, struct config_error *error)
{
    static const char *const forms[] = {
        [CONFIG_COUNT] = "a whole number",
        [CONFIG_BYTES] = "a whole number with a unit: B, KiB, MiB or GiB",
        [CONFIG_DURATION] = "a whole number with a unit: ms, s, m, h or d",
        [CONFIG_MEMORY] = "a whole number with a unit: KiB, MiB, GiB or %",
    };
    uint64_t value;
    if (parse_number(entry, text, &value) != 0) {
        snprintf(error->what, sizeof error->what, "%s: \"%.64s\" is not %s", entry->key, text, forms[entry->type]);
        return PETREL_E_INVALID;
    }
    if (value < entry->low || value > entry->high) {
        struct bytebuf range = {0};
        format_number(entry, entry->low, &range);
        bytes_append_str(&range, " to ");
        format_number(entry, entry->high, &range);
        snprintf(error->what, sizeof error->what, "%s: %.64s is out of range: %.*s", entry->key, text, (int)range.len,
                 (const char *)range.ptr);
        bytes_reset(&range);
        return PETREL_E_INVALID;
    }
    *field = value;
    return 0;
}

static int set_text(const struct config_entry *entry, char *field, const char *text, struct config_error *error)
{
    size_t len = strlen(text);
    if (len > CONFIG_TEXT_MAX) {
        snprintf(error->what, sizeof error->what, "%s: longer than %d bytes", entry->key, CONFIG_TEXT_MAX);
        return PETREL_E_INVALID;
    }
    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f) {
            snprintf(error->what, sizeof error->what, "%s: has a control character", entry->key);
            return PETREL_E_INVALID;
        }
    }
    memcpy(field, text, len + 1);
    return 0;
}

const char *config_choices(const struct config_entry *entry, size_t *len)
{
    *len = entry->type == CONFIG_CHOICE ? strcspn(entry->text, ";") : 0;
    return entry->type == CONFIG_CHOICE ? entry->text : NULL;
}

const char *config_purpose(const struct config_entry *entry)
{
    size_t len;
    return config_choices(entry, &len) != NULL ? entry->text + len + 2 : entry->text;
}

static int set_choice(const struct config_entry *entry, char *field, const char *text, struct config_error *error)
{
    size_t len = strlen(text), all;
    const char *choices = config_choices(entry, &all);
    for (const char *choice = choices; len > 0 && choice < choices + all;) {
        size_t choice_len = strcspn(choice, "|;");
        if (choice_len == len && memcmp(choice, text, len) == 0) {
            memcpy(field, text, len + 1);
            return 0;
        }
        choice += choice_len + (choice[choice_len] == '|');
    }
    snprintf(error->what, sizeof error->what, "%s: \"%.64s\" is none of %.*s", entry->key, text, (int)all, choices);
    return PETREL_E_INVALID;
}

static int set_entry(struct config *config, const struct config_entry *entry, const char *text,
                     struct config_error *error)
{
    void *field = (char *)config + entry->offset;
    switch (entry->type) {
    case CONFIG_TEXT:
        return set_text(entry, field, text, error);
    case CONFIG_CHOICE:
        return set_choice(entry, field, text, error);
    default:
        return set_number(entry, field, text, error);
    }
}

void config_defaults(struct config *config)
{
    memset(config, 0, sizeof *config);
    struct config_error error;
    for (size_t i = 0; i < sizeof entries / sizeof entries[0]; i++)
        petrel_assert(set_entry(config, &entries[i], entries[i].initial, &error) == 0);
}

int config_set(struct config *config, const char *key, const char *value, struct config_error *error)
{
    for (size_t i = 0; i < sizeof entries / sizeof entries[0]; i++)
        if (strcmp(entries[i].key, key) == 0)
            return set_entry(config, &entries[i], value, error);
    snprintf(error->what, sizeof error->what, "no such key: \"%.64s\"; petreld --help lists all", key);
    return PETREL_E_INVALID;
}

void config_format(const struct config *config, const struct config_entry *entry, struct bytebuf *out)
{
    const void *field = (const char *)config + entry->offset;
    if (entry->type == CONFIG_TEXT || entry->type == CONFIG_CHOICE)
        bytes_append_str(out, field);
    else
        format_number(entry, *(const uint64_t *)field, out);
}

static bool is_address_list(const char *text)
{
    struct netaddr_set set;
    return netaddr_set_parse(text, &set) == 0;
}

static const char *check_store_tls(const struct config *config)
{
    const bool redis = strcmp(config->store_redis_tls, "yes") == 0;
    const bool mysql = strcmp(config->registry_mysql_tls, "yes") == 0;
    if (redis && config->store_redis_tls_ca[0] == '\0')
        return "store.redis_tls needs store.redis_tls_ca";
    if (mysql && config->registry_mysql_tls_ca[0] == '\0')
        return "registry.mysql_tls needs registry.mysql_tls_ca";
    if (mysql && config->registry_mysql_socket[0] != '\0')
        return "registry.mysql_tls is of registry.mysql_host: a socket of this machine has no use for it";
    if ((config->store_redis_tls_cert[0] == '\0') != (config->store_redis_tls_key[0] == '\0'))
        return "store.redis_tls_cert and store.redis_tls_key go together";
    if ((config->registry_mysql_tls_cert[0] == '\0') != (config->registry_mysql_tls_key[0] == '\0'))
        return "registry.mysql_tls_cert and registry.mysql_tls_key go together";
    if (strlen(config->store_redis_tls_name) > TLS_NAME_MAX)
        return "store.redis_tls_name has more than 64 bytes";
    return NULL;
}

/* NULL: nothing is wrong with it. */
static const char *check_tls(const struct config *config)
{
    const bool serves = config->tls_cert[0] != '\0';
    const bool links = strcmp(config->peer_tls, "off") != 0;
    if (serves != (config->tls_key[0] != '\0'))
        return "tls.cert and tls.key go together";
    if (!serves && strcmp(config->tls_sessions, "required") == 0)
        return "tls.sessions = required needs tls.cert and tls.key";
    if (!serves && (strcmp(config->api_tls, "required") == 0 || strcmp(config->admin_tls, "required") == 0))
        return "api.tls or admin.tls = required needs tls.cert and tls.key";
    if (links && config->peer_secret_file[0] == '\0')
        return "peer.tls needs peer.secret_file: a node that is alone has no links";
    if (links &&
        (config->peer_tls_cert[0] == '\0' || config->peer_tls_key[0] == '\0' || config->peer_tls_ca[0] == '\0'))
        return "peer.tls needs peer.tls_cert, peer.tls_key and peer.tls_ca";
    if (strlen(config->peer_tls_name) > TLS_NAME_MAX)
        return "peer.tls_name has more than 64 bytes";
    return check_store_tls(config);
}

static bool is_loopback(const char *host)
{
    struct netaddr_set loopback, address;
    petrel_assert(netaddr_set_parse("127.0.0.0/8, ::1", &loopback) == 0);
    return netaddr_set_parse(host, &address) == 0 && address.count == 1 &&
           netaddr_set_has(&loopback, address.networks[0].ip);
}

/* What is wrong with how operators come in; NULL: nothing. */
static const char *check_admin(const struct config *config)
{
    const bool required = strcmp(config->admin_tls, "required") == 0;
    if (config->admin_host[0] == '\0' && config->admin_socket[0] == '\0')
        return "admin.host and admin.socket are both empty: nobody could reach the admin API";
    if (config->admin_host[0] != '\0' && !is_loopback(config->admin_host) && !required)
        return "admin.host is no loopback address: the admin token would cross the network in the clear. Set admin.tls "
               "= required (with tls.cert and tls.key), or keep it on 127.0.0.1 or ::1";
    if (config->user[0] == '\0')
        return "user is empty: say whom petreld becomes when it is started as root";
    return NULL;
}

static const char *check_all_else(const struct config *config)
{
    const char *wrong = NULL;
    uint32_t roles;
    bool alone = config->peer_secret_file[0] == '\0';
    bool zookeeper = strcmp(config->discovery_backend, "zookeeper") == 0;
    if (roles_parse(config->roles, &roles) != 0)
        wrong = "roles: must be some of session, message, api, by commas";
    else if (alone && roles != ROLES_ALL)
        wrong = "a node without peer.secret_file is alone, so it needs all roles";
    else if (alone == zookeeper)
        wrong = "peer.secret_file and discovery.backend = zookeeper go together";
    else if (zookeeper && strcmp(config->store_backend, "redis") != 0)
        wrong = "nodes of a cluster share their users: store.backend must be redis";
    else if (zookeeper && strcmp(config->registry_backend, "mysql") != 0)
        wrong = "nodes of a cluster share their apps: registry.backend must be mysql";
    else if (config->store_redis_deadline < config->store_redis_timeout ||
             config->store_redis_replicated < config->store_redis_timeout)
        wrong = "store.redis_timeout is of one try: store.redis_deadline and store.redis_replicated can't be below it";
    else if (config->peer_call_timeout < config->peer_silence)
        wrong = "peer.call_timeout is below peer.silence: calls would be given up before their node is";
    else if (!is_address_list(config->session_proxy_from))
        wrong =
            "session.proxy_from must be addresses and networks, 16 at most, as 10.0.0.0/8, 192.0.2.7, 2001:db8::/32";
    else if (!is_address_list(config->api_proxy_from))
        wrong = "api.proxy_from must be addresses and networks, 16 at most, as 10.0.0.0/8, 192.0.2.7, 2001:db8::/32";
    else if (config->session_heartbeat_min > config->session_heartbeat_max)
        wrong = "session.heartbeat_min is above session.heartbeat_max";
    else if (config->session_heartbeat < config->session_heartbeat_min ||
             config->session_heartbeat > config->session_heartbeat_max)
        wrong = "session.heartbeat is not between session.heartbeat_min and session.heartbeat_max";
    else if (config->memory_high_water > CONFIG_PERCENT_MAX && config->memory_high_water < MEMORY_LEAST)
        wrong = "memory.high_water must be at most 100%, or 1MiB or more";
    else if (config->api_ttl_default > config->api_ttl_max)
        wrong = "api.ttl_default is above api.ttl_max";
    else if (config->session_max_bytes_per_second > 0 &&
             config->session_max_bytes_per_second <= config->session_max_frame)
        wrong = "session.max_bytes_per_second must exceed session.max_frame, or no large frame gets through";
    else if (config->api_max_message + 1024 > config->session_max_frame)
        wrong = "session.max_frame must exceed api.max_message by 1KiB: a message travels in one frame";
    else if (config->inbox_cap_bytes < config->api_max_message + 1024)
        wrong = "inbox.cap_bytes must exceed api.max_message by 1KiB: the largest message must fit an inbox";
    else if (config->topics_cap_bytes < config->api_max_message + 2048)
        wrong = "topics.cap_bytes must exceed api.max_message by 2KiB: the largest message and its condition must fit "
                "a log";
    else if (config->topics_keep < config->topics_ttl_max || config->topics_keep <= config->topics_lapse)
        wrong =
            "topics.keep must be topics.ttl_max or more, and above topics.lapse: what is awaited can't be forgotten";
    else if (config->api_max_body < config->api_max_message * 2)
        wrong = "api.max_body must be twice api.max_message or more: a payload grows in base64";
    else if (config->data_dir[0] == '\0')
        wrong = "data_dir is empty";
    return wrong;
}

int config_check(const struct config *config, struct config_error *error)
{
    const char *wrong = check_all_else(config);
    if (wrong == NULL)
        wrong = check_tls(config);
    if (wrong == NULL)
        wrong = check_admin(config);
    if (wrong == NULL)
        return 0;
    snprintf(error->where, sizeof error->where, "configuration");
    snprintf(error->what, sizeof error->what, "%s", wrong);
    return PETREL_E_INVALID;
}
