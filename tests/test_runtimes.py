"""Containers made by another runtime's OCI command line: the same supervisor, the same clients, the same answers."""
import json
import shutil

import pytest

import engine as engines
from engine import docker_program, wait_until
from test_first_light import Terminal

pytestmark = pytest.mark.own


@pytest.fixture(scope="module", params=["berth-runtime", "crun", "runc"])
def foreign(request, build, docker_client, tmp_path_factory):
    path = build / "berth-runtime" if request.param == "berth-runtime" else shutil.which(request.param)
    if not path:
        pytest.skip(f"{request.param} is not installed")
    config = tmp_path_factory.mktemp("runtimes") / "daemon.json"
    config.write_text(json.dumps({"runtimes": {"foreign": {"path": str(path)}, "missing": {"path": "/nowhere/runtime", "runtimeArgs": ["--x"]}}, "default-runtime": "foreign"}))
    made = engines.Engine(build, extra=["--config-file", str(config)])
    made.kind = request.param
    made.start()
    try:
        made.docker("build", "-q", "-t", "busybox", engines.make_busybox_context(made.directory / "busybox-context"), check=True)
        first = made.docker("run", "--rm", "busybox", "true")
        if "cgroups in hybrid mode" in first.err:
            pytest.skip(f"{request.param} does not work on hosts with both versions of cgroups")
        assert first.code == 0, first
        yield made
        ids = made.docker("ps", "-aq").out.split()
        if ids:
            made.docker("rm", "-f", "-v", *ids)
        left = made.verify()
        assert left.code == 0, left
    finally:
        made.remove()


def test_info_names_them(foreign):
    runtimes = json.loads(foreign.docker("info", "-f", "{{json .Runtimes}}").out)
    assert {"berth", "foreign", "missing"} <= set(runtimes) and runtimes["missing"]["path"] == "/nowhere/runtime"
    assert foreign.docker("info", "-f", "{{.DefaultRuntime}}").out == "foreign\n"


def test_run(foreign, name):
    got = foreign.docker("run", "--name", name, "-m", "64m", "-v", "data:/data", "--tmpfs", "/t", "-u", "somebody", "--hostname", "there", "-e", "A=b", "busybox", "sh", "-c",
                         "hostname; echo $A; id -u; id -G; ls -d /data /t; grep -c ' / overlay' /proc/mounts; grep Seccomp: /proc/self/status; echo bad >&2; exit 7")
    assert got.code == 7 and got.err == "bad\n", got
    lines = got.out.split("\n")
    assert lines[:3] == ["there", "b", "1000"] and "2000" in lines[3].split() and lines[4:6] == ["/data", "/t"]
    assert lines[7].split() == ["Seccomp:", "2"]
    assert foreign.inspect(name)["HostConfig"]["Runtime"] == "foreign"
    assert foreign.docker("logs", name).out == got.out


def test_exit_codes_and_errors(foreign):
    assert foreign.docker("run", "--rm", "busybox", "sh", "-c", "exit 42").code == 42
    got = foreign.docker("run", "--rm", "busybox", "/nope")
    assert got.code == 127 and "no such file or directory" in got.err, got
    got = foreign.docker("run", "--rm", "--runtime", "missing", "busybox", "true")
    assert got.code in (125, 127) and "/nowhere/runtime" in got.err
    assert "unknown or invalid runtime name: other" in foreign.docker("run", "--rm", "--runtime", "other", "busybox", "true").err
    assert foreign.docker("run", "--rm", "--runtime", "berth", "busybox", "echo", "own", check=True).out == "own\n"


def test_exec(foreign, name):
    foreign.docker("run", "-d", "--name", name, "busybox", "sleep", "300", check=True)
    assert foreign.docker("exec", "-e", "A=b", "-w", "/tmp", name, "sh", "-c", "echo $A; pwd; exit 5").code == 5
    assert foreign.docker("exec", "-i", "-u", "1000", name, "sh", "-c", "cat; id -u", stdin="in\n").out == "in\n1000\n"
    assert foreign.docker("exec", name, "/nope").code in (126, 127)
    for _ in range(5):
        assert foreign.docker("exec", name, "true").code == 0
    terminal = Terminal([docker_program(), "exec", "-it", name, "sh"], foreign.environment)
    terminal.expect("# ")
    terminal.send("echo $((11*11)); tty\r")
    terminal.expect("/dev/pts/")
    terminal.send("exit 3\r")
    foreign.docker("pause", name, check=True)
    foreign.docker("unpause", name, check=True)
    foreign.docker("stop", "-t", "1", name, check=True)
    assert foreign.inspect(name)["State"]["ExitCode"] == 137


def test_terminal(foreign, name):
    terminal = Terminal([docker_program(), "run", "-it", "--name", name, "busybox", "sh"], foreign.environment)
    terminal.expect("# ")
    terminal.send("echo $((12*12)); ls -l /dev/console\r")
    terminal.expect("144")
    terminal.expect("/dev/console")
    terminal.send("exit 4\r")
    wait_until(lambda: foreign.inspect(name)["State"]["ExitCode"] == 4, what="the exit code")


@pytest.mark.current_client
def test_mounts_without_a_path(foreign, name):
    foreign.docker("run", "--rm", "-v", "parts:/v", "busybox", "sh", "-c", "mkdir /v/sub; echo part > /v/sub/f", check=True)
    assert foreign.docker("run", "--rm", "--mount", "type=volume,src=parts,dst=/b,volume-subpath=sub", "busybox", "cat", "/b/f", check=True).out == "part\n"
    assert foreign.docker("run", "--rm", "--mount", "type=image,src=busybox,dst=/i", "busybox", "ls", "/i/etc", check=True).out == "group\npasswd\n"
    foreign.docker("run", "-d", "--name", name, "--ipc", "shareable", "busybox", "sh", "-c", "echo lent > /dev/shm/x; exec sleep 300", check=True)
    wait_until(lambda: foreign.docker("exec", name, "cat", "/dev/shm/x").out == "lent\n", what="the file")
    assert foreign.docker("run", "--rm", "--ipc", f"container:{name}", "busybox", "cat", "/dev/shm/x", check=True).out == "lent\n"
    assert "docker-init" in foreign.docker("run", "--rm", "--init", "busybox", "cat", "/proc/1/cmdline", check=True).out


def test_it_outlives_the_engine(foreign, name, free_port):
    foreign.docker("run", "-d", "--name", name, "-p", f"{free_port}:80", "busybox", "sh", "-c", "trap 'exit 9' TERM; while :; do sleep 0.1; done", check=True)
    pid = foreign.inspect(name)["State"]["Pid"]
    foreign.kill()
    foreign.start()
    assert foreign.inspect(name)["State"]["Pid"] == pid
    assert foreign.docker("exec", name, "echo", "here", check=True).out == "here\n"
    foreign.docker("stop", "-t", "20", name, check=True)
    assert foreign.inspect(name)["State"]["ExitCode"] == 9
