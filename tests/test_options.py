"""Options of create and run that change how a container lives: its init, its limits, its names."""
import re

import pytest

from engine import wait_until


def cmdline(pid):
    return open(f"/proc/{pid}/cmdline").read().split("\0")[:-1]


# ---- init ----

def test_init_needs_nothing_of_host_or_image(engine, name):
    """The first process is ours, seen at Docker's place; it reaps, and ends as its command ends."""
    engine.docker("run", "-d", "--init", "--name", name, "busybox", "sh", "-c", "sh -c 'sleep 0.2 &'; exec sleep 300", check=True)
    assert engine.inspect(name)["HostConfig"]["Init"] is True
    assert cmdline(engine.inspect(name)["State"]["Pid"])[:2] == ["/sbin/docker-init", "--"]

    def processes():
        stats = engine.docker("exec", name, "sh", "-c", "cat /proc/[0-9]*/stat 2>/dev/null").out
        return sorted((parent, comm, state) for comm, state, parent in re.findall(r"\((.*?)\) (\w) (\d+) ", stats) if comm in ("docker-init", "sleep"))
    # The orphan ends and nothing is left of it.
    wait_until(lambda: [p[:2] for p in processes()] == [("0", "docker-init"), ("1", "sleep")], what="the orphan being reaped")
    assert "ro" in engine.docker("exec", name, "grep", " /sbin/docker-init ", "/proc/mounts", check=True).out.split()[3].split(",")


def test_init_hands_signals_on(engine, name):
    engine.docker("run", "-d", "--init", "--name", name, "busybox", "sh", "-c", "trap 'exit 7' TERM; trap 'echo usr' USR1; echo up; while :; do sleep 0.1; done", check=True)
    wait_until(lambda: "up" in engine.docker("logs", name).out, what="the trap being set")
    engine.docker("kill", "-s", "USR1", name, check=True)
    wait_until(lambda: "usr" in engine.docker("logs", name).out, what="the signal being handed on")
    engine.docker("stop", "-t", "20", name, check=True)
    assert engine.inspect(name)["State"]["ExitCode"] == 7


@pytest.mark.parametrize("script, code", [("exit 5", 5), ("kill -KILL $$", 137)])
def test_init_ends_as_its_command(engine, script, code):
    assert engine.docker("run", "--rm", "--init", "busybox", "sh", "-c", script).code == code


def test_init_does_not_find_the_command(engine):
    got = engine.docker("run", "--rm", "--init", "busybox", "/nope")
    assert got.code == 127 and "/nope" in got.err


def test_init_leaves_the_terminal_to_the_command(engine):
    got = engine.docker("run", "--rm", "-t", "--init", "busybox", "sh", "-c", "awk '{ print $5 == $8 }' /proc/self/stat")
    assert got.out.strip() == "1", got


def test_init_where_there_is_another_first_process(engine):
    """In the host's pid namespace nothing is put in front of the command."""
    assert "docker-init" not in engine.docker("run", "--rm", "--init", "--pid", "host", "busybox", "sh", "-c", "tr '\\0' ' ' < /proc/$$/cmdline", check=True).out


@pytest.mark.own
def test_init_of_the_users_choice(build, docker_client, tmp_path):
    """--init-path is still honoured, and --init as a default of the engine."""
    import engine as engines

    program = tmp_path / "my-init"
    program.write_bytes((build / "src/programs/berth-init").read_bytes())
    program.chmod(0o755)
    made = engines.Engine(build, extra=["--init", "--init-path", str(program)])
    made.start()
    try:
        made.docker("build", "-q", "-t", "busybox", engines.make_busybox_context(made.directory / "context"), check=True)
        got = made.docker("run", "--rm", "busybox", "sh", "-c", "tr '\\0' ' ' < /proc/1/cmdline; wc -c < /sbin/docker-init", check=True).out.split()
        assert got[0] == "/sbin/docker-init" and got[-1] == str(program.stat().st_size)
        assert made.docker("run", "--rm", "--init=false", "busybox", "cat", "/proc/1/cmdline").out.startswith("cat")
        assert made.docker("info", "-f", "{{.InitBinary}}").out.strip() == str(program)
    finally:
        made.remove()
