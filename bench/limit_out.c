#include "limit_out.h"

#include "base/object.h"

#include <stdlib.h>

struct limit_out_rest {
    struct limit_out_rest *next;
    struct limit_push *push;
    size_t at; /* written of it */
};

static void keep(struct limit_out *out, struct limit_push *push, size_t at)
{
    struct limit_out_rest *rest = object_zalloc(sizeof *rest);
    rest->push = push;
    rest->at = at;
    if (out->first == NULL)
        out->first = rest;
    else
        out->last->next = rest;
    out->last = rest;
}

bool limit_out_write(struct limit_out *out, struct limit_wire wire, struct bytes data)
{
    const ssize_t sent = limit_out_waits(out) ? 0 : limit_wire_send(wire, data);
    if (sent < 0)
        return false;
    if ((size_t)sent < data.len)
        keep(out, limit_push_of(bytes_of(data.ptr + sent, data.len - (size_t)sent)), 0);
    return true;
}

bool limit_out_push(struct limit_out *out, struct limit_wire wire, struct limit_push *push)
{
    const struct bytes data = limit_push_bytes(push);
    const ssize_t sent = limit_out_waits(out) ? 0 : limit_wire_send(wire, data);
    if (sent < 0)
        return false;
    if ((size_t)sent < data.len) {
        limit_push_ref(push);
        keep(out, push, (size_t)sent);
    }
    return true;
}

static void drop_first(struct limit_out *out)
{
    struct limit_out_rest *rest = out->first;
    out->first = rest->next;
    limit_push_unref(rest->push);
    free(rest);
}

bool limit_out_flush(struct limit_out *out, struct limit_wire wire)
{
    while (limit_out_waits(out)) {
        const struct bytes data = limit_push_bytes(out->first->push);
        const size_t left = data.len - out->first->at;
        const ssize_t sent = limit_wire_send(wire, bytes_of(data.ptr + out->first->at, left));
        if (sent < 0)
            return false;
        out->first->at += (size_t)sent;
        if ((size_t)sent < left)
            return true;
        drop_first(out);
    }
    return true;
}

void limit_out_reset(struct limit_out *out)
{
    while (limit_out_waits(out))
        drop_first(out);
}
