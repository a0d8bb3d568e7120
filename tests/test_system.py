"""The engine's own view of things: disk usage, prune, metrics, events, and the commands that show them."""
import json
import re
import signal
import subprocess
import time

import pytest

import raw_api
from engine import wait_until


@pytest.fixture
def api(engine):
    return raw_api.Api(engine.socket)


def same(engine, *arguments):
    """Our command and Docker's say the same."""
    ours, theirs = engine.berth(*arguments), engine.docker(*arguments)
    assert (ours.code, ours.out, ours.err) == (theirs.code, theirs.out, theirs.err), arguments
    return ours


# ---- commands ----

@pytest.mark.own
def test_commands_for_one_container(engine, name, free_port):
    engine.docker("run", "-d", "--name", name, "-p", f"127.0.0.1:{free_port}:80", "-p", f"{free_port}:9/udp", "busybox", "sleep",
                  "1000", check=True)
    assert "sleep 1000" in same(engine, "top", name, "-o", "pid,comm,args").out
    same(engine, "container", "top", name, "-eo", "pid")
    same(engine, "top", name, "-o", "comm")
    assert f"80/tcp -> 127.0.0.1:{free_port}\n" in same(engine, "port", name).out
    same(engine, "port", name, "9/udp")
    same(engine, "container", "port", name, "9")
    same(engine, "port", name, "80")
    same(engine, "update", "--pids-limit", "99", name, name + "-not")
    assert engine.inspect(name)["HostConfig"]["PidsLimit"] == 99
    same(engine, "update", name)
    same(engine, "update", "--restart", "x:y", name)
    assert engine.berth("container", "update", "--restart", "on-failure:2", "--cpus", "0.5", "-m", "64m", "--memory-swap", "-1",
                        name, check=True).out == name + "\n"
    host = engine.inspect(name)["HostConfig"]
    assert (host["RestartPolicy"], host["NanoCpus"], host["Memory"], host["MemorySwap"]) == \
        ({"Name": "on-failure", "MaximumRetryCount": 2}, 500000000, 64 << 20, -1)
    same(engine, "stats", "--no-stream", name + "-not")
    rows = [json.loads(engine.__getattribute__(program)("stats", "--no-stream", "--format", "json", name, check=True).out)
            for program in ("berth", "docker")]
    assert list(rows[0]) == list(rows[1]) and rows[0]["MemUsage"].split(" / ")[1] == rows[1]["MemUsage"].split(" / ")[1] == "64MiB"
    assert name in engine.berth("stats", "--no-stream", "--no-trunc", check=True).out
    # Live: frame after frame, until it is told to end.
    live = subprocess.Popen([str(engine.build / "berth"), "stats", "--format", "{{.Name}} {{.PIDs}}"], env=engine.environment,
                            stdout=subprocess.PIPE, text=True)
    assert [line for line, _ in zip((l for l in live.stdout if name in l), range(3))] == [f"{name} 1\n"] * 3
    live.send_signal(signal.SIGTERM)
    live.wait(10)


def test_prune_of_containers(engine, name):
    engine.docker("run", "--name", name, "--label", f"of={name}", "busybox", "sh", "-c", "head -c 5000 /dev/zero > /f", check=True)
    id = engine.inspect(name)["Id"]
    program = engine.berth if engine.is_ours else engine.docker
    declined = program("container", "prune", "--filter", f"label=of={name}", stdin="n\n")
    assert declined.code == (1 if engine.is_ours else declined.code) and "Are you sure you want to continue? [y/N]" in declined.out
    assert engine.inspect(name)
    out = program("container", "prune", "--filter", f"label=of={name}", stdin="y\n", check=True).out
    assert f"Deleted Containers:\n{id}\n\nTotal reclaimed space: 5kB\n" in out
    assert "Total reclaimed space: 0B" == program("container", "prune", "-f", "--filter", f"label=of={name}", check=True).out.strip()
    assert "invalid filter 'foo'" in program("container", "prune", "-f", "--filter", "foo=bar").err


# ---- disk usage ----

def test_disk_usage(private_engine, name, tmp_path):
    engine = private_engine
    api = raw_api.Api(engine.socket)
    (tmp_path / "Dockerfile").write_text("FROM busybox\nRUN head -c 70000 /dev/zero > /seventy\nRUN echo x > /x\n")
    assert engine.docker("build", "-t", name, tmp_path).code == 0
    engine.docker("volume", "create", "vol", check=True)
    engine.docker("run", "--name", name, "-v", "vol:/v", name, "sh", "-c", "head -c 6000 /dev/zero > /v/f; head -c 7000 /dev/zero > /f",
                  check=True)
    usage = api.do("GET", "/system/df")
    container, = usage["Containers"]
    assert container["SizeRw"] == 7000 and container["SizeRootFs"] > 70000
    volume, = usage["Volumes"]
    assert volume["UsageData"] == {"RefCount": 1, "Size": 6000}
    images = {tuple(image["RepoTags"] or ()): image for image in usage["Images"]}
    mine = images[(f"{name}:latest",)]
    assert mine["Containers"] == 1 and 70000 <= mine["Size"] - mine["SharedSize"] < 80000
    assert mine["SharedSize"] == images[("busybox:latest",)]["Size"] <= usage["LayersSize"]
    steps = [entry for entry in usage["BuildCache"] if "seventy" in entry["Description"]]
    assert len(steps) == 1 and 70000 <= steps[0]["Size"] < 80000
    assert set(steps[0]) >= {"ID", "Type", "Description", "InUse", "Shared", "Size", "CreatedAt", "LastUsedAt", "UsageCount"}
    assert api.do("GET", "/system/df?type=container")["Images"] is None
    assert api.call("GET", "/system/df?type=nonsense").status == 400
    rows = [json.loads(line) for line in engine.berth("system", "df", "--format", "json", check=True).out.splitlines()]
    assert [row["Type"] for row in rows] == ["Images", "Containers", "Local Volumes", "Build Cache"]
    assert rows[1] == {"Active": "0", "Reclaimable": "7kB (100%)", "Size": "7kB", "TotalCount": "1", "Type": "Containers"}
    theirs = [json.loads(line) for line in engine.docker("system", "df", "--format", "json", check=True).out.splitlines()]
    assert [(r["TotalCount"], r["Active"]) for r in rows] == [(r["TotalCount"], r["Active"]) for r in theirs]
    full = engine.berth("system", "df", "-v", check=True).out
    assert re.search(rf"^{name}\s+latest\s", full, re.M) and re.search(r"^vol\s+1\s+6kB$", full, re.M) and "seventy" not in full
    assert engine.docker("system", "df", "-v").code == 0
    # What is pruned is gone, and said so: first what nothing uses, then all.
    pruned = engine.berth("system", "prune", "-f", "-a", "--volumes", check=True).out
    assert "Deleted Containers:" in pruned and "untagged: " + name in pruned and "Deleted build cache objects:" in pruned
    usage = api.do("GET", "/system/df")
    assert (usage["Containers"], usage["Images"], usage["BuildCache"], usage["LayersSize"]) == ([], [], [], 0)
    assert [v["Name"] for v in usage["Volumes"]] == ["vol"], "a named volume is not pruned"
    assert engine.verify().code == 0


def test_prune_keeps_what_is_used(private_engine, name, tmp_path):
    engine = private_engine
    (tmp_path / "Dockerfile").write_text("FROM busybox\nRUN echo used > /u\n")
    assert engine.docker("build", "-t", name, tmp_path).code == 0
    assert engine.docker("system", "prune", "-f").code == 0
    assert "Using cache" in engine.docker("build", "-t", name, tmp_path).out, "the cache of an image that is there was pruned"
    engine.docker("builder", "prune", "-a", "-f", check=True)
    assert "Using cache" not in engine.docker("build", "-t", name, tmp_path).out
