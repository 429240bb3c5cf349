/* A check: of each set the first bytes, with a command of Redis's own, which costs a fraction of a function's call. Users lie in slots of
 * their own, so entries are asked one by one, side by side. */
#include "base/err.h"
#include "base/object.h"
#include "store/topics_redis_private.h"
#include "store/topics_reply.h"
#include "wire/peer_check.h"

#include <stdlib.h>

#define LAST_BYTE "14" /* one more than the header: whether something is in the set */

struct checks {
    struct topics_redis_seat *seat;
    struct topics_request *request;
    uint32_t waiting; /* entries without an outcome, and who asks them */
    uint32_t asked;
    uint32_t unknown;
    int status; /* why the last of those that are unknown is */
    uint8_t verdicts[PEER_CHECKS_MAX];
};

struct entry {
    struct redis_request ask;
    struct checks *checks;
    uint32_t number;
    struct peer_check check; /* its names are not looked at later */
    struct bytebuf key;
};

static void fill(const struct checks *checks)
{
    struct topics_request *request = checks->request;
    request->status = checks->asked > 0 && checks->unknown == checks->asked ? checks->status : 0;
    if (request->status != 0)
        return;
    struct peer_checked *checked = object_alloc(sizeof *checked);
    checked->count = 0;
    for (uint32_t i = 0; i < request->in.check.count; i++)
        peer_checked_add(checked, i, (enum peer_verdict)checks->verdicts[i]);
    request->out.checked = checked;
}

/* True: that was the last, the request is filled and the checks are freed. */
static bool release(struct checks *checks)
{
    petrel_assert(checks->waiting > 0);
    if (--checks->waiting > 0)
        return false;
    fill(checks);
    free(checks);
    return true;
}

static void note_unknown(struct checks *checks, uint32_t number, int status)
{
    checks->verdicts[number] = PEER_UNKNOWN;
    checks->unknown++;
    checks->status = status;
}

static void free_entry(struct entry *entry)
{
    bytes_reset(&entry->key);
    free(entry);
}

static void on_version(struct redis_request *ask)
{
    struct entry *entry = container_of(ask, struct entry, ask);
    struct checks *checks = entry->checks;
    struct topics_request *request = checks->request;
    uint64_t version = 0;
    const int status = ask->status == 0 ? topics_redis_reply_version(ask->reply, &version) : ask->status;
    topics_redis_count(checks->seat, request, status);
    if (status == 0)
        checks->verdicts[entry->number] = (uint8_t)topics_compare(&entry->check, version);
    else
        note_unknown(checks, entry->number, status);
    free_entry(entry);
    if (release(checks))
        topics_reply_finish(request);
}

/* 0: it will be noted. */
static int ask_entry(struct checks *checks, const struct peer_check *check, uint32_t number)
{
    struct entry *entry = object_zalloc(sizeof *entry);
    entry->checks = checks;
    entry->number = number;
    entry->check = *check;
    topics_redis_call_put_set_key(&entry->key, &check->target);
    struct redis_request *ask = &entry->ask;
    ask->key = bytes_view(&entry->key);
    ask->argv[ask->argc++] = bytes_str("GETRANGE");
    ask->argv[ask->argc++] = ask->key;
    ask->argv[ask->argc++] = bytes_str("0");
    ask->argv[ask->argc++] = bytes_str(LAST_BYTE);
    ask->readonly = true;
    ask->done = on_version;
    const int err = redis_ask(checks->seat->redis, ask);
    if (err != 0)
        free_entry(entry);
    return err;
}

/* Who is not to be compared is the same as it is; a name against the rules is nobody's, who has no set. */
static void ask_or_note(struct checks *checks, const struct peer_check *check, uint32_t number)
{
    const struct peer_target *target = &check->target;
    const bool holds =
        route_valid_app(target->app) && route_valid_user(target->user) && route_valid_device(target->device);
    if (check->version == 0 || !holds) {
        checks->verdicts[number] = (uint8_t)topics_compare(check, 0);
        return;
    }
    checks->asked++;
    checks->waiting++;
    const int err = ask_entry(checks, check, number);
    if (err == 0)
        return;
    note_unknown(checks, number, err);
    checks->waiting--; /* who asks still holds it */
}

static void on_none_asked(struct mail *mail)
{
    topics_reply_finish(container_of(mail, struct topics_request, job.mail));
}

int topics_redis_check_submit(struct topics_redis_seat *seat, struct topics_request *request)
{
    struct checks *checks = object_zalloc(sizeof *checks);
    struct bytes rest = request->in.check.entries;
    checks->seat = seat;
    checks->request = request;
    checks->waiting = 1;
    for (uint32_t i = 0; i < request->in.check.count; i++) {
        struct peer_check check;
        const int err = peer_check_take(&request->in.check, &rest, &check);
        petrel_assert(err == 0);
        ask_or_note(checks, &check, i);
    }
    if (!release(checks))
        return 0;
    if (request->status != 0)
        return request->status;
    request->job.mail.run = on_none_asked;
    mailbox_post(request->home, &request->job.mail);
    return 0;
}
