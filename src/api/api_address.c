#include "api/api_address.h"

#include "base/err.h"
#include "base/hash.h"
#include "base/object.h"

#define ADDRESS_VERSION 1
#define CHECK_BYTES 4
#define TARGET_BYTES_MAX (ROUTE_USER_MAX + 1 + ROUTE_DEVICE_MAX)
#define ADDRESS_BYTES_MAX (1 + CHECK_BYTES + TARGET_BYTES_MAX)
#define ADDRESS_TEXT_MAX ((ADDRESS_BYTES_MAX + 2) / 3 * 4)

static void copy_text(char *out, size_t size, struct bytes text)
{
    petrel_assert(text.len < size);
    if (text.len > 0)
        memcpy(out, text.ptr, text.len);
    out[text.len] = '\0';
}

void api_address_set_target(struct api_target *target, struct bytes app, struct bytes user, struct bytes device)
{
    copy_text(target->app, sizeof target->app, app);
    copy_text(target->user, sizeof target->user, user);
    copy_text(target->device, sizeof target->device, device);
}

struct peer_target api_address_peer_target(const struct api_target *target)
{
    return (struct peer_target){
        .app = bytes_str(target->app),
        .user = bytes_str(target->user),
        .device = target->device[0] != '\0' ? bytes_str(target->device) : (struct bytes){NULL, 0},
    };
}

/* user, or user, a zero byte and device; the user of topics and conditions is empty. */
static size_t pack_target(const struct api_target *target, uint8_t *out)
{
    size_t len = strlen(target->user);
    memcpy(out, target->user, len);
    size_t device_len = strlen(target->device);
    if (device_len == 0)
        return len;
    out[len++] = 0;
    memcpy(out + len, target->device, device_len);
    return len + device_len;
}

static int unpack_target(struct bytes in, struct api_target *target)
{
    const uint8_t *zero = in.len > 0 ? memchr(in.ptr, 0, in.len) : NULL;
    struct bytes user = bytes_of(in.ptr, zero != NULL ? (size_t)(zero - in.ptr) : in.len);
    struct bytes device = {NULL, 0};
    if (zero != NULL && user.len == 0)
        return PETREL_E_UNSUPPORTED;
    if (zero != NULL)
        device = bytes_of(zero + 1, in.len - user.len - 1);
    if (!route_valid_user(user) || (zero != NULL && !route_valid_device(device)))
        return PETREL_E_INVALID;
    copy_text(target->user, sizeof target->user, user);
    copy_text(target->device, sizeof target->device, device);
    return 0;
}

void api_address_put_message(struct bytebuf *out, const struct id *id, const struct api_target *target)
{
    char uuid[ID_TEXT_LEN + 1];
    bytes_append(out, id_format(id, uuid), ID_TEXT_LEN);
    bytes_append(out, "~", 1);
    uint8_t packed[TARGET_BYTES_MAX];
    bytes_put_base64url(out, bytes_of(packed, pack_target(target, packed)));
}

int api_address_get_message(struct bytes text, struct id *id, struct api_target *target)
{
    if (text.len <= ID_TEXT_LEN + 1 || text.len > ID_TEXT_LEN + 1 + ADDRESS_TEXT_MAX || text.ptr[ID_TEXT_LEN] != '~')
        return PETREL_E_INVALID;
    struct bytebuf packed = {0};
    int rc = id_parse(bytes_of(text.ptr, ID_TEXT_LEN), id);
    if (rc == 0)
        rc = bytes_get_base64url(bytes_of(text.ptr + ID_TEXT_LEN + 1, text.len - ID_TEXT_LEN - 1), &packed);
    if (rc == 0)
        rc = unpack_target(bytes_view(&packed), target);
    bytes_reset(&packed);
    return rc;
}

static uint32_t check_of(const struct api_target *target)
{
    uint8_t packed[ROUTE_APP_MAX + 1 + TARGET_BYTES_MAX];
    size_t len = strlen(target->app) + 1;
    memcpy(packed, target->app, len);
    len += pack_target(target, packed + len);
    return (uint32_t)hash_bytes(bytes_of(packed, len), 0);
}

void api_address_put_device(struct bytebuf *out, const struct api_target *target)
{
    uint8_t packed[ADDRESS_BYTES_MAX] = {ADDRESS_VERSION};
    const uint32_t check = check_of(target);
    for (size_t i = 0; i < CHECK_BYTES; i++)
        packed[1 + i] = (uint8_t)(check >> (8 * i));
    size_t len = 1 + CHECK_BYTES + pack_target(target, packed + 1 + CHECK_BYTES);
    bytes_put_base64url(out, bytes_of(packed, len));
}

static int unpack_device(struct bytes in, struct api_target *target)
{
    uint8_t version = 0;
    uint32_t check = 0;
    int rc = bytes_get_u8(&in, &version);
    if (rc == 0)
        rc = bytes_get_u32(&in, &check);
    if (rc == 0)
        rc = unpack_target(in, target);
    if (rc == PETREL_E_UNSUPPORTED)
        rc = PETREL_E_INVALID;
    if (rc == 0 && (version != ADDRESS_VERSION || target->device[0] == '\0' || check != check_of(target)))
        rc = PETREL_E_INVALID;
    return rc;
}

int api_address_get_device(struct bytes text, struct api_target *target)
{
    if (text.len > ADDRESS_TEXT_MAX)
        return PETREL_E_INVALID;
    struct bytebuf packed = {0};
    int rc = bytes_get_base64url(text, &packed);
    if (rc == 0)
        rc = unpack_device(bytes_view(&packed), target);
    bytes_reset(&packed);
    return rc;
}
