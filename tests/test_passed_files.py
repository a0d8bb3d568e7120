"""Large files that are copied by their descriptors: the same results and refusals as by archives, and nothing that a descriptor could be used for besides."""
import contextlib
import fcntl
import os
import pathlib
import signal
import socket
import stat
import subprocess
import sys
import threading

import pytest

from engine import run
from passed_files import LEAST, ask, file_of, put_file
from raw_api import Api
from test_archive import make_tar, put

pytestmark = pytest.mark.own

SIZE = 9 * LEAST + 1  # of a file that two threads copy


@pytest.fixture
def api(engine):
    return Api(engine.socket)


@pytest.fixture
def running(engine, name):
    engine.berth("run", "-d", "--name", name, "busybox", "sleep", "1000", check=True)
    return name


@pytest.fixture
def large(tmp_path):
    """A file with all that a copy of it keeps."""
    path = tmp_path / "large"
    path.write_bytes(os.urandom(SIZE))
    os.chown(path, 123, 456)
    path.chmod(0o4751)
    os.setxattr(path, "user.colour", b"red")
    os.utime(path, ns=(10**18, 10**18 + 123456789))
    return path


class Relay:
    """Between a client and the engine: passes bytes on, but no descriptors. Knows what was asked for."""

    def __init__(self, engine, path):
        self.target, self.path, self.asked = str(engine.socket), path, []
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen()
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        with contextlib.suppress(OSError):
            while True:
                near, _address = self.listener.accept()
                far = socket.socket(socket.AF_UNIX)
                far.connect(self.target)
                for source, target in ((near, far), (far, near)):
                    threading.Thread(target=self.pass_on, args=(source, target, source is near), daemon=True).start()

    def pass_on(self, source, target, is_client):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if is_client:
                    self.asked += [line.decode() for line in data.split(b"\r\n") if line.startswith((b"GET ", b"POST ", b"PUT ", b"Upgrade: "))]
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)

    def close(self):
        self.listener.close()


@pytest.fixture
def relay(engine, tmp_path):
    made = Relay(engine, tmp_path / "relay.sock")
    yield made
    made.close()


def what_is(path):
    found = os.stat(path)
    attributes = {key: os.getxattr(path, key) for key in os.listxattr(path) if key.startswith("user.")}
    return stat.filemode(found.st_mode), found.st_uid, found.st_gid, found.st_size, found.st_mtime_ns, attributes, pathlib.Path(path).read_bytes()


def inside(engine, container, path):
    return f"/proc/{engine.inspect(container)['State']['Pid']}/root{path}"


@pytest.mark.parametrize("options", [(), ("-a",)])
def test_copies_are_those_of_archives(engine, running, relay, large, tmp_path, options):
    """Directly, and through what takes the descriptors away."""
    through = dict(engine.environment, DOCKER_HOST=f"unix://{relay.path}")
    (tmp_path / "direct").mkdir()
    (tmp_path / "relayed").mkdir()

    engine.berth("cp", *options, large, f"{running}:/tmp/direct", check=True)
    run([engine.build / "berth", "cp", *options, large, f"{running}:/tmp/relayed"], env=through, check=True)
    assert [line.split()[0] for line in relay.asked if "/archive" in line] == ["POST", "PUT"]
    made = what_is(inside(engine, running, "/tmp/direct"))
    assert made == what_is(inside(engine, running, "/tmp/relayed"))
    assert made == ("-rwsr-x--x", 123, 456, SIZE, 10**18, {"user.colour": b"red"}, large.read_bytes())

    engine.berth("exec", running, "chmod", "751", "/tmp/direct", check=True)
    relay.asked.clear()
    engine.berth("cp", *options, f"{running}:/tmp/direct", tmp_path / "direct", check=True)
    run([engine.build / "berth", "cp", *options, f"{running}:/tmp/direct", tmp_path / "relayed"], env=through, check=True)
    assert [line.split()[0] for line in relay.asked if "/archive" in line] == ["GET", "GET"]
    assert relay.asked.count("Upgrade: berth-file") == 1
    made = what_is(tmp_path / "direct/direct")
    assert made == what_is(tmp_path / "relayed/direct")
    assert made == ("-rwxr-x--x", os.geteuid(), os.getegid(), SIZE, 10**18, {"user.colour": b"red"}, large.read_bytes())


def test_names_and_links(engine, running, large, tmp_path):
    """Other names, links on both sides, a file that is there already."""
    link = tmp_path / "link"
    link.symlink_to(large)
    engine.berth("exec", running, "sh", "-c", "mkdir /tmp/d && ln -s d /tmp/to && echo old > /tmp/old && ln -s old /tmp/to-old", check=True)
    for source, options, target, found in ((large, (), "/tmp/to", "/tmp/d/large"), (large, (), "/tmp/d/new", "/tmp/d/new"), (link, ("-L",), "/tmp/to/", "/tmp/d/link"),
                                           (large, (), "/tmp/to-old", "/tmp/old")):
        engine.berth("cp", *options, source, f"{running}:{target}", check=True)
        assert engine.berth("exec", running, "stat", "-c", "%F %s", found, check=True).out.strip() == f"regular file {SIZE}", target
    assert engine.berth("exec", running, "readlink", "/tmp/to-old", check=True).out.strip() == "old"
    engine.berth("exec", running, "sh", "-c", "ln -s d/new /tmp/l && chmod 755 /tmp/d/new", check=True)
    engine.berth("cp", "-L", f"{running}:/tmp/l", tmp_path / "back", check=True)
    assert (tmp_path / "back").read_bytes() == large.read_bytes()
    engine.berth("cp", f"{running}:/tmp/l", tmp_path / "as-it-is", check=True)
    assert os.readlink(tmp_path / "as-it-is") == "d/new"
    engine.berth("cp", f"{running}:/tmp/d/new", tmp_path / "back", check=True)
    assert (tmp_path / "back").read_bytes() == large.read_bytes()


def test_a_container_that_does_not_run(engine, name, large, tmp_path):
    engine.berth("create", "--name", name, "-v", "/vol", "busybox", check=True)
    for directory in ("/tmp", "/vol"):
        engine.berth("cp", large, f"{name}:{directory}", check=True)
        engine.berth("cp", f"{name}:{directory}/large", tmp_path / "back", check=True)
        assert (tmp_path / "back").read_bytes() == large.read_bytes()
        (tmp_path / "back").unlink()


@pytest.fixture
def refusing(engine, name):
    """A container that takes little."""
    engine.berth("run", "-d", "--name", name, "--read-only", "--tmpfs", "/small:size=2m", "-v", f"{name}-v:/ro:ro", "busybox", "sleep", "1000", check=True)
    engine.berth("exec", name, "mkdir", "-p", "/small/large", check=True)
    yield name
    engine.berth("rm", "-f", name)
    engine.berth("volume", "rm", "-f", f"{name}-v", check=True)


@pytest.mark.parametrize("container, path, query", [
    ("nope", "/tmp", ""), (None, "/nope", ""), (None, "/etc/passwd", ""), (None, "/tmp", ""), (None, "/ro", ""), (None, "", ""),
    (None, "/small", "&noOverwriteDirNonDir=1"), (None, "/small/large", ""), (None, "/dev", "")])
def test_refusals_are_those_of_archives(api, refusing, large, container, path, query):
    with open(large, "rb") as file:
        passed = put_file(api, container or refusing, path, "large", file.fileno(), query)
    sent = put(api, container or refusing, path, make_tar(("large", large.read_bytes())), query)
    assert sent.status >= 400
    assert (passed.status, passed.json) == (sent.status, sent.json)


def descriptors(directory):
    """What must not be copied from, by name."""
    os.mkfifo(directory / "pipe")
    (directory / "file").write_bytes(b"content")
    yield "nothing", None
    yield "pipe", os.open(directory / "pipe", os.O_RDWR)
    yield "directory", os.open(directory, os.O_RDONLY)
    yield "path only", os.open(directory / "file", os.O_PATH)
    yield "for writing", os.open(directory / "file", os.O_WRONLY)
    yield "device", os.open("/dev/zero", os.O_RDONLY)
    yield "made by the kernel", os.open("/proc/version", os.O_RDONLY)
    yield "socket", socket.socket(socket.AF_UNIX).detach()


def test_unfit_descriptors(engine, api, running, tmp_path):
    for what, descriptor in descriptors(tmp_path):
        assert put_file(api, running, "/tmp", "made", descriptor).status == 501, what
        if descriptor is not None:
            os.close(descriptor)
    assert engine.berth("exec", running, "ls", "/tmp", check=True).out == ""
    with open(tmp_path / "file", "rb") as file:
        assert put_file(api, running, "/tmp", "made", file.fileno()).status == 200
        assert put_file(api, running, "/tmp", "", file.fileno()).status == 400
    assert engine.berth("exec", running, "cat", "/tmp/made", check=True).out == "content"


@pytest.fixture
def served(tmp_path):
    """A file system in user space with a file, and the process that serves it."""
    if not os.path.exists("/dev/fuse"):
        pytest.skip("this kernel has no FUSE")
    place = tmp_path / "served"
    place.mkdir()
    server = subprocess.Popen([sys.executable, pathlib.Path(__file__).parent / "fuse_server.py", place], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout.readline() == "mounted\n"
        yield place / "file", server
    finally:
        server.kill()
        server.wait()
        subprocess.run(["umount", "-l", place], check=False)


def test_files_in_user_space(engine, api, running, served):
    """Whoever serves them does not decide how long the engine waits, not even for closing them."""
    path, server = served
    with open(path, "rb") as file:
        server.send_signal(signal.SIGUSR1)
        try:  # No process may begin here: it would have the file, too, and close it.
            answer = put_file(api, running, "/tmp", "made", file.fileno())
        finally:
            server.send_signal(signal.SIGUSR2)
    assert answer.status == 501
    assert engine.berth("exec", running, "ls", "/tmp", check=True).out == ""


def test_what_is_asked_for_without_an_upgrade(api, running):
    assert api.call("POST", f"/containers/{running}/archive?path=/tmp&name=x").status == 501


def test_only_what_may_be_carried_out(engine, api, running):
    engine.berth("exec", running, "sh", "-c", f"cd /tmp && mkdir d && dd if=/dev/zero of=plain bs={LEAST} count=1 && cp plain suid && chmod u+s suid && cp plain sgid"
                 " && chmod g+s sgid && head -c 1000 plain > little && ln -s plain link", check=True)
    for path in ("/tmp/d", "/tmp/suid", "/tmp/sgid", "/tmp/little", "/tmp/link"):
        with file_of(api, running, path) as file:
            assert file is None, path
    os.setxattr(inside(engine, running, "/tmp/plain"), "security.capability", bytes.fromhex("0100000202000000000000000000000000000000"))
    with file_of(api, running, "/tmp/plain") as file:
        assert file is None
    os.removexattr(inside(engine, running, "/tmp/plain"), "security.capability")
    with file_of(api, running, "/tmp/plain") as file:
        assert fcntl.fcntl(file, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY
        os.fchmod(os.open(inside(engine, running, "/tmp/plain"), os.O_RDONLY), 0o4755)
        with pytest.raises(PermissionError):  # The mount that it was opened on lets nothing be run.
            os.execve(f"/proc/self/fd/{file.fileno()}", ["x"], {})


def test_a_removal_while_a_client_has_the_file(engine, api, running):
    engine.berth("exec", running, "dd", "if=/dev/zero", "of=/tmp/x", f"bs={LEAST}", "count=2", check=True)
    with file_of(api, running, "/tmp/x") as file:
        engine.berth("rm", "-f", running, check=True)
        assert file.read() == bytes(2 * LEAST)
    assert engine.berth("system", "verify").code == 0


def test_an_end_of_the_client(engine, api, running, tmp_path):
    """Nothing of the copy goes on, and the container can be removed at once."""
    with open(tmp_path / "large", "wb") as file:
        file.write(os.urandom(64 * LEAST))
    with open(tmp_path / "large", "rb") as file:
        for _turn in range(5):
            connection, status, _headers = ask(api, "POST", f"/containers/{running}/archive?path=/tmp&name=x")
            assert status == 101
            socket.send_fds(connection, [b"f"], [file.fileno()])
            connection.close()
        connection, _status, _headers = ask(api, "POST", f"/containers/{running}/archive?path=/tmp&name=x")
        connection.close()
    engine.berth("rm", "-f", running, check=True)
    engine.berth("system", "verify", check=True)
