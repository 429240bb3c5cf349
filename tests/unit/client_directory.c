#include "unit/client_directory.h"

#include "base/object.h"

#include <stdio.h>
#include <stdlib.h>

static void free_handle(uv_handle_t *handle)
{
    free(handle);
}

static void drop(struct directory *directory)
{
    if (directory->peer == NULL)
        return;
    uv_close((uv_handle_t *)directory->peer, free_handle);
    directory->peer = NULL;
}

/* The answers of these tests fit a socket's buffer: what does not go at once is a test's defect. */
static void give_answer(struct directory *directory)
{
    size_t len = directory->answer.len;
    uv_buf_t buffer = uv_buf_init((char *)directory->answer.ptr, (unsigned)len);
    if (len == 0)
        return;
    int sent = uv_try_write((uv_stream_t *)directory->peer, &buffer, 1);
    petrel_assert(sent == (int)len);
    if (directory->closes)
        drop(directory);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *out)
{
    (void)handle;
    *out = uv_buf_init(malloc(suggested), (unsigned)suggested);
}

static void on_read(uv_stream_t *stream, ssize_t len, const uv_buf_t *buffer)
{
    struct directory *directory = stream->data;
    bool is_newest = directory->peer == (uv_tcp_t *)stream;
    if (len < 0 && is_newest)
        drop(directory);
    if (len > 0 && is_newest) {
        struct bytebuf *question = &directory->question;
        bytes_append(question, buffer->base, (size_t)len);
        if (memmem(question->ptr, question->len, "\r\n\r\n", 4) != NULL) {
            bytes_printf(&directory->rig->seen, "%s asked; ", directory->name);
            give_answer(directory);
        }
    }
    free(buffer->base);
}

static void on_accept(uv_stream_t *listener, int status)
{
    struct directory *directory = listener->data;
    uv_tcp_t *peer = object_zalloc(sizeof *peer);
    uv_tcp_init(listener->loop, peer);
    peer->data = directory;
    if (status != 0 || uv_accept(listener, (uv_stream_t *)peer) != 0) {
        uv_close((uv_handle_t *)peer, free_handle);
        return;
    }
    drop(directory);
    directory->question.len = 0;
    directory->peer = peer;
    uv_read_start((uv_stream_t *)peer, on_alloc, on_read);
}

void directory_begin(struct directory *directory, struct rig *rig, const char *name)
{
    struct sockaddr_in address;
    int len = sizeof address;
    *directory = (struct directory){.rig = rig, .name = name};
    uv_ip4_addr("127.0.0.1", 0, &address);
    uv_tcp_init(&rig->loop, &directory->listener);
    directory->listener.data = directory;
    uv_tcp_bind(&directory->listener, (const struct sockaddr *)&address, 0);
    int rc = uv_listen((uv_stream_t *)&directory->listener, 16, on_accept);
    petrel_assert(rc == 0);
    uv_tcp_getsockname(&directory->listener, (struct sockaddr *)&address, &len);
    directory->port = ntohs(address.sin_port);
}

void directory_down(struct directory *directory)
{
    drop(directory);
    if (!uv_is_closing((uv_handle_t *)&directory->listener))
        uv_close((uv_handle_t *)&directory->listener, NULL);
}

void directory_end(struct directory *directory)
{
    directory_down(directory);
    bytes_reset(&directory->question);
    bytes_reset(&directory->answer);
}

void directory_answer(struct directory *directory, const char *bytes)
{
    directory->answer.len = 0;
    bytes_append_str(&directory->answer, bytes);
}

void directory_answer_json(struct directory *directory, unsigned status, const char *json)
{
    directory->answer.len = 0;
    bytes_printf(&directory->answer, "HTTP/1.1 %u x\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
                 status, strlen(json), json);
}

void directory_names(struct directory *directory, uint16_t first, uint16_t second, const char *more)
{
    char json[512], other[64] = "";
    if (second != 0)
        snprintf(other, sizeof other, ",{\"address\":\"127.0.0.1:%u\",\"weight\":1}", (unsigned)second);
    snprintf(json, sizeof json, "{\"servers\":[{\"address\":\"127.0.0.1:%u\",\"weight\":999}%s]%s}", (unsigned)first,
             other, more);
    directory_answer_json(directory, 200, json);
}
