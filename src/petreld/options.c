#include "petreld/options.h"

#include "base/err.h"

#include <stdio.h>

static int refuse(struct config_error *error, const char *where, const char *what)
{
    snprintf(error->where, sizeof error->where, "%.200s", where);
    snprintf(error->what, sizeof error->what, "%s", what);
    return PETREL_E_INVALID;
}

/* "--session-port" is the key session.port: dots and underscores are written as hyphens. */
static const struct config_entry *entry_of(const char *flag, size_t len)
{
    size_t count;
    const struct config_entry *entries = config_entries(&count);
    for (size_t i = 0; i < count; i++) {
        const char *key = entries[i].key;
        size_t at = 0;
        while (at < len && key[at] != '\0' &&
               (key[at] == flag[at] || (flag[at] == '-' && strchr("._", key[at]) != NULL)))
            at++;
        if (at == len && key[at] == '\0')
            return &entries[i];
    }
    return NULL;
}

/* One pass over the arguments: the first takes --config and what needs no value, the second the keys, so that a flag wins over the
 * file wherever it stands. */
static int pass(struct options *options, int argc, char **argv, bool keys, struct config_error *error)
{
    static const struct {
        const char *flag;
        enum options_action action;
    } actions[] = {
        {"--check-config", OPTIONS_CHECK}, {"--reference", OPTIONS_REFERENCE},
        {"--help", OPTIONS_HELP},          {"-h", OPTIONS_HELP},
        {"--version", OPTIONS_VERSION},    {"-V", OPTIONS_VERSION},
    };
    for (int i = 1; i < argc; i++) {
        const char *arg = argv[i];
        bool known = false;
        for (size_t a = 0; a < sizeof actions / sizeof actions[0]; a++) {
            if (strcmp(arg, actions[a].flag) == 0) {
                options->action = actions[a].action;
                known = true;
            }
        }
        if (strcmp(arg, "--restored") == 0)
            known = options->restored = true;
        if (known)
            continue;
        if (strncmp(arg, "--", 2) != 0 && strcmp(arg, "-c") != 0)
            return refuse(error, arg, "is no option; petreld takes options only, see petreld --help");
        const char *equals = strchr(arg, '=');
        size_t len = equals != NULL ? (size_t)(equals - arg) : strlen(arg);
        bool is_file = strcmp(arg, "-c") == 0 || (len == 8 && strncmp(arg, "--config", 8) == 0);
        const struct config_entry *entry = is_file ? NULL : entry_of(arg + 2, len - 2);
        if (!is_file && entry == NULL)
            return refuse(error, arg, "no such option; petreld --help lists all");
        const char *value = equals != NULL ? equals + 1 : argv[++i];
        if (value == NULL)
            return refuse(error, arg, "needs a value");
        int err = 0;
        if (is_file && !keys) {
            err = config_read_file(&options->config, value, error);
        } else if (!is_file && keys) {
            snprintf(error->where, sizeof error->where, "%.*s", (int)(len < 100 ? len : 100), arg);
            err = config_set(&options->config, entry->key, value, error);
        }
        if (err != 0)
            return err;
    }
    return 0;
}

int options_parse(struct options *options, int argc, char **argv, struct config_error *error)
{
    *options = (struct options){.action = OPTIONS_RUN};
    config_defaults(&options->config);
    int err = pass(options, argc, argv, false, error);
    if (err == 0)
        err = pass(options, argc, argv, true, error);
    return err == 0 ? config_check(&options->config, error) : err;
}

void options_render_help(struct bytebuf *out)
{
    bytes_append_str(out, "petreld: the Petrel push messaging server\n"
                          "\n"
                          "usage: petreld [--config FILE] [--KEY VALUE ...]\n"
                          "\n"
                          "  -c, --config FILE    read this file first (INI: [section], key = value, # comment)\n"
                          "      --check-config   say whether the configuration is right, then exit (0 or 2)\n"
                          "      --reference      print the reference of all keys as Markdown\n"
                          "      --restored       the data directory was put back from a copy: begin a new epoch\n"
                          "  -h, --help           this text\n"
                          "  -V, --version        the version\n"
                          "\n"
                          "Every key can be given as an option; options win over the file. Durations take ms s m h d, "
                          "bytes B KiB MiB GiB.\n"
                          "\n");
    config_render_help(out);
    bytes_append_str(
        out,
        "\n"
        "signals: SIGTERM, SIGINT shut down in order (twice: at once); SIGHUP opens the log file again\n"
        "exit: 0 after an orderly end; 1 when it could not start or go on; 2 when options or configuration are wrong\n"
        "example: petreld --data-dir ./data --session-port 7400 --log-level debug\n");
}
