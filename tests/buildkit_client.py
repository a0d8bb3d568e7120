"""A client of BuildKit's protocol, small enough to say wrong things on purpose: gRPC over the two upgraded connections, messages by their field numbers."""
import hashlib
import os
import pathlib
import secrets
import shutil
import socket
import stat
import struct
import tempfile
import threading

import grpc

CONTROL = "/moby.buildkit.v1.Control/"
BRIDGE = "/moby.buildkit.v1.frontend.LLBBridge/"
CONTENT = "/containerd.services.content.v1.Content/"
CALL_LIMIT_S = 300

STAT, REQUEST, DATA, END, ERROR = range(5)


# ---- Protocol Buffers ----

def varint(number):
    out = bytearray()
    number &= (1 << 64) - 1
    while True:
        out.append(number & 0x7F | (0x80 if number > 0x7F else 0))
        number >>= 7
        if not number:
            return bytes(out)


def message(*fields):
    """message((1, "text"), (2, 7), (3, b"bytes"), (4, {"key": "value"})): a dictionary is a map."""
    out = b""
    for number, value in fields:
        if isinstance(value, dict):
            for key, item in value.items():
                out += message((number, message((1, key), (2, item))))
        elif isinstance(value, (str, bytes)):
            data = value.encode() if isinstance(value, str) else value
            out += varint(number << 3 | 2) + varint(len(data)) + data
        elif value:
            out += varint(number << 3) + varint(int(value))
    return out


def read_varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def fields(data):
    """Number → list of values: integers, or bytes."""
    out, at = {}, 0
    while at < len(data):
        key, at = read_varint(data, at)
        if key & 7 == 0:
            value, at = read_varint(data, at)
        else:
            assert key & 7 == 2, f"field type {key & 7}"
            size, at = read_varint(data, at)
            value, at = data[at:at + size], at + size
        out.setdefault(key >> 3, []).append(value)
    return out


def text_map(entries):
    return {fields(e).get(1, [b""])[0].decode(): fields(e).get(2, [b""])[0].decode() for e in entries}


# ---- connections ----

def upgrade(engine, path, *headers):
    """A connection that became HTTP/2's, up to the blank line of the answer."""
    made = socket.socket(socket.AF_UNIX)
    made.connect(str(engine.socket))
    lines = [f"POST {path} HTTP/1.1", "Host: x", "Connection: Upgrade", "Upgrade: h2c", *headers, "", ""]
    made.sendall("\r\n".join(lines).encode())
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = made.recv(1)
        assert byte, head
        head += byte
    assert head.startswith(b"HTTP/1.1 101 "), head
    return made


def pump(source, target):
    try:
        while data := source.recv(65536):
            target.sendall(data)
    except OSError:
        pass
    for end in (source, target):
        try:
            end.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


def join(one, other):
    for pair in ((one, other), (other, one)):
        threading.Thread(target=pump, args=pair, daemon=True).start()


class Relay:
    """A socket that gRPC can dial: each connection to it is an upgraded one to the engine."""

    def __init__(self, engine, path):
        self.engine, self.path = engine, path
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen()
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            join(client, upgrade(self.engine, "/grpc"))

    def close(self):
        self.listener.close()


# ---- what a client serves ----

def packet(kind, id=0, data=b"", entry=None):
    return message((1, kind), (2, entry) if entry is not None else (2, 0), (3, id), (4, data))


def go_mode(mode):
    kinds = {stat.S_IFDIR: 1 << 31, stat.S_IFLNK: 1 << 27, stat.S_IFIFO: 1 << 25, stat.S_IFREG: 0}
    return mode & 0o777 | kinds[stat.S_IFMT(mode)]


def entry_of(path, name):
    info = os.lstat(path)
    link = os.readlink(path) if stat.S_ISLNK(info.st_mode) else ""
    return message((1, name), (2, go_mode(info.st_mode)), (5, info.st_size if stat.S_ISREG(info.st_mode) else 0), (6, info.st_mtime_ns), (7, link))


def walk(root, prefix=""):
    """Entries as the protocol lists them: a directory before its content, names sorted."""
    for name in sorted(os.listdir(root)):
        path = pathlib.Path(root) / name
        yield prefix + name, path
        if path.is_dir() and not path.is_symlink():
            yield from walk(path, f"{prefix}{name}/")


class Session:
    """Files, secrets, agents, credentials, stores of blobs and places for results. 'sent' tells which files were asked for, by the directory's name."""

    def __init__(self, engine, directories, secrets_of=None, key="", agents=(), users=None, stores=None):
        self.stores, self.begun, self.read = stores or {}, {}, []
        self.directories, self.secrets, self.agents, self.users = directories, secrets_of or {}, agents, users or {}
        self.sent, self.received, self.talk = {}, {}, {}
        self.id = secrets.token_hex(12)
        self.place = pathlib.Path(tempfile.mkdtemp(prefix="berth-session-"))
        path = self.place / "session.sock"
        bytes_both = {"request_deserializer": bytes, "response_serializer": bytes}
        self.methods = {
            "/moby.filesync.v1.FileSync/DiffCopy": grpc.stream_stream_rpc_method_handler(self.send_files, **bytes_both),
            "/moby.filesync.v1.FileSend/DiffCopy": grpc.stream_stream_rpc_method_handler(self.take_file, **bytes_both),
            "/moby.sshforward.v1.SSH/CheckAgent": grpc.unary_unary_rpc_method_handler(self.check_agent, **bytes_both),
            "/moby.sshforward.v1.SSH/ForwardAgent": grpc.stream_stream_rpc_method_handler(self.forward_agent, **bytes_both),
            "/moby.filesync.v1.Auth/Credentials": grpc.unary_unary_rpc_method_handler(self.get_credentials, **bytes_both),
            "/moby.buildkit.secrets.v1.Secrets/GetSecret": grpc.unary_unary_rpc_method_handler(self.get_secret, **bytes_both),
            CONTENT + "Read": grpc.unary_stream_rpc_method_handler(self.read_blob, **bytes_both),
            CONTENT + "Write": grpc.stream_stream_rpc_method_handler(self.write_blob, **bytes_both),
            CONTENT + "Abort": grpc.unary_unary_rpc_method_handler(self.abort_blob, **bytes_both),
        }
        self.server = grpc.server(threads(), handlers=[self])
        self.server.add_insecure_port(f"unix:{path}")
        self.server.start()
        headers = [f"X-Docker-Expose-Session-Uuid: {self.id}", "X-Docker-Expose-Session-Name: test", f"X-Docker-Expose-Session-Sharedkey: {key}",
                   *(f"X-Docker-Expose-Session-Grpc-Method: {method}" for method in self.methods)]
        self.connection = upgrade(engine, "/session", *headers)
        ours = socket.socket(socket.AF_UNIX)
        ours.connect(str(path))
        join(self.connection, ours)

    def service(self, details):
        return self.methods.get(details.method)

    def close(self):
        try:
            self.connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.server.stop(None)
        shutil.rmtree(self.place)

    def send_files(self, requests, context):
        given = dict(context.invocation_metadata())
        name, wanted = given["dir-name"], [v for k, v in context.invocation_metadata() if k == "followpaths"]
        if name in self.talk:  # a test that says something of its own
            yield from self.talk[name](requests)
            return
        if name not in self.directories:
            context.abort(grpc.StatusCode.NOT_FOUND, f"no access allowed to dir {name}")
        root, paths = self.directories[name], []
        for entry, path in walk(root):
            if wanted and entry.split("/")[0] not in wanted:
                continue
            paths.append(path)
            yield packet(STAT, entry=entry_of(path, entry))
        yield packet(STAT)
        sent = self.sent.setdefault(name, [])
        for request in map(fields, requests):
            kind = request.get(1, [0])[0]
            if kind == END:
                yield packet(END)
                return
            id = request.get(3, [0])[0]
            sent.append(str(paths[id].relative_to(root)))
            yield packet(DATA, id, paths[id].read_bytes())
            yield packet(DATA, id)

    def take_file(self, requests, context):
        place = dict(context.invocation_metadata())["buildkit-attachable-exporter-id"]
        self.received[place] = b"".join(fields(request)[1][0] for request in requests)
        return iter(())

    def get_secret(self, request, context):
        name = fields(request)[1][0].decode()
        if name not in self.secrets:
            context.abort(grpc.StatusCode.NOT_FOUND, f"secret {name} not found")
        return message((1, self.secrets[name]))


    def check_agent(self, request, context):
        name = fields(request)[1][0].decode()
        if name not in self.agents:
            context.abort(grpc.StatusCode.UNKNOWN, f"unset ssh forward key {name}")
        return b""

    def forward_agent(self, requests, context):
        """Says back in capitals what it hears."""
        self.talk["agent"] = dict(context.invocation_metadata())["buildkit.ssh.id"]
        for request in requests:
            yield message((1, fields(request).get(1, [b""])[0].upper()))

    def get_credentials(self, request, context):
        name, secret = self.users.get(fields(request)[1][0].decode(), ("", ""))
        return message((1, name), (2, secret))


    # Stores: digest → bytes, by the store's name; 'begun' are blobs on their way, 'read' digests that were asked for.

    def store(self, context):
        name = dict(context.invocation_metadata())["buildkit-attachable-store-id"]
        if name not in self.stores:
            context.abort(grpc.StatusCode.NOT_FOUND, f"unknown store {name}")
        return self.stores[name]

    def read_blob(self, request, context):
        blobs, digest = self.store(context), fields(request)[1][0].decode()
        self.read.append(digest)
        if digest not in blobs:
            context.abort(grpc.StatusCode.NOT_FOUND, f"content {digest}: not found")
        for at in range(0, len(blobs[digest]), 50000):
            yield message((1, at), (2, blobs[digest][at:at + 50000]))

    def write_blob(self, requests, context):
        blobs = self.store(context)
        for request in map(fields, requests):
            action, ref, total, digest = request.get(1, [0])[0], request[2][0].decode(), request[3][0], request[4][0].decode()
            if digest in blobs:
                context.abort(grpc.StatusCode.ALREADY_EXISTS, f"content {digest}: already exists")
            have = self.begun.setdefault(ref, bytearray())
            if action and request.get(5, [0])[0] != len(have):
                context.abort(grpc.StatusCode.OUT_OF_RANGE, "not where it ended")
            have += request.get(6, [b""])[0]
            if action == 1 and getattr(self, "is_full", False):
                context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "no space left")
            if action == 2:
                if len(have) != total or digest_of(have) != digest:
                    context.abort(grpc.StatusCode.FAILED_PRECONDITION, "unexpected commit digest")
                blobs[digest] = bytes(self.begun.pop(ref))
            yield message((1, action), (4, len(have)))

    def abort_blob(self, request, context):
        self.begun.pop(fields(request)[1][0].decode())
        return b""


def digest_of(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def threads():
    from concurrent import futures
    return futures.ThreadPoolExecutor(8)


# ---- builds ----

class Failure(Exception):
    def __init__(self, error):
        super().__init__(error.details())
        self.code, self.text = error.code(), error.details()
        data = dict(error.trailing_metadata() or ()).get("grpc-status-details-bin", b"")
        self.details = {fields(any_)[1][0].decode(): fields(any_)[2][0] for any_ in fields(data).get(3, [])}


class Client:
    def __init__(self, engine):
        self.engine = engine
        self.place = pathlib.Path(tempfile.mkdtemp(prefix="berth-grpc-"))
        self.relay = Relay(engine, self.place / "grpc.sock")
        self.channel = grpc.insecure_channel(f"unix:{self.place}/grpc.sock")
        self.sessions = []

    def close(self):
        for session in self.sessions:
            session.close()
        self.channel.close()
        self.relay.close()
        shutil.rmtree(self.place)

    def session(self, directories, **options):
        self.sessions.append(Session(self.engine, directories, **options))
        return self.sessions[-1]

    def call(self, path, request=b"", metadata=()):
        try:
            return self.channel.unary_unary(path)(request, timeout=CALL_LIMIT_S, metadata=metadata)
        except grpc.RpcError as error:
            raise Failure(error) from None

    def begin(self, session, attributes, exporters=(), ref=None, entitlements=(), caches=()):
        """A build under way: its reference and the call."""
        ref = ref or secrets.token_hex(12)
        outputs = [(13, message((1, kind), (2, options))) for kind, options in exporters]
        request = message((1, ref), (5, session.id), (6, "dockerfile.v0"), (7, attributes), *((9, e) for e in entitlements), *outputs,
                          (8, message(*((4, message((1, kind), (2, options))) for kind, options in caches))))
        return ref, self.channel.unary_unary(CONTROL + "Solve").future(request, timeout=CALL_LIMIT_S)

    def build(self, session, attributes=None, exporters=(), **options):
        """The answer's texts, and the progress."""
        ref, call = self.begin(session, attributes or {}, exporters, **options)
        progress = Progress(self.channel.unary_stream(CONTROL + "Status")(message((1, ref)), timeout=CALL_LIMIT_S))
        try:
            return text_map(fields(call.result()).get(1, [])), progress
        except grpc.RpcError as error:
            failure = Failure(error)
            failure.progress = progress
            raise failure from None


class Progress:
    def __init__(self, stream):
        self.steps, self.output, self.warnings = {}, {}, []
        for part in map(fields, stream):
            for vertex in map(fields, part.get(1, [])):
                self.steps[vertex[1][0]] = vertex
            for log in map(fields, part.get(3, [])):
                self.output[log[1][0]] = self.output.get(log[1][0], b"") + log[4][0]
            self.warnings += [fields(w)[3][0].decode() for w in part.get(4, [])]

    def names(self):
        return [vertex[3][0].decode() for vertex in self.steps.values()]

    def find(self, part):
        return next(vertex for vertex in self.steps.values() if part in vertex[3][0].decode())

    def said(self, part):
        return self.output.get(self.find(part)[1][0], b"").decode()


def raw_frame(kind, flags, stream, payload):
    """A frame of HTTP/2, for those who want to say it wrong."""
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload
