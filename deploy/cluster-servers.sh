# The servers in which deploy/cluster keeps its data, how each is configured, started and asked; sourced by it.
# shellcheck shell=bash disable=SC2154,SC2119,SC2120

# ---- Redis

redis() {
    local name=$1
    shift
    REDISCLI_AUTH=$(<"$dir/redis.password") timeout 10 redis-cli "${redis_cli_tls[@]}" -h 127.0.0.1 -p "${port["$name port"]}" \
        "$@" 2>&1
}

node_timeout_ms=2000

# Waits until a Redis of a cluster may start again: see start in deploy/cluster --help. One that ended by itself, at a time
# that nobody knows, has ended now. Where no other runs none can have taken its place.
await_failover() {
    local name=$1 other ended others=
    for other in $(all_of redis); do
        ! pid_of "$other" >/dev/null || others=yes
    done
    if [ -z "$at_once" ] && [ "${shape[redis]}" -gt 1 ] && [ -n "$others" ] && [ -e "$dir/$name/redis.conf" ]; then
        ended=$(cat "$dir/$name/ended" 2>/dev/null) || { [ ! -e "$dir/$name/pid" ] || ended=$(date +%s); }
        while [ -n "$ended" ] && [ $(($(date +%s) - ended)) -le $((2 * node_timeout_ms / 1000 + 5)) ]; do sleep 0.2; done
    fi
    rm -f "$dir/$name/ended"
}

start_redis() {
    local name=$1
    {
        printf 'bind 127.0.0.1\ndir "%s"\n' "$dir/$name"
        redis_ports "${port["$name port"]}"
        printf 'requirepass %s\nmasterauth %s\n' "$(<"$dir/redis.password")" "$(<"$dir/redis.password")"
        printf 'appendonly yes\nappendfsync always\nsave ""\nmaxmemory-policy noeviction\nrepl-diskless-sync-delay 0\n'
        [ "${shape[redis]}" -eq 1 ] ||
            printf 'cluster-enabled yes\ncluster-node-timeout %s\ncluster-require-full-coverage no\n' "$node_timeout_ms"
    } >"$dir/$name/redis.conf"
    spawn "$name" redis-server "$dir/$name/redis.conf"
}

# Every server knows all the others, none is taken for dead, all slots are served, and replicas have what their masters have.
redis_cluster_is_whole() {
    local name info
    for name in $(all_of redis); do
        info=$(redis "$name" CLUSTER INFO)
        [[ "$info" == *cluster_state:ok* && "$info" == *cluster_slots_ok:16384* ]] || return 1
        [[ "$info" == *"cluster_known_nodes:${shape[redis]}"* ]] || return 1
        [[ "$(redis "$name" CLUSTER NODES)" != *fail* ]] || return 1
        [[ "$(redis "$name" INFO replication)" != *master_link_status:down* ]] || return 1
    done
}

await_whole_redis() {
    local i
    for ((i = 0; i < 300; i++)); do
        ! redis_cluster_is_whole || return 0
        sleep 0.1
    done
    fail "the Redis Cluster was not whole after 30 s" "$(log_of redis-1)"
}

redis_masters() {
    local name flags slots
    for name in $(all_of redis); do
        read -r _ _ flags _ _ _ _ _ slots < <(redis "$name" CLUSTER NODES | grep -w myself) || true
        [[ "$flags" != *master* || -z "$slots" ]] || printf '%s\n' "$name"
    done
}

redis_tool() {
    REDISCLI_AUTH=$(<"$dir/redis.password") timeout 120 redis-cli "${redis_cli_tls[@]}" --cluster "$@"
}

# What a failure leaves half moved is mended.
reshard_redis() {
    local log="$dir/redis-reshard.log" address="127.0.0.1:${port["$1 port"]}"
    redis_tool reshard "$address" --cluster-from "$(redis "$1" CLUSTER MYID)" --cluster-to "$(redis "$2" CLUSTER MYID)" \
        --cluster-slots "$3" --cluster-yes >"$log" 2>&1 && return
    redis_tool fix "$address" --cluster-yes >>"$log" 2>&1 || true
    fail "slots could not be moved from $1 to $2" "$log"
}

join_redis() {
    local name addresses=() log="$dir/redis-create.log"
    for name in $(all_of redis); do addresses+=("127.0.0.1:${port["$name port"]}"); done
    if redis redis-1 CLUSTER INFO | grep -q '^cluster_known_nodes:1.$'; then
        redis_tool create "${addresses[@]}" --cluster-replicas 1 --cluster-yes >"$log" 2>&1 ||
            fail "the Redis Cluster could not be made" "$log"
    fi
    await_whole_redis
}

# ---- ZooKeeper

zookeeper_mode() {
    # shellcheck disable=SC2016 # $1 is of the inner shell
    timeout 2 bash -c 'exec 3<>"/dev/tcp/127.0.0.1/$1" && printf srvr >&3 && cat <&3' - "$1" 2>/dev/null
}

start_zookeeper() {
    local name=$1 other
    mkdir -p "$dir/$name/data"
    printf '%s\n' "${name#*-}" >"$dir/$name/data/myid"
    {
        printf 'tickTime=500\ninitLimit=20\nsyncLimit=10\nmaxSessionTimeout=60000\nmaxClientCnxns=0\n'
        printf 'dataDir=%s\nclientPort=%s\nclientPortAddress=127.0.0.1\n' "$dir/$name/data" "${port["$name port"]}"
        printf 'admin.enableServer=false\n4lw.commands.whitelist=srvr\n'
        for other in $(all_of zookeeper); do
            [ "${shape[zookeepers]}" -eq 1 ] ||
                printf 'server.%s=127.0.0.1:%s:%s\n' "${other#*-}" "${port["$other quorum"]}" "${port["$other election"]}"
        done
    } >"$dir/$name/zoo.cfg"
    spawn "$name" java -Xms16m -Xmx128m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 \
        -cp /usr/share/java/zookeeper.jar:/usr/share/java/slf4j-simple.jar \
        org.apache.zookeeper.server.quorum.QuorumPeerMain "$dir/$name/zoo.cfg"
}

# ---- MariaDB

sql() {
    timeout 20 mariadb --no-defaults --user="$(id -un)" --socket="$dir/mariadb/sock" --batch "$@"
}

start_mariadb() {
    local common=(--no-defaults --datadir="$dir/mariadb/data" --innodb-log-file-size=16M --innodb-buffer-pool-size=32M
        --skip-name-resolve)
    # Who starts it is its administrator, by the socket and without a password. It refuses to be root unless it is told to.
    [ "$(id -u)" -ne 0 ] || common+=(--user=root)
    [ ${#dir} -lt 90 ] || fail "the name of $dir is too long for MariaDB's socket; choose another --dir"
    if [ ! -e "$dir/mariadb/installed" ]; then
        rm -rf "$dir/mariadb/data"
        timeout 120 mariadb-install-db "${common[@]}" --auth-root-authentication-method=socket \
            --auth-root-socket-user="$(id -un)" --skip-test-db >"$dir/mariadb/install.log" 2>&1 ||
            fail "MariaDB's files could not be made" "$dir/mariadb/install.log"
        touch "$dir/mariadb/installed"
    fi
    [ "${shape[tls]}" -eq 0 ] || common+=(--ssl-ca="$dir/tls/ca.crt" --ssl-cert="$dir/tls/servers.crt" --ssl-key="$dir/tls/servers.key")
    spawn mariadb mariadbd "${common[@]}" --socket="$dir/mariadb/sock" --bind-address=127.0.0.1 --port="${port["mariadb port"]}" \
        --pid-file="$dir/mariadb/mariadbd.pid" --skip-log-bin --performance-schema=OFF
}

make_database() {
    local how=
    [ "${shape[tls]}" -eq 0 ] || how='REQUIRE X509'
    sql >>"$(log_of mariadb)" 2>&1 <<SQL || fail "the database could not be made" "$(log_of mariadb)"
CREATE DATABASE IF NOT EXISTS petrel;
CREATE OR REPLACE USER petrel@'127.0.0.1' IDENTIFIED BY '$(<"$dir/mysql.password")' $how;
GRANT SELECT, INSERT, UPDATE, DELETE, CREATE ON petrel.* TO petrel@'127.0.0.1';
SQL
}
