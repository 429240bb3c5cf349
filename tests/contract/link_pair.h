/* link_pair.h: nodes of a cluster in one test process, linked over loopback sockets: each has two loops on threads of their own,
 * with roles that answer and count. What happens on the loops is read as a copy, taken on the loop. */
#ifndef PETREL_TESTS_CONTRACT_LINK_PAIR_H
#define PETREL_TESTS_CONTRACT_LINK_PAIR_H

#include "base/object.h"
#include "contract/loops.h"
#include "discovery/link_tcp.h"
#include "unit/tls_files.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define LINK_PAIR_LOOPS 2
#define LINK_PAIR_HELD 8
#define LINK_PAIR_SECRET "a secret of all nodes"
#define LINK_PAIR_WAIT_MS 60000

/* What one loop's roles and link have come to. */
struct link_pair_counts {
    uint64_t peers, peers_up, called_by, known, under_way, dropped, refused; /* as link_tcp_stats */
    uint64_t secure, plain;                                                  /* likewise */
    uint64_t calls;                                                          /* that came to its roles */
    uint64_t held;                                                           /* of them, unanswered */
    uint64_t topics;                                                         /* bytes of TOPIC_DELIVERs */
    uint64_t delivers, evicts, apps, dirty;                                  /* apps: the version */
    uint64_t misrouted;                                                      /* delivers for another loop or start */
    uint64_t disordered;
    uint64_t last_seq;
    uint64_t message_bytes;
};

struct link_pair_node;

struct link_pair_role {
    struct link_pair_node *node;
    struct link *link;
    bool hold; /* calls are kept instead of answered */
    struct link_call *held[LINK_PAIR_HELD];
    struct link_pair_counts counts;
    char user[ROUTE_USER_MAX + 1]; /* of the last call */
};

/* What a node shows the others, and whom it trusts. */
struct link_pair_ends {
    struct tls_server *server;
    struct tls_client *client;
};

struct link_pair_node {
    uint32_t number;
    char name[DISCOVERY_NAME_MAX + 1];
    enum discovery_tls tls;
    uint64_t incarnation;
    uint32_t roles;
    uint16_t port;
    struct loops loops;
    struct link_pair_ends ends; /* its own, if it was opened with any */
    struct link_tcp *set;
    struct link_pair_role at[LINK_PAIR_LOOPS];
};

/* A question asked on a loop of a node, and its answer, copied. */
struct link_pair_ask {
    struct link_call call;
    struct link *from;
    bool at; /* of the session role of (node, loop) */
    uint32_t node;
    uint16_t loop;
    int result;
    int status;
    uint32_t answers;
    uint32_t page_count;
    uint64_t page_bytes;
    struct position position;
    uint32_t next_slot;
    char records[16];
    struct loops_tally done;
};

/* A certificate for these names (as subjectAltName has them), by ca, for one who trusts `trusted`'s authority. */
struct link_pair_ends link_pair_ends_of(struct tls_files *ca, const char *names, const struct tls_files *trusted);
/* The same of files that are there. */
struct link_pair_ends link_pair_ends_in(const char *cert, const char *key, const char *ca_file);
/* Group set-up and tear-down: all nodes that are opened in between must speak TLS, but for those opened with ends of their own. */
int link_pair_secure(void **state);
int link_pair_plain(void **state);
/* All cases without TLS and with it; how many failed. */
#define LINK_PAIR_RUN(cases)                                                                                           \
    (cmocka_run_group_tests_name("plain", (cases), NULL, NULL) +                                                       \
     cmocka_run_group_tests_name("TLS", (cases), link_pair_secure, link_pair_plain))

/* Quick heartbeats and backoffs for tests. */
struct link_tcp_config link_pair_config(uint32_t number, uint64_t incarnation, uint32_t roles);
/* Start it; port 0: the kernel chooses. Both loops listen on it. */
void link_pair_open(struct link_pair_node *node, const struct link_tcp_config *config, uint16_t port);
/* The same with ends of its own, which it takes over. */
void link_pair_open_with(struct link_pair_node *node, const struct link_tcp_config *config, struct link_pair_ends ends);
/* New connections have these, which it takes over. */
void link_pair_change(struct link_pair_node *node, struct link_pair_ends ends);
/* How a node stands in the view of those that reach it at another port. */
struct link_pair_node link_pair_behind(const struct link_pair_node *node, uint16_t port);
/* Tell a node of these others. */
void link_pair_view(struct link_pair_node *node, struct link_pair_node *const *others, size_t count);
/* Close its links, one by one, and stop its loops. */
void link_pair_close(struct link_pair_node *node);
/* Close the links alone. */
void link_pair_close_links(struct link_pair_node *node);

struct link_pair_counts link_pair_look(struct link_pair_node *node, size_t loop);
/* The calls that came to its roles, of all loops. */
uint64_t link_pair_calls(struct link_pair_node *node);
/* Wait until that count is, or is at least, so much. */
bool link_pair_wait(struct link_pair_node *node, size_t loop, size_t field, uint64_t value, bool exactly);
#define LINK_PAIR_IS(node, loop, field, value)                                                                         \
    assert_true(link_pair_wait((node), (loop), offsetof(struct link_pair_counts, field), (value), true))
#define LINK_PAIR_REACHES(node, loop, field, value)                                                                    \
    assert_true(link_pair_wait((node), (loop), offsetof(struct link_pair_counts, field), (value), false))

/* Ask on that loop; returns link_ask()'s. An accepted one is ended by link_pair_answer(), which waits for the answer. */
int link_pair_ask(struct link_pair_node *node, size_t loop, struct link_pair_ask *ask);
int link_pair_answer(struct link_pair_ask *ask);
/* An ENROL of that user. */
struct link_pair_ask link_pair_enrol(const char *user);
/* Ask that, which must be accepted, and wait: what it came to. */
int link_pair_enrol_status(struct link_pair_node *node, size_t loop, const char *user);
/* Hold calls from now on, or answer those that are held and hold no more. */
void link_pair_hold(struct link_pair_node *node, size_t loop);
void link_pair_release(struct link_pair_node *node, size_t loop);
/* Tell count DELIVERs, the first with this seq, from a loop of one node to a loop of another; returns how many were taken. */
uint32_t link_pair_tell(struct link_pair_node *from, size_t loop, const struct link_pair_node *to, size_t to_loop,
                        uint64_t seq, uint32_t count, struct buf *message);
/* Tell all loops of that node one TOPIC_DELIVER; returns link_tell_node()'s. Its length is in *len. */
int link_pair_tell_node(struct link_pair_node *from, size_t loop, const struct link_pair_node *to, uint64_t *len);

#endif
