#include "api/api_send.h"

#include "api/api_json_scan.h"
#include "base/err.h"
#include "base/hash.h"

#include <inttypes.h>

/* ---- the object, as read ---- */

struct to {
    struct bytes user;
    struct bytes device;
    struct bytes token;
    struct bytes topic;
    struct bytes condition;
};

/* Where it comes from: its text, and its tree unless the text is so plain that none was needed. */
struct source {
    struct bytes text;
    const json_t *tree;
};

struct body {
    struct to to_read;
    struct api_json_part to;
    struct api_json_part data;
    struct bytes payload;
    struct api_json_uint ttl;
    struct api_json_uint rate;
    struct bytes priority;
    struct bytes collapse_key;
    struct bytes durability;
    struct bytes idempotency_key;
    bool require_device;
    bool validate_only;
};

enum { FIELD_TTL = 0, FIELD_KEY = 1 };

#define FIELD(name_, type_, member_)                                                                                   \
    {                                                                                                                  \
        .name = name_, .type = API_JSON_##type_, .offset = offsetof(struct body, member_)                              \
    }

static const struct api_json_field body_fields[] = {
    [FIELD_TTL] = FIELD("ttl", UINT, ttl),
    [FIELD_KEY] = FIELD("idempotency_key", TEXT, idempotency_key),
    FIELD("to", OBJECT, to),
    FIELD("data", ANY, data),
    FIELD("payload", TEXT, payload),
    {.name = "rate", .type = API_JSON_UINT, .offset = offsetof(struct body, rate), .min = 1, .max = UINT32_MAX},
    FIELD("priority", TEXT, priority),
    FIELD("collapse_key", TEXT, collapse_key),
    FIELD("durability", TEXT, durability),
    FIELD("require_device", BOOL, require_device),
    FIELD("validate_only", BOOL, validate_only),
    {.name = "deliver_at", .type = API_JSON_UNSUPPORTED},
};

#define TO_FIELD(name_, member_)                                                                                       \
    {                                                                                                                  \
        .name = name_, .type = API_JSON_TEXT, .offset = offsetof(struct to, member_)                                   \
    }

static const struct api_json_field to_fields[] = {
    TO_FIELD("user", user),   TO_FIELD("device", device),       TO_FIELD("token", token),
    TO_FIELD("topic", topic), TO_FIELD("condition", condition),
};

#define BODY_FIELDS (sizeof body_fields / sizeof body_fields[0])
#define TO_FIELDS (sizeof to_fields / sizeof to_fields[0])

static bool is_given(const struct api_json_part *part)
{
    return part->tree != NULL || part->text.ptr != NULL;
}

/* The longest ttl is the configuration's. */
static void body_table(const struct api_send *send, struct api_json_field fields[BODY_FIELDS])
{
    memcpy(fields, body_fields, sizeof body_fields);
    fields[FIELD_TTL].max = send->role->config.ttl_max_s;
}

/* What most senders write. */
static bool scan_body(const struct api_send *send, struct bytes text, struct body *body)
{
    struct api_json_field fields[BODY_FIELDS];
    body_table(send, fields);
    return api_json_scan(text, fields, BODY_FIELDS, body) && is_given(&body->to) &&
           api_json_scan(body->to.text, to_fields, TO_FIELDS, &body->to_read);
}

static int read_body(struct api_send *send, const json_t *tree, struct body *body)
{
    struct api_json_field fields[BODY_FIELDS];
    body_table(send, fields);
    return api_json_read(tree, "", fields, BODY_FIELDS, body, &send->error);
}

/* ---- to ---- */

static int check_to(const struct to *to, struct api_error *error)
{
    const bool to_user = to->user.ptr != NULL || to->device.ptr != NULL;
    const int ways = (to->token.ptr != NULL) + (to->topic.ptr != NULL) + (to->condition.ptr != NULL) + to_user;
    if (ways != 1)
        return api_error_set(error, API_ERROR_INVALID, "to",
                             "must be exactly one of {user}, {user, device}, {token}, {topic}, {condition}");
    if (to_user && to->user.ptr == NULL)
        return api_error_set(error, API_ERROR_INVALID, "to.user", "is missing beside to.device");
    if (to->user.ptr != NULL && !route_valid_user(to->user))
        return api_error_set(error, API_ERROR_INVALID, "to.user", "must be 1 to %d bytes of printable UTF-8",
                             ROUTE_USER_MAX);
    if (to->device.ptr != NULL && !route_valid_device(to->device))
        return api_error_set(error, API_ERROR_INVALID, "to.device", "must be 1 to %d of A-Z a-z 0-9 . _ : -",
                             ROUTE_DEVICE_MAX);
    return 0;
}

static int read_to(struct api_send *send, const struct snapshot_app *app, struct body *body)
{
    int rc = body->to.tree != NULL
                 ? api_json_read(body->to.tree, "to.", to_fields, TO_FIELDS, &body->to_read, &send->error)
                 : 0;
    const struct to to = body->to_read;
    if (rc == 0)
        rc = check_to(&to, &send->error);
    if (rc != 0)
        return rc;
    if (to.topic.ptr != NULL || to.condition.ptr != NULL)
        return api_topic_send_read(send, bytes_str(app->name), to.topic, to.condition);
    api_address_set_target(&send->target, bytes_str(app->name), to.user, to.device);
    if (to.token.ptr != NULL && api_address_get_device(to.token, &send->target) != 0)
        return api_error_set(&send->error, API_ERROR_INVALID, "to.token", "is not the address of a device of this app");
    return 0;
}

/* ---- data and payload ---- */

static size_t member_index(const json_t *object, const char *wanted)
{
    size_t index = 0;
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)object, name, value)
    {
        if (strcmp(name, wanted) == 0)
            break;
        index++;
    }
    return index;
}

/* The message's bytes, into the role's buffer. */
static int read_content(struct api_send *send, const struct source *from, const struct body *body)
{
    struct bytebuf *out = &send->role->message;
    const char *field = is_given(&body->data) ? "data" : "payload";
    out->len = 0;
    if (is_given(&body->data) == (body->payload.ptr != NULL))
        return api_error_set(&send->error, API_ERROR_INVALID, "data",
                             is_given(&body->data) ? "must be alone: payload is there too"
                                                   : "is missing: data or payload is asked for");
    if (body->data.tree != NULL)
        api_json_put_member(out, from->text, member_index(from->tree, "data"));
    else if (is_given(&body->data))
        api_json_put_compact(out, body->data.text);
    else if (bytes_get_base64(body->payload, out) != 0)
        return api_error_set(&send->error, API_ERROR_INVALID, field,
                             "is not base64 (RFC 4648 section 4, with its padding)");
    if (out->len > send->role->config.max_message_bytes)
        return api_error_set(&send->error, API_ERROR_TOO_LARGE, field, "is %zu bytes %s, the limit is %u", out->len,
                             is_given(&body->data) ? "of compact JSON text" : "when decoded",
                             send->role->config.max_message_bytes);
    return 0;
}

/* ---- the rest ---- */

static int read_priority(struct api_send *send, struct bytes text, enum peer_priority *priority)
{
    static const char *const names[] = {
        [PEER_PRIORITY_LOW] = "low", [PEER_PRIORITY_NORMAL] = "normal", [PEER_PRIORITY_HIGH] = "high"};
    *priority = PEER_PRIORITY_NORMAL;
    if (text.ptr == NULL)
        return 0;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (bytes_equal_str(text, names[i])) {
            *priority = (enum peer_priority)i;
            return 0;
        }
    }
    return api_error_set(&send->error, API_ERROR_INVALID, "priority", "must be \"high\", \"normal\" or \"low\"");
}

/* The embedded store has no replicas, so `replicated` can't be kept: better said than broken. */
static int read_durability(struct api_send *send, struct bytes text, enum peer_durability *durability)
{
    *durability = bytes_equal_str(text, "replicated") ? PEER_DURABILITY_REPLICATED : PEER_DURABILITY_STANDARD;
    if (text.ptr == NULL || bytes_equal_str(text, "standard"))
        return 0;
    if (*durability == PEER_DURABILITY_REPLICATED && send->role->config.replicas)
        return 0;
    if (*durability == PEER_DURABILITY_REPLICATED)
        return api_error_set(&send->error, API_ERROR_FAILED_PRECONDITION, "durability",
                             "this server's store has no replicas: \"standard\" is what it can keep");
    return api_error_set(&send->error, API_ERROR_INVALID, "durability", "must be \"standard\" or \"replicated\"");
}

/* What an inbox has and a topic has not, and the other way round. */
static int check_kind(struct api_send *send, const struct body *body)
{
    if (!send->topic.is)
        return body->rate.given ? api_error_set(&send->error, API_ERROR_INVALID, "rate", "is for topics and conditions")
                                : 0;
    if (body->collapse_key.ptr != NULL)
        return api_error_set(&send->error, API_ERROR_INVALID, "collapse_key", "is for users: a topic's log keeps all");
    if (body->require_device)
        return api_error_set(&send->error, API_ERROR_INVALID, "require_device", "is for users");
    if (body->ttl.given && body->ttl.value > send->role->config.topics_ttl_max_s)
        return api_error_set(&send->error, API_ERROR_INVALID, "ttl",
                             "must be 0 to %" PRIu64 " for topics and conditions", send->role->config.topics_ttl_max_s);
    return 0;
}

static int read_options(struct api_send *send, const struct body *body)
{
    struct peer_send *in = &send->call.in.send;
    if (body->collapse_key.ptr != NULL && !route_valid_collapse_key(body->collapse_key))
        return api_error_set(&send->error, API_ERROR_INVALID, "collapse_key",
                             "must be 1 to %d bytes of printable UTF-8", ROUTE_COLLAPSE_MAX);
    if (body->collapse_key.len > 0)
        memcpy(send->collapse_key, body->collapse_key.ptr, body->collapse_key.len);
    if (send->collapse_key[0] != '\0')
        in->collapse_key = bytes_str(send->collapse_key);
    in->require_device = body->require_device;
    send->validate_only = body->validate_only;
    int rc = check_kind(send, body);
    if (rc == 0)
        rc = read_durability(send, body->durability, &in->durability);
    return rc != 0 ? rc : read_priority(send, body->priority, &in->priority);
}

/* ---- ids and keys ---- */

static int check_key(struct api_send *send, struct bytes key, const char *field)
{
    bool valid = key.len >= 1 && key.len <= API_SEND_KEY_MAX;
    for (size_t i = 0; valid && i < key.len; i++)
        valid = key.ptr[i] > 0x20 && key.ptr[i] < 0x7f;
    if (valid)
        return 0;
    return api_error_set(&send->error, API_ERROR_INVALID, field,
                         "must be 1 to %d printable ASCII characters without spaces", API_SEND_KEY_MAX);
}

/* app, user, device, each with its zero byte, which none of them holds. */
static struct bytes pack_scope(const struct api_target *target, uint8_t out[sizeof *target])
{
    const char *const parts[] = {target->app, target->user, target->device};
    size_t len = 0;
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        const size_t part_len = strlen(parts[i]) + 1;
        memcpy(out + len, parts[i], part_len);
        len += part_len;
    }
    return bytes_of(out, len);
}

/* What makes two sends the same message: everything that a device or the log would see of them. */
static uint64_t hash_body(const struct api_send *send, uint64_t ttl_s, bool is_json)
{
    const struct peer_send *in = &send->call.in.send;
    uint8_t head[sizeof ttl_s + 4] = {0};
    memcpy(head, &ttl_s, sizeof ttl_s);
    head[sizeof ttl_s] = is_json;
    head[sizeof ttl_s + 1] = (uint8_t)in->priority;
    head[sizeof ttl_s + 2] = in->require_device;
    head[sizeof ttl_s + 3] = (uint8_t)in->durability;
    const uint64_t seed = hash_bytes(bytes_str(send->collapse_key), hash_bytes(bytes_of(head, sizeof head), 0));
    return hash_bytes(bytes_view(&send->role->message), seed);
}

/* With a key the id is derived from it, so that a retry carries the same id even where the first's record is gone. */
static void set_identity(struct api_send *send, const struct snapshot_app *app, struct bytes key)
{
    struct peer_send *in = &send->call.in.send;
    if (key.ptr == NULL) {
        in->id = id_new(loop_rng(send->role->loop), in->sent_ms);
        return;
    }
    uint8_t scoped[sizeof send->target + API_SEND_KEY_MAX];
    const struct bytes scope = pack_scope(&send->target, scoped);
    in->id = id_derive(scope, key);
    memcpy(scoped + scope.len, key.ptr, key.len);
    hash_bytes128(bytes_of(scoped, scope.len + key.len), in->key);
    in->has_key = true;
    in->key_expires_ms = in->sent_ms + app->key_window_ms;
}

static void encode(struct api_send *send, bool is_json)
{
    const struct peer_send *in = &send->call.in.send;
    const struct session_message message = {
        .id = in->id,
        .is_json = is_json,
        .body = bytes_view(&send->role->message),
        .sent_ms = in->sent_ms,
        .expires_ms = in->expires_ms,
        .collapse_key = in->collapse_key,
        .high = in->priority == PEER_PRIORITY_HIGH,
    };
    send->message = session_encode_message(&message);
    send->call.in.send.message = send->message;
}

static uint64_t default_ttl_s(const struct api_send *send)
{
    const struct api_config *config = &send->role->config;
    return send->topic.is && config->topics_ttl_max_s < config->ttl_default_s ? config->topics_ttl_max_s
                                                                              : config->ttl_default_s;
}

static int read_parts(struct api_send *send, const struct snapshot_app *app, const struct source *from,
                      enum api_send_key where, struct body *body)
{
    int rc = 0;
    if (where == API_SEND_KEY_HEADER && body->idempotency_key.ptr != NULL)
        rc = api_error_set(&send->error, API_ERROR_INVALID, "idempotency_key",
                           "stands in a batch's lines only; here it is the header Idempotency-Key");
    if (rc == 0 && !is_given(&body->to))
        rc = api_error_set(&send->error, API_ERROR_INVALID, "to", "is missing");
    if (rc == 0)
        rc = read_to(send, app, body);
    if (rc == 0)
        rc = read_content(send, from, body);
    return rc != 0 ? rc : read_options(send, body);
}

static int fill(struct api_send *send, const struct snapshot_app *app, const struct source *from,
                enum api_send_key where, struct bytes key, struct body *body)
{
    int rc = read_parts(send, app, from, where, body);
    if (where == API_SEND_KEY_FIELD)
        key = body->idempotency_key;
    if (rc == 0 && key.ptr != NULL)
        rc = check_key(send, key, send->key_field);
    if (rc != 0)
        return rc;
    struct peer_send *in = &send->call.in.send;
    const uint64_t ttl_s = body->ttl.given ? body->ttl.value : default_ttl_s(send);
    in->target = api_address_peer_target(&send->target);
    in->sent_ms = loop_wall_ms(send->role->loop);
    in->expires_ms = in->sent_ms + ttl_s * 1000;
    in->body_hash = hash_body(send, ttl_s, is_given(&body->data));
    set_identity(send, app, key);
    encode(send, is_given(&body->data));
    if (send->topic.is)
        api_topic_send_begin(send, (uint32_t)body->rate.value);
    return 0;
}

int api_send_read(struct api_send *send, struct api_role *role, const struct snapshot_app *app, struct bytes text,
                  enum api_send_key where, struct bytes key)
{
    send->role = role;
    send->key_field = where == API_SEND_KEY_FIELD ? "idempotency_key" : "Idempotency-Key";
    send->began_ms = clock_mono_ms(loop_clock(role->loop));
    send->call.in.type = PEER_SEND;
    if (text.len > api_role_object_max(role))
        return api_error_set(&send->error, API_ERROR_TOO_LARGE, NULL,
                             "one message's JSON is %zu bytes, the limit is %zu", text.len, api_role_object_max(role));
    struct body body = {0};
    if (scan_body(send, text, &body))
        return fill(send, app, &(struct source){.text = text}, where, key, &body);
    json_t *tree = api_json_parse(text, &send->error);
    if (tree == NULL)
        return PETREL_E_INVALID;
    body = (struct body){0};
    int rc = read_body(send, tree, &body);
    if (rc == 0)
        rc = fill(send, app, &(struct source){text, tree}, where, key, &body);
    json_decref(tree);
    return rc;
}
