#include "loop/tls_context.h"

#include "base/err.h"
#include "base/object.h"

#include <openssl/err.h>
#include <stdio.h>

/* Chains are of a few certificates. */
#define CHAIN_BYTES_MAX 32768L

static const char *const alpn_names[] = {"",
#define ALPN_NAME(name, text) text,
                                         TLS_ALPN_TABLE(ALPN_NAME)
#undef ALPN_NAME
};

const char *tls_context_alpn_name(enum tls_alpn alpn)
{
    return alpn_names[alpn];
}

enum tls_alpn tls_context_alpn(const uint8_t *name, size_t len)
{
    for (size_t i = 1; i < sizeof alpn_names / sizeof alpn_names[0]; i++) {
        if (bytes_equal_str(bytes_of(name, len), alpn_names[i]))
            return (enum tls_alpn)i;
    }
    return TLS_ALPN_NONE;
}

int tls_context_fail(char *why, const char *file, const char *what)
{
    unsigned long code = ERR_peek_last_error();
    const char *reason = code != 0 ? ERR_reason_error_string(code) : NULL;
    (void)snprintf(why, TLS_WHY_SIZE, reason != NULL ? "%s: %s (%s)" : "%s: %s", file, what, reason);
    ERR_clear_error();
    return PETREL_E_INVALID;
}

static int hex_digit(char digit)
{
    return digit >= '0' && digit <= '9' ? digit - '0' : digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

/* OpenSSL tells secrets as a log file has them, "<label> <client's random> <secret>" in hex: that is its public way. */
static void on_secret(const SSL *ssl, const char *line)
{
    static const char *const labels[] = {"CLIENT_TRAFFIC_SECRET_0 ", "SERVER_TRAFFIC_SECRET_0 "};
    struct tls_talk *talk = SSL_get_app_data(ssl);
    for (int i = 0; i < 2; i++) {
        size_t label = strlen(labels[i]);
        if (strncmp(line, labels[i], label) != 0)
            continue;
        const char *hex = strchr(line + label, ' ');
        petrel_assert(hex != NULL);
        size_t len = strlen(++hex) / 2;
        petrel_assert(len <= TLS_SECRET_MAX);
        for (size_t at = 0; at < len; at++)
            talk->secrets[i][at] = (uint8_t)(hex_digit(hex[2 * at]) << 4 | hex_digit(hex[2 * at + 1]));
        talk->have[i] = true;
    }
}

/* Else OpenSSL would ask the terminal for a passphrase. */
static int no_passphrase(char *out, int size, int writing, void *ctx)
{
    (void)out;
    (void)size;
    (void)writing;
    (void)ctx;
    return 0;
}

SSL_CTX *tls_context_new(const SSL_METHOD *method, enum tls_version min_version)
{
    SSL_CTX *context = SSL_CTX_new(method);
    if (context == NULL)
        return NULL;
    int lowest = min_version == TLS_VERSION_1_3 ? TLS1_3_VERSION : TLS1_2_VERSION;
    bool set = SSL_CTX_set_min_proto_version(context, lowest) == 1 &&
               SSL_CTX_set_max_proto_version(context, TLS1_3_VERSION) == 1 &&
               SSL_CTX_set_ciphersuites(
                   context, "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256") == 1 &&
               SSL_CTX_set_cipher_list(context, "ECDHE+AESGCM:ECDHE+CHACHA20") == 1 &&
               SSL_CTX_set1_groups_list(context, "X25519:P-256:P-384") == 1;
    if (!set) {
        SSL_CTX_free(context);
        return NULL;
    }
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE |
                                     SSL_OP_PRIORITIZE_CHACHA);
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_max_cert_list(context, CHAIN_BYTES_MAX);
    SSL_CTX_set_default_passwd_cb(context, no_passphrase);
    SSL_CTX_set_keylog_callback(context, on_secret);
    return context;
}

int tls_context_load(SSL_CTX *context, const char *cert_file, const char *key_file, char *why)
{
    ERR_clear_error();
    if (SSL_CTX_use_certificate_chain_file(context, cert_file) != 1)
        return tls_context_fail(why, cert_file, "no certificate that can be served");
    if (SSL_CTX_use_PrivateKey_file(context, key_file, SSL_FILETYPE_PEM) != 1)
        return tls_context_fail(why, key_file, "no private key of that certificate");
    return 0;
}

int tls_context_trust(SSL_CTX *context, const char *ca_file, char *why)
{
    ERR_clear_error();
    if (ca_file == NULL && SSL_CTX_set_default_verify_paths(context) != 1)
        return tls_context_fail(why, "the system's certificates", "can't be read");
    if (ca_file != NULL && SSL_CTX_load_verify_file(context, ca_file) != 1)
        return tls_context_fail(why, ca_file, "no certificates to trust");
    return 0;
}
