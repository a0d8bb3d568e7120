"""One sick container never keeps anybody waiting but those who ask for it: frozen from outside, with a supervisor that is stopped,
with a file system that does not answer, with clients that do not read. Limits here are far beyond what a healthy engine needs."""
import concurrent.futures
import os
import signal
import subprocess
import time

import pytest

import engine as engines
from engine import wait_until
from raw_api import Api
from sickness import Fuse, connect, fill, freezer_of, stall_exec, supervisor_of

pytestmark = pytest.mark.own

ANSWER_S = 40   # what others may take
SICK_S = 200    # what an operation on a sick one may take
MANY_STUCK = 20


def box(engine, name, *command, options=()):
    engine.docker("run", "-d", "--name", name, *options, "busybox", *(command or ("sleep", "600")), check=True)
    return engine.inspect(name)["State"]["Pid"]


def lives(pid):
    """A zombie does not; its new parent reaps it when it likes."""
    try:
        return open(f"/proc/{pid}/stat").read().rsplit(") ", 1)[1][0] != "Z"
    except OSError:
        return False


def memory_of(pid):
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) << 10 for line in status if line.startswith("VmRSS:"))


def is_sanitized(pid):
    """Such a build has other sizes."""
    return any(word in open(f"/proc/{pid}/maps").read() for word in ("libasan", "libtsan"))


def healthy_all_answer(engine, name):
    """Everything that users look at while one of their containers is sick."""
    limit = {"limit_s": ANSWER_S}
    names = engine.docker("ps", "-a", "--format", "{{.Names}}", check=True, **limit).out.split()
    assert name in names
    assert engine.docker("inspect", name, check=True, **limit)
    assert engine.docker("info", check=True, **limit)
    assert engine.docker("logs", name, check=True, **limit).out == "well\n"
    assert engine.docker("exec", name, "echo", "hi", check=True, **limit).out == "hi\n"
    assert name in engine.docker("stats", "--no-stream", name, check=True, **limit).out and "sleep" in engine.docker("top", name, check=True, **limit).out
    assert engine.docker("events", "--since", "1m", "--until", f"{time.time():.6f}", check=True, **limit)
    assert engine.docker("images", check=True, **limit) and engine.docker("volume", "ls", check=True, **limit)
    got = engine.docker("run", "--rm", "busybox", "sh", "-c", "exit 3", **limit)
    assert got.code == 3, got


@pytest.fixture
def fuse(tmp_path):
    made = Fuse(tmp_path / "sick")
    yield made
    made.end()


@pytest.fixture(scope="module")
def ward(build, docker_client):
    """An engine with a healthy container in it, for the tests of this file."""
    made = engines.Engine(build)
    made.start()
    context = engines.make_busybox_context(made.directory / "busybox-context")
    assert made.docker("build", "-q", "-t", "busybox", context).code == 0
    box(made, "healthy", "sh", "-c", "echo well; sleep 600")
    yield made
    left = made.verify()
    made.remove()
    assert left.code == 0, left


def test_frozen_from_outside(ward):
    pid = box(ward, "frozen")
    state, freeze, thaw = freezer_of(pid)
    state.write_text(freeze)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        execution = pool.submit(ward.docker, "exec", "frozen", "true", limit_s=SICK_S)
        healthy_all_answer(ward, "healthy")
        # The supervisor itself is at work.
        assert ward.docker("logs", "frozen", limit_s=ANSWER_S).code == 0
        got = execution.result()
    assert got.code == 128 and "did not start within" in got.out + got.err, got
    assert ward.docker("inspect", "-f", "{{.State.Status}} {{.ExecIDs}}", "frozen", check=True).out == "running []\n"
    assert ward.docker("stop", "-t", "1", "frozen", limit_s=SICK_S).code == 0
    assert ward.inspect("frozen")["State"]["ExitCode"] == 137
    pid = wait_until(lambda: ward.docker("start", "frozen").code == 0 and ward.inspect("frozen")["State"]["Pid"], what="a second run")
    freezer_of(pid)[0].write_text(freeze)
    assert ward.docker("rm", "-f", "frozen", limit_s=SICK_S).code == 0
    assert not lives(pid)


def test_a_supervisor_that_is_stopped(ward):
    pid = box(ward, "stopped")
    supervisor = supervisor_of(pid)
    os.kill(supervisor, signal.SIGSTOP)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        asked = {command: pool.submit(ward.docker, *command, limit_s=SICK_S)
                 for command in (("exec", "stopped", "true"), ("stop", "-t", "1", "stopped"), ("kill", "-s", "USR1", "stopped"))}
        healthy_all_answer(ward, "healthy")
        for command in (("logs", "stopped"), ("inspect", "stopped")):
            assert ward.docker(*command, limit_s=ANSWER_S).code == 0
        for command, future in asked.items():
            got = future.result()
            assert got.code != 0 and "does not answer" in got.out + got.err, (command, got)
    assert lives(pid)
    # It is the same container as soon as its supervisor goes on.
    os.kill(supervisor, signal.SIGCONT)
    assert ward.docker("exec", "stopped", "echo", "back", check=True).out == "back\n"
    os.kill(supervisor, signal.SIGSTOP)
    got = ward.docker("rm", "-f", "stopped", limit_s=SICK_S)
    assert got.code == 0, got
    assert not lives(pid) and not lives(supervisor)


def test_an_engine_starts_among_the_sick(private_engine):
    engine = private_engine
    box(engine, "healthy", "sh", "-c", "echo well; sleep 600")
    box(engine, "ending", "sh", "-c", "while [ ! -e /tmp/go ]; do sleep 0.1; done; exit 4")
    pids = {f"stuck-{i}": box(engine, f"stuck-{i}") for i in range(MANY_STUCK)}
    supervisors = [supervisor_of(pid) for pid in pids.values()]
    for supervisor in supervisors:
        os.kill(supervisor, signal.SIGSTOP)
    engine.kill()
    engine.start()
    healthy_all_answer(engine, "healthy")
    # Their retries fill the work queue again and again; ends of others are dealt with all the same.
    engine.docker("exec", "ending", "touch", "/tmp/go", check=True, limit_s=ANSWER_S)
    assert engine.docker("wait", "ending", limit_s=ANSWER_S).out == "4\n"
    got = engine.docker("rm", "-f", *pids, limit_s=4 * SICK_S)
    assert got.code == 0 and not [pid for pid in [*pids.values(), *supervisors] if lives(pid)], got
    left = engine.verify()
    assert left.code == 0, left


def test_a_file_system_that_does_not_answer(ward, fuse):
    pid = box(ward, "reader", "sh", "-c", "while cat /mnt/file >/dev/null; do sleep 0.1; done", options=("-v", f"{fuse.path}:/mnt"))
    fuse.silence(signal.SIGSTOP)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        stuck = [pool.submit(ward.docker, "exec", "-w", "/mnt", "reader", "true", limit_s=SICK_S),
                 pool.submit(ward.docker, "create", "-v", f"{fuse.path}/file:/x", "busybox", limit_s=SICK_S)]
        healthy_all_answer(ward, "healthy")
        assert ward.docker("exec", "reader", "echo", "hi", check=True, limit_s=ANSWER_S).out == "hi\n"
        got = [future.result() for future in stuck]
    assert got[0].code == 128 and "did not start within" in got[0].out + got[0].err, got
    assert got[1].code != 0 and "does not answer" in got[1].err, got
    got = ward.docker("rm", "-f", "reader", limit_s=SICK_S)
    assert got.code == 0 and not lives(pid), got


def test_a_process_that_the_kernel_does_not_let_go(ward, fuse):
    pid = box(ward, "held", "sh", "-c", "sleep 1; exec cat /mnt/file", options=("-v", f"{fuse.path}:/mnt"))
    fuse.silence(signal.SIGUSR1)
    wait_until(lambda: "request_wait" in open(f"/proc/{pid}/wchan").read(), what="a process that waits for the file system")
    got = ward.docker("rm", "-f", "held", limit_s=SICK_S)
    assert got.code != 0 and str(pid) in got.err and "what is left" in got.err, got
    healthy_all_answer(ward, "healthy")
    assert ward.docker("inspect", "held", limit_s=ANSWER_S).code == 0
    # The same without its supervisor.
    os.kill(supervisor_of(pid), signal.SIGSTOP)
    got = ward.docker("rm", "-f", "held", limit_s=SICK_S)
    assert got.code != 0 and str(pid) in got.err and "what is left" in got.err, got
    assert ward.inspect("held")["State"]["Status"] == "exited"
    healthy_all_answer(ward, "healthy")
    fuse.end()
    assert ward.docker("rm", "-f", "held", check=True, limit_s=SICK_S)
    assert not lives(pid)


@pytest.fixture
def fuses(tmp_path):
    made = {name: Fuse(tmp_path / name) for name in ("anew", "outlived")}
    yield made
    for one in made.values():
        one.end()


def test_what_outlives_its_supervisor_goes_in_the_end(ward, fuses):
    """Processes of killed supervisors that cannot die yet: their group goes once they do, unless a new run has it."""
    once = "[ ! -e /go ] || exec sleep 600; until [ -e /go ]; do sleep 0.1; done; exec cat /mnt/$0/file"
    above = ("-v", f"{fuses['anew'].path.parent}:/mnt")  # a source that answers
    pids = {name: box(ward, name, "sh", "-c", once, name, options=above) for name in fuses}
    for name, fuse in fuses.items():
        fuse.silence(signal.SIGUSR1)
        ward.docker("exec", name, "touch", "/go", check=True)
        wait_until(lambda: "request_wait" in open(f"/proc/{pids[name]}/wchan").read(), what="a process that waits for the file system")
    for name in fuses:
        os.kill(supervisor_of(pids[name]), signal.SIGKILL)
        wait_until(lambda: ward.inspect(name)["State"]["ExitCode"] == 137, what="the end being seen")
        # The socket goes after the processes have been waited for in vain.
        wait_until(lambda: "supervisor socket" not in ward.verify().out, what="the end being dealt with")
        assert lives(pids[name])
        if name == "anew":
            ward.docker("start", name, check=True, limit_s=SICK_S)
    group = f"/{ward.inspect('outlived')['Id']} belongs to no running container"
    assert group in ward.verify().out
    pid = ward.inspect("anew")["State"]["Pid"]
    for fuse in fuses.values():
        fuse.end()
    wait_until(lambda: group not in ward.verify().out, what="the end of the group")
    assert not lives(pids["outlived"])
    state = ward.inspect("anew")["State"]
    assert state["Running"] and state["Pid"] == pid and lives(pid), state
    assert ward.docker("rm", "-f", *pids, limit_s=SICK_S).code == 0


def test_clients_that_never_read(ward):
    ward.docker("create", "--name", "writer", "busybox", "sh", "-c", "dd if=/dev/zero bs=1M count=40 | tr '\\0' 'x' | fold -w 99; exit 5",
                check=True)
    clients = [connect(ward, "POST /v1.51/containers/writer/attach?stream=1&stdout=1&stderr=1"), connect(ward, "GET /v1.51/events?since=1")]
    ward.docker("start", "writer", check=True)
    clients.append(connect(ward, "GET /v1.51/containers/writer/logs?stdout=1&follow=1"))
    supervisor, before = supervisor_of(ward.inspect("writer")["State"]["Pid"]), memory_of(ward.process.pid)
    largest = 0

    def is_over():
        nonlocal largest
        try:
            largest = max(largest, memory_of(supervisor))
        except (OSError, StopIteration):
            pass
        return ward.inspect("writer")["State"]["Status"] == "exited"
    wait_until(is_over, step_s=0.2, what="the end of a container whose client does not read")
    assert ward.inspect("writer")["State"]["ExitCode"] == 5
    assert largest > 0
    if not is_sanitized(ward.process.pid):
        assert largest < 16 << 20, largest
        assert memory_of(ward.process.pid) - before < 24 << 20
    for client in clients:
        client.close()
    ward.docker("rm", "writer", check=True)


def test_what_a_container_does_not_read(ward):
    """A pipe that is full holds up who fills it, and takes nothing else along."""
    box(ward, "deaf", options=("-i",))
    api = Api(ward.socket)
    connection = connect(ward, "POST /v1.51/containers/deaf/attach?stream=1&stdin=1&stdout=1")
    stalled, taken = stall_exec(ward, api, "deaf")
    assert fill(connection) < 16 << 20 and taken < 16 << 20, "what nobody reads is not kept"
    assert memory_of(supervisor_of(ward.inspect("deaf")["State"]["Pid"])) < 16 << 20 or is_sanitized(ward.process.pid)
    healthy_all_answer(ward, "healthy")
    assert ward.docker("exec", "deaf", "echo", "hi", check=True, limit_s=ANSWER_S).out == "hi\n"
    assert ward.docker("stop", "-t", "0", "deaf", limit_s=SICK_S).code == 0
    assert ward.docker("rm", "-f", "deaf", limit_s=SICK_S).code == 0
    for one in (connection, stalled):
        one.close()


def test_the_engine_stops_among_the_sick(private_engine):
    engine = private_engine
    box(engine, "healthy", "sh", "-c", "echo well; sleep 600")
    pid = box(engine, "stuck")
    supervisor = supervisor_of(pid)
    os.kill(supervisor, signal.SIGSTOP)
    waiting = [subprocess.Popen([engines.docker_program(), *command], env=engine.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
               for command in (("logs", "-f", "healthy"), ("events",), ("wait", "healthy"), ("stop", "stuck"))]
    assert waiting[0].stdout.readline() == b"well\n"
    time.sleep(1)  # that all of them are there; one that comes later meets an engine that ends, too
    engine.stop()
    for process in waiting:
        process.communicate(timeout=ANSWER_S)
    os.kill(supervisor, signal.SIGCONT)
    engine.start()
    assert engine.inspect("healthy")["State"]["Running"]
    assert engine.docker("exec", "healthy", "true", limit_s=ANSWER_S).code == 0
