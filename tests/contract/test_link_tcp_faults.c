/* link_tcp when the network or a machine fails: links that hang, are cut, or lead to a process that another one has followed; who is
 * known to be alive or dead by them; and nodes of the API alone, which matter to no position. */
#include "contract/link_pair.h"
#include "lib/relay.h"
#include "lib/until.h"

#define FIRST_MS 1700000000001 /* when the first process of a node started */
#define SOON_MS 400            /* a silence that is waited out */
#define NEVER_MS 100000        /* one that is not: what happens earlier has another reason */

static struct link_tcp_config config_of(uint32_t number, uint32_t roles, uint32_t silence_ms)
{
    struct link_tcp_config config = link_pair_config(number, FIRST_MS, roles);
    config.heartbeat_ms = 50;
    config.silence_ms = silence_ms;
    return config;
}

static void open_node(struct link_pair_node *node, uint32_t number, uint32_t roles, uint32_t silence_ms)
{
    const struct link_tcp_config config = config_of(number, roles, silence_ms);
    link_pair_open(node, &config, 0);
}

static struct relay *relay_to(const struct link_pair_node *node)
{
    struct relay *relay = relay_open(node->port);
    assert_non_null(relay);
    return relay;
}

/* ---- who is alive ---- */

struct sight {
    struct link *link;
    struct route route;
    bool knows, outlived, reaches;
};

static void do_see(void *ctx)
{
    struct sight *sight = ctx;
    sight->knows = link_knows(sight->link, &sight->route);
    sight->outlived = link_outlived(sight->link, &sight->route);
    sight->reaches = link_tcp_reaches(sight->link, sight->route.node, sight->route.incarnation);
}

static struct sight see(struct link_pair_node *from, size_t loop, uint32_t number, uint64_t incarnation, uint16_t at)
{
    struct sight sight = {
        .link = from->at[loop].link,
        .route = {.node = number, .incarnation = incarnation, .loop = at, .slot = 3, .generation = 1}};
    loops_run_on(&from->loops, loop, do_see, &sight);
    return sight;
}

static void a_process_is_known_by_its_links(void **state)
{
    (void)state;
    struct link_pair_node message, session;
    open_node(&message, 1, DISCOVERY_MESSAGE, NEVER_MS);
    open_node(&session, 2, DISCOVERY_SESSION, NEVER_MS);
    assert_false(see(&message, 0, 2, FIRST_MS, 0).knows);
    link_pair_view(&session, (struct link_pair_node *[]){&message}, 1);
    for (size_t i = 0; i < LINK_PAIR_LOOPS; i++) {
        LINK_PAIR_IS(&message, i, known, LINK_PAIR_LOOPS);
        LINK_PAIR_IS(&session, i, peers_up, 1);
    }
    for (size_t i = 0; i < LINK_PAIR_LOOPS; i++) {
        for (uint16_t at = 0; at < LINK_PAIR_LOOPS; at++) {
            const struct sight now = see(&message, i, 2, FIRST_MS, at);
            const struct sight before = see(&message, i, 2, FIRST_MS - 1, at);
            const struct sight later = see(&message, i, 2, FIRST_MS + 1, at);
            assert_true(now.knows && now.reaches && !now.outlived);
            assert_true(!before.knows && !before.reaches && before.outlived);
            assert_true(!later.knows && !later.reaches && !later.outlived);
        }
        const struct sight beyond = see(&message, i, 2, FIRST_MS, LINK_PAIR_LOOPS);
        assert_true(!beyond.knows && !beyond.outlived && beyond.reaches);
        const struct sight nobody = see(&message, i, 3, FIRST_MS, 0);
        assert_true(!nobody.knows && !nobody.outlived && !nobody.reaches);
        const struct sight itself = see(&message, i, 1, FIRST_MS, 1);
        assert_true(itself.knows && !itself.outlived);
        const struct sight earlier_self = see(&message, i, 1, FIRST_MS - 1, 1);
        assert_true(!earlier_self.knows && earlier_self.outlived);
        /* Who called knows whom it called. */
        assert_true(see(&session, i, 1, FIRST_MS, 0).reaches);
        assert_false(see(&session, i, 1, FIRST_MS + 1, 0).reaches);
    }
    link_pair_close(&session);
    for (size_t i = 0; i < LINK_PAIR_LOOPS; i++) {
        LINK_PAIR_IS(&message, i, known, 0);
        const struct sight gone = see(&message, i, 2, FIRST_MS, 0);
        assert_true(!gone.knows && !gone.outlived && !gone.reaches);
    }
    link_pair_close(&message);
}

/* ---- links that hang or are cut ---- */

static void a_hanging_link_ends_its_calls_and_others_serve(void **state)
{
    (void)state;
    struct link_pair_node message, other, session;
    open_node(&message, 1, DISCOVERY_MESSAGE, SOON_MS);
    open_node(&other, 3, DISCOVERY_MESSAGE, SOON_MS);
    open_node(&session, 2, DISCOVERY_SESSION, SOON_MS);
    struct relay *relay = relay_to(&message);
    struct link_pair_node far = link_pair_behind(&message, relay_port(relay));
    link_pair_view(&session, (struct link_pair_node *[]){&far}, 1);
    LINK_PAIR_IS(&session, 0, peers_up, 1);
    for (size_t i = 0; i < LINK_PAIR_LOOPS; i++)
        link_pair_hold(&message, i);
    struct link_pair_ask ask = link_pair_enrol("ada");
    assert_int_equal(link_pair_ask(&session, 0, &ask), 0);
    relay_hold(relay, true);
    assert_int_equal(link_pair_answer(&ask), PETREL_E_UNAVAILABLE); /* long before its own deadline */
    for (size_t i = 0; i < LINK_PAIR_LOOPS; i++)
        LINK_PAIR_IS(&message, i, known, 0); /* the other side has found out, too */
    assert_int_equal(link_pair_enrol_status(&session, 0, "ada"), PETREL_E_UNAVAILABLE);

    link_pair_view(&session, (struct link_pair_node *[]){&far, &other}, 2);
    LINK_PAIR_IS(&session, 0, peers_up, 1);
    for (int i = 0; i < 8; i++)
        assert_int_equal(link_pair_enrol_status(&session, 0, (const char[]){(char)('a' + i), '\0'}),
                         PETREL_E_UNREGISTERED);
    assert_int_equal(link_pair_calls(&other), 8);

    const uint64_t dirty = link_pair_look(&session, 0).dirty;
    for (size_t i = 0; i < LINK_PAIR_LOOPS; i++)
        link_pair_release(&message, i);
    relay_hold(relay, false);
    LINK_PAIR_IS(&session, 0, peers_up, 2);
    LINK_PAIR_REACHES(&session, 0, dirty, dirty + 1); /* what was told meanwhile is looked for */
    assert_int_equal(ask.answers, 1);
    link_pair_close(&session);
    link_pair_close(&other);
    link_pair_close(&message);
    relay_close(relay);
}

static void tells_over_a_cut_link_are_dropped_and_its_healing_is_a_reason_to_look(void **state)
{
    (void)state;
    struct link_pair_node message, session;
    open_node(&message, 1, DISCOVERY_MESSAGE, NEVER_MS);
    open_node(&session, 2, DISCOVERY_SESSION, NEVER_MS);
    struct relay *relay = relay_to(&message);
    struct link_pair_node far = link_pair_behind(&message, relay_port(relay));
    link_pair_view(&session, (struct link_pair_node *[]){&far}, 1);
    for (size_t i = 0; i < LINK_PAIR_LOOPS; i++) {
        LINK_PAIR_IS(&session, i, dirty, 1);
        LINK_PAIR_IS(&message, i, known, LINK_PAIR_LOOPS);
    }
    assert_int_equal(link_pair_tell(&message, 0, &session, 1, 1, 5, NULL), 5);
    LINK_PAIR_IS(&session, 1, delivers, 5);
    relay_close(relay); /* both sides see an end */
    for (size_t i = 0; i < LINK_PAIR_LOOPS; i++) {
        LINK_PAIR_IS(&message, i, known, 0);
        LINK_PAIR_IS(&session, i, peers_up, 0);
    }
    assert_int_equal(link_pair_tell(&message, 0, &session, 1, 6, 5, NULL), 0);
    relay = relay_to(&message);
    far = link_pair_behind(&message, relay_port(relay));
    link_pair_view(&session, (struct link_pair_node *[]){&far}, 1);
    for (size_t i = 0; i < LINK_PAIR_LOOPS; i++) {
        LINK_PAIR_IS(&session, i, dirty, 2);
        LINK_PAIR_IS(&message, i, known, LINK_PAIR_LOOPS);
    }
    assert_int_equal(link_pair_tell(&message, 0, &session, 1, 11, 5, NULL), 5);
    LINK_PAIR_IS(&session, 1, delivers, 10);
    assert_int_equal(link_pair_look(&session, 1).disordered, 0);
    link_pair_close(&session);
    link_pair_close(&message);
    relay_close(relay);
}

/* ---- processes that another has followed ---- */

static void who_is_called_is_followed_at_once_when_discovery_says_so(void **state)
{
    (void)state;
    struct link_pair_node old, new, session;
    open_node(&old, 1, DISCOVERY_MESSAGE, NEVER_MS);
    open_node(&session, 2, DISCOVERY_SESSION, NEVER_MS);
    struct relay *relay = relay_to(&old);
    struct link_pair_node far = link_pair_behind(&old, relay_port(relay));
    link_pair_view(&session, (struct link_pair_node *[]){&far}, 1);
    for (size_t i = 0; i < LINK_PAIR_LOOPS; i++)
        LINK_PAIR_IS(&session, i, dirty, 1);
    relay_hold(relay, true); /* its machine is gone, without a word */
    struct link_tcp_config config = config_of(1, DISCOVERY_MESSAGE, NEVER_MS);
    config.incarnation++;
    link_pair_open(&new, &config, 0);
    link_pair_view(&session, (struct link_pair_node *[]){&new}, 1);
    for (size_t i = 0; i < LINK_PAIR_LOOPS; i++) {
        LINK_PAIR_IS(&session, i, dirty, 2);
        LINK_PAIR_IS(&session, i, peers_up, 1);
        LINK_PAIR_IS(&new, i, known, LINK_PAIR_LOOPS);
    }
    assert_int_equal(link_pair_enrol_status(&session, 0, "ada"), PETREL_E_UNREGISTERED);
    assert_int_equal(link_pair_calls(&new), 1);
    link_pair_close(&session);
    link_pair_close(&new);
    link_pair_close(&old);
    relay_close(relay);
}

struct awaited {
    struct link_pair_node *node;
    uint16_t at;
};

static bool newer_is_known(void *ctx)
{
    const struct awaited *awaited = ctx;
    return see(awaited->node, 0, 2, FIRST_MS + 1, awaited->at).knows;
}

static void a_caller_s_newer_process_takes_the_place_of_the_old_at_once(void **state)
{
    (void)state;
    struct link_pair_node message, old, new;
    open_node(&message, 1, DISCOVERY_MESSAGE, NEVER_MS);
    open_node(&old, 2, DISCOVERY_SESSION, NEVER_MS);
    struct relay *relay = relay_to(&message);
    struct link_pair_node far = link_pair_behind(&message, relay_port(relay));
    link_pair_view(&old, (struct link_pair_node *[]){&far}, 1);
    for (size_t i = 0; i < LINK_PAIR_LOOPS; i++)
        LINK_PAIR_IS(&message, i, known, LINK_PAIR_LOOPS);
    relay_hold(relay, true);
    struct link_tcp_config config = config_of(2, DISCOVERY_SESSION, NEVER_MS);
    config.incarnation++;
    link_pair_open(&new, &config, 0);
    link_pair_view(&new, (struct link_pair_node *[]){&message}, 1);
    for (size_t i = 0; i < LINK_PAIR_LOOPS; i++)
        LINK_PAIR_IS(&new, i, dirty, 1);
    for (uint16_t at = 0; at < LINK_PAIR_LOOPS; at++) {
        struct awaited awaited = {&message, at};
        assert_true(until(newer_is_known, &awaited, LINK_PAIR_WAIT_MS));
        const struct sight before = see(&message, 0, 2, FIRST_MS, at);
        assert_true(before.outlived && !before.knows);
    }
    assert_int_equal(link_pair_look(&message, 0).known, LINK_PAIR_LOOPS);
    assert_false(see(&message, 0, 2, FIRST_MS, 0).reaches);
    assert_int_equal(link_pair_tell(&message, 0, &old, 0, 1, 5, NULL), 0);
    assert_int_equal(link_pair_tell(&message, 0, &new, 0, 1, 5, NULL), 5);
    LINK_PAIR_IS(&new, 0, delivers, 5);
    assert_int_equal(link_pair_look(&old, 0).delivers, 0);
    link_pair_close(&old);
    link_pair_close(&new);
    link_pair_close(&message);
    relay_close(relay);
}

/* ---- nodes of the API alone ---- */

static void an_api_node_reaches_the_sessions_and_serves_no_calls(void **state)
{
    (void)state;
    struct link_pair_node message, api, session;
    open_node(&message, 1, DISCOVERY_MESSAGE, NEVER_MS);
    open_node(&session, 2, DISCOVERY_SESSION, NEVER_MS);
    open_node(&api, 3, DISCOVERY_API, NEVER_MS);
    struct link_pair_node *const all[] = {&message, &session, &api};
    link_pair_view(&message, all, 3);
    link_pair_view(&session, all, 3);
    link_pair_view(&api, all, 3);
    for (size_t i = 0; i < LINK_PAIR_LOOPS; i++) {
        LINK_PAIR_IS(&api, i, known, LINK_PAIR_LOOPS);
        LINK_PAIR_IS(&api, i, peers_up, 1);
        LINK_PAIR_IS(&session, i, peers_up, 1);
        LINK_PAIR_IS(&message, i, known, 2 * LINK_PAIR_LOOPS);
        assert_int_equal(link_pair_look(&session, i).peers, 1);
        assert_int_equal(link_pair_look(&message, i).peers, 0);
        assert_int_equal(link_pair_look(&session, i).dirty, 1); /* by the message node's hello, not by the API's */
    }
    for (uint16_t at = 0; at < LINK_PAIR_LOOPS; at++) {
        struct link_pair_ask ask = {.at = true, .node = session.number, .loop = at};
        ask.call.in.type = PEER_SESSIONS;
        ask.call.in.sessions = (struct peer_sessions){.user = bytes_str("ada"), .limit = 5};
        assert_int_equal(link_pair_ask(&api, 1 - at, &ask), 0);
        assert_int_equal(link_pair_answer(&ask), 0);
        struct link_pair_ask drain = {.at = true, .node = session.number, .loop = at};
        drain.call.in.type = PEER_DRAIN;
        drain.call.in.drain = (struct peer_drain){.verb = PEER_DRAIN_LOOK};
        assert_int_equal(link_pair_ask(&api, at, &drain), 0);
        assert_int_equal(link_pair_answer(&drain), PETREL_E_UNREGISTERED); /* the rig's word for what it does not do */
    }
    assert_int_equal(link_pair_calls(&session), 2 * LINK_PAIR_LOOPS);
    for (int i = 0; i < 16; i++)
        assert_int_equal(link_pair_enrol_status(&session, 0, (const char[]){(char)('a' + i), '\0'}),
                         PETREL_E_UNREGISTERED);
    assert_int_equal(link_pair_enrol_status(&api, 0, "ada"), PETREL_E_UNREGISTERED);
    assert_int_equal(link_pair_calls(&message), 17);

    const uint64_t dirty = link_pair_look(&session, 0).dirty;
    link_pair_close(&api);
    link_pair_view(&session, all, 1);
    assert_int_equal(link_pair_enrol_status(&session, 0, "ada"), PETREL_E_UNREGISTERED);
    assert_int_equal(link_pair_look(&session, 0).dirty, dirty); /* nor by its end */
    link_pair_close(&message);
    LINK_PAIR_IS(&session, 0, peers_up, 0);
    assert_int_equal(link_pair_enrol_status(&session, 0, "ada"), PETREL_E_UNAVAILABLE);
    link_pair_close(&session);
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test(a_process_is_known_by_its_links),
        cmocka_unit_test(a_hanging_link_ends_its_calls_and_others_serve),
        cmocka_unit_test(tells_over_a_cut_link_are_dropped_and_its_healing_is_a_reason_to_look),
        cmocka_unit_test(who_is_called_is_followed_at_once_when_discovery_says_so),
        cmocka_unit_test(a_caller_s_newer_process_takes_the_place_of_the_old_at_once),
        cmocka_unit_test(an_api_node_reaches_the_sessions_and_serves_no_calls),
    };
    return LINK_PAIR_RUN(cases);
}
