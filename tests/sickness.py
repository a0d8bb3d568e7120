"""What makes containers sick, for tests and for the bench."""
import json
import pathlib
import socket
import subprocess
import sys

from engine import run

CONNECT_S = 40


def supervisor_of(pid):
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("PPid:"))


def freezer_of(pid):
    """The file, and what freezes and thaws."""
    groups = dict((line.split(":")[1], line.strip().split(":", 2)[2]) for line in open(f"/proc/{pid}/cgroup"))
    if "freezer" in groups:
        return pathlib.Path("/sys/fs/cgroup/freezer" + groups["freezer"]) / "freezer.state", "FROZEN", "THAWED"
    return pathlib.Path("/sys/fs/cgroup" + groups[""]) / "cgroup.freeze", "1", "0"


class Fuse:
    """A mount whose server is ours: it answers, is stopped, or takes requests and says nothing."""

    def __init__(self, directory):
        self.path = directory
        directory.mkdir()
        program = pathlib.Path(__file__).with_name("fuse_server.py")
        self.server = subprocess.Popen([sys.executable, "-B", program, directory], stdout=subprocess.PIPE)
        assert self.server.stdout.readline() == b"mounted\n"

    def silence(self, number):
        self.server.send_signal(number)

    def end(self):
        self.server.kill()
        self.server.wait()
        run(["umount", "-l", self.path])


def connect(engine, head, body=""):
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(CONNECT_S)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect(str(engine.socket))
    client.sendall(f"{head} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n"
                   f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
    assert client.recv(12) in (b"HTTP/1.1 101", b"HTTP/1.1 200")
    return client


def fill(connection):
    """Sends until nobody takes more; what was taken in bytes."""
    connection.settimeout(2)
    taken = 0
    try:
        while taken < 256 << 20:
            taken += connection.send(b"x" * 65536)
    except TimeoutError:
        pass
    return taken


def stall_exec(engine, api, name):
    """An exec whose process is stopped and whose client goes on sending: the connection, and the bytes that were taken."""
    made = api.do("POST", f"/containers/{name}/exec", {"Cmd": ["sh", "-c", "kill -STOP $$; cat"], "AttachStdin": True, "AttachStdout": True})
    connection = connect(engine, f"POST /v1.51/exec/{made['Id']}/start", json.dumps({"Detach": False}))
    return connection, fill(connection)
