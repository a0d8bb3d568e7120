"""Volumes and containers that cannot grow past a size: by project quotas where the file system has them, by a file that is mounted elsewhere."""
import json
import subprocess

import pytest

from engine import wait_until

pytestmark = pytest.mark.own

MIB = 1 << 20
WRITE = "dd if=/dev/zero of={path} bs=64k count=640 2>&1 | grep -c 'No space\\|quota exceeded'; stat -c %s {path}"  # 40 MiB


def mounts(engine):
    return [line.split()[4] for line in open("/proc/self/mountinfo") if line.split()[4].startswith(str(engine.data))]


def loop_files(engine):
    said = subprocess.run(["losetup", "-l", "-n", "-O", "BACK-FILE"], capture_output=True, text=True, check=True).stdout
    return [line for line in said.splitlines() if str(engine.data) in line]


def inside(engine, volume, script):
    got = engine.docker("run", "--rm", "-v", f"{volume}:/v", "busybox", "sh", "-c", script)
    assert got.code == 0, got
    return got.out


def check_full(said):
    refused, size = said.split()
    assert refused == "1" and 20 * MIB <= int(size) <= 22 * MIB, said


def test_volume(private_engine):
    engine = private_engine
    engine.docker("volume", "create", "-o", "size=20m", "vs-1", check=True)
    assert json.loads(engine.docker("volume", "inspect", "vs-1").out)[0]["Options"] == {"size": "20m"}
    assert inside(engine, "vs-1", "ls -A /v") == ""
    check_full(inside(engine, "vs-1", WRITE.format(path="/v/f")))
    # What is removed in it is free again on the host, and in it.
    inside(engine, "vs-1", "rm /v/f; echo kept > /v/g; sync")
    assert engine.verify().code == 0
    engine.kill()
    engine.start()
    check_full(inside(engine, "vs-1", "cat /v/g >&2; " + WRITE.format(path="/v/f")))
    engine.berth("volume", "rename", "vs-1", "vs-2", check=True)
    engine.berth("volume", "clone", "vs-2", "vs-3", check=True)
    assert inside(engine, "vs-3", "cat /v/g; rm /v/f") == "kept\n"
    check_full(inside(engine, "vs-3", WRITE.format(path="/v/f")))
    for text in ("vs-2", "vs-3"):
        engine.docker("volume", "rm", text, check=True)
    assert mounts(engine) == []
    wait_until(lambda: loop_files(engine) == [], what="the kernel giving the loop devices back")
    assert engine.verify().code == 0


def test_volume_after_a_restart_of_the_machine(private_engine):
    engine = private_engine
    engine.docker("volume", "create", "-o", "size=20m", "vs-1", check=True)
    inside(engine, "vs-1", "echo kept > /v/f")
    engine.stop()
    for path in mounts(engine):
        subprocess.run(["umount", path], check=True)
    engine.start()
    assert inside(engine, "vs-1", "cat /v/f") == "kept\n"
    # Somebody has unmounted it meanwhile: nothing is written beside it.
    for path in mounts(engine):
        subprocess.run(["umount", path], check=True)
    assert inside(engine, "vs-1", "cat /v/f") == "kept\n"
    engine.docker("volume", "rm", "vs-1", check=True)


def test_container(private_engine):
    engine = private_engine
    engine.docker("run", "-d", "--name", "small", "--storage-opt", "size=20m", "busybox", "sleep", "300", check=True)
    check_full(engine.docker("exec", "small", "sh", "-c", WRITE.format(path="/root/f")).out)
    assert engine.inspect("small")["HostConfig"]["StorageOpt"] == {"size": "20m"}
    engine.docker("exec", "small", "sh", "-c", "rm /root/f; echo kept > /root/g", check=True)
    engine.docker("stop", "-t", "0", "small", check=True)
    assert "A /root/g" in engine.docker("diff", "small").out
    engine.stop()
    for path in mounts(engine):
        subprocess.run(["umount", path], check=True)
    engine.start()
    assert engine.docker("cp", "small:/root/g", "-").code == 0
    engine.docker("start", "small", check=True)
    check_full(engine.docker("exec", "small", "sh", "-c", WRITE.format(path="/root/f")).out)
    engine.docker("commit", "small", "of-small", check=True)
    assert engine.docker("run", "--rm", "of-small", "cat", "/root/g").out == "kept\n"
    assert engine.verify().code == 0
    engine.docker("rm", "-f", "small", check=True)
    assert mounts(engine) == []
    wait_until(lambda: loop_files(engine) == [], what="the kernel giving the loop devices back")
    assert engine.verify().code == 0


def test_sizes_that_are_refused(engine):
    for value, said in [("10k", "1 MiB"), ("x", "size"), ("-5m", "size")]:
        got = engine.docker("volume", "create", "-o", f"size={value}", "vs-bad")
        assert got.code == 1 and said in got.err, got
        got = engine.docker("create", "--storage-opt", f"size={value}", "busybox")
        assert got.code == 1 and said in got.err, got
    assert "Unknown option" in engine.docker("create", "--storage-opt", "foo=1", "busybox").err
    got = engine.docker("volume", "create", "-o", "size=10m", "-o", "type=tmpfs", "-o", "device=tmpfs", "vs-bad")
    assert got.code == 1 and "exclude each other" in got.err
    assert engine.docker("volume", "inspect", "vs-bad").code == 1
