/* A backend's JSON: whatever a message says, it is refused with a reason or travels on as it was written; opaque texts are read
 * back only as they were given out. */
#include "api/api_impl.h"
#include "api/api_json.h"
#include "api/api_send.h"
#include "base/object.h"
#include "fuzz/fuzz.h"
#include "registry/snapshot.h"
#include "wire/session.h"

/* Made for the first input and kept: the role is only asked for its limits, its clock and its buffers. */
struct world {
    struct loop *loop;
    struct api_role *role;
    struct snapshot *snapshot;
    const struct snapshot_app *app;
    struct session_codec *codec;
};

static void make_world(struct world *world)
{
    static const struct api_host host;
    static const struct snapshot_app app = {.name = "shop", .key_window_ms = 1000};
    struct api_config config = api_role_defaults();
    config.kind = API_SEND;
    config.host = "127.0.0.1";
    config.node_name = "fuzz";
    config.version = "0";
    petrel_assert(loop_new(&world->loop, &(struct loop_config){.index = 0}) == 0);
    petrel_assert(api_role_new(&world->role, world->loop, NULL, NULL, NULL, NULL, NULL, &host, &config) == 0);
    world->snapshot = snapshot_new(1, &(struct snapshot_content){.apps = &app, .apps_count = 1}, NULL);
    world->app = snapshot_app_at(world->snapshot, 0);
    world->codec = session_codec_new();
}

static void check_error(const struct api_error *error)
{
    petrel_assert(error->kind != API_ERROR_NONE && error->message[0] != '\0');
    struct bytebuf out = {0};
    api_error_render(error, 1, &out);
    json_t *value = json_loadb((const char *)out.ptr, out.len, JSON_REJECT_DUPLICATES, NULL);
    petrel_assert(value != NULL);
    json_decref(value);
    bytes_reset(&out);
}

/* What a device gets as `data` is the value that the sender wrote. */
static void check_data(struct bytes text, struct bytes body)
{
    const size_t flags = JSON_DECODE_ANY | JSON_ALLOW_NUL;
    json_t *object = json_loadb((const char *)text.ptr, text.len, flags, NULL);
    json_t *sent = json_loadb((const char *)body.ptr, body.len, flags, NULL);
    petrel_assert(object != NULL && sent != NULL && json_equal(json_object_get(object, "data"), sent));
    json_decref(object);
    json_decref(sent);
}

/* The id that a sender is given leads back to the user, where there is one. */
static void check_address(const struct api_send *send)
{
    struct bytebuf id_text = {0};
    struct id id;
    struct api_target target = {.app = "shop"};
    api_address_put_message(&id_text, &send->call.in.send.id, &send->target);
    petrel_assert(api_address_get_message(bytes_view(&id_text), &id, &target) ==
                  (send->topic.is ? PETREL_E_UNSUPPORTED : 0));
    petrel_assert(memcmp(&id, &send->call.in.send.id, sizeof id) == 0);
    petrel_assert(send->topic.is || strcmp(target.user, send->target.user) == 0);
    petrel_assert(send->topic.is || strcmp(target.device, send->target.device) == 0);
    bytes_reset(&id_text);
}

static void check_message(const struct world *world, const struct api_send *send, struct bytes text)
{
    struct session_message message;
    petrel_assert(session_decode_message(world->codec, buf_bytes(send->message), &message) == 0);
    petrel_assert(message.body.len <= world->role->config.max_message_bytes);
    petrel_assert(message.expires_ms >= message.sent_ms);
    if (message.is_json)
        check_data(text, message.body);
    check_address(send);
}

static void read_message(struct world *world, struct bytes text, enum api_send_key where)
{
    struct api_send send = {.owner = NULL};
    const struct bytes no_key = {NULL, 0};
    if (api_send_read(&send, world->role, world->app, text, where, no_key) != 0)
        check_error(&send.error);
    else
        check_message(world, &send, text);
    api_send_reset(&send);
}

static void read_opaque(struct bytes text)
{
    struct api_target target = {.app = "shop"};
    struct id id;
    struct bytebuf again = {0};
    if (api_address_get_device(text, &target) == 0) {
        api_address_put_device(&again, &target);
        petrel_assert(bytes_equal(bytes_view(&again), text));
    }
    again.len = 0;
    if (api_address_get_message(text, &id, &target) == 0) {
        api_address_put_message(&again, &id, &target);
        for (size_t i = 0; i < ID_TEXT_LEN; i++) /* hexadecimal digits may be written either way */
            petrel_assert((again.ptr[i] | 0x20) == (text.ptr[i] | 0x20));
        petrel_assert(memcmp(again.ptr + ID_TEXT_LEN, text.ptr + ID_TEXT_LEN, text.len - ID_TEXT_LEN) == 0);
    }
    bytes_reset(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct world world;
    if (world.role == NULL)
        make_world(&world);
    const struct bytes text = bytes_of(data, size);
    read_message(&world, text, API_SEND_KEY_HEADER);
    read_message(&world, text, API_SEND_KEY_FIELD);
    read_opaque(text);
    return 0;
}
