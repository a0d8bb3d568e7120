"""kill -9 of supervisors: at each call that the engine makes in a container's life, at random moments, and while no engine is there."""
import concurrent.futures
import json
import os
import pathlib
import random
import re
import signal
import time

import pytest

from engine import LIMIT_S, wait_until
from sweep import POINTS, spread
from test_sweep_containers import ContainerStory

pytestmark = pytest.mark.own
REASON = "supervisor was killed"


def kill_supervisors(engine):
    """Those of this engine; how many."""
    killed = 0
    for pid, words in engine.processes():
        if "berth-shim" in words:
            try:
                os.kill(int(pid), signal.SIGKILL)
                killed += 1
            except ProcessLookupError:
                pass
    return killed


def is_gone(pid):
    """What nobody has reaped yet is gone, too."""
    try:
        return re.search(r"State:\s+(\w)", pathlib.Path(f"/proc/{pid}/status").read_text())[1] in "ZX"
    except FileNotFoundError:
        return True


class Steps(ContainerStory):
    """A container's life with an exec, a pause and names, as far as its supervisor lives."""

    def tell(self, start=0):
        for method, path, body in (
                ("POST", "/containers/create?name=one", {"Image": "busybox", "Cmd": ["sleep", "1000"], "ExposedPorts": {"80/tcp": {}},
                                                         "HostConfig": {"Binds": ["named:/named"], "PortBindings": {"80/tcp": [{"HostPort": "0"}]}}}),
                ("POST", "/containers/one/start", None),
                ("POST", "/containers/one/exec", {"Cmd": ["true"], "AttachStdout": True}),
                ("EXEC", None, None),
                ("POST", "/containers/one/resize?h=10&w=10", None),
                ("POST", "/containers/one/pause", None),
                ("POST", "/containers/one/unpause", None),
                ("PUT", "/containers/one/archive?path=/no-such-place", None),
                ("POST", "/containers/one/stop?t=1", None)):
            if method == "EXEC":
                method, path, body = "POST", f"/exec/{made}/start", {"Detach": False}
            answer = self.api.call(method, path, body)
            assert answer.status in range(200, 600), answer
            if path.endswith("/exec"):
                made = answer.json.get("Id", "none")


def test_killed_at_every_call(swept):
    """The engine is held at a call, its supervisors are killed, and it goes on: the request gets an answer, and nothing is left."""
    engine, story = swept, Steps(swept)
    engine.control.arm(0)
    before = engine.control.calls
    story.tell()
    total = engine.control.calls - before
    story.clean()
    engine.check_empty()
    killed, pool = 0, concurrent.futures.ThreadPoolExecutor(1)
    for point in spread(total):
        engine.control.arm(point, hold=True)
        told = pool.submit(story.tell)
        while not told.done() and not engine.control.is_held:
            time.sleep(0.001)
        killed += kill_supervisors(engine)
        engine.control.let_go()
        where = f"point {point}, {engine.control.where}"
        try:
            told.result(LIMIT_S)
            engine.control.arm(0)
            row = story.listed().get("one")
            if row:
                wait_until(lambda: story.listed()["one"]["State"] in ("exited", "created"), what="the end being seen")
            assert engine.differences() == []
            if row:
                answer = engine.api.call("POST", "/containers/one/start")
                assert answer.status == 204, answer
                story.execute("one", "true")
            story.clean()
            engine.check_empty()
        except (AssertionError, TimeoutError) as problem:
            raise AssertionError(f"{where}: {problem!r}") from problem
    print(f"{POINTS or total} points of {total}, {killed} supervisors killed")
    assert killed > (POINTS or total) // 3


def test_killed_at_random(swept):
    """Told as 137 with a reason, waiters are answered, the policy applies, clients get an end."""
    engine, story, chance = swept, ContainerStory(swept), random.Random(3)
    for round_ in range(max(3, POINTS // 4)):
        for name, policy in (("stays", "no"), ("comes-back", "always"), ("removed", "no")):
            story.create(name, {"Image": "busybox", "Cmd": ["sleep", "1000"],
                                "HostConfig": {"RestartPolicy": {"Name": policy}, "AutoRemove": name == "removed"}})
            story.start(name)
        begun = [engine.api.begin("POST", "/containers/stays/wait"), engine.api.begin("POST", "/containers/removed/wait"),
                 engine.api.begin("GET", "/containers/stays/logs?follow=1&stdout=1")]
        time.sleep(chance.random() * 0.2)
        pid = engine.api.do("GET", "/containers/comes-back/json")["State"]["Pid"]
        assert kill_supervisors(engine) == 3
        assert [response.status for _, response in begun] == [200] * 3
        stays, removed, _logs = [response.read() for _, response in begun]  # a client that is left waiting ends with a timeout
        assert json.loads(stays)["StatusCode"] == json.loads(removed)["StatusCode"] == 137, (stays, removed)
        for connection, _ in begun:
            connection.close()
        state = engine.api.do("GET", "/containers/stays/json")["State"]
        assert (state["Status"], state["ExitCode"], state["Pid"], state["Running"]) == ("exited", 137, 0, False) and REASON in state["Error"], state
        wait_until(lambda: "removed" not in story.listed(), what="the --rm container's removal")

        def is_back():
            now = engine.api.do("GET", "/containers/comes-back/json")
            return now["State"]["Status"] == "running" and now["State"]["Pid"] != pid and now["RestartCount"] == 1
        wait_until(is_back, what="the next run of an always container")
        assert is_gone(pid)
        assert engine.api.do("GET", "/containers/comes-back/json")["State"]["Error"] == ""
        assert engine.differences() == []
        story.clean()
        engine.check_empty()


def test_killed_without_an_engine(swept):
    """The next engine sees the same end."""
    engine, story = swept, ContainerStory(swept)
    for name, policy in (("stays", "no"), ("comes-back", "always")):
        story.create(name, {"Image": "busybox", "Cmd": ["sleep", "1000"], "HostConfig": {"RestartPolicy": {"Name": policy}}})
        story.start(name)
    pid = engine.api.do("GET", "/containers/stays/json")["State"]["Pid"]
    engine.kill()
    assert kill_supervisors(engine) == 2
    engine.start()
    state = engine.api.do("GET", "/containers/stays/json")["State"]
    assert (state["Status"], state["ExitCode"]) == ("exited", 137) and REASON in state["Error"], state
    assert is_gone(pid)
    wait_until(lambda: engine.api.do("GET", "/containers/comes-back/json")["State"]["Status"] == "running", what="the next run of an always container")
    assert engine.differences() == []
    story.clean()
    engine.check_empty()
