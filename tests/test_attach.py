"""Attaching to containers: raw, and over websockets; replay, keys, several clients, half-closing, sizes."""
import socket
import struct
import threading

import pytest

websocket = pytest.importorskip("websocket", reason="python3-websocket is installed by tools/install-deps --test")

from engine import wait_until
from raw_api import Api

LIMIT_S = 120


@pytest.fixture
def api(engine):
    return Api(engine.socket)


def upgraded(engine, path):
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(LIMIT_S)
    client.connect(str(engine.socket))
    client.sendall(f"POST /v1.51{path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n".encode())
    head = b""
    while b"\r\n\r\n" not in head:
        head += client.recv(1)
    assert head.startswith(b"HTTP/1.1 101 UPGRADED"), head
    return client


def read_all(client):
    data = b""
    while block := client.recv(65536):
        data += block
    return data


def frame(stream, text):
    return struct.pack(">BxxxL", stream, len(text)) + text


def connect(engine, path, version="1.51", **options):
    plain = socket.socket(socket.AF_UNIX)
    plain.settimeout(LIMIT_S)
    plain.connect(str(engine.socket))
    return websocket.create_connection(f"ws://localhost/v{version}{path}", socket=plain, timeout=LIMIT_S, **options)


def receive_until(client, wanted):
    data = b""
    while wanted not in data:
        opcode, block = client.recv_data()
        assert opcode != websocket.ABNF.OPCODE_CLOSE, data
        data += block
    return data


# ---- raw

def keep_open(api, name, script):
    """With a stdin that does not end with a client; the docker command makes none like it."""
    api.do("POST", f"/containers/create?name={name}", {"Image": "busybox", "Cmd": ["sh", "-c", script], "OpenStdin": True})


def test_many_clients_see_the_same_and_one_may_leave(engine, api, name):
    keep_open(api, name, "read line; echo $line; echo err >&2; read line; echo $line")
    path = f"/containers/{name}/attach?stream=1&stdin=1&stdout=1&stderr=1"
    clients = [upgraded(engine, path) for _ in range(8)]
    engine.docker("start", name, check=True)
    clients[0].sendall(b"one\n")
    first = frame(1, b"one\n") + frame(2, b"err\n")
    for client in clients:
        got = b""
        while len(got) < len(first):
            got += client.recv(len(first) - len(got))
        assert sorted([got[:12], got[12:]]) == sorted([first[:12], first[12:]])
    clients[1].close()
    clients[2].sendall(b"two\n")
    assert [read_all(client) for client in clients[2:]] == [frame(1, b"two\n")] * 6
    assert engine.inspect(name)["State"]["ExitCode"] == 0


def test_replay_of_the_log_comes_first(engine, name):
    engine.docker("run", "-d", "-i", "--name", name, "busybox", "sh", "-c", "echo before; read line; echo after", check=True)
    wait_until(lambda: engine.docker("logs", name).out == "before\n", what="the first line")
    with upgraded(engine, f"/containers/{name}/attach?logs=1&stream=1&stdin=1&stdout=1") as client:
        client.sendall(b"\n")
        assert read_all(client) == frame(1, b"before\n") + frame(1, b"after\n")
    with upgraded(engine, f"/containers/{name}/attach?logs=1&stdout=1") as client:
        assert read_all(client) == frame(1, b"before\n") + frame(1, b"after\n")


@pytest.mark.parametrize("wish", ["stream=1", "stream=1&stdout=0", ""])
def test_whoever_asks_for_nothing_is_not_kept(engine, name, wish):
    engine.docker("run", "-d", "--name", name, "busybox", "sleep", "1000", check=True)
    with upgraded(engine, f"/containers/{name}/attach?{wish}") as client:
        assert read_all(client) == b""
    assert engine.inspect(name)["State"]["Running"]


def test_half_closing_ends_stdin_only(engine, api, name):
    keep_open(api, name, "cat; echo end")
    with upgraded(engine, f"/containers/{name}/attach?stream=1&stdin=1&stdout=1") as client:
        engine.docker("start", name, check=True)
        client.sendall(b"text\n")
        client.shutdown(socket.SHUT_WR)
        got = read_all(client)
    # Without StdinOnce it is the client who leaves; docker run -i sets it.
    assert got in (b"", frame(1, b"text\n"))
    assert engine.inspect(name)["State"]["Running"]
    ran = engine.docker("run", "-i", "--rm", "busybox", "sh", "-c", "cat; echo end", stdin="through\n", check=True)
    assert ran.out == "through\nend\n"


# ---- websockets

def test_websocket_in_both_directions(engine, name):
    engine.docker("run", "-d", "-i", "--name", name, "busybox", "sh", "-c", "cat; echo end", check=True)
    client = connect(engine, f"/containers/{name}/attach/ws?stream=1&stdin=1&stdout=1&stderr=1")
    client.send("text\n")
    client.send_binary(b"\xff\x00\n")
    assert receive_until(client, b"\xff\x00\n") == b"text\n\xff\x00\n", "raw, without heads of streams"
    client.ping("there?")
    frame_in = client.recv_frame()
    assert (frame_in.opcode, frame_in.data) == (websocket.ABNF.OPCODE_PONG, b"there?")
    # A message in pieces, and one that is larger than any buffer.
    large = b"x" * 300_000 + b"\n"
    sender = threading.Thread(target=client.send_binary, args=(large,))
    sender.start()
    assert receive_until(client, b"\n") == large
    sender.join()
    engine.docker("kill", name, check=True)
    opcode, data = client.recv_data(control_frame=True)
    assert opcode == websocket.ABNF.OPCODE_CLOSE and struct.unpack(">H", data[:2])[0] == 1000


def test_websocket_messages_are_text_for_old_clients(engine, name):
    engine.docker("run", "-d", "-i", "--name", name, "busybox", "cat", check=True)
    for version, opcode in (("1.27", websocket.ABNF.OPCODE_TEXT), ("1.28", websocket.ABNF.OPCODE_BINARY)):
        client = connect(engine, f"/containers/{name}/attach/ws?stream=1&stdin=1&stdout=1", version)
        client.send("a\n")
        assert client.recv_data() == (opcode, b"a\n")
        client.close()


def test_websocket_protocol_and_origin(engine, name):
    engine.docker("run", "-d", "--name", name, "busybox", "sleep", "600", check=True)
    path = f"/containers/{name}/attach/ws?stream=1&stdout=1"
    client = connect(engine, path, subprotocols=["chat"], origin="http://elsewhere")
    assert client.subprotocol == "chat"
    client.close()
    assert connect(engine, path).subprotocol is None


def test_websocket_with_a_terminal(engine, api, name):
    engine.docker("run", "-d", "-it", "--name", name, "busybox", "sh", check=True)
    client = connect(engine, f"/containers/{name}/attach/ws?stream=1&stdin=1&stdout=1&detachKeys=ctrl-x,x")
    client.send("echo $((6*7))\r")
    receive_until(client, b"42")
    assert api.call("POST", f"/containers/{name}/resize?h=31&w=97").status == 200
    client.send("stty size\r")
    receive_until(client, b"31 97")
    client.send(b"\x18x".decode())
    while client.recv_data(control_frame=True)[0] != websocket.ABNF.OPCODE_CLOSE:
        pass
    assert engine.inspect(name)["State"]["Running"]


def test_websocket_replays_a_long_log(engine, name):
    engine.docker("run", "--name", name, "busybox", "sh", "-c", "i=0; while [ $i -lt 40000 ]; do echo line $i; i=$((i+1)); done", check=True)
    client = connect(engine, f"/containers/{name}/attach/ws?logs=1&stdout=1")
    data = b""
    while True:
        opcode, block = client.recv_data(control_frame=True)
        if opcode == websocket.ABNF.OPCODE_CLOSE:
            break
        data += block
    assert data == b"".join(b"line %d\n" % i for i in range(40000))


def test_websocket_that_is_none_is_refused(engine, api, name):
    engine.docker("run", "-d", "--name", name, "busybox", "sleep", "600", check=True)
    answer = api.call("GET", f"/containers/{name}/attach/ws?stream=1")
    assert answer.status == 400 and b"not websocket protocol" in answer.data
    with pytest.raises(websocket.WebSocketBadStatusException) as refused:
        connect(engine, "/containers/no-such-one/attach/ws?stream=1")
    assert refused.value.status_code == 404
    with pytest.raises(websocket.WebSocketBadStatusException) as refused:
        connect(engine, f"/containers/{name}/attach/ws?stream=1&detachKeys=zzz")
    assert refused.value.status_code == 400


@pytest.mark.own
def test_websocket_frames_that_no_client_may_send_end_it(engine, name):
    engine.docker("run", "-d", "-i", "--name", name, "busybox", "cat", check=True)
    client = connect(engine, f"/containers/{name}/attach/ws?stream=1&stdin=1&stdout=1")
    client.sock.sendall(b"\x82\x01a")  # not masked
    opcode, data = client.recv_data(control_frame=True)
    assert opcode == websocket.ABNF.OPCODE_CLOSE and struct.unpack(">H", data[:2])[0] == 1002
    assert engine.inspect(name)["State"]["Running"]
