/* errands.h: subscriptions that the backend changes for devices: any sender takes the next one. */
#ifndef PETREL_LEDGER_ERRANDS_H
#define PETREL_LEDGER_ERRANDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct errand {
    uint32_t device;
    uint32_t topic;
    bool follow; /* subscribe, or end that */
};

struct errands {
    struct errand *list;
    size_t count, room;
    size_t taken;
    size_t done;
};

/* One for each topic in which the sets differ. */
void errands_add(struct errands *errands, uint32_t device, uint8_t from, uint8_t to);
/* False: there is none left. */
bool errands_take(struct errands *errands, struct errand *out);
void errands_did(struct errands *errands);
bool errands_are_done(const struct errands *errands);
void errands_reset(struct errands *errands);

#endif
