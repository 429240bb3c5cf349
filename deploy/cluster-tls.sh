# An authority for deploy/cluster --tls, the certificates it issues, and what each process is told of them; sourced by it. By hand:
# deploy/README.md.
# shellcheck shell=bash disable=SC2154,SC2034

redis_cli_tls=()

# issue NAME SUBJECT-ALT-NAMES: NAME.key and NAME.crt, for both ends of a connection.
issue() {
    local at="$dir/tls/$1"
    [ ! -s "$at.crt" ] || return 0
    openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$at.key" -out "$at.csr" -subj "/CN=$1" &&
        openssl x509 -req -in "$at.csr" -CA "$dir/tls/ca.crt" -CAkey "$dir/tls/ca.key" -CAcreateserial -days 365 -out "$at.new" \
            -extfile <(printf 'subjectAltName=%s\nextendedKeyUsage=serverAuth,clientAuth\nbasicConstraints=critical,CA:FALSE\n' "$2") &&
        mv "$at.new" "$at.crt" && rm -f "$at.csr"
}

make_certificates() {
    local name log="$dir/tls/log"
    [ "${shape[tls]}" -eq 1 ] || return 0
    mkdir -p "$dir/tls"
    {
        [ -s "$dir/tls/ca.crt" ] ||
            openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$dir/tls/ca.key" -out "$dir/tls/ca.crt" \
                -days 3650 -subj "/CN=the authority of a cluster" -addext keyUsage=critical,keyCertSign,cRLSign
        issue servers IP:127.0.0.1,DNS:localhost
        for name in $(all_of message) $(all_of session); do issue "$name" "DNS:$name"; done
    } >"$log" 2>&1 || fail "the certificates could not be made" "$log"
}

use_tls() {
    [ "${shape[tls]}" -eq 1 ] || return 0
    redis_cli_tls=(--tls --cacert "$dir/tls/ca.crt" --cert "$dir/tls/servers.crt" --key "$dir/tls/servers.key")
}

# ---- lines of configuration; none without --tls

tls_of_peers() {
    [ "${shape[tls]}" -eq 0 ] || printf 'tls = required\ntls_cert = %s.crt\ntls_key = %s.key\ntls_ca = %s/tls/ca.crt\n' \
        "$dir/tls/$1" "$dir/tls/$1" "$dir"
}

tls_of_redis() {
    [ "${shape[tls]}" -eq 0 ] || printf 'redis_tls = yes\nredis_tls_ca = %s/tls/ca.crt\nredis_tls_cert = %s.crt\nredis_tls_key = %s.key\n' \
        "$dir" "$dir/tls/$1" "$dir/tls/$1"
}

tls_of_mysql() {
    [ "${shape[tls]}" -eq 0 ] || printf 'mysql_tls = yes\nmysql_tls_ca = %s/tls/ca.crt\nmysql_tls_cert = %s.crt\nmysql_tls_key = %s.key\n' \
        "$dir" "$dir/tls/$1" "$dir/tls/$1"
}

tls_of_clients() {
    [ "${shape[tls]}" -eq 0 ] || printf '[tls]\ncert = %s/tls/servers.crt\nkey = %s/tls/servers.key\n' "$dir" "$dir"
}

# With TLS nothing else is taken, by the others of a Redis Cluster either.
redis_ports() {
    if [ "${shape[tls]}" -eq 0 ]; then
        printf 'port %s\n' "$1"
        return
    fi
    printf 'port 0\ntls-port %s\ntls-replication yes\ntls-auth-clients yes\ntls-ca-cert-file %s/tls/ca.crt\n' "$1" "$dir"
    printf 'tls-cert-file %s/tls/servers.crt\ntls-key-file %s/tls/servers.key\n' "$dir" "$dir"
    [ "${shape[redis]}" -eq 1 ] || printf 'tls-cluster yes\n'
}
