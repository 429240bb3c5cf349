/* As many loops as cores, or as sessions need: where the hard limit of descriptors is short of session.max_sessions, each loop gets a
 * table of descriptors of its own, with the whole limit to itself.
 *
 * The send API is served by no more loops than there are cores: its connections are few and busy. Spread over many loops each would have
 * a request at a time, and every message would cost wake-ups of its own where one loop's requests, answers and Delivers travel together. */
#include "petreld/server_impl.h"

#include "base/log.h"
#include "loop/descriptors.h"

#include <unistd.h>

/* Of each table: what is no session. Backends' connections, other nodes', the stores' files, what wakes the loops. */
#define SPARE 1024
#define LOOPS_MAX 256

static uint64_t divide_up(uint64_t whole, uint64_t by)
{
    return (whole + by - 1) / by;
}

void server_size(struct server *server)
{
    const struct config *config = server->config;
    const uint64_t limit = descriptors_raise();
    const uint64_t room = limit > 2 * SPARE ? limit - SPARE : limit / 2 + 1;
    const uint64_t sessions = (server->roles & DISCOVERY_SESSION) != 0 ? config->session_max_sessions : 0;
    const long cores = sysconf(_SC_NPROCESSORS_ONLN);
    uint64_t loops = config->loops;
    if (loops == 0) {
        loops = divide_up(sessions, room);
        loops = loops > (uint64_t)cores ? loops : (uint64_t)(cores > 0 ? cores : 1);
        loops = loops < LOOPS_MAX ? loops : LOOPS_MAX;
    }
    server->loops_count = (size_t)loops;
    server->crowds = cores > 0 && loops > (uint64_t)cores ? turnstile_new((unsigned)cores) : NULL;
    server->broadcasts = turnstile_new(cores > 2 ? (unsigned)cores / 2 : 1);
    server->api_loops = cores > 0 && (size_t)cores < server->loops_count ? (size_t)cores : server->loops_count;
    server->own_descriptors = sessions > room && loops > 1;
    const uint64_t fit = server->own_descriptors ? room * loops : room;
    log_at(LOG_DEBUG, "server", "descriptors", LOG_NUM("limit", limit), LOG_NUM("loops", loops));
    if (server->own_descriptors)
        log_at(LOG_INFO, "server", "the hard limit of descriptors is short: each loop has a table of its own",
               LOG_NUM("limit", limit), LOG_NUM("loops", loops), LOG_NUM("sessions", sessions));
    if (sessions > fit)
        log_at(LOG_WARN, "server",
               "fewer sessions fit than session.max_sessions says: raise the limit of descriptors, or set loops to 0",
               LOG_NUM("limit", limit), LOG_NUM("loops", loops), LOG_NUM("fit", fit), LOG_NUM("sessions", sessions));
}
