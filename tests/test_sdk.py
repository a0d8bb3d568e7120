"""Docker's Python SDK as an outside judge."""
import io
import socket
import tarfile
import time

import pytest

from engine import LIMIT_S

docker = pytest.importorskip("docker", reason="python3-docker is installed by tools/install-deps --test")


@pytest.fixture(scope="module")
def sdk(engine):
    client = engine.sdk()
    yield client
    client.close()


def test_version_and_info(sdk):
    assert sdk.version()["ApiVersion"] == "1.51" or not sdk.version()["Version"].startswith("0.")
    assert sdk.info()["OSType"] == "linux"
    assert sdk.ping()


def test_run_returns_output(sdk):
    assert sdk.containers.run("busybox", ["echo", "hi"], remove=True) == b"hi\n"


def test_failing_command_raises(sdk):
    with pytest.raises(docker.errors.ContainerError) as raised:
        sdk.containers.run("busybox", ["sh", "-c", "echo bad >&2; exit 3"], remove=True)
    assert raised.value.exit_status == 3


def test_unknown_image_is_not_found(sdk):
    with pytest.raises(docker.errors.ImageNotFound):
        sdk.images.get("no-such-image")
    with pytest.raises(docker.errors.NotFound):
        sdk.containers.get("no-such-container")


def test_lifecycle(sdk):
    container = sdk.containers.create("busybox", ["sleep", "300"], labels={"a": "b"}, environment=["X=1"], hostname="box")
    try:
        container.start()
        container.reload()
        assert container.status == "running" and container.labels == {"a": "b"}
        code, output = container.exec_run(["sh", "-c", "echo $X $(hostname); exit 4"])
        assert (code, output) == (4, b"1 box\n")
        code, (out, err) = container.exec_run(["sh", "-c", "echo o; echo e >&2"], demux=True)
        assert (out, err) == (b"o\n", b"e\n")
        assert container in sdk.containers.list(filters={"label": "a=b"})
        container.pause()
        container.reload()
        assert container.status == "paused"
        container.unpause()
        container.rename("sdk-renamed")
        assert sdk.containers.get("sdk-renamed").id == container.id
        container.stop(timeout=0)
        assert container.wait()["StatusCode"] == 137
    finally:
        container.remove(force=True)


def test_output_of_a_fast_exec_is_not_lost(sdk):
    """The SDK reads the head through a buffer and the output past it: what comes along with the head would be gone."""
    container = sdk.containers.run("busybox", ["sleep", "300"], detach=True)
    try:
        for _ in range(40):
            assert container.exec_run(["sh", "-c", "echo o; echo e >&2"], demux=True) == (0, (b"o\n", b"e\n"))
    finally:
        container.remove(force=True)


def test_attach_socket(sdk):
    container = sdk.containers.create("busybox", ["cat"], stdin_open=True)
    try:
        socket = container.attach_socket(params={"stdin": 1, "stdout": 1, "stream": 1})
        container.start()
        socket._sock.sendall(b"over the socket\n")
        received = b""
        while b"over the socket\n" not in received:
            received += socket._sock.recv(4096)
        assert received[:1] == b"\x01"
    finally:
        container.remove(force=True)


def test_log_stream(sdk):
    container = sdk.containers.run("busybox", ["sh", "-c", "seq 5"], detach=True)
    try:
        assert b"".join(container.logs(stream=True, follow=True)) == b"1\n2\n3\n4\n5\n"
        assert container.logs(tail=2) == b"4\n5\n"
    finally:
        container.remove(force=True)


def test_build(sdk):
    context = io.BytesIO()
    with tarfile.open(fileobj=context, mode="w") as tar:
        text = b"FROM busybox\nRUN echo sdk > /made\n"
        info = tarfile.TarInfo("Dockerfile")
        info.size = len(text)
        tar.addfile(info, io.BytesIO(text))
    context.seek(0)
    image, lines = sdk.images.build(fileobj=context, custom_context=True, tag="sdk-built", rm=True)
    assert any("Successfully built" in line.get("stream", "") for line in lines)
    assert sdk.containers.run("sdk-built", ["cat", "/made"], remove=True) == b"sdk\n"
    assert "sdk-built:latest" in image.tags
    sdk.images.remove("sdk-built")


def test_volumes_and_networks(sdk):
    volume = sdk.volumes.create("sdk-volume", labels={"k": "v"})
    assert sdk.volumes.get("sdk-volume").attrs["Labels"] == {"k": "v"}
    assert volume.name in [v.name for v in sdk.volumes.list()]
    volume.remove()
    assert {"bridge", "host", "none"} <= {n.name for n in sdk.networks.list()}


def test_events(sdk):
    import time
    since = int(time.time()) - 1
    sdk.containers.run("busybox", ["true"], remove=True)
    seen = [e["Action"] for e in sdk.events(since=since, until=int(time.time()) + 1, decode=True) if e["Type"] == "container"]
    assert "start" in seen and "die" in seen


@pytest.mark.own
def test_output_never_comes_together_with_the_head(engine, sdk):
    """The SDK loses what it reads together with an answer's head: a client that is slow to look must find the head alone."""
    container = sdk.containers.run("busybox", ["sleep", "300"], detach=True)
    try:
        for _ in range(5):
            created = sdk.api.exec_create(container.id, ["echo", "output"])["Id"]
            body = b'{"Detach":false,"Tty":false}'
            with socket.socket(socket.AF_UNIX) as s:
                s.settimeout(LIMIT_S)
                s.connect(str(engine.socket))
                s.sendall(b"POST /v1.51/exec/%s/start HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n"
                          b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (created.encode(), len(body), body))
                time.sleep(0.1)
                head = s.recv(65536)
                assert head.startswith(b"HTTP/1.1 101 UPGRADED\r\n") and head.endswith(b"\r\n\r\n"), head
                assert s.recv(65536).endswith(b"output\n")
    finally:
        container.remove(force=True)
