"""Further processes in a container: what they are given, how they end, and that an engine which starts again knows them."""
import concurrent.futures
import os
import socket
import struct
import time

import pytest

from engine import LIMIT_S, wait_until
from raw_api import Api

MANY = 64


def make(api, container, *command, **config):
    return api.do("POST", f"/containers/{container}/exec", {"Cmd": list(command), **config})["Id"]


def start_detached(api, made):
    api.do("POST", f"/exec/{made}/start", {"Detach": True})


def inspect(api, made):
    return api.do("GET", f"/exec/{made}/json")


def ended(api, made):
    return wait_until(lambda: (lambda found: not found["Running"] and found)(inspect(api, made)), what="the end of an exec")


@pytest.fixture
def api(engine):
    return Api(engine.socket)


@pytest.fixture
def box(engine, name):
    engine.docker("run", "-d", "--name", name, "-e", "KEPT=1", "-w", "/tmp", "busybox", "sleep", "600", check=True)
    return name


@pytest.mark.own
def test_execs_outlive_the_engine(private_engine):
    engine = private_engine
    api = Api(engine.socket)
    engine.docker("run", "-d", "--name", "box", "busybox", "sleep", "600", check=True)
    running = make(api, "box", "sh", "-c", "while [ ! -e /tmp/go ]; do sleep 0.1; done; stty size >/tmp/size; exit 5", Tty=True)
    meanwhile = make(api, "box", "sh", "-c", "while [ ! -e /tmp/away ]; do sleep 0.1; done; exit 7")
    before = make(api, "box", "sh", "-c", "exit 3")
    waiting = make(api, "box", "sh", "-c", "exit 4", User="somebody", Env=["A=b"])
    for made in (running, meanwhile, before):
        start_detached(api, made)
    pid = inspect(api, running)["Pid"]
    wait_until(lambda: inspect(api, before)["ExitCode"] == 3, what="the first exit code")

    victim = inspect(api, meanwhile)["Pid"]
    engine.kill()
    open(f"/proc/{pid}/root/tmp/away", "w").close()
    wait_until(lambda: not os.path.exists(f"/proc/{victim}"), what="the end of an exec without an engine")
    engine.start()

    found = inspect(api, running)
    assert (found["Running"], found["ExitCode"], found["Pid"], found["ProcessConfig"]["tty"]) == (True, None, pid, True)
    assert inspect(api, meanwhile)["ExitCode"] == 7
    assert inspect(api, before)["ExitCode"] == 3
    found = inspect(api, waiting)
    assert (found["Running"], found["ExitCode"], found["ProcessConfig"]["user"]) == (False, None, "somebody")
    assert engine.inspect("box")["ExecIDs"] == [running]
    assert api.call("POST", f"/exec/{running}/resize?h=33&w=99").status == 200
    assert api.call("POST", f"/exec/{before}/start", {"Detach": True}).status == 409
    start_detached(api, waiting)
    assert ended(api, waiting)["ExitCode"] == 4
    open(f"/proc/{pid}/root/tmp/go", "w").close()
    assert ended(api, running)["ExitCode"] == 5
    assert engine.docker("exec", "box", "cat", "/tmp/size", check=True).out.split() == ["33", "99"]
    assert engine.inspect("box")["ExecIDs"] is None

    # The end that the last engine recorded is known to a third one, whoever told it.
    engine.kill()
    engine.start()
    assert [inspect(api, made)["ExitCode"] for made in (running, meanwhile, before, waiting)] == [5, 7, 3, 4]
    engine.docker("rm", "-f", "box", check=True)
    left = engine.verify()
    assert left.code == 0, left


def test_a_user_that_is_not_there_is_refused_at_creation(engine, api, box):
    answer = api.call("POST", f"/containers/{box}/exec", {"Cmd": ["id"], "User": "nobodyx"})
    assert (answer.status, answer.json["message"]) == (400, "unable to find user nobodyx: no matching entries in passwd file")
    answer = api.call("POST", f"/containers/{box}/exec", {"Cmd": ["id"], "User": "somebody:nogroup"})
    assert (answer.status, answer.json["message"]) == (400, "unable to find group nogroup: no matching entries in group file")
    # A user that the container has made itself is one.
    engine.docker("exec", box, "sh", "-c", "echo made:x:1234:1234::/:/bin/sh >>/etc/passwd", check=True)
    assert engine.docker("exec", "-u", "made", box, "id", "-u", check=True).out == "1234\n"
    assert engine.docker("exec", "-u", "4321:55", box, "sh", "-c", "id -u; id -g", check=True).out == "4321\n55\n"
    engine.docker("exec", box, "rm", "/etc/passwd", check=True)
    answer = api.call("POST", f"/containers/{box}/exec", {"Cmd": ["id"], "User": "made"})
    assert (answer.status, answer.json["message"]) == (400, "unable to find user made: no matching entries in passwd file")


def test_what_a_process_is_given(engine, box):
    got = engine.docker("exec", "-e", "GIVEN=2", box, "sh", "-c", "echo $KEPT $GIVEN; pwd", check=True)
    assert got.out == "1 2\n/tmp\n"
    assert engine.docker("exec", "-w", "/etc", box, "pwd", check=True).out == "/etc\n"
    capabilities = [int(engine.docker("exec", *flags, box, "sed", "-n", "s/^CapEff:.//p", "/proc/self/status", check=True).out, 16)
                    for flags in ((), ("--privileged",))]
    assert capabilities[0] != capabilities[1] and capabilities[0] & capabilities[1] == capabilities[0]
    assert engine.docker("exec", "-i", box, "cat", stdin="through\n", check=True).out == "through\n"


@pytest.mark.parametrize("command, code", [(["sh", "-c", "exit 9"], 9), (["nope"], 127), (["/nope"], 127), (["/etc"], 126),
                                           (["/etc/passwd"], 126), (["sh", "-c", "kill -9 $$"], 137)])
def test_exit_codes(engine, box, command, code):
    assert engine.docker("exec", box, *command).code == code
    assert engine.berth("exec", box, *command).code == code


def test_a_working_directory_that_is_not_there(engine, api, box):
    assert engine.docker("exec", "-w", "/nope", box, "true").code == 127
    made = make(api, box, "true", WorkingDir="/nope")
    answer = api.call("POST", f"/exec/{made}/start", {"Detach": True})
    assert answer.status == 400 and "/nope" in answer.json["message"], answer


def test_the_size_of_a_terminal_may_come_with_the_start(engine, api, box):
    def size(create, start):
        made = make(api, box, "stty", "size", Tty=True, AttachStdout=True, **create)
        answer = api.call("POST", f"/exec/{made}/start", {"Tty": True, **start})
        return answer.data.decode().split()
    assert size({"ConsoleSize": [11, 22]}, {}) == ["11", "22"]
    assert size({"ConsoleSize": [11, 22]}, {"ConsoleSize": [33, 44]}) == ["33", "44"]


def test_many_at_once(engine, api, box):
    def one(number):
        made = make(api, box, "sh", "-c", f"echo {number}; exit {number}", AttachStdout=True)
        got = api.call("POST", f"/exec/{made}/start", {})
        return ended(api, made)["ExitCode"], got.data
    with concurrent.futures.ThreadPoolExecutor(MANY) as pool:
        frames = [b"%d\n" % number for number in range(MANY)]
        assert list(pool.map(one, range(MANY))) == [(number, struct.pack(">BxxxL", 1, len(frames[number])) + frames[number])
                                                    for number in range(MANY)]
    assert engine.inspect(box)["ExecIDs"] is None


def test_leaving_by_keys_leaves_the_process(engine, api, box):
    made = make(api, box, "sh", "-c", "read line; exit 8", Tty=True, AttachStdin=True, AttachStdout=True, DetachKeys="ctrl-x,x")
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(LIMIT_S)
        client.connect(str(engine.socket))
        body = b'{"Tty":true}'
        client.sendall(b"POST /v1.51/exec/%s/start HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n"
                       b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (made.encode(), len(body), body))
        assert client.recv(4096).startswith(b"HTTP/1.1 101 UPGRADED")
        client.sendall(b"\x18x")
        while client.recv(4096):
            pass
    assert inspect(api, made)["Running"]
    said = api.call("GET", f"/events?since=1&until={time.time():.6f}").data.decode()
    assert '"exec_detach"' in said and made in said, said[-2000:]
