"""Restart policies: back-off, counts, and what holds when engine or machine went away in between."""
import os
import re
import shutil
import signal
import subprocess
import time

import pytest

from engine import wait_until

pytestmark = pytest.mark.own


def state(engine, name):
    return engine.inspect(name)["State"]


def kill_all(engine, names):
    """As a machine that loses power does: supervisors and containers are gone, and so is the run directory."""
    pids = [state(engine, name)["Pid"] for name in names]
    supervisors = [int(re.search(r"PPid:\s*(\d+)", open(f"/proc/{pid}/status").read())[1]) for pid in pids]
    engine.kill()
    for pid in supervisors + pids:
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not any(os.path.exists(f"/proc/{pid}") and "Z" not in open(f"/proc/{pid}/stat").read().split(")")[1].split()[0] for pid in pids), what="their end")
    shutil.rmtree(engine.run_directory)


def test_counted_restarts(engine, name):
    engine.docker("run", "-d", "--restart", "on-failure:3", "--name", name, "busybox", "sh", "-c", "echo run; exit 3", check=True)
    wait_until(lambda: state(engine, name)["Status"] == "exited", what="the last try")
    info = engine.inspect(name)
    assert (info["RestartCount"], info["State"]["ExitCode"]) == (3, 3)
    assert engine.docker("logs", name).out == "run\n" * 4
    # Each delay doubles the one before.
    events = engine.docker("events", "--since", "600s", "--until", str(int(time.time()) + 1), "--filter", f"container={name}", "--format", "{{.Action}} {{.TimeNano}}").out.splitlines()
    times = [(line.split()[0], int(line.split()[1])) for line in events if line.split()[0] in ("die", "start")]
    waits = [b[1] - a[1] for a, b in zip(times, times[1:]) if (a[0], b[0]) == ("die", "start")]
    assert len(waits) == 3 and all(wait >= least * 1e6 for wait, least in zip(waits, (90, 190, 390))), waits


def test_success_ends_it(engine, name):
    engine.docker("run", "-d", "--restart", "on-failure", "--name", name, "busybox", "true", check=True)
    wait_until(lambda: state(engine, name)["Status"] == "exited", what="its end")
    assert engine.inspect(name)["RestartCount"] == 0


def test_a_stop_during_the_wait_for_the_next_run(engine, name):
    engine.docker("run", "-d", "--restart", "always", "--name", name, "busybox", "false", check=True)
    wait_until(lambda: engine.inspect(name)["RestartCount"] >= 3, what="some restarts")
    engine.docker("stop", name, check=True)
    count = engine.inspect(name)["RestartCount"]
    assert state(engine, name)["Status"] == "exited"
    engine.docker("run", "--rm", "busybox", "sleep", "2", check=True)
    assert engine.inspect(name)["RestartCount"] == count and state(engine, name)["Status"] == "exited"


def test_policies_over_a_reboot(private_engine):
    engine = private_engine
    policies = {"unless": "unless-stopped", "always": "always", "failure": "on-failure", "none": "no"}
    for name, policy in policies.items():
        engine.docker("run", "-d", "--restart", policy, "--name", f"p-{name}", "busybox", "sleep", "300", check=True)
    for policy in ("unless-stopped", "always"):
        engine.docker("run", "-d", "--restart", policy, "--name", f"stopped-{policy}", "busybox", "sleep", "300", check=True)
        engine.docker("stop", "-t", "0", f"stopped-{policy}", check=True)
    engine.docker("run", "-d", "--rm", "--name", "p-remove", "-v", "/anonymous", "busybox", "sleep", "300", check=True)
    kill_all(engine, [f"p-{name}" for name in policies] + ["p-remove"])
    engine.start()
    for name in ("p-unless", "p-always", "p-failure", "stopped-always"):
        wait_until(lambda: state(engine, name)["Running"], what=f"{name} running again")
        assert engine.docker("exec", name, "echo", "alive", check=True).out == "alive\n"
    assert (state(engine, "p-none")["Status"], state(engine, "p-none")["ExitCode"]) == ("exited", 255)
    assert state(engine, "stopped-unless-stopped")["Status"] == "exited"
    wait_until(lambda: engine.docker("inspect", "p-remove").code == 1, what="the removal")
    assert engine.docker("volume", "ls", "-q").out == ""
    assert engine.verify().code == 0


def test_a_stop_is_known_before_it_has_an_effect(private_engine):
    """The engine dies between the signal and the end: the container was stopped by hand all the same."""
    engine = private_engine
    for name, command in (("slow", ["stop", "-t", "60", "slow"]), ("killed", ["kill", "-s", "TERM", "killed"])):
        engine.docker("run", "-d", "--restart", "unless-stopped", "--name", name, "busybox", "sh", "-c", "trap 'echo got it' TERM; echo up; while :; do sleep 0.1; done", check=True)
        wait_until(lambda: "up" in engine.docker("logs", name).out, what="the trap")
        process = subprocess.Popen([str(engine.build / "berth"), *command], env=engine.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(lambda: "got it" in engine.docker("logs", name).out, what="the signal")
        pid = state(engine, name)["Pid"]
        engine.kill()
        process.wait()
        os.kill(pid, signal.SIGKILL)
        engine.start()
        wait_until(lambda: state(engine, name)["Status"] == "exited", what="its end being told")
        engine.kill()
        engine.start()
        assert state(engine, name)["Status"] == "exited"
