/* servers.h: which server is tried next. Pure: answers and time in, addresses out. Private to this room.
 *
 * round    the targets of the last GOAWAY, then the list of the last lookup or the one usual address; each is named once
 * settled  this round has its list: it was young enough, or a lookup was made, or none answered. Before that a lookup is due.
 * left     the server whose session ended: tried last, because it is the likeliest to be gone
 *
 * Whoever tries an address says how it went: servers_live(), or servers_restart() when the round is over; in between servers_next()
 * goes on to the next. */
#ifndef PETREL_CLIENT_SERVERS_H
#define PETREL_CLIENT_SERVERS_H

#include "base/bytes.h"
#include "client/servers_answer.h"

#define SERVERS_TARGETS_MAX 5

#define SERVERS_PATIENCE_MS 20000       /* with a server when there is no other */
#define SERVERS_PATIENCE_OTHERS_MS 3000 /* when there are others, and doubled with each round that failed */
#define SERVERS_PATIENCE_LOOKUP_MS 2000 /* with a lookup server, likewise */
#define SERVERS_PATIENCE_LOOKUP_MAX_MS 10000

enum servers_step {
    SERVERS_ADDRESS, /* an address to connect to */
    SERVERS_USUAL,   /* the usual address, which only the caller knows */
    SERVERS_LOOKUP,  /* a lookup is due: servers_answered() or servers_unanswered() */
};

enum servers_why {
    SERVERS_SESSION_ENDED, /* the server's fault: elsewhere first */
    SERVERS_ROUND_FAILED,  /* none of it served: the list is not to be trusted any more */
    SERVERS_NOT_THEIRS,    /* a token refused, for example: the same servers again */
};

struct servers {
    bool lookup; /* else there is a usual address */
    char targets[SERVERS_TARGETS_MAX][HOSTPORT_MAX + 1];
    size_t targets_count;
    struct servers_answer answer; /* count 0: none yet */
    uint64_t stale_at_ms;         /* the answer's */
    bool distrusted;              /* a round of it failed */
    bool settled;
    size_t named;                   /* in this round: of the targets, then of the list or the usual address */
    bool unheard;                   /* what was named last has had no outcome yet */
    uint32_t failed_rounds;         /* in a row */
    char current[HOSTPORT_MAX + 1]; /* what was named last; "": the usual address */
    char left[HOSTPORT_MAX + 1];
};

/* A GOAWAY named these; what is no address is passed over. They begin the next round. */
void servers_goaway(struct servers *servers, const struct bytes *targets, size_t count);
/* The next step; *address is valid until the next call, *patience_ms is how long to give it. */
enum servers_step servers_next(struct servers *servers, uint64_t now_ms, const char **address, uint32_t *patience_ms);
/* Lookup answered. Returns ms to wait before servers_next(), or -1: this is no answer. */
int64_t servers_answered(struct servers *servers, uint64_t now_ms, const char *json, size_t len);
/* Lookup did not. 0: an older answer serves; -1: the round is over. */
int servers_unanswered(struct servers *servers);
/* What was named last failed: whether this round has another. False, too, when nothing was named since the last call. */
bool servers_another(struct servers *servers);
/* The session is up. */
void servers_live(struct servers *servers);
/* Begin the next round. */
void servers_restart(struct servers *servers, enum servers_why why);

#endif
