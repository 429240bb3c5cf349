/* app.h: the app on a phone: it has messages, stores where it is, and crashes.
 *
 * Half of the apps store a message's effect and the position together in on_message; the others when they are told to save. Both
 * lose what they had not stored when they crash, which happens between any two callbacks. The book hears of effects that are
 * stored, for only those are what the app has seen. */
#ifndef PETREL_LEDGER_APP_H
#define PETREL_LEDGER_APP_H

#include "system/ledger/effect.h"
#include "system/ledger/ledger.h"

struct app {
    struct ledger *ledger;
    uint32_t number;            /* of its device */
    struct rng *rng;            /* its device's */
    struct petrel_state stored; /* what a crash leaves */
    bool together;              /* effect and position are stored in app_message(); else in app_save() */
    bool crashed;               /* in this batch: what the core still calls back is for nobody */
    struct effect *effects;     /* of the other kind of app: not stored yet */
    size_t effects_count, effects_room;
    uint64_t gaps[TOPICS_LOGS]; /* likewise */
    uint32_t gaps_told;         /* a bit for each */
};

void app_init(struct app *app, struct ledger *ledger, uint32_t number, struct rng *rng);
void app_reset(struct app *app);

/* After a crash, or for the first time: it has what is stored. */
void app_start(struct app *app);

/* What libpetrel's callbacks of these names tell; now: the core's state at that moment. */
void app_message(struct app *app, const struct petrel_message *message, const struct petrel_state *now);
void app_gap(struct app *app, const struct petrel_gap *gap, const struct petrel_state *now);
void app_save(struct app *app, const struct petrel_state *now);

#endif
