/* client_script.h: the core against a scripted server: what the application saw and what was sent, as one line of text each.
 *
 * seen   "save 0/0#1; connected 2; message 7/5; gap 3 cap; disconnected 3000 text 1500;": in order, since last taken
 * sent   "CONNECT 0/0#1 token; ACK 7/5; PING; DISCONNECT 0;" */
#ifndef PETREL_TESTS_CLIENT_SCRIPT_H
#define PETREL_TESTS_CLIENT_SCRIPT_H

#include "petrel/client.h"
#include "wire/session.h"

struct script {
    struct petrel_core *core;
    struct bytebuf in; /* the server's frames, until script_feed() */
    struct bytebuf seen;
    struct bytebuf sent;
    struct session_codec *codec;
    uint64_t now;
    int64_t retry_ms; /* of the last on_disconnected */
    bool leave_in_message;
    struct petrel_state saved;
    char seen_text[32768];
    char sent_text[32768];
};

void script_begin(struct script *script, const struct petrel_state *state, bool fresh_tokens, uint64_t seed);
/* Servers are found by lookup. */
void script_begin_lookup(struct script *script, uint64_t seed);
void script_end(struct script *script);

/* A connection is made and CONNECT goes out. */
void script_connect(struct script *script);
/* And is answered: RESUMED at epoch/seq, heartbeat 100 s. Clears seen and sent. */
void script_live(struct script *script, uint64_t epoch, uint64_t seq);

/* Queue a frame of the server's. The message's id is its number. */
void script_connected(struct script *script, enum session_verdict verdict, uint64_t epoch, uint64_t seq);
void script_push(struct script *script, uint64_t epoch, uint64_t prev, uint64_t seq, uint8_t id);
void script_error(struct script *script, uint32_t code, uint32_t backoff_ms);
/* Hand over what is queued, `piece` bytes at a time (0: all at once). What petrel_core_receive() returned last. */
int script_feed(struct script *script, size_t piece);
/* Let time pass. What petrel_core_tick() returned. */
int script_pass(struct script *script, uint64_t ms);

/* A connection that was not answered, or could not be made: the wait. */
int64_t script_lost(struct script *script);
/* A connection that the server ends with a code at once: the wait. */
int64_t script_refused(struct script *script, uint32_t code, uint32_t backoff_ms);
/* A goodbye of the server's to a session that has proven itself: targets one:1 and two:2, backoff 5 s. */
void script_told_to_go(struct script *script, uint32_t deadline_ms, uint32_t spread_ms);

/* What was seen, or sent, since the last call; valid until the next one. */
const char *script_seen(struct script *script);
const char *script_sent(struct script *script);

#endif
