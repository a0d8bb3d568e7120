"""The whole path with Docker's own command: build, run, reach, list, log, exec, stop, remove."""
import os
import pty
import re
import select
import socket
import subprocess
import time
import urllib.request

import pytest

from engine import LIMIT_S, run, wait_until


def fetch(port, path="/", host="127.0.0.1", limit_s=LIMIT_S):
    def once():
        try:
            return urllib.request.urlopen(f"http://{host}:{port}{path}", timeout=10).read().decode()
        except OSError:
            return None
    return wait_until(once, limit_s, what=f"an answer at port {port}")


@pytest.fixture(scope="module")
def web_image(engine, tmp_path_factory):
    context = tmp_path_factory.mktemp("web")
    (context / "index.html").write_text("first light\n")
    (context / "Dockerfile").write_text(
        "FROM busybox\nARG GREETING=none\nENV PAGE=/www/index.html\nWORKDIR /www\nCOPY index.html .\n"
        "RUN echo $GREETING > greeting.txt\nEXPOSE 80\nLABEL purpose=test\n"
        'CMD ["httpd", "-f", "-v", "-p", "80", "-h", "/www"]\n')
    built = engine.docker("build", "-t", "myapp", "--build-arg", "GREETING=hello", context)
    assert built.code == 0, built
    assert "Successfully tagged myapp:latest" in built.out
    return context


def test_build_again_uses_the_cache(engine, web_image):
    again = engine.docker("build", "-t", "myapp", "--build-arg", "GREETING=hello", web_image, check=True)
    assert again.out.count("Using cache") >= 6
    ids = [re.search(r"Successfully built (\w+)", engine.docker("build", "--build-arg", "GREETING=hello", web_image).out)[1]
           for _ in range(2)]
    assert ids[0] == ids[1]


def test_changed_file_builds_only_what_follows(engine, web_image):
    (web_image / "index.html").write_text("changed\n")
    built = engine.docker("build", "--build-arg", "GREETING=hello", web_image, check=True)
    (web_image / "index.html").write_text("first light\n")
    steps = built.out.split("Step ")
    assert "Using cache" in [s for s in steps if "WORKDIR" in s][0]
    assert "Using cache" not in [s for s in steps if "COPY" in s][0]


def test_images_lists_it(engine, web_image):
    assert re.search(r"^myapp\s+latest\s+[0-9a-f]{12}\s", engine.docker("images", check=True).out, re.M)


def test_run_publishes_and_answers(engine, web_image, name, free_port):
    id = engine.docker("run", "-d", "--name", name, "-p", f"{free_port}:80", "myapp", check=True).out.strip()
    assert re.fullmatch("[0-9a-f]{64}", id)
    assert fetch(free_port) == "first light\n"
    listed = engine.docker("ps", check=True).out
    assert name in listed and f"0.0.0.0:{free_port}->80/tcp" in listed
    assert engine.inspect(name)["State"]["Status"] == "running"
    assert engine.docker("stop", "-t", "2", id[:12], check=True).out.strip() == id[:12]
    assert engine.inspect(name)["State"]["Status"] == "exited"
    assert engine.docker("rm", id, check=True).out.strip() == id
    with pytest.raises(OSError):
        urllib.request.urlopen(f"http://127.0.0.1:{free_port}/", timeout=LIMIT_S)


def test_published_port_is_refused_when_taken(engine, name, free_port):
    with socket.socket() as holder:
        holder.bind(("0.0.0.0", free_port))
        holder.listen()
        refused = engine.docker("run", "-d", "--name", name, "-p", f"{free_port}:80", "busybox", "sleep", "600")
    assert refused.code == 125
    # A port of another container is "already allocated"; of one that a foreign process holds engines speak differently.
    assert "port is already allocated" in refused.err or "address already in use" in refused.err


ECHO = """
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("0.0.0.0", 5000))
s.settimeout(60)
while True:
    data, peer = s.recvfrom(1000)
    s.sendto(peer[0].encode() + b" " + data, peer)
"""


def test_udp_port(engine, name, free_port):
    """The echo runs in the container's network namespace; it also tells whom it saw."""
    engine.docker("run", "-d", "--name", name, "-p", f"{free_port}:5000/udp", "busybox", "sleep", "300", check=True)
    pid = engine.inspect(name)["State"]["Pid"]
    server = subprocess.Popen(["nsenter", "-t", str(pid), "-n", "python3", "-c", ECHO])

    def echo():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.settimeout(1)
            s.sendto(b"ping", ("127.0.0.1", free_port))
            try:
                return s.recv(100)
            except OSError:
                return None
    try:
        assert wait_until(echo, what="an echo over UDP").endswith(b" ping")
    finally:
        server.kill()
        server.wait()


def test_containers_reach_each_other_and_outside_names(engine, name):
    engine.docker("run", "-d", "--name", name, "busybox", "sh", "-c", "echo inside > /tmp/index.html; httpd -f -p 8000 -h /tmp", check=True)
    address = engine.inspect(name)["NetworkSettings"]["IPAddress"]
    got = wait_until(lambda: engine.docker("run", "--rm", "busybox", "wget", "-q", "-O-", f"http://{address}:8000/").out, what="an answer")
    assert got == "inside\n"


def test_logs_follow(engine, name):
    engine.docker("run", "-d", "--name", name, "busybox", "sh", "-c", "for i in 1 2 3; do echo line $i; sleep 0.3; done; echo end >&2", check=True)
    followed = engine.docker("logs", "-f", name, check=True)
    assert followed.out == "line 1\nline 2\nline 3\n"
    assert followed.err == "end\n"
    assert engine.docker("logs", "--tail", "1", name, check=True).out + engine.docker("logs", "--tail", "1", name).err == "end\n"
    stamped = engine.docker("logs", "-t", name, check=True).out.splitlines()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z line 1", stamped[0])


def test_stdin_through_cat(engine):
    assert engine.docker("run", "--rm", "-i", "busybox", "cat", stdin="hi\n", check=True).out == "hi\n"


def test_large_stdin_round_trip(engine):
    data = os.urandom(1 << 20).hex()
    assert engine.docker("run", "--rm", "-i", "busybox", "cat", stdin=data, check=True).out == data


def test_stdout_and_stderr_stay_apart(engine):
    got = engine.docker("run", "--rm", "busybox", "sh", "-c", "echo out; echo err >&2", check=True)
    assert (got.out, got.err) == ("out\n", "err\n")


class Terminal:
    """A command with a pseudo-terminal as its stdio."""

    def __init__(self, arguments, env):
        self.master, slave = pty.openpty()
        self.process = subprocess.Popen(arguments, env=env, stdin=slave, stdout=slave, stderr=slave, start_new_session=True)
        os.close(slave)
        self.text = ""

    def expect(self, wanted, limit_s=LIMIT_S):
        end = time.monotonic() + limit_s
        while wanted not in self.text:
            left = end - time.monotonic()
            assert left > 0, f"{wanted!r} did not come: {self.text!r}"
            if select.select([self.master], [], [], left)[0]:
                try:
                    self.text += os.read(self.master, 65536).decode(errors="replace")
                except OSError:
                    assert wanted in self.text, f"ended without {wanted!r}: {self.text!r}"
        before, _, self.text = self.text.partition(wanted)
        return before

    def send(self, text):
        os.write(self.master, text.encode())

    def end(self, limit_s=LIMIT_S):
        code = self.process.wait(limit_s)
        os.close(self.master)
        return code


@pytest.fixture
def terminal(engine, docker_client):
    made = []

    def start(*arguments):
        made.append(Terminal([docker_client, *arguments], engine.environment))
        return made[-1]
    yield start
    for t in made:
        t.process.kill()
        t.process.wait()


def test_exec_in_a_terminal(engine, name, terminal):
    engine.docker("run", "-d", "--name", name, "busybox", "sleep", "300", check=True)
    t = terminal("exec", "-it", name, "sh")
    t.expect("# ")
    t.send("tty && echo $((40+2))\r")
    t.expect("/dev/pts/")
    t.expect("42")
    t.send("exit 5\r")
    assert t.end() == 5


def test_run_in_a_terminal_and_detach(engine, name, terminal):
    t = terminal("run", "-it", "--name", name, "busybox", "sh")
    t.expect("# ")
    t.send("echo $((6*7))\r")
    t.expect("42")
    t.send("\x10\x11")
    assert t.end() == 0
    assert engine.inspect(name)["State"]["Running"]
    again = terminal("attach", name)
    again.send("echo $((50+5))\r")
    again.expect("55")
    again.send("exit 3\r")
    assert again.end() == 3


def test_terminal_size(engine, name, terminal):
    import fcntl
    import struct
    import termios
    engine.docker("run", "-d", "--name", name, "busybox", "sleep", "300", check=True)
    t = terminal("exec", "-it", name, "sh")
    fcntl.ioctl(t.master, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 77, 0, 0))
    os.kill(t.process.pid, 28)
    t.expect("# ")

    def has_it():
        t.send("stty size; echo answer''ed\r")
        return "33 77" in t.expect("answered")
    wait_until(has_it, what="the size within")  # the client tells it a moment after the start


@pytest.mark.parametrize("command, code", [
    (["true"], 0), (["false"], 1), (["sh", "-c", "exit 42"], 42), (["sh", "-c", "sh -c 'kill -9 $$'; exit $?"], 137), (["nope"], 127),
    (["/etc"], 126), (["/etc/passwd"], 126)])
def test_exit_codes(engine, command, code):
    assert engine.docker("run", "--rm", "busybox", *command).code == code


def test_unknown_flag_and_image(engine):
    assert engine.docker("run", "--nope", "busybox").code == 125
    missing = engine.docker("run", "--rm", "no-such-image")
    assert missing.code == 125


def test_environment_user_workdir(engine):
    got = engine.docker("run", "--rm", "-e", "A=1", "-u", "somebody", "-w", "/tmp/new", "-h", "box", "busybox", "sh", "-c",
                        "echo $A $(id -un) $(id -G) $PWD $(hostname) $HOME", check=True)
    assert got.out == "1 somebody 1000 2000 /tmp/new box /home/somebody\n"


def test_wait_and_kill(engine, name):
    engine.docker("run", "-d", "--name", name, "busybox", "sleep", "300", check=True)
    waiting = subprocess.Popen([engine_docker(), "wait", name], env=engine.environment, stdout=subprocess.PIPE)
    time.sleep(0.3)
    engine.docker("kill", name, check=True)
    assert waiting.communicate(timeout=LIMIT_S)[0] == b"137\n"


def engine_docker():
    from engine import docker_program
    return docker_program()


def test_signal_proxy(engine, name):
    started = subprocess.Popen([engine_docker(), "run", "--name", name, "busybox", "sh", "-c",
                                "trap 'echo got; exit 9' TERM; echo ready; while :; do sleep 0.1; done"],
                               env=engine.environment, stdout=subprocess.PIPE)
    assert started.stdout.readline() == b"ready\n"
    started.terminate()
    assert started.stdout.read() == b"got\n"
    assert started.wait(LIMIT_S) == 9


def test_volumes_keep_data(engine, name):
    engine.docker("run", "--rm", "-v", "kept:/data", "busybox", "sh", "-c", "echo stays > /data/file", check=True)
    assert engine.docker("run", "--rm", "-v", "kept:/data:ro", "busybox", "cat", "/data/file", check=True).out == "stays\n"
    read_only = engine.docker("run", "--rm", "-v", "kept:/data:ro", "busybox", "touch", "/data/x")
    assert read_only.code != 0 and "Read-only" in read_only.err
    engine.docker("volume", "rm", "kept", check=True)


def test_bind_tmpfs_read_only(engine, tmp_path):
    (tmp_path / "in").write_text("from the host\n")
    got = engine.docker("run", "--rm", "--read-only", "--tmpfs", "/scratch:size=1m", "-v", f"{tmp_path}:/host", "busybox", "sh", "-c",
                        "cat /host/in; echo back > /host/out; touch /scratch/x && echo scratch; touch /no 2>/dev/null || echo ro", check=True)
    assert got.out == "from the host\nscratch\nro\n"
    assert (tmp_path / "out").read_text() == "back\n"


def test_anonymous_volume_is_filled_and_goes_with_rm(engine, tmp_path):
    (tmp_path / "Dockerfile").write_text("FROM busybox\nRUN mkdir /v && echo seed > /v/f && chown 1000:1000 /v\nVOLUME /v\n")
    engine.docker("build", "-q", "-t", "with-volume", tmp_path, check=True)
    before = set(engine.docker("volume", "ls", "-q").out.split())
    got = engine.docker("run", "--rm", "with-volume", "sh", "-c", "cat /v/f; stat -c %u /v", check=True)
    assert got.out == "seed\n1000\n"
    assert set(engine.docker("volume", "ls", "-q").out.split()) == before


def test_host_and_none_networks(engine):
    import socket as s
    assert engine.docker("run", "--rm", "--network", "host", "busybox", "hostname", check=True).out.strip() == s.gethostname()
    links = engine.docker("run", "--rm", "--network", "none", "busybox", "ls", "/sys/class/net", check=True).out.split()
    assert links == ["lo"]


def test_container_network(engine, name):
    engine.docker("run", "-d", "--name", name, "busybox", "sh", "-c", "echo shared > /tmp/index.html; httpd -f -p 8001 -h /tmp", check=True)
    got = wait_until(lambda: engine.docker("run", "--rm", "--network", f"container:{name}", "busybox", "wget", "-q", "-O-",
                                           "http://127.0.0.1:8001/").out, what="an answer")
    assert got == "shared\n"


def test_rename_conflict_and_prefix(engine, name):
    id = engine.docker("create", "--name", name, "busybox", check=True).out.strip()
    clash = engine.docker("create", "--name", name, "busybox")
    assert clash.code != 0 and "is already in use by container" in clash.err
    assert engine.inspect(id[:10])["Id"] == id
    engine.docker("rename", name, name + "2", check=True)
    assert engine.inspect(name + "2")["Name"] == f"/{name}2"
    engine.docker("rm", name + "2", check=True)


def test_restart_policy(engine, name):
    engine.docker("run", "-d", "--name", name, "--restart", "on-failure:2", "busybox", "sh", "-c", "exit 4", check=True)
    state = wait_until(lambda: (lambda i: i if i["State"]["Status"] == "exited" else None)(engine.inspect(name)), what="giving up")
    assert state["RestartCount"] == 2 and state["State"]["ExitCode"] == 4


def test_image_tag_history_remove(engine, tmp_path):
    (tmp_path / "Dockerfile").write_text("FROM busybox\nENV A=1\nRUN echo x > /x\n")
    engine.docker("build", "-q", "-t", "short-lived", tmp_path, check=True)
    history = engine.docker("history", "--no-trunc", "short-lived", check=True).out
    assert "echo x > /x" in history and "ENV A=1" in history
    engine.docker("tag", "short-lived", "short-lived:other", check=True)
    removed = engine.docker("rmi", "short-lived", "short-lived:other", check=True).out
    assert removed.count("Untagged:") == 2 and "Deleted: sha256:" in removed
    assert engine.docker("image", "inspect", "short-lived").code == 1


def test_import(engine, tmp_path):
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "busybox").write_bytes(open("/bin/busybox", "rb").read())
    (tmp_path / "bin" / "busybox").chmod(0o755)
    tar = run(["tar", "-C", tmp_path, "-czf", "-", "bin"])
    archive = tmp_path / "root.tar.gz"
    run(["tar", "-C", tmp_path, "-czf", archive, "bin"], check=True)
    assert tar.code == 0
    made = engine.docker("import", "-c", "CMD [\"/bin/busybox\", \"echo\", \"imported\"]", archive, "imported", check=True)
    assert made.out.startswith("sha256:")
    assert engine.docker("run", "--rm", "imported", check=True).out == "imported\n"
    engine.docker("rmi", "imported", check=True)


def test_info_and_version(engine):
    info = engine.docker("info", check=True).out
    assert "Storage Driver:" in info
    assert "API version" in engine.docker("version", check=True).out


def test_events(engine, name):
    since = str(time.time())
    engine.docker("run", "--name", name, "busybox", "true", check=True)
    engine.docker("rm", name, check=True)
    seen = engine.docker("events", "--since", since, "--until", str(time.time() + 0.5), "--filter", f"container={name}",
                         "--format", "{{.Action}}", check=True).out.split()
    for action in ("create", "start", "die", "destroy"):
        assert action in seen
