#include "session/session_listen.h"

#include "session/session_conn.h"
#include "session/session_impl.h"

/* A turn's part of the time that a bind may take: a send to a session passes through more than one. */
#define LAG_PART 2U
/* What a connection on a long line needs to be kept busy. */
#define SEND_BUFFER_MIN 65536U

static uint32_t listeners_for(int backlog)
{
    const uint32_t each = listener_backlog_max();
    const uint32_t count = backlog > 0 ? ((uint32_t)backlog + each - 1) / each : 1;
    return count < SESSION_LISTENERS_MAX ? count : SESSION_LISTENERS_MAX;
}

int session_listen_open(struct session_role *role, uint16_t *port)
{
    struct session_listeners *listeners = &role->listeners;
    struct listener_config config = {
        .host = role->config.host,
        .port = role->config.port,
        .backlog = session_admission_backlog(role),
        .unsent_bytes = role->config.high_water_bytes,
        .send_buffer_bytes =
            role->config.high_water_bytes < SEND_BUFFER_MIN ? SEND_BUFFER_MIN : role->config.high_water_bytes,
        .crowd = true,
        .lag_ms = role->config.bind_target_ms / LAG_PART,
    };
    const uint32_t count = listeners_for(config.backlog);
    while (listeners->count < count) {
        struct listener **next = &listeners->all[listeners->count];
        const int rc = listener_open(next, role->loop, &config, session_conn_accept, role);
        if (rc != 0) {
            session_listen_close(role);
            return rc;
        }
        listeners->count++;
        config.port = listener_port(*next); /* if the kernel chose it, it is the others' as well */
    }
    *port = config.port;
    return 0;
}

void session_listen_pause(struct session_role *role)
{
    for (uint32_t i = 0; i < role->listeners.count; i++)
        listener_pause(role->listeners.all[i]);
}

void session_listen_resume(struct session_role *role)
{
    for (uint32_t i = 0; i < role->listeners.count; i++)
        listener_resume(role->listeners.all[i]);
}

void session_listen_close(struct session_role *role)
{
    for (uint32_t i = 0; i < role->listeners.count; i++)
        listener_close(&role->listeners.all[i]);
    role->listeners.count = 0;
}
