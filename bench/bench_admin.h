/* bench_admin.h: the admin API and /metrics of the target, as far as the bench needs them. */
#ifndef PETREL_BENCH_BENCH_ADMIN_H
#define PETREL_BENCH_BENCH_ADMIN_H

#include "bench.h"

/* A fresh app with its API key and the secret that signs its devices' tokens, into bench->target. Dies when that can't be had. */
void bench_admin_make_app(struct bench *bench);
/* A GET's body, NUL-terminated; dies unless it is 2xx. The caller resets out. */
void bench_admin_get(struct bench *bench, const char *path, struct bytebuf *out);

#endif
