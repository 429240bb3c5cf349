#include "loop/tls_peer.h"

#include "base/object.h"

#include <arpa/inet.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>

struct tls_peer {
    X509 *certificate;
};

struct tls_peer *tls_peer_of(SSL *ssl)
{
    X509 *certificate = SSL_get1_peer_certificate(ssl);
    if (certificate == NULL)
        return NULL;
    struct tls_peer *peer = object_zalloc(sizeof *peer);
    peer->certificate = certificate;
    return peer;
}

void tls_peer_free(struct tls_peer **inside)
{
    struct tls_peer *peer = *inside;
    if (peer == NULL)
        return;
    X509_free(peer->certificate);
    free(peer);
    *inside = NULL;
}

bool tls_peer_certifies(X509 *certificate, const char *name)
{
    uint8_t address[16];
    if (inet_pton(AF_INET, name, address) == 1 || inet_pton(AF_INET6, name, address) == 1)
        return X509_check_ip_asc(certificate, name, 0) == 1;
    /* To OpenSSL a name that begins with a dot means every host below. */
    return name[0] != '\0' && name[0] != '.' &&
           X509_check_host(certificate, name, 0, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS, NULL) == 1;
}

bool tls_peer_is(const struct tls_peer *peer, const char *name)
{
    return tls_peer_certifies(peer->certificate, name);
}

static void append_name(char names[TLS_NAMES_SIZE], const char *name)
{
    size_t len = strlen(names);
    (void)snprintf(names + len, TLS_NAMES_SIZE - len, len > 0 ? ", %s" : "%s", name);
}

void tls_peer_read_names(X509 *certificate, char out[TLS_NAMES_SIZE])
{
    out[0] = '\0';
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        if (name->type == GEN_DNS)
            append_name(out, (const char *)ASN1_STRING_get0_data(name->d.dNSName));
    }
    GENERAL_NAMES_free(names);
    if (out[0] == '\0') {
        char common[128] = "";
        (void)X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, common, sizeof common);
        append_name(out, common);
    }
}

void tls_peer_names(const struct tls_peer *peer, char out[TLS_NAMES_SIZE])
{
    tls_peer_read_names(peer->certificate, out);
}
