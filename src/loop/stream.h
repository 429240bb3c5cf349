/* stream.h: a connected socket on a loop.
 *
 * Streams stand in the loop's epoll set: an idle stream costs 32 bytes in a slab and no buffer. Reads go into the loop's shared buffer, which the owner sees for the length of one callback. Writes take
 * reference-counted bufs or copies, are queued, and go out in one writev per stream at the end of the turn.
 *
 * A stream may speak TLS (tls.h): from stream_secure() on its owner reads and writes what TLS carries, and all else is as it was.
 *
 * Closing is in two phases: stream_close() stops everything at once, on_closed is the last call the owner gets; there is no
 * other exit. The owner is freed there. */
#ifndef PETREL_LOOP_STREAM_H
#define PETREL_LOOP_STREAM_H

#include "base/buf.h"
#include "loop/loop.h"
#include "loop/tls.h"

struct stream;

#define STREAM_ADDRESS_SIZE 64 /* "203.0.113.7:51234", "[2001:db8::1]:51234", with the final NUL */

/* All on the loop's thread. owner is what stream_attach() was given. */
struct stream_ops {
    /* stream_connect() has reached the peer, and knows it, where TLS is spoken. May be NULL, and is never called for an accepted stream. */
    void (*on_open)(void *owner);
    /* Bytes arrived. They are valid until this returns; what is incomplete the owner copies. May call anything here. */
    void (*on_data)(void *owner, struct bytes data);
    /* At a turn's end something is left of what is queued, where before nothing was. on_drain follows, or on_end, or neither while the
     * peer takes nothing (stream_stalled_ms()). May be NULL, and writes and closes nothing. */
    void (*on_full)(void *owner);
    /* stream_queued() fell to 0 after it had been above it at the end of a turn; after on_end() also because the
     * connection broke and dropped what was queued. May be NULL. */
    void (*on_drain)(void *owner);
    /* Nothing will be read any more: PETREL_E_EOF when the peer shut down its side (writing may still work; with TLS also when it did
     * so without a word: what the stream carries says itself where it ends), another error when the connection broke: with TLS also
     * PETREL_E_PROTOCOL, PETREL_E_UNAUTHENTICATED (who the peer is) and PETREL_E_BUSY (tls_limits). Called at most once; the owner then calls stream_close(), now or when it is done. */
    void (*on_end)(void *owner, int status);
    /* The peer has proved that it has a certificate, to a server for nodes (tls.h); before its first data. The owner may take *peer, and
     * nulls it then. May be NULL, and may call anything here. */
    void (*on_peer)(void *owner, struct tls_peer **peer);
    /* A client's: what to give stream_secure_client() the next time, valid until this returns. A newer one takes the place of those
     * before. May be NULL, and may call anything here. */
    void (*on_session)(void *owner, struct bytes session);
    /* A handshake that had to wait for its turn has it: a deadline of the owner's may count from here. May be NULL, and may call
     * anything here. */
    void (*on_turn)(void *owner);
    /* The stream is gone. The last call; exactly once for every attached stream; never from inside stream_close(). */
    void (*on_closed)(void *owner);
};

/* Give an accepted stream its owner and begin to read. Once per stream. */
void stream_attach(struct stream *stream, const struct stream_ops *ops, void *owner);

/* Connect to a numeric address; on_open follows, or on_end with the reason, never from inside. What is written before on_open
 * goes out with it. The owner bounds the wait with a timer of its own. 0 and the stream, attached; PETREL_E_INVALID: host; or
 * the error of a connection that was refused at once. */
int stream_connect(struct stream **out, struct loop *loop, const char *host, uint16_t port,
                   const struct stream_ops *ops, void *owner);

/* Speak TLS from here on, as the server; before attach, or in on_data when the peer's first byte says so (0x16): first is then what
 * was read. The stream takes a reference to server. It may have to wait for its turn (tls_limits), which on_turn tells; the owner bounds
 * how long it takes from there until there are data, and before there is a line to stand in. */
void stream_secure(struct stream *stream, struct tls_server *server, struct bytes first);
/* The same as the client, right after stream_connect(), with a server that is hostname (a name, or an address), resuming session
 * (on_session; absent: a full handshake). 0; PETREL_E_INVALID: hostname; PETREL_E_NOMEM: then the stream is as it was. */
int stream_secure_client(struct stream *stream, struct tls_client *client, const char *hostname, struct bytes session);
bool stream_is_secure(const struct stream *stream);
/* Whether its handshake stands in line for its turn: tls_limits bound for how long. */
bool stream_waits(const struct stream *stream);
/* What was agreed on in the handshake; TLS_ALPN_NONE before. */
enum tls_alpn stream_alpn(const struct stream *stream);

/* Queue a reference to buf (taken here; the caller keeps its own). Nothing is written once closing or broken. */
void stream_write(struct stream *stream, struct buf *buf);
/* Queue a copy: for small frames. Small copies of one turn share a chunk. */
void stream_write_copy(struct stream *stream, struct bytes data);
/* The same, but where nothing is queued before it the socket gets it at once: for a small frame that is mostly alone in its turn. */
void stream_write_now(struct stream *stream, struct bytes data);
/* Bytes queued and not yet taken by the kernel: the owner's measure of a slow reader. */
size_t stream_queued(const struct stream *stream);
/* For how long the socket has taken nothing of what is queued; 0: nothing is. */
uint64_t stream_stalled_ms(const struct stream *stream);
/* Whether the socket was full when it was last written to, so that on_drain will come. Until a turn's end what is queued has not been
 * tried, and the socket may take all of it. */
bool stream_blocked(const struct stream *stream);

/* Stop and resume reading: back-pressure. A stream begins reading. */
void stream_pause(struct stream *stream);
void stream_resume(struct stream *stream);

/* Begin to close: no further on_data, on_drain, on_end. What is queued is dropped. Twice is once. */
void stream_close(struct stream *stream);
/* The same, once what is queued has gone out: then the peer gets our FIN, and at most a second for its own, so that a
 * reset does not overtake the last bytes; with TLS close_notify goes before it. All of it within timeout_ms. on_data, on_drain and on_end are not called
 * meanwhile; what the peer still sends is read and dropped. Also for a stream that was never attached. */
void stream_close_flushed(struct stream *stream, uint32_t timeout_ms);

/* Address and port of the peer into out ("unix": it came through a Unix socket), also as 16 bytes (IPv4 mapped) by stream_peer_key(), for caps per address. */
void stream_peer(const struct stream *stream, char out[STREAM_ADDRESS_SIZE]);
void stream_peer_key(const struct stream *stream, uint8_t out[16]);
/* Who the peer is, where it is a process of this machine that came through a Unix socket; false: it is not. */
bool stream_peer_user(const struct stream *stream, uint32_t *uid);
bool stream_peer_in_group(const struct stream *stream, uint32_t gid);
struct loop *stream_loop(const struct stream *stream);

#endif
