"""What tests/lint holds the tree against: the rules of the house as tables."""

import re

TOP_LEVEL = {"CMakeLists.txt", "CMakePresets.json", "LICENSE", "README.md",
             "src", "include", "proto", "tests", "bench", "deploy"}

# A room includes itself and rooms on lower floors.
FLOORS = {
    "base": 0,
    "wire": 1, "loop": 1,
    "driver": 2,
    "store": 3, "queue": 3, "registry": 3, "discovery": 3,
    "session": 4, "message": 4, "api": 4, "manager": 4, "client": 4,
    "petreld": 5, "petrelctl": 5,
}
PORT_ROOMS = {"store", "queue", "registry", "discovery"}
CLIENT_ROOMS = {"client", "petrelctl"}
IMPLEMENTATIONS = {"sqlite", "redis", "mysql", "zookeeper", "single"}

C_TOPS = ("src", "include", "tests", "bench")
UMBRELLA_NAMES = {stem + end for end in (".c", ".h")
                  for stem in ("util", "utils", "common", "misc", "helper", "helpers", "all", "includes")}

# Header -> the places that may include it.
FOREIGN = [
    # petrelctl listen is an application of libpetrel's libuv driver, so it brings a loop.
    (r"uv(\.h$|/)", [r"src/loop/", r"src/client/\w+_uv\.[ch]$", r"src/client/example/",
                     r"src/petrelctl/command_listen\.c$"]),
    (r"openssl/", [r"src/wire/", r"src/loop/", r"src/client/client_tls\.c$"]),
    (r"cjose/", [r"src/wire/"]),
    (r"protobuf-c/|.*\.pb-c\.h$", [r"src/wire/"]),
    (r"http_parser\.h$|wslay/|nghttp2/", [r"src/wire/"]),
    (r"hiredis/|mysql|mariadb|errmsg\.h$|zookeeper/|sqlite3\.h$", [r"src/driver/"]),
    (r"jansson\.h$", [r"src/api/", r"src/client/servers_answer\.c$", r"src/petrelctl/", r"src/petreld/",
                      r"src/wire/\w*token\w*\.c$"]),
    (r"curl/", [r"src/petrelctl/"]),
    (r"ini\.h$|systemd/", [r"src/petreld/"]),
    (r"xxhash\.h$", [r"src/base/"]),
    (r"(pthread|threads)\.h$", [r"src/loop/", r"src/base/log\.c$"]),
]

# (should be at most, must be at most), in lines.
SOURCE_LINES = (500, 800)
HEADER_LINES = (150, 150)
FUNCTION_LINES = (60, 100)
PORT_OPERATIONS = 12

GLOBALS_ALLOWED = {"src/base/log.c"}
SANITIZER_CHECK = r"__SANITIZE_|__has_feature"

SLEEP_C = r"\b(sleep|usleep|nanosleep|clock_nanosleep|thrd_sleep|uv_sleep|g_usleep)\s*\("
SLEEP_SCRIPT = r"(^|[;&|({]|\b(do|then|else)\b)\s*sleep\s|\btime\.sleep\(|read\s+-t\s*[0-9]"
MARKS = r"\b(TODO|FIXME|XXX|HACK)\b"
MACHINE_PATHS = r"(?<![\w./-])/(work|home|root|Users)/[\w.]|(?<![\w.])/tmp/b-"

# Files that name what is forbidden.
RULE_FILES = {"tests/lint", "tests/lib/lint_source.py", "tests/lib/lint_tables.py",
              "tests/lib/lint_cases.py"}

INCLUDE_PACKAGES = [
    (r"uv(\.h$|/)", "libuv1-dev"),
    (r"openssl/", "libssl-dev"),
    (r"gnutls/", "libgnutls28-dev"),
    (r"cjose/", "libcjose-dev"),
    (r"protobuf-c/", "libprotobuf-c-dev"),
    (r"http_parser\.h$", "libhttp-parser-dev"),
    (r"wslay/", "libwslay-dev"),
    (r"nghttp2/", "libnghttp2-dev"),
    (r"hiredis/", "libhiredis-dev"),
    (r"mysql|mariadb|errmsg\.h$", "libmariadb-dev"),
    (r"zookeeper/", "libzookeeper-mt-dev"),
    (r"sqlite3\.h$", "libsqlite3-dev"),
    (r"jansson\.h$", "libjansson-dev"),
    (r"curl/", "libcurl4-openssl-dev"),
    (r"ini\.h$", "libinih-dev"),
    (r"systemd/", "libsystemd-dev"),
    (r"xxhash\.h$", "libxxhash-dev"),
    (r"cmocka\.h$", "libcmocka-dev"),
    (r"sanitizer/", "gcc"),
]
LIBC_HEADERS = (
    r"(sys|netinet|arpa|net|linux|asm|bits)/|petrel/|"
    r"(assert|complex|ctype|errno|fenv|float|inttypes|iso646|limits|locale|math|setjmp|signal|"
    r"stdalign|stdarg|stdatomic|stdbool|stddef|stdint|stdio|stdlib|stdnoreturn|string|tgmath|"
    r"threads|time|uchar|wchar|wctype|aio|dirent|dlfcn|endian|err|execinfo|fcntl|fnmatch|ftw|"
    r"getopt|glob|grp|ifaddrs|langinfo|libgen|link|malloc|mqueue|netdb|poll|pthread|pty|pwd|"
    r"regex|sched|search|semaphore|spawn|stdio_ext|strings|syslog|termios|ucontext|unistd|utime|"
    r"utmp|wordexp|immintrin|cpuid)\.h$")

# Programs that a minimal Debian does not have. Essential packages (coreutils, sed, grep, bash,
# findutils, util-linux, perl-base) need no mention.
PROGRAM_PACKAGES = {
    "gcc": "gcc", "cmake": "cmake", "ctest": "cmake", "ninja": "ninja-build", "nm": "binutils",
    "pkg-config": "pkg-config", "protoc-c": "protobuf-c-compiler", "protoc": "protobuf-compiler",
    "clang": "clang", "clang-format": "clang-format", "clang-tidy": "clang-tidy",
    "ccache": "ccache", "git": "git", "curl": "curl", "wget": "wget", "jq": "jq",
    "python3": "python3", "npm": "npm", "node": "nodejs", "chromium": "chromium", "openssl": "openssl",
    "sqlite3": "sqlite3", "redis-server": "redis-server", "redis-cli": "redis-tools",
    "mariadbd": "mariadb-server", "mariadb-install-db": "mariadb-server", "mysqld": "mariadb-server",
    "java": "default-jre-headless",
    "nc": "netcat-openbsd", "socat": "socat", "ss": "iproute2", "ip": "iproute2",
    "ps": "procps", "pgrep": "procps", "sysctl": "procps", "lsof": "lsof", "strace": "strace",
    "perf": "linux-perf", "gdb": "gdb", "valgrind": "valgrind", "xxd": "xxd", "bc": "bc",
    "file": "file", "hexdump": "bsdextrautils", "make": "make", "shellcheck": "shellcheck",
    "systemctl": "systemd", "docker": "docker.io",
}
_programs = "|".join(sorted(map(re.escape, PROGRAM_PACKAGES), key=len, reverse=True))
STARTED_QUOTED = rf'"({_programs})"'
STARTED = (
    r"(?:^\s*|[|&;(`!]\s*|\b(?:exec|command -v|sudo|then|do|else|timeout \d+|time)\s+|#!/usr/bin/env )"
    rf"(?P<word>{_programs})(?=\s|$)(?!\s*[=(])" rf"|[\"'](?P<quoted>{_programs})[\"']")
