/* config.h: the configuration: one typed table that makes the parser, the flags, --help, `petrelctl config show` and the
 * reference in README.md.
 *
 * A value comes from, later ones winning: the default below, the file (INI), the command line. A key `session.port` is
 * `port` under [session] in the file and --session-port on the command line; a key without a dot stands before any section.
 *
 * Units: bytes take B, KiB, MiB, GiB; durations ms, s, m, h, d; memory KiB, MiB, GiB or %. They must be written, except for 0.
 *
 * To add a key: one line in config_table.h, and read config->name where the server is put together. */
#ifndef PETREL_PETRELD_CONFIG_H
#define PETREL_PETRELD_CONFIG_H

#include "base/bytes.h"
#include "petreld/config_table.h"

enum config_type { CONFIG_TEXT, CONFIG_COUNT, CONFIG_BYTES, CONFIG_DURATION, CONFIG_MEMORY, CONFIG_CHOICE };

#define CONFIG_TEXT_MAX 191
#define CONFIG_PERCENT_MAX 100
#define CONFIG_LINE_MAX 190 /* the INI reader's buffer, less line end */

struct config {
#define CONFIG_FIELD_TEXT(name) char name[CONFIG_TEXT_MAX + 1];
#define CONFIG_FIELD_CHOICE(name) char name[CONFIG_TEXT_MAX + 1];
#define CONFIG_FIELD_COUNT(name) uint64_t name;
#define CONFIG_FIELD_BYTES(name) uint64_t name;
#define CONFIG_FIELD_DURATION(name) uint64_t name; /* ms */
#define CONFIG_FIELD_MEMORY(name) uint64_t name;   /* bytes; up to CONFIG_PERCENT_MAX: per cent */
#define CONFIG_FIELD(key, name, type, def, low, high, text) CONFIG_FIELD_##type(name)
    CONFIG_TABLE(CONFIG_FIELD)
#undef CONFIG_FIELD
};

/* One line of the table. */
struct config_entry {
    const char *key; /* "session.port" */
    enum config_type type;
    const char *initial; /* as one would write it */
    uint64_t low;        /* range of numbers, in bytes and ms */
    uint64_t high;
    const char *text;
    size_t offset; /* in struct config */
};

/* Why something was refused: where ("petreld.conf:12", "--session-port"), and what was wrong and expected. */
struct config_error {
    char where[256];
    char what[512];
};

/* Of a CONFIG_CHOICE: its choices ("text|json", length in *len), and what it does. Of others: NULL; the text. */
const char *config_choices(const struct config_entry *entry, size_t *len);
const char *config_purpose(const struct config_entry *entry);

/* The table, *count entries. Static storage. */
const struct config_entry *config_entries(size_t *count);
void config_defaults(struct config *config);

/* Set one key from text. 0 or PETREL_E_INVALID with error->what. */
int config_set(struct config *config, const char *key, const char *value, struct config_error *error);

/* Read a file, or bytes as if they were one (name is for messages). Stops at the first mistake: 0; PETREL_E_INVALID;
 * PETREL_E_NOT_FOUND; PETREL_E_FORBIDDEN; PETREL_E_IO. */
int config_read_file(struct config *config, const char *path, struct config_error *error);
int config_read_bytes(struct config *config, struct bytes text, const char *name, struct config_error *error);

/* What depends on more than one key. 0 or PETREL_E_INVALID. */
int config_check(const struct config *config, struct config_error *error);

/* Append the value of an entry as one would write it ("64KiB", "4m"). */
void config_format(const struct config *config, const struct config_entry *entry, struct bytebuf *out);
/* Append {"session.port": {"value":…, "default":…, "unit":…, "text":…}, …}. */
void config_render_json(const struct config *config, struct bytebuf *out);
/* Append the reference as Markdown tables, a section each. */
void config_render_reference(struct bytebuf *out);
/* Append the flags for --help. */
void config_render_help(struct bytebuf *out);

#endif
