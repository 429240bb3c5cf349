/* Another node's bytes: framing, then the peer codec. What decodes is encoded and decoded again, and must then stay the same. */
#include "base/err.h"
#include "base/object.h"
#include "fuzz/fuzz.h"
#include "wire/peer_codec.h"

struct run {
    struct peer_codec *codec;
    struct bytebuf out;
};

static int recode_reply(struct peer_codec *codec, const struct frame *frame, struct bytebuf *out)
{
    uint32_t number;
    struct peer_reply reply;
    const enum peer_type type = (enum peer_type)(frame->type - PEER_CODEC_REPLY);
    if (peer_codec_decode_reply(codec, frame, &number, &reply) != 0)
        return PETREL_E_PROTOCOL;
    const int rc = peer_codec_encode_reply(out, number, type, &reply);
    petrel_assert(rc == 0);
    if (type == PEER_SESSIONS && reply.status == 0)
        buf_unref(reply.sessions.records);
    peer_codec_release_reply(type, &reply);
    return 0;
}

static int recode_msg(struct peer_codec *codec, const struct frame *frame, struct bytebuf *out)
{
    uint32_t number = 0;
    struct peer_msg msg;
    struct bytes *texts[PEER_CODEC_TEXTS_MAX];
    const bool call = peer_codec_is_call(frame->type);
    if ((call ? peer_codec_decode_call(codec, frame, &number, &msg) : peer_codec_decode_tell(codec, frame, &msg)) != 0)
        return PETREL_E_PROTOCOL;
    /* Names whom it is for; of CHECK within its entries. */
    const size_t least = !call || msg.type == PEER_DRAIN ? 0 : msg.type == PEER_CHECK ? 1 : 2;
    petrel_assert(!call || peer_codec_texts(&msg, texts) >= least);
    const int rc = call ? peer_codec_encode_call(out, number, &msg) : peer_codec_encode_tell(out, &msg);
    petrel_assert(rc == 0);
    peer_codec_release_msg(&msg);
    return 0;
}

static int recode(struct peer_codec *codec, const struct frame *frame, struct bytebuf *out)
{
    struct peer_hello hello;
    uint8_t mac[DIGEST_SHA256_BYTES];
    if (peer_codec_is_reply(frame->type))
        return recode_reply(codec, frame, out);
    if (peer_codec_is_call(frame->type) || peer_codec_is_tell(frame->type))
        return recode_msg(codec, frame, out);
    if (frame->type == PEER_HELLO && peer_codec_decode_hello(codec, frame->body, &hello) == 0)
        peer_codec_encode_hello(out, &hello);
    else if (frame->type == PEER_PROOF && peer_codec_decode_proof(codec, frame->body, mac) == 0)
        peer_codec_encode_proof(out, mac);
    else
        return PETREL_E_PROTOCOL;
    return 0;
}

static int on_frame(void *ctx, const struct frame *frame)
{
    struct run *run = ctx;
    struct bytebuf twice = {0};
    struct frame again;
    run->out.len = 0;
    (void)peer_codec_version(frame->body);
    if (recode(run->codec, frame, &run->out) != 0)
        return 0;
    struct bytes in = bytes_view(&run->out);
    petrel_assert(frame_take(&in, FRAME_BODY_MAX, &again) == 0 && in.len == 0 && again.type == frame->type);
    petrel_assert(recode(run->codec, &again, &twice) == 0);
    petrel_assert(bytes_equal(bytes_view(&twice), bytes_view(&run->out)));
    bytes_reset(&twice);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct run run = {.codec = peer_codec_new()};
    struct frame_reader reader = {{0}};
    const int rc = frame_reader_feed(&reader, FRAME_BODY_MAX, bytes_of(data, size), on_frame, &run);
    petrel_assert(rc == 0);
    frame_reader_reset(&reader);
    bytes_reset(&run.out);
    peer_codec_free(&run.codec);
    return 0;
}
