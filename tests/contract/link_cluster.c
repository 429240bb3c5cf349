#include "contract/link_cluster.h"

struct link_tcp_config link_cluster_message(void)
{
    return link_pair_config(1, 1700000000001, DISCOVERY_MESSAGE | DISCOVERY_API);
}

struct link_tcp_config link_cluster_session(void)
{
    return link_pair_config(2, 1700000000002, DISCOVERY_SESSION);
}

void link_cluster_await_up(struct link_cluster *cluster)
{
    for (size_t i = 0; i < LINK_PAIR_LOOPS; i++) {
        LINK_PAIR_IS(&cluster->session, i, peers_up, 1);
        LINK_PAIR_IS(&cluster->message, i, known, LINK_PAIR_LOOPS);
    }
}

void link_cluster_open_with(struct link_cluster *cluster, const struct link_tcp_config *message,
                            const struct link_tcp_config *session)
{
    link_pair_open(&cluster->message, message, 0);
    link_pair_open(&cluster->session, session, 0);
    link_pair_view(&cluster->session, (struct link_pair_node *[]){&cluster->message}, 1);
    link_cluster_await_up(cluster);
}

void link_cluster_open(struct link_cluster *cluster)
{
    const struct link_tcp_config message = link_cluster_message();
    const struct link_tcp_config session = link_cluster_session();
    link_cluster_open_with(cluster, &message, &session);
}

void link_cluster_close(struct link_cluster *cluster)
{
    link_pair_close(&cluster->session);
    link_pair_close(&cluster->message);
}

size_t link_cluster_owner(struct link_cluster *cluster)
{
    const uint64_t before = link_pair_look(&cluster->message, 0).calls;
    assert_int_equal(link_pair_enrol_status(&cluster->session, 0, "who"), PETREL_E_UNREGISTERED);
    return link_pair_look(&cluster->message, 0).calls > before ? 0 : 1;
}
