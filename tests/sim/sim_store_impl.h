/* sim_store_impl.h: what the two files of the store share: sim_store.c (its network and operations) and sim_store_rows.c (what it
 * writes, and its crashes). Nobody else includes it. */
#ifndef PETREL_SIM_SIM_STORE_IMPL_H
#define PETREL_SIM_SIM_STORE_IMPL_H

#include "sim/sim_store.h"
#include "store/inbox.h"

#define SIM_STARTS_MAX 64

struct sim_user {
    struct inbox inbox;
    char key[24];
    size_t key_len;
};

/* A route as it was from a row on. */
struct sim_note {
    size_t row;
    uint32_t user;
    char device[16];
    struct route route;
};

struct sim_store {
    struct store base;
    struct sim *sim;
    struct sim_book *book;
    struct sim_store_config config;
    struct sim_user users[SIM_USERS_MAX];
    uint32_t users_count;
    struct inbox_txn txn;
    struct bytebuf row;
    struct bytebuf journal;
    size_t *ends; /* of each row in the journal */
    size_t rows;
    size_t least_rows; /* none of these is ever forgotten: devices stay enrolled, so that they are owed what comes */
    struct sim_note *notes;
    size_t notes_count;
    uint64_t starts[SIM_STARTS_MAX];
    uint64_t down_until_us;
    uint64_t full_until_us;
    uint32_t forget_hits_in;
    struct list ops;
    struct sim_event sweep;
};

/* Begin a write at this time; returns what an empty row is long. */
size_t sim_store_rows_begin(struct sim_store *store);
/* Keep the row, if something happened in it, and tell the book. */
void sim_store_rows_commit(struct sim_store *store, uint32_t user, size_t empty);

#endif
