"""What a process in a container sees of the host: capabilities, seccomp, namespaces, mounts, devices, descriptors, limits."""
import os
import re

import pytest


DEFAULT_CAPABILITIES = "00000000a80425fb"
DEVICES = {"console", "core", "fd", "full", "mqueue", "null", "ptmx", "pts", "random", "shm", "stderr", "stdin", "stdout", "tty", "urandom", "zero"}


def inside(engine, script, *options):
    got = engine.docker("run", "--rm", *options, "busybox", "sh", "-c", script)
    assert got.code == 0, got
    return got.out


def status(engine, *options):
    return dict(re.findall(r"^(\w+):[ \t]*(.*)$", inside(engine, "cat /proc/self/status", *options), re.M))


def host_mask():
    return re.search(r"CapBnd:\s*(\w+)", open("/proc/self/status").read())[1]


def test_default_privileges(engine):
    got = status(engine)
    assert got["CapPrm"] == got["CapEff"] == got["CapBnd"] == DEFAULT_CAPABILITIES
    assert got["CapInh"] == got["CapAmb"] == "0" * 16
    assert got["Seccomp"] == "2" and got["NoNewPrivs"] == "0"
    assert got["Groups"].split() == ["0"]
    assert got["Uid"].split() == ["0"] * 4


def test_privileged(engine):
    got = status(engine, "--privileged")
    assert got["CapEff"] == got["CapBnd"] == host_mask()
    assert got["Seccomp"] == "0"
    mounts = inside(engine, "cat /proc/self/mountinfo", "--privileged")
    assert re.search(r" / /sys rw", mounts)
    assert not re.search(r" /proc/kcore ", mounts)


def test_drop_all(engine):
    got = status(engine, "--cap-drop", "ALL")
    assert got["CapPrm"] == got["CapEff"] == got["CapBnd"] == "0" * 16
    one = status(engine, "--cap-drop", "ALL", "--cap-add", "CHOWN")
    assert one["CapEff"] == "0000000000000001"


def test_other_user_has_no_capabilities(engine):
    got = status(engine, "-u", "1000")
    assert got["CapEff"] == got["CapPrm"] == "0" * 16
    assert got["CapBnd"] == DEFAULT_CAPABILITIES


def test_no_new_privileges(engine):
    assert status(engine, "--security-opt", "no-new-privileges")["NoNewPrivs"] == "1"


def test_namespaces(engine):
    got = dict(line.split() for line in inside(engine, "for n in mnt pid ipc uts net user cgroup; do echo $n $(readlink /proc/self/ns/$n); done").splitlines())
    for kind in ("mnt", "pid", "ipc", "uts", "net"):
        assert got[kind] != os.readlink(f"/proc/self/ns/{kind}"), kind
    assert got["user"] == os.readlink("/proc/self/ns/user")
    host_pid = inside(engine, "readlink /proc/self/ns/pid", "--pid", "host").strip()
    assert host_pid == os.readlink("/proc/self/ns/pid")


def test_first_process(engine):
    assert inside(engine, "echo $$; ls /proc | grep -c '^[0-9]'").split()[0] == "1"


def test_mounts(engine):
    lines = inside(engine, "cat /proc/self/mountinfo").splitlines()
    rows = {line.split()[4]: line for line in lines}
    for target, kind, options in (("/", "overlay", "rw"), ("/proc", "proc", "rw,nosuid,nodev,noexec"), ("/dev", "tmpfs", "rw,nosuid"),
                                  ("/dev/pts", "devpts", "rw,nosuid,noexec"), ("/sys", "sysfs", "ro,nosuid,nodev,noexec"),
                                  ("/dev/mqueue", "mqueue", "rw,nosuid,nodev,noexec"), ("/dev/shm", "tmpfs", "rw,nosuid,nodev,noexec")):
        fields = rows[target].split()
        assert fields[5].startswith(options), rows[target]
        assert fields[fields.index("-") + 1] == kind
    for target in ("/etc/hosts", "/etc/hostname", "/etc/resolv.conf"):
        assert target in rows
    for target in ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"):
        if os.path.exists(target):
            assert rows[target].split()[5].startswith("ro"), target
    # No mount of the host is to be seen.
    assert not [line for line in lines if "shared:" in line]


def test_masked_paths(engine):
    for path in ("/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/interrupts"):
        if os.path.exists(path):
            assert inside(engine, f"wc -c < {path}").strip() == "0", path
    for path in ("/proc/acpi", "/proc/scsi", "/proc/asound", "/sys/firmware"):
        if os.path.exists(path):
            assert inside(engine, f"ls -A {path}") == "", path
    assert "Read-only" in engine.docker("run", "--rm", "busybox", "sh", "-c", "echo 1 > /proc/sys/kernel/panic").err


def test_devices(engine):
    assert set(inside(engine, "ls /dev").split()) <= DEVICES
    assert "console" in inside(engine, "ls /dev", "-t")
    assert inside(engine, "echo x > /dev/null; head -c 3 /dev/zero | wc -c; head -c 5 /dev/urandom | wc -c").split() == ["3", "5"]
    # A node can be made, but not opened: 8:0 is in nobody's rules.
    denied = engine.docker("run", "--rm", "busybox", "sh", "-c", "mknod /tmp/disk b 254 0; head -c 1 /tmp/disk")
    assert denied.code != 0 and "not permitted" in denied.err


def test_only_three_descriptors(engine):
    assert set(inside(engine, "ls /proc/1/fd; true").split()) == {"0", "1", "2"}


def test_exec_has_three_descriptors_and_the_same_privileges(engine, name):
    engine.docker("run", "-d", "--name", name, "busybox", "sleep", "300", check=True)
    got = engine.docker("exec", name, "sh", "-c", "exec 9<&-; ls /proc/$$/fd; grep -E '^(CapEff|Seccomp|CapBnd):' /proc/self/status", check=True).out
    assert set(re.findall(r"^\d+$", got, re.M)) <= {"0", "1", "2"}
    assert f"CapEff:\t{DEFAULT_CAPABILITIES}" in got and "Seccomp:\t2" in got
    assert engine.docker("exec", name, "sh", "-c", "ls /proc | grep -c '^[0-9]'").code == 0


def test_forbidden_calls(engine):
    for script in ("mount -t tmpfs x /tmp", "unshare -U true", "dmesg", "hostname other", "date -s 2020-01-01"):
        got = engine.docker("run", "--rm", "busybox", "sh", "-c", script)
        assert "not permitted" in got.err or "denied" in got.err, (script, got)


def test_dockerenv_and_limits(engine):
    assert inside(engine, "ls /.dockerenv && ulimit -n -S").splitlines()[0] == "/.dockerenv"
    assert inside(engine, "ulimit -n", "--ulimit", "nofile=512:600").strip() == "512"


def test_memory_limit_kills(engine, name):
    ran = engine.docker("run", "--name", name, "-m", "32m", "busybox", "sh", "-c", "head -c 200m /dev/zero | tail")
    state = engine.inspect(name)["State"]
    assert (ran.code, state["OOMKilled"], state["ExitCode"]) == (137, True, 137), (ran, state)


def test_limits_are_written(engine, name):
    engine.docker("run", "-d", "--name", name, "-m", "64m", "--cpus", "0.5", "--pids-limit", "50", "busybox", "sleep", "300", check=True)
    pid = engine.inspect(name)["State"]["Pid"]
    groups = dict(line.split(":", 2)[1:] for line in open(f"/proc/{pid}/cgroup").read().split())
    if "memory" in groups:
        read = lambda controller, file: open(f"/sys/fs/cgroup/{controller}{groups[controller]}/{file}").read().strip()
        assert read("memory", "memory.limit_in_bytes") == str(64 << 20)
        assert read("pids", "pids.max") == "50"
        assert read("cpu", "cpu.cfs_quota_us") == "50000"
    else:
        read = lambda file: open(f"/sys/fs/cgroup{groups['']}/{file}").read().strip()
        assert read("memory.max") == str(64 << 20)
        assert read("pids.max") == "50"
        assert read("cpu.max") == "50000 100000"


def test_pids_limit_holds(engine):
    got = engine.docker("run", "--rm", "--pids-limit", "10", "busybox", "sh", "-c", "for i in $(seq 30); do sleep 1 & done; wait")
    assert "fork" in got.err


def test_stop_without_handler_takes_the_kill(engine, name):
    engine.docker("run", "-d", "--name", name, "busybox", "sleep", "300", check=True)
    engine.docker("stop", "-t", "1", name, check=True)
    assert engine.inspect(name)["State"]["ExitCode"] == 137


@pytest.mark.own
def test_supervisor_cannot_be_overwritten(engine, name):
    """What runs as supervisor is seen through a read-only mount, so a container that finds it in /proc cannot write to it."""
    engine.docker("run", "-d", "--name", name, "busybox", "sleep", "300", check=True)
    pid = engine.inspect(name)["State"]["Pid"]
    supervisor = re.search(r"PPid:\s*(\d+)", open(f"/proc/{pid}/status").read())[1]
    assert open(f"/proc/{supervisor}/comm").read() == "berth-shim\n"
    assert os.statvfs(f"/proc/{supervisor}/exe").f_flag & os.ST_RDONLY
