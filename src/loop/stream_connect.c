/* Streams that this side begins. */
#include "base/err.h"
#include "loop/address.h"
#include "loop/stream_impl.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

int stream_connect(struct stream **out, struct loop *loop, const char *host, uint16_t port,
                   const struct stream_ops *ops, void *owner)
{
    union address address;
    socklen_t size;
    int rc = address_parse(host, port, &address, &size);
    if (rc != 0)
        return rc;
    int fd = socket(address.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return err_from_errno(errno);
    int one = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    rc = connect(fd, &address.any, size) == 0 || errno == EINPROGRESS ? 0 : err_from_errno(errno);
    struct stream *stream = rc == 0 ? stream_new(loop, POLLSET_OF_FEW, fd) : NULL;
    if (stream == NULL) {
        (void)close(fd);
        return rc != 0 ? rc : PETREL_E_IO;
    }
    stream->connecting = true;
    stream->blocked = true;
    stream->stranger = false;
    stream_attach(stream, ops, owner);
    stream_watch(stream);
    *out = stream;
    return 0;
}

void stream_connect_finish(struct stream *stream)
{
    int errnum = 0;
    socklen_t size = sizeof errnum;
    int rc = getsockopt(stream->endpoint.fd, SOL_SOCKET, SO_ERROR, &errnum, &size);
    petrel_assert(rc == 0);
    if (errnum != 0) {
        stream_break_off(stream, err_from_errno(errnum));
        return;
    }
    stream->connecting = false;
    stream->blocked = false;
    if (stream->out != NULL)
        list_push_back(&stream_loop(stream)->unflushed, &stream->out->node);
    stream_watch(stream);
    if (stream_ops_of(stream)->on_open != NULL && !stream->flushing && !stream->unopened)
        stream_ops_of(stream)->on_open(stream->owner);
}
