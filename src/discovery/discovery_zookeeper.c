#include "discovery/discovery_zookeeper.h"

#include "base/err.h"
#include "base/log.h"
#include "base/object.h"
#include "discovery/board.h"
#include "discovery/discovery_zookeeper_copy.h"
#include "discovery/discovery_zookeeper_keeper.h"
#include "discovery/discovery_zookeeper_node.h"
#include "discovery/discovery_zookeeper_roster.h"
#include "loop/timer.h"
#include "loop/worker.h"

#include <stdlib.h>

#define DIRECTORY_MAGIC OBJECT_MAGIC('D', 'Z', 'O', 'O')
#define SESSION_TIMEOUT_MS 10000
#define LOAD_INTERVAL_MS 5000
#define REREAD_MS 30000
#define COPY_MS 2000
#define SETTLE_MS 50  /* what changes together is read together */
#define RETRY_MS 1000 /* while something does not work */
#define RECHECK_MS 1000

struct directory {
    struct discovery discovery;
    uint32_t magic;
    atomic_uint refs;    /* the owner's, one per event on its way, one for a turn under way */
    atomic_bool healthy; /* `answers` for any thread, after the view has told so */
    struct discovery_zookeeper_config config;
    char *servers, *root, *copy_path; /* what config points to */
    struct board *board;
    struct worker *worker;
    struct discovery_zookeeper_keeper *keeper; /* the worker's */

    /* The rest is the main loop's; the turn is the worker's while it is under way. */
    bool closed;
    bool answers; /* ZooKeeper */
    bool has_self;
    struct discovery_node self;    /* as shown */
    struct discovery_node offered; /* as it shall stand in ZooKeeper; its load lags */
    uint64_t offered_ms;
    struct discovery_zookeeper_roster roster;
    uint64_t as_of_ms;
    int last_status;

    struct worker_job job;
    struct discovery_zookeeper_turn turn;
    struct event *turn_changes; /* what the turn borrows */
    bool turning;
    bool wanted; /* another turn, after this one */
    /* For the next turn. */
    bool reread;
    uint64_t reread_ms; /* when it is due anyway */
    struct event *changes;
    struct timer turn_timer;
    struct timer load_timer;
    struct timer recheck_timer;

    bool listed;                            /* ZooKeeper has told of the nodes: there is something to be copied */
    struct discovery_zookeeper_copy copied; /* as in the file */
    uint64_t copied_ms;
    struct bytebuf turn_copy; /* what the turn writes; empty: nothing */
};

/* From ZooKeeper's thread to the main loop; then, if it has a path, to the keeper. */
struct event {
    struct mail mail;
    struct directory *owner;
    struct event *next; /* of those for the next turn */
    enum zookeeper_state state;
    struct discovery_zookeeper_change change;
    char path[]; /* empty: the session's state */
};

static struct directory *directory_of(struct discovery *discovery)
{
    struct directory *directory = container_of(discovery, struct directory, discovery);
    object_check(directory, DIRECTORY_MAGIC);
    return directory;
}

static void free_events(struct event *events)
{
    while (events != NULL) {
        struct event *next = events->next;
        free(events);
        events = next;
    }
}

static void directory_unref(struct directory *directory)
{
    if (atomic_fetch_sub_explicit(&directory->refs, 1, memory_order_acq_rel) != 1)
        return;
    free_events(directory->changes);
    discovery_zookeeper_roster_reset(&directory->roster);
    discovery_zookeeper_keeper_free(&directory->keeper);
    board_close(&directory->board);
    discovery_zookeeper_copy_reset(&directory->copied);
    bytes_reset(&directory->turn_copy);
    free(directory->servers);
    free(directory->root);
    free(directory->copy_path);
    directory->magic = 0;
    free(directory);
}

/* This node first, then the others. */
static void show(struct directory *directory)
{
    const size_t own = directory->has_self ? 1 : 0;
    struct discovery_view *view = board_view_new(own + directory->roster.count);
    view->as_of_ms = directory->as_of_ms;
    view->current = directory->answers;
    if (directory->has_self)
        view->nodes[0] = directory->self;
    view->count = own + discovery_zookeeper_roster_shown(&directory->roster, view->nodes + own);
    board_show(directory->board, &view);
    atomic_store(&directory->healthy, directory->answers);
}

/* As of now, if ZooKeeper would have told of any change. */
static void touch(struct directory *directory)
{
    if (directory->answers)
        directory->as_of_ms = clock_wall_ms(directory->config.clock);
}

static void set_away(struct directory *directory, const char *why)
{
    if (!directory->answers)
        return;
    touch(directory);
    directory->answers = false;
    show(directory);
    log_at(LOG_WARN, "discovery", "ZooKeeper is away: the nodes last known are served", LOG_STR("error", why),
           LOG_NUM("nodes", directory->roster.count));
}

/* ---- the copy ---- */

/* In how many ms what is believed is to be written; UINT64_MAX: it stands in the file. */
static uint64_t copy_due(const struct directory *directory)
{
    if (directory->copy_path == NULL || !directory->listed)
        return UINT64_MAX;
    struct discovery_zookeeper_copy copy = discovery_zookeeper_copy_of(&directory->roster, directory->as_of_ms);
    const uint64_t age_ms = loop_now_ms(directory->config.loop) - directory->copied_ms;
    const uint64_t due_ms = discovery_zookeeper_copy_due(&copy, &directory->copied, age_ms, directory->config.copy_ms);
    discovery_zookeeper_copy_reset(&copy);
    return due_ms;
}

/* The text for the turn that begins; empty when none is due. */
static void take_copy(struct directory *directory)
{
    directory->turn_copy.len = 0;
    if (copy_due(directory) != 0)
        return;
    discovery_zookeeper_copy_reset(&directory->copied);
    directory->copied = discovery_zookeeper_copy_of(&directory->roster, directory->as_of_ms);
    directory->copied_ms = loop_now_ms(directory->config.loop);
    discovery_zookeeper_copy_pack(&directory->copied, directory->root, &directory->turn_copy);
}

/* Begin with the nodes of before: ZooKeeper may be away. */
static void begin_with_copy(struct directory *directory)
{
    if (directory->copy_path == NULL ||
        discovery_zookeeper_copy_read(directory->copy_path, directory->root, &directory->copied) != 0)
        return;
    discovery_zookeeper_roster_list(&directory->roster, directory->copied.nodes, directory->copied.count, NULL,
                                    loop_now_ms(directory->config.loop));
    directory->as_of_ms = directory->copied.as_of_ms;
    show(directory);
    log_at(LOG_INFO, "discovery", "until ZooKeeper answers the nodes last known are served",
           LOG_NUM("nodes", directory->copied.count));
}

/* ---- turns ---- */

static void on_turn_timer(struct timer *timer);

static void turn_within(struct directory *directory, uint64_t delay_ms)
{
    const uint64_t due_ms = loop_now_ms(directory->config.loop) + delay_ms;
    if (directory->closed || (timer_running(&directory->turn_timer) && directory->turn_timer.due_ms <= due_ms))
        return;
    timer_start(directory->config.loop, &directory->turn_timer, delay_ms, on_turn_timer);
}

static void on_recheck_timer(struct timer *timer)
{
    struct directory *directory = container_of(timer, struct directory, recheck_timer);
    object_check(directory, DIRECTORY_MAGIC);
    if (discovery_zookeeper_roster_recheck(&directory->roster)) {
        touch(directory);
        show(directory);
        turn_within(directory, SETTLE_MS);
    }
    if (discovery_zookeeper_roster_holds(&directory->roster))
        timer_start(directory->config.loop, timer, RECHECK_MS, on_recheck_timer);
}

static void take_nodes(struct directory *directory, const struct discovery_zookeeper_turn *turn)
{
    const char *own = directory->has_self ? directory->self.name : NULL;
    const size_t caught = discovery_zookeeper_roster_list(&directory->roster, turn->nodes, turn->count, own,
                                                          loop_now_ms(directory->config.loop));
    if (caught > 0)
        log_at(LOG_WARN, "discovery", "over half of the nodes are listed no more: those with links are kept",
               LOG_NUM("kept", caught), LOG_NUM("listed", turn->count));
    if (discovery_zookeeper_roster_holds(&directory->roster) && !timer_running(&directory->recheck_timer))
        timer_start(directory->config.loop, &directory->recheck_timer, RECHECK_MS, on_recheck_timer);
}

static void take_status(struct directory *directory, const struct discovery_zookeeper_turn *turn)
{
    const bool news = turn->status != directory->last_status;
    directory->last_status = turn->status;
    if (turn->read) {
        if (!directory->answers)
            log_at(LOG_INFO, "discovery", "ZooKeeper answers", LOG_NUM("nodes", turn->count));
        directory->answers = true;
    } else {
        set_away(directory, err_text(turn->status));
    }
    if (news && turn->status == PETREL_E_EXISTS)
        log_at(LOG_ERROR, "discovery", "a newer process has this node's name: this one is not listed",
               LOG_STR("name", directory->self.name));
    else if (news && turn->status != 0 && turn->status != PETREL_E_UNAVAILABLE)
        log_at(LOG_ERROR, "discovery", "this node can't be listed", LOG_STR("error", err_text(turn->status)));
}

static void plan_turn(struct directory *directory, int status)
{
    if (status != 0)
        turn_within(directory, RETRY_MS);
    if (directory->wanted)
        turn_within(directory, SETTLE_MS);
    directory->wanted = false;
    const uint64_t copy_ms = copy_due(directory);
    turn_within(directory, copy_ms < directory->config.reread_ms ? copy_ms : directory->config.reread_ms);
}

static void on_turn_done(struct worker_job *job)
{
    struct directory *directory = container_of(job, struct directory, job);
    object_check(directory, DIRECTORY_MAGIC);
    struct discovery_zookeeper_turn turn = directory->turn;
    directory->turning = false;
    free_events(directory->turn_changes);
    directory->turn_changes = NULL;
    if (!directory->closed) {
        take_status(directory, &turn);
        if (turn.nodes != NULL) {
            take_nodes(directory, &turn);
            touch(directory);
            show(directory);
            directory->listed = true;
        }
        directory->reread = directory->reread || !turn.read;
        plan_turn(directory, turn.status);
    }
    free(turn.nodes);
    directory_unref(directory);
}

static void begin_turn(struct directory *directory)
{
    const uint64_t now_ms = loop_now_ms(directory->config.loop);
    if (now_ms >= directory->reread_ms)
        directory->reread = true;
    if (directory->reread)
        directory->reread_ms = now_ms + directory->config.reread_ms;
    directory->turn = (struct discovery_zookeeper_turn){
        .has_self = directory->has_self, .self = directory->offered, .reread = directory->reread};
    struct discovery_zookeeper_change **end = &directory->turn.changes;
    for (struct event *event = directory->changes; event != NULL; event = event->next) {
        *end = &event->change;
        end = &event->change.next;
    }
    directory->turn_changes = directory->changes;
    directory->changes = NULL;
    directory->reread = false;
    directory->turning = true;
    take_copy(directory);
    atomic_fetch_add_explicit(&directory->refs, 1, memory_order_relaxed);
    const int err = worker_post(directory->worker, WORKER_FIRST, directory->config.loop, &directory->job, on_turn_done);
    petrel_assert(err == 0 && "one turn at a time, and none after close");
}

static void on_turn_timer(struct timer *timer)
{
    struct directory *directory = container_of(timer, struct directory, turn_timer);
    object_check(directory, DIRECTORY_MAGIC);
    if (directory->turning)
        directory->wanted = true;
    else
        begin_turn(directory);
}

static void on_event_mail(struct mail *mail)
{
    struct event *event = container_of(mail, struct event, mail);
    struct directory *directory = event->owner;
    object_check(directory, DIRECTORY_MAGIC);
    const bool session = event->path[0] == '\0';
    if (session && !directory->closed && event->state != ZOOKEEPER_CONNECTED)
        set_away(directory, "connection lost");
    if (session) {
        directory->reread = true;
        free(event);
    } else {
        event->next = directory->changes;
        directory->changes = event;
    }
    turn_within(directory, session ? 0 : SETTLE_MS);
    directory_unref(directory);
}

/* On ZooKeeper's thread. */
static void on_event(void *ctx, enum zookeeper_state state, const char *path)
{
    struct directory *directory = ctx;
    const size_t len = path != NULL ? strlen(path) : 0;
    struct event *event = object_zalloc(sizeof *event + len + 1);
    memcpy(event->path, path != NULL ? path : "", len);
    event->mail.run = on_event_mail;
    event->owner = directory;
    event->state = state;
    event->change.path = event->path;
    atomic_fetch_add_explicit(&directory->refs, 1, memory_order_relaxed);
    mailbox_post(directory->config.loop, &event->mail);
}

static int start_worker(void *ctx)
{
    (void)ctx;
    return 0;
}

static uint32_t do_turns(void *ctx, struct worker_job *batch)
{
    struct directory *directory = ctx;
    while (batch != NULL) {
        struct worker_job *next = batch->next;
        if (directory->turn_copy.len > 0)
            (void)discovery_zookeeper_copy_write(directory->copy_path, bytes_view(&directory->turn_copy));
        discovery_zookeeper_keeper_turn(directory->keeper, &directory->turn);
        worker_finish(directory->worker, batch);
        batch = next;
    }
    return UINT32_MAX;
}

static void stop_worker(void *ctx)
{
    discovery_zookeeper_keeper_stop(((struct directory *)ctx)->keeper);
}

/* Let ZooKeeper have this node as it is now. */
static void offer(struct directory *directory)
{
    timer_stop(&directory->load_timer);
    directory->offered = directory->self;
    directory->offered_ms = loop_now_ms(directory->config.loop);
    turn_within(directory, 0);
}

static void on_load_timer(struct timer *timer)
{
    struct directory *directory = container_of(timer, struct directory, load_timer);
    object_check(directory, DIRECTORY_MAGIC);
    offer(directory);
}

static bool same_but_load(const struct discovery_node *a, const struct discovery_node *b)
{
    struct discovery_node like = *b;
    like.sessions = a->sessions;
    return discovery_zookeeper_node_same(a, &like);
}

static int directory_publish(struct discovery *discovery, const struct discovery_node *self)
{
    struct directory *directory = directory_of(discovery);
    if (!discovery_node_has_texts(self) || self->name[0] == '\0' || self->number == 0 || self->incarnation == 0)
        return PETREL_E_INVALID;
    const bool first = !directory->has_self;
    petrel_assert((first || strcmp(self->name, directory->self.name) == 0) && "a process is one node");
    directory->self = *self;
    directory->has_self = true;
    if (first)
        discovery_zookeeper_roster_forget(&directory->roster, self->name);
    touch(directory);
    show(directory);
    const uint64_t now_ms = loop_now_ms(directory->config.loop);
    const uint64_t due_ms = directory->offered_ms + directory->config.load_interval_ms;
    if (first || !same_but_load(self, &directory->offered))
        offer(directory);
    else if (self->sessions != directory->offered.sessions && !timer_running(&directory->load_timer))
        timer_start(directory->config.loop, &directory->load_timer, due_ms > now_ms ? due_ms - now_ms : 0,
                    on_load_timer);
    return 0;
}

static struct discovery_view *directory_view(struct discovery *discovery)
{
    return board_view(directory_of(discovery)->board);
}

static int directory_watch(struct discovery *discovery, struct loop *loop, discovery_watch_fn *on_view, void *ctx)
{
    return board_watch(directory_of(discovery)->board, loop, on_view, ctx);
}

static bool directory_healthy(struct discovery *discovery)
{
    return atomic_load(&directory_of(discovery)->healthy);
}

static void directory_close(struct discovery *discovery)
{
    struct directory *directory = directory_of(discovery);
    directory->closed = true;
    timer_stop(&directory->turn_timer);
    timer_stop(&directory->load_timer);
    timer_stop(&directory->recheck_timer);
    worker_stop(&directory->worker);
    board_close(&directory->board);
    directory_unref(directory);
}

static const struct discovery_ops directory_ops = {
    .name = "zookeeper",
    .publish = directory_publish,
    .view = directory_view,
    .watch = directory_watch,
    .healthy = directory_healthy,
    .close = directory_close,
};

static struct directory *directory_new(const struct discovery_zookeeper_config *config)
{
    struct directory *directory = object_zalloc(sizeof *directory);
    directory->discovery.ops = &directory_ops;
    directory->magic = DIRECTORY_MAGIC;
    atomic_init(&directory->refs, 1);
    atomic_init(&directory->healthy, false);
    directory->config = *config;
    struct discovery_zookeeper_config *own = &directory->config;
    own->servers = directory->servers = object_strdup(config->servers);
    own->root = directory->root = object_strdup(config->root);
    own->copy_path = directory->copy_path = config->copy_path != NULL ? object_strdup(config->copy_path) : NULL;
    own->copy_ms = own->copy_ms != 0 ? own->copy_ms : COPY_MS;
    own->session_timeout_ms = own->session_timeout_ms != 0 ? own->session_timeout_ms : SESSION_TIMEOUT_MS;
    own->load_interval_ms = own->load_interval_ms != 0 ? own->load_interval_ms : LOAD_INTERVAL_MS;
    own->reread_ms = own->reread_ms != 0 ? own->reread_ms : REREAD_MS;
    directory->roster = (struct discovery_zookeeper_roster){
        .window_ms = own->session_timeout_ms, .is_link_up = config->is_link_up, .ctx = config->ctx};
    directory->as_of_ms = clock_wall_ms(config->clock);
    directory->board = board_new(directory->as_of_ms);
    const struct discovery_zookeeper_keeper_config keeper = {
        .session = {.servers = directory->servers,
                    .session_timeout_ms = own->session_timeout_ms,
                    .on_event = on_event,
                    .ctx = directory},
        .root = directory->root,
    };
    directory->keeper = discovery_zookeeper_keeper_new(&keeper);
    return directory;
}

int discovery_zookeeper_open(struct discovery **out, const struct discovery_zookeeper_config *config)
{
    const size_t root_len = strlen(config->root);
    if (config->servers[0] == '\0' || config->root[0] != '/' || root_len < 2 ||
        root_len > DISCOVERY_ZOOKEEPER_ROOT_MAX || config->root[root_len - 1] == '/')
        return PETREL_E_INVALID;
    struct directory *directory = directory_new(config);
    const struct worker_config worker = {
        .name = "zookeeper",
        .max_pending = 1,
        .ctx = directory,
        .start = start_worker,
        .work = do_turns,
        .stop = stop_worker,
    };
    const int err = worker_start(&directory->worker, &worker);
    if (err != 0) {
        directory_unref(directory);
        return err;
    }
    begin_with_copy(directory);
    turn_within(directory, 0);
    *out = &directory->discovery;
    return 0;
}
