#include "petrelctl/progress.h"

#include "petrelctl/human.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define PAUSE_MS 500
#define STEPS 10

static uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

void progress_begin(struct progress *progress, const char *what)
{
    *progress = (struct progress){.what = what, .terminal = isatty(STDERR_FILENO) != 0, .began_ms = now_ms()};
}

static bool is_worth_a_line(const struct progress *progress, uint64_t left)
{
    return progress->terminal || !progress->begun || left + progress->first / STEPS < progress->said;
}

void progress_show(struct progress *progress, uint64_t left)
{
    if (!progress->begun)
        progress->first = left;
    if (!is_worth_a_line(progress, left))
        return;
    progress->begun = true;
    progress->said = left;
    const uint64_t gone = progress->first > left ? progress->first - left : 0;
    const uint64_t took_ms = now_ms() - progress->began_ms;
    char span[HUMAN_SIZE];
    fprintf(stderr, "%s%s: %" PRIu64 " sessions left", progress->terminal ? "\r" : "", progress->what, left);
    if (gone > 0 && took_ms > 0)
        fprintf(stderr, ", %" PRIu64 " a second, %s to go", gone * 1000 / took_ms,
                human_span(left * took_ms / gone, span));
    fputs(progress->terminal ? "\033[K" : "\n", stderr);
    fflush(stderr);
}

void progress_pause(void)
{
    const struct timespec pause = {.tv_sec = 0, .tv_nsec = PAUSE_MS * 1000000L};
    nanosleep(&pause, NULL);
}

void progress_end(struct progress *progress, bool whole)
{
    if (progress->terminal && progress->begun)
        fputs(whole ? "\r\033[K" : "\n", stderr);
    if (!whole)
        return;
    char span[HUMAN_SIZE];
    const uint64_t took_ms = now_ms() - progress->began_ms;
    fprintf(stderr, "%s: done", progress->what);
    if (progress->begun)
        fprintf(stderr, ", %" PRIu64 " sessions in %s", progress->first, human_span(took_ms, span));
    fputc('\n', stderr);
}
