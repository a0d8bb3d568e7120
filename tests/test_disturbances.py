"""Other programs flush rules and remove bridges, the engine dies, containers come and go: connections that flow meanwhile go on, nothing is
open that was not, and afterwards everything is as declared. The host of these tests is a network namespace of their own.

BERTH_CONTAINERS: how many come and go (default 12)."""
import json
import os
import subprocess
import tempfile
import threading
import time

import pytest

import engine as engines
from engine import LIMIT_S, run, wait_until

pytestmark = pytest.mark.own
NET4 = f"10.{engines.address_block()}"
HOST, OTHER = f"{NET4}.90.1", f"{NET4}.90.2"
COUNT = int(os.environ.get("BERTH_CONTAINERS", "12"))

ECHO = r"""
import socketserver, sys, threading
class Echo(socketserver.BaseRequestHandler):
    def handle(self):
        while data := self.request.recv(4096):
            self.request.sendall(data)
class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address, daemon_threads, request_queue_size = True, True, 64
for port in map(int, sys.argv[1:]):
    threading.Thread(target=Server(("", port), Echo).serve_forever, daemon=True).start()
print("ready", flush=True)
threading.Event().wait()
"""

# Connections to one place that ask fifty times a second each, and one who tries in between to get where nobody may: until the end of stdin.
# They go on for a while behind that. Says how many answers came, what failed, the longest wait, and how often a forbidden connection succeeded.
LOAD = r"""
import json, socket, sys, threading, time
host, port, count, hidden, hidden_port = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4], int(sys.argv[5])
stop, answers, failures, waits, opened, tries = threading.Event(), [0] * count, [], [0.0] * count, [0], [0]
def flow(i):
    try:
        with socket.create_connection((host, port), timeout=60) as s:
            while not stop.is_set():
                start = time.monotonic()
                text = b"%d %d\n" % (i, answers[i])
                s.sendall(text)
                got = b""
                while len(got) < len(text):
                    piece = s.recv(4096)
                    if not piece:
                        raise OSError("closed")
                    got += piece
                if got != text:
                    raise OSError("wrong answer")
                answers[i] += 1
                waits[i] = max(waits[i], time.monotonic() - start)
                time.sleep(0.02)
    except OSError as problem:
        failures.append(f"{i}: {problem}")
def intrude():
    while not stop.is_set():
        tries[0] += 1
        try:
            socket.create_connection((hidden, hidden_port), timeout=0.05).close()
            opened[0] += 1
        except OSError:
            pass
threads = [threading.Thread(target=flow, args=(i,)) for i in range(count)] + [threading.Thread(target=intrude) for _ in range(4)]
for t in threads:
    t.start()
def go_on(more):
    # Until each has had so many answers more.
    before = list(answers)
    while not failures and (min(now - then for now, then in zip(answers, before)) < more or tries[0] <= 5):
        time.sleep(0.01)
go_on(1)
print("going", flush=True)
sys.stdin.read()
go_on(10)
stop.set()
for t in threads:
    t.join()
print(json.dumps({"answers": sum(answers), "fewest": min(answers), "failures": failures, "longest_s": round(max(waits), 3),
                  "intrusions": opened[0], "tries": tries[0]}))
"""


class Place:
    """A host with an engine, another host wired to it that has routes to the containers, a container with a server."""

    def __init__(self, build, extra=()):
        directory = tempfile.mkdtemp(prefix="berth-test-", dir="/var/tmp")
        self.host, self.other = "dh" + directory[-6:], "do" + directory[-6:]
        for name in (self.host, self.other):
            run(["ip", "netns", "add", name], check=True)
            run(["ip", "-n", name, "link", "set", "lo", "up"], check=True)
        run(["ip", "-n", self.host, "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", self.other], check=True)
        for name, address in ((self.host, HOST), (self.other, OTHER)):
            run(["ip", "-n", name, "addr", "add", f"{address}/24", "dev", "eth0"], check=True)
            run(["ip", "-n", name, "link", "set", "eth0", "up"], check=True)
        run(["ip", "-n", self.other, "route", "add", "default", "via", HOST], check=True)
        self.engine = engines.Engine(build, directory=directory, extra=extra, namespace=self.host).start()
        context = engines.make_busybox_context(self.engine.directory / "busybox-context")
        self.engine.docker("build", "-q", "-t", "busybox", context, check=True)
        self.engine.docker("network", "create", "front", check=True)
        self.engine.docker("run", "-d", "--name", "web", "--network", "front", "-p", "8080:80", "busybox", "sleep", "3000", check=True)
        state = self.engine.inspect("web")
        self.address = state["NetworkSettings"]["Networks"]["front"]["IPAddress"]
        self.server = subprocess.Popen(["nsenter", "-t", str(state["State"]["Pid"]), "-n", "/usr/bin/python3", "-c", ECHO, "80", "81"],
                                       stdout=subprocess.PIPE)
        assert self.server.stdout.readline() == b"ready\n"
        self.bridge = "br-" + json.loads(self.engine.docker("network", "inspect", "front").out)[0]["Id"][:12]

    def within(self, *arguments, **options):
        return run(["nsenter", f"--net=/run/netns/{self.host}", *arguments], **options)

    def close(self):
        self.server.kill()
        self.server.wait()
        self.engine.remove()
        for name in (self.host, self.other):
            run(["ip", "netns", "del", name])

    def load(self):
        return Load(self)

    def is_whole(self):
        return self.engine.verify().code == 0


class Load:
    def __init__(self, place):
        self.place = place

    def __enter__(self):
        self.process = subprocess.Popen(["ip", "netns", "exec", self.place.other, "/usr/bin/python3", "-c", LOAD, HOST, "8080", "8",
                                         self.place.address, "81"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == "going\n"
        return self

    def __exit__(self, kind, *rest):
        out, _ = self.process.communicate("", timeout=LIMIT_S)
        if kind is None:
            self.result = json.loads(out)
            print("\n", self.result)


@pytest.fixture(scope="module")
def place(build, docker_client):
    made = Place(build)
    yield made
    made.close()


def expect_kept(load):
    assert load.result["failures"] == [] and load.result["fewest"] > 10, load.result
    assert load.result["tries"] > 5 and load.result["intrusions"] == 0, load.result


def test_flushed_rules(place):
    """By hand, and by a service that loads its own rules after a flush."""
    with place.load() as load:
        for _ in range(5):
            place.within("nft", "flush", "ruleset", check=True)
            time.sleep(0.1)
            place.within("nft", "-f", "-", check=True, stdin="flush ruleset\ntable inet filter {\nchain input { type filter hook input priority 0; }\n}\n")
            time.sleep(0.1)
    expect_kept(load)
    wait_until(place.is_whole, what="everything as declared")
    tables = place.within("nft", "list", "tables", check=True).out.split()
    users = [table for table in tables if table.startswith("berth") and table.endswith("_user")]
    assert users and "chain forward" in place.within("nft", "list", "table", "inet", users[0]).out, "the administrator's chain is back"


def test_a_removed_bridge(place):
    with place.load() as load:
        place.within("ip", "link", "del", place.bridge, check=True)
        wait_until(place.is_whole, what="everything as declared")
        place.within("ip", "link", "set", place.bridge, "down", check=True)
        wait_until(place.is_whole, what="everything as declared")
    expect_kept(load)


def test_an_engine_that_dies(place):
    with place.load() as load:
        for _ in range(2):
            place.engine.kill()
            time.sleep(0.3)
            place.engine.start()
    expect_kept(load)
    wait_until(place.is_whole, what="everything as declared")


def test_containers_that_come_and_go(place):
    """Half of them on the network of the connections, with ports, half joining and leaving it while they run."""
    engine, problems = place.engine, []

    def come_and_go(number):
        name = f"guest-{number}"
        try:
            if number % 2:
                engine.docker("run", "-d", "--name", name, "--network", "front", "-p", "80", "busybox", "sleep", "300", check=True)
            else:
                engine.docker("run", "-d", "--name", name, "busybox", "sleep", "300", check=True)
                engine.docker("network", "connect", "front", name, check=True)
                engine.docker("network", "disconnect", "front", name, check=True)
            engine.docker("rm", "-f", name, check=True)
        except AssertionError as problem:
            problems.append(problem)
    with place.load() as load:
        for first in range(0, COUNT, 4):
            threads = [threading.Thread(target=come_and_go, args=(number,)) for number in range(first, min(first + 4, COUNT))]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
    assert problems == []
    expect_kept(load)
    wait_until(place.is_whole, what="everything as declared")
