/* discovery_zookeeper_copy.h: the nodes last believed, in a file of this host's own, so that a process that starts while ZooKeeper is away
 * knows whom to ask.
 *
 * A copy and no more: what is damaged, too large, of another version or of another root is as if it were not there. Its text is a first
 * line "petrel nodes 1", root=, as_of_ms= and count= in lines, the nodes (discovery_zookeeper_node.h) with an empty line before each, and a
 * last line "end". */
#ifndef PETREL_DISCOVERY_DISCOVERY_ZOOKEEPER_COPY_H
#define PETREL_DISCOVERY_DISCOVERY_ZOOKEEPER_COPY_H

#include "base/bytes.h"
#include "discovery/discovery_zookeeper_roster.h"

#define DISCOVERY_ZOOKEEPER_COPY_NODES_MAX 8192       /* those that are more are left out */
#define DISCOVERY_ZOOKEEPER_COPY_BYTES_MAX (8U << 20) /* what so many nodes never reach */

struct discovery_zookeeper_copy {
    uint64_t as_of_ms; /* wall clock: when it was so */
    size_t count;
    struct discovery_node *nodes;
};

/* Appended. */
void discovery_zookeeper_copy_pack(const struct discovery_zookeeper_copy *copy, const char *root, struct bytebuf *out);
/* 0; PETREL_E_INVALID: not of this form, or of another root: *copy is empty. */
int discovery_zookeeper_copy_unpack(struct bytes in, const char *root, struct discovery_zookeeper_copy *copy);
/* What is believed as of that time. */
struct discovery_zookeeper_copy discovery_zookeeper_copy_of(const struct discovery_zookeeper_roster *roster,
                                                            uint64_t as_of_ms);
/* In how many ms the copy is to be written, where another was written age_ms ago; UINT64_MAX: there is no need. Not within interval_ms, and
 * what changed in nothing but loads a minute after: its time tells how old it is. */
uint64_t discovery_zookeeper_copy_due(const struct discovery_zookeeper_copy *copy,
                                      const struct discovery_zookeeper_copy *written, uint64_t age_ms,
                                      uint64_t interval_ms);
/* Of what unpack, of and read gave; zeroes are fine. */
void discovery_zookeeper_copy_reset(struct discovery_zookeeper_copy *copy);

/* Both block. Put the text in place of an older one, whole or not at all, mode 0600: 0, or an error, which is logged. */
int discovery_zookeeper_copy_write(const char *path, struct bytes text);
/* 0; PETREL_E_NOT_FOUND: there is none to be used, and *copy is empty. */
int discovery_zookeeper_copy_read(const char *path, const char *root, struct discovery_zookeeper_copy *copy);

#endif
