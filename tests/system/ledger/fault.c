#include "system/ledger/fault.h"

#include <string.h>

#define ALL ((1U << FAULT_COUNT) - 1)

const struct fault fault_table[FAULT_COUNT] = {
    {"kill-session",
     "a session node is killed (kill -9) and started again after 4 s",
     FAULT_SESSION,
     {"kill"},
     4000,
     {"start"},
     5000,
     false},
    {"kill-message", "the same with a message node", FAULT_MESSAGE, {"kill"}, 4000, {"start"}, 5000, false},
    {"pause-session",
     "a session node stands still (SIGSTOP) for 15 s",
     FAULT_SESSION,
     {"pause"},
     15000,
     {"continue"},
     16000,
     false},
    {"pause-message", "the same with a message node", FAULT_MESSAGE, {"pause"}, 15000, {"continue"}, 16000, false},
    {"kill-redis-master",
     "a Redis master is killed and comes back as a replica, 5 s after the failover",
     FAULT_REDIS_MASTER,
     {"kill"},
     0,
     {"start"},
     11000,
     true},
    {"stop-redis-master",
     "a Redis master stands still for 15 s",
     FAULT_REDIS_MASTER,
     {"pause"},
     15000,
     {"continue"},
     17000,
     true},
    {"restart-redis-fast",
     "a Redis master is killed and started again at once",
     FAULT_REDIS_MASTER,
     {"kill"},
     0,
     {"start", "--now"},
     4000,
     true},
    {"reshard",
     "slots move from one Redis master to another",
     FAULT_REDIS_PAIR,
     {"reshard", "1500"},
     0,
     {NULL},
     5000,
     false},
    {"kill-zk-one",
     "a ZooKeeper is killed and started again after 5 s",
     FAULT_ZOOKEEPER,
     {"kill"},
     5000,
     {"start"},
     8000,
     false},
    {"kill-zk-all", "all of ZooKeeper is away for 20 s", FAULT_ZOOKEEPERS, {"kill"}, 20000, {"start"}, 25000, false},
    {"expire-zk-session",
     "a node does not reach ZooKeeper for 25 s: longer than its session lives",
     FAULT_PATH,
     {NULL},
     25000,
     {NULL},
     25000,
     false},
    {"restart-mysql",
     "MariaDB is stopped and started again after 5 s",
     FAULT_MARIADB,
     {"stop"},
     5000,
     {"start"},
     7000,
     false},
    {"cut-link",
     "nothing passes between a message node and the others for 12 s",
     FAULT_LINK,
     {NULL},
     12000,
     {NULL},
     12000,
     false},
};

static uint32_t bit_of(const char *name, size_t len)
{
    if (len == 3 && memcmp(name, "all", 3) == 0)
        return ALL;
    for (uint32_t i = 0; i < FAULT_COUNT; i++) {
        if (strlen(fault_table[i].name) == len && memcmp(fault_table[i].name, name, len) == 0)
            return 1U << i;
    }
    return 0;
}

uint32_t fault_parse(const char *names)
{
    uint32_t all = 0;
    for (;;) {
        size_t len = strcspn(names, ",");
        uint32_t bit = bit_of(names, len);
        if (bit == 0)
            return 0;
        all |= bit;
        if (names[len] == '\0')
            return all;
        names += len + 1;
    }
}
