#include "loop/tls_bio.h"

static int on_write(BIO *bio, const char *data, size_t len, size_t *written)
{
    struct tls_talk *talk = BIO_get_data(bio);
    bytes_append(&talk->tls->out, data, len);
    *written = len;
    return 1;
}

static int on_read(BIO *bio, char *data, size_t len, size_t *got)
{
    struct tls_talk *talk = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (talk->in.len == 0) {
        BIO_set_retry_read(bio);
        return 0;
    }
    size_t take = len < talk->in.len ? len : talk->in.len;
    memcpy(data, talk->in.ptr, take);
    talk->in = bytes_of(talk->in.ptr + take, talk->in.len - take);
    *got = take;
    return 1;
}

static long on_control(BIO *bio, int command, long number, void *pointer)
{
    (void)bio;
    (void)number;
    (void)pointer;
    return command == BIO_CTRL_FLUSH;
}

BIO_METHOD *tls_bio_method(void)
{
    BIO_METHOD *method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "petrel");
    if (method == NULL)
        return NULL;
    if (BIO_meth_set_write_ex(method, on_write) != 1 || BIO_meth_set_read_ex(method, on_read) != 1 ||
        BIO_meth_set_ctrl(method, on_control) != 1) {
        BIO_meth_free(method);
        return NULL;
    }
    return method;
}

bool tls_bio_set(struct tls_talk *talk)
{
    BIO *bio = BIO_new(talk->tls->bio);
    if (bio == NULL)
        return false;
    BIO_set_data(bio, talk);
    BIO_set_init(bio, 1);
    SSL_set_bio(talk->ssl, bio, bio); /* which takes the one reference for both */
    return true;
}
