#include "petrelctl/human.h"

#include "base/utf8.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

char *human_time(uint64_t wall_ms, char out[HUMAN_SIZE])
{
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm parts;
    if (wall_ms == 0 || localtime_r(&seconds, &parts) == NULL ||
        strftime(out, HUMAN_SIZE, "%Y-%m-%d %H:%M:%S", &parts) == 0)
        snprintf(out, HUMAN_SIZE, "-");
    return out;
}

char *human_time_ms(uint64_t wall_ms, char out[HUMAN_SIZE])
{
    human_time(wall_ms, out);
    size_t len = strlen(out);
    if (len > 1)
        snprintf(out + len, HUMAN_SIZE - len, ".%03" PRIu64, wall_ms % 1000);
    return out;
}

char *human_span(uint64_t ms, char out[HUMAN_SIZE])
{
    static const struct {
        const char *name;
        uint64_t ms;
    } units[] = {{"d", 86400000}, {"h", 3600000}, {"min", 60000}, {"s", 1000}, {"ms", 1}};
    const size_t seconds = 3;
    size_t at = 0;
    while (units[at].ms > 1 && ms < units[at].ms)
        at++;
    int len = snprintf(out, HUMAN_SIZE, "%" PRIu64 " %s", ms / units[at].ms, units[at].name);
    uint64_t rest = ms % units[at].ms;
    if (at < seconds && rest >= units[at + 1].ms)
        snprintf(out + len, HUMAN_SIZE - (size_t)len, " %" PRIu64 " %s", rest / units[at + 1].ms, units[at + 1].name);
    return out;
}

char *human_bytes(uint64_t bytes, char out[HUMAN_SIZE])
{
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB"};
    if (bytes < 1024) {
        snprintf(out, HUMAN_SIZE, "%" PRIu64 " B", bytes);
        return out;
    }
    double value = (double)bytes / 1024;
    size_t at = 0;
    for (; value >= 1023.95 && at + 1 < sizeof units / sizeof units[0]; at++)
        value /= 1024;
    snprintf(out, HUMAN_SIZE, "%.1f %s", value, units[at]);
    return out;
}

char *human_safe(struct bytes text)
{
    struct bytebuf out = {0};
    while (text.len > 0) {
        size_t len = utf8_char_len(text);
        size_t step = len > 0 ? len : 1;
        bool shown = len > 0 && utf8_printable(bytes_of(text.ptr, len));
        bytes_append(&out, shown ? (const char *)text.ptr : "?", shown ? len : 1);
        text = bytes_of(text.ptr + step, text.len - step);
    }
    bytes_append(&out, "", 1);
    return (char *)out.ptr;
}
