/* operate.h: deploy/cluster's commands, run beside the loop, one at a time. What they print as errors goes to our own. */
#ifndef PETREL_LEDGER_OPERATE_H
#define PETREL_LEDGER_OPERATE_H

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

#define OPERATE_WORDS_MAX 8
#define OPERATE_OUTPUT_MAX 4096

/* output is what the command printed, as far as there is room. */
typedef void operate_fn(void *ctx, bool good, const char *output);

struct operate {
    uv_loop_t *loop;
    const char *dir; /* of the cluster */
    const char *bin;
    uv_process_t process;
    uv_pipe_t pipe;
    unsigned open; /* of these two */
    bool busy;
    bool good;
    char output[OPERATE_OUTPUT_MAX];
    size_t len;
    operate_fn *done;
    void *ctx;
};

/* dir and bin are borrowed. */
void operate_init(struct operate *operate, uv_loop_t *loop, const char *dir, const char *bin);
/* words: the command and what belongs to it, up to a NULL; copied. Nothing runs. done comes later, from the loop. */
void operate_begin(struct operate *operate, const char *const *words, operate_fn *done, void *ctx);
/* SIGTERM, if one runs. */
void operate_end(struct operate *operate);

#endif
