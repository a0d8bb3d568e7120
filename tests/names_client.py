"""A small DNS client that asks from inside a container's network namespace, and a small server to be asked."""
import contextlib
import json
import socket
import struct
import subprocess
import threading

TYPES = {"A": 1, "PTR": 12, "MX": 15, "AAAA": 28, "SRV": 33}

# Runs on the host's python in the container's network namespace; prints a JSON list of answers.
SCRIPT = r"""
import json, socket, struct, sys
def receive(s, count):
    data = b""
    while len(data) < count:
        piece = s.recv(count - len(data))
        if not piece:
            raise OSError("connection ended")
        data += piece
    return data
found = []
for query in json.loads(sys.argv[1]):
    payload = bytes.fromhex(query["bytes"])
    try:
        if query["tcp"]:
            with socket.create_connection(("127.0.0.11", 53), timeout=60) as s:
                s.sendall(struct.pack("!H", len(payload)) + payload)
                answer = receive(s, struct.unpack("!H", receive(s, 2))[0])
        else:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
                s.settimeout(60)
                s.connect(("127.0.0.11", 53))
                s.send(payload)
                answer = s.recv(65535)
        found.append(answer.hex())
    except OSError as problem:
        found.append("!" + repr(problem))
print(json.dumps(found))
"""


def encode_name(name):
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".") if label) + b"\0"


def encode_query(name, kind="A", number=0x4242, edns=0):
    head = struct.pack("!6H", number, 0x0100, 1, 0, 0, 1 if edns else 0)
    option = b"\0" + struct.pack("!HHIH", 41, edns, 0, 0) if edns else b""
    return head + encode_name(name) + struct.pack("!2H", TYPES[kind], 1) + option


def read_name(data, at):
    labels, end = [], None
    while True:
        length = data[at]
        if length >= 0xC0:
            end = end or at + 2
            at = struct.unpack_from("!H", data, at)[0] & 0x3FFF
        elif length == 0:
            return ".".join(labels), end or at + 1
        else:
            labels.append(data[at + 1:at + 1 + length].decode())
            at += 1 + length


class Answer:
    """code, is_cut, and values: addresses as text, names of PTR."""

    def __init__(self, data):
        self.number, flags, _, count, _, _ = struct.unpack_from("!6H", data)
        self.code, self.is_cut, self.size = flags & 15, bool(flags & 0x0200), len(data)
        self.values = []
        _, at = read_name(data, 12)
        at += 4
        for _ in range(count):
            _, at = read_name(data, at)
            kind, _, self.ttl, size = struct.unpack_from("!HHIH", data, at)
            at += 10
            if kind == TYPES["A"]:
                self.values.append(socket.inet_ntop(socket.AF_INET, data[at:at + size]))
            elif kind == TYPES["AAAA"]:
                self.values.append(socket.inet_ntop(socket.AF_INET6, data[at:at + size]))
            elif kind == TYPES["PTR"]:
                self.values.append(read_name(data, at)[0])
            else:
                self.values.append(data[at:at + size])
            at += size


def ask_many(pid, queries):
    """queries: (name, kind, tcp, edns) each; gives Answers, or texts of what went wrong."""
    asked = [{"bytes": encode_query(name, kind, edns=edns).hex(), "tcp": tcp} for name, kind, tcp, edns in queries]
    done = subprocess.run(["nsenter", "-t", str(pid), "-n", "/usr/bin/python3", "-c", SCRIPT, json.dumps(asked)],
                          capture_output=True, text=True, timeout=300, check=True)
    return [text if text.startswith("!") else Answer(bytes.fromhex(text)) for text in json.loads(done.stdout)]


def ask(pid, name, kind="A", tcp=False, edns=0):
    answer = ask_many(pid, [(name, kind, tcp, edns)])[0]
    assert isinstance(answer, Answer), answer
    return answer


class Server:
    """Answers every A query with one address by UDP and TCP, and remembers what it was asked."""

    def __init__(self, host, address="198.51.100.7"):
        self.address, self.asked, self.ports, self.numbers = address, [], [], []
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind((host, 53))
        self.tcp = socket.create_server((host, 53))
        for serve in (self.serve_udp, self.serve_tcp):
            threading.Thread(target=serve, daemon=True).start()

    def reply(self, query):
        name, end = read_name(query, 12)
        kind = struct.unpack_from("!H", query, end)[0]
        self.asked.append((name, kind))
        self.numbers.append(struct.unpack_from("!H", query)[0])
        answers = b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 5, 4) + socket.inet_aton(self.address) if kind == 1 else b""
        return query[:2] + struct.pack("!5H", 0x8180, 1, 1 if answers else 0, 0, 0) + query[12:end + 4] + answers

    def serve_udp(self):
        while True:
            try:
                query, client = self.udp.recvfrom(4096)
            except OSError:
                return
            if not client:  # shut down
                return
            self.ports.append(client[1])
            answer = self.reply(query)
            try:
                self.udp.sendto(answer, client)
            except OSError:
                return

    def serve_tcp(self):
        while True:
            try:
                connection, _ = self.tcp.accept()
            except OSError:
                return
            with connection, contextlib.suppress(OSError):
                size = connection.recv(2)
                if len(size) == 2:  # else the asker left
                    answer = self.reply(connection.recv(struct.unpack("!H", size)[0]))
                    connection.sendall(struct.pack("!H", len(answer)) + answer)

    def close(self):
        """A call that waits holds its socket, and the port, until it is woken."""
        for s in (self.udp, self.tcp):
            with contextlib.suppress(OSError):
                s.shutdown(socket.SHUT_RDWR)
            s.close()
