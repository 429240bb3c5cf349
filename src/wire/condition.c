#include "wire/condition.h"

#include "base/err.h"
#include "base/route.h"

#include <string.h>

#define NESTING_MAX 16
#define ASSIGNMENTS (1U << CONDITION_TOPICS_MAX)
#define TOPIC_ALL "all"

/* ---- text: for each assignment of the topics, by bit, whether it holds ---- */

struct reader {
    struct bytes rest;
    struct condition *out;
    const char *why;
    int depth;
};

static void skip_spaces(struct reader *in)
{
    while (in->rest.len > 0 && (in->rest.ptr[0] == ' ' || in->rest.ptr[0] == '\t'))
        in->rest = bytes_of(in->rest.ptr + 1, in->rest.len - 1);
}

static bool take(struct reader *in, const char *token)
{
    const size_t len = strlen(token);
    skip_spaces(in);
    if (in->rest.len < len || memcmp(in->rest.ptr, token, len) != 0)
        return false;
    in->rest = bytes_of(in->rest.ptr + len, in->rest.len - len);
    return true;
}

static int refuse(struct reader *in, int status, const char *why)
{
    if (in->why == NULL)
        in->why = why;
    return status;
}

/* The assignments in which that topic is followed. */
static uint32_t followed(uint32_t bit)
{
    uint32_t set = 0;
    for (uint32_t follows = 0; follows < ASSIGNMENTS; follows++)
        set |= (follows >> bit & 1U) << follows;
    return set;
}

static int note_topic(struct reader *in, struct bytes name, uint32_t *set)
{
    struct condition *out = in->out;
    if (bytes_equal_str(name, TOPIC_ALL)) {
        *set = UINT32_MAX;
        return 0;
    }
    uint32_t bit = 0;
    while (bit < out->topics_count && !bytes_equal_str(name, out->topics[bit]))
        bit++;
    if (bit == CONDITION_TOPICS_MAX)
        return refuse(in, PETREL_E_TOO_LARGE, "names more than 5 topics");
    if (bit == out->topics_count) {
        memcpy(out->topics[bit], name.ptr, name.len);
        out->topics_count++;
    }
    *set = followed(bit);
    return 0;
}

/* 'name' in topics */
static int read_topic(struct reader *in, uint32_t *set)
{
    if (!take(in, "'"))
        return refuse(in, PETREL_E_INVALID, "must be made of 'name' in topics, !, &&, || and ( )");
    const uint8_t *quote = memchr(in->rest.ptr, '\'', in->rest.len);
    const size_t len = quote != NULL ? (size_t)(quote - in->rest.ptr) : in->rest.len;
    const struct bytes name = bytes_of(in->rest.ptr, len);
    if (quote == NULL || len > CONDITION_NAME_MAX || !route_valid_device(name))
        return refuse(in, PETREL_E_INVALID, "names a topic that is not 1 to 64 of A-Z a-z 0-9 . _ : -");
    in->rest = bytes_of(quote + 1, in->rest.len - len - 1);
    if (!take(in, "in") || !take(in, "topics"))
        return refuse(in, PETREL_E_INVALID, "must say `in topics` after each name");
    return note_topic(in, name, set);
}

static int read_any(struct reader *in, uint32_t *set);

static int read_one(struct reader *in, uint32_t *set)
{
    int rc;
    if (++in->depth > NESTING_MAX)
        return refuse(in, PETREL_E_TOO_LARGE, "is nested too deeply");
    if (take(in, "!")) {
        rc = read_one(in, set);
        *set = ~*set;
    } else if (take(in, "(")) {
        rc = read_any(in, set);
        if (rc == 0 && !take(in, ")"))
            rc = refuse(in, PETREL_E_INVALID, "lacks a )");
    } else {
        rc = read_topic(in, set);
    }
    in->depth--;
    return rc;
}

static int read_both(struct reader *in, uint32_t *set)
{
    int rc = read_one(in, set);
    while (rc == 0 && take(in, "&&")) {
        uint32_t more = 0;
        rc = read_one(in, &more);
        *set &= more;
    }
    return rc;
}

static int read_any(struct reader *in, uint32_t *set)
{
    int rc = read_both(in, set);
    while (rc == 0 && take(in, "||")) {
        uint32_t more = 0;
        rc = read_both(in, &more);
        *set |= more;
    }
    return rc;
}

/* ---- the disjunctive form ---- */

static bool holds(const struct condition_term *term, uint32_t follows)
{
    return (follows & term->with) == term->with && (follows & term->without) == 0;
}

/* The assignments that a term covers. */
static uint32_t cover(const struct condition_term *term)
{
    uint32_t set = 0;
    for (uint32_t follows = 0; follows < ASSIGNMENTS; follows++) {
        if (holds(term, follows))
            set |= 1U << follows;
    }
    return set;
}

static int bits(uint32_t set)
{
    return __builtin_popcount(set);
}

/* The term of the whole set's that covers most of what is left; of equals one that names a topic which is followed, since what
 * names none goes to every device's log. */
static struct condition_term best_term(uint32_t whole, uint32_t left, uint32_t used)
{
    struct condition_term best = {0, 0};
    int best_worth = -1;
    for (uint32_t with = 0; with <= used; with++) {
        for (uint32_t without = 0; without <= used; without++) {
            const struct condition_term term = {(uint8_t)with, (uint8_t)without};
            if ((with & ~used) != 0 || (without & ~used) != 0 || (with & without) != 0)
                continue;
            const uint32_t covered = cover(&term);
            const int worth = 4 * bits(covered & left) + (with != 0);
            if ((covered & ~whole) == 0 && (covered & left) != 0 && worth > best_worth) {
                best = term;
                best_worth = worth;
            }
        }
    }
    return best;
}

static void add_terms(struct condition *out, uint32_t whole)
{
    const uint32_t used = (1U << out->topics_count) - 1;
    for (uint32_t left = whole; left != 0;) {
        const struct condition_term term = best_term(whole, left, used);
        out->terms[out->terms_count++] = term;
        left &= ~cover(&term);
    }
}

int condition_parse(struct bytes text, struct condition *out, const char **why)
{
    *out = (struct condition){.topics_count = 0};
    struct reader in = {.rest = text, .out = out};
    uint32_t whole = 0;
    int rc = text.len > CONDITION_TEXT_MAX ? refuse(&in, PETREL_E_TOO_LARGE, "is longer than 1024 bytes")
                                           : read_any(&in, &whole);
    skip_spaces(&in);
    if (rc == 0 && in.rest.len > 0)
        rc = refuse(&in, PETREL_E_INVALID, "goes on after its end");
    if (rc == 0 && whole == 0)
        rc = refuse(&in, PETREL_E_UNSUPPORTED, "is one that no device can meet");
    if (rc == 0)
        add_terms(out, whole);
    *why = in.why;
    return rc;
}

const char *condition_topic(const struct condition *condition, uint32_t term)
{
    const uint8_t with = condition->terms[term].with;
    return with != 0 ? condition->topics[__builtin_ctz(with)] : NULL;
}

bool condition_ends_part(const struct condition *condition, uint32_t term)
{
    const char *log = condition_topic(condition, term);
    for (uint32_t i = term + 1; i < condition->terms_count; i++) {
        if (condition_topic(condition, i) == log)
            return false;
    }
    return true;
}

/* ---- packed: rate, topics, terms, the part's term ---- */

static bool is_for_everybody(const struct condition *condition)
{
    return condition->terms_count == 0 || (condition->topics_count == 0 && condition->term == 0);
}

void condition_pack(const struct condition *condition, struct bytebuf *out)
{
    const bool everybody = is_for_everybody(condition);
    if (everybody && condition->rate == 0)
        return;
    bytes_put_varint(out, condition->rate);
    bytes_put_varint(out, everybody ? 0 : condition->topics_count);
    for (uint32_t i = 0; !everybody && i < condition->topics_count; i++)
        bytes_put_blob(out, bytes_str(condition->topics[i]));
    /* What comes after the part's own term does not count. */
    bytes_put_varint(out, everybody ? 0 : condition->term + 1);
    for (uint32_t i = 0; !everybody && i <= condition->term; i++) {
        bytes_put_u8(out, condition->terms[i].with);
        bytes_put_u8(out, condition->terms[i].without);
    }
}

static int unpack_topics(struct bytes *in, struct condition *out)
{
    uint64_t count;
    if (bytes_get_varint(in, &count) != 0 || count > CONDITION_TOPICS_MAX)
        return PETREL_E_PROTOCOL;
    for (uint64_t i = 0; i < count; i++) {
        struct bytes name;
        if (bytes_get_blob(in, &name) != 0 || name.len > CONDITION_NAME_MAX || !route_valid_device(name))
            return PETREL_E_PROTOCOL;
        memcpy(out->topics[i], name.ptr, name.len);
    }
    out->topics_count = (uint32_t)count;
    return 0;
}

static int unpack_terms(struct bytes *in, struct condition *out)
{
    uint64_t count;
    if (bytes_get_varint(in, &count) != 0 || count > CONDITION_TERMS_MAX)
        return PETREL_E_PROTOCOL;
    for (uint64_t i = 0; i < count; i++) {
        if (bytes_get_u8(in, &out->terms[i].with) != 0 || bytes_get_u8(in, &out->terms[i].without) != 0)
            return PETREL_E_PROTOCOL;
    }
    out->terms_count = (uint32_t)count;
    out->term = count > 0 ? (uint32_t)count - 1 : 0;
    return 0;
}

int condition_unpack(struct bytes packed, struct condition *out)
{
    uint64_t rate;
    *out = (struct condition){.topics_count = 0};
    if (packed.len == 0)
        return 0;
    if (bytes_get_varint(&packed, &rate) != 0 || rate > UINT32_MAX || unpack_topics(&packed, out) != 0 ||
        unpack_terms(&packed, out) != 0 || packed.len > 0)
        return PETREL_E_PROTOCOL;
    out->rate = (uint32_t)rate;
    return 0;
}

bool condition_meets(const struct condition *condition, uint8_t follows)
{
    if (condition->terms_count == 0)
        return true;
    /* The first term that holds says in which log the device finds the message. */
    for (uint32_t i = 0; i <= condition->term; i++) {
        if (holds(&condition->terms[i], follows))
            return condition_topic(condition, i) == condition_topic(condition, condition->term);
    }
    return false;
}
