#include "base/err.h"
#include "base/log.h"
#include "petreld/options.h"
#include "petreld/privileges.h"
#include "petreld/server.h"

#include <signal.h>
#include <stdio.h>

static int print(void (*render)(struct bytebuf *out))
{
    struct bytebuf out = {0};
    render(&out);
    fwrite(out.ptr, 1, out.len, stdout);
    bytes_reset(&out);
    return fflush(stdout) == 0 ? 0 : 1;
}

static void render_version(struct bytebuf *out)
{
    bytes_append_str(out, "petreld " PETREL_VERSION "\n");
}

static void set_up_log(const struct config *config)
{
    enum log_level level = LOG_INFO;
    enum log_format format = LOG_TEXT;
    log_parse_level(config->log_level, &level);
    log_parse_format(config->log_format, &format);
    log_set_level(level);
    log_set_format(format);
}

static int run_server(const struct server_options *how)
{
    struct server *server;
    int err = server_new(&server, how);
    if (err == 0)
        err = server_run(server);
    server_free(&server);
    return err;
}

static int run(const struct options *options)
{
    set_up_log(&options->config);
    signal(SIGPIPE, SIG_IGN);
    struct server_options how = {.config = &options->config, .restored = options->restored, .signals = true};
    int err = privileges_drop(&options->config);
    if (err == 0)
        err = run_server(&how);
    if (err != 0)
        log_at(LOG_ERROR, "server", "ended by the error above", LOG_STR("status", err_name(err)));
    return err == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    struct options options;
    struct config_error error = {.where = "", .what = ""};
    if (options_parse(&options, argc, argv, &error) != 0) {
        fprintf(stderr, "petreld: %s: %s\n", error.where, error.what);
        return 2;
    }
    switch (options.action) {
    case OPTIONS_HELP:
        return print(options_render_help);
    case OPTIONS_VERSION:
        return print(render_version);
    case OPTIONS_REFERENCE:
        return print(config_render_reference);
    case OPTIONS_CHECK:
        puts("the configuration is right");
        return 0;
    case OPTIONS_RUN:
        break;
    }
    return run(&options);
}
