"""Options of create and run that change how a container lives: its init, its limits, its names."""
import json
import os
import pathlib
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


# ---- limits ----

@pytest.fixture(scope="module")
def v1():
    if os.path.exists("/sys/fs/cgroup/cgroup.controllers"):
        pytest.skip("values of cgroup version 1; version 2 is looked at in tests/vm")


def group_of(engine, name, controller):
    pid = engine.inspect(name)["State"]["Pid"]
    groups = dict(line.split(":", 2)[1:] for line in open(f"/proc/{pid}/cgroup").read().split())
    return f"/sys/fs/cgroup/{controller}{groups[controller]}"


LIMITS = [
    ("-m 64m", {"memory/memory.limit_in_bytes": "67108864", "memory/memory.memsw.limit_in_bytes": "134217728"}),
    ("-m 64m --memory-swap 64m", {"memory/memory.memsw.limit_in_bytes": "67108864"}),
    ("-m 64m --memory-swap -1 --memory-reservation 32m", {"memory/memory.limit_in_bytes": "67108864", "memory/memory.soft_limit_in_bytes": "33554432"}),
    ("--memory-swappiness 10", {"memory/memory.swappiness": "10"}),
    ("-m 64m --oom-kill-disable", {"memory/memory.oom_control": "oom_kill_disable 1"}),
    ("-c 512 --cpu-period 50000 --cpu-quota 25000", {"cpu/cpu.shares": "512", "cpu/cpu.cfs_period_us": "50000", "cpu/cpu.cfs_quota_us": "25000"}),
    ("--cpus 1.5 --cpuset-cpus 0 --cpuset-mems 0", {"cpu/cpu.cfs_quota_us": "150000", "cpuset/cpuset.cpus": "0", "cpuset/cpuset.mems": "0"}),
    ("--pids-limit 10", {"pids/pids.max": "10"}),
    ("--pids-limit -1", {"pids/pids.max": "max"}),
]


@pytest.mark.parametrize("options, files", LIMITS, ids=[options for options, _ in LIMITS])
def test_limits_reach_their_files(engine, name, v1, options, files):
    engine.docker("run", "-d", "--name", name, *options.split(), "busybox", "sleep", "300", check=True)
    for file, value in files.items():
        controller, _, leaf = file.partition("/")
        assert open(f"{group_of(engine, name, controller)}/{leaf}").read().startswith(value), file


def test_throttles_reach_their_files(engine, name, v1):
    disks = [d for d in os.listdir("/sys/block") if os.path.exists(f"/dev/{d}")]
    if not disks:
        pytest.skip("no block device")
    number = open(f"/sys/block/{disks[0]}/dev").read().strip()
    engine.docker("run", "-d", "--name", name, "--device-read-bps", f"/dev/{disks[0]}:1mb", "--device-write-iops", f"/dev/{disks[0]}:100", "busybox", "sleep", "300", check=True)
    group = group_of(engine, name, "blkio")
    assert open(f"{group}/blkio.throttle.read_bps_device").read() == f"{number} 1048576\n"
    assert open(f"{group}/blkio.throttle.write_iops_device").read() == f"{number} 100\n"


@pytest.mark.current_client
def test_what_the_kernel_lacks_is_a_warning(engine, v1):
    """As Docker does: said in the answer, dropped, and gone from inspect."""
    got = engine.docker("create", "--oom-kill-disable", "busybox", check=True)
    assert got.err == ("WARNING: OOM killer is disabled for the container, but no memory limit is set, "
                       "this can result in the system running out of resources.\n")
    engine.docker("rm", got.out.strip(), check=True)
    if not os.path.exists("/sys/fs/cgroup/blkio/blkio.weight"):
        got = engine.docker("create", "--blkio-weight", "300", "busybox", check=True)
        assert "does not support Block I/O weight" in got.err and engine.inspect(got.out.strip())["HostConfig"]["BlkioWeight"] == 0
        engine.docker("rm", got.out.strip(), check=True)


START_REFUSED = [
    (["-c", "1"], "the minimum allowed cpu-shares is 2", 125),
    (["--cpus", "0.001"], "cpu.cfs_quota_us", 125),
    (["--sysctl", "net.ipv4.ip_forward=1", "--net", "host"],
     "OCI runtime create failed: runc create failed: sysctl \"net.ipv4.ip_forward\" not allowed in host network namespace", 125),
    (["--sysctl", "kernel.shmmax=1", "--ipc", "host"], "sysctl \"kernel.shmmax\" is not allowed in the hosts ipc namespace", 125),
    (["--user", "99999999999"], "daemon: uids and gids must be in range 0-2147483647", 125),
    (["--user", "nope"], "daemon: unable to find user nope: no matching entries in passwd file", 125),
    (["--group-add", "nope"], "daemon: unable to find group nope: no matching entries in group file", 125),
    (["--device", "/dev/nope"], "daemon: error gathering device information while adding custom device \"/dev/nope\": no such file or directory", 127),
    (["--device-read-bps", "/dev/nope:1mb"], "daemon: stat /dev/nope: no such file or directory", 127),
    (["--mount", "type=volume,dst=/x,readonly"],
     "daemon: invalid mount config for type \"volume\": must not set ReadOnly mode when using anonymous volumes", 125),
    (["--gpus", "all"], "daemon: could not select device driver \"\" with capabilities: [[gpu]]", 125),
    (["--device", "none.com/dev=x"], "daemon: CDI device injection failed: unresolvable CDI devices none.com/dev=x", 125),
    (["--storage-opt", "size=1"], "daemon: invalid size 1: 1 MiB is the least", 125),
    (["--security-opt", "foo=bar"], "daemon: invalid --security-opt 2: \"foo=bar\"", 125),
    (["--security-opt", "no-new-privileges=perhaps"], "daemon: invalid --security-opt 2: \"no-new-privileges=perhaps\"", 125),
    (["--uts", "host", "--hostname", "x"], "daemon: conflicting options: hostname and the UTS mode", 125),
    (["--pid", "container:nobody"], "daemon: No such container: nobody", 125),
    (["--cpu-rt-runtime", "20", "--cpu-rt-period", "10"], "cpu real-time", 125),
]


@pytest.mark.current_client
@pytest.mark.parametrize("options, words, code", START_REFUSED, ids=[" ".join(o) for o, _, _ in START_REFUSED])
def test_refusals_have_dockers_words(engine, options, words, code):
    if "--cpus" in options or "--cpu-rt-runtime" in options:
        if os.path.exists("/sys/fs/cgroup/cgroup.controllers"):
            pytest.skip("cgroup version 2 takes it, or has no such thing")
    got = engine.docker("run", "--rm", *options, "busybox", "true")
    assert got.code == code and words in got.err, got


# ---- what is told of it ----

def test_volumes_are_none_where_neither_side_names_any(engine, name):
    """Docker's client sends an empty set; what is kept is the image's."""
    engine.docker("create", "--name", name, "busybox", check=True)
    assert engine.inspect(name)["Config"]["Volumes"] is None
    engine.docker("rm", name, check=True)
    engine.docker("create", "--name", name, "-v", "/x", "busybox", check=True)
    assert engine.inspect(name)["Config"]["Volumes"] == {"/x": {}}


def test_a_rename_tells_the_old_name_with_its_slash(engine, name):
    identity = engine.docker("create", "--name", name, "busybox", check=True).out.strip()
    engine.docker("rename", name, f"{name}-2", check=True)
    try:
        until = engine.docker("info", "-f", "{{.SystemTime}}", check=True).out.strip()
        told = engine.docker("events", "--since", "1h", "--until", until, "--filter", "event=rename", "--filter", f"container={identity}", "--format", "{{json .Actor.Attributes}}", check=True)
        assert [(a["oldName"], a["name"]) for a in map(json.loads, told.out.splitlines())] == [(f"/{name}", f"{name}-2")]
    finally:
        engine.docker("rename", f"{name}-2", name, check=True)


# ---- users ----

def test_cgroup_parent_stays_in_the_hierarchy(engine, name, v1):
    """Dots lead nowhere else. The parents are the user's: the engine leaves them, the test does not."""
    engine.docker("run", "-d", "--name", name, "--cgroup-parent", "../../../berth-test-parent/./deep", "busybox", "sleep", "300", check=True)
    try:
        assert "/berth-test-parent/deep/" in group_of(engine, name, "pids")
    finally:
        engine.docker("rm", "-f", name, check=True)
        for directory in pathlib.Path("/sys/fs/cgroup").glob("*/berth-test-parent"):
            (directory / "deep").rmdir()
            directory.rmdir()


USERS = [
    ("", "0 0 0"), ("0", "0 0 0"), ("00", "0 0 0"), ("root", "0 0 0"), ("somebody", "1000 1000 1000,2000"), ("1000", "1000 1000 1000,2000"),
    ("1000:", "1000 1000 1000,2000"), ("1000:0", "1000 0 0"), ("4242", "4242 0 0"), ("4242:4343", "4242 4343 4343"), ("somebody:extra", "1000 2000 2000"),
    (":2000", "0 2000 2000"), ("2147483647", "2147483647 0 0"),
]


@pytest.mark.parametrize("user, wanted", USERS)
def test_users(engine, user, wanted):
    script = "echo $(id -u) $(id -g) $(grep Groups: /proc/self/status | cut -f 2- | tr ' ' '\\n' | grep . | sort -n | tr '\\n' ',' | sed 's/,$//')"
    got = engine.docker("run", "--rm", *(["-u", user] if user else []), "busybox", "sh", "-c", script)
    assert got.out.strip() == wanted, got


@pytest.mark.parametrize("user", ["-1", "4294967296", "2147483648", " 0", "0 ", "0:-1", "0:4294967296", "0x0"])
def test_users_that_are_none(engine, user):
    """None of them may become root by the way a number is read."""
    got = engine.docker("run", "--rm", "-u", user, "busybox", "id")
    assert got.code == 125 and ("unable to find" in got.err or "uids and gids must be" in got.err), got


def test_groups_are_added_once_and_by_name(engine):
    got = engine.docker("run", "--rm", "-u", "1000:1000", "--group-add", "extra", "--group-add", "77", "busybox", "grep", "Groups:", "/proc/self/status", check=True)
    assert sorted(got.out.split()[1:], key=int) == ["77", "1000", "2000"]


# ---- capabilities and security options ----

CAPABILITIES = [
    ([], 0xa80425fb), (["--cap-add", "ALL", "--cap-drop", "ALL"], None), (["--cap-drop", "all", "--cap-add", "cap_chown"], 1),
    (["--cap-add", "CAP_NET_ADMIN"], 0xa80425fb | 1 << 12), (["--cap-add", "net_admin", "--cap-drop", "chown"], (0xa80425fb | 1 << 12) & ~1),
    (["--cap-drop", "CHOWN", "--cap-add", "CHOWN"], 0xa80425fb),
]


@pytest.mark.parametrize("options, mask", CAPABILITIES, ids=[" ".join(o) or "none" for o, _ in CAPABILITIES])
def test_capabilities(engine, options, mask):
    got = int(engine.docker("run", "--rm", *options, "busybox", "sh", "-c", "grep CapEff /proc/self/status | cut -f 2", check=True).out, 16)
    if mask is None:
        mask = int(re.search(r"CapBnd:\s*(\w+)", open("/proc/self/status").read())[1], 16)
    assert got == mask, hex(got)


@pytest.mark.current_client
def test_seccomp_profile_of_the_users(engine, tmp_path):
    profile = tmp_path / "profile.json"
    profile.write_text(json.dumps({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95}]}))
    got = engine.docker("run", "--rm", "--security-opt", f"seccomp={profile}", "busybox", "mkdir", "/x")
    assert "not supported" in got.err
    assert engine.docker("run", "--rm", "--security-opt", "seccomp=unconfined", "busybox", "grep", "Seccomp:", "/proc/self/status").out.split() == ["Seccomp:", "0"]
    assert engine.docker("run", "--rm", "--security-opt", "seccomp=builtin", "busybox", "grep", "Seccomp:", "/proc/self/status").out.split() == ["Seccomp:", "2"]
    got = engine.berth("run", "--rm", "--security-opt", f"seccomp={profile}", "busybox", "mkdir", "/x")
    assert "not supported" in got.err


def test_other_security_options(engine):
    show = ["busybox", "sh", "-c", "grep -E 'NoNewPrivs' /proc/self/status | cut -f 2; wc -c < /proc/keys; echo 1 2>/dev/null > /proc/sys/kernel/ns_last_pid && echo written; true"]
    assert engine.docker("run", "--rm", "--security-opt", "no-new-privileges:false", *show, check=True).out.split() == ["0", "0"]
    assert engine.docker("run", "--rm", "--security-opt", "no-new-privileges=true", "--security-opt", "apparmor=unconfined", *show, check=True).out.split()[0] == "1"
    got = engine.docker("run", "--rm", "--security-opt", "systempaths=unconfined", *show, check=True).out.split()
    assert got[1] != "0", "/proc/keys is not masked any more"
    if not os.path.exists("/sys/kernel/security/apparmor"):
        got = engine.docker("run", "--rm", "--security-opt", "apparmor=mine", "busybox", "true")
        assert got.code == 125 and "this kernel has no AppArmor" in got.err
    assert "label" in engine.docker("run", "--rm", "--security-opt", "label=type:svirt_apache_t", "busybox", "true").err


def test_writable_cgroups(engine):
    script = "cd /sys/fs/cgroup/pids 2>/dev/null || cd /sys/fs/cgroup; mkdir mine && echo made"
    options = ["--cgroupns", "private"]
    assert engine.docker("run", "--rm", *options, "busybox", "sh", "-c", script).out == ""
    assert engine.docker("run", "--rm", *options, "--security-opt", "writable-cgroups=true", "busybox", "sh", "-c", script).out == "made\n"


# ---- devices ----

needs_fuse = pytest.mark.skipif(not os.path.exists("/dev/fuse"), reason="no device that may be opened and is in no default rule")


@needs_fuse
def test_devices(engine, tmp_path):
    script = "ls -l /dev/mine | cut -c 1; head -c 3 /dev/mine | wc -c; echo x > /dev/mine && echo written"
    assert engine.docker("run", "--rm", "--device", "/dev/zero:/dev/mine", "busybox", "sh", "-c", script, check=True).out.split() == ["c", "3", "written"]
    # fuse is in no default rule: the right given is the right had.
    read, write = "(: < /dev/fuse) && echo read", "(: > /dev/fuse) && echo written"
    assert engine.docker("run", "--rm", "--device", "/dev/fuse:/dev/fuse:w", "busybox", "sh", "-c", f"{write}; {read}").out.split() == ["written"]
    assert engine.docker("run", "--rm", "--device", "/dev/fuse:/dev/fuse:r", "busybox", "sh", "-c", f"{write}; {read}").out.split() == ["read"]
    nodes = tmp_path / "nodes"
    (nodes / "deep").mkdir(parents=True)
    os.mknod(nodes / "a", 0o600 | 0o020000, os.makedev(1, 5))
    os.mknod(nodes / "deep/b", 0o600 | 0o020000, os.makedev(1, 3))
    got = engine.docker("run", "--rm", "--device", f"{nodes}:/dev/nodes", "busybox", "find", "/dev/nodes", check=True)
    assert sorted(got.out.split()) == ["/dev/nodes", "/dev/nodes/a", "/dev/nodes/deep", "/dev/nodes/deep/b"]


@needs_fuse
def test_device_cgroup_rule(engine):
    script = "mknod /tmp/k c 10 229; (: < /tmp/k) && echo opened"
    assert engine.docker("run", "--rm", "busybox", "sh", "-c", script).out == ""
    assert engine.docker("run", "--rm", "--device-cgroup-rule", "c 10:229 r", "busybox", "sh", "-c", script).out == "opened\n"
    assert engine.docker("run", "--rm", "--device-cgroup-rule", "c 10:* rmw", "busybox", "sh", "-c", script).out == "opened\n"


@pytest.mark.current_client
@pytest.mark.own
def test_cdi_devices(build, docker_client, tmp_path):
    import engine as engines

    cdi = tmp_path / "cdi"
    cdi.mkdir()
    (tmp_path / "library").write_text("of the vendor")
    (cdi / "vendor.json").write_text(json.dumps({
        "cdiVersion": "0.6.0", "kind": "vendor.test/thing",
        "devices": [{"name": "one", "containerEdits": {"env": ["THING=one"], "deviceNodes": [{"path": "/dev/thing1", "hostPath": "/dev/fuse", "permissions": "rw"}]}},
                    {"name": "two", "containerEdits": {"env": ["TWO=yes"]}}],
        "containerEdits": {"env": ["VENDOR=here"], "additionalGids": [4321], "mounts": [{"hostPath": str(tmp_path / "library"), "containerPath": "/usr/lib/vendor", "options": ["ro", "bind"]}]}}))
    (cdi / "broken.json").write_text("{")
    made = engines.Engine(build, extra=["--cdi-spec-dir", str(cdi)])
    made.start()
    try:
        made.docker("build", "-q", "-t", "busybox", engines.make_busybox_context(made.directory / "context"), check=True)
        show = ["busybox", "sh", "-c", "echo $THING $TWO $VENDOR; cat /usr/lib/vendor; ls /dev/thing1; echo; (: > /dev/thing1) && echo written; grep Groups /proc/self/status"]
        for client in (made.docker, made.berth):
            got = client("run", "--rm", "--device", "vendor.test/thing=one", "--device", "vendor.test/thing=two", *show, check=True).out
            assert got.split() == ["one", "yes", "here", "of", "the", "vendor/dev/thing1", "written", "Groups:", "0", "4321"], got
        got = made.docker("run", "--rm", "--device", "vendor.test/thing=three", "busybox", "true")
        assert "unresolvable CDI devices vendor.test/thing=three" in got.err
        assert json.loads(made.docker("info", "-f", "{{json .CDISpecDirs}}").out) == [str(cdi)]
    finally:
        made.remove()


# ---- names and files ----

@pytest.mark.current_client
def test_small_options(engine, name, tmp_path):
    (tmp_path / "env").write_text("# comment\nA=1\nB\n\nC=x=y\n")
    (tmp_path / "labels").write_text("l1=a\nl2\n")
    cid = tmp_path / "cid"
    engine.docker("run", "-d", "--name", name, "--env-file", tmp_path / "env", "--label-file", tmp_path / "labels", "--label", "l3=c", "--cidfile", cid,
                  "--hostname", "host.example.org", "--domainname", "example.org", "--annotation", "a=b", "--stop-signal", "USR1", "--stop-timeout", "7",
                  "--oom-score-adj", "300", "--shm-size", "3m", "--ulimit", "nofile=100:200", "--sysctl", "net.ipv4.ip_forward=0", "busybox", "sleep", "300", check=True)
    info = engine.inspect(name)
    assert cid.read_text() == info["Id"]
    assert info["Config"]["Labels"] == {"l1": "a", "l3": "c"}
    assert info["HostConfig"]["Annotations"] == {"a": "b"}
    assert (info["Config"]["StopSignal"], info["Config"]["StopTimeout"], info["Config"]["Domainname"]) == ("USR1", 7, "example.org")
    script = "echo $A $C; hostname; cat /proc/sys/kernel/domainname /proc/self/oom_score_adj /proc/sys/net/ipv4/ip_forward; df -k /dev/shm | tail -n 1 | awk '{ print $2 }'"
    assert engine.docker("exec", name, "sh", "-c", script, check=True).out.split() == ["1", "x=y", "host.example.org", "example.org", "300", "0", "3072"]
    assert open(f"/proc/{info['State']['Pid']}/limits").read().count("100                  200") == 1
    again = engine.docker("run", "--cidfile", cid, "busybox", "true")
    assert again.code == 125 and "container ID file found" in again.err


def test_namespaces_of_others(engine, name):
    engine.docker("run", "-d", "--name", name, "--ipc", "shareable", "busybox", "sh", "-c", "echo shared > /dev/shm/x; exec sleep 300", check=True)
    wait_until(lambda: engine.docker("exec", name, "cat", "/dev/shm/x").out == "shared\n", what="the file")
    assert engine.docker("run", "--rm", "--ipc", f"container:{name}", "busybox", "cat", "/dev/shm/x", check=True).out == "shared\n"
    assert "sleep 300" in engine.docker("run", "--rm", "--pid", f"container:{name}", "busybox", "ps", check=True).out
    lender = engine.docker("create", "busybox", check=True).out.strip()
    private = engine.docker("run", "--rm", "--ipc", f"container:{lender}", "busybox", "true")
    engine.docker("rm", lender, check=True)
    assert private.code == 125 and "is not running" in private.err
    assert engine.docker("run", "--rm", "--ipc", "none", "busybox", "ls", "/dev/shm").code == 1
    host = engine.docker("run", "--rm", "--ipc", "host", "--uts", "host", "--pid", "host", "busybox", "sh", "-c", "for n in ipc uts pid; do readlink /proc/self/ns/$n; done; grep -c ' /dev/mqueue mqueue ' /proc/mounts", check=True)
    assert host.out.split() == [os.readlink(f"/proc/self/ns/{kind}") for kind in ("ipc", "uts", "pid")] + ["1"]
    own = engine.docker("run", "--rm", "--cgroupns", "private", "busybox", "readlink", "/proc/self/ns/cgroup", check=True).out.strip()
    assert own != os.readlink("/proc/self/ns/cgroup")


HOST_CONFIG = {
    "Binds": ["/tmp:/b:ro"], "ContainerIDFile": "/x", "RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 3}, "VolumesFrom": None,
    "ConsoleSize": [10, 20], "Annotations": {"a": "b"}, "CapAdd": ["NET_ADMIN"], "CapDrop": ["CHOWN"], "CgroupnsMode": "private", "Dns": ["192.0.2.1"],
    "DnsOptions": ["ndots:1"], "DnsSearch": ["example.org"], "ExtraHosts": ["a:192.0.2.2"], "GroupAdd": ["7"], "IpcMode": "shareable", "OomScoreAdj": 5,
    "PidMode": "host", "PublishAllPorts": True, "ReadonlyRootfs": True, "SecurityOpt": ["no-new-privileges", "label=disable"], "Tmpfs": {"/t": "size=1m"}, "UsernsMode": "host",
    "ShmSize": 1 << 20, "Sysctls": {"net.ipv4.ip_forward": "0"}, "CpuShares": 512, "Memory": 64 << 20, "MemorySwap": 128 << 20, "MemoryReservation": 32 << 20,
    "CpuPeriod": 50000, "CpuQuota": 20000, "CpusetCpus": "0", "CpusetMems": "0", "PidsLimit": 9, "CgroupParent": "/some/where",
    "Devices": [{"PathOnHost": "/dev/null", "PathInContainer": "/dev/n", "CgroupPermissions": "r"}], "DeviceCgroupRules": ["c 1:3 r"],
    "DeviceRequests": [{"Driver": "cdi", "Count": 0, "DeviceIDs": ["a.b/c=d"], "Capabilities": None, "Options": None}],
    "Ulimits": [{"Name": "nofile", "Hard": 20, "Soft": 10}], "Init": False, "MaskedPaths": ["/proc/kcore"], "ReadonlyPaths": [],
    "Mounts": [{"Type": "bind", "Source": "/tmp", "Target": "/m", "ReadOnly": True, "BindOptions": {"Propagation": "rprivate", "NonRecursive": True}},
               {"Type": "tmpfs", "Target": "/m2", "TmpfsOptions": {"SizeBytes": 1048576, "Mode": 448}},
               {"Type": "volume", "Source": "round-trip", "Target": "/m3", "VolumeOptions": {"NoCopy": True, "Labels": {"a": "b"}, "Subpath": "x"}},
               {"Type": "image", "Source": "busybox", "Target": "/m4", "ImageOptions": {"Subpath": "etc"}}],
    "NetworkMode": "none",
}


def test_inspect_gives_back_all_that_was_given(engine, name):
    client = engine.sdk().api
    made = client._result(client._post_json(client._url("/containers/create"), data={"Image": "busybox", "HostConfig": HOST_CONFIG}, params={"name": name}), True)
    assert made["Id"]
    shown = engine.inspect(name)["HostConfig"]
    assert {key: shown.get(key) for key in HOST_CONFIG} == HOST_CONFIG
    engine.docker("rm", name, check=True)
    engine.docker("volume", "rm", "round-trip", check=True)


@pytest.mark.current_client
@pytest.mark.own
def test_defaults_of_the_daemon(build, docker_client, tmp_path):
    import engine as engines

    profile = tmp_path / "profile.json"
    profile.write_text(json.dumps({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95}]}))
    config = tmp_path / "daemon.json"
    config.write_text(json.dumps({"default-ipc-mode": "shareable", "default-cgroupns-mode": "private", "seccomp-profile": str(profile)}))
    made = engines.Engine(build, extra=["--config-file", str(config)])
    made.start()
    try:
        made.docker("build", "-q", "-t", "busybox", engines.make_busybox_context(made.directory / "context"), check=True)
        assert "not supported" in made.docker("run", "--rm", "busybox", "mkdir", "/x").err
        assert made.docker("run", "--rm", "--security-opt", "seccomp=builtin", "busybox", "mkdir", "/x").code == 0
        shown = made.inspect(made.docker("create", "busybox", check=True).out.strip())["HostConfig"]
        assert (shown["IpcMode"], shown["CgroupnsMode"]) == ("shareable", "private")
        assert f"name=seccomp,profile={profile}" in made.docker("info", "-f", "{{json .SecurityOptions}}").out
    finally:
        made.remove()
    for wrong in ({"default-ipc-mode": "host"}, {"default-cgroupns-mode": "none"}):
        config.write_text(json.dumps(wrong))
        assert engines.run([build / "berthd", "--validate", "--config-file", config]).code == 1


# ---- what our own command finds wrong by itself, as Docker's does ----

OWN_WORDS = [
    (["--sysctl", "kernel.foo=1"], "invalid argument \"kernel.foo=1\" for \"--sysctl\" flag: sysctl 'kernel.foo=1' is not allowed"),
    (["--ulimit", "foo=1"], "invalid argument \"foo=1\" for \"--ulimit\" flag: invalid ulimit type: foo"),
    (["--ulimit", "nofile=5:1"], "invalid argument \"nofile=5:1\" for \"--ulimit\" flag: ulimit soft limit must be less than or equal to hard limit: 5 > 1"),
    (["--add-host", "foo"], "invalid argument \"foo\" for \"--add-host\" flag: bad format for add-host: \"foo\""),
    (["--dns", "foo"], "invalid argument \"foo\" for \"--dns\" flag: IP address is not correctly formatted: foo"),
    (["--label", "=x"], "invalid argument \"=x\" for \"-l, --label\" flag: invalid label '=x': empty name"),
    (["--env", "=x"], "invalid argument \"=x\" for \"-e, --env\" flag: invalid environment variable: =x"),
    (["--device-cgroup-rule", "foo"], "invalid argument \"foo\" for \"--device-cgroup-rule\" flag: invalid device cgroup format 'foo'"),
    (["--shm-size", "x"], "invalid argument \"x\" for \"--shm-size\" flag: invalid size: 'x'"),
    (["--mount", "foo"], "invalid argument \"foo\" for \"--mount\" flag: invalid field 'foo' must be a key=value pair"),
    (["--mount", "type=bind,src=/tmp"], "invalid argument \"type=bind,src=/tmp\" for \"--mount\" flag: target is required"),
    (["--mount", "type=tmpfs,dst=/b,tmpfs-mode=9"], "invalid argument \"type=tmpfs,dst=/b,tmpfs-mode=9\" for \"--mount\" flag: invalid value for tmpfs-mode: 9"),
    (["--mount", "type=bind,src=/tmp,dst=/b,volume-nocopy"],
     "invalid argument \"type=bind,src=/tmp,dst=/b,volume-nocopy\" for \"--mount\" flag: cannot mix 'volume-*' options with mount type 'bind'"),
    (["--mount", "type=bind,src=/tmp,dst=/b,ro,bind-recursive=readonly"], "requires 'bind-propagation=rprivate' to be specified in conjunction"),
    (["-v", ":/x"], "berth: invalid spec: :/x: empty section between colons"),
    (["--memory-swappiness", "101"], "berth: invalid value: 101. Valid memory swappiness range is 0-100"),
    (["--security-opt", "foo"], "berth: Invalid --security-opt: \"foo\""),
    (["--restart", "always", "--rm"], "berth: conflicting options: cannot specify both --restart and --rm"),
    (["--restart", "on-failure:3", "--rm"], "berth: conflicting options: cannot specify both --restart and --rm"),
    (["-a", "foo"], "invalid argument \"foo\" for \"-a, --attach\" flag: valid streams are STDIN, STDOUT and STDERR"),
    (["--restart", "on-failure:x"], "berth: invalid restart policy format: maximum retry count must be an integer"),
    (["--device", "/dev/null:/dev/x:q"], "berth: bad mode specified: q"),
    (["--uts", "foo"], "berth: --uts: invalid UTS mode"), (["--userns", "foo"], "berth: --userns: invalid USER mode"),
    (["--mac-address", "zz"], "berth: zz is not a valid mac address"), (["--health-retries", "-1"], "berth: --health-retries cannot be negative"),
    (["--pull", "foo"], "berth: invalid pull option: 'foo': must be one of \"always\", \"missing\" or \"never\""),
]


@pytest.mark.own
@pytest.mark.parametrize("options, words", OWN_WORDS, ids=[" ".join(o) for o, _ in OWN_WORDS])
def test_our_command_says_it_in_dockers_words(engine, options, words):
    got = engine.berth("run", *options, "busybox", "true")
    assert got.code == 125 and words in got.err, got


@pytest.mark.own
def test_streams_are_named_in_any_case(engine):
    got = engine.berth("run", "--rm", "-a", "StdErr", "busybox", "sh", "-c", "echo out; echo err >&2", check=True)
    assert (got.out, got.err) == ("", "err\n")


@pytest.mark.own
def test_mount_is_csv(engine):
    got = engine.berth("run", "--rm", "--mount", 'type=tmpfs,dst=/t,"tmpfs-options=noexec,uid=5"', "busybox", "sh", "-c", "stat -c %u /t; grep -c ' /t .*noexec' /proc/mounts")
    assert got.out.split() == ["5", "1"], got
    assert "extraneous or missing" in engine.berth("run", "--mount", 'type=tmpfs,"dst=/t', "busybox").err


def test_an_empty_entrypoint_of_the_image_is_none(engine, name, tmp_path):
    (tmp_path / "Dockerfile").write_text('FROM busybox\nENTRYPOINT [""]\nCMD ["echo", "hi"]\n')
    engine.docker("build", "-q", "-t", name, tmp_path, check=True)
    try:
        engine.docker("run", "--name", name, name, check=True)
        found = engine.inspect(name)
        assert engine.docker("logs", name).out == "hi\n"
        assert (found["Config"]["Entrypoint"], found["Path"], found["Args"]) == (None, "echo", ["hi"])
        assert engine.docker("run", "--rm", name, "echo", "other", check=True).out == "other\n"
    finally:
        engine.docker("rm", "-f", name)
        engine.docker("rmi", name)


def test_an_empty_word_is_a_command_that_is_not_there(engine, name):
    engine.docker("create", "--name", name, "busybox", "", check=True)
    refused = engine.docker("start", name)
    assert refused.code == 1 and 'exec: "": executable file not found in $PATH' in refused.err
    assert engine.inspect(name)["State"]["ExitCode"] == 127
