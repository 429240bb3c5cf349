#include "system/ledger/app.h"

#include "base/object.h"

#include <stdlib.h>

#define CRASH_IN 400 /* one message in so many crashes the app that handles it */

void app_init(struct app *app, struct ledger *ledger, uint32_t number, struct rng *rng)
{
    *app = (struct app){.ledger = ledger, .number = number, .rng = rng, .together = number % 2 == 0};
}

void app_reset(struct app *app)
{
    free(app->effects);
    app->effects = NULL;
}

void app_start(struct app *app)
{
    app->crashed = false;
    app->effects_count = 0;
    app->gaps_told = 0;
    memset(app->gaps, 0, sizeof app->gaps);
}

static void record(struct app *app, const struct effect *effect)
{
    struct ledger *ledger = app->ledger;
    if (effect->garbage)
        book_stranger(ledger->book);
    else if (ledger->drop_next)
        ledger->drop_next = false;
    else
        book_seen(ledger->book, app->number, effect->log, effect->sender, effect->message, &effect->id);
}

static void keep(struct app *app, const struct effect *effect)
{
    if (app->effects_count == app->effects_room) {
        app->effects_room = app->effects_room > 0 ? 2 * app->effects_room : 16;
        app->effects = object_realloc(app->effects, app->effects_room * sizeof *app->effects);
    }
    app->effects[app->effects_count++] = *effect;
}

void app_message(struct app *app, const struct petrel_message *message, const struct petrel_state *now)
{
    if (app->crashed)
        return;
    const struct effect effect = effect_of(message, app->ledger->options.senders);
    if (app->together) {
        record(app, &effect);
        app->stored = *now;
    } else {
        keep(app, &effect);
    }
    app->crashed = !app->ledger->calm && rng_below(app->rng, CRASH_IN) == 0;
}

void app_gap(struct app *app, const struct petrel_gap *gap, const struct petrel_state *now)
{
    const int log = topics_find(gap->topic);
    if (app->crashed)
        return;
    if (log < 0) {
        book_stranger(app->ledger->book);
    } else if (app->together) {
        book_gap(app->ledger->book, app->number, (uint32_t)log, gap->lost_at_most);
        app->stored = *now;
    } else {
        app->gaps[log] += gap->lost_at_most;
        app->gaps_told |= 1U << log;
    }
}

void app_save(struct app *app, const struct petrel_state *now)
{
    if (app->crashed)
        return;
    for (size_t i = 0; i < app->effects_count; i++)
        record(app, &app->effects[i]);
    app->effects_count = 0;
    for (uint32_t log = 0; log < TOPICS_LOGS; log++) {
        if ((app->gaps_told >> log & 1) != 0)
            book_gap(app->ledger->book, app->number, log, app->gaps[log]);
        app->gaps[log] = 0;
    }
    app->gaps_told = 0;
    app->stored = *now;
}
