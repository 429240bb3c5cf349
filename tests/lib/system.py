"""What the tests/system/t_* have in common: a real petreld, petrelctl, and waiting for what must come.

Everything is bounded in time. A Server ends its petreld by its pid; what a test starts by itself it gives to Processes."""

import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import unittest
import urllib.error
import urllib.request

HOUSE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BIN = os.environ.get("PETREL_BIN_DIR", os.path.join(HOUSE, "build", "debug", "bin"))
PETRELD = os.path.join(BIN, "petreld")
PETRELCTL = os.path.join(BIN, "petrelctl")
LIMIT_S = 60
POLL_S = 0.02


def until(condition, what, seconds=LIMIT_S):
    """The first true value of the condition, which is asked again and again; fails the test when none comes in time."""
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"in {seconds} s there was no: {what}")
        pause.wait(POLL_S)


def read(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except FileNotFoundError:
        return ""


def token_sample(name):
    """A text of tests/unit/token_samples.h."""
    lines = read(os.path.join(HOUSE, "tests", "unit", "token_samples.h")).split(f"#define {name} ")[1].split("\n\n")[0]
    return "".join(re.findall(r'"([^"]*)"', lines)).replace("\\n", "\n")


class Result:
    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err

    def json(self):
        return json.loads(self.out)

    def __repr__(self):
        return f"exit code {self.code}\nout: {self.out}\nerr: {self.err}"


def run(command, stdin="", limit=LIMIT_S, **more):
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=limit, check=False, **more)
    return Result(done.returncode, done.stdout, done.stderr)


class Background:
    """A program whose output goes to files, so that it can be waited for."""

    def __init__(self, command, folder, name, **more):
        self.out_path = os.path.join(folder, name + ".out")
        self.err_path = os.path.join(folder, name + ".err")
        with open(self.out_path, "w", encoding="utf-8") as out, open(self.err_path, "w", encoding="utf-8") as err:
            self.process = subprocess.Popen(command, stdout=out, stderr=err, **{"stdin": subprocess.DEVNULL, **more})

    @property
    def out(self):
        return read(self.out_path)

    @property
    def err(self):
        return read(self.err_path)

    def until(self, condition, what, seconds=LIMIT_S):
        """Waits while it runs."""
        def ask():
            ended = self.process.poll() is not None
            value = condition()
            if ended and not value:
                raise AssertionError(f"ended ({self.process.returncode}) without: {what}\n{self.out}\n{self.err}")
            return value
        return until(ask, what + "\n" + self.err, seconds)

    def wait(self, limit=LIMIT_S):
        self.process.wait(limit)
        return Result(self.process.returncode, self.out, self.err)

    def interrupt(self):
        self.process.send_signal(signal.SIGINT)
        return self.wait()

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(LIMIT_S)


class Server:
    """A petreld on a data directory. Its ports are the kernel's choice at first and the same ever after."""

    def __init__(self, folder, name="data", flags=()):
        self.folder = folder
        self.flags = list(flags)
        self.name = name
        self.data = os.path.join(folder, name)
        self.ports = {"session": 0, "api": 0, "admin": 0}
        self.petreld, self.petrelctl = PETRELD, PETRELCTL
        self.background = None
        self.starts = 0
        self.retry_after = 0  # seconds, in the last refusal
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def start(self):
        self.starts += 1
        flags = [word for kind, port in self.ports.items() for word in (f"--{kind}-host", "127.0.0.1",
                                                                         f"--{kind}-port", str(port))]
        self.background = Background([self.petreld, "--user", "root", "--data-dir", self.data, "--shutdown-grace", "1s", "--shutdown-spread", "1s",
                                      *flags, *self.flags], self.folder, f"{self.name}-petreld-{self.starts}")
        addresses = self.background.until(self._addresses, "petreld.json of this petreld")
        self.ports.update({kind: int(addresses[kind].rsplit(":", 1)[1]) for kind in self.ports if kind in addresses})
        return self

    def _addresses(self):
        try:
            addresses = json.loads(read(os.path.join(self.data, "petreld.json")))
        except ValueError:
            return None
        return addresses if addresses["pid"] == self.background.process.pid else None

    def url(self, kind, path):
        return f"http://127.0.0.1:{self.ports[kind]}{path}"

    def request(self, kind, method, path, body=None, token=None, headers=None):
        """HTTP code and JSON of the answer."""
        headers = dict(headers or {})
        token = token or (read(os.path.join(self.data, "admin.token")).strip() if kind == "admin" else None)
        if token:
            headers["Authorization"] = "Bearer " + token
        if body is not None:
            headers["Content-Type"] = "application/json"
        request = urllib.request.Request(self.url(kind, path), method=method, headers=headers,
                                         data=None if body is None else json.dumps(body).encode())
        try:
            with self._opener.open(request, timeout=LIMIT_S) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            self.retry_after = int(error.headers.get("Retry-After", 0))
            return error.code, json.load(error)

    def text(self, kind, path):
        """What an open path answers, which is no JSON."""
        with self._opener.open(self.url(kind, path), timeout=LIMIT_S) as answer:
            return answer.read().decode()

    def ctl(self, *words, **more):
        return run([self.petrelctl, "--data-dir", self.data, *words], **more)

    def listen(self, name, *words):
        return Background([self.petrelctl, "--data-dir", self.data, "listen", *words], self.folder, name)

    def kill(self):
        self.background.process.kill()
        self.background.wait()

    def stop(self):
        """In order; its exit code must be 0, and the sanitizers must have been content."""
        self.background.process.terminate()
        result = self.background.wait()
        if result.code != 0:
            raise AssertionError(f"petreld: {result}")

    def end(self):
        if self.background is not None:
            self.background.end()


class Case(unittest.TestCase):
    """A test with a folder of its own, whose background programs end with it."""

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="petrel-test-")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        for name in ("PETREL_DATA_DIR", "PETREL_ADMIN"):
            os.environ.pop(name, None)

    def path(self, name):
        return os.path.join(self.folder, name)

    def server(self, name="data", flags=()):
        server = Server(self.folder, name, flags)
        self.addCleanup(server.end)
        return server.start()

    def background(self, program):
        self.addCleanup(program.end)
        return program

    def good(self, result):
        self.assertEqual(result.code, 0, result)
        return result

    def bad(self, result, code, *texts):
        """It failed with this code, and said these things on standard error, in lines that begin with the program's name."""
        self.assertEqual(result.code, code, result)
        for text in texts:
            self.assertIn(text, result.err)
        return result
