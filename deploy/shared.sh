# What the commands of deploy/ have in common; sourced by bash, after `program` was set to the command's name.
# shellcheck shell=bash disable=SC2154

house="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"

say() {
    printf '\n== %s\n' "$*"
}

# What, and the end of the log that tells why.
fail() {
    printf '\n%s: %s\n' "$program" "$1" >&2
    if [ -n "${2-}" ] && [ -s "$2" ]; then
        printf '%s\n' "--- the end of $2:" >&2
        tail -n 30 "$2" >&2
    fi
    exit 1
}

wrong_usage() {
    printf '%s: %s; see deploy/%s --help\n' "$program" "$1" "$program" >&2
    exit 2
}

# Shows how far ninja is: in place on a terminal, at each quarter elsewhere.
show_progress() {
    local line last=0
    while IFS= read -r line; do
        [[ "$line" =~ ^\[([0-9]+)/([0-9]+)\] ]] || continue
        local done=${BASH_REMATCH[1]} all=${BASH_REMATCH[2]}
        if [ -t 1 ]; then
            printf '\r   %d of %d' "$done" "$all"
        elif [ $((done * 4 / all)) -gt "$last" ]; then
            last=$((done * 4 / all))
            printf '   %d of %d\n' "$done" "$all"
        fi
    done
    [ ! -t 1 ] || printf '\r\033[K'
}

# petreld and petrelctl, in build/release.
build_release() {
    local log="$house/build/$program-build.log"
    mkdir -p "$house/build"
    (cd "$house" && cmake --preset release) >"$log" 2>&1 || fail "cmake could not configure the build" "$log"
    (cd "$house" && cmake --build --preset release --target petreld petrelctl) 2>&1 | tee -a "$log" | show_progress ||
        fail "the build failed" "$log"
}
