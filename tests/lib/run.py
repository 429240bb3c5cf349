"""usage: tests/run [pattern]

Installs the packages of deploy/packages, builds, and runs every test there is:

  lint        the rules of the house, and the proof that each of them can fail
  debug       all tests, under AddressSanitizer and UndefinedBehaviorSanitizer
  tsan        the tests marked TSAN, under ThreadSanitizer
  system      the executables tests/system/t_*
  fuzz        each fuzz target for a few seconds
  ledger      a short run of tests/ledger, users and topics, on one server and (ledger-cluster) on a cluster

pattern is a regular expression: only tests whose name it is found in are run, and only what they
need is built. A test under ThreadSanitizer is named tsan/<test>.

Output of quiet parts is in build/tests/. What a part leaves running is ended and counts as a failure.
The last line is `N passed, N failed`. Exit codes: 0 all passed; 1 some failed, or nothing ran; 2 wrong usage.
"""

import ctypes
import glob
import json
import os
import re
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree

HOUSE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LOGS = os.path.join(HOUSE, "build", "tests")
JOBS = str(len(os.sched_getaffinity(0)))
GRACE_S = 5
PROGRESS_S = 10

# Parts that are one executable each, run when it is there: name, command, limit in seconds.
SCRIPTS = [
    ("fuzz", ["tests/fuzz/run", "--seconds", "3"], 900),
    ("ledger", ["tests/ledger", "--kills", "3", "--devices", "200", "--rate", "500", "--seconds", "3", "--seed", "1"],
     600),
    ("ledger-cluster", ["tests/ledger", "--cluster", "--faults", "kill-session,kill-redis-master", "--devices", "200",
                        "--rate", "300", "--seconds", "36", "--seed", "1"], 600),
]
BUILD_LIMIT_S = 3600
SYSTEM_LIMIT_S = 600


def children():
    """Pids and names of the live children of this process."""
    found = []
    for path in glob.glob("/proc/[0-9]*/stat"):
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                pid, name, rest = re.match(r"(\d+) \((.*)\) (.*)", file.read(), re.S).groups()
        except OSError:
            continue
        state, parent = rest.split()[:2]
        if int(parent) == os.getpid() and state != "Z":
            found.append((int(pid), name))
    return found


def reap():
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def end_leftovers(grace):
    """Ends every process that is still ours, orphans included, and names them."""
    deadline = time.monotonic() + grace
    reap()
    while children() and time.monotonic() < deadline:
        signal.sigtimedwait({signal.SIGCHLD}, 0.1)
        reap()
    ended = set()
    while left := children():
        for pid, name in left:
            ended.add(name)
            os.kill(pid, signal.SIGKILL)
        signal.sigtimedwait({signal.SIGCHLD}, 1)
        reap()
    return sorted(ended)


def allow_sigchld():
    """In a child: we block SIGCHLD to wait for it, cmake and others would wait for ever."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})


class Run:
    def __init__(self, pattern):
        self.pattern = re.compile(pattern)
        self.everything = pattern == ""
        self.passed = 0
        self.failures = []

    def wants(self, name):
        return self.pattern.search(name) is not None

    def result(self, name, problem=None):
        if problem is None:
            self.passed += 1
        else:
            self.failures.append(f"{name}: {problem}")

    def start(self, command, limit, log=None):
        """Runs a command to its end. With a log its output goes there, and here only as progress
        and when it fails. Returns what went wrong, or None."""
        started = shown = time.monotonic()
        environment = dict(os.environ, PETREL_SOURCE_DIR=HOUSE,
                           PETREL_BIN_DIR=os.path.join(HOUSE, "build", "debug", "bin"))
        out = open(os.path.join(LOGS, log + ".log"), "w+", encoding="utf-8", errors="replace") if log else None
        try:
            process = subprocess.Popen(command, cwd=HOUSE, stdin=subprocess.DEVNULL, stdout=out,
                                       stderr=subprocess.STDOUT if out else None, env=environment,
                                       preexec_fn=allow_sigchld)
        except OSError as error:
            return str(error)
        while process.poll() is None and time.monotonic() - started < limit:
            signal.sigtimedwait({signal.SIGCHLD}, 1)
            if out and time.monotonic() - shown > PROGRESS_S:
                shown = time.monotonic()
                last = (self.tail(out, 1) or [""])[0]
                print(f"  {shown - started:4.0f} s  {last[:100]}", flush=True)
        problem = None
        if process.poll() is None:
            process.kill()
            process.wait()
            problem = f"not done after {limit} s"
        elif process.returncode != 0:
            code = process.returncode
            problem = f"exit code {code}" if code > 0 else f"ended by {signal.Signals(-code).name}"
        if problem and out:
            print("\n".join(self.tail(out, 60)), flush=True)
        left = end_leftovers(GRACE_S)
        if left:
            problem = (problem + ", " if problem else "") + "left running: " + " ".join(left)
        if out:
            out.close()
        return problem

    @staticmethod
    def tail(file, lines):
        with open(file.name, encoding="utf-8", errors="replace") as again:
            return again.read().splitlines()[-lines:]

    def part(self, title, work, *args):
        print(f"== {title}", flush=True)
        started = time.monotonic()
        work(*args)
        print(f"== {title}: {time.monotonic() - started:.1f} s\n", flush=True)

    def one(self, name, command, limit, log=None):
        self.result(name, self.start(command, limit, log))

    def registered(self, preset, label):
        """The tests that ctest knows of, of those wanted."""
        out = subprocess.run(["ctest", "--test-dir", f"build/{preset}", "--show-only=json-v1"],
                             cwd=HOUSE, capture_output=True, text=True, check=True, preexec_fn=allow_sigchld).stdout
        names = []
        for test in json.loads(out)["tests"]:
            labels = next((p["value"] for p in test.get("properties", []) if p["name"] == "LABELS"), [])
            prefix = "" if label is None else label + "/"
            if (label is None or label in labels) and self.wants(prefix + test["name"]):
                names.append(test["name"])
        return names

    def suite(self, preset, label=None):
        """Configures, builds and runs the tests of one preset."""
        problem = self.start(["cmake", "--preset", preset], BUILD_LIMIT_S, f"configure-{preset}")
        if problem:
            self.result(f"configure {preset}", problem)
            return
        names = self.registered(preset, label)
        whole = self.everything and label is None
        if not names and not whole:
            return
        targets = [] if whole else ["--target", *names]
        problem = self.start(["cmake", "--build", "--preset", preset, "-j", JOBS, *targets, "--", "-k", "0"],
                             BUILD_LIMIT_S, f"build-{preset}")
        if problem:
            self.result(f"build {preset}", problem)
        if not names:
            return
        report = os.path.join(LOGS, f"ctest-{preset}.xml")
        if os.path.exists(report):
            os.remove(report)
        problem = self.start(["ctest", "--test-dir", f"build/{preset}", "-j2", "--output-on-failure",
                              "--output-junit", report, "-R", "^(" + "|".join(map(re.escape, names)) + ")$"],
                             BUILD_LIMIT_S)
        self.count(preset, label, names, report, problem)

    def count(self, preset, label, names, report, problem):
        prefix = "" if label is None else label + "/"
        states = {}
        if os.path.exists(report):
            for case in xml.etree.ElementTree.parse(report).iter("testcase"):
                states[case.get("name")] = case.get("status")
        for name in names:
            state = states.get(name, "no result")
            self.result(prefix + name, None if state == "run" else
                        {"fail": "failed", "notrun": "could not be run"}.get(state, state))
        failed = any(states.get(name) != "run" for name in names)
        if problem and not (failed and problem.startswith("exit code") and "left" not in problem):
            self.result(f"ctest {preset}", problem)

    def lint(self):
        for name, arguments in [("lint", []), ("lint --self-test", ["--self-test"])]:
            if self.wants(name):
                self.one(name, ["tests/lint", *arguments], 300)

    def scripts(self):
        system = [(os.path.relpath(path, HOUSE), SYSTEM_LIMIT_S)
                  for path in sorted(glob.glob(os.path.join(HOUSE, "tests", "system", "t_*")))
                  if os.path.isfile(path) and os.access(path, os.X_OK)]
        parts = [(os.path.basename(path), [path], limit) for path, limit in system] + SCRIPTS
        for name, command, limit in parts:
            if self.wants(name) and os.path.isfile(os.path.join(HOUSE, command[0])):
                if not self.everything:
                    self.build_programs()
                self.part(name, self.one, name, command, limit)

    def build_programs(self):
        """What a script may start, when a pattern left the whole build out."""
        problem = (self.start(["cmake", "--preset", "debug"], BUILD_LIMIT_S, "configure-debug") or
                   self.start(["cmake", "--build", "--preset", "debug", "-j", JOBS], BUILD_LIMIT_S, "build-debug"))
        if problem:
            self.result("build debug", problem)

    def all(self):
        self.part("packages", self.packages)
        if self.wants("lint") or self.wants("lint --self-test"):
            self.part("lint", self.lint)
        self.part("debug: ASan and UBSan", self.suite, "debug")
        self.part("tsan: ThreadSanitizer", self.suite, "tsan", "tsan")
        self.scripts()

    def packages(self):
        problem = self.start(["deploy/install-packages", "build", "run", "test"], BUILD_LIMIT_S)
        if problem:
            self.result("packages", problem)


def interrupted(number, _):
    end_leftovers(0)
    print(f"tests/run: {signal.Signals(number).name}", file=sys.stderr)
    os._exit(128 + number)


def main():
    arguments = sys.argv[1:]
    if arguments in (["-h"], ["--help"]):
        print(__doc__, end="")
        return 0
    if len(arguments) > 1 or arguments and arguments[0].startswith("-"):
        print(__doc__.splitlines()[0], file=sys.stderr)
        return 2
    try:
        run = Run(arguments[0] if arguments else "")
    except re.error as error:
        print(f"tests/run: not a regular expression: {error}", file=sys.stderr)
        return 2
    os.makedirs(LOGS, exist_ok=True)
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER: orphans come to us, so that none is left behind
    # ADDR_NO_RANDOMIZE: the sanitizers of gcc 12 and clang 14 cannot map their shadow memory where
    # the kernel randomises more bits than they knew of. Where it is refused, they run as they are.
    libc.personality(0x0040000)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupted)
    run.all()
    for failure in run.failures:
        print(f"FAILED {failure}")
    print(f"{run.passed} passed, {len(run.failures)} failed", flush=True)
    return 0 if run.passed and not run.failures else 1


if __name__ == "__main__":
    sys.exit(main())
