"""Proves that each rule of tests/lint can fail.

A small clean tree is laid out, each violation is put into a copy of it, and exactly the expected
findings, with file and line, must come back. The clean tree holds what looks like a violation and
is none, so a rule that is too eager fails here as well."""

import os
import subprocess
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
HOUSE = os.path.dirname(os.path.dirname(HERE))

CLEAN = {
    "CMakeLists.txt": "project(x)\n",
    "deploy/packages": "[build]\nlibuv1-dev # loops\nlibsqlite3-dev\nlibjansson-dev\nlibcmocka-dev\npython3\n",
    "src/base/table.h": (
        "/* table.h: names, sorted. A goto or a sleep(1) in a comment is no violation. */\n"
        "#ifndef BASE_TABLE_H\n#define BASE_TABLE_H\n\nstruct table;\n\n"
        "extern const int table_size;\n\n"
        "/* Calls each for every name. */\n"
        "void table_walk(const struct table *table, void (*each)(const char *name, void *ctx), void *ctx);\n\n"
        "/* table_sort.c */\nvoid table_order(struct table *table);\n\n"
        "#endif\n"),
    "src/base/table_sort.c": (
        '#include "base/table.h"\n\nvoid table_order(struct table *table)\n{\n    (void)table;\n}\n'),
    "src/base/table.c": (
        '#include "base/table.h"\n\n#include <stddef.h>\n\n'
        "struct table {\n    int size;\n};\n\n"
        'static const char *const names[] = {"goto", "a{b", "/* sleep(1) */"};\n'
        "static int (*const compare)(const char *a, const char *b) = NULL;\n"
        "const int table_size = sizeof names / sizeof names[0];\n\n"
        "static void visit(const char *name, void (*each)(const char *name, void *ctx), void *ctx)\n"
        "{\n    static const char brace[] = {'{', '}'};\n\n    if (brace[0] == '{' && compare == NULL) {\n"
        "        each(name, ctx);\n    }\n}\n\n"
        "void table_walk(const struct table *table, void (*each)(const char *name, void *ctx), void *ctx)\n"
        "{\n    for (int i = 0; i < table->size; i++) {\n        visit(names[i], each, ctx);\n    }\n}\n"),
    "src/loop/loop.c": '#include <uv.h>\n\n#include "base/table.h"\n',
    "src/store/store.h": "struct store_ops {\n    int (*bind)(void *store);\n    void (*close)(void *store);\n};\n",
    "src/store/store_sqlite.c": '#include "store/store.h"\n',
    "src/store/store_redis.h": "struct store_redis;\n",
    "src/petreld/backends.c": '#include "store/store_redis.h"\n',
    "tests/unit/test_table.c": "#include <cmocka.h>\n",
    "tests/run": "#!/usr/bin/env bash\npython3 -V\necho 'asleep 5'\n",
}

# Where text that is added to table.c begins.
END = CLEAN["src/base/table.c"].count("\n") + 1


def _function(lines):
    return "void table_long(void)\n{\n" + "    ;\n" * (lines - 3) + "}\n"


def _operations(count):
    rows = "".join(f"    int (*op{i})(void *store);\n" for i in range(count))
    return "struct store_ops {\n" + rows + "};\n"


# name: ({file: text that replaces it, or is added after "+"}, [(file, line, part of the message)])
CASES = {
    "a stranger at the top": ({"scripts/x.sh": "true\n"}, [("scripts/x.sh", 1, "top level")]),
    "a folder that is no room": ({"src/helpers/a.txt": "\n"}, [("src/helpers/a.txt", 1, "not in a room")]),
    "utils": ({"src/base/utils.h": "struct utils;\n"}, [("src/base/utils.h", 1, "no utils")]),
    "an umbrella header": (
        {"src/store/every.h": '#include "base/table.h"\n#include "store/store.h"\n'},
        [("src/store/every.h", 1, "umbrella")]),
    "an include that goes up": (
        {"src/base/x.c": '\n#include "store/store.h"\n'}, [("src/base/x.c", 2, "goes up")]),
    "an include between roles": (
        {"src/session/x.c": '#include "message/deliver.h"\n'}, [("src/session/x.c", 1, "goes sideways")]),
    "an include without its room": (
        {"src/base/x.c": '#include "table.h"\n'}, [("src/base/x.c", 1, "name their room")]),
    "libpetrel inside the server": (
        {"src/session/x.c": "#include <petrel/client.h>\n"}, [("src/session/x.c", 1, "libpetrel's")]),
    "one implementation in another": (
        {"src/store/store_sqlite.c": '\n\n#include "store/store_redis.h"\n'},
        [("src/store/store_sqlite.c", 3, "includes another")]),
    "an implementation named by a role": (
        {"src/message/x.c": '#include "store/store_redis.h"\n'},
        [("src/message/x.c", 1, "only petreld names")]),
    "a foreign type": (
        {"src/store/x.c": "#include <sqlite3.h>\n"}, [("src/store/x.c", 1, "foreign type")]),
    "a foreign type in an installed header": (
        {"include/petrel/client.h": "#include <uv.h>\n"}, [("include/petrel/client.h", 1, "foreign type")]),
    "a long header": (
        {"src/base/x.h": "extern const int x;\n" * 151}, [("src/base/x.h", 151, "151 lines")]),
    "a long source": (
        {"tests/unit/x.c": "extern const int x;\n" * 801}, [("tests/unit/x.c", 801, "801 lines")]),
    "a long function": (
        {"src/base/table.c": "+" + _function(101)}, [("src/base/table.c", END, "table_long: 101 lines")]),
    "a wide port": (
        {"src/store/store.h": _operations(13)}, [("src/store/store.h", 1, "13 operations")]),
    "an export of another name": (
        {"src/base/table.c": "+int other(void)\n{\n    return 0;\n}\n"},
        [("src/base/table.c", END, "exports 'other'")]),
    "an exported constant of another name": (
        {"src/base/table.c": "+const int other = 1;\n"}, [("src/base/table.c", END, "exports 'other'")]),
    "a part of a module that exports what its header does not declare": (
        {"src/base/table_sort.c": "int table_secret(void)\n{\n    return 0;\n}\n"},
        [("src/base/table_sort.c", 1, "exports 'table_secret'")]),
    "a mutable global": (
        {"src/base/table.c": "+static int count;\n"}, [("src/base/table.c", END, "mutable global 'count'")]),
    "a mutable pointer to constants": (
        {"src/base/table.c": '+static const char *name = "x";\n'},
        [("src/base/table.c", END, "mutable global 'name'")]),
    "a mutable pointer to a function": (
        {"src/base/table.c": "+static void (*hook)(int signum);\n"},
        [("src/base/table.c", END, "mutable global 'hook'")]),
    "a mutable thread-local": (
        {"src/base/table.c": "+static _Thread_local int depth = 0;\n"},
        [("src/base/table.c", END, "mutable global 'depth'")]),
    "a mutable structure": (
        {"src/base/table.c": "+static struct {\n    int a;\n} state = {.a = 1};\n"},
        [("src/base/table.c", END, "mutable global 'state'")]),
    "a mutable static local": (
        {"src/base/table.c": "+int table_next(void)\n{\n    static int next;\n    return next++;\n}\n"},
        [("src/base/table.c", END + 2, "static local")]),
    "goto": (
        {"src/base/table.c": "+void table_x(void)\n{\n    goto end;\nend:\n    return;\n}\n"},
        [("src/base/table.c", END + 2, "goto")]),
    "#if inside a function": (
        {"src/base/table.c": "+void table_x(void)\n{\n#ifdef __linux__\n    return;\n#endif\n}\n"},
        [("src/base/table.c", END + 2, "#if inside")]),
    "a sleep in a test": (
        {"tests/unit/test_table.c": "static void wait_a_while(void)\n{\n    usleep(10);\n}\n"},
        [("tests/unit/test_table.c", 3, "a sleep")]),
    "a sleep in a script of the tests": (
        {"tests/run": "#!/usr/bin/env bash\nwhile true; do sleep 1; done\n"}, [("tests/run", 2, "a sleep")]),
    "a mark": ({"proto/x.proto": "\n// FIX" + "ME\n"}, [("proto/x.proto", 2, "is left")]),
    "a path of one machine": (
        {"deploy/x.sh": "cat /ho" + "me/joe/x\n"}, [("deploy/x.sh", 1, "path of one machine")]),
    "an include without its package": (
        {"src/wire/x.c": "#include <http_parser.h>\n"}, [("src/wire/x.c", 1, "libhttp-parser-dev")]),
    "an unknown system header": (
        {"src/wire/x.c": "#include <strange.h>\n"}, [("src/wire/x.c", 1, "no package is known")]),
    "a program without its package": (
        {"tests/run": "#!/usr/bin/env bash\ntrue && cmake --version\n"}, [("tests/run", 2, "package cmake")]),
    "a program started by a test without its package": (
        {"tests/unit/test_table.c": 'static const char *const server = "redis-server";\n'},
        [("tests/unit/test_table.c", 1, "package redis-server")]),
    "a layout of one's own": (
        {"src/base/table.c": "+int table_x( void );\n"}, [("src/base/table.c", END, "clang-format")]),
}


def _lay(root, files):
    for path, text in files.items():
        target = os.path.join(root, path)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with open(target, "w", encoding="utf-8") as file:
            file.write(text)


def _check(lint, name, change, expected):
    files = dict(CLEAN)
    for path, text in change.items():
        files[path] = files[path] + text[1:] if text.startswith("+") else text
    with tempfile.TemporaryDirectory(prefix="petrel-lint-") as root:
        with open(os.path.join(HOUSE, ".clang-format"), encoding="utf-8") as file:
            files[".clang-format"] = file.read()
        _lay(root, files)
        found = lint(root).findings
    matched = len(found) == len(expected) and all(
        any(f[0] == path and f[1] == line and part in f[2] for f in found) for path, line, part in expected)
    if not matched:
        print(f"lint --self-test: {name}: expected {expected}, found {found}")
    return matched


def _check_objects(lint):
    """What only the linker sees: a name made by a macro."""
    text = "#define MAKE(name) int name##_made(void)\nMAKE(other);\nMAKE(other)\n{\n    return 0;\n}\n"
    with tempfile.TemporaryDirectory(prefix="petrel-lint-") as root:
        folder = os.path.join(root, "build/src/base/CMakeFiles/petrel_base.dir")
        _lay(root, {"src/base/table.c": text})
        os.makedirs(folder)
        subprocess.run(["gcc", "-c", os.path.join(root, "src/base/table.c"), "-o",
                        os.path.join(folder, "table.c.o")], check=True)
        found = [f for f in lint(root, os.path.join(root, "build")).findings if "object exports" in f[2]]
    good = len(found) == 1 and found[0][0] == "src/base/table.c" and "'other_made'" in found[0][2]
    if not good:
        print(f"lint --self-test: objects: found {found}")
    return good


def run(lint):
    cases = [("the clean tree", {}, [])] + [(n, c, e) for n, (c, e) in CASES.items()]
    results = [_check(lint, *case) for case in cases] + [_check_objects(lint)]
    print(f"lint --self-test: {sum(results)} of {len(results)} cases as expected")
    return 0 if all(results) else 1
