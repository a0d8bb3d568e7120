"""A private engine for tests: own data root, run directory, bridge, table and cgroups, so that several run side by side."""
import fcntl
import itertools
import os
import pathlib
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile
import time

# How long anything may take before it counts as hanging: a machine may be busy, slow, or run sanitizers. Nothing is judged by time.
LIMIT_S = 120
COMMAND_LIMIT_S = 300
# Where engines have their data roots: a directory on another file system tests that one.
PLACE = os.environ.get("BERTH_TEST_PLACE", "/var/tmp")


def wait_until(condition, limit_s=LIMIT_S, step_s=0.05, what="condition"):
    """Polls until condition() is true; fails loudly after limit_s."""
    end = time.monotonic() + limit_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"{what} did not come true within {limit_s} s")
        time.sleep(step_s)


PORTS_OF_A_RUN = 300
_block = None


def address_block():
    """A number that no other run of the tests on this machine has as long as this one lives: 10.<number>.0.0/16 and fd42:<number>::/32 are
    this run's own."""
    global _block
    for number in range(200, 240):
        if _block:
            break
        lock = open(f"/var/tmp/berth-test-block-{number}", "w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _block = number, lock  # held until the end
        except OSError:
            lock.close()
    assert _block, "too many runs of the tests at a time"
    return _block[0]


_port_count = 0


def free_port():
    """A port that nobody has, and that nobody gets by chance before it is used: from a part of the numbers that is this run's own, below those
    that the kernel gives to clients; another one each time."""
    global _port_count
    first = 20000 + (address_block() - 200) * PORTS_OF_A_RUN
    for _ in range(PORTS_OF_A_RUN):
        port = first + _port_count % PORTS_OF_A_RUN
        _port_count += 1
        try:
            for family, kind in itertools.product((socket.AF_INET, socket.AF_INET6), (socket.SOCK_STREAM, socket.SOCK_DGRAM)):
                with socket.socket(family, kind) as s:
                    s.bind(("", port))
            return port
        except OSError:
            pass
    raise AssertionError("no port is free")


class Result:
    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err

    def __repr__(self):
        return f"Result(code={self.code}, out={self.out[-2000:]!r}, err={self.err[-2000:]!r})"


def run(arguments, env=None, stdin=None, limit_s=COMMAND_LIMIT_S, check=False):
    """Runs a command to its end (killed after limit_s); output as text."""
    process = subprocess.Popen([str(a) for a in arguments], env=env, stdin=subprocess.PIPE if stdin is not None else subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        out, err = process.communicate(stdin.encode() if isinstance(stdin, str) else stdin, timeout=limit_s)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        raise AssertionError(f"{arguments} hung for {limit_s} s: {out[-1000:]!r} {err[-1000:]!r}")
    result = Result(process.returncode, out.decode(errors="replace"), err.decode(errors="replace"))
    if check:
        assert result.code == 0, f"{arguments}: {result}"
    return result


class Engine:
    """berthd as a process of ours, or another engine that is only spoken to (host given)."""
    look_s = 0.05  # between two looks whether it answers

    def __init__(self, build, host=None, directory=None, extra=(), namespace=None):
        self.build = pathlib.Path(build)
        self.is_ours = host is None
        self.directory = pathlib.Path(directory or tempfile.mkdtemp(prefix="berth-test-", dir=PLACE))
        self.data = self.directory / "data"
        self.run_directory = self.directory / "run"
        self.host = host or f"unix://{self.run_directory / 'berth.sock'}"
        self.socket = pathlib.Path(self.host.removeprefix("unix://"))
        self.extra = list(extra)
        # A network namespace (of ip netns) as the host that the engine sees; whoever flushes that one's rules harms nobody else.
        self.prefix = ["nsenter", f"--net=/run/netns/{namespace}"] if namespace else []
        self.daemon_environment = None  # that of the tests
        self.process = None
        self.log = self.directory / "berthd.log"

    # ---- the daemon ----

    def start(self):
        if not self.is_ours:
            return self
        arguments = [*self.prefix, self.build / "berthd", "--data-root", self.data, "--exec-root", self.run_directory, "-H", self.host,
                     "--debug", *self.extra]
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([str(a) for a in arguments], stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                                            start_new_session=True, env=self.daemon_environment)
        wait_until(self.answers, step_s=self.look_s, what="the engine answering")
        return self

    def answers(self):
        if self.process and self.process.poll() is not None:
            raise AssertionError(f"berthd ended with {self.process.returncode}: {self.log.read_text()[-3000:]}")
        try:
            with socket.socket(socket.AF_UNIX) as s:
                s.settimeout(LIMIT_S)
                s.connect(str(self.socket))
                s.sendall(b"GET /_ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                return s.recv(4096).startswith(b"HTTP/1.1 200")
        except OSError:
            return False

    def kill(self):
        """kill -9: what a crash is like."""
        self.process.kill()
        self.process.wait()
        self.process = None

    def stop(self):
        if self.process:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(LIMIT_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                self.process = None
                raise AssertionError(f"berthd did not end within {LIMIT_S} s of SIGTERM")
            code, self.process = self.process.returncode, None
            assert code == 0, f"berthd ended with {code}: {self.log.read_text(errors='replace')[-6000:]}"

    def check_sanitizers(self):
        """What sanitizers said in the daemon's log (builds with them only)."""
        said = [line for line in self.log.read_text(errors="replace").splitlines()
                if "Sanitizer" in line or "runtime error:" in line]
        assert not said, said[:20]

    def remove(self):
        """Ends the engine and takes back all that it has in the kernel and on disk."""
        if not self.is_ours:
            return
        try:
            if self.process is None:
                self.start()
            ids = self.docker("ps", "-aq", "--no-trunc").out.split()
            if ids:
                self.docker("rm", "-f", "-v", *ids)
            self.stop()
            self.check_sanitizers()
        finally:
            if self.process:
                self.kill()
            run([*self.prefix, self.build / "berthd", "--data-root", self.data, "--exec-root", self.run_directory, "-H", self.host,
                 "--remove-kernel-objects", *self.extra])
            run(["rm", "-rf", self.directory])  # which goes down as deep as a hostile container went; rmtree does not

    # ---- clients ----

    @property
    def environment(self):
        env = {k: v for k, v in os.environ.items() if not k.startswith("DOCKER_")}
        env.update(DOCKER_HOST=self.host, DOCKER_CONFIG=str(self.directory / "config"), DOCKER_CLI_HINTS="false",
                   DOCKER_BUILDKIT="0", HOME=str(self.directory))
        return env

    def docker(self, *arguments, **options):
        """Docker's own command."""
        return run([docker_program(), *arguments], env=self.environment, **options)

    def berth(self, *arguments, **options):
        """Our command."""
        return run([self.build / "berth", *arguments], env=self.environment, **options)

    def sdk(self):
        import docker
        return docker.DockerClient(base_url=self.host, version="auto", timeout=COMMAND_LIMIT_S)

    def inspect(self, name):
        import json
        return json.loads(self.docker("inspect", name, check=True).out)[0]

    def verify(self):
        return self.berth("system", "verify")


def docker_program():
    """Docker's own client: named by $DOCKER, on PATH, or the one that tools/install-deps unpacked."""
    unpacked = pathlib.Path(__file__).resolve().parent.parent / "build-client/usr/bin/docker"
    return os.environ.get("DOCKER") or shutil.which("docker") or (str(unpacked) if unpacked.exists() else None)


def docker_compose():
    """The words that call Docker's own compose: $DOCKER_COMPOSE, or the plugin of docker's client; None if there is none."""
    program = docker_program()
    for words in (shlex.split(os.environ.get("DOCKER_COMPOSE", "")), [program, "compose"] if program else []):
        if words and subprocess.run([*words, "version"], capture_output=True, check=False).stdout.startswith(b"Docker Compose version"):
            return words
    return None


def docker_buildx():
    """The words that call buildx: $DOCKER_BUILDX, or the plugin of docker's client; None if there is none."""
    program = docker_program()
    for words in (shlex.split(os.environ.get("DOCKER_BUILDX", "")), [program, "buildx"] if program else []):
        if words and b"buildx" in subprocess.run([*words, "version"], capture_output=True, check=False).stdout:
            return words
    return None


def docker_major():
    """The first number of the client's version; None if there is no client."""
    program = docker_program()
    if not program:
        return None
    words = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout.split()
    return int(words[2].split(".")[0])


def make_busybox_context(directory):
    """A build context for a small image: busybox, its applets, and the files that look-ups of users need."""
    directory = pathlib.Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    shutil.copy("/bin/busybox", directory / "busybox")
    (directory / "passwd").write_text("root:x:0:0:root:/root:/bin/sh\nsomebody:x:1000:1000::/home/somebody:/bin/sh\n")
    (directory / "group").write_text("root:x:0:\nsomebody:x:1000:\nextra:x:2000:somebody\n")
    (directory / "Dockerfile").write_text(
        "FROM scratch\n"
        "COPY busybox /bin/busybox\n"
        "COPY passwd group /etc/\n"
        'RUN ["/bin/busybox", "mkdir", "-p", "/tmp", "/root", "/home/somebody", "/usr/bin", "/sbin", "/usr/sbin"]\n'
        'RUN ["/bin/busybox", "--install", "-s", "/bin"]\n'
        "RUN chmod 1777 /tmp && chown 1000:1000 /home/somebody\n"
        'CMD ["sh"]\n')
    return directory
