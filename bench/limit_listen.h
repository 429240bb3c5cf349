/* limit_listen.h: where petrel-limit is to be found. */
#ifndef PETREL_BENCH_LIMIT_LISTEN_H
#define PETREL_BENCH_LIMIT_LISTEN_H

#include <stdbool.h>
#include <stdint.h>

/* A listener on 127.0.0.1, one of several on its port; at port 0 it gets one, which is written there. -1: errno says why. */
int limit_listen_open(uint16_t *port);
/* Write petreld.json into dir, as petreld does when it is up. false: errno says why. */
bool limit_listen_tell(const char *dir, uint16_t session_port, uint16_t api_port);

#endif
