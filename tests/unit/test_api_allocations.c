/* What a send allocates on its way through the API, once the API is warm: the message, which the store keeps, and its answer's text. */
#include "unit/alloc_count.h"
#include "unit/api_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define WARM 32
#define COUNTED 200
#define PER_SEND 2

static unsigned long seen;

static void look(struct api_rig *rig)
{
    (void)rig;
    seen = alloc_count_calls();
}

static void send_many(struct api_rig *rig, struct api_client *client, int count)
{
    char headers[256];
    snprintf(headers, sizeof headers, "Authorization: Bearer %s\r\n", rig->key);
    for (int i = 0; i < count; i++) {
        api_client_request(client, "POST", "/v1/apps/shop/messages", headers,
                           "{\"to\":{\"user\":\"ann\"},\"ttl\":60,\"data\":{\"title\":\"Hello\",\"n\":[1,2]}}");
        api_client_expect_status(client, 200);
    }
}

static unsigned long calls_so_far(struct api_rig *rig)
{
    api_rig_run(rig, look);
    return seen;
}

static void a_plain_send_allocates_its_message_and_its_answer(void **state)
{
    (void)state;
    static struct api_rig rig;
    struct api_client client;
    api_rig_open(&rig, NULL);
    api_client_open(&client, rig.ports[API_SEND]);
    send_many(&rig, &client, WARM);
    const unsigned long before = calls_so_far(&rig);
    send_many(&rig, &client, COUNTED);
    const unsigned long after = calls_so_far(&rig);
    assert_in_range(after - before, COUNTED, COUNTED * PER_SEND + COUNTED / 10);
    api_client_close(&client);
    api_rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plain_send_allocates_its_message_and_its_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
