/* session_codec.h: what is inside a codec. Private to this room. */
#ifndef PETREL_WIRE_SESSION_CODEC_H
#define PETREL_WIRE_SESSION_CODEC_H

#include "wire/arena.h"

struct session_codec {
    uint32_t magic; /* SCOD */
    struct arena arena;
};

#define SESSION_CODEC_MAGIC OBJECT_MAGIC('S', 'C', 'O', 'D')

#endif
