"""Logs of containers: drivers and their options, rotation and compression, reading back, and logs that go elsewhere."""
import gzip
import json
import os
import pathlib
import re
import socket
import ssl
import threading
import time

import pytest

import engine as engines
from engine import LIMIT_S, run, wait_until
from raw_api import Api

LINE = "abcdefghijklmnopqrstuvwxyz" * 3


@pytest.fixture
def api(engine):
    return Api(engine.socket)


def create(api, name, driver, options=None, command=("true",), **config):
    body = {"Image": "busybox", "Cmd": list(command), "HostConfig": {"LogConfig": {"Type": driver, "Config": options or {}}}, **config}
    return api.call("POST", f"/containers/create?name={name}", body)


def run_to_end(engine, name, *arguments):
    engine.docker("run", "--name", name, *arguments)
    return engine.inspect(name)


# ---- options

REFUSED = [
    ("json-file", {"foo": "1"}, 400, "unknown log opt 'foo' for json-file log driver"),
    ("local", {"labels": "a"}, 400, "unknown log opt 'labels' for log driver local"),
    ("syslog", {"max-size": "1m"}, 400, "unknown log opt 'max-size' for syslog log driver"),
    ("journald", {"compress": "true"}, 400, "unknown log opt 'compress' for journald log driver"),
    ("json-file", {"mode": "fast"}, 400, "logger: logging mode not supported: fast"),
    ("json-file", {"max-buffer-size": "1m"}, 400, "logger: max-buffer-size option is only supported with 'mode=non-blocking'"),
    ("syslog", {"syslog-address": "http://x"}, 400, "unsupported scheme: 'http'"),
    ("syslog", {"syslog-facility": "nope"}, 400, "invalid syslog facility"),
    ("syslog", {"syslog-format": "nope"}, 400, "Invalid syslog format"),
    ("nope", {}, 400, 'error looking up logging plugin nope: plugin "nope" not found'),
]


@pytest.mark.parametrize("driver, options, status, text", REFUSED)
def test_options_are_checked_at_creation(api, name, driver, options, status, text):
    answer = create(api, name, driver, options)
    assert (answer.status, answer.json["message"]) == (status, text)


@pytest.mark.own
def test_other_drivers_are_refused_by_name(engine, api, name):
    for driver in ("fluentd", "gelf", "awslogs"):
        answer = create(api, name, driver)
        assert answer.status == 501 and "supported are journald, json-file, local, none, syslog" in answer.json["message"], answer
    assert set(api.do("GET", "/info")["Plugins"]["Log"]) == {"journald", "json-file", "local", "none", "syslog"}


@pytest.mark.parametrize("options, text", [
    ({"max-size": "x"}, "invalid size: 'x'"),
    ({"max-file": "0"}, "max-file cannot be less than 1"),
    ({"compress": "maybe"}, 'strconv.ParseBool: parsing "maybe": invalid syntax'),
    ({"compress": "true", "max-file": "1", "max-size": "1m"}, "compress cannot be true when max-file is less than 2"),
])
def test_values_are_checked_at_the_start(api, name, options, text):
    assert create(api, name, "json-file", options).status == 201
    answer = api.call("POST", f"/containers/{name}/start")
    assert answer.status == 500 and "failed to initialize logging driver: " + text in answer.json["message"], answer


def test_labels_variables_and_tag_go_with_each_line(engine, name):
    found = run_to_end(engine, name, "--label", "com.a=1", "--label", "com.b=2", "--label", "other=3", "-e", "ONE=x", "-e", "TWO=y z",
                       "--log-opt", "labels=other", "--log-opt", "labels-regex=^com\\.", "--log-opt", "env=ONE", "--log-opt", "env-regex=^TW",
                       "--log-opt", "tag={{.Name}}/{{.ID}}", "busybox", "echo", "hi")
    short = found["Id"][:12]
    attributes = {"com.a": "1", "com.b": "2", "other": "3", "ONE": "x", "TWO": "y z", "tag": f"{name}/{short}"}
    assert engine.docker("logs", "--details", name, check=True).out == \
        f"ONE=x,TWO=y+z,com.a=1,com.b=2,other=3,tag={name}%2F{short} hi\n"
    if engine.is_ours:
        assert json.loads(pathlib.Path(found["LogPath"]).read_text())["attrs"] == attributes


def test_none_keeps_nothing(engine, api, name):
    engine.docker("run", "--name", name, "--log-driver", "none", "busybox", "echo", "hi", check=True)
    answer = api.call("GET", f"/containers/{name}/logs?stdout=1")
    assert (answer.status, answer.json["message"]) == (501, "configured logging driver does not support reading")


# ---- rotation

def counter(count):
    return ["sh", "-c", f"i=0; while [ $i -lt {count} ]; do echo $i {LINE}; i=$((i+1)); done"]


@pytest.mark.own
@pytest.mark.parametrize("driver, options", [("json-file", ["--log-opt", "compress=true"]), ("local", [])])
def test_rotated_files_are_compressed_and_read_through(engine, name, driver, options):
    count, files = 6000, 4
    command = counter(count)
    engine.docker("run", "-d", "--name", name, "--log-driver", driver, *options, "--log-opt", "max-size=64k", "--log-opt", f"max-file={files}",
                  "busybox", *command[:2], command[2] + "; sleep 600", check=True)
    found = engine.inspect(name)
    assert bool(found["LogPath"]) == (driver == "json-file")
    directory = engine.data / "containers" / found["Id"]
    log = directory / ("local-logs/container.log" if driver == "local" else f"{found['Id']}-json.log")
    wait_until(lambda: engine.docker("logs", "--tail", "1", name).out.startswith(f"{count - 1} "), what="the last line")
    wanted = ["", *(f".{i}.gz" for i in range(1, files))]
    wait_until(lambda: sorted(path.name[len(log.name):] for path in log.parent.glob(log.name + "*")) == wanted, what="compressed files")
    assert all(path.stat().st_size <= 64 << 10 for path in log.parent.glob(log.name + "*"))
    for path in log.parent.glob(log.name + ".*.gz"):
        assert gzip.open(path).read().endswith(b"\n")
    numbers = [int(line.split()[0]) for line in engine.docker("logs", name, check=True).out.splitlines()]
    assert numbers[-1] == count - 1 and len(numbers) > 500
    assert all(b == a + 1 for a, b in zip(numbers, numbers[1:]))
    tail = engine.docker("logs", "--tail", "700", name, check=True).out.splitlines()
    assert [int(line.split()[0]) for line in tail] == list(range(count - 700, count))


@pytest.mark.own
def test_following_goes_through_rotation_and_compression(engine, name):
    count = 20000
    engine.docker("create", "--name", name, "--log-opt", "compress=true", "--log-opt", "max-size=100k", "--log-opt", "max-file=50",
                  "busybox", "sh", "-c", f"i=0; while [ $i -lt {count} ]; do echo $i {LINE}; i=$((i+1)); done; sleep 1", check=True)
    engine.docker("start", name, check=True)
    followed = engine.docker("logs", "-f", name, check=True).out.splitlines()
    assert [int(line.split()[0]) for line in followed] == list(range(count))


# ---- reading

@pytest.mark.own
def test_the_end_of_a_large_log_is_read_alone(engine, api, name):
    found = run_to_end(engine, name, "--log-opt", "max-size=-1", "busybox", "true")
    begin, step, count = 1_700_000_000, 1, 3_000_000
    with open(found["LogPath"], "w") as log:
        for number in range(0, count, 10000):
            log.write("".join('{"log":"line %d %s\\n","stream":"stdout","time":"%sZ"}\n' %
                              (i, LINE, time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(begin + i * step))) for i in range(number, number + 10000)))
    size = os.path.getsize(found["LogPath"])
    assert size > 300 << 20

    def read_by(*arguments):
        def io():
            return int(re.search(r"rchar: (\d+)", open(f"/proc/{engine.process.pid}/io").read())[1])
        before = io()
        out = engine.docker("logs", *arguments, name, check=True).out.splitlines()
        return io() - before, [int(line.split()[1]) for line in out]
    cost, lines = read_by("--tail", "10")
    assert lines == list(range(count - 10, count)) and cost < 4 << 20, cost
    cost, lines = read_by("--since", str(begin + count - 20))
    assert lines == list(range(count - 20, count)) and cost < 16 << 20, cost
    middle = begin + count // 2
    cost, lines = read_by("--since", str(middle), "--until", str(middle + 5))
    assert lines == list(range(count // 2, count // 2 + 6)) and cost < 16 << 20, cost
    os.truncate(found["LogPath"], 0)


def test_until_ends_a_follower(engine, name):
    engine.docker("run", "-d", "--name", name, "busybox", "sh", "-c", "echo one; sleep 600", check=True)
    wait_until(lambda: engine.docker("logs", name).out == "one\n", what="the first line")
    assert engine.docker("logs", "--until", "1h", name, check=True).out == ""
    assert engine.docker("logs", "--since", "1h", name, check=True).out == "one\n"
    # In the past: what was before it, and no waiting.
    assert engine.docker("logs", "-f", "--until", f"{time.time():.3f}", name, check=True).out == "one\n"
    if engine.is_ours:  # in the future: Docker goes on until the next line
        assert engine.docker("logs", "-f", "--until", f"{time.time() + 1:.3f}", name, check=True).out == "one\n"


# ---- syslog

class Receiver:
    """A syslog server of one kind; what came, as bytes."""

    def __init__(self, kind, directory, certificate=None):
        self.kind, self.data, self.ended, self.connections = kind, b"", False, []
        family = socket.AF_UNIX if kind.startswith("unix") else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_DGRAM if kind in ("udp", "unixgram") else socket.SOCK_STREAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_UNIX:
            self.path = directory / kind
            self.path.unlink(missing_ok=True)
            self.socket.bind(str(self.path))
            self.address = f"{kind}://{self.path}"
        else:
            self.socket.bind(("127.0.0.1", 0))
            self.address = "%s://127.0.0.1:%d" % (kind, self.socket.getsockname()[1])
        self.tls = None
        if kind == "tcp+tls":
            self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.tls.load_cert_chain(*certificate)
        if self.socket.type == socket.SOCK_STREAM:
            self.socket.listen()
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        try:
            if self.socket.type == socket.SOCK_DGRAM:
                while True:
                    self.data += self.socket.recv(65536)
            while True:
                connection, _ = self.socket.accept()
                self.connections.append(self.tls.wrap_socket(connection, server_side=True) if self.tls else connection)
                threading.Thread(target=self.read, args=(self.connections[-1],), daemon=True).start()
        except OSError:
            pass

    def read(self, connection):
        try:
            while block := connection.recv(65536):
                self.data += block
        except OSError:
            pass

    def close(self):
        for one in [self.socket, *self.connections]:
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            one.close()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    directory = tmp_path_factory.mktemp("certificate")
    key, cert = directory / "key.pem", directory / "cert.pem"
    run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", cert, "-days", "2", "-subj", "/CN=127.0.0.1",
         "-addext", "subjectAltName=IP:127.0.0.1"], check=True)
    return cert, key


SYSLOG = [
    ("unix", "", r"<30>\w{3} [ \d]\d \d\d:\d\d:\d\d NAME\[\d+\]: out\n"),
    ("unixgram", "rfc3164", r"<30>\w{3} [ \d]\d \d\d:\d\d:\d\d \S+ NAME\[\d+\]: out\n"),
    ("udp", "rfc5424", r"<30>1 \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(Z|[+-]\d\d:\d\d) \S+ NAME \d+ NAME - out\n"),
    ("tcp", "rfc5424micro", r"<30>1 \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}(Z|[+-]\d\d:\d\d) \S+ NAME \d+ NAME - out\n"),
    ("tcp+tls", "rfc5424", r"\d+ <30>1 \S+ \S+ NAME \d+ NAME - out\n"),
]


@pytest.mark.parametrize("kind, form, wanted", SYSLOG)
def test_syslog(engine, name, tmp_path, certificate, kind, form, wanted):
    receiver = Receiver(kind, tmp_path, certificate)
    options = ["--log-opt", f"syslog-address={receiver.address}", "--log-opt", f"syslog-format={form}", "--log-opt", "tag={{.Name}}"]
    if kind == "tcp+tls":
        options += ["--log-opt", f"syslog-tls-ca-cert={certificate[0]}"]
    try:
        engine.docker("run", "--name", name, "--log-driver", "syslog", *options, "busybox", "sh", "-c", "echo out; echo err >&2", check=True)
        wait_until(lambda: b"err\n" in receiver.data, what="the messages")
        assert re.search(wanted.replace("NAME", re.escape(name)), receiver.data.decode()), receiver.data
        assert b"<27>" in receiver.data
        assert engine.docker("logs", name, check=True).out == "out\n"
    finally:
        receiver.close()


@pytest.mark.own
def test_syslog_that_goes_away_and_comes_back(engine, name, tmp_path):
    receiver = Receiver("unix", tmp_path)
    engine.docker("run", "-d", "--name", name, "--log-driver", "syslog", "--log-opt", f"syslog-address={receiver.address}", "busybox",
                  "sh", "-c", "i=0; while :; do echo line $i; i=$((i+1)); sleep 0.05; done", check=True)
    wait_until(lambda: b"line 3\n" in receiver.data, what="the first messages")
    receiver.close()
    time.sleep(1)
    second = Receiver("unix", tmp_path)
    wait_until(lambda: len(re.findall(rb"line \d+\n", second.data)) > 10, what="messages to the second server")
    numbers = [int(n) for n in re.findall(rb"line (\d+)\n", second.data)]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers))), "what waited comes in order"
    second.close()


class SlowReceiver(Receiver):
    """Takes nothing until it is told to, and little at a time then."""
    begin = None

    def read(self, connection):
        self.begin.wait(120)
        super().read(connection)


@pytest.mark.own
def test_the_last_lines_reach_a_slow_server_over_tls(engine, name, tmp_path, certificate):
    """Nobody reads the session tickets that the server sends; a connection closed then is reset, and what the server has not taken is lost."""
    SlowReceiver.begin = threading.Event()
    receiver = SlowReceiver("tcp+tls", tmp_path, certificate)
    receiver.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    try:
        engine.docker("run", "-d", "--name", name, "--log-driver", "syslog", "--log-opt", f"syslog-tls-ca-cert={certificate[0]}",
                      "--log-opt", f"syslog-address={receiver.address}", "busybox", "sh", "-c", "seq 5000; echo the last line", check=True)
        engine.docker("wait", name, check=True)
        time.sleep(1)
        receiver.begin.set()
        wait_until(lambda: receiver.data.endswith(b"the last line\n"), what="the last line")
        assert receiver.data.count(b"\n") == 5001
    finally:
        receiver.begin.set()
        receiver.close()


@pytest.mark.own
@pytest.mark.parametrize("mode", ["blocking", "non-blocking"])
def test_a_dead_syslog_server_holds_nobody_for_ever(engine, name, tmp_path, mode):
    with socket.socket(socket.AF_UNIX) as listening:
        path = tmp_path / "dead"
        listening.bind(str(path))
        listening.listen()
        engine.docker("run", "-d", "--name", name, "--log-driver", "syslog", "--log-opt", f"syslog-address=unix://{path}",
                      "--log-opt", f"mode={mode}", "busybox", "sh", "-c",
                      "dd if=/dev/zero bs=1M count=8 2>/dev/null | tr '\\0' 'x' | fold -w 99; exit 6",
                      check=True)
        assert engine.docker("wait", name, check=True, limit_s=60).out == "6\n"
    assert engine.docker("logs", "--tail", "3", name, check=True).out.startswith("x" * 99 + "\n" + "x" * 99 + "\n")


@pytest.mark.own
def test_a_syslog_that_is_not_there_is_told_at_the_start(engine, api, name, free_port):
    assert create(api, name, "syslog", {"syslog-address": f"tcp://127.0.0.1:{free_port}"}).status == 201
    answer = api.call("POST", f"/containers/{name}/start")
    assert answer.status == 500 and "failed to initialize logging driver: dial tcp 127.0.0.1" in answer.json["message"] \
        and "connection refused" in answer.json["message"], answer
    assert api.do("GET", f"/containers/{name}/json")["State"]["Status"] == "created"


@pytest.mark.own
def test_a_cache_may_be_disabled(engine, api, name, tmp_path):
    receiver = Receiver("unixgram", tmp_path)
    engine.docker("run", "--name", name, "--log-driver", "syslog", "--log-opt", f"syslog-address={receiver.address}",
                  "--log-opt", "cache-disabled=true", "busybox", "echo", "out", check=True)
    wait_until(lambda: b"out\n" in receiver.data, what="the message")
    assert api.call("GET", f"/containers/{name}/logs?stdout=1").status == 501
    receiver.close()


# ---- journald

@pytest.mark.own
def test_journald(build, docker_client, tmp_path):
    """In a mount namespace of its own, whose journal is ours."""
    programs = tmp_path / "programs"
    programs.mkdir()
    for program in ("berth", "berthd"):
        (programs / program).symlink_to(build / program)
    (programs / "berthd").unlink()
    (programs / "berthd").write_text(f"#!/bin/sh\n[ \"$UNSHARED\" ] || UNSHARED=1 exec unshare -m \"$0\" \"$@\"\n"
                                     f"mount -t tmpfs none /run\nexec {(build / 'berthd').resolve()} \"$@\"\n")
    (programs / "berthd").chmod(0o755)
    engine = engines.Engine(programs)
    engine.start()
    try:
        context = engines.make_busybox_context(engine.directory / "busybox-context")
        assert engine.docker("build", "-q", "-t", "busybox", context).code == 0
        got = engine.docker("run", "--name", "without", "--log-driver", "journald", "busybox", "true")
        assert got.code == 125 and "failed to initialize logging driver: journald is not enabled on this host" in got.err, got
        place = pathlib.Path(f"/proc/{engine.process.pid}/root/run/systemd/journal")
        place.mkdir(parents=True)
        journal = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        journal.settimeout(LIMIT_S)
        journal.bind(str(place / "socket"))
        engine.docker("run", "--name", "with", "--label", "com.a-b=1", "--log-driver", "journald", "--log-opt", "labels=com.a-b", "busybox",
                      "sh", "-c", "echo hello >&2", check=True)
        fields = dict(line.split("=", 1) for line in journal.recv(65536).decode().splitlines())
        id = engine.inspect("with")["Id"]
        assert {key: fields.get(key) for key in ("MESSAGE", "PRIORITY", "CONTAINER_NAME", "CONTAINER_ID_FULL", "CONTAINER_TAG", "COM_A_B")} == \
            {"MESSAGE": "hello", "PRIORITY": "3", "CONTAINER_NAME": "with", "CONTAINER_ID_FULL": id, "CONTAINER_TAG": id[:12], "COM_A_B": "1"}
        assert engine.docker("logs", "with", check=True).err == "hello\n"
        journal.close()
    finally:
        engine.remove()
