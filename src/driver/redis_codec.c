#include "driver/redis_codec.h"

#include "base/err.h"
#include "base/object.h"

#include <stdlib.h>

#include <hiredis/hiredis.h>

#define CODEC_MAGIC OBJECT_MAGIC('r', 'd', 'c', 'd')
#define CHUNK_BYTES 1024
/* A first chunk up to this size is kept from one reply to the next. */
#define CHUNK_KEPT_BYTES (64 * 1024)
#define ALIGNMENT 16
/* Commands above this go out as a buf of their own instead of a share of a chunk. */
#define COPY_BYTES 4096

struct redis_chunk {
    struct redis_chunk *older;
    size_t used;
    size_t size;
    _Alignas(ALIGNMENT) uint8_t data[];
};

struct redis_codec {
    uint32_t magic;
    bool returned; /* the arena holds a reply that the caller has seen */
    bool too_large;
    redisReader *reader;
    struct redis_arena arena;
};

void redis_codec_drop(struct redis_arena *arena)
{
    while (arena->newest != NULL) {
        struct redis_chunk *chunk = arena->newest;
        arena->newest = chunk->older;
        free(chunk);
    }
    arena->bytes = 0;
}

/* Ready for the next reply. */
static void recycle(struct redis_arena *arena)
{
    struct redis_chunk *chunk = arena->newest;
    arena->bytes = 0;
    if (chunk == NULL)
        return;
    if (chunk->older == NULL && chunk->size <= CHUNK_KEPT_BYTES)
        chunk->used = 0;
    else
        redis_codec_drop(arena);
}

static void *take(struct redis_codec *codec, size_t count, size_t each)
{
    struct redis_arena *arena = &codec->arena;
    if (count > REDIS_REPLY_BYTES_MAX / each || count * each > REDIS_REPLY_BYTES_MAX - arena->bytes) {
        codec->too_large = true;
        return NULL;
    }
    size_t size = (count * each + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
    struct redis_chunk *chunk = arena->newest;
    if (chunk == NULL || chunk->size - chunk->used < size) {
        size_t room = chunk == NULL ? CHUNK_BYTES : 2 * chunk->size;
        room = room < CHUNK_KEPT_BYTES ? room : CHUNK_KEPT_BYTES;
        room = room > size ? room : size;
        chunk = object_alloc(sizeof *chunk + room);
        *chunk = (struct redis_chunk){.older = arena->newest, .size = room};
        arena->newest = chunk;
    }
    void *place = chunk->data + chunk->used;
    chunk->used += size;
    arena->bytes += count * each;
    return place;
}

/* Where the value that hiredis has read belongs: its place in the array around it, or the reply itself. */
static struct redis_value *place_of(const redisReadTask *task)
{
    if (task->parent != NULL) {
        const struct redis_value *around = task->parent->obj;
        return (struct redis_value *)(uintptr_t)around->items + task->idx;
    }
    return take(task->privdata, 1, sizeof(struct redis_value));
}

static void *put(const redisReadTask *task, struct redis_value value)
{
    struct redis_value *place = place_of(task);
    if (place != NULL)
        *place = value;
    return place;
}

static void *create_string(const redisReadTask *task, char *text, size_t len)
{
    uint8_t *copy = take(task->privdata, len + 1, 1);
    if (copy == NULL)
        return NULL;
    memcpy(copy, text, len);
    copy[len] = '\0';
    enum redis_type type = task->type == REDIS_REPLY_ERROR    ? REDIS_ERROR
                           : task->type == REDIS_REPLY_STATUS ? REDIS_STATUS
                                                              : REDIS_STRING;
    return put(task, (struct redis_value){.type = type, .text = bytes_of(copy, len)});
}

static void *create_array(const redisReadTask *task, int count)
{
    /* A whole array at once: a length that lies costs at most REDIS_REPLY_BYTES_MAX. */
    struct redis_value *items = count >= 0 ? take(task->privdata, (size_t)count, sizeof *items) : NULL;
    if (items == NULL)
        return NULL;
    for (int i = 0; i < count; i++)
        items[i] = (struct redis_value){.type = REDIS_NIL};
    return put(task, (struct redis_value){.type = REDIS_ARRAY, .count = (size_t)count, .items = items});
}

static void *create_integer(const redisReadTask *task, long long value)
{
    return put(task, (struct redis_value){.type = REDIS_INTEGER, .integer = value});
}

static void *create_nil(const redisReadTask *task)
{
    return put(task, (struct redis_value){.type = REDIS_NIL});
}

static void free_object(void *value)
{
    (void)value; /* the arena's */
}

struct redis_codec *redis_codec_new(void)
{
    /* hiredis does not change it, but does not say so either. */
    static const redisReplyObjectFunctions functions = {create_string, create_array, create_integer, create_nil,
                                                        free_object};
    struct redis_codec *codec = object_zalloc(sizeof *codec);
    codec->magic = CODEC_MAGIC;
    codec->reader = redisReaderCreateWithFunctions((redisReplyObjectFunctions *)(uintptr_t)&functions);
    petrel_assert(codec->reader != NULL);
    codec->reader->privdata = codec;
    return codec;
}

void redis_codec_free(struct redis_codec **inside)
{
    struct redis_codec *codec = *inside;
    if (codec == NULL)
        return;
    object_check(codec, CODEC_MAGIC);
    redisReaderFree(codec->reader);
    redis_codec_drop(&codec->arena);
    codec->magic = 0;
    free(codec);
    *inside = NULL;
}

int redis_codec_feed(struct redis_codec *codec, struct bytes data)
{
    object_check(codec, CODEC_MAGIC);
    return redisReaderFeed(codec->reader, (const char *)data.ptr, data.len) == REDIS_OK ? 0 : PETREL_E_PROTOCOL;
}

int redis_codec_next(struct redis_codec *codec, const struct redis_value **reply)
{
    object_check(codec, CODEC_MAGIC);
    if (codec->returned)
        recycle(&codec->arena);
    codec->returned = false;
    void *value = NULL;
    if (redisReaderGetReply(codec->reader, &value) != REDIS_OK)
        return codec->too_large ? PETREL_E_TOO_LARGE : PETREL_E_PROTOCOL;
    if (value == NULL)
        return codec->reader->len - codec->reader->pos > REDIS_REPLY_BYTES_MAX ? PETREL_E_TOO_LARGE : 0;
    codec->returned = true;
    *reply = value;
    return 1;
}

struct redis_arena redis_codec_keep(struct redis_codec *codec)
{
    object_check(codec, CODEC_MAGIC);
    petrel_assert(codec->returned);
    struct redis_arena kept = codec->arena;
    codec->arena = (struct redis_arena){0};
    codec->returned = false;
    return kept;
}

void redis_codec_write(struct stream *stream, size_t argc, const struct bytes *argv)
{
    const char *parts[REDIS_ARGS_MAX + 4];
    size_t lengths[REDIS_ARGS_MAX + 4];
    petrel_assert(argc <= REDIS_ARGS_MAX + 4);
    for (size_t i = 0; i < argc; i++) {
        parts[i] = argv[i].ptr != NULL ? (const char *)argv[i].ptr : "";
        lengths[i] = argv[i].len;
    }
    char *text = NULL;
    int len = redisFormatCommandArgv(&text, (int)argc, parts, lengths);
    petrel_assert(len > 0);
    struct bytes command = bytes_of(text, (size_t)len);
    if (command.len > COPY_BYTES) {
        struct buf *buf = buf_copy(command);
        stream_write(stream, buf);
        buf_unref(buf);
    } else {
        stream_write_copy(stream, command);
    }
    redisFreeCommand(text);
}
