#include "contract/logbook.h"

#include "base/bytes.h"
#include "base/log.h"
#include "lib/until.h"

#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define WAIT_MS 30000

static struct {
    pthread_mutex_t lock;
    struct bytebuf text;
} book = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void write_down(void *ctx, const char *line, size_t len)
{
    (void)ctx;
    pthread_mutex_lock(&book.lock);
    bytes_append(&book.text, line, len);
    pthread_mutex_unlock(&book.lock);
}

void logbook_open(void)
{
    log_set_sink(write_down, NULL);
}

void logbook_clear(void)
{
    pthread_mutex_lock(&book.lock);
    book.text.len = 0;
    pthread_mutex_unlock(&book.lock);
}

void logbook_close(void)
{
    log_set_sink(NULL, NULL);
    bytes_reset(&book.text);
}

bool logbook_has(const char *text)
{
    pthread_mutex_lock(&book.lock);
    const bool found = book.text.len > 0 && memmem(book.text.ptr, book.text.len, text, strlen(text)) != NULL;
    pthread_mutex_unlock(&book.lock);
    return found;
}

static bool is_there(void *ctx)
{
    return logbook_has(ctx);
}

bool logbook_wait(const char *text)
{
    if (until(is_there, (void *)(uintptr_t)text, WAIT_MS))
        return true;
    pthread_mutex_lock(&book.lock);
    fprintf(stderr, "nobody said \"%s\" but:\n%.*s", text, (int)book.text.len, (const char *)book.text.ptr);
    pthread_mutex_unlock(&book.lock);
    return false;
}
