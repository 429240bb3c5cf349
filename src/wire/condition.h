/* condition.h: who of a topic's followers a message is for, and how fast it may go: parsed from text by who sends, packed into
 * the bytes that stand beside the entry in its log, matched by who delivers. Sans-I/O; any thread.
 *
 * text     'a' in topics && ('b' in topics || !('c' in topics)), of at most CONDITION_TOPICS_MAX topics
 * term     topics that are followed and topics that are not, all of which must hold. A condition is its terms, any of which may
 *          hold: its disjunctive form
 * part     what goes into one log: the terms whose devices follow that log's topic, for devices of which no earlier term of another log
 *          holds, so that a device finds the message in one log only. A log takes one part: to it two would be the same message */
#ifndef PETREL_WIRE_CONDITION_H
#define PETREL_WIRE_CONDITION_H

#include "base/bytes.h"

#define CONDITION_TOPICS_MAX 5
#define CONDITION_TERMS_MAX 32
#define CONDITION_NAME_MAX 64
#define CONDITION_TEXT_MAX 1024
#define CONDITION_PACKED_MAX 512

/* Topics by bit: bit i is topics[i]. */
struct condition_term {
    uint8_t with;
    uint8_t without;
};
struct condition {
    uint32_t topics_count;
    char topics[CONDITION_TOPICS_MAX][CONDITION_NAME_MAX + 1];
    uint32_t terms_count;
    struct condition_term terms[CONDITION_TERMS_MAX];
    uint32_t
        term; /* the last one of this part; terms after it do not count. Nothing is for nobody: no terms, for everybody */
    uint32_t rate; /* devices a second, over all nodes; 0: as fast as it goes */
};

/* 0, with the disjunctive form in *out; negative with *why set to what is wrong: INVALID; UNSUPPORTED: no device can ever meet
 * it; TOO_LARGE: over one of the limits. `all` holds for every device. */
int condition_parse(struct bytes text, struct condition *out, const char **why);
/* The topic in whose log the part of that term goes: one that its devices follow; NULL: `all`. */
const char *condition_topic(const struct condition *condition, uint32_t term);
/* Whether the term is the last one of a part: no later one goes into the same log. */
bool condition_ends_part(const struct condition *condition, uint32_t term);

/* Append; at most CONDITION_PACKED_MAX bytes. Nothing is appended for one that is for everybody at any speed. */
void condition_pack(const struct condition *condition, struct bytebuf *out);
/* 0; PETREL_E_PROTOCOL. No bytes are the condition that everybody meets. */
int condition_unpack(struct bytes packed, struct condition *out);

/* Whether a device that follows these topics (by bit) is meant. */
bool condition_meets(const struct condition *condition, uint8_t follows);

#endif
