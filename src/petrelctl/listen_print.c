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

/* The message's value; NULL when it is no JSON, whatever it claims. */
static json_t *parse(const struct petrel_message *message)
{
    json_error_t error;
    if (!message->is_json)
        return NULL;
    return json_loadb((const char *)message->body, message->body_len, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
}

void listen_print_line(const struct petrel_message *message, uint64_t now_ms)
{
    char id[ID_TEXT_LEN + 1], when[HUMAN_SIZE], took[HUMAN_SIZE];
    struct bytebuf text = {0};
    json_t *value = parse(message);
    /* Dumped anew and made safe: one line that steers no terminal, whatever the server sent. */
    char *dumped = value != NULL ? json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT) : NULL;
    char *data = dumped != NULL ? human_safe(bytes_str(dumped)) : NULL;
    free(dumped);
    if (data == NULL)
        put_base64(&text, message);
    printf("%s  %s  %s  %s%s%.*s\n", human_time_ms(now_ms, when), id_text(message, id),
           human_span(latency(message, now_ms), took), message->late ? "(late) " : "",
           data != NULL ? data : "base64:", (int)text.len, text.len > 0 ? (const char *)text.ptr : "");
    free(data);
    json_decref(value);
    bytes_reset(&text);
}

void listen_print_json(const struct petrel_message *message, uint64_t now_ms)
{
    char id[ID_TEXT_LEN + 1];
    json_t *line = json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:s, s:b}", "id", id_text(message, id), "epoch",
                             (json_int_t)message->epoch, "seq", (json_int_t)message->seq, "sent_ms",
                             (json_int_t)message->sent_ms, "received_ms", (json_int_t)now_ms, "latency_ms",
                             (json_int_t)latency(message, now_ms), "expires_ms", (json_int_t)message->expires_ms,
                             "priority", message->high ? "high" : "normal", "late", message->late);
    json_t *value = parse(message);
    if (message->collapse_key[0] != '\0')
        json_object_set_new(line, "collapse_key", json_string(message->collapse_key));
    if (value != NULL) {
        json_object_set_new(line, "data", value);
    } else {
        struct bytebuf text = {0};
        put_base64(&text, message);
        json_object_set_new(line, "payload", json_stringn(text.len > 0 ? (const char *)text.ptr : "", text.len));
        bytes_reset(&text);
    }
    char *dumped = json_dumps(line, JSON_COMPACT);
    puts(dumped != NULL ? dumped : "");
    free(dumped);
    json_decref(line);
}
