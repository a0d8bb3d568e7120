"""The API spoken by hand: one connection per call over the unix socket, nothing between the test and the bytes."""
import http.client
import json
import re
import socket
import urllib.parse

CALL_LIMIT_S = 300


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=CALL_LIMIT_S)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self.path))


class Answer:
    def __init__(self, status, headers, data):
        self.status, self.headers, self.data = status, headers, data
        self.content_type = headers.get("Content-Type")

    @property
    def json(self):
        return json.loads(self.data) if self.data else None

    def __repr__(self):
        return f"Answer({self.status}, {self.content_type}, {self.data[:500]!r})"


class Api:
    def __init__(self, socket_path, version="1.51"):
        self.socket_path, self.version = socket_path, version

    def begin(self, method, path, body=None, text=None, content_type="application/json", version=None):
        """A call whose answer has begun to come: the connection and http.client's response, whose rest read() waits for."""
        connection = UnixConnection(self.socket_path)
        data = json.dumps(body) if body is not None else text
        connection.putrequest(method, f"/v{version or self.version}" + quote(path), skip_accept_encoding=True)
        data = data.encode() if isinstance(data, str) else data
        if data is not None:
            connection.putheader("Content-Type", content_type)
        if data is not None or method in ("POST", "PUT"):
            connection.putheader("Content-Length", str(len(data or b"")))
        connection.endheaders(data)
        return connection, connection.getresponse()

    def call(self, method, path, body=None, **options):
        """body is sent as JSON; text (or bytes) as it is, with content_type; without either nothing is sent."""
        connection, response = self.begin(method, path, body, **options)
        answer = Answer(response.status, dict(response.headers), response.read())
        connection.close()
        return answer

    def do(self, method, path, body=None, **options):
        """A call that has to succeed; its JSON."""
        answer = self.call(method, path, body, **options)
        assert answer.status < 400, f"{method} {path}: {answer}"
        return answer.json if "json" in (answer.content_type or "") and answer.data.count(b"\n") < 2 else None


def quote(path):
    return urllib.parse.quote(path, safe="/?&=:%+,@")


def shape(value):
    """What is left of a JSON value when only its keys and types count. An array keeps its distinct elements, in no order."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        return "int"
    if isinstance(value, float):
        return "number"
    if isinstance(value, str):
        return "string"
    if isinstance(value, dict):
        return {anonymous(key): shape(item) for key, item in value.items()}
    distinct = []
    for item in map(shape, value):
        if item not in distinct:
            distinct.append(item)
    return sorted(distinct, key=json.dumps)


def anonymous(text):
    """Ids of this run are no part of a shape or of a message."""
    text = re.sub(r"\b[0-9a-f]{64}\b", "<id>", text)
    return re.sub(r"\b[0-9a-f]{12}\b", "<short>", text)


def differences(wanted, got, where=""):
    """The differences of two shapes as lines: 'where: what'. Empty if none."""
    here = where or "answer"
    if isinstance(wanted, dict) and isinstance(got, dict):
        lines = [f"{here}: lacks {key}" for key in wanted if key not in got]
        lines += [f"{here}: has {key}" for key in got if key not in wanted]
        both = [key for key in wanted if key in got]
        if both != [key for key in got if key in wanted]:
            lines.append(f"{here}: order of keys")
        for key in both:
            lines += differences(wanted[key], got[key], f"{where}.{key}" if where else key)
        return lines
    if isinstance(wanted, list) and isinstance(got, list) and len(wanted) == len(got):
        lines = []
        for index, (one, other) in enumerate(zip(wanted, got)):
            lines += differences(one, other, f"{where}[{index}]")
        return lines
    if isinstance(wanted, list) and isinstance(got, list):
        return [f"{here}: lacks an element {brief(item)}" for item in wanted if item not in got] + \
               [f"{here}: has an element {brief(item)}" for item in got if item not in wanted]
    if wanted == got:
        return []
    return [f"{here}: {brief(got)} instead of {brief(wanted)}"]


def brief(value):
    return value if isinstance(value, str) else json.dumps(value)
