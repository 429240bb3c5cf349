#include "petrelctl/listen_print.h"

#include "base/bytes.h"
#include "base/id.h"
#include "petrelctl/human.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

static const char *id_text(const struct petrel_message *message, char out[ID_TEXT_LEN + 1])
{
    struct id id;
    memcpy(id.bytes, message->id, sizeof id.bytes);
    return id_format(&id, out);
}

/* The sender's clock is the server's: on another machine it may be ahead of this one's. */
static uint64_t latency(const struct petrel_message *message, uint64_t now_ms)
{
    return now_ms > message->sent_ms ? now_ms - message->sent_ms : 0;
}

static void put_base64(struct bytebuf *out, const struct petrel_message *message)
{
    bytes_put_base64(out, bytes_of(message->body, message->body_len));
}

/* Whether the body can stand in a line of JSON as it is: the server sends compact JSON, without a line end in it. Not parsed: it is
 * the sender's to the last digit, also where a number is larger than this program could hold. */
static bool is_json_line(const struct petrel_message *message)
{
    bool fits = message->is_json && message->body_len > 0;
    for (size_t i = 0; i < message->body_len; i++)
        fits = fits && message->body[i] >= ' ';
    return fits;
}

void listen_print_line(const struct petrel_message *message, uint64_t now_ms)
{
    char id[ID_TEXT_LEN + 1], when[HUMAN_SIZE], took[HUMAN_SIZE];
    struct bytebuf text = {0};
    bool is_json = is_json_line(message);
    if (is_json)
        bytes_append(&text, message->body, message->body_len);
    else
        put_base64(&text, message);
    char *safe = human_safe(bytes_view(&text));
    printf("%s  %s  %s  %s%s%s%s%s\n", human_time_ms(now_ms, when), id_text(message, id),
           human_span(latency(message, now_ms), took), message->topic, message->topic[0] != '\0' ? ": " : "",
           message->late ? "(late) " : "", is_json ? "" : "base64:", safe);
    free(safe);
    bytes_reset(&text);
}

void listen_print_json(const struct petrel_message *message, uint64_t now_ms)
{
    char id[ID_TEXT_LEN + 1];
    struct bytebuf out = {0};
    bytes_printf(&out,
                 "{\"id\":\"%s\",\"epoch\":%" PRIu64 ",\"seq\":%" PRIu64 ",\"sent_ms\":%" PRIu64
                 ",\"received_ms\":%" PRIu64 ",\"latency_ms\":%" PRIu64 ",\"expires_ms\":%" PRIu64
                 ",\"high\":%s,\"late\":%s",
                 id_text(message, id), message->epoch, message->seq, message->sent_ms, now_ms, latency(message, now_ms),
                 message->expires_ms, message->high ? "true" : "false", message->late ? "true" : "false");
    json_t *collapse_key = message->collapse_key[0] != '\0' ? json_string(message->collapse_key) : NULL;
    char *quoted = collapse_key != NULL ? json_dumps(collapse_key, JSON_ENCODE_ANY) : NULL;
    if (quoted != NULL)
        bytes_printf(&out, ",\"collapse_key\":%s", quoted);
    if (message->topic[0] != '\0')
        bytes_printf(&out, ",\"topic\":\"%s\"", message->topic);
    if (is_json_line(message)) {
        bytes_append_str(&out, ",\"data\":");
        bytes_append(&out, message->body, message->body_len);
    } else {
        bytes_append_str(&out, ",\"payload\":\"");
        put_base64(&out, message);
        bytes_append_str(&out, "\"");
    }
    bytes_append_str(&out, "}\n");
    fwrite(out.ptr, 1, out.len, stdout);
    free(quoted);
    json_decref(collapse_key);
    bytes_reset(&out);
}
