"""Who reaches which port of a container, and as whom: every kind of sender against every kind of port, by TCP and UDP, IPv4 and IPv6.
The other host is a network namespace that is wired to this one and has routes to the containers' networks."""
import json
import subprocess

import pytest

from engine import run, wait_until

pytestmark = pytest.mark.own

WIRE4, OTHER4, WIRE6, OTHER6 = "10.214.77.1", "10.214.77.2", "fd42:214:77::1", "fd42:214:77::2"

# Tells each who asks what address he comes from. Ports by TCP and UDP, both families.
SERVER = r"""
import socket, threading, sys
def tcp(s):
    while True:
        c, peer = s.accept()
        c.sendall(peer[0].replace("::ffff:", "").encode()); c.close()
def udp(s):
    while True:
        _, peer = s.recvfrom(100)
        s.sendto(peer[0].replace("::ffff:", "").encode(), peer)
for port in map(int, sys.argv[1:]):
    for kind, serve in ((socket.SOCK_STREAM, tcp), (socket.SOCK_DGRAM, udp)):
        for family in (socket.AF_INET, socket.AF_INET6):
            s = socket.socket(family, kind)
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            s.bind(("", port))
            if kind == socket.SOCK_STREAM:
                s.listen(16)
            threading.Thread(target=serve, args=(s,), daemon=True).start()
print("ready", flush=True)
threading.Event().wait()
"""

# Asks many at once; prints what each was told, "-" for nothing.
CLIENT = r"""
import json, socket, sys, concurrent.futures
def ask(wish):
    protocol, host, port, patience = wish
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM) as s:
        s.settimeout(patience)
        try:
            s.connect((host, port))
            if protocol == "udp":
                s.send(b"x")
            return s.recv(100).decode() or "-"
        except OSError:
            return "-"
with concurrent.futures.ThreadPoolExecutor(40) as pool:
    print(json.dumps(list(pool.map(ask, json.loads(sys.argv[1])))))
"""


def inside(pid):
    return ["nsenter", "-t", str(pid), "-n"] if pid else []


class World:
    """Networks, containers with servers, and the other host."""

    def __init__(self, engine):
        self.engine, self.servers, self.pids, self.name = engine, [], {}, f"fw-{engine.directory.name[-6:]}"
        self.ports = {}
        engine.docker("network", "create", "--ipv6", "fw-open", check=True)
        engine.docker("network", "create", "--ipv6", "fw-other", check=True)
        engine.docker("network", "create", "--ipv6", "--internal", "fw-inner", check=True)
        engine.docker("network", "create", "--ipv6", "-o", "com.docker.network.bridge.enable_icc=false", "fw-closed", check=True)
        publish = ["-p", "80", "-p", "80/udp", "-p", "127.0.0.1::82", "-p", "127.0.0.1::82/udp"]
        for name, network, options in (("fw-a", "fw-open", publish), ("fw-b", "fw-open", []), ("fw-c", "fw-other", []),
                                       ("fw-i", "fw-inner", publish), ("fw-j", "fw-inner", []), ("fw-n", "fw-closed", publish),
                                       ("fw-m", "fw-closed", [])):
            engine.docker("run", "-d", "--name", name, "--network", network, *options, "busybox", "sleep", "1000", check=True)
            self.pids[name] = engine.inspect(name)["State"]["Pid"]
        self.wire()
        for name in ("fw-a", "fw-i", "fw-n"):
            server = subprocess.Popen([*inside(self.pids[name]), "/usr/bin/python3", "-c", SERVER, "80", "81", "82"],
                                      stdout=subprocess.PIPE)
            self.servers.append(server)
            assert server.stdout.readline() == b"ready\n"

    def wire(self):
        run(["ip", "netns", "add", self.name], check=True)
        end = self.name + "w"
        run(["ip", "link", "add", end, "type", "veth", "peer", "name", "eth0", "netns", self.name], check=True)
        for arguments in (["addr", "add", f"{WIRE4}/24", "dev", end], ["addr", "add", f"{WIRE6}/64", "dev", end, "nodad"],
                          ["link", "set", end, "up"]):
            run(["ip", *arguments], check=True)
        there = ["ip", "-n", self.name]
        for arguments in (["addr", "add", f"{OTHER4}/24", "dev", "eth0"], ["addr", "add", f"{OTHER6}/64", "dev", "eth0", "nodad"],
                          ["link", "set", "lo", "up"], ["link", "set", "eth0", "up"], ["route", "add", "default", "via", WIRE4],
                          ["-6", "route", "add", "default", "via", WIRE6]):
            run([*there, *arguments], check=True)

    def close(self):
        for server in self.servers:
            server.kill()
            server.wait()
        self.engine.docker("rm", "-f", *self.pids)
        run(["ip", "link", "del", self.name + "w"])
        run(["ip", "netns", "del", self.name])
        self.engine.docker("network", "rm", "fw-open", "fw-other", "fw-inner", "fw-closed", check=True)

    def address(self, name, version):
        (endpoint,) = self.engine.inspect(name)["NetworkSettings"]["Networks"].values()
        return endpoint["IPAddress"] if version == 4 else endpoint["GlobalIPv6Address"]

    def gateway(self, network, version):
        pools = json.loads(self.engine.docker("network", "inspect", network).out)[0]["IPAM"]["Config"]
        return pools[0 if version == 4 else 1]["Gateway"]

    def host_port(self, name, port, protocol):
        out = self.engine.docker("port", name, f"{port}/{protocol}").out.split()
        return int(out[0].rsplit(":", 1)[1]) if out else 1

    def ask(self, sender, wishes):
        prefix = ["ip", "netns", "exec", self.name] if sender == "other host" else inside(self.pids.get(sender))
        out = run([*prefix, "/usr/bin/python3", "-c", CLIENT, json.dumps(wishes)], check=True).out
        return json.loads(out)


def rows_of(world, version, protocol):
    """(sender, who that is, what, host, port, expected source)"""
    wire, other = (WIRE4, OTHER4) if version == 4 else (WIRE6, OTHER6)
    loopback = "127.0.0.1" if version == 4 else "::1"
    gate = {n: world.gateway(n, version) for n in ("fw-open", "fw-other", "fw-inner", "fw-closed")}
    at = {n: world.address(n, version) for n in world.pids}
    port = {n: world.host_port(n, 80, protocol) for n in ("fw-a", "fw-n")}
    private = world.host_port("fw-a", 82, protocol)
    local = gate["fw-open"] if version == 4 else "-"  # nothing that has to do with ::1 leaves a host
    return [
        ("other host", "other host", "published", wire, port["fw-a"], other),
        ("host", "host itself", "published", wire, port["fw-a"], wire),
        ("host", "loopback", "published", loopback, port["fw-a"], local),
        ("fw-b", "same network", "published", wire, port["fw-a"], gate["fw-open"]),
        ("fw-c", "other network", "published", wire, port["fw-a"], at["fw-c"]),
        ("fw-a", "hairpin", "published", wire, port["fw-a"], gate["fw-open"]),

        ("other host", "other host", "published, direct", at["fw-a"], 80, "-"),
        ("other host", "other host", "unpublished", at["fw-a"], 81, "-"),
        ("host", "host itself", "unpublished", at["fw-a"], 81, gate["fw-open"]),
        ("host", "loopback", "unpublished", loopback, 81, "-"),
        ("fw-b", "same network", "unpublished", at["fw-a"], 81, at["fw-b"]),
        ("fw-c", "other network", "unpublished", at["fw-a"], 81, "-"),
        ("fw-a", "hairpin", "unpublished", at["fw-a"], 81, at["fw-a"]),

        ("other host", "other host", "on 127.0.0.1", wire, private, "-"),
        ("host", "host itself", "on 127.0.0.1", wire, private, "-"),
        ("host", "loopback", "on 127.0.0.1", loopback, private, local),
        ("fw-b", "same network", "on 127.0.0.1", gate["fw-open"], private, "-"),
        ("fw-c", "other network", "on 127.0.0.1", gate["fw-other"], private, "-"),
        ("fw-a", "hairpin", "on 127.0.0.1", gate["fw-open"], private, "-"),

        ("other host", "other host", "internal", at["fw-i"], 80, "-"),
        ("host", "host itself", "internal", at["fw-i"], 80, gate["fw-inner"]),
        ("fw-j", "same network", "internal", at["fw-i"], 80, at["fw-j"]),
        ("fw-c", "other network", "internal", at["fw-i"], 80, "-"),
        ("fw-i", "from within", "internal", wire, port["fw-a"], "-"),

        ("other host", "other host", "icc=false", wire, port["fw-n"], other),
        ("host", "host itself", "icc=false", at["fw-n"], 81, gate["fw-closed"]),
        ("fw-m", "same network", "icc=false, direct", at["fw-n"], 80, "-"),
        ("fw-m", "same network", "icc=false, published", wire, port["fw-n"], gate["fw-closed"]),
        ("fw-c", "other network", "icc=false, direct", at["fw-n"], 80, "-"),
        ("fw-c", "other network", "icc=false, published", wire, port["fw-n"], at["fw-c"]),
    ]


def expect_all(world):
    """Asks everything, prints what came of it as a table."""
    wrong, lines = [], []
    for version in (4, 6):
        for protocol in ("tcp", "udp"):
            rows = rows_of(world, version, protocol)
            found = {}
            for sender in {row[0] for row in rows}:
                mine = [row for row in rows if row[0] == sender]
                # Who is expected gets time, a silence is believed soon.
                wishes = [(protocol, host, port, 1 if expected == "-" else 8) for *_, host, port, expected in mine]
                found.update(zip(mine, world.ask(sender, wishes)))
            for row in rows:
                line = f"{protocol} v{version} {row[1]:<14}{row[2]:<22}expected {row[5]:<22}observed {found[row]:<22}"
                lines.append(line)
                if found[row] != row[5]:
                    wrong.append(line)
    print("\n" + "\n".join(lines))
    assert not wrong, "\n".join(["", *wrong])


@pytest.fixture(scope="module")
def world(engine):
    made = World(engine)
    yield made
    made.close()
    wait_until(lambda: engine.verify().code == 0, what="nothing left")


def test_who_reaches_what(world):
    expect_all(world)


def test_the_administrator_may_forbid(world):
    """A rule in the table that is his holds, and outlives a restart of the engine's own table."""
    name = "berth_" + json.loads(world.engine.docker("network", "inspect", "bridge").out)[0]["Options"][
        "com.docker.network.bridge.name"].split("-")[1] + "_user"
    port = world.host_port("fw-a", 80, "tcp")
    wish = [["tcp", WIRE4, port, 2]]
    assert world.ask("other host", wish) == [OTHER4]
    run(["nft", "add", "rule", "inet", name, "forward", "ip", "saddr", OTHER4, "tcp", "dport", "80", "drop"], check=True)
    try:
        assert world.ask("other host", wish) == ["-"]
        run(["nft", "delete", "table", "inet", name.removesuffix("_user")], check=True)
        wait_until(lambda: world.engine.verify().code == 0, what="our own table coming back")
        assert world.ask("other host", wish) == ["-"] and world.ask("fw-c", wish) != ["-"]
    finally:
        run(["nft", "flush", "chain", "inet", name, "forward"], check=True)
    assert world.ask("other host", wish) == [OTHER4]
