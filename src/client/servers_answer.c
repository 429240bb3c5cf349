#include "client/servers_answer.h"

#include "base/err.h"

#include <jansson.h>
#include <string.h>

/* A whole number within its bounds; what is absent or none is the default. */
static uint32_t number(const json_t *answer, const char *name, uint32_t otherwise, uint32_t most)
{
    const json_t *value = json_object_get(answer, name);
    json_int_t wish = json_integer_value(value);
    if (!json_is_integer(value) || wish < 0)
        return otherwise;
    return wish < (json_int_t)most ? (uint32_t)wish : most;
}

static void add_server(struct servers_answer *out, const json_t *server)
{
    const json_t *value = json_object_get(server, "address");
    const char *address = json_string_value(value);
    size_t len = json_string_length(value);
    char host[HOSTPORT_HOST_MAX + 1];
    if (address == NULL || len > HOSTPORT_MAX || hostport_split(address, len, host) == 0)
        return;
    memcpy(out->servers[out->count], address, len);
    out->servers[out->count][len] = '\0';
    out->count++;
}

int servers_answer_read(const char *json, size_t len, struct servers_answer *out)
{
    json_error_t error;
    json_t *answer = json_loadb(json, len, JSON_REJECT_DUPLICATES, &error);
    const json_t *servers = json_object_get(answer, "servers");
    *out = (struct servers_answer){
        .ttl_s = number(answer, "ttl_s", SERVERS_ANSWER_TTL_S, SERVERS_ANSWER_TTL_MAX_S),
        .backoff_ms = number(answer, "backoff_ms", SERVERS_ANSWER_BACKOFF_MS, SERVERS_ANSWER_WAIT_MAX_MS),
        .wait_ms = number(answer, "wait_ms", 0, SERVERS_ANSWER_WAIT_MAX_MS),
    };
    for (size_t i = 0; i < json_array_size(servers) && out->count < SERVERS_ANSWER_MAX; i++)
        add_server(out, json_array_get(servers, i));
    json_decref(answer);
    return out->count > 0 ? 0 : PETREL_E_INVALID;
}
