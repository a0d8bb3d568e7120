"""Mounts that are meant to hurt: sources and targets that are no directories, places of the kernel, and the host's own root.

Whatever happens, it happens inside: the host's tree and its mounts stay as they were, and the container goes with rm -f."""
import os
import pathlib
import socket
import stat

import pytest

from engine import wait_until
from raw_api import Api

pytestmark = pytest.mark.own

ROUNDS = int(os.environ.get("BERTH_RACE_ROUNDS", "60"))


def host_mounts(text):
    """Mounts of the host that have to do with a directory or a container."""
    return [line for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines() if str(text) in line]


@pytest.fixture(scope="module", autouse=True)
def nothing_is_left(engine):
    yield
    wait_until(lambda: engine.verify().code == 0, what="record, kernel and disk agreeing")


@pytest.fixture
def trap(engine, tmp_path):
    """A directory of the host with one of everything; nothing in it changes, nor does the host get a mount."""
    path = tmp_path / "trap"
    (path / "dir/sub").mkdir(parents=True)
    (path / "file").write_text("of the host")
    (path / "dir/file").write_text("below")
    os.mkfifo(path / "fifo")
    os.mknod(path / "null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    (path / "link").symlink_to(path / "dir")
    (path / "broken").symlink_to("/nowhere/at/all")
    (path / "loop").symlink_to("loop")
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(path / "socket"))
        before = describe(path)
        yield path
        assert describe(path) == before and not host_mounts(path)


def describe(path):
    return {str(found.relative_to(path)): (found.lstat().st_mode, found.lstat().st_rdev, found.lstat().st_ino) for found in path.rglob("*")}


@pytest.fixture
def hostile(engine, name):
    """Starts a container with those options: its result. Whatever became of it is removed by force, at once and wholly."""
    def call(*options, script="echo alive", image="busybox"):
        try:
            return engine.berth("run", "--network", "none", "--name", name, *options, image, "sh", "-c", script, limit_s=60)
        finally:
            removed = engine.berth("rm", "-f", "-v", name, limit_s=60)
            assert removed.code == 0 or "No such container" in removed.err, removed
            assert name not in engine.berth("ps", "-a", "--format", "{{.Names}}").out.split()
    yield call
    assert not host_mounts(name)


def spellings(source, target, *words):
    """The same bind in both forms."""
    short = ",".join(words)
    return (["-v", f"{source}:{target}" + (f":{short}" if short else "")],
            ["--mount", ",".join(["type=bind", f"src={source}", f"dst={target}", *("readonly" if word == "ro" else f"bind-propagation={word}" for word in words)])])


# ---- what the source is ----

@pytest.mark.parametrize("source, script, shows", [
    ("file", "cat /m", "of the host"),
    ("fifo", "test -p /m && echo pipe", "pipe\n"),
    ("null", "test -c /m && echo device", "device\n"),
    ("socket", "test -S /m && echo socket", "socket\n"),
    ("link", "cat /m/file", "below"),
])
def test_sources_of_all_kinds(hostile, trap, source, script, shows):
    for options in spellings(trap / source, "/m"):
        got = hostile(*options, script=script)
        assert got.code == 0 and got.out == shows, (options, got)


@pytest.mark.parametrize("source", ["broken", "loop", "file/below", "fifo/below", "socket/below"])
def test_sources_that_lead_nowhere(hostile, trap, source):
    for options in spellings(trap / source, "/m"):
        got = hostile(*options)
        assert got.code in (125, 126, 127) and got.err.strip() and "alive" not in got.out, (options, got)


# ---- what is at the target ----

@pytest.fixture(scope="module")
def trapped_image(engine, tmp_path_factory):
    """An image with one of everything below /t, made in a container since no Dockerfile makes devices."""
    engine.berth("run", "--name", "trapped", "busybox", "sh", "-c",
                  "mkdir -p /t/dir && echo of the image > /t/file && mkfifo /t/fifo && mknod /t/null c 1 3 && ln -s dir /t/link && ln -s loop /t/loop"
                  " && ln -s /proc/self/root /t/root && ln -s /proc/1/root/etc /t/magic && ln -s /../../../../etc /t/up", check=True)
    engine.berth("commit", "trapped", "trapped", check=True)
    engine.berth("rm", "trapped", check=True)
    yield "trapped"
    engine.berth("rmi", "-f", "trapped")


TARGETS = ["file", "fifo", "null", "link", "loop", "root", "magic", "up", "file/below", "fifo/below", "loop/below", "root/etc", "dir/../../etc", "root/../proc/1"]


@pytest.mark.parametrize("target", TARGETS)
def test_targets_of_all_kinds(hostile, trap, trapped_image, target):
    """It starts with the mount where the path leads inside, or it does not start; nothing waits for a pipe, and nothing is opened."""
    for source, spelling in (("dir", 0), ("dir", 1), ("file", 0)):
        options = spellings(trap / source, f"/t/{target}")[spelling]
        got = hostile(*options, image=trapped_image, script="cat /proc/self/mountinfo")
        assert got.code in (0, 125, 126, 127), (options, got)
        if got.code == 0:
            places = [line.split()[4] for line in got.out.splitlines() if f"trap/{source}" in line]
            assert len(places) == 1 and not places[0].startswith("/proc"), (options, got)
        else:
            assert got.err.strip(), "an error says why"


@pytest.mark.parametrize("subpath", ["file", "fifo", "null", "link", "out", "up/etc", "loop", "magic", "fifo/below", "missing"])
def test_parts_of_volumes_of_all_kinds(engine, hostile, name, subpath):
    volume = f"{name}-v"
    engine.berth("run", "--rm", "-v", f"{volume}:/v", "busybox", "sh", "-c",
                  "mkdir /v/dir && echo of the volume | tee /v/dir/file > /v/file && mkfifo /v/fifo && mknod /v/null c 1 3 && ln -s dir /v/link"
                  " && ln -s /etc /v/out && ln -s ../../../../../.. /v/up && ln -s loop /v/loop && ln -s /proc/1/root /v/magic", check=True)
    try:
        got = hostile("--mount", f"type=volume,src={volume},dst=/m,volume-subpath={subpath}", script="test -d /m && ls /m || { test -f /m && cat /m; }; true")
        if got.code == 0:
            assert got.out in ("of the volume\n", "file\n", ""), got
        else:
            assert got.code in (125, 126, 127) and "Error response from daemon" in got.err, got
    finally:
        engine.berth("volume", "rm", "-f", volume, check=True)


# ---- places of the kernel ----

@pytest.mark.parametrize("target", ["/", "/.", "//", "/..", "/proc/..", "/t/../.."])
def test_nothing_is_mounted_over_the_root(hostile, trap, target):
    for options in (*spellings(trap / "dir", target), ["--tmpfs", target], ["--mount", f"type=tmpfs,dst={target}"], ["-v", f"some:{target}"]):
        got = hostile(*options)
        assert got.code == 125 and "can't be '/'" in got.err, (options, got)


@pytest.mark.parametrize("target", ["/proc", "/proc/self", "/proc/1/ns", "/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger", "/proc/./self/../1", "/sys/../proc"])
def test_nothing_is_mounted_into_proc(hostile, trap, target):
    for options in (spellings(trap / "dir", target)[0], spellings(trap / "file", target)[1], ["--mount", f"type=tmpfs,dst={target}"]):
        got = hostile(*options)
        assert got.code in (125, 126, 127) and "alive" not in got.out and "proc" in got.err, (options, got)


@pytest.mark.parametrize("target", ["/dev", "/dev/pts", "/dev/shm", "/dev/null", "/dev/mqueue", "/sys", "/sys/fs/cgroup", "/sys/kernel", "/sys/fs/../fs/cgroup"])
def test_dev_and_sys_are_the_containers_own(hostile, trap, target):
    """Docker lets them be covered: the container sees the bind there, or does not start, and the host's are not touched."""
    host_null = os.stat("/dev/null")
    for source, spelling in (("dir", 0), ("file", 1)):
        options = spellings(trap / source, target)[spelling]
        got = hostile(*options, script="cat /proc/self/mountinfo")
        assert got.code in (0, 125, 126, 127), (options, got)
        if got.code == 0:
            assert any(f"trap/{source}" in line and line.split()[4] == os.path.normpath(target) for line in got.out.splitlines()), (options, got)
    assert (host_null.st_rdev, host_null.st_ino) == (os.stat("/dev/null").st_rdev, os.stat("/dev/null").st_ino)


# ---- the host's root ----

@pytest.mark.parametrize("words", [(), ("ro",), ("ro", "rprivate"), ("private",)], ids=" ".join)
def test_the_hosts_root_inside(hostile, trap, words):
    """Seen, with what is mounted below where it is recursive; unmounting it inside, or mounting on it, changes nothing outside."""
    for options in spellings("/", "/host", *words):
        script = f"cat /host{trap}/file; umount -l /host 2>/dev/null; mount -t tmpfs none /host/{trap}/dir 2>/dev/null; true"
        got = hostile("--cap-add", "SYS_ADMIN", "--security-opt", "seccomp=unconfined", *options, script=script)
        assert (got.code, got.out) == (0, "of the host"), (options, got)


def test_roots_in_roots(hostile, trap):
    """Binds of / below binds of /, mounts on paths that lead into them, and one that turns back to the container's own place."""
    options = []
    for depth, target in enumerate(["/a", "/a/usr", "/b", "/b/usr", "/b/usr/etc"]):
        options += spellings("/", target, *(["ro"] if depth == 4 else []))[depth % 2]
    got = hostile(*options, script=f"for d in /a /a/usr /b /b/usr /b/usr/etc; do cat $d{trap}/file; echo; done")
    assert (got.code, got.out) == (0, "of the host\n" * 5), got
    got = hostile("-v", "/:/a", "-v", f"{trap}/dir:/a{trap}/dir:ro", script=f"cat /a{trap}/dir/file; mkdir /a{trap}/dir/new 2>/dev/null || echo refused")
    assert (got.code, got.out) == (0, "belowrefused\n"), got


def test_the_data_root_inside(engine, hostile, trap):
    """The engine's own directory, over and below itself: the container sees its own files there, and goes all the same."""
    for options in (["-v", f"{engine.data}:/data"], ["-v", f"{engine.data}/containers:/data"], ["--mount", f"type=bind,src={engine.data},dst={engine.data}"]):
        got = hostile(*options)
        assert (got.code, got.out) == (0, "alive\n"), (options, got)
    assert engine.berth("run", "--rm", "busybox", "echo", "still", check=True).out == "still\n"


def test_many_mounts_in_a_row_and_in_each_other(hostile, trap):
    deep, options = "", []
    for depth in range(60):
        deep += f"/d{depth}"
        options += spellings(trap / "dir" if depth % 2 else "/", deep, *(["ro"] if depth % 2 else []))[depth % 2] if depth < 4 else ["--tmpfs", deep]
    got = hostile(*options, script="wc -l < /proc/self/mountinfo")
    assert got.code in (0, 125, 126, 127), got


# ---- while it runs ----

def test_live_mounts_race_with_renames(engine, name, trap):
    """A process in the container exchanges a directory with links that lead to the host's directory, to / and into /proc, while mounts are added below it and
    taken away: each is inside or refused."""
    engine.berth("run", "-d", "--name", name, "-v", f"{trap}/dir:/known:ro", "busybox", "sh", "-c",
                  f"mkdir -p /race/dir {trap}/dir; ln -s {trap} /race/out; ln -s / /race/root; ln -s /proc/self /race/proc; touch /ready;"
                  " while :; do for l in out root proc; do mv /race/dir /race/kept; mv /race/$l /race/dir; mv /race/dir /race/$l; mv /race/kept /race/dir; done; done", check=True)
    try:
        wait_until(lambda: engine.berth("exec", name, "test", "-e", "/ready").code == 0, what="the race")
        api, seen = Api(engine.socket), {"added": 0, "refused": 0}
        for number in range(ROUNDS):
            target = f"/race/dir/m{number % 7}"
            added = api.call("POST", f"/containers/{name}/mounts", {"Add": [{"Type": "tmpfs", "Target": target}]})
            seen["added" if added.status < 300 else "refused"] += 1
            if added.status < 300:
                api.call("POST", f"/containers/{name}/mounts", {"Remove": [target]})
        assert seen["added"], "the race was never won by the mount: it proves nothing"
    finally:
        assert engine.berth("rm", "-f", name, limit_s=30).code == 0
