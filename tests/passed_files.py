"""The client's side of src/spec/passed_file.h: files into containers and out of them as descriptors over the engine's unix socket."""
import contextlib
import json
import os
import socket

from raw_api import Answer, quote

LEAST = 1 << 20  # of a file that is passed on its way out
HEAD_LIMIT = 64 * 1024
LIMIT_S = 60


def ask(api, method, path):
    """An upgrade asked for: the socket, and the head of the answer as status and headers."""
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(LIMIT_S)
    connection.connect(str(api.socket_path))
    connection.sendall(f"{method} /v{api.version}{quote(path)} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: Upgrade\r\n"
                       "Upgrade: berth-file\r\n\r\n".encode())
    head = b""
    while not head.endswith(b"\r\n\r\n"):  # not a byte more: what follows has a descriptor with it
        byte = connection.recv(1)
        assert byte and len(head) < HEAD_LIMIT, head
        head += byte
    lines = head.decode().split("\r\n")
    return connection, int(lines[0].split()[1]), dict(line.split(": ", 1) for line in lines[1:] if line)


def read_rest(connection):
    data = b""
    while block := connection.recv(65536):
        data += block
    return data


def put_file(api, container, path, name, descriptor, query=""):
    """What the engine says to a file for a directory, as PUT would be answered; None passes no descriptor."""
    connection, status, headers = ask(api, "POST", f"/containers/{container}/archive?path={path}&name={name}{query}")
    with connection:
        if status != 101:
            return Answer(status, headers, connection.recv(int(headers.get("Content-Length", 0))))
        if descriptor is None:
            connection.sendall(b"f")
        else:
            socket.send_fds(connection, [b"f"], [descriptor])
        answer = json.loads(read_rest(connection))
        return Answer(answer["Status"], {}, json.dumps({"message": answer["Message"]}).encode())


@contextlib.contextmanager
def file_of(api, container, path):
    """A file of a container, open as the engine passes it; None where it answers otherwise."""
    connection, status, _headers = ask(api, "GET", f"/containers/{container}/archive?path={path}")
    with connection:
        if status != 101:
            yield None
            return
        data, descriptors, _flags, _address = socket.recv_fds(connection, 1, 1)
        assert (data, len(descriptors)) == (b"f", 1), "an answer without a descriptor"
        with os.fdopen(descriptors[0], "rb") as file:
            yield file
