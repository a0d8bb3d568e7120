"""The engine's own view of things: disk usage, prune, metrics, events, and the commands that show them."""
import json
import re
import signal
import subprocess
import time

import pytest

import raw_api
from engine import LIMIT_S, wait_until


@pytest.fixture
def api(engine):
    return raw_api.Api(engine.socket)


def same(engine, *arguments):
    """Our command and Docker's say the same."""
    ours, theirs = engine.berth(*arguments), engine.docker(*arguments)
    assert (ours.code, ours.out, ours.err) == (theirs.code, theirs.out, theirs.err), arguments
    return ours


# ---- commands ----

@pytest.mark.current_client
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
    live.wait(LIMIT_S)


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

@pytest.mark.current_client
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
    brief = api.do("GET", "/system/df?brief=1")
    assert brief["Containers"] == [{"SizeRw": 7000, "State": "exited"}] and "DataRoot" in usage and "DataRoot" not in brief
    assert brief["Images"] == [{key: image[key] for key in ("Containers", "SharedSize", "Size")} for image in usage["Images"]]
    assert (brief["Volumes"], brief["LayersSize"], len(brief["BuildCache"])) == (usage["Volumes"], usage["LayersSize"], len(usage["BuildCache"]))
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


# ---- metrics ----

def parse_metrics(text):
    """name{labels} → value; every line has to be one of the format's."""
    values = {}
    for line in text.splitlines():
        if line.startswith("# "):
            assert re.fullmatch(r"# (HELP \w+ .+|TYPE \w+ (counter|gauge|histogram))", line), line
            continue
        match = re.fullmatch(r'(\w+(?:\{\w+="[^"]*"(?:,\w+="[^"]*")*\})?) (\S+)', line)
        assert match, line
        assert match[1] not in values
        values[match[1]] = float(match[2])
    return values


@pytest.mark.own
def test_metrics(build, docker_client, free_port, name):
    import urllib.error
    import urllib.request
    import engine as engines
    made = engines.Engine(build, extra=["--metrics-addr", f"127.0.0.1:{free_port}"])
    made.start()
    try:
        def fetch():
            with urllib.request.urlopen(f"http://127.0.0.1:{free_port}/metrics", timeout=LIMIT_S) as answer:
                assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
                return parse_metrics(answer.read().decode())

        context = engines.make_busybox_context(made.directory / "busybox-context")
        assert made.docker("build", "-q", "-t", "busybox", context).code == 0
        before = fetch()
        made.docker("run", "-d", "--name", name, "--health-interval", "200ms", "--health-cmd", "false", "--health-retries", "1",
                    "busybox", "sleep", "1000", check=True)
        assert made.docker("run", "--rm", "busybox", "nonsense").code == 127
        wait_until(lambda: fetch()['berth_container_health_containers{health="unhealthy"}'] == 1, what="an unhealthy one")
        after = fetch()
        count = 'engine_daemon_container_actions_seconds_count{action="%s"}'
        assert after[count % "create"] - before[count % "create"] == 2
        assert after[count % "start"] - before[count % "start"] == 1
        assert after['berth_container_action_failures_total{action="start"}'] == 1
        assert 0 < after['engine_daemon_container_actions_seconds_sum{action="start"}']
        assert after['engine_daemon_container_actions_seconds_bucket{action="start",le="+Inf"}'] == after[count % "start"]
        assert after['engine_daemon_container_states_containers{state="running"}'] == 1
        assert after["engine_daemon_health_checks_failed_total"] >= 1 and after["engine_daemon_events_total"] > before["engine_daemon_events_total"]
        assert 1 << 20 < after["process_resident_memory_bytes"] < 1 << 30
        made.docker("pause", name, check=True)
        assert fetch()['engine_daemon_container_states_containers{state="paused"}'] == 1
        # Nothing else is served there, and the API's own socket has it too.
        for path in ("/_ping", "/v1.51/containers/json", "/"):
            with pytest.raises(urllib.error.HTTPError, match="404"):
                urllib.request.urlopen(f"http://127.0.0.1:{free_port}{path}", timeout=LIMIT_S)
        with pytest.raises(urllib.error.HTTPError, match="405"):
            urllib.request.urlopen(f"http://127.0.0.1:{free_port}/metrics", data=b"x", timeout=LIMIT_S)
        assert b"engine_daemon_engine_info{" in raw_api.Api(made.socket).call("GET", "/metrics").data
    finally:
        made.remove()


# ---- events ----

def test_events_are_replayed_filtered_and_ended(engine, api, name):
    since = time.time()
    engine.docker("run", "--rm", "--name", name, "--label", "of=" + name, "busybox", "sh", "-c", "exit 3")
    until = time.time() + 0.001
    program = engine.berth if engine.is_ours else engine.docker

    def events(*filters):
        out = program("events", "--since", f"{since:.6f}", "--until", f"{until:.6f}", "--format", "json",
                      *(a for f in filters for a in ("--filter", f)), check=True).out
        return [json.loads(line) for line in out.splitlines()]

    mine = events(f"container={name}")
    assert [e["Action"] for e in mine] == ["create", "attach", "start", "die", "destroy"]
    die = mine[3]
    assert die["Actor"]["Attributes"] == {"execDuration": die["Actor"]["Attributes"]["execDuration"], "exitCode": "3", "image": "busybox",
                                          "name": name, "of": name}
    assert die["status"] == "die" and die["id"] == die["Actor"]["ID"] and die["from"] == "busybox" and die["scope"] == "local"
    assert [e["Action"] for e in events(f"label=of={name}", "event=die", "event=start")] == ["start", "die"]
    assert [e["Action"] for e in events(f"label=of={name}", "event=die", "type=network")] == []
    network = events("type=network")
    assert ["connect", "disconnect"] == [e["Action"] for e in network if e["Actor"]["Attributes"]["container"] == mine[0]["Actor"]["ID"]]
    text = program("events", "--since", f"{since:.6f}", "--until", f"{until:.6f}", "--filter", "event=die", check=True).out
    assert re.search(r"^\S+Z container die [0-9a-f]{64} \(execDuration=\d+, exitCode=3, image=busybox, name=", text, re.M)
    refused = api.call("GET", "/events?since=5&until=1")
    assert refused.status == 400 and refused.json["message"] == "`since` time (5) cannot be after `until` time (1)"


@pytest.mark.own
def test_many_events_are_replayed(engine, api, name):
    """More than Docker keeps; what is kept is bounded by its size too."""
    since, count = time.time(), 400

    def happen(**labels):
        made = api.do("POST", "/containers/create", {"Image": "busybox", "Labels": {"of": name, **labels}})["Id"]
        assert api.call("DELETE", f"/containers/{made}").status == 204
        return made

    def replayed():
        filters = raw_api.quote(json.dumps({"label": [f"of={name}"]}))
        lines = api.call("GET", f"/events?since={since:.6f}&until={time.time() + 0.001:.6f}&filters={filters}").data.splitlines()
        return [(event["Action"], event["id"]) for event in map(json.loads, lines)]
    made = [happen() for _ in range(count)]
    assert replayed() == [(action, id) for id in made for action in ("create", "destroy")]
    large = [happen(large="x" * 100_000) for _ in range(20)]
    kept = replayed()
    assert 0 < len(kept) < 40 and kept[-1] == ("destroy", large[-1])


@pytest.mark.own
def test_a_slow_reader_of_events_is_told(engine, name):
    """More than it can hold is happening while it does not read: its stream ends, and nobody else notices."""
    import socket
    slow = socket.socket(socket.AF_UNIX)
    slow.settimeout(LIMIT_S)
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    slow.connect(str(engine.socket))
    slow.sendall(b"GET /v1.51/events HTTP/1.1\r\nHost: x\r\n\r\n")
    assert slow.recv(12, socket.MSG_PEEK) == b"HTTP/1.1 200"
    engine.docker("create", "--name", name, "--label", "long=" + "x" * 60000, "busybox", "true", check=True)
    api = raw_api.Api(engine.socket)
    told = 400
    for _ in range(told):
        assert api.call("POST", f"/containers/{name}/update", {}).status == 200
    received, end = 0, b""
    while chunk := slow.recv(1 << 20):
        received += (end[-7:] + chunk).count(b'"update"') - end[-7:].count(b'"update"')
        end = (end + chunk)[-200:]
    slow.close()
    assert 0 < received < told
    assert not end.endswith(b"0\r\n\r\n"), "an end like any other would hide that events are missing"
    assert engine.docker("ps").code == 0


# ---- info, and the engine at the other end of ssh ----

@pytest.mark.own
def test_info_says_what_the_engine_says(engine, api):
    told = api.do("GET", "/info")
    shown = engine.berth("info", check=True).out
    for line in (f" Storage Driver: {told['Driver']}", f" Cgroup Version: {told['CgroupVersion']}",
                 f" Docker Root Dir: {told['DockerRootDir']}", "   Profile: builtin", f" CPUs: {told['NCPU']}", "  127.0.0.0/8",
                 " Live Restore Enabled: true", f" ID: {told['ID']}"):
        assert line in shown.splitlines(), line
    assert "  Network: " + " ".join(told["Plugins"]["Network"]) in shown.splitlines()
    if told["Driver"] == "overlay2":
        assert ["Supports d_type", "true"] in told["DriverStatus"] and "  Backing Filesystem: " in shown
    assert same_lines(engine, "ID", "Operating System", "Total Memory", "Swarm")
    assert engine.berth("system", "info", "-f", "{{.ID}}", check=True).out.strip() == told["ID"]
    nobody = engine.berth("-H", "unix:///nowhere", "info")
    assert nobody.code == 1 and nobody.out.startswith("Client:")


def same_lines(engine, *labels):
    ours, theirs = engine.berth("info", check=True).out, engine.docker("info", check=True).out
    for label in labels:
        wanted = re.search(rf"^ {label}: .*$", theirs, re.M)[0]
        assert wanted in ours.splitlines(), (wanted, ours)
    return True


@pytest.mark.own
def test_ssh_hosts_reach_the_engine(engine, tmp_path):
    """Docker's command and ours talk to ssh://; what ssh would run on the other host is run here."""
    ssh = tmp_path / "ssh"
    ssh.write_text(f'#!/bin/sh\nexec {engine.build}/berth -H {engine.host} system dial-stdio\n')
    ssh.chmod(0o755)
    environment = dict(engine.environment, PATH=f"{tmp_path}:{engine.environment['PATH']}", DOCKER_HOST="ssh://somebody@somewhere")
    import engine as engines
    for program in (engines.docker_program(), engine.build / "berth"):
        assert engines.run([program, "info", "-f", "{{.ID}}"], env=environment, check=True).out == \
            engine.docker("info", "-f", "{{.ID}}", check=True).out
        echoed = engines.run([program, "run", "--rm", "-i", "busybox", "cat"], env=environment, stdin="through ssh\n" * 1000, check=True)
        assert echoed.out == "through ssh\n" * 1000
