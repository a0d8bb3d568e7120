"""berth-runtime by itself: bundles with a busybox root, driven as other tools drive an OCI runtime."""

import array
import copy
import json
import os
import pathlib
import pty
import shutil
import socket
import subprocess
import tempfile
import time

import pytest

from engine import wait_until

BUSYBOX = "/bin/busybox"
CAPABILITIES = [
    "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FSETID", "CAP_FOWNER", "CAP_MKNOD", "CAP_NET_RAW", "CAP_SETGID",
    "CAP_SETUID", "CAP_SETFCAP", "CAP_SETPCAP", "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT", "CAP_KILL", "CAP_AUDIT_WRITE",
]
MASKED = ["/proc/acpi", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/timer_list", "/sys/firmware"]
READONLY = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]

pytestmark = pytest.mark.skipif(os.geteuid() != 0 or not os.path.exists(BUSYBOX), reason="needs root and busybox")


def default_config(group):
    return {
        "ociVersion": "1.2.0",
        "process": {
            "user": {"uid": 0, "gid": 0},
            "args": ["true"],
            "env": ["PATH=/bin"],
            "cwd": "/",
            "capabilities": {"bounding": CAPABILITIES, "effective": CAPABILITIES, "permitted": CAPABILITIES},
        },
        "root": {"path": "rootfs"},
        "hostname": "box",
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid", "noexec", "nodev"]},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs",
             "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]},
            {"destination": "/dev/pts", "type": "devpts", "source": "devpts",
             "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]},
            {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", "ro"]},
            {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup",
             "options": ["ro", "nosuid", "noexec", "nodev"]},
            {"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue", "options": ["nosuid", "noexec", "nodev"]},
            {"destination": "/dev/shm", "type": "tmpfs", "source": "shm",
             "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]},
        ],
        "linux": {
            "cgroupsPath": group,
            "namespaces": [{"type": t} for t in ("mount", "network", "pid", "ipc", "uts")],
            "resources": {"devices": [{"allow": False, "access": "rwm"}]},
            "maskedPaths": MASKED,
            "readonlyPaths": READONLY,
        },
    }


class Bundle:
    """One bundle, its container's id, and the runtime with a state directory of its own."""

    def __init__(self, program, path):
        self.program, self.path = program, path
        self.rootfs = path / "rootfs"
        self.state_root = path / "state"
        self.parent_group = f"/berth-test-{os.getpid()}-{path.name}"
        self.group = f"{self.parent_group}/box"
        self.config = default_config(self.group)
        for directory in ("bin", "etc", "root", "tmp", "var"):
            (self.rootfs / directory).mkdir(parents=True)
        shutil.copy(BUSYBOX, self.rootfs / "bin/busybox")
        for applet in ("sh", "cat", "ls", "true", "id", "env", "sleep", "mount", "echo", "grep", "stat", "readlink", "tty",
                       "touch", "hostname", "mkdir", "ps", "stty", "unshare", "seq", "wc", "cut", "dmesg"):
            (self.rootfs / "bin" / applet).symlink_to("busybox")
        (self.rootfs / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\nweb:x:33:34:web:/srv:/bin/false\n")
        (self.rootfs / "etc/group").write_text("root:x:0:root\nwww:x:34:\naudio:x:29:web\n")

    def call(self, *arguments, **options):
        """Output goes to files: a container keeps the standard descriptors of the call that made it."""
        command = [self.program, "--root", self.state_root, *arguments]
        options.setdefault("stdin", subprocess.DEVNULL)
        with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
            done = subprocess.run(command, stdout=out, stderr=err, text=True, timeout=60, **options)
            out.seek(0)
            err.seek(0)
            done.stdout, done.stderr = out.read(), err.read()
        return done

    def write(self):
        (self.path / "config.json").write_text(json.dumps(self.config))

    def run(self, *args, **options):
        if args:
            self.config["process"]["args"] = list(args)
        self.write()
        return self.call("run", "-b", self.path, "box", **options)

    def output(self, *args):
        done = self.run(*args)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def start(self, *args):
        self.config["process"]["args"] = list(args)
        self.write()
        made = self.call("create", "-b", self.path, "--pid-file", self.path / "pid", "box")
        assert made.returncode == 0, made.stderr
        started = self.call("start", "box")
        assert started.returncode == 0, started.stderr

    def status(self):
        return json.loads(self.call("state", "box").stdout)["status"]

    def wait_for(self, status):
        wait_until(lambda: self.status() == status, step_s=0.02, what=f"the status {status}")

    def groups(self):
        return [str(p) for p in pathlib.Path("/sys/fs/cgroup").glob(f"*{self.group}")] + [
            str(p) for p in [pathlib.Path("/sys/fs/cgroup" + self.group)] if p.exists()]

    def clean(self):
        self.call("delete", "--force", "box")
        for root in ["/sys/fs/cgroup", *map(str, pathlib.Path("/sys/fs/cgroup").iterdir())]:
            if os.path.isdir(root + self.parent_group):
                os.rmdir(root + self.parent_group)


@pytest.fixture
def bundle(build, tmp_path):
    made = Bundle(os.path.join(str(build), "berth-runtime"), tmp_path)
    yield made
    made.clean()
    assert made.groups() == []
    assert str(tmp_path) not in pathlib.Path("/proc/self/mountinfo").read_text(), "mounts were left behind"


def mounts_of(text):
    """target → (options, type, super options)"""
    found = {}
    for line in text.splitlines():
        fields = line.split()
        dash = fields.index("-")
        found[fields[4]] = (fields[5], fields[dash + 1], fields[dash + 3], fields[3])
    return found


# ---- the environment that every container finds ----


def test_mounts_are_dockers(bundle):
    mounts = mounts_of(bundle.output("cat", "/proc/self/mountinfo"))

    assert mounts["/proc"][:3] == ("rw,nosuid,nodev,noexec,relatime", "proc", "rw")
    assert mounts["/dev"][:3] == ("rw,nosuid", "tmpfs", "rw,size=65536k,mode=755")
    assert mounts["/dev/pts"][:3] == ("rw,nosuid,noexec,relatime", "devpts", "rw,gid=5,mode=620,ptmxmode=666")
    assert mounts["/sys"][:3] == ("ro,nosuid,nodev,noexec,relatime", "sysfs", "ro")
    assert mounts["/dev/mqueue"][:3] == ("rw,nosuid,nodev,noexec,relatime", "mqueue", "rw")
    assert mounts["/dev/shm"][:3] == ("rw,nosuid,nodev,noexec,relatime", "tmpfs", "rw,size=65536k")
    for path in ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys"):
        assert mounts[path][:3] == ("ro,nosuid,nodev,noexec,relatime", "proc", "rw")
    if "/sys/firmware" in mounts:
        assert mounts["/sys/firmware"][:3] == ("ro,relatime", "tmpfs", "ro,size=4k,nr_inodes=1")
    assert mounts["/proc/keys"] == ("rw,nosuid", "tmpfs", "rw,size=65536k,mode=755", "/null")
    # nothing of the host is left: every mount is the container's
    assert not [target for target in mounts if not target.startswith(("/proc", "/dev", "/sys")) and target != "/"]


def test_cgroups_are_shown_read_only(bundle):
    mounts = mounts_of(bundle.output("cat", "/proc/self/mountinfo"))
    views = {t: m for t, m in mounts.items() if t.startswith("/sys/fs/cgroup") and m[1].startswith("cgroup")}

    assert views
    for options, _type, _super, root in views.values():
        assert options == "ro,nosuid,nodev,noexec,relatime"
        assert root.endswith(bundle.group) or root == "/"
    if "/sys/fs/cgroup/memory" in views:
        assert mounts["/sys/fs/cgroup"][:3] == ("rw,nosuid,nodev,noexec,relatime", "tmpfs", "rw,mode=755")


def test_cgroup_namespace_hides_the_path(bundle):
    bundle.config["linux"]["namespaces"].append({"type": "cgroup"})
    text = bundle.output("cat", "/proc/self/cgroup", "/proc/self/mountinfo")

    assert bundle.group not in text
    assert all(line.endswith(":/") for line in text.splitlines() if " " not in line)


def test_devices_are_dockers(bundle):
    names = bundle.output("ls", "/dev").split()
    links = ["fd", "ptmx", "stderr", "stdin", "stdout"] + (["core"] if os.path.exists("/proc/kcore") else [])
    nodes = {"full": "1:7", "null": "1:3", "random": "1:8", "tty": "5:0", "urandom": "1:9", "zero": "1:5"}

    assert sorted(names) == sorted(["mqueue", "pts", "shm", *nodes, *links])
    told = bundle.output("sh", "-c", "cd /dev; stat -c '%n %A %t:%T' " + " ".join(nodes))
    assert told.splitlines() == [f"{name} crw-rw-rw- {number}" for name, number in nodes.items()]


def test_process_is_dockers(bundle):
    text = bundle.output("sh", "-c", "cat /proc/self/status; cat /proc/self/oom_score_adj; hostname; ls /proc/self/fd | wc -l")

    for line in ("Umask:\t0022", "CapInh:\t0000000000000000", "CapPrm:\t00000000a80425fb", "CapEff:\t00000000a80425fb",
                 "CapBnd:\t00000000a80425fb", "CapAmb:\t0000000000000000", "SigIgn:\t0000000000000000",
                 "SigBlk:\t0000000000000000", "NoNewPrivs:\t0"):
        assert line in text
    assert text.splitlines()[-2:] == ["box", "4"]  # 0, 1, 2 and ls's own


def test_environment_is_what_was_said_and_home(bundle):
    bundle.config["process"]["env"] = ["PATH=/bin", "B=2", "A=1"]
    assert bundle.output("env") == "PATH=/bin\nB=2\nA=1\nHOME=/root\n"
    bundle.config["process"]["env"].append("HOME=/x")
    assert bundle.output("env").endswith("HOME=/x\n")


@pytest.mark.parametrize("user, expected", [
    ("web", "uid=33(web) gid=34(www) groups=29(audio),34(www)"),
    ("33:audio", "uid=33(web) gid=29(audio) groups=29(audio)"),
    ("1000:2000", "uid=1000 gid=2000 groups=2000"),
])
def test_user_is_looked_up_inside(bundle, user, expected):
    bundle.config["process"]["user"]["username"] = user
    bundle.config["process"]["noNewPrivileges"] = True
    found = bundle.output("sh", "-c", "id; cat /proc/self/status").splitlines()

    assert sorted(found[0].split(" groups=")[1].split(",")) == sorted(expected.split(" groups=")[1].split(","))
    assert found[0].split(" groups=")[0] == expected.split(" groups=")[0]
    assert "CapEff:\t0000000000000000" in found and "CapBnd:\t00000000a80425fb" in found and "NoNewPrivs:\t1" in found


def test_unknown_user(bundle):
    bundle.config["process"]["user"]["username"] = "nope"
    assert "unable to find user nope: no matching entries in passwd file" in bundle.run().stderr


def test_stdio_can_be_opened_again_by_another_user(bundle):
    bundle.config["process"]["user"] = {"uid": 33, "gid": 34}
    assert bundle.output("sh", "-c", "echo again > /dev/stdout") == "again\n"


def test_read_only_root(bundle):
    bundle.config["root"]["readonly"] = True
    done = bundle.run("sh", "-c", "touch /x; touch /dev/x && touch /dev/shm/x && echo fine")
    assert "Read-only file system" in done.stderr and done.stdout == "fine\n"


def test_sysctls(bundle):
    bundle.config["linux"]["sysctl"] = {"net.ipv4.ip_unprivileged_port_start": "7", "kernel.shmmax": "4096"}
    paths = ["/proc/sys/net/ipv4/ip_unprivileged_port_start", "/proc/sys/kernel/shmmax"]
    assert bundle.output("cat", *paths) == "7\n4096\n"
    assert pathlib.Path(paths[0]).read_text() != "7\n"
    bundle.config["linux"]["sysctl"] = {"kernel.panic": "1"}
    assert "is not in a separate kernel namespace" in bundle.run().stderr
    bundle.config["linux"]["sysctl"] = {"net.ipv4.ip_forward": "1"}
    bundle.config["linux"]["namespaces"] = [n for n in bundle.config["linux"]["namespaces"] if n["type"] != "network"]
    assert 'sysctl "net.ipv4.ip_forward" not allowed in host network namespace' in bundle.run().stderr


def test_limits(bundle):
    bundle.config["process"]["rlimits"] = [{"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200}]
    text = bundle.output("cat", "/proc/self/limits")
    assert [line.split()[3:5] for line in text.splitlines() if line.startswith("Max open files")] == [["100", "200"]]


def test_huge_pages(bundle):
    """Also where the controller is in version 2 and the others are not."""
    size, present = 2 << 20, bool(list(pathlib.Path("/sys/fs/cgroup").glob("**/hugetlb.2MB.*"))) or any(
        "hugetlb" in path.read_text().split() for path in pathlib.Path("/sys/fs/cgroup").glob("**/cgroup.controllers"))
    bundle.config["linux"]["resources"]["hugepageLimits"] = [{"pageSize": "2MB", "limit": 3 * size}]
    if not present:
        assert "hugetlb cgroup" in bundle.run("true").stderr
        return
    bundle.start("sleep", "1000")
    files = [path for group in bundle.groups() for name in ("max", "limit_in_bytes") if (path := pathlib.Path(group, f"hugetlb.2MB.{name}")).exists()]
    assert [path.read_text() for path in files] == [f"{3 * size}\n"]
    done = bundle.call("update", "-r", "-", "box", stdin=None, input=json.dumps({"hugepageLimits": [{"pageSize": "2MB", "limit": size}]}))
    assert done.returncode == 0, done.stderr
    assert [path.read_text() for path in files] == [f"{size}\n"]


def test_working_directory_is_made(bundle):
    bundle.config["process"]["cwd"] = "/a/b/c"
    assert bundle.output("sh", "-c", "pwd; stat -c %a /a/b/c") == "/a/b/c\n755\n"
    bundle.config["process"]["cwd"] = "/etc/passwd"
    assert "Cannot mkdir: /etc/passwd is not a directory" in bundle.run().stderr


# ---- what goes wrong ----


@pytest.mark.parametrize("command, text", [
    ("nope", 'exec: "nope": executable file not found in $PATH'),
    ("/nope", 'exec: "/nope": stat /nope: no such file or directory'),
    ("/bin", 'exec: "/bin": is a directory: permission denied'),
    ("/etc/passwd", 'exec: "/etc/passwd": permission denied'),
    ("/etc/passwd/x", 'exec: "/etc/passwd/x": stat /etc/passwd/x: not a directory'),
])
def test_commands_that_cannot_run(bundle, command, text):
    done = bundle.run(command)
    assert done.returncode == 1 and text in done.stderr
    assert not (bundle.state_root / "box").exists()


@pytest.mark.parametrize("content, text", [
    ("garbage", "exec /thing: exec format error\n"),
    ("#!/no/interpreter\n", "exec /thing: no such file or directory\n"),
])
def test_commands_that_fail_after_the_start(bundle, content, text):
    (bundle.rootfs / "thing").write_text(content)
    (bundle.rootfs / "thing").chmod(0o755)
    done = bundle.run("/thing")
    assert done.returncode == 255 and done.stderr == text


def test_executable_is_judged_by_the_users_rights(bundle):
    (bundle.rootfs / "secret").mkdir(mode=0o700)
    shutil.copy(BUSYBOX, bundle.rootfs / "secret/echo")
    assert bundle.run("/secret/echo").returncode == 0
    bundle.config["process"]["user"] = {"uid": 33, "gid": 34}
    assert "permission denied" in bundle.run("/secret/echo").stderr


@pytest.mark.parametrize("key, value, text", [
    (("linux", "intelRdt"), {"closID": "x"}, "linux.intelRdt is not supported"),
    (("linux", "namespaces"), [{"type": "pid"}], "without a mount namespace"),
    (("linux", "resources"), {"cpu": {"shares": 1}}, "the minimum allowed cpu-shares is 2"),
    (("linux", "seccomp"), {"defaultAction": "SCMP_ACT_NONSENSE"}, "unknown action"),
    (("root", "path"), "/no/such/root", "no such file or directory"),
    (("hostname",), "x" * 70, "sethostname"),
])
def test_configurations_that_make_no_sense(bundle, key, value, text):
    target = bundle.config
    for part in key[:-1]:
        target = target[part]
    target[key[-1]] = value
    done = bundle.run()
    assert done.returncode == 1 and text in done.stderr
    assert bundle.groups() == [] and not (bundle.state_root / "box").exists()


def test_options_of_other_runtimes_are_refused_by_name(bundle):
    bundle.write()
    assert "--no-pivot is not supported" in bundle.call("create", "--no-pivot", "-b", bundle.path, "box").stderr
    assert "--systemd-cgroup is not supported" in bundle.call("--systemd-cgroup", "create", "box").stderr
    assert "not defined: --nonsense" in bundle.call("create", "--nonsense", "box").stderr
    assert "invalid container ID" in bundle.call("state", "../box").stderr


# ---- what must not get out ----


def test_mount_targets_stay_inside(bundle, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (bundle.rootfs / "link").symlink_to(outside)
    (bundle.rootfs / "climb").symlink_to("../../../../../../../.." + str(outside))
    for target in ("/link/deep", "/climb/deep"):
        bundle.config["mounts"].append({"destination": target, "type": "tmpfs", "source": "tmpfs", "options": []})
    text = bundle.output("cat", "/proc/self/mountinfo")

    assert list(outside.iterdir()) == []
    assert str(outside) + "/deep" in text  # the same path, below the container's root
    assert (bundle.rootfs / str(outside)[1:] / "deep").is_dir()


def test_proc_cannot_be_covered(bundle, tmp_path):
    bundle.config["mounts"].append({"destination": "/proc/self/attr", "type": "bind", "source": str(tmp_path),
                                    "options": ["bind"]})
    assert "is inside /proc" in bundle.run().stderr
    bundle.config["mounts"].pop()
    shutil.rmtree(bundle.rootfs / "proc", ignore_errors=True)
    (bundle.rootfs / "proc").symlink_to("/tmp")
    assert 'filesystem "proc" must be mounted on ordinary directory' in bundle.run().stderr


def test_working_directory_is_no_descriptor_of_ours(bundle):
    for number in range(3, 30):
        bundle.config["process"]["cwd"] = f"/proc/self/fd/{number}"
        done = bundle.run("true")
        assert done.returncode == 1, f"cwd in descriptor {number}"


def test_our_program_cannot_be_overwritten(bundle):
    """An image whose command is a script run by /proc/self/exe, which at that moment is ours."""
    before = pathlib.Path(bundle.program).resolve().read_bytes()
    (bundle.rootfs / "evil").write_text("#!/proc/self/exe\n")
    (bundle.rootfs / "evil").chmod(0o755)
    # our program's libraries are the image's: here only the host's, so that it really runs
    for line in subprocess.run(["ldd", bundle.program], capture_output=True, text=True).stdout.splitlines():
        for word in line.split():
            if word.startswith("/") and os.path.exists(word):
                target = bundle.rootfs / word[1:]
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(word, target)
    done = bundle.run("/evil")
    assert "container id" in done.stderr or "unknown command" in done.stderr, done.stderr
    bundle.config["process"]["args"] = ["sleep", "1000"]
    bundle.write()
    assert bundle.call("create", "-b", bundle.path, "box", stdin=subprocess.DEVNULL).returncode == 0
    pid = json.loads(bundle.call("state", "box").stdout)["pid"]
    with pytest.raises(OSError):
        os.open(f"/proc/{pid}/exe", os.O_WRONLY)
    assert pathlib.Path(bundle.program).resolve().read_bytes() == before


def test_waiting_init_is_out_of_reach(bundle):
    """Before its exec nobody without CAP_SYS_PTRACE can look into the init, be it root like itself."""
    bundle.config["process"]["args"] = ["sleep", "1000"]
    bundle.write()
    assert bundle.call("create", "-b", bundle.path, "box").returncode == 0
    pid = json.loads(bundle.call("state", "box").stdout)["pid"]
    look = ["setpriv", "--bounding-set", "-sys_ptrace", "--inh-caps", "-sys_ptrace", "readlink"]
    for name in ("exe", "cwd", "root", "fd/0"):
        assert subprocess.run([*look, f"/proc/{pid}/{name}"], capture_output=True).returncode == 1, name
    assert bundle.call("start", "box").returncode == 0


def test_no_descriptor_leaks(bundle, tmp_path):
    with open(tmp_path / "leak", "w") as leak:
        os.set_inheritable(leak.fileno(), True)
        text = bundle.run("sh", "-c", "ls -l /proc/self/fd", close_fds=False).stdout
    assert "leak" not in text
    bundle.start("sleep", "1000")
    with open(tmp_path / "leak", "w") as leak:
        os.set_inheritable(leak.fileno(), True)
        text = bundle.call("exec", "box", "ls", "-l", "/proc/self/fd", close_fds=False).stdout
    assert "leak" not in text


def test_preserved_descriptors(bundle, tmp_path):
    (tmp_path / "given").write_text("handed over\n")
    bundle.config["process"]["args"] = ["sh", "-c", "cat <&3"]
    bundle.write()
    command = f'exec "$@" 3<{tmp_path}/given'
    done = subprocess.run(["sh", "-c", command, "sh", bundle.program, "--root", bundle.state_root, "run", "--preserve-fds", "1",
                           "-b", bundle.path, "box"], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.stdout == "handed over\n", done.stderr


def test_seccomp_is_loaded(bundle):
    bundle.config["linux"]["seccomp"] = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1}],
    }
    for no_new_privileges in (False, True):
        bundle.config["process"]["noNewPrivileges"] = no_new_privileges
        done = bundle.run("sh", "-c", "grep Seccomp: /proc/self/status; mkdir /tmp/x")
        assert "Seccomp:\t2" in done.stdout and "Operation not permitted" in done.stderr


# ---- namespaces ----


def give_to(bundle, uid, gid):
    """The root file system belongs to the root of a user namespace, which can reach it."""
    for directory, _, files in os.walk(bundle.rootfs):
        for path in [directory] + [os.path.join(directory, f) for f in files]:
            os.lchown(path, uid, gid)
    for parent in bundle.rootfs.parents:
        if parent != pathlib.Path("/") and not parent.stat().st_mode & 0o001:
            parent.chmod(parent.stat().st_mode | 0o011)


MAPPED = ("sh", "-c", "cat /proc/self/uid_map; id -u; id -g; touch /x; echo > /dev/null && echo nulled; hostname; readlink /proc/self/ns/user")


def test_user_namespace(bundle):
    bundle.config["linux"]["namespaces"].append({"type": "user"})
    bundle.config["linux"]["uidMappings"] = [{"containerID": 0, "hostID": 100000, "size": 65536}]
    bundle.config["linux"]["gidMappings"] = [{"containerID": 0, "hostID": 200000, "size": 65536}]
    give_to(bundle, 100000, 200000)
    words = bundle.output(*MAPPED).split()
    assert words[:7] == ["0", "100000", "65536", "0", "0", "nulled", "box"]
    assert (bundle.rootfs / "x").stat().st_uid == 100000


@pytest.fixture
def user_namespace():
    """A process that is alone in a user namespace and in a network namespace that belongs to it."""
    process = subprocess.Popen(["unshare", "--user", "--net", "sleep", "1000"])
    while os.readlink(f"/proc/{process.pid}/ns/net") == os.readlink("/proc/self/ns/net"):
        time.sleep(0.01)
    for name, first in (("uid_map", 100000), ("gid_map", 200000)):
        pathlib.Path(f"/proc/{process.pid}/{name}").write_text(f"0 {first} 65536\n")
    yield process.pid
    process.kill()
    process.wait()


def test_joining_a_user_namespace(bundle, user_namespace):
    """What is new belongs to the user namespace that is joined: /sys can be mounted, names and loopback can be set."""
    namespaces = bundle.config["linux"]["namespaces"]
    namespaces[:] = [n for n in namespaces if n["type"] != "network"] + [
        {"type": "user", "path": f"/proc/{user_namespace}/ns/user"}, {"type": "network", "path": f"/proc/{user_namespace}/ns/net"}, {"type": "cgroup"}]
    give_to(bundle, 100000, 200000)
    words = bundle.output(*MAPPED).split()
    assert words[:7] == ["0", "100000", "65536", "0", "0", "nulled", "box"]
    assert words[7] == os.readlink(f"/proc/{user_namespace}/ns/user")
    assert (bundle.rootfs / "x").stat().st_uid == 100000
    assert bundle.run("sh", "-c", "exit 7").returncode == 7
    bundle.start("sleep", "1000")
    assert bundle.status() == "running"
    done = bundle.call("exec", "box", "sh", "-c", "readlink /proc/self/ns/user; id -u; cat /proc/self/cgroup")
    assert done.stdout.split()[:2] == [words[7], "0"], done.stderr
    bundle.call("kill", "box", "KILL")
    bundle.wait_for("stopped")


def test_a_user_namespace_that_is_not_there(bundle):
    bundle.config["linux"]["namespaces"].append({"type": "user", "path": "/proc/self/ns/net"})
    done = bundle.run("true")
    assert done.returncode != 0 and "is not a user namespace" in done.stderr


def test_joining_namespaces(bundle):
    bundle.start("sleep", "1000")
    pid = json.loads(bundle.call("state", "box").stdout)["pid"]
    other = Bundle(bundle.program, bundle.path / "other")
    other.config["linux"]["namespaces"] = [{"type": "mount"}] + [
        {"type": kind, "path": f"/proc/{pid}/ns/{name}"}
        for kind, name in (("network", "net"), ("pid", "pid"), ("ipc", "ipc"), ("uts", "uts"))]
    try:
        links = [f"/proc/self/ns/{name}" for name in ("net", "pid", "ipc", "uts")]
        found = other.output("sh", "-c", " ".join(f"readlink {link};" for link in links) + "ps").splitlines()
        assert found[:4] == [os.readlink(f"/proc/{pid}/ns/{name}") for name in ("net", "pid", "ipc", "uts")]
        assert any("sleep 1000" in line for line in found[4:])
    finally:
        other.clean()


def test_loopback_is_up(bundle):
    assert "UP" in bundle.output("/bin/busybox", "ifconfig", "lo")


def test_bind_mounts(bundle, tmp_path):
    source = tmp_path / "source"
    (source / "inner").mkdir(parents=True)
    (source / "file").write_text("content\n")
    bundle.config["mounts"] += [
        {"destination": "/rw", "type": "bind", "source": str(source), "options": ["rbind", "rprivate"]},
        {"destination": "/ro", "type": "bind", "source": str(source), "options": ["rbind", "rprivate", "ro"]},
        {"destination": "/etc/one", "type": "bind", "source": str(source / "file"), "options": ["bind"]},
        {"destination": "/relative", "type": "bind", "source": "rootfs/etc", "options": ["bind"]},
    ]
    done = bundle.run("sh", "-c", "cat /etc/one; touch /rw/new; touch /ro/no; ls /relative/passwd")
    assert done.stdout == "content\n/relative/passwd\n" and "Read-only" in done.stderr
    assert (source / "new").exists()
    bundle.config["mounts"][-1] = {"destination": "/etc/passwd", "type": "bind", "source": str(source), "options": ["bind"]}
    assert "Are you trying to mount a directory onto a file (or vice-versa)?" in bundle.run().stderr


# ---- life ----


def test_life_in_steps(bundle):
    bundle.start("sleep", "1000")
    assert bundle.status() == "running"
    state = json.loads(bundle.call("state", "box").stdout)
    assert state["pid"] == int((bundle.path / "pid").read_text()) and state["bundle"] == str(bundle.path)
    assert "already exists" in bundle.call("create", "-b", bundle.path, "box").stderr
    assert "already running" in bundle.call("start", "box").stderr
    assert "not stopped: running" in bundle.call("delete", "box").stderr
    assert bundle.call("list", "-q").stdout == "box\n"
    assert state["pid"] in json.loads(bundle.call("ps", "-f", "json", "box").stdout)
    assert bundle.call("pause", "box").returncode == 0 and bundle.status() == "paused"
    assert "paused" in bundle.call("exec", "box", "true").stderr
    assert bundle.call("resume", "box").returncode == 0 and bundle.status() == "running"
    assert bundle.call("kill", "box", "KILL").returncode == 0
    bundle.wait_for("stopped")
    assert "not running" in bundle.call("kill", "box").stderr
    assert bundle.call("delete", "box").returncode == 0
    assert "does not exist" in bundle.call("state", "box").stderr
    assert bundle.call("delete", "--force", "box").returncode == 0


def test_created_waits_and_can_be_deleted(bundle):
    bundle.write()
    assert bundle.call("create", "-b", bundle.path, "box").returncode == 0
    assert bundle.status() == "created"
    assert bundle.call("delete", "box").returncode == 0
    assert bundle.groups() == []


@pytest.mark.parametrize("code", [0, 1, 42, 255])
def test_exit_codes(bundle, code):
    assert bundle.run("sh", "-c", f"exit {code}").returncode == code


def test_limits_can_be_updated(bundle):
    bundle.start("sleep", "1000")
    done = bundle.call("update", "-r", "-", "box", stdin=None, input='{"pids":{"limit":33}}')
    assert done.returncode == 0, done.stderr
    assert [pathlib.Path(g, "pids.max").read_text() for g in bundle.groups() if os.path.exists(g + "/pids.max")] == ["33\n"]


def test_hooks_are_told_and_obeyed(bundle, tmp_path):
    log = tmp_path / "log"
    log.mkdir()
    script = tmp_path / "hook"
    script.write_text(f"#!/bin/sh\ncat > {log}/$1\nreadlink /proc/self/ns/mnt > {log}/$1.ns\n")
    script.chmod(0o755)
    (bundle.rootfs / "hook").write_text("#!/bin/sh\ncat > /tmp/startContainer\n")
    (bundle.rootfs / "hook").chmod(0o755)
    names = ["prestart", "createRuntime", "createContainer", "poststart", "poststop"]
    bundle.config["hooks"] = {n: [{"path": str(script), "args": ["hook", n], "env": ["PATH=/bin:/usr/bin"]}] for n in names}
    bundle.config["hooks"]["startContainer"] = [{"path": "/hook", "env": ["PATH=/bin"]}]
    bundle.config["annotations"] = {"who": "test"}
    assert bundle.run("true").returncode == 0
    told = {n: json.loads((log / n).read_text()) for n in names}
    told["startContainer"] = json.loads((bundle.rootfs / "tmp/startContainer").read_text())
    assert {n: t["status"] for n, t in told.items()} == {
        "prestart": "creating", "createRuntime": "creating", "createContainer": "creating", "startContainer": "created",
        "poststart": "running", "poststop": "stopped"}
    assert all(t["id"] == "box" and t["annotations"] == {"who": "test"} for t in told.values())
    assert len({t["pid"] for n, t in told.items() if n != "poststop"}) == 1
    ours = os.readlink("/proc/self/ns/mnt") + "\n"
    assert (log / "createRuntime.ns").read_text() == ours and (log / "createContainer.ns").read_text() != ours

    bundle.config["hooks"] = {"createRuntime": [{"path": "/bin/false"}]}
    assert "error running hook /bin/false" in bundle.run("true").stderr
    bundle.config["hooks"] = {"createContainer": [{"path": "/bin/sleep", "args": ["sleep", "600"], "timeout": 1}]}
    assert "timeout" in bundle.run("true").stderr


# ---- further processes and terminals ----


def test_exec(bundle):
    bundle.start("sleep", "1000")
    text = bundle.call("exec", "box", "sh", "-c", "id -u; hostname; cat /proc/self/cgroup; cat /proc/self/status; env").stdout
    init = {line.split(":")[2] for line in pathlib.Path(f"/proc/{(bundle.path / 'pid').read_text()}/cgroup").read_text().split()}
    assert {line.split(":")[2] for line in text.splitlines() if line.count(":") == 2 and line[0].isdigit()} == init
    assert "CapEff:\t00000000a80425fb" in text and "CapBnd:\t00000000a80425fb" in text
    assert text.splitlines()[-2:] in (["PATH=/bin", "HOME=/root"], ["HOME=/root", "PATH=/bin"]) or "HOME=/root" in text
    assert bundle.call("exec", "box", "sh", "-c", "exit 7").returncode == 7
    assert bundle.call("exec", "-u", "web", "--cwd", "/tmp", "-e", "X=1", "box", "sh", "-c", "id -u; pwd; echo $X").stdout == "33\n/tmp\n1\n"
    process = copy.deepcopy(bundle.config["process"])
    process["args"] = ["echo", "from file"]
    (bundle.path / "process.json").write_text(json.dumps(process))
    assert bundle.call("exec", "-p", bundle.path / "process.json", "box").stdout == "from file\n"


@pytest.mark.parametrize("arguments, text", [
    (["box", "nope"], 'exec: "nope": executable file not found in $PATH'),
    (["box", "/bin"], 'exec: "/bin": is a directory: permission denied'),
    (["--cwd", "/nope", "box", "true"], 'chdir to cwd ("/nope") set in config.json failed: no such file or directory'),
    (["-u", "nope", "box", "true"], "unable to find user nope: no matching entries in passwd file"),
])
def test_exec_that_fails(bundle, arguments, text):
    bundle.start("sleep", "1000")
    done = bundle.call("exec", *arguments)
    assert done.returncode == 255 and text in done.stderr


def test_exec_follows_the_profile(bundle):
    bundle.config["linux"]["seccomp"] = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1}],
    }
    bundle.start("sleep", "1000")
    assert "Operation not permitted" in bundle.call("exec", "box", "mkdir", "/tmp/x").stderr


def on_terminal(command):
    """Runs a command on a terminal of our own; what it wrote and its exit code."""
    master, slave = pty.openpty()
    process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, start_new_session=True)
    os.close(slave)
    text = b""
    try:
        while chunk := os.read(master, 4096):
            text += chunk
    except OSError:
        pass
    os.close(master)
    return text.decode(), process.wait(timeout=300)


def test_terminals(bundle):
    bundle.config["process"]["terminal"] = True
    bundle.config["process"]["args"] = ["sh", "-c", "tty; ls -l /dev/console /dev/pts/0; stat -c %t:%T /dev/console; exit 3"]
    bundle.write()
    text, code = on_terminal([bundle.program, "--root", bundle.state_root, "run", "-b", bundle.path, "box"])
    assert code == 3 and "/dev/pts/0" in text and text.count("crw--w----") == 2 and "88:0" in text
    bundle.config["process"]["terminal"] = False
    bundle.start("sleep", "1000")
    text, code = on_terminal([bundle.program, "--root", bundle.state_root, "exec", "-t", "box", "tty"])
    assert (text, code) == ("/dev/pts/0\r\n", 0)


def test_console_socket(bundle):
    path = str(bundle.path / "console.sock")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()
    bundle.config["process"]["terminal"] = True
    bundle.config["process"]["args"] = ["sh", "-c", "echo hello; sleep 1000"]
    bundle.write()
    assert "without setting console socket" in bundle.call("create", "-b", bundle.path, "box").stderr
    assert bundle.call("create", "-b", bundle.path, "--console-socket", path, "box").returncode == 0
    connection, _ = listener.accept()
    _, control, _, _ = connection.recvmsg(64, socket.CMSG_SPACE(4))
    master = array.array("i", control[0][2])[0]
    assert bundle.call("start", "box").returncode == 0
    assert os.read(master, 100) == b"hello\r\n"
    os.close(master)


def test_features(bundle):
    features = json.loads(bundle.call("features").stdout)
    assert features["ociVersionMax"] == "1.2.0" and "user" in features["linux"]["namespaces"]


def test_failures_are_logged_as_other_tools_read_them(bundle, tmp_path):
    bundle.call("--log", tmp_path / "log", "--log-format", "json", "state", "box")
    assert json.loads((tmp_path / "log").read_text())["msg"] == 'container "box" does not exist'
