"""Health checks: what a container's state says after its probes, whatever happens to container and engine meanwhile."""
import json
import time

import pytest

from engine import LIMIT_S, wait_until

FAST = ("--health-interval", "200ms", "--health-timeout", "60s", "--health-retries", "2")


def health(engine, name):
    return engine.inspect(name)["State"].get("Health")


def becomes(engine, name, status, limit_s=LIMIT_S):
    return wait_until(lambda: (lambda h: h and h["Status"] == status and h)(health(engine, name)), limit_s,
                      what=f"{name} becoming {status}")


def events_since(engine, name, since):
    out = engine.docker("events", "--since", str(since), "--until", str(time.time()), "-f", f"container={name}",
                        "--format", "{{.Action}}", check=True).out
    return out.splitlines()


def test_healthy_unhealthy_and_back(engine, name):
    since = time.time()
    engine.docker("run", "-d", "--name", name, *FAST, "--health-cmd", "cat /tmp/ok", "busybox", "sh", "-c",
                  "echo fine > /tmp/ok; exec sleep 1000", check=True)
    assert health(engine, name)["Status"] in ("starting", "healthy")
    state = becomes(engine, name, "healthy")
    assert state["FailingStreak"] == 0 and state["Log"][-1]["ExitCode"] == 0 and state["Log"][-1]["Output"] == "fine\n"
    assert list(engine.inspect(name)["State"])[-3:] == ["StartedAt", "FinishedAt", "Health"]
    assert list(state) == ["Status", "FailingStreak", "Log"] and list(state["Log"][0]) == ["Start", "End", "ExitCode", "Output"]
    assert "(healthy)" in engine.docker("ps", "--filter", f"name={name}", "--filter", "health=healthy", check=True).out
    engine.docker("exec", name, "rm", "/tmp/ok", check=True)
    state = becomes(engine, name, "unhealthy")
    assert state["FailingStreak"] >= 2 and state["Log"][-1]["ExitCode"] == 1 and "No such file" in state["Log"][-1]["Output"]
    assert "(unhealthy)" in engine.docker("ps", "--filter", f"name={name}", check=True).out
    assert engine.docker("ps", "-q", "--filter", f"name={name}", "--filter", "health=healthy", check=True).out == ""
    engine.docker("exec", name, "touch", "/tmp/ok", check=True)
    becomes(engine, name, "healthy")
    wait_until(lambda: len(health(engine, name)["Log"]) == 5, what="a full log")
    wait_until(lambda: [action for action in events_since(engine, name, since) if action.startswith("health_status")] ==
               ["health_status: healthy", "health_status: unhealthy", "health_status: healthy"], what="three events")
    engine.docker("stop", "-t", "0", name, check=True)
    assert "health" not in engine.docker("ps", "-a", "--filter", f"name={name}", check=True).out.split(name)[0].split("Exited")[1]
    count = len(health(engine, name)["Log"])
    last = health(engine, name)["Log"][-1]["Start"]
    time.sleep(0.6)
    assert health(engine, name)["Log"][-1]["Start"] == last and count == 5, "a stopped container was probed"
    engine.docker("start", name, check=True)
    assert health(engine, name)["Status"] in ("starting", "healthy")


def test_image_check_and_its_forms(engine, name, tmp_path):
    (tmp_path / "Dockerfile").write_text(
        'FROM busybox\nENV A=b\nWORKDIR /tmp\nUSER somebody\n'
        'HEALTHCHECK --interval=200ms --retries=1 CMD ["sh", "-c", "echo $A $(pwd) $(id -un)"]\nCMD ["sleep", "1000"]\n')
    assert engine.docker("build", "-t", name, tmp_path).code == 0
    engine.docker("run", "-d", "--name", name, name, check=True)
    assert becomes(engine, name, "healthy")["Log"][0]["Output"] == "b /tmp somebody\n"
    engine.docker("rm", "-f", name, check=True)
    # Parts that are given replace the image's, the others stay.
    engine.docker("run", "-d", "--name", name, "--health-retries", "7", name, check=True)
    check = engine.inspect(name)["Config"]["Healthcheck"]
    assert check["Retries"] == 7 and check["Interval"] == 200000000 and check["Test"][0] == "CMD"
    engine.docker("rm", "-f", name, check=True)
    engine.docker("run", "-d", "--name", name, "--no-healthcheck", name, check=True)
    assert health(engine, name) is None
    engine.docker("rm", "-f", name, check=True)
    # A command that is not there is a failure with its reason.
    engine.docker("run", "-d", "--name", name, *FAST, "--entrypoint", "sleep", "busybox", "1000", check=True)
    assert health(engine, name) is None, "no command, no check"
    engine.docker("rm", "-f", name, check=True)
    client = engine.sdk()
    client.containers.run("busybox", ["sleep", "1000"], name=name, detach=True,
                          healthcheck={"test": ["CMD", "/nowhere"], "interval": 200000000, "retries": 1})
    state = becomes(engine, name, "unhealthy")
    assert state["Log"][-1]["ExitCode"] == -1 and "no such file or directory" in state["Log"][-1]["Output"]


def test_timeout_kills_the_probe_and_its_children(engine, name):
    engine.docker("run", "-d", "--name", name, "--health-interval", "300ms", "--health-timeout", "300ms", "--health-retries", "1",
                  "--health-cmd", "echo begun; sleep 777 & sleep 777", "busybox", "sleep", "1000", check=True)
    state = becomes(engine, name, "unhealthy")
    assert {entry["ExitCode"] for entry in state["Log"]} == {-1}
    # On a busy machine one may not have come so far as to say anything.
    wait_until(lambda: any(entry["Output"] == "Health check exceeded timeout (300ms): begun\n" for entry in health(engine, name)["Log"]),
               what="a probe that was cut off")
    # Between two probes nothing of them is left.
    wait_until(lambda: "sleep 777" not in engine.docker("exec", name, "ps", check=True).out, step_s=0.03, what="probes ending")
    # Output that nobody could keep does not stop a probe, and what is kept is bounded.
    engine.docker("rm", "-f", name, check=True)
    engine.docker("run", "-d", "--name", name, "--health-interval", "200ms", "--health-cmd", "yes | head -c 3000000",
                  "busybox", "sleep", "1000", check=True)
    assert len(becomes(engine, name, "healthy")["Log"][0]["Output"]) == 4096


@pytest.mark.current_client
def test_start_period_and_events(engine, name):
    since = time.time()
    engine.docker("run", "-d", "--name", name, "--health-interval", "1h", "--health-start-period", "1h",
                  "--health-start-interval", "200ms", "--health-retries", "1", "--health-cmd", "test -e /tmp/up", "busybox",
                  "sleep", "1000", check=True)
    wait_until(lambda: len(health(engine, name)["Log"]) >= 3, what="probes of the start period")
    state = health(engine, name)
    assert state["Status"] == "starting" and state["FailingStreak"] == 0
    assert "(health: starting)" in engine.docker("ps", "--filter", f"name={name}", check=True).out
    engine.docker("exec", name, "touch", "/tmp/up", check=True)
    becomes(engine, name, "healthy")
    last = health(engine, name)["Log"][-1]["Start"]
    time.sleep(0.6)
    assert health(engine, name)["Log"][-1]["Start"] == last, "the start interval went on"
    seen = events_since(engine, name, since)
    probe = seen.index("exec_create: /bin/sh -c test -e /tmp/up")
    assert [a.split(":")[0] for a in seen[probe:probe + 3]] == ["exec_create", "exec_start", "exec_die"]


def test_pause_holds_the_probes(engine, name):
    engine.docker("run", "-d", "--name", name, "--health-interval", "200ms", "--health-timeout", "3s", "--health-retries", "1",
                  "--health-cmd", "sleep 0.5", "busybox", "sleep", "1000", check=True)
    becomes(engine, name, "healthy")
    engine.docker("pause", name, check=True)
    time.sleep(0.5)  # for the end of one that was just over
    last = health(engine, name)["Log"][-1]["Start"]
    time.sleep(3)
    assert health(engine, name)["Log"][-1]["Start"] == last, "a paused container was probed"
    engine.docker("unpause", name, check=True)
    wait_until(lambda: health(engine, name)["Log"][-1]["Start"] > last, what="probing again")
    assert all(entry["ExitCode"] == 0 for entry in health(engine, name)["Log"]), "being paused was taken for a failure"


@pytest.mark.own
def test_survives_the_engine(private_engine, name):
    engine = private_engine
    # The log has five entries: seldom enough for one to be found again after a restart.
    engine.docker("run", "-d", "--name", name, *FAST, "--health-interval", "2s", "--health-cmd", "test -e /tmp/ok", "busybox", "sleep", "1000", check=True)
    becomes(engine, name, "unhealthy")
    pid = engine.inspect(name)["State"]["Pid"]
    engine.kill()
    engine.start()
    assert health(engine, name)["Status"] == "unhealthy" and engine.inspect(name)["State"]["Pid"] == pid
    engine.docker("exec", name, "touch", "/tmp/ok", check=True)
    becomes(engine, name, "healthy")
    log = health(engine, name)["Log"]
    engine.stop()
    engine.start()
    after = health(engine, name)
    assert after["Status"] == "healthy" and log[-1] in after["Log"]
    wait_until(lambda: health(engine, name)["Log"][-1]["Start"] > log[-1]["Start"], what="probing again")
    # A probe that the crash cut off is ended by its supervisor.
    engine.docker("rm", "-f", name, check=True)
    engine.docker("run", "-d", "--name", name, "--health-interval", "200ms", "--health-timeout", "2s", "--health-cmd", "sleep 555",
                  "busybox", "sleep", "1000", check=True)
    wait_until(lambda: "sleep 555" in engine.docker("exec", name, "ps", check=True).out, what="a probe")
    engine.kill()
    engine.start()
    wait_until(lambda: health(engine, name)["Log"], what="a result")
    wait_until(lambda: engine.docker("exec", name, "ps", check=True).out.count("sleep 555") <= 1, what="the first probe's end")


@pytest.mark.own
def test_acts_on_failure(engine, name):
    def run(action, *more):
        engine.docker("rm", "-f", name)
        engine.berth("run", "-d", "--name", name, *FAST, "--health-on-failure", action, *more, "--health-cmd", "test -e /tmp/ok",
                     "busybox", "sleep", "1000", check=True)
        return engine.inspect(name)

    first = run("restart", "--stop-timeout", "0")
    assert first["HostConfig"]["HealthOnFailure"] == "restart"
    wait_until(lambda: engine.inspect(name)["State"]["StartedAt"] > first["State"]["StartedAt"], what="the restart")
    wait_until(lambda: health(engine, name)["Status"] == "starting", what="health beginning anew")
    run("stop", "--stop-timeout", "0", "--restart", "always")
    wait_until(lambda: engine.inspect(name)["State"]["Status"] == "exited", what="the stop")
    run("kill")
    wait_until(lambda: engine.inspect(name)["State"]["Status"] == "exited", what="the kill")
    assert engine.inspect(name)["State"]["ExitCode"] == 137
    run("kill", "--restart", "on-failure")
    wait_until(lambda: engine.inspect(name)["RestartCount"] > 0, what="the policy's restart")
    run("none")
    becomes(engine, name, "unhealthy")
    assert engine.inspect(name)["State"]["Status"] == "running"
    refused = engine.berth("run", "-d", "--health-on-failure", "explode", "busybox", "true")
    assert refused.code == 125 and "HealthOnFailure" in refused.err


@pytest.mark.own
def test_no_image_acts_on_the_engine(engine, name, tmp_path):
    """What happens on failure is the host's word: nothing in an image's configuration or labels says it."""
    (tmp_path / "Dockerfile").write_text('FROM busybox\nLABEL HealthOnFailure=kill io.berth.health-on-failure=kill\n'
                                         'HEALTHCHECK --interval=200ms --retries=1 CMD false\nCMD ["sleep", "1000"]\n')
    assert engine.docker("build", "-t", name, tmp_path).code == 0
    engine.docker("run", "-d", "--name", name, name, check=True)
    becomes(engine, name, "unhealthy")
    assert engine.inspect(name)["State"]["Running"] and "HealthOnFailure" not in json.dumps(engine.inspect(name)["HostConfig"])


@pytest.mark.own
def test_a_supervisor_that_does_not_answer_holds_up_nobody(engine, name):
    import os
    import pathlib
    import signal
    engine.docker("run", "-d", "--name", name, *FAST, "--health-cmd", "true", "busybox", "sleep", "1000", check=True)
    becomes(engine, name, "healthy")
    pid = engine.inspect(name)["State"]["Pid"]
    shim = int(pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
    other = name + "-other"
    os.kill(shim, signal.SIGSTOP)
    try:
        engine.docker("run", "-d", "--name", other, *FAST, "--health-cmd", "true", "busybox", "sleep", "1000", check=True)
        becomes(engine, other, "healthy", 40)
        assert engine.inspect(name)["State"]["Status"] == "running"
    finally:
        os.kill(shim, signal.SIGCONT)
        engine.docker("rm", "-f", other)
    last = health(engine, name)["Log"][-1]["Start"]
    wait_until(lambda: health(engine, name)["Log"][-1]["Start"] > last, what="probing again")
