"""Files of containers from outside: cp both ways, diff, export and commit, by Docker's command, its SDK, our command and the bare API."""
import base64
import io
import json
import os
import pathlib
import subprocess
import tarfile
import threading
import time

import pytest

from engine import LIMIT_S, docker_program, wait_until
from raw_api import Api


@pytest.fixture
def api(engine):
    if not engine.host.startswith("unix://"):
        pytest.skip("spoken to over a unix socket only")
    return Api(engine.host[len("unix://"):])


@pytest.fixture(params=["docker", "berth"])
def client(request, engine):
    """Both command lines: what they do has to be the same."""
    if request.param == "berth" and not engine.is_ours:
        pytest.skip("another engine's own command is not ours")
    return getattr(engine, request.param)


@pytest.fixture
def running(engine, name):
    engine.docker("run", "-d", "--name", name, "busybox", "sleep", "1000", check=True)
    return name


@pytest.fixture
def created(engine, name):
    engine.docker("create", "--name", name, "busybox", "sleep", "1000", check=True)
    return name


def make_tar(*members):
    """Members are (name, content), with None for a directory, or a TarInfo."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for member in members:
            info, content = (member, None) if isinstance(member, tarfile.TarInfo) else (tarfile.TarInfo(member[0]), member[1])
            if content is None and not isinstance(member, tarfile.TarInfo):
                info.type, info.mode = tarfile.DIRTYPE, 0o755
            info.size = len(content or b"")
            archive.addfile(info, io.BytesIO(content) if content else None)
    return made.getvalue()


def link(name, target, kind=tarfile.SYMTYPE):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def stat_of(api, container, path):
    answer = api.call("HEAD", f"/containers/{container}/archive?path={path}")
    if answer.status != 200:
        return answer.status
    return json.loads(base64.b64decode(answer.headers["X-Docker-Container-Path-Stat"]))


def members(data):
    return tarfile.open(fileobj=io.BytesIO(data)).getmembers()


def put(api, container, path, data, query=""):
    return api.call("PUT", f"/containers/{container}/archive?path={path}{query}", text=data, content_type="application/x-tar")


# ---- the API ----

def test_stat_of_paths(engine, api, running):
    engine.docker("exec", running, "sh", "-c", "mkdir -p /d/e && echo hello > /d/e/f && chmod 4751 /d/e/f && ln -s e/f /d/l && ln -s /nowhere/x /d/broken"
                  " && mkfifo /d/p && ln -s loop /d/loop && chmod 1777 /d && ln -s ../../../d/./e /d/up", check=True)
    file = stat_of(api, running, "/d/e/f")
    assert (file["name"], file["size"], file["mode"], file["linkTarget"]) == ("f", 6, 0o751 | 1 << 23, "")
    assert file["mtime"][:2] == "20" and file["mtime"].endswith("Z")
    assert stat_of(api, running, "/d/")["name"] == "d" and stat_of(api, running, "d")["mode"] == 1 << 31 | 1 << 20 | 0o777
    assert stat_of(api, running, "/d/.")["name"] == "." and stat_of(api, running, "/")["name"] == "/"
    assert stat_of(api, running, "/d/p")["mode"] >> 20 == 1 << 5
    links = {path: stat_of(api, running, path) for path in ("/d/l", "/d/broken", "/d/up")}
    assert {path: link["linkTarget"] for path, link in links.items()} == {"/d/l": "/d/e/f", "/d/broken": "/nowhere/x", "/d/up": "/d/e"}
    assert all(link["mode"] & 1 << 27 for link in links.values())
    assert stat_of(api, running, "/d/up/")["mode"] & 1 << 31, "a slash behind it follows"
    assert stat_of(api, running, "/d/../../d/e/../e/f")["name"] == "f"
    assert [stat_of(api, running, path) for path in ("/none", "", "/d/e/f/", "/d/broken/")] == [404, 400, 500, 404]


@pytest.mark.parametrize("state", ["created", "running"])
def test_archives_out(engine, api, state, request):
    container = request.getfixturevalue(state)
    put(api, container, "/", make_tar(("x", None), ("x/a", b"one"), ("x/deep", None), ("x/deep/b", b"two"), link("x/l", "/etc"), link("x/h", "x/a", tarfile.LNKTYPE)))
    for path, names in (("/x", ["x", "x/a", "x/deep", "x/deep/b", "x/h", "x/l"]), ("/x/.", [".", "./a", "./deep", "./deep/b", "./h", "./l"]),
                        ("/x/deep/../a", ["a"]), ("/x/l", ["l"])):
        answer = api.call("GET", f"/containers/{container}/archive?path={path}")
        assert answer.status == 200 and answer.content_type == "application/x-tar"
        assert [m.name for m in members(answer.data)] == names, path
        assert "X-Docker-Container-Path-Stat" in answer.headers
    whole = members(api.call("GET", f"/containers/{container}/archive?path=/x").data)
    assert [m.linkname for m in whole if m.islnk() or m.issym()] == ["x/a", "/etc"]
    root = api.call("GET", f"/containers/{container}/archive?path=/").data
    assert root[:100].rstrip(b"\0") == b"/" and b"\0/bin/\0" in root
    assert not any(m.name.startswith(("proc/", "sys/")) for m in members(root)), "what the kernel makes is not there"


def test_archives_in(engine, api, running):
    info = tarfile.TarInfo("d/f")
    info.uid, info.gid, info.mode, info.mtime = 12, 34, 0o4711, 1000000000
    assert put(api, running, "/tmp", make_tar(("d", None), info)).status == 200
    assert engine.docker("exec", running, "stat", "-c", "%u:%g %a %Y", "/tmp/d/f").out.split() == ["12:34", "4711", "1000000000"]
    # The owner of the command instead.
    engine.docker("rm", "-f", running, check=True)
    engine.docker("run", "-d", "--name", running, "--user", "somebody", "busybox", "sleep", "1000", check=True)
    assert put(api, running, "/tmp", make_tar(("d", None), info), "&copyUIDGID=1").status == 200
    assert engine.docker("exec", running, "stat", "-c", "%u:%g", "/tmp/d/f").out.strip() == "1000:1000"
    # Compressed in any way, and nothing at all.
    import bz2, gzip, lzma
    for compress in (gzip.compress, bz2.compress, lzma.compress):
        assert put(api, running, "/tmp", compress(make_tar((compress.__module__, b"x")))).status == 200
    assert engine.docker("exec", running, "ls", "/tmp").out.split() == ["bz2", "d", "gzip", "lzma"]
    assert put(api, running, "/tmp", b"").status == 200


def test_kinds_stay_or_give_way(engine, api, created):
    put(api, created, "/", make_tar(("k", None), ("k/dir", None), ("k/dir/x", b"x"), ("k/file", b"x")))
    for data in (make_tar(("dir", b"now a file")), make_tar(("file", None))):
        answer = put(api, created, "/k", data, "&noOverwriteDirNonDir=1")
        assert answer.status == 400 and "cannot overwrite" in answer.json["message"]
        assert put(api, created, "/k", data).status == 200
    assert stat_of(api, created, "/k/dir")["size"] == 10 and stat_of(api, created, "/k/file")["mode"] & 1 << 31


def test_refusals(engine, api, running):
    tar = make_tar(("f", b"x"))
    assert put(api, running, "/etc/passwd", tar).json["message"] == "extraction point is not a directory"
    assert put(api, running, "/none/x", tar).json["message"] == f"Could not find the file /none/x in container {running}"
    assert put(api, running, "", tar).status == 400 and put(api, "nobody", "/tmp", tar).status == 404
    for path in ("/proc", "/sys", "/dev", "/dev/shm"):
        answer = put(api, running, path, tar)
        assert answer.status == 400 and "made by the kernel" in answer.json["message"], path
    assert put(api, running, "/tmp", b"garbage" * 1000).status == 400
    assert put(api, running, "/tmp", make_tar(("f", b"x" * 5000))[:3000]).json["message"] == "unexpected EOF"
    answer = api.call("GET", f"/containers/{running}/archive?path=/etc/passwd/")
    assert (answer.status, answer.json["message"]) == (500, "lstat /etc/passwd/: not a directory")


def test_sdk(engine, running):
    container = engine.sdk().containers.get(running)
    assert container.put_archive("/tmp", make_tar(("sdk", b"by the SDK")))
    stream, status = container.get_archive("/tmp/sdk")
    archive = tarfile.open(fileobj=io.BytesIO(b"".join(stream)))
    assert archive.extractfile("sdk").read() == b"by the SDK" and status["size"] == 10


# ---- mounts ----

def test_volumes_and_binds(engine, api, name, tmp_path):
    """Volumes are seen where they are mounted, running or not; read-only ones take nothing."""
    (tmp_path / "host").write_text("of the host")
    engine.docker("create", "--name", name, "-v", f"{name}:/vol/deep", "-v", f"{tmp_path}:/bind", "-v", f"{tmp_path}:/ro:ro", "--tmpfs", "/mem", "busybox", "sleep", "1000", check=True)
    try:
        for state in ("created", "running"):
            assert put(api, name, "/vol/deep", make_tar((state, b"x"))).status == 200
            assert put(api, name, "/bind", make_tar((state, b"x"))).status == 200
            assert (tmp_path / state).read_text() == "x"
            for path in ("/ro", "/ro/."):
                answer = put(api, name, path, make_tar(("f", b"x")))
                assert (answer.status, answer.json["message"]) == (400, "mounted volume is marked read-only")
            assert stat_of(api, name, "/ro/host")["size"] == 11
            if state == "created":
                engine.docker("start", name, check=True)
        assert engine.docker("exec", name, "ls", "/vol/deep").out.split() == ["created", "running"]
        # Memory of a running container is reached too.
        assert put(api, name, "/mem", make_tar(("f", b"in memory"))).status == 200
        assert engine.docker("exec", name, "cat", "/mem/f").out == "in memory"
        hosts = members(api.call("GET", f"/containers/{name}/archive?path=/etc/hosts").data)
        assert hosts[0].size > 0
    finally:
        engine.docker("rm", "-f", name)
        engine.docker("volume", "rm", name)


@pytest.mark.parametrize("state", ["created", "running"])
def test_read_only_root(engine, api, name, state):
    engine.docker("create", "--read-only", "--name", name, "-v", "/vol", "--tmpfs", "/mem", "busybox", "sleep", "1000", check=True)
    if state == "running":
        engine.docker("start", name, check=True)
    answer = put(api, name, "/tmp", make_tar(("f", b"x")))
    assert (answer.status, answer.json["message"]) == (400, "container rootfs is marked read-only")
    assert put(api, name, "/vol", make_tar(("f", b"x"))).status == 200
    assert stat_of(api, name, "/vol/f")["size"] == 1
    assert stat_of(api, name, "/tmp/f") == 404


# ---- one tree, whoever looks ----

def test_a_start_in_the_middle_of_a_copy(engine, api, created):
    """The container starts while a client is still sending: both work on one tree, and a second copy does too."""
    sent = threading.Event()
    go_on = threading.Event()

    def body():
        data = make_tar(("first", b"a" * 4000000), ("second", b"b"))
        yield data[:2000000]
        sent.set()
        assert go_on.wait(LIMIT_S)
        yield data[2000000:]

    results = []
    sender = threading.Thread(target=lambda: results.append(engine.sdk().api.put_archive(created, "/tmp", body())))
    sender.start()
    assert sent.wait(LIMIT_S)
    wait_until(lambda: stat_of(api, created, "/tmp/first") != 404, what="the first file being begun")
    engine.docker("start", created, check=True)
    engine.docker("exec", created, "sh", "-c", "echo mine > /tmp/own && cat /bin/busybox > /bin/copy", check=True)
    assert put(api, created, "/tmp", make_tar(("third", b"c"))).status == 200
    go_on.set()
    sender.join()
    assert results == [True]
    assert engine.docker("exec", created, "sh", "-c", "wc -c < /tmp/first; cat /tmp/second /tmp/third /tmp/own").out.split() == ["4000000", "bcmine"]
    engine.docker("kill", created, check=True)
    assert stat_of(api, created, "/tmp/own")["size"] == 5


def test_a_removal_in_the_middle_of_a_copy(engine, api, name):
    """Nothing is left, and the client is told."""
    engine.docker("create", "--name", name, "busybox", check=True)
    sent, go_on = threading.Event(), threading.Event()

    def body():
        data = make_tar(*[(f"f{i}", b"x" * 3000) for i in range(1000)])
        yield data[:60000]
        sent.set()
        assert go_on.wait(LIMIT_S)
        yield data[60000:]

    failures = []

    def send():
        try:
            engine.sdk().api.put_archive(name, "/tmp", body())
        except Exception as failure:
            failures.append(failure)

    sender = threading.Thread(target=send)
    sender.start()
    assert sent.wait(LIMIT_S)
    engine.docker("rm", "-f", name, check=True)
    go_on.set()
    sender.join()
    assert failures
    if engine.is_ours:
        assert engine.verify().code == 0


# ---- what hostile containers try ----

@pytest.mark.own
def test_links_lead_nowhere_but_inside(engine, api, running, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("of the host")
    engine.docker("exec", running, "sh", "-c", f"ln -s / /root/r; ln -s ../../../../../.. /up; ln -s {secret} /secret; ln -s /proc/1/root /proc1; ln -s /proc/self/fd/0 /fd0;"
                  f" mkdir -p {tmp_path}; ln -s {tmp_path} /way", check=True)
    assert [stat_of(api, running, path) for path in (f"/up{secret}", f"/root/r{secret}", "/secret/", "/etc/../secret/", "/proc1/bin/", "/proc/self/fd/0", "/fd0/")] == [404] * 7
    assert put(api, running, "/way", make_tar(("f", b"x"))).status == 200
    assert put(api, running, "/tmp", make_tar(link("out", str(tmp_path)), ("out/g", b"x"), ("../../h", b"x"), ("/i", b"x"))).status == 200
    assert sorted(p.name for p in tmp_path.iterdir()) == ["secret"]
    assert put(api, running, "/tmp", make_tar(link("stolen", f"../../../..{secret}", tarfile.LNKTYPE))).status >= 400


@pytest.mark.own
def test_etc_leads_out_of_the_root(engine, api, created):
    assert put(api, created, "/", make_tar(link("etc", "../../.."))).status == 200
    assert stat_of(api, created, "/etc/etc/bin/busybox")["mode"] & 0o111 and stat_of(api, created, "/etc/berth-was-here") == 404
    assert put(api, created, "/etc/etc/tmp", make_tar(("berth-was-here", b"x"))).status == 200
    assert stat_of(api, created, "/tmp/berth-was-here")["size"] == 1 and not os.path.exists("/tmp/berth-was-here")
    before = os.listdir("/")
    engine.docker("start", created)
    assert stat_of(api, created, "/etc/tmp/berth-was-here")["size"] == 1
    assert os.listdir("/") == before


@pytest.mark.own
def test_pipes_and_devices_are_not_opened(engine, api, name):
    engine.docker("run", "-d", "--name", name, "--cap-add", "MKNOD", "busybox", "sh", "-c",
                  "mkdir /n && mkfifo /n/pipe && mknod /n/zero c 1 5 && mknod /n/block b 7 250 && nc -l -p 9 -s 127.0.0.1 & sleep 1000", check=True)
    wait_until(lambda: stat_of(api, name, "/n/block") != 404, what="the devices being made")
    got = {m.name: m for m in members(api.call("GET", f"/containers/{name}/archive?path=/n").data)}
    assert got["n/pipe"].isfifo() and got["n/zero"].ischr() and got["n/block"].isblk() and got["n/zero"].size == 0
    assert put(api, name, "/n", make_tar(("pipe", b"now a file"))).status == 200
    assert stat_of(api, name, "/n/pipe")["size"] == 10


@pytest.mark.own
def test_attributes_come_through(engine, api, running):
    upper = pathlib.Path(engine.inspect(running)["GraphDriver"]["Data"]["UpperDir"])
    info = tarfile.TarInfo("f")
    info.pax_headers = {"SCHILY.xattr.user.berth": "kept"}
    assert put(api, running, "/tmp", make_tar(info)).status == 200
    assert os.getxattr(upper / "tmp/f", "user.berth") == b"kept"
    got = members(api.call("GET", f"/containers/{running}/archive?path=/tmp/f").data)
    assert got[0].pax_headers["SCHILY.xattr.user.berth"] == "kept"


@pytest.fixture
def dead_mount():
    """Mounts file systems that nobody answers for, on a path or inside the mount namespace of a process; they end with the test."""
    if not os.path.exists("/dev/fuse"):
        pytest.skip("this kernel has no FUSE")
    made = []

    def mount(path, pid=None):
        fd = os.open("/dev/fuse", os.O_RDWR)
        made.append((fd, path if pid is None else None))
        prefix = ["nsenter", "-t", str(pid), "-m"] if pid else []
        subprocess.run([*prefix, "/bin/busybox", "mount", "-t", "fuse", "-o", f"fd={fd},rootmode=40000,user_id=0,group_id=0", "dead", path], check=True, pass_fds=[fd])
        return lambda: os.close(made.pop([m[0] for m in made].index(fd))[0])

    mounted = []
    yield lambda path, pid=None: (mounted.append(path) if pid is None else None, mount(path, pid))[1]
    for fd, _ in made:
        os.close(fd)
    for path in mounted:
        subprocess.run(["umount", "-l", path], check=False)


@pytest.mark.own
def test_dead_file_systems_hold_nobody_else_up(engine, api, name, dead_mount, tmp_path):
    """One that a container mounted is not even looked at; behind one of the host only those wait who ask for it."""
    (tmp_path / "host").mkdir()
    engine.docker("run", "-d", "--name", name, "busybox", "sh", "-c", "mkdir /dead; sleep 1000", check=True)
    wait_until(lambda: stat_of(api, name, "/dead") != 404, what="the mount point")
    dead_mount("/dead", engine.inspect(name)["State"]["Pid"])
    assert stat_of(api, name, "/dead")["mode"] & 1 << 31 and stat_of(api, name, "/dead/x") == 404
    assert put(api, name, "/", make_tar(("dead/below", b"x"))).status == 200
    assert len(members(api.call("GET", f"/containers/{name}/archive?path=/").data)) > 10

    other = f"{name}-host"
    engine.docker("create", "--name", other, "-v", f"{tmp_path}/host:/src", "busybox", check=True)
    revive = dead_mount(str(tmp_path / "host"))
    try:
        waiting = threading.Thread(target=lambda: stat_of(api, other, "/src/x"), daemon=True)
        waiting.start()
        assert put(api, name, "/tmp", make_tar(("f", b"x"))).status == 200
        assert name in engine.docker("ps", check=True).out and engine.docker("diff", other, check=True).out == ""
        engine.docker("rm", other, check=True)
        assert waiting.is_alive()
        revive()
        waiting.join(LIMIT_S)
        assert not waiting.is_alive(), "the request did not end with the file system"
    finally:
        engine.docker("rm", "-f", other)


# ---- changes, export, commit ----

def changes_of(engine, container):
    """Lines of docker diff, sorted: Docker's own order is that of a hash."""
    return sorted(engine.docker("diff", container, check=True).out.splitlines())


def test_changes(engine, api, name):
    script = ("echo x > /etc/new && rm /etc/group && echo y >> /etc/passwd && mkdir -p /d/e && touch /d/e/f && rm -rf /root && mkdir /root && touch /root/now"
              " && chmod 700 /home/somebody && rm /bin/vi && touch /tmp/gone && rm /tmp/gone && mv /sbin /moved && ln -s /d /link && chmod 755 /bin/busybox")
    engine.docker("create", "--name", name, "-v", "/vol", "busybox", "sh", "-c", script, check=True)
    assert api.do("GET", f"/containers/{name}/changes") is None
    engine.docker("start", "-a", name, check=True)
    assert changes_of(engine, name) == sorted([
        "C /etc", "A /etc/new", "D /etc/group", "C /etc/passwd", "A /d", "A /d/e", "A /d/e/f", "C /root", "A /root/now", "C /home", "C /home/somebody", "C /bin",
        "D /bin/vi", "D /sbin", "A /moved", "A /link", "A /vol"])
    kinds = {change["Path"]: change["Kind"] for change in api.do("GET", f"/containers/{name}/changes")}
    assert (kinds["/etc"], kinds["/etc/new"], kinds["/etc/group"]) == (0, 1, 2)
    assert engine.sdk().containers.get(name).diff() == api.do("GET", f"/containers/{name}/changes")


def test_changes_in_a_directory_made_anew(engine, name):
    """What lay below a directory that was replaced is gone, and what came into it is new."""
    engine.docker("run", "--name", name, "busybox", "sh", "-c", "cp /etc/passwd /p && rm -r /etc/group /etc/passwd; mv /usr/bin /keep && rm -r /usr && mkdir -p /usr/bin/x && mv /keep /usr/sbin", check=True)
    assert changes_of(engine, name) == sorted(["C /etc", "D /etc/group", "D /etc/passwd", "A /p", "C /usr", "C /usr/bin", "A /usr/bin/x", "C /usr/sbin"]) or \
        changes_of(engine, name) == sorted(["C /etc", "D /etc/group", "D /etc/passwd", "A /p", "C /usr", "C /usr/bin", "A /usr/bin/x"])


def test_export(engine, api, name, tmp_path):
    """The whole root, without what is mounted in it; importing it gives the same files."""
    engine.docker("create", "--name", name, "-v", "/vol", "busybox", "sh", "-c", "echo made > /made; echo y > /vol/inside", check=True)
    engine.docker("start", "-a", name, check=True)
    engine.docker("export", "-o", tmp_path / "root.tar", name, check=True)
    names = {m.name: m for m in tarfile.open(tmp_path / "root.tar").getmembers()}
    assert names["made"].size == 5 and names["bin/busybox"].isfile() and names["vol"].isdir() and "etc/passwd" in names
    assert "vol/inside" not in names and "" not in names and not any(n.startswith(("/", "./", "proc/")) for n in names)
    engine.docker("import", tmp_path / "root.tar", f"{name}-again", check=True)
    try:
        assert engine.docker("run", "--rm", f"{name}-again", "cat", "/made").out == "made\n"
    finally:
        engine.docker("rmi", f"{name}-again")
    streamed = b"".join(engine.sdk().containers.get(name).export())
    assert tarfile.open(fileobj=io.BytesIO(streamed)).extractfile("made").read() == b"made\n"
    assert api.call("GET", f"/containers/{name}/export").content_type == "application/octet-stream"


def test_commit(engine, api, name):
    """A layer of what changed, the configuration merged, and one step of history more."""
    image = f"{name}-image"
    engine.docker("run", "--name", name, "-e", "A=1", "-e", "B=2", "-l", "l=v", "-w", "/tmp", "busybox", "sh", "-c",
                  "echo kept > /kept && rm /bin/vi && rm -r /root && mkdir /root && chmod 4755 /bin/busybox && ln /kept /twin", check=True)
    base = engine.inspect("busybox")
    try:
        made = engine.docker("commit", "-a", "me <me@example.com>", "-m", "hello", "-c", "ENV B=3", "-c", 'CMD ["cat", "/kept"]', "-c", "EXPOSE 80", "-c", "LABEL m=n", name, f"{image}:one", check=True)
        found = engine.inspect(f"{image}:one")
        assert found["Id"] == made.out.strip() and found["Author"] == "me <me@example.com>" and found["Comment"] == "hello"
        assert found["RootFS"]["Layers"][:-1] == base["RootFS"]["Layers"]
        config = found["Config"]
        assert {"A=1", "B=3"} <= set(config["Env"]) and "B=2" not in config["Env"]
        assert config["Cmd"] == ["cat", "/kept"] and config["WorkingDir"] == "/tmp" and config["Labels"] == {"l": "v", "m": "n"} and "80/tcp" in config["ExposedPorts"]
        history = api.do("GET", f"/images/{image}:one/history")
        assert history[0]["Comment"] == "hello" and history[0]["CreatedBy"].startswith("sh -c echo kept") and history[0]["Size"] > 0 and len(history) > 1
        got = engine.docker("run", "--rm", f"{image}:one", "sh", "-c", "cat /kept; ls /bin/vi; ls -A /root; stat -c '%a %h' /bin/busybox /twin")
        assert got.out == "kept\n4755 1\n644 2\n" and "/bin/vi" in got.err
        assert engine.docker("run", "--rm", f"{image}:one").out == "kept\n"
        # A container that changed nothing adds no layer.
        engine.docker("rm", name, check=True)
        engine.docker("create", "--name", name, "busybox", check=True)
        nothing = engine.docker("commit", name, f"{image}:two", check=True).out.strip()
        assert engine.inspect(nothing)["RootFS"]["Layers"] == base["RootFS"]["Layers"]
        by_sdk = engine.sdk().containers.get(name).commit(f"{image}", "three", message="m", author="a", changes="USER 5\nWORKDIR /x", conf={"Cmd": ["true"]})
        assert (by_sdk.attrs["Config"]["User"], by_sdk.attrs["Config"]["WorkingDir"], by_sdk.attrs["Config"]["Cmd"]) == ("5", "/x", ["true"])
        assert api.call("POST", f"/commit?container={name}", body={}).status == 201
    finally:
        engine.docker("rm", "-f", name)
        for tag in ("one", "two", "three"):
            engine.docker("rmi", f"{image}:{tag}")
        engine.docker("image", "prune", "-f")


def test_commit_holds_a_running_container(engine, api, running):
    """Paused while its files are copied, unless that is not wanted; and said so."""
    since = time.time()
    engine.docker("exec", running, "sh", "-c", "echo x > /x", check=True)
    ids = [engine.docker("commit", *options, running, check=True).out.strip() for options in ([], ["--pause=false"])]
    assert engine.inspect(running)["State"]["Status"] == "running"
    engine.docker("pause", running, check=True)
    ids.append(engine.docker("commit", running, check=True).out.strip())
    assert engine.inspect(running)["State"]["Status"] == "paused", "who was paused before stays so"
    lines = engine.docker("events", "--since", str(since), "--until", str(time.time()), "--format", "{{.Action}} {{index .Actor.Attributes \"imageID\"}}", "--filter", f"container={running}", check=True).out
    actions = [line.split()[0] for line in lines.splitlines() if line.split()[0] in ("pause", "unpause", "commit")]
    assert actions == ["pause", "unpause", "commit", "commit", "pause", "commit"]
    assert all(image in lines for image in ids)
    engine.docker("rm", "-f", running, check=True)
    engine.docker("rmi", *dict.fromkeys(ids), check=True)


def test_commit_refusals(engine, api, created):
    assert api.call("POST", f"/commit?container={created}&repo=UPPER").status == 400
    assert api.call("POST", f"/commit?container={created}&repo=a&tag=-x").status == 400
    assert api.call("POST", f"/commit?container={created}&changes=RUN x").json["message"] == "RUN is not a valid change command"
    assert api.call("POST", f"/commit?container={created}", text="{").status == 400
    assert api.call("POST", "/commit?container=nobody").status == 404


def test_events(engine, api, created):
    since = time.time()
    put(api, created, "/tmp", make_tar(("f", b"x")))
    api.call("GET", f"/containers/{created}/archive?path=/tmp/f")
    api.call("GET", f"/containers/{created}/export")
    actions = engine.docker("events", "--since", str(since), "--until", str(time.time()), "--format", "{{.Action}}", "--filter", f"container={created}", check=True).out.split()
    assert actions == ["extract-to-dir", "archive-path", "export"]


# ---- both command lines ----

# source, target, what is at the target afterwards ("x/": a directory), or what is said. "C" stands for the container, "L" for the local directory.
COPIES = [
    ("L/file", "C:/t/", ["file"], None),
    ("L/file", "C:/t/new", ["new"], None),
    ("L/file", "C:/t/old", ["old"], None),
    ("L/file", "C:/t/none/", [], "no such directory"),
    ("L/file", "C:/t/none/x", [], "Could not find the file"),
    ("L/dir", "C:/t", ["dir/", "dir/a", "dir/sub/", "dir/sub/b"], None),
    ("L/dir/", "C:/t/", ["dir/", "dir/a", "dir/sub/", "dir/sub/b"], None),
    ("L/dir/.", "C:/t", ["a", "sub/", "sub/b"], None),
    ("L/dir", "C:/t/new", ["new/", "new/a", "new/sub/", "new/sub/b"], None),
    ("L/dir/.", "C:/t/new", ["new/", "new/a", "new/sub/", "new/sub/b"], None),
    ("L/dir", "C:/t/old", [], "cannot copy directory"),
    ("L/link", "C:/t/", ["link@"], None),
    ("-L L/link", "C:/t/", ["link"], None),
    ("L/dirlink", "C:/t/", ["dirlink@"], None),
    ("L/dirlink/", "C:/t/", ["dirlink/", "dirlink/a", "dirlink/sub/", "dirlink/sub/b"], None),
    ("-L L/dirlink", "C:/t/x", ["x/", "x/a", "x/sub/", "x/sub/b"], None),
    ("L/none", "C:/t", [], "no such file or directory"),
    ("L/file/", "C:/t", [], "not a directory"),
    ("L/file", "C:/tlink", ["file"], None),
    ("C:/s/file", "L/t/", ["file"], None),
    ("C:/s/file", "L/t/new", ["new"], None),
    ("C:/s/file", "L/t/old", ["old"], None),
    ("C:/s/file", "L/t/none/", [], "no such directory"),
    ("C:/s/file", "L/t/none/x", [], "does not exist"),
    ("C:/s/dir", "L/t", ["dir/", "dir/a", "dir/sub/", "dir/sub/b"], None),
    ("C:/s/dir/.", "L/t", ["a", "sub/", "sub/b"], None),
    ("C:/s/dir", "L/t/new", ["new/", "new/a", "new/sub/", "new/sub/b"], None),
    ("C:/s/dir/.", "L/t/new/", ["new/", "new/a", "new/sub/", "new/sub/b"], None),
    ("C:/s/dir", "L/t/old", [], "cannot copy directory"),
    ("C:/s/link", "L/t/", ["link@"], None),
    ("-L C:/s/link", "L/t/", ["link"], None),
    ("-L C:/s/dirlink", "L/t/", ["dirlink/", "dirlink/a", "dirlink/sub/", "dirlink/sub/b"], None),
    ("-L C:/s/dirlink", "L/t/x", ["x/", "x/a", "x/sub/", "x/sub/b"], None),
    ("C:/s/none", "L/t", [], "Could not find the file"),
    ("C:/s/file/", "L/t", [], "not a directory"),
    ("C:/s/file", "C:/t", [], "copying between containers is not supported"),
    ("L/file", "L/t", [], "must specify at least one container source"),
]


def make_source(directory):
    (directory / "dir/sub").mkdir(parents=True)
    (directory / "t").mkdir()
    for path, text in (("file", "content"), ("dir/a", "content"), ("dir/sub/b", "content"), ("t/old", "")):
        (directory / path).write_text(text)
    (directory / "link").symlink_to("file")
    (directory / "dirlink").symlink_to("dir")


def tree_of(directory):
    """Paths below it, "/" behind directories and "@" behind links; files must hold what was copied, or be the old one."""
    found = []
    for path in sorted(directory.rglob("*")):
        name = str(path.relative_to(directory))
        if path.is_symlink():
            found.append(name + "@")
        elif path.is_dir():
            found.append(name + "/")
        else:
            assert path.read_text() in (("content", "") if name == "old" else ("content",)), path
            found.append(name)
    return found


@pytest.mark.current_client
@pytest.mark.own
def test_where_copies_go(engine, created, client, tmp_path):
    """Each case with a tree made anew: in the container that is its directory of changes, seen from outside."""
    upper = pathlib.Path(engine.inspect(created)["GraphDriver"]["Data"]["UpperDir"])
    for source, target, expected, said in COPIES:
        for directory in (upper / "t", upper / "s", tmp_path / "w"):
            subprocess.run(["rm", "-rf", directory], check=True)
        (tmp_path / "w").mkdir()
        make_source(tmp_path / "w")
        make_source(upper / "s")
        (upper / "t").mkdir()
        (upper / "t/old").write_text("")
        if not (upper / "tlink").is_symlink():
            (upper / "tlink").symlink_to("t")
        words = [word.replace("L/", f"{tmp_path}/w/", 1) if word.startswith("L/") else word.replace("C:", f"{created}:", 1) if word.startswith("C:") else word
                 for word in [*source.split(), target]]
        got = client("cp", *words)
        at = upper / "t" if target.startswith("C:") and "C:" not in source else tmp_path / "w/t"
        assert (got.code == 0) == (said is None), (source, target, got)
        assert said is None or said in got.err, (source, target, got)
        assert tree_of(at) == sorted({"old", *expected}, key=lambda n: n.rstrip("/@")), (source, target, got)


def run_in(directory, engine, program, *arguments, stdin=b""):
    return subprocess.run([str(program), *arguments], cwd=directory, env=engine.environment, input=stdin, capture_output=True, timeout=LIMIT_S)


def test_streams(engine, created, client, build, tmp_path):
    program = docker_program() if client == engine.docker else build / "berth"
    (tmp_path / "f").write_text("relative")
    assert run_in(tmp_path, engine, program, "cp", "f", f"{created}:tmp/g").returncode == 0
    out = run_in(tmp_path, engine, program, "cp", f"{created}:/tmp/g", "-")
    assert out.returncode == 0 and members(out.stdout)[0].name == "g" and not out.stderr
    assert run_in(tmp_path, engine, program, "cp", "-", f"{created}:/home", stdin=out.stdout).returncode == 0
    assert run_in(tmp_path, engine, program, "cp", f"{created}:home/g", "back").returncode == 0 and (tmp_path / "back").read_text() == "relative"
    refused = run_in(tmp_path, engine, program, "cp", "-", f"{created}:/etc/passwd", stdin=out.stdout)
    assert refused.returncode == 1 and b"must be a directory" in refused.stderr
    exported = run_in(tmp_path, engine, program, "export", created)
    assert exported.returncode == 0 and "home/g" in [m.name for m in members(exported.stdout)]
    assert run_in(tmp_path, engine, program, "export", "-o", "all.tar", created).returncode == 0
    assert (tmp_path / "all.tar").stat().st_size == len(exported.stdout) and sorted(p.name for p in tmp_path.iterdir()) == ["all.tar", "back", "f"]
    assert run_in(tmp_path, engine, program, "export", "-o", "none.tar", "nobody").returncode == 1 and not (tmp_path / "none.tar").exists()


def test_owners(engine, name, client, tmp_path):
    """Numbers are kept, unless the container's user is asked for; on this side all is ours."""
    engine.docker("run", "-d", "--name", name, "--user", "somebody", "busybox", "sleep", "1000", check=True)
    (tmp_path / "f").write_text("x")
    os.chown(tmp_path / "f", 77, 88)
    client("cp", tmp_path / "f", f"{name}:/tmp/kept", check=True)
    client("cp", "-a", tmp_path / "f", f"{name}:/tmp/given", check=True)
    assert engine.docker("exec", name, "stat", "-c", "%u:%g", "/tmp/kept", "/tmp/given").out.split() == ["77:88", "1000:1000"]
    client("cp", f"{name}:/tmp/kept", tmp_path / "back", check=True)
    assert (tmp_path / "back").stat().st_uid == os.getuid()


@pytest.mark.own
def test_hostile_archives_stay_in_their_directory(engine, running, tmp_path):
    """What comes out of a container is unpacked as carefully as what goes in."""
    engine.docker("exec", running, "sh", "-c", f"mkdir -p /h/d && ln -s {tmp_path}/prey /h/d/out && ln -s /etc/passwd /h/d/passwd", check=True)
    (tmp_path / "prey").mkdir()
    (tmp_path / "mine").mkdir()
    engine.berth("cp", f"{running}:/h/d", tmp_path / "mine", check=True)
    engine.docker("exec", running, "sh", "-c", "rm /h/d/out /h/d/passwd && mkdir /h/d/out && echo x > /h/d/out/f && echo y > /h/d/passwd", check=True)
    before = open("/etc/passwd").read()
    again = engine.berth("cp", f"{running}:/h/d", tmp_path / "mine")
    assert "cannot overwrite" in again.err, again
    assert not list((tmp_path / "prey").iterdir()) and open("/etc/passwd").read() == before


@pytest.mark.own
def test_diff_and_commit_of_berth(engine, created, tmp_path):
    (tmp_path / "f").write_text("x")
    engine.berth("cp", tmp_path / "f", f"{created}:/etc/new", check=True)
    assert engine.berth("diff", created, check=True).out == engine.docker("diff", created, check=True).out == "C /etc\nA /etc/new\n"
    made = engine.berth("commit", "-m", "words", "-a", "me", "-c", "ENV A=b", created, "by-berth:x", check=True)
    found = engine.inspect("by-berth:x")
    assert found["Id"] == made.out.strip() and found["Comment"] == "words" and "A=b" in found["Config"]["Env"]
    engine.berth("rmi", "by-berth:x", check=True)
    assert engine.berth("commit", created, "UPPER").code == 1 and engine.berth("diff", "nobody").code == 1


@pytest.mark.own
def test_odd_files_come_through(engine, running, client, tmp_path):
    """Holes, hard links, attributes, names that are no text, long names: out and in again."""
    deep = "/".join(["d" * 60] * 30)
    engine.docker("exec", running, "sh", "-c", "mkdir -p /o/" + deep + " && cd /o && truncate -s 20000000 hole && echo x >> hole && echo y > a && ln a b"
                  " && touch \"$(printf 'n\\377\\376')\" && touch \"$(printf 'new\\nline')\" && touch -h -d '2001-02-03 04:05:06' a && echo z > " + deep + "/end", check=True)
    client("cp", f"{running}:/o", tmp_path, check=True)
    assert (tmp_path / "o/a").stat().st_ino == (tmp_path / "o/b").stat().st_ino
    assert (tmp_path / "o/hole").stat().st_size == 20000002
    assert b"n\xff\xfe" in os.listdir(os.fsencode(tmp_path / "o")) and "new\nline" in os.listdir(tmp_path / "o")
    assert (tmp_path / "o" / deep / "end").read_text() == "z\n"
    assert int((tmp_path / "o/a").stat().st_mtime) == 981173106
    client("cp", tmp_path / "o", f"{running}:/back", check=True)
    assert engine.docker("exec", running, "sh", "-c", "cd /back && stat -c '%h %s' a hole && ls | wc -l && cat " + deep + "/end").out.split() == ["2", "2", "1", "20000002", "6", "z"]


# ---- crashes ----

@pytest.mark.own
def test_a_crash_in_the_middle_of_copies(private_engine, name):
    """kill -9 while files go in and out: what was copied stays, nothing else does, and all goes on."""
    api = Api(private_engine.socket)
    private_engine.docker("run", "-d", "--name", name, "-v", f"{name}:/vol", "busybox", "sh", "-c", "head -c 300000000 /dev/zero > /big; sleep 1000", check=True)
    data = make_tar(("f", b"x" * 3000000), ("g", b"y"))
    sent = threading.Event()

    def body():
        yield data[:2000000]
        sent.set()
        time.sleep(60)
        yield data[2000000:]

    def send():
        try:
            private_engine.sdk().api.put_archive(name, "/vol", body())
        except Exception:
            pass  # The engine went.

    threading.Thread(target=send, daemon=True).start()
    wait_until(lambda: stat_of(api, name, "/big") != 404 and stat_of(api, name, "/big")["size"] == 300000000, what="the file that is copied out")
    wait_until(lambda: sent.is_set() and stat_of(api, name, "/vol/f") != 404, what="the file that is copied in")
    reader = subprocess.Popen([private_engine.build / "berth", "export", name], env=private_engine.environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert reader.stdout.read(1000000)
    private_engine.kill()
    reader.stdout.read()
    assert reader.wait() != 0, "half an archive must not pass for a whole one"
    private_engine.start()
    assert private_engine.verify().code == 0, private_engine.verify()
    assert stat_of(api, name, "/vol/f")["size"] <= 3000000 and stat_of(api, name, "/vol/g") == 404
    assert put(api, name, "/vol", data).status == 200 and private_engine.docker("exec", name, "wc", "-c", "/vol/f").out.split()[0] == "3000000"


@pytest.mark.own
def test_a_crash_in_the_middle_of_a_commit(private_engine, name):
    """The container is held at that moment; the next engine lets it go, and nothing of the image is left."""
    api = Api(private_engine.socket)
    private_engine.docker("run", "-d", "--name", name, "busybox", "sh", "-c", "head -c 400000000 /dev/zero > /big; touch /ready; sleep 1000", check=True)
    wait_until(lambda: stat_of(api, name, "/ready") != 404, what="something to commit")
    images = private_engine.docker("images", "-aq", check=True).out
    committing = subprocess.Popen([private_engine.build / "berth", "commit", name, "half"], env=private_engine.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_until(lambda: api.do("GET", f"/containers/{name}/json")["State"]["Paused"], step_s=0.002, what="the container being held")
    private_engine.kill()
    assert committing.wait() != 0
    private_engine.start()
    wait_until(lambda: not private_engine.inspect(name)["State"]["Paused"], what="the container being let go")
    assert private_engine.docker("exec", name, "echo", "on").out == "on\n"
    assert private_engine.verify().code == 0, private_engine.verify()
    assert private_engine.docker("images", "-aq", check=True).out == images
    wait_until(lambda: not list((private_engine.data / "tmp").iterdir()), what="what is left of the image being removed")
