"""What the tests/system/t_* on a cluster of deploy/cluster have in common: its nodes and what they answer, and a crowd of devices."""

import json
import os
import urllib.error
import urllib.request

import system

CLUSTER = os.path.join(system.HOUSE, "deploy", "cluster")
CROWD = os.path.join(system.BIN, "petrel-crowd")
UP_LIMIT_S = 120


class Crowd:
    """The devices, and what each of them saw."""

    def __init__(self, background):
        self.background = background

    def lines(self, kind):
        """The words behind each line of that kind, as far as lines are whole."""
        whole = self.background.out.rsplit("\n", 1)[0].splitlines()
        return [line.split(" ", 2)[1:] for line in whole if line.startswith(kind + " ")]

    def connects(self):
        return [(int(device), *rest.split()) for device, rest in self.lines("connected")]

    def servers(self):
        """Where each device connected last."""
        return {device: server for device, server, _ in self.connects()}

    def messages(self):
        seen = {}
        for device, body in self.lines("message"):
            seen.setdefault(int(device), []).append(json.loads(body))
        return seen


class Case(system.Case):
    """A test with a cluster of its own, of SHAPE, and DEVICES that rounds of messages are sent to: to each the number of the round."""

    SHAPE = ()
    DEVICES = 0

    def setUp(self):
        super().setUp()
        self.dir = self.path("cluster")
        self.opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        self.addCleanup(self.cluster, "down")
        self.good(self.cluster("up", "--bin", system.BIN, *self.SHAPE))
        lines = (line.split() for line in system.read(os.path.join(self.dir, "shape")).splitlines())
        self.port = {(name, kind): int(number) for name, kind, number in lines}
        self.key = system.read(os.path.join(self.dir, "demo.key")).strip()
        self.sent = 0

    def cluster(self, command, *words):
        return system.run([CLUSTER, command, "--dir", self.dir, *words], limit=UP_LIMIT_S)

    def pid(self, name):
        return int(system.read(os.path.join(self.dir, name, "pid")).split()[0])

    def data(self, name):
        return os.path.join(self.dir, name, "data")

    def log(self, name):
        return system.read(os.path.join(self.dir, name, "log"))

    def ctl(self, node, *words):
        return system.run([system.PETRELCTL, "--data-dir", self.data(node), *words])

    def ctl_json(self, node, *words):
        return self.good(self.ctl(node, *words, "-o", "json")).json()

    def address(self, name):
        return f"127.0.0.1:{self.port[name, 'session']}"

    def admin(self, node, path):
        """Of the admin listener, which every node has."""
        return f"http://{json.loads(system.read(os.path.join(self.data(node), 'petreld.json')))['admin']}{path}"

    def ask(self, url, body=None, **headers):
        headers["Authorization"] = "Bearer " + self.key
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, data=data, headers=headers)
        try:
            with self.opener.open(request, timeout=system.LIMIT_S) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    def api(self, path, body=None, node="message-1", **headers):
        return self.ask(f"http://127.0.0.1:{self.port[node, 'api']}{path}", body, **headers)

    def ready(self, node):
        return self.ask(self.admin(node, "/readyz"))

    def metric(self, node, name):
        """A gauge or counter without labels."""
        with self.opener.open(self.admin(node, "/metrics"), timeout=system.LIMIT_S) as answer:
            lines = answer.read().decode().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(name + " "))

    def start_crowd(self):
        with open(self.path("tokens"), "w", encoding="utf-8") as file:
            for device in range(self.DEVICES):
                code, answer = self.api(f"/v1/apps/demo/users/user-{device}/devices", {"device": "phone"})
                self.assertEqual(code, 201, answer)
                file.write(answer["token"] + "\n")
        lookup = ",".join(f"127.0.0.1:{self.port[node, 'api']}" for node in ("message-1", "message-2"))
        crowd = Crowd(self.background(system.Background([CROWD, lookup, self.path("tokens")], self.folder, "crowd")))
        crowd.background.until(lambda: len(crowd.servers()) == self.DEVICES, "all devices connected")
        return crowd

    def all_have_all(self, crowd):
        """Every message of every round, once and in order, for every device; nobody was told of a loss."""
        wanted = list(range(1, self.sent + 1))
        crowd.background.until(lambda: all(crowd.messages().get(device, [0])[-1] == self.sent for device in range(self.DEVICES)),
                               f"round {self.sent} at every device")
        for device, messages in crowd.messages().items():
            self.assertEqual(messages, wanted, device)
        self.assertEqual(crowd.lines("gap"), [])
