/* metrics.h: counters, gauges and histograms, one shard per loop, rendered as Prometheus text.
 *
 * A shard is written by one thread with relaxed stores and read by any. Names, kinds and help texts stand in one table
 * below; two servers in one process have a registry each.
 *
 * To add a metric: add a line to the table; add to it with metrics_add(shard, METRIC_..., n). */
#ifndef PETREL_BASE_METRICS_H
#define PETREL_BASE_METRICS_H

#include "base/bytes.h"

#define METRICS_TABLE(X)                                                                                               \
    X(SESSIONS, GAUGE, "petrel_sessions", "Live sessions")                                                             \
    X(CONNECTIONS, GAUGE, "petrel_connections", "Open sockets on the session port, authenticated or not")              \
    X(WEBSOCKETS, COUNTER, "petrel_websockets_total", "Connections on the session port that became a WebSocket")       \
    X(CONNECTS, COUNTER, "petrel_connects_total", "Sessions accepted")                                                 \
    X(CONNECTS_REFUSED, COUNTER, "petrel_connects_refused_total", "CONNECTs answered with an error code")              \
    X(OVERLOADED, COUNTER, "petrel_overloaded_total", "Connections refused with OVERLOADED, or closed for it")         \
    X(ADDRESS_REFUSED, COUNTER, "petrel_address_refused_total", "Connections over the connects of their address")      \
    X(APP_CONNECTS_REFUSED, COUNTER, "petrel_app_connects_refused_total", "CONNECTs over the limit of their app")      \
    X(TOKENS_BAD, COUNTER, "petrel_tokens_bad_total", "Tokens that were none, or of no app")                           \
    X(TOO_FAST, COUNTER, "petrel_too_fast_total", "Devices closed for sending more than they may")                     \
    X(ADMISSION_HELD, GAUGE, "petrel_admission_held", "Loops that leave new connections in the backlog")               \
    X(BIND_WINDOW, GAUGE, "petrel_bind_window", "Binds that may be under way at a time")                               \
    X(MEMORY_BYTES, GAUGE, "petrel_memory_bytes", "Resident memory of the process")                                    \
    X(MEMORY_SHORT, GAUGE, "petrel_memory_short", "1 while memory is above memory.high_water: connects are refused")   \
    X(TOKENS_PUBLIC, COUNTER, "petrel_tokens_public_total", "Tokens of ES256 and RS256, which are dear to check")      \
    X(RESUME_NEW, COUNTER, "petrel_resume_new_total", "Sessions that began without a position")                        \
    X(RESUME_RESUMED, COUNTER, "petrel_resume_resumed_total", "Sessions that resumed without a loss")                  \
    X(RESUME_GAP, COUNTER, "petrel_resume_gap_total", "Sessions that were told a gap on connecting")                   \
    X(REPLACED, COUNTER, "petrel_sessions_replaced_total", "Sessions closed for a newer one of the same device")       \
    X(PUSHES, COUNTER, "petrel_pushes_total", "PUSH frames written")                                                   \
    X(ACKS, COUNTER, "petrel_acks_total", "ACK frames read")                                                           \
    X(GAPS, COUNTER, "petrel_gaps_total", "GAP frames written in mid-session")                                         \
    X(BEHIND, COUNTER, "petrel_sessions_behind_total", "Times a session fell behind and refilled from the log")        \
    X(HEARTBEAT_TIMEOUTS, COUNTER, "petrel_heartbeat_timeouts_total", "Sessions closed because nothing was heard")     \
    X(PROTOCOL_ERRORS, COUNTER, "petrel_protocol_errors_total", "Connections closed for breaking the protocol")        \
    X(CHECKS, COUNTER, "petrel_checks_total", "Position and route checks asked")                                       \
    X(CHECKS_FAILED, COUNTER, "petrel_checks_failed_total", "Checks answered other than SAME")                         \
    X(SENDS, COUNTER, "petrel_sends_total", "Messages accepted (2xx)")                                                 \
    X(SENDS_DUPLICATE, COUNTER, "petrel_sends_duplicate_total", "Sends answered from an earlier one of the same key")  \
    X(SENDS_REFUSED, COUNTER, "petrel_sends_refused_total", "Sends answered with an error")                            \
    X(DELIVERS, COUNTER, "petrel_delivers_total", "Deliver hints sent to session loops")                               \
    X(DELIVERS_DROPPED, COUNTER, "petrel_delivers_dropped_total", "Deliver hints dropped: the link became dirty")      \
    X(HTTP_REQUESTS, COUNTER, "petrel_http_requests_total", "HTTP requests answered")                                  \
    X(HTTP_ERRORS_4XX, COUNTER, "petrel_http_errors_4xx_total", "HTTP requests answered 4xx")                          \
    X(HTTP_ERRORS_5XX, COUNTER, "petrel_http_errors_5xx_total", "HTTP requests answered 5xx")                          \
    X(API_RATE_REFUSED, COUNTER, "petrel_api_rate_refused_total", "Requests and lines over a limit of app or key")     \
    X(HTTP_CONNECTIONS, GAUGE, "petrel_http_connections", "Open sockets on the API listeners")                         \
    X(STORE_COMMITS, COUNTER, "petrel_store_commits_total", "Durable group commits")                                   \
    X(STORE_OPERATIONS, COUNTER, "petrel_store_operations_total", "Store operations carried out")                      \
    X(STORE_ERRORS, COUNTER, "petrel_store_errors_total", "Store operations or commits that failed")                   \
    X(STORE_FULL, GAUGE, "petrel_store_full", "Above 0 while the store, or a loop's Redis, refuses appends: full")     \
    X(STORE_USERS, GAUGE, "petrel_store_users_in_memory", "User records held in memory")                               \
    X(STORE_JOURNAL_BYTES, GAUGE, "petrel_store_journal_bytes", "Bytes of journal not yet checkpointed")               \
    X(STORE_CHECKPOINT_BYTES, GAUGE, "petrel_store_checkpoint_bytes",                                                  \
      "Bytes of journal that the checkpoint under way takes in; 0: none is")                                           \
    X(STORE_COMMIT_SECONDS, HISTOGRAM, "petrel_store_commit_seconds", "Time of a group commit")                        \
    X(REDIS_REQUESTS, COUNTER, "petrel_redis_requests_total", "Requests written to Redis, repeated ones included")     \
    X(REDIS_RETRIES, COUNTER, "petrel_redis_retries_total", "Times a request waited to be tried again")                \
    X(REDIS_BROKEN, COUNTER, "petrel_redis_connections_broken_total", "Connections to Redis that broke in service")    \
    X(REDIS_REFRESHES, COUNTER, "petrel_redis_map_refreshes_total", "Views of the Redis Cluster taken over")           \
    X(SEND_SECONDS, HISTOGRAM, "petrel_send_seconds", "Time from a send's last byte read to its answer")               \
    X(STORE_DOWN, GAUGE, "petrel_store_down", "Loops of the node that reach no server of the store")                   \
    X(REDIS_UNSAFE, GAUGE, "petrel_redis_unsafe", "Redis servers, by loop, that may forget: no AOF, or eviction")      \
    X(REGISTRY_DOWN, GAUGE, "petrel_registry_down", "1 while the registry's database does not answer")                 \
    X(DISCOVERY_DOWN, GAUGE, "petrel_discovery_down", "1 while ZooKeeper is away: the last answer is served")          \
    X(LINK_PEERS, GAUGE, "petrel_link_peers", "Nodes that this one connects to")                                       \
    X(LINK_PEERS_UP, GAUGE, "petrel_link_peers_up", "Of those, connected")                                             \
    X(LINK_CALLERS, GAUGE, "petrel_link_callers", "Loops of other nodes connected to this one")                        \
    X(LINK_PLAIN, GAUGE, "petrel_link_plain", "Links to and from other nodes that do not speak TLS")                   \
    X(LINK_REFUSED, COUNTER, "petrel_link_refused_total", "Connections of strangers closed on the peer port")          \
    X(DRAINING, GAUGE, "petrel_draining_loops", "Loops that an operator has draining")                                 \
    X(MOVED, COUNTER, "petrel_sessions_moved_total", "Sessions told to go to another node")                            \
    X(ROUTES_DEAD, COUNTER, "petrel_routes_dead_total", "Routes of processes that are gone, met and unbound")          \
    X(TLS_FULL, COUNTER, "petrel_tls_handshakes_full_total",                                                           \
      "TLS handshakes of devices, backends and nodes, from the beginning")                                             \
    X(TLS_RESUMED, COUNTER, "petrel_tls_handshakes_resumed_total",                                                     \
      "TLS handshakes of devices, backends and nodes, resumed by a ticket")                                            \
    X(TLS_FAILED, COUNTER, "petrel_tls_handshakes_failed_total", "TLS handshakes that came to nothing")                \
    X(TLS_REFUSED, COUNTER, "petrel_tls_refused_total",                                                                \
      "Connections refused as tls.max_openssl were held, or for waiting too long")                                     \
    X(TLS_HANDSHAKING, GAUGE, "petrel_tls_handshaking", "TLS handshakes under way")                                    \
    X(TLS_WAITING, GAUGE, "petrel_tls_waiting", "Connections that wait for their TLS handshake to begin")              \
    X(TLS_OPENSSL, GAUGE, "petrel_tls_openssl", "Connections that OpenSSL keeps: TLS 1.2, or not compact")             \
    X(TLS_COMPACT, GAUGE, "petrel_tls_compact", "Connections of TLS 1.3 without OpenSSL's part")                       \
    X(LOOP_STALLS, COUNTER, "petrel_loop_stalls_total", "Turns of a loop that took over a second")

enum metric {
#define METRICS_ENUM(id, kind, name, help) METRIC_##id,
    METRICS_TABLE(METRICS_ENUM)
#undef METRICS_ENUM
        METRIC_COUNT
};

struct metrics;       /* one per server */
struct metrics_shard; /* one per writing thread */

struct metrics *metrics_new(size_t shards);
void metrics_free(struct metrics **metrics);
/* index < shards. Lives as long as the registry. */
struct metrics_shard *metrics_shard(struct metrics *metrics, size_t index);

/* Owner thread of the shard only. A NULL shard is allowed and counts nothing. */
void metrics_add(struct metrics_shard *shard, enum metric metric, int64_t delta);
void metrics_set(struct metrics_shard *shard, enum metric metric, int64_t value);
/* A duration in microseconds; buckets from 100 us to 10 s, 1-2-5. */
void metrics_observe_us(struct metrics_shard *shard, enum metric metric, uint64_t us);

/* The sum over shards. Any thread. */
int64_t metrics_get(const struct metrics *metrics, enum metric metric);
/* Prometheus text exposition format 0.0.4, appended. Any thread. */
void metrics_render(const struct metrics *metrics, struct bytebuf *out);

#endif
