#include "petreld/config.h"

#include <inttypes.h>
#include <stdio.h>

static const char *const unit_names[] = {
    [CONFIG_TEXT] = "text",   [CONFIG_COUNT] = "count",   [CONFIG_BYTES] = "bytes",
    [CONFIG_DURATION] = "ms", [CONFIG_CHOICE] = "choice", [CONFIG_MEMORY] = "memory",
};

static bool is_number(const struct config_entry *entry)
{
    return entry->type != CONFIG_TEXT && entry->type != CONFIG_CHOICE;
}

/* Values hold no control characters (config_set() refuses them). */
static void put_json_text(const char *text, struct bytebuf *out)
{
    bytes_append_str(out, "\"");
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\')
            bytes_append_str(out, "\\");
        bytes_append(out, text, 1);
    }
    bytes_append_str(out, "\"");
}

void config_render_json(const struct config *config, struct bytebuf *out)
{
    size_t count;
    const struct config_entry *entries = config_entries(&count);
    bytes_append_str(out, "{");
    for (size_t i = 0; i < count; i++) {
        const struct config_entry *entry = &entries[i];
        const void *field = (const char *)config + entry->offset;
        struct bytebuf written = {0};
        config_format(config, entry, &written);
        bytes_append(&written, "", 1);
        bytes_printf(out, "%s\"%s\":{\"value\":", i > 0 ? "," : "", entry->key);
        if (is_number(entry))
            bytes_printf(out, "%" PRIu64, *(const uint64_t *)field);
        else
            put_json_text(field, out);
        bytes_printf(out, ",\"unit\":\"%s\",\"written\":", unit_names[entry->type]);
        put_json_text((const char *)written.ptr, out);
        bytes_append_str(out, ",\"default\":");
        put_json_text(entry->initial, out);
        bytes_append_str(out, ",\"text\":");
        put_json_text(config_purpose(entry), out);
        bytes_append_str(out, "}");
        bytes_reset(&written);
    }
    bytes_append_str(out, "}");
}

static void put_range(const struct config_entry *entry, struct bytebuf *out)
{
    size_t len;
    const char *choices = config_choices(entry, &len);
    if (choices != NULL) {
        for (size_t i = 0; i < len; i++)
            choices[i] == '|' ? bytes_append_str(out, ", ") : bytes_append(out, &choices[i], 1);
        return;
    }
    if (entry->type == CONFIG_TEXT) {
        bytes_printf(out, "text, to %d bytes", CONFIG_TEXT_MAX);
        return;
    }
    struct config bound;
    memset(&bound, 0, sizeof bound);
    uint64_t *field = (uint64_t *)(void *)((char *)&bound + entry->offset);
    *field = entry->low;
    config_format(&bound, entry, out);
    bytes_append_str(out, " to ");
    *field = entry->high;
    config_format(&bound, entry, out);
}

void config_render_reference(struct bytebuf *out)
{
    size_t count;
    const struct config_entry *entries = config_entries(&count);
    bytes_append_str(out, "| key | default | range | what it does |\n|---|---|---|---|\n");
    for (size_t i = 0; i < count; i++) {
        const struct config_entry *entry = &entries[i];
        bytes_printf(out, "| `%s` | %s%s%s | ", entry->key, entry->initial[0] != '\0' ? "`" : "empty", entry->initial,
                     entry->initial[0] != '\0' ? "`" : "");
        put_range(entry, out);
        bytes_printf(out, " | %s |\n", config_purpose(entry));
    }
}

void config_render_help(struct bytebuf *out)
{
    size_t count;
    const struct config_entry *entries = config_entries(&count);
    for (size_t i = 0; i < count; i++) {
        char flag[64];
        snprintf(flag, sizeof flag, "%s", entries[i].key);
        for (char *at = flag; *at != '\0'; at++)
            if (*at == '.' || *at == '_')
                *at = '-';
        bytes_printf(out, "  --%-42s %s (%s)\n", flag, config_purpose(&entries[i]),
                     entries[i].initial[0] != '\0' ? entries[i].initial : "empty");
    }
}
