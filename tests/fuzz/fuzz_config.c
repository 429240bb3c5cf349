/* petreld's configuration: whatever the file, the parser answers, and what it accepted writes and reads back the same. */
#include "base/object.h"
#include "fuzz/fuzz.h"
#include "petreld/config.h"

/* What a config says, as a file. */
static void write_out(const struct config *config, struct bytebuf *out)
{
    size_t count;
    const struct config_entry *entries = config_entries(&count);
    char section[32] = "";
    for (size_t i = 0; i < count; i++) {
        const char *dot = strchr(entries[i].key, '.');
        size_t len = dot != NULL ? (size_t)(dot - entries[i].key) : 0;
        if (strlen(section) != len || memcmp(section, entries[i].key, len) != 0) {
            bytes_printf(out, "[%.*s]\n", (int)len, entries[i].key);
            memcpy(section, entries[i].key, len);
            section[len] = '\0';
        }
        bytes_printf(out, "%s = ", entries[i].key + (dot != NULL ? len + 1 : 0));
        config_format(config, &entries[i], out);
        bytes_append_str(out, "\n");
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct config config;
    struct config_error error = {.where = "", .what = ""};
    config_defaults(&config);
    if (config_read_bytes(&config, bytes_of(data, size), "fuzz.conf", &error) != 0) {
        petrel_assert(error.where[0] != '\0' && error.what[0] != '\0');
        return 0;
    }
    (void)config_check(&config, &error);
    struct bytebuf first = {0}, second = {0}, json = {0};
    write_out(&config, &first);
    config_render_json(&config, &json);
    petrel_assert(json.len > 2 && json.ptr[0] == '{' && json.ptr[json.len - 1] == '}');
    struct config again;
    config_defaults(&again);
    /* Texts may hold what an INI line can't carry back (a "; comment"): then only the numbers are compared. */
    if (memchr(data, ';', size) == NULL && memchr(data, '"', size) == NULL &&
        config_read_bytes(&again, bytes_view(&first), "again.conf", &error) == 0) {
        write_out(&again, &second);
        petrel_assert(bytes_equal(bytes_view(&first), bytes_view(&second)));
    }
    bytes_reset(&first);
    bytes_reset(&second);
    bytes_reset(&json);
    return 0;
}
