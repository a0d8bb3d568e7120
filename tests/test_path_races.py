"""Paths inside a container that change while the engine looks them up.

A process exchanges a directory with a link that leads to a directory of the host, and moves another one up and down the tree below which ".."
is looked up, as fast as it can. Whatever the engine does meanwhile happens inside: what it shows is the container's own, what it makes is made there,
and the host's directory stays as it was. The container has a directory of the same path, so that the link leads somewhere.
"""
import http.client
import io
import os
import pathlib
import subprocess
import tarfile
import time

import pytest

from engine import wait_until
from passed_files import LEAST, file_of, put_file
from raw_api import Api

pytestmark = pytest.mark.own

ROUNDS = int(os.environ.get("BERTH_RACE_ROUNDS", "400"))
SLOW = 1 if "BERTH_RACE_ROUNDS" in os.environ else 4  # processes cost more than copies
AT_ONCE = 40  # mounts of one start: each is a round of its own
INSIDE = ("inside", "inside, by the link")

RACER = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
os.chdir(sys.argv[1])
parent = os.getppid()
while os.getppid() == parent:
    for _ in range(500):
        libc.renameat2(-100, b"dir", -100, b"link", 2)
        libc.renameat2(-100, b"a/b", -100, b"b", 1)
        libc.renameat2(-100, b"b", -100, b"a/b", 1)
"""


@pytest.fixture
def api(engine):
    return Api(engine.socket)


@pytest.fixture
def prey(tmp_path):
    """A directory of the host that no container may reach."""
    path = tmp_path / "prey"
    (path / "sub").mkdir(parents=True)
    for place in (path, path / "sub"):
        (place / "file").write_text("of the host")
        (place / "large").write_text("of the host")
        os.truncate(place / "large", LEAST)
    yield path
    assert sorted(str(found.relative_to(path)) for found in path.rglob("*")) == ["file", "large", "sub", "sub/file", "sub/large"]
    assert {found.read_text().rstrip("\0") for pattern in ("file", "large") for found in path.rglob(pattern)} == {"of the host"}
    assert str(path) not in pathlib.Path("/proc/self/mountinfo").read_text()


def prepare(prey, place, end):
    """Shell words that make what is raced with in a directory of the container, and in 'end' what its link leads to."""
    return (f"mkdir -p {place}/dir/sub {place}/a/b/c {end}/sub && echo -n inside | tee {place}/dir/file > {place}/dir/sub/file"
            f" && echo -n 'inside, by the link' | tee {end}/file > {end}/sub/file && ln -s {prey} {place}/link"
            f" && for i in {place}/dir {place}/dir/sub {end} {end}/sub; do cp $i/file $i/large && truncate -s {LEAST} $i/large; done")


@pytest.fixture
def race():
    """race(directory) starts the racer there; it ends with the test."""
    racers = []
    yield lambda directory: racers.append(subprocess.Popen(["/usr/bin/python3", "-c", RACER, str(directory)]))
    for racer in racers:
        assert racer.poll() is None, "the racer ended by itself"
        racer.kill()
        racer.wait()


@pytest.fixture
def raced(engine, prey, race, name):
    """A running container in whose /race it goes on."""
    engine.docker("run", "-d", "--name", name, "busybox", "sh", "-c", f"{prepare(prey, '/race', prey)} && touch /ready; exec sleep 100000", check=True)
    wait_until(lambda: engine.docker("exec", name, "test", "-e", "/ready").code == 0, what="the directories")
    race(f"/proc/{engine.inspect(name)['State']['Pid']}/root/race")
    return name


def paths_to(prey, below=""):
    """Two ways that lead out when they are looked up carelessly."""
    return f"/race/dir{below}", f"/race/a/b/c/../../../../../../../../..{prey}{below}"


def make_tar(*names):
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for made_name in names:
            info = tarfile.TarInfo(made_name)
            info.type, info.mode = (tarfile.DIRTYPE, 0o755) if made_name.endswith("/") else (tarfile.REGTYPE, 0o644)
            archive.addfile(info)
    return made.getvalue()


def copy_out(api, container, path):
    """What a file has, or None where it was not to be had at that moment."""
    try:
        answer = api.call("GET", f"/containers/{container}/archive?path={path}")
        return tarfile.open(fileobj=io.BytesIO(answer.data)).extractfile("file").read().decode() if answer.status == 200 else None
    except (http.client.IncompleteRead, tarfile.ReadError):
        return None  # It vanished when the answer had begun.


def copy_in(api, container, path, tar):
    return api.call("PUT", f"/containers/{container}/archive?path={path}", text=tar, content_type="application/x-tar").status == 200


def turns(count, is_proven, limit_s=300):
    """Numbers of so many turns, and of some more until both sides have won; else nothing is proven."""
    yield from range(count)
    end = time.monotonic() + limit_s
    while not is_proven():
        assert time.monotonic() < end, "one side never won"
        yield count
        count += 1


def both(seen):
    return set(INSIDE) <= seen


def test_copies(api, raced, prey):
    tar, seen, copied = make_tar("made", "sub/", "sub/made"), set(), 0
    for i in turns(ROUNDS // 2, lambda: both(seen) and copied):
        seen.add(copy_out(api, raced, paths_to(prey, "/file")[i % 2]))
        copied += copy_in(api, raced, paths_to(prey)[i % 2], tar)
    assert seen <= {*INSIDE, None}


def pass_out(api, container, path):
    """What a large file begins with, whose descriptor the engine passes."""
    with file_of(api, container, path) as file:
        return file.read(64).decode().rstrip("\0") if file else None


def test_copies_by_descriptors(api, raced, prey, tmp_path):
    seen, copied = set(), 0
    (tmp_path / "made").write_text("made")
    with open(tmp_path / "made", "rb") as made:
        for i in turns(ROUNDS // 2, lambda: both(seen) and copied):
            seen.add(pass_out(api, raced, paths_to(prey, "/large")[i % 2]))
            copied += put_file(api, raced, paths_to(prey)[i % 2], ("made", "sub/made")[i // 2 % 2], made.fileno()).status == 200
    assert seen <= {*INSIDE, None}


def test_working_directories_of_execs(api, raced, prey):
    seen = set()
    for i in turns(ROUNDS // SLOW, lambda: both(seen)):
        made = api.call("POST", f"/containers/{raced}/exec", {"Cmd": ["cat", "file"], "AttachStdout": True, "WorkingDir": paths_to(prey, "/sub")[i % 2]})
        answer = api.call("POST", f"/exec/{made.json['Id']}/start", {"Detach": False})
        seen.add(answer.data[8:].decode() if answer.data[:1] == b"\1" and b"exec failed" not in answer.data else None)
    assert seen <= {*INSIDE, None}


def start_with_mounts(engine, api, name, mounts, command):
    """What a container with those mounts prints, or None if it was not started."""
    made = api.call("POST", f"/containers/create?name={name}", {"Image": "busybox", "Cmd": ["sh", "-c", command], "HostConfig": {"NetworkMode": "none", "Mounts": mounts}})
    assert made.status == 201, made
    try:
        if api.call("POST", f"/containers/{name}/start").status != 204:
            return None
        api.do("POST", f"/containers/{name}/wait")
        lines = api.call("GET", f"/containers/{name}/logs?stdout=1").data
        return "".join(line[8:].decode() for line in lines.splitlines(keepends=True))  # each has a header
    finally:
        api.do("DELETE", f"/containers/{name}?force=1")


@pytest.fixture
def volume(engine, prey, name):
    made = name + "-v"
    engine.docker("run", "--rm", "-v", f"{made}:/race", "busybox", "sh", "-c", prepare(prey, "/race", f"/race{prey}"), check=True)  # the root is the volume
    yield made
    engine.docker("rm", "-f", name)
    engine.docker("volume", "rm", "-f", made, check=True)


@pytest.fixture
def raced_volume(engine, volume, race):
    """A volume in which it goes on."""
    race(engine.docker("volume", "inspect", "-f", "{{.Mountpoint}}", volume, check=True).out.strip())
    return volume


def test_mounts_below(engine, api, raced_volume, prey, name):
    """Directories that are made for mounts, and mounts on them."""
    started = 0
    for turn in turns(ROUNDS // AT_ONCE, lambda: started):
        mounts = [{"Type": "volume", "Source": raced_volume, "Target": "/race"}]
        mounts += [{"Type": "tmpfs", "Target": f"{paths_to(prey)[i % 2]}/t{turn}-{i}"} for i in range(AT_ONCE)]
        shown = start_with_mounts(engine, api, name, mounts, "true")
        started += shown is not None


def test_parts_of_volumes(engine, api, raced_volume, name):
    """Directories of a volume that are mounted, and looked into."""
    seen = set()
    for _turn in turns(ROUNDS // AT_ONCE, lambda: both(seen)):
        mounts = [{"Type": "volume", "Source": raced_volume, "Target": f"/m/{i}", "VolumeOptions": {"Subpath": ("dir/sub", "a/b/c/../../../dir/sub")[i % 2]}} for i in range(AT_ONCE)]
        shown = start_with_mounts(engine, api, name, mounts, "for d in /m/*; do cat $d/file; echo; done")
        seen |= set(shown.splitlines()) if shown is not None else {None}
    assert seen <= {*INSIDE, "", None}
