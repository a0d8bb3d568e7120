"""What containers use and may use: top, stats, update, sizes."""
import json
import pathlib
import re

import pytest

import raw_api
from engine import wait_until


@pytest.fixture
def api(engine):
    return raw_api.Api(engine.socket)


def cpu_percent(sample):
    """As clients compute it."""
    cpu, before = sample["cpu_stats"], sample["precpu_stats"]
    used = cpu["cpu_usage"]["total_usage"] - before["cpu_usage"]["total_usage"]
    passed = cpu["system_cpu_usage"] - before["system_cpu_usage"]
    return used / passed * cpu["online_cpus"] * 100


# ---- top ----

def test_top(engine, name):
    engine.docker("run", "-d", "--name", name, "busybox", "sh", "-c", "sleep 1001 & exec sleep 1002", check=True)
    wait_until(lambda: "sleep 1001" in engine.docker("top", name, check=True).out, what="both processes")
    lines = engine.docker("top", name, check=True).out.splitlines()
    assert lines[0].split() == ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"] and len(lines) == 3
    assert str(engine.inspect(name)["State"]["Pid"]) in [line.split()[1] for line in lines[1:]]
    lines = engine.docker("top", name, "-o", "pid,comm", check=True).out.splitlines()
    assert lines[0].split() == ["PID", "COMMAND"] and {line.split()[1] for line in lines[1:]} == {"sleep"}
    assert "aux" not in engine.docker("top", name, "aux", check=True).out
    engine.docker("pause", name, check=True)
    assert "sleep 1002" in engine.docker("top", name, check=True).out
    engine.docker("unpause", name, check=True)
    assert "Couldn't find PID field in ps output" in engine.docker("top", name, "-o", "comm").err
    assert "not allowed" in engine.docker("top", name, "-o", "comm=PID").err
    assert "unsupported SysV option" in engine.docker("top", name, "-zzz").err
    assert engine.sdk().containers.get(name).top()["Titles"][1] == "PID"
    engine.docker("stop", "-t", "0", name, check=True)
    assert re.search("container [0-9a-f]{64} is not running", engine.docker("top", name).err)


@pytest.mark.own
def test_top_runs_nothing_of_the_image(engine, name, tmp_path):
    """A `ps` in the image is no business of ours, nor its libraries, nor its idea of users."""
    (tmp_path / "ps").write_text("#!/bin/sh\ntouch /tmp/ran\necho PID; echo 1\n")
    (tmp_path / "Dockerfile").write_text('FROM busybox\nCOPY ps /usr/bin/ps\nRUN rm /bin/ps && chmod 755 /usr/bin/ps\n'
                                         'ENV PATH=/usr/bin:/bin\nCMD ["sleep", "1000"]\n')
    assert engine.docker("build", "-t", name, tmp_path).code == 0
    engine.docker("run", "-d", "--name", name, name, check=True)
    assert "sleep 1000" in engine.docker("top", name, check=True).out
    assert engine.docker("exec", name, "test", "-e", "/tmp/ran").code == 1


# ---- stats ----

BURN = "while :; do :; done"


@pytest.mark.current_client
def test_stats_of_a_busy_container(engine, api, name):
    engine.docker("run", "-d", "--name", name, "--memory", "64m", "--pids-limit", "50", "busybox", "sh", "-c",
                  f"dd if=/dev/zero of=/dev/shm/x bs=1M count=8 2>/dev/null; {BURN}", check=True)
    wait_until(lambda: api.do("GET", f"/containers/{name}/stats?stream=0&one-shot=1")["memory_stats"]["usage"] > 8 << 20,
               what="memory being used")
    sample = api.do("GET", f"/containers/{name}/stats?stream=0")
    assert sample["name"] == "/" + name and len(sample["id"]) == 64
    wait_until(lambda: 3 < cpu_percent(api.do("GET", f"/containers/{name}/stats?stream=0")) < 120, what="one process that needs a CPU")
    engine.docker("update", "--cpus", "0.2", name, check=True)
    wait_until(lambda: 3 < cpu_percent(api.do("GET", f"/containers/{name}/stats?stream=0")) < 30, what="a fifth of that")
    memory = sample["memory_stats"]
    cache = memory["stats"].get("total_inactive_file", memory["stats"].get("inactive_file"))
    assert 8 << 20 < memory["usage"] - cache <= memory["limit"] == 64 << 20
    assert sample["pids_stats"] == {"current": 1, "limit": 50}
    assert list(sample["networks"]) == ["eth0"] and sample["read"] > sample["preread"] > "2000"
    sent = sample["networks"]["eth0"]["tx_bytes"]
    gateway = engine.docker("exec", name, "sh", "-c", "ip route | awk '/default/ {print $3}'", check=True).out.strip()
    engine.docker("exec", name, "ping", "-c", "2", "-i", "0.2", "-s", "1000", gateway)
    once = api.do("GET", f"/containers/{name}/stats?stream=0&one-shot=1")
    assert "name" not in once and once["preread"].startswith("0001") and once["networks"]["eth0"]["tx_bytes"] > sent
    # The SDK's stream, and Docker's own table.
    stream = engine.sdk().containers.get(name).stats(decode=True)
    first, second = next(stream), next(stream)
    stream.close()
    assert first["read"] == second["preread"] and 3 < cpu_percent(second) < 140
    table = engine.docker("stats", "--no-stream", "--format", "json", name, check=True).out
    row = json.loads(table)
    assert row["Name"] == name and row["PIDs"] == "1" and row["MemUsage"].endswith("/ 64MiB") and float(row["CPUPerc"][:-1]) > 3
    engine.docker("pause", name, check=True)
    api.do("GET", f"/containers/{name}/stats?stream=0&one-shot=1")
    engine.docker("unpause", name, check=True)


# Keys as Docker writes them, in its order; those of one version of control groups only are marked.
STATS_KEYS = ["name", "id", "read", "preread", "pids_stats", "blkio_stats", "num_procs", "storage_stats", "cpu_stats", "precpu_stats",
              "memory_stats", "networks"]
BLOCK_KEYS = ["io_service_bytes_recursive", "io_serviced_recursive", "io_queue_recursive", "io_service_time_recursive",
              "io_wait_time_recursive", "io_merged_recursive", "io_time_recursive", "sectors_recursive"]
MEMORY_V1 = """active_anon active_file cache dirty hierarchical_memory_limit hierarchical_memsw_limit inactive_anon inactive_file
mapped_file pgfault pgmajfault pgpgin pgpgout rss rss_huge total_active_anon total_active_file total_cache total_dirty
total_inactive_anon total_inactive_file total_mapped_file total_pgfault total_pgmajfault total_pgpgin total_pgpgout total_rss
total_rss_huge total_unevictable total_writeback unevictable writeback""".split()


def test_stats_have_dockers_shape(engine, api, name):
    engine.docker("run", "-d", "--name", name, "--memory", "64m", "busybox", "sleep", "1000", check=True)
    sample = api.do("GET", f"/containers/{name}/stats?stream=0")
    is_v1 = api.do("GET", "/info")["CgroupVersion"] == "1"
    assert list(sample) == STATS_KEYS and list(sample["blkio_stats"]) == BLOCK_KEYS
    assert list(sample["memory_stats"]) == (["usage", "max_usage", "stats", "limit"] if is_v1 else ["usage", "stats", "limit"])
    for times in (sample["cpu_stats"], sample["precpu_stats"]):
        assert list(times) == ["cpu_usage", "system_cpu_usage", "online_cpus", "throttling_data"]
        assert list(times["cpu_usage"]) == ["total_usage"] + ["percpu_usage"] * is_v1 + ["usage_in_kernelmode", "usage_in_usermode"]
        assert list(times["throttling_data"]) == ["periods", "throttled_periods", "throttled_time"]
    assert list(sample["networks"]["eth0"]) == [f"{way}_{what}" for way in ("rx", "tx") for what in ("bytes", "packets", "errors", "dropped")]
    assert (list(sample["memory_stats"]["stats"]) == MEMORY_V1) == is_v1
    assert (sample["blkio_stats"]["io_queue_recursive"] is None) == (not is_v1)


def test_stats_without_network_and_of_stopped(engine, api, name):
    engine.docker("run", "-d", "--name", name, "--network", "none", "busybox", "sleep", "1000", check=True)
    sample = api.do("GET", f"/containers/{name}/stats?stream=0&one-shot=1")
    assert "networks" not in sample and sample["pids_stats"]["current"] == 1 and "limit" not in sample["pids_stats"]
    stream = engine.sdk().containers.get(name).stats(decode=True)
    assert next(stream)["pids_stats"]
    engine.docker("kill", name, check=True)
    stopped = api.do("GET", f"/containers/{name}/stats?stream=0")
    assert stopped["read"].startswith("0001") and stopped["pids_stats"] == {} and stopped["memory_stats"] == {}
    assert stopped["name"] == "/" + name and set(stopped["blkio_stats"].values()) == {None}
    wait_until(lambda: next(stream)["pids_stats"] == {}, step_s=0, what="zeroes")
    engine.docker("rm", name, check=True)
    assert list(stream) is not None, "the stream ends with the container"
    assert api.call("GET", f"/containers/{name}/stats").status == 404
    assert api.call("GET", f"/containers/{name}/stats?one-shot=1&stream=1").status == 404


# ---- update ----

def group_file(engine, name, controller, v1_file, v2_file):
    """A file of the container's control group as the host sees it."""
    pid = engine.inspect(name)["State"]["Pid"]
    for line in pathlib.Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controller in controllers.split(","):
            for mount in pathlib.Path("/proc/self/mountinfo").read_text().splitlines():
                left, right = mount.split(" - ")
                if right.startswith("cgroup ") and controller in right.split()[2].split(","):
                    return (pathlib.Path(left.split()[4]) / path[1:] / v1_file).read_text().strip()
    return (pathlib.Path("/sys/fs/cgroup") / path[1:] / v2_file).read_text().strip()


def test_update_of_a_running_container(engine, api, name):
    engine.docker("run", "-d", "--name", name, "--memory", "64m", "--memory-swap", "128m", "busybox", "sleep", "1000", check=True)
    assert engine.docker("update", "--memory", "32m", "--memory-swap", "40m", "--pids-limit", "33", "--cpu-shares", "512",
                         "--cpuset-cpus", "0", "--memory-reservation", "16m", "--cpus", "0.5", name, check=True).out.strip() == name
    assert int(group_file(engine, name, "memory", "memory.limit_in_bytes", "memory.max")) == 32 << 20
    assert group_file(engine, name, "pids", "pids.max", "pids.max") == "33"
    assert group_file(engine, name, "cpuset", "cpuset.cpus", "cpuset.cpus") == "0"
    assert group_file(engine, name, "cpu", "cpu.cfs_quota_us", "cpu.max").split()[0] == "50000"
    assert group_file(engine, name, "cpu", "cpu.shares", "cpu.weight") in ("512", "59", "60", "61")
    # Growing again, beyond what memory and swap were.
    engine.docker("update", "--memory", "256m", "--memory-swap", "512m", "--pids-limit", "-1", "--restart", "on-failure:3", name,
                  check=True)
    assert int(group_file(engine, name, "memory", "memory.limit_in_bytes", "memory.max")) == 256 << 20
    assert group_file(engine, name, "pids", "pids.max", "pids.max") == "max"
    host = engine.inspect(name)["HostConfig"]
    assert (host["Memory"], host["MemorySwap"], host["PidsLimit"], host["NanoCpus"], host["CpusetCpus"], host["CpuShares"]) == \
        (256 << 20, 512 << 20, 0, 500000000, "0", 512)
    assert host["RestartPolicy"] == {"Name": "on-failure", "MaximumRetryCount": 3}
    refused = engine.docker("update", "--memory", "1g", name)
    assert refused.code == 1 and "Memory limit should be smaller than already set memoryswap limit" in refused.err
    assert "CPU Quota cannot be updated as NanoCPUs has already been set" in engine.docker("update", "--cpu-quota", "5000", name).err
    assert api.call("POST", f"/containers/{name}/update", {"CpuQuota": 5000}).status == 409
    assert api.call("POST", f"/containers/{name}/update", {"Memory": 5}).status == 400
    assert api.call("POST", f"/containers/{name}/update", {"RestartPolicy": {"Name": "x"}}).status == 400
    assert api.call("POST", f"/containers/{name}/update", {"CpusetCpus": "99"}).status == 400
    assert api.call("POST", f"/containers/{name}/update", {}).json == {"Warnings": None}
    assert engine.inspect(name)["HostConfig"] == host, "a refused update changed something"
    # What the kernel refuses leaves everything as it was.
    engine.docker("exec", name, "dd", "if=/dev/zero", "of=/dev/shm/x", "bs=1M", "count=30", check=True)
    if pathlib.Path("/sys/fs/cgroup/memory").exists():
        answer = api.call("POST", f"/containers/{name}/update", {"Memory": 6 << 20, "MemorySwap": 6 << 20, "PidsLimit": 5})
        if answer.status != 200:
            assert answer.status == 500 and engine.inspect(name)["HostConfig"] == host
            assert group_file(engine, name, "pids", "pids.max", "pids.max") == "max"
    # The policy holds from now on, and the limits at the next start.
    engine.docker("update", "--restart", "no", "--pids-limit", "44", name, check=True)
    engine.docker("restart", "-t", "0", name, check=True)
    assert group_file(engine, name, "pids", "pids.max", "pids.max") == "44"


def test_update_of_one_that_does_not_run(engine, name):
    engine.docker("create", "--rm", "--name", name, "busybox", "sleep", "1000", check=True)
    assert "AutoRemove is enabled" in engine.docker("update", "--restart", "always", name).err
    engine.docker("update", "--memory", "48m", "--memory-swap", "48m", name, check=True)
    engine.docker("start", name, check=True)
    assert int(group_file(engine, name, "memory", "memory.limit_in_bytes", "memory.max")) == 48 << 20


@pytest.mark.own
def test_update_survives_the_engine(private_engine, name):
    engine = private_engine
    engine.docker("run", "-d", "--name", name, "busybox", "sleep", "1000", check=True)
    engine.docker("update", "--pids-limit", "55", "--restart", "always", name, check=True)
    engine.kill()
    engine.start()
    host = engine.inspect(name)["HostConfig"]
    assert host["PidsLimit"] == 55 and host["RestartPolicy"]["Name"] == "always"


# ---- sizes ----

def test_links_have_a_size(engine, api, name):
    """The length of what they lead to, as with Docker; another name of a file has none of its own."""
    engine.docker("run", "--name", name, "busybox", "sh", "-c", "echo 1234567 > /tmp/f && ln /tmp/f /tmp/g && ln -s 0123456789 /tmp/l", check=True)
    assert api.do("GET", f"/containers/{name}/json?size=1")["SizeRw"] == 8 + 10


def test_sizes(engine, api, name):
    engine.docker("run", "-d", "--name", name, "busybox", "sh", "-c", "head -c 300000 /dev/zero > /file; exec sleep 1000", check=True)
    wait_until(lambda: engine.docker("exec", name, "wc", "-c", "/file").out.startswith("300000"), what="the file")
    inspected = api.do("GET", f"/containers/{name}/json?size=1")
    assert 300000 <= inspected["SizeRw"] < 310000 and inspected["SizeRootFs"] > 1 << 20
    listed = [c for c in api.do("GET", "/containers/json?size=1") if c["Names"] == ["/" + name]][0]
    assert listed["SizeRw"] == inspected["SizeRw"] and listed["SizeRootFs"] == inspected["SizeRootFs"]
    assert "SizeRw" not in api.do("GET", f"/containers/{name}/json")
    assert "300kB (virtual" in engine.docker("ps", "-s", "--filter", f"name={name}", check=True).out
