/* A check: of each set the first bytes, with a command of Redis's own, which costs a fraction of a function's call. Users lie in slots of
 * their own, so entries are asked one by one, side by side. */
#include "base/err.h"
#include "base/object.h"
#include "store/check_tally.h"
#include "store/topics_redis_private.h"
#include "store/topics_reply.h"
#include "wire/peer_check.h"

#include <stdlib.h>

#define LAST_BYTE "14" /* one more than the header: whether something is in the set */

struct checks {
    struct topics_redis_seat *seat;
    struct topics_request *request;
    struct check_tally tally;
};

struct entry {
    struct redis_request ask;
    struct checks *checks;
    uint32_t number;
    struct peer_check check; /* its names are not looked at later */
    struct bytebuf key;
};

/* True: that was the last, the request is filled and the checks are freed. */
static bool end_if(struct checks *checks, bool is_over)
{
    if (!is_over)
        return false;
    struct topics_request *request = checks->request;
    request->status = check_tally_result(&checks->tally, &request->out.checked);
    free(checks);
    return true;
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
    const bool is_over =
        check_tally_note(&checks->tally, entry->number, status, topics_compare(&entry->check, version));
    free_entry(entry);
    if (end_if(checks, is_over))
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
    const bool asks = check->version != 0 && peer_target_is_device(&check->target);
    const int err = asks ? ask_entry(checks, check, number) : 0;
    if (!asks || err != 0)
        (void)check_tally_note(&checks->tally, number, err, topics_compare(check, 0));
}

static void on_none_asked(struct mail *mail)
{
    topics_reply_finish(container_of(mail, struct topics_request, job.mail));
}

int topics_redis_check_submit(struct topics_redis_seat *seat, struct topics_request *request)
{
    struct checks *checks = object_alloc(sizeof *checks);
    struct bytes rest = request->in.check.entries;
    checks->seat = seat;
    checks->request = request;
    check_tally_begin(&checks->tally, request->in.check.count);
    for (uint32_t i = 0; i < request->in.check.count; i++) {
        struct peer_check check;
        const int err = peer_check_take(&request->in.check, &rest, &check);
        petrel_assert(err == 0);
        ask_or_note(checks, &check, i);
    }
    if (!end_if(checks, check_tally_release(&checks->tally)))
        return 0;
    if (request->status != 0)
        return request->status;
    request->job.mail.run = on_none_asked;
    mailbox_post(request->home, &request->job.mail);
    return 0;
}
