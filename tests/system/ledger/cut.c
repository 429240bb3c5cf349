#include "system/ledger/cut.h"

#include "base/object.h"

#include <stdio.h>
#include <unistd.h>

#define PATH_MAX_LEN 400

static void flags_path(char *out, const char *dir, const char *name)
{
    snprintf(out, PATH_MAX_LEN, "%s/%s/flags", dir, name);
}

static bool write_flags(const struct cut *cut, const char *dir)
{
    char path[PATH_MAX_LEN];
    flags_path(path, dir, cut->name);
    FILE *file = fopen(path, "a");
    if (file == NULL)
        return false;
    fputs(cut->kind == CUT_LINK ? "--peer-advertise\n" : "--discovery-zookeeper\n", file);
    for (size_t i = 0; i < CUT_RELAYS_MAX && cut->relays[i] != NULL; i++)
        fprintf(file, "%s127.0.0.1:%u", i > 0 ? "," : "", (unsigned)relay_port(cut->relays[i]));
    fputc('\n', file);
    return fclose(file) == 0;
}

bool cut_add(struct cuts *cuts, enum cut_kind kind, const char *dir, const char *name, const uint16_t *ports,
             size_t count)
{
    petrel_assert(cuts->count < CUT_MAX && count <= CUT_RELAYS_MAX);
    struct cut *cut = &cuts->list[cuts->count++];
    *cut = (struct cut){.kind = kind};
    snprintf(cut->name, sizeof cut->name, "%s", name);
    for (size_t i = 0; i < count; i++) {
        cut->relays[i] = relay_open(ports[i]);
        if (cut->relays[i] == NULL)
            return false;
    }
    return write_flags(cut, dir);
}

struct cut *cut_draw(struct cuts *cuts, enum cut_kind kind, struct rng *rng)
{
    struct cut *chosen = NULL;
    uint64_t seen = 0;
    for (size_t i = 0; i < cuts->count; i++) {
        if (cuts->list[i].kind == kind && rng_below(rng, ++seen) == 0)
            chosen = &cuts->list[i];
    }
    petrel_assert(chosen != NULL);
    return chosen;
}

void cut_hold(struct cut *cut, bool held)
{
    for (size_t i = 0; i < CUT_RELAYS_MAX && cut->relays[i] != NULL; i++)
        relay_hold(cut->relays[i], held);
}

void cut_reset(struct cuts *cuts, const char *dir)
{
    for (size_t i = 0; i < cuts->count; i++) {
        struct cut *cut = &cuts->list[i];
        char path[PATH_MAX_LEN];
        for (size_t relay = 0; relay < CUT_RELAYS_MAX && cut->relays[relay] != NULL; relay++)
            relay_close(cut->relays[relay]);
        flags_path(path, dir, cut->name);
        unlink(path);
    }
    cuts->count = 0;
}
