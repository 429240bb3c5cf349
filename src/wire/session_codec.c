#include "wire/session_codec.h"

#include "base/object.h"
#include "wire/session.h"

#include <stdlib.h>

struct session_codec *session_codec_new(void)
{
    struct session_codec *codec = object_zalloc(sizeof *codec);
    codec->magic = SESSION_CODEC_MAGIC;
    return codec;
}

void session_codec_free(struct session_codec **codec)
{
    if (*codec == NULL)
        return;
    object_check(*codec, SESSION_CODEC_MAGIC);
    arena_reset(&(*codec)->arena);
    (*codec)->magic = 0;
    free(*codec);
    *codec = NULL;
}
