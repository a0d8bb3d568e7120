"""Builds called off: while they wait for something outside, and at each call that changes something. Nothing is left, the next build is right."""
import contextlib
import gzip
import os
import signal
import socket
import subprocess
import threading
import time

import pytest

from archives import tar_of
from engine import docker_program, wait_until
from fake_registry import FakeRegistry, add_image
from raw_api import Api
from sweep import LIMIT_S, POINTS, SweptEngine, build_preload, spread
from test_sweep_build import DOCKERFILE

pytestmark = pytest.mark.own


@pytest.fixture
def stalling():
    """A registry that stops in the middle of what it says to who asks for something with 'stalls' in its path, until it is let go."""
    registry = FakeRegistry()
    registry.let_go, registry.is_stalled = threading.Event(), threading.Event()

    def hook(request, handler):
        wanted = registry.stalls
        if not wanted or registry.let_go.is_set() or request.method != wanted[0] or wanted[1] not in request.path:
            return False
        if request.method == "GET":
            handler.send_response(200)
            handler.send_header("Content-Length", "1000000")
            handler.end_headers()
            handler.wfile.write(b"x" * 1000)
        registry.is_stalled.set()
        registry.let_go.wait(LIMIT_S)
        handler.close_connection = True
        return True
    registry.stalls, registry.hook = None, hook
    yield registry
    registry.let_go.set()
    registry.close()


def left(engine):
    """What a build that is over must not leave."""
    places = [engine.data / "tmp", engine.run_directory / "shims", engine.run_directory / "bundles"]
    return [name for place in places if place.exists() for name in os.listdir(place)]


@contextlib.contextmanager
def client_of(engine, program, words, **options):
    with subprocess.Popen([str(word) for word in (program, *words)], env=engine.environment, stdout=options.get("stdout", subprocess.DEVNULL),
                          stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.kill()


WAITS = ("pull", "add", "push", "output")


@pytest.mark.parametrize("how", ["killed", "interrupted", "docker interrupted"])
@pytest.mark.parametrize("wait", WAITS)
def test_called_off_while_it_waits(private_engine, stalling, tmp_path, wait, how):
    engine = private_engine
    program = docker_program() if how.startswith("docker") else engine.build / "berth"
    if how.startswith("docker") and wait in ("push", "output"):
        pytest.skip("the classic client has neither")
    _, document = add_image(stalling, "base", "1", [tar_of(a=b"1" * 1000)], gzip.compress)
    layer = document["layers"][0]["digest"]
    texts = {"pull": f"FROM {stalling.host}/base:1\nCOPY f /\n", "add": f"FROM scratch\nADD {stalling.url}/file /\n"}
    (tmp_path / "context").mkdir()
    (tmp_path / "context/f").write_bytes(os.urandom(3_000_000))
    (tmp_path / "context/Dockerfile").write_text(texts.get(wait, "FROM scratch\nCOPY f /\n"))
    stalling.stalls = {"pull": ("GET", layer), "add": ("GET", "/file"), "push": ("POST", "/blobs/uploads")}.get(wait)
    words = {"push": ["--push", "-t", f"{stalling.host}/pushed:1"], "output": ["-q", "-o", "type=tar,dest=-"]}.get(wait, ["-t", "made"])
    with client_of(engine, program, ["build", *words, tmp_path / "context"], stdout=subprocess.PIPE) as client:
        if wait == "output":
            client.stdout.read(1)  # and no more
        else:
            assert stalling.is_stalled.wait(LIMIT_S), "the build does not come to where it would wait"
        client.send_signal(signal.SIGKILL if how == "killed" else signal.SIGINT)
        assert client.wait(LIMIT_S) != 0
    wait_until(lambda: not left(engine), what="nothing left of the build")
    assert engine.verify().code == 0
    tags = [tag for row in Api(engine.socket).do("GET", "/images/json") for tag in row["RepoTags"] or []]
    assert "made:latest" not in tags
    stalling.let_go.set()
    (tmp_path / "context/Dockerfile").write_text(texts["pull"])
    assert engine.berth("build", "-q", "-t", "made", tmp_path / "context").code == 0


@pytest.mark.parametrize("sent", ["nothing", "half a header", "half a file", "all but the end"])
def test_a_context_that_is_cut_off(private_engine, tmp_path, sent):
    engine = private_engine
    archive = tar_of(Dockerfile=b"FROM scratch\nCOPY f /\n", f=b"x" * 200_000)
    size = {"nothing": 0, "half a header": 256, "half a file": 100_000, "all but the end": len(archive) - 1}[sent]
    for is_chunked in (False, True):
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(engine.socket))
            length = "Transfer-Encoding: chunked" if is_chunked else f"Content-Length: {len(archive)}"
            client.sendall(f"POST /build?t=cut HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-tar\r\n{length}\r\n\r\n".encode())
            client.sendall((b"%x\r\n" % len(archive) if is_chunked else b"") + archive[:size])
            time.sleep(0.05)
        wait_until(lambda: not left(engine), what="nothing left of the context")
    assert engine.verify().code == 0
    assert Api(engine.socket).call("GET", "/images/cut/json").status == 404
    answer = Api(engine.socket).call("POST", "/build?t=whole", text=archive, content_type="application/x-tar")
    assert answer.status == 200 and b"Successfully tagged" in answer.data


@pytest.fixture(scope="module")
def swept(build, docker_client, tmp_path_factory):
    engine = SweptEngine(build, build_preload(tmp_path_factory.mktemp("preload")))
    yield engine.prepare()
    engine.remove()


def test_called_off_at_every_call(swept, tmp_path):
    """The engine is held at one of its calls, the client is killed or interrupted, and the engine goes on."""
    engine = swept
    for name, text in (("Dockerfile", DOCKERFILE), ("file", "content")):
        (tmp_path / name).write_text(text)
    words = ["build", "-q", "-t", "built", tmp_path]

    def clean():
        engine.berth("rmi", "-f", "built")
        engine.berth("builder", "prune", "-af", check=True)
        engine.berth("image", "prune", "-f", check=True)
        engine.check_empty()
    before = engine.control.calls
    engine.berth(*words, check=True)
    total = engine.control.calls - before
    clean()
    called_off = 0
    for turn, point in enumerate(spread(total)):
        engine.control.arm(point, hold=True)
        try:
            with client_of(engine, engine.build / "berth", words) as client:
                while client.poll() is None and not engine.control.is_held:
                    time.sleep(0.001)
                client.send_signal(signal.SIGINT if turn % 2 else signal.SIGKILL)
                called_off += client.wait(LIMIT_S) != 0
            engine.control.let_go()
            where = engine.control.where
            engine.control.arm(0)
            wait_until(lambda: not left(engine), what="nothing left of the build")
            assert engine.differences() == []
            engine.berth(*words, check=True)
            said = engine.berth("run", "--rm", "--network", "none", "built", check=True).out
            assert said == "1\n3\n", said
            clean()
        except AssertionError as problem:
            raise AssertionError(f"point {point} of {total}, {where}: {problem}") from problem
    print(f"{POINTS or total} points of {total}, {called_off} called off")
    assert called_off > (POINTS or total) // 2
