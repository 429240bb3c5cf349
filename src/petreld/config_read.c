#include "petreld/config.h"

#include "base/err.h"
#include "base/object.h"

#include <errno.h>
#include <ini.h>
#include <stdio.h>
#include <stdlib.h>

#define CONFIG_FILE_MAX (256 * 1024)
#define CONFIG_KEYS_MAX 256

/* The INI library cuts long lines, joins indented ones and gives no line number, all silently: so the lines are counted and
 * checked on their way in, and a key that comes twice is a mistake. */
struct reading {
    struct config *config;
    struct config_error *error;
    const char *name;
    struct bytes rest;
    unsigned line;
    int status;
    bool seen[CONFIG_KEYS_MAX]; /* by the entry's place in the table */
};

static void refuse(struct reading *reading, const char *what)
{
    if (reading->status != 0)
        return;
    reading->status = PETREL_E_INVALID;
    snprintf(reading->error->where, sizeof reading->error->where, "%.200s:%u", reading->name, reading->line);
    if (what != NULL)
        snprintf(reading->error->what, sizeof reading->error->what, "%s", what);
}

/* fgets() for the library; an end of input once something was refused. */
static char *next_line(char *out, int size, void *stream)
{
    struct reading *reading = stream;
    if (reading->status != 0 || reading->rest.len == 0)
        return NULL;
    reading->line++;
    const uint8_t *end = memchr(reading->rest.ptr, '\n', reading->rest.len);
    size_t len = end != NULL ? (size_t)(end - reading->rest.ptr) : reading->rest.len;
    if (len > CONFIG_LINE_MAX || len + 2 > (size_t)size) {
        refuse(reading, "the line is longer than 190 bytes");
        return NULL;
    }
    if (memchr(reading->rest.ptr, '\0', len) != NULL) {
        refuse(reading, "the line has a NUL byte; is this a text file?");
        return NULL;
    }
    memcpy(out, reading->rest.ptr, len);
    out[len] = '\n';
    out[len + 1] = '\0';
    size_t blank = strspn(out, " \t\r\n");
    if (blank > 0 && out[0] != '\r' && blank < len && out[blank] != '#' && out[blank] != ';') {
        refuse(reading, "the line begins with a space; keys and [sections] begin in the first column");
        return NULL;
    }
    len += end != NULL;
    reading->rest = bytes_of(reading->rest.ptr + len, reading->rest.len - len);
    return out;
}

static bool seen_before(struct reading *reading, const char *key)
{
    size_t count;
    const struct config_entry *entries = config_entries(&count);
    petrel_assert(count <= CONFIG_KEYS_MAX);
    size_t i = 0;
    while (i < count && strcmp(entries[i].key, key) != 0)
        i++;
    bool before = i < count && reading->seen[i];
    if (i < count)
        reading->seen[i] = true;
    return before;
}

/* The library wants 0 for "stop". */
static int take_pair(void *user, const char *section, const char *name, const char *value)
{
    struct reading *reading = user;
    if (reading->status != 0)
        return 0;
    char key[160];
    snprintf(key, sizeof key, "%.60s%s%.60s", section, section[0] != '\0' ? "." : "", name);
    int err = config_set(reading->config, key, value != NULL ? value : "", reading->error);
    if (err == 0 && seen_before(reading, key)) {
        snprintf(reading->error->what, sizeof reading->error->what, "%s is given a second time", key);
        err = PETREL_E_INVALID;
    }
    if (err != 0)
        refuse(reading, NULL);
    return err == 0;
}

int config_read_bytes(struct config *config, struct bytes text, const char *name, struct config_error *error)
{
    struct reading *reading = calloc(1, sizeof *reading);
    if (reading == NULL)
        return PETREL_E_NOMEM;
    *reading = (struct reading){.config = config, .error = error, .name = name, .rest = text};
    int bad_line = text.len == 0 ? 0 : ini_parse_stream(next_line, reading, take_pair, reading);
    int status = reading->status;
    if (bad_line != 0 && (status == 0 || (unsigned)bad_line < reading->line)) {
        status = PETREL_E_INVALID;
        snprintf(error->where, sizeof error->where, "%.200s:%d", name, bad_line);
        snprintf(error->what, sizeof error->what, "neither a [section], nor a key = value, nor a # comment");
    }
    free(reading);
    return status;
}

int config_read_file(struct config *config, const char *path, struct config_error *error)
{
    snprintf(error->where, sizeof error->where, "%.250s", path);
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        int errnum = errno;
        snprintf(error->what, sizeof error->what, "can't be opened: %s", strerror(errnum));
        return errnum == ENOENT ? PETREL_E_NOT_FOUND : err_from_errno(errnum);
    }
    struct bytebuf text = {0};
    size_t got = fread(bytes_reserve(&text, CONFIG_FILE_MAX + 1), 1, CONFIG_FILE_MAX + 1, file);
    text.len = got;
    int status = 0;
    if (ferror(file)) {
        snprintf(error->what, sizeof error->what, "can't be read: %s", strerror(errno));
        status = PETREL_E_IO;
    } else if (got > CONFIG_FILE_MAX) {
        snprintf(error->what, sizeof error->what, "larger than %d KiB", CONFIG_FILE_MAX / 1024);
        status = PETREL_E_INVALID;
    } else {
        status = config_read_bytes(config, bytes_view(&text), path, error);
    }
    fclose(file);
    bytes_reset(&text);
    return status;
}
