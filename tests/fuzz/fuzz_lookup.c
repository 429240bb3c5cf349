/* A lookup server's bytes: the same answer is read however they arrive, within its limits; whatever it names, a round has an end and
 * goes to addresses only. */
#include "base/object.h"
#include "client/servers.h"
#include "fuzz/fuzz.h"
#include "wire/http_answer.h"

#define MAX_BODY 2048
#define STEPS_MAX 16 /* targets, a lookup, and a list, with room to spare */

static enum http_answer_event read_in_steps(struct http_answer *answer, struct bytes stream, size_t step)
{
    enum http_answer_event event = HTTP_ANSWER_MORE;
    for (size_t at = 0; at < stream.len; at += step)
        event = http_answer_feed(answer, bytes_of(stream.ptr + at, stream.len - at < step ? stream.len - at : step));
    return event == HTTP_ANSWER_WHOLE ? event : http_answer_end(answer);
}

static void go_round(struct servers *servers, struct bytes json)
{
    char host[HOSTPORT_HOST_MAX + 1];
    for (int i = 0; i < STEPS_MAX; i++) {
        const char *address;
        uint32_t patience_ms;
        enum servers_step step = servers_next(servers, 1, &address, &patience_ms);
        petrel_assert(patience_ms > 0 && patience_ms <= SERVERS_PATIENCE_MS);
        if (step == SERVERS_ADDRESS) {
            petrel_assert(hostport_split(address, strlen(address), host) > 0);
        } else {
            int64_t wait_ms = servers_answered(servers, 1, (const char *)json.ptr, json.len);
            petrel_assert(wait_ms >= -1 && wait_ms <= SERVERS_ANSWER_WAIT_MAX_MS);
            if (wait_ms >= 0)
                continue;
        }
        if (!servers_another(servers))
            return;
    }
    object_panic(__FILE__, __LINE__, "a round without end");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct http_answer *whole = http_answer_new(MAX_BODY), *steps = http_answer_new(MAX_BODY);
    struct bytes stream = bytes_of(data, size);
    enum http_answer_event event = read_in_steps(whole, stream, size > 0 ? size : 1);
    enum http_answer_event again = read_in_steps(steps, stream, 1);
    petrel_assert(event == again);
    struct bytes body = stream; /* what is no HTTP may still be JSON */
    if (event == HTTP_ANSWER_WHOLE) {
        petrel_assert(http_answer_status(whole) == http_answer_status(steps));
        petrel_assert(bytes_equal(http_answer_body(whole), http_answer_body(steps)));
        body = http_answer_body(whole);
        petrel_assert(body.len <= MAX_BODY);
    }
    struct servers servers = {.lookup = true};
    const struct bytes target = bytes_of(data, size < HOSTPORT_MAX ? size : HOSTPORT_MAX);
    servers_goaway(&servers, &target, 1);
    servers_restart(&servers, SERVERS_SESSION_ENDED);
    go_round(&servers, body);
    servers_restart(&servers, SERVERS_ROUND_FAILED);
    go_round(&servers, body);
    http_answer_free(&whole);
    http_answer_free(&steps);
    return 0;
}
