"""Who reaches which port of a container, and as whom: every kind of sender against every kind of port, by TCP and UDP, IPv4 and IPv6, in
both modes of the firewall. The other host is a network namespace that is wired to this one and has routes to the containers' networks.
This host's input lets in nothing from there and from the containers but some published ports."""
import concurrent.futures
import json
import subprocess

import pytest

import engine as engines
from engine import run, wait_until

pytestmark = pytest.mark.own

NET4, NET6 = f"10.{engines.address_block()}", f"fd42:{engines.address_block()}"

NETWORKS = ["fw-open", "fw-other", "fw-inner", "fw-closed", "fw-six", "fw-routed", "fw-bare", "fw-trust"]

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
with concurrent.futures.ThreadPoolExecutor(60) as pool:
    print(json.dumps(list(pool.map(ask, json.loads(sys.argv[1])))))
"""


def inside(pid):
    return ["nsenter", "-t", str(pid), "-n"] if pid else []


class World:
    """Networks, containers with servers, the other host, and rules for this host's input."""

    def __init__(self, engine, number):
        self.wire4, self.other4 = f"{NET4}.{number}.1", f"{NET4}.{number}.2"
        self.wire6, self.other6 = f"{NET6}:{number}::1", f"{NET6}:{number}::2"
        self.source4, self.source6 = f"{NET4}.{number}.3", f"{NET6}:{number}::3"
        self.engine, self.servers, self.pids, self.name = engine, [], {}, f"fw-{engine.directory.name[-6:]}"
        mode = "com.docker.network.bridge.gateway_mode_ipv"
        for network, options in (("fw-open", []), ("fw-other", []), ("fw-inner", ["--internal"]),
                                 ("fw-closed", ["-o", "com.docker.network.bridge.enable_icc=false"]),
                                 ("fw-routed", ["-o", f"{mode}4=routed", "-o", f"{mode}6=routed"]),
                                 ("fw-six", ["--ipv4=false"]),
                                 ("fw-trust", ["-o", f"com.docker.network.host_ipv4={self.source4}",
                                               "-o", f"com.docker.network.host_ipv6={self.source6}",
                                               "-o", f"com.docker.network.bridge.trusted_host_interfaces={self.name}w:nowhere0"]),
                                 ("fw-bare", ["-o", f"{mode}4=nat-unprotected", "-o", f"{mode}6=nat-unprotected"])):
            engine.berth("network", "create", "--ipv6", *options, network, check=True)  # Debian's docker client knows no --ipv4
        publish = ["-p", "80", "-p", "80/udp", "-p", "127.0.0.1::82", "-p", "127.0.0.1::82/udp", "-p", "83", "-p", "83/udp"]
        for name, network, options in (("fw-a", "fw-open", publish), ("fw-b", "fw-open", []), ("fw-c", "fw-other", []),
                                       ("fw-i", "fw-inner", publish), ("fw-j", "fw-inner", []), ("fw-n", "fw-closed", publish),
                                       ("fw-m", "fw-closed", []), ("fw-s", "fw-six", ["-p", "80", "-p", "80/udp"]), ("fw-t", "fw-six", []), ("fw-h", "fw-trust", publish[:4] + ["-p", "127.0.0.1::80"]),
                                       ("fw-r", "fw-routed", publish[:4]), ("fw-u", "fw-bare", [])):
            engine.docker("run", "-d", "--name", name, "--network", network, *options, "busybox", "sleep", "1000", check=True)
            self.pids[name] = engine.inspect(name)["State"]["Pid"]
        self.add_wire()
        self.restrict_input()
        for name in ("fw-a", "fw-i", "fw-n", "fw-s", "fw-h", "fw-r", "fw-u", None):
            where = inside(self.pids[name]) if name else ["ip", "netns", "exec", self.name]
            server = subprocess.Popen([*where, "/usr/bin/python3", "-c", SERVER, "80", "81", "82", "83"], stdout=subprocess.PIPE)
            self.servers.append(server)
            assert server.stdout.readline() == b"ready\n"

    def add_wire(self):
        run(["ip", "netns", "add", self.name], check=True)
        end = self.name + "w"
        run(["ip", "link", "add", end, "type", "veth", "peer", "name", "eth0", "netns", self.name], check=True)
        for arguments in (["addr", "add", f"{self.wire4}/24", "dev", end], ["addr", "add", f"{self.wire6}/64", "dev", end, "nodad"],
                          ["addr", "add", f"{self.source4}/24", "dev", end],
                          ["addr", "add", f"{self.source6}/128", "dev", end, "nodad", "preferred_lft", "0"],
                          ["link", "set", end, "up"]):
            run(["ip", *arguments], check=True)
        there = ["ip", "-n", self.name]
        for arguments in (["addr", "add", f"{self.other4}/24", "dev", "eth0"], ["addr", "add", f"{self.other6}/64", "dev", "eth0", "nodad"],
                          ["link", "set", "lo", "up"], ["link", "set", "eth0", "up"], ["route", "add", "default", "via", self.wire4],
                          ["-6", "route", "add", "default", "via", self.wire6]):
            run([*there, *arguments], check=True)

    def restrict_input(self):
        """What a careful administrator would have, for the links of this test only."""
        links = [self.name + "w"] + [network["Id"] for network in json.loads(self.engine.docker(
            "network", "inspect", *NETWORKS).out)]
        links = ", ".join('"' + (link if link == links[0] else "br-" + link[:12]) + '"' for link in links)
        ports = ", ".join(str(port) for port in sorted({self.host_port(name, 80, protocol) for name in ("fw-a", "fw-n", "fw-s")
                                                        for protocol in ("tcp", "udp")}))
        run(["nft", "-f", "-"], stdin=f"""table inet {self.name} {{
            chain input {{ type filter hook input priority filter;
                iifname != {{ {links} }} accept
                ct state established,related accept
                meta l4proto {{ icmp, icmpv6 }} accept
                tcp dport {{ {ports} }} accept
                udp dport {{ {ports} }} accept
                drop
            }}
            }}""", check=True)

    def close(self):
        for server in self.servers:
            server.kill()
            server.wait()
        self.engine.docker("rm", "-f", *self.pids)
        run(["nft", "delete", "table", "inet", self.name])
        run(["ip", "link", "del", self.name + "w"])
        run(["ip", "netns", "del", self.name])
        self.engine.docker("network", "rm", *NETWORKS, check=True)

    def address(self, name, version):
        (endpoint,) = self.engine.inspect(name)["NetworkSettings"]["Networks"].values()
        return endpoint["IPAddress"] if version == 4 else endpoint["GlobalIPv6Address"]

    def gateway(self, network, version):
        pools = json.loads(self.engine.docker("network", "inspect", network).out)[0]["IPAM"]["Config"]
        return [pool["Gateway"] for pool in pools if (":" in pool["Gateway"]) == (version == 6)][0]

    def host_port(self, name, port, protocol):
        out = self.engine.docker("port", name, f"{port}/{protocol}").out.split()
        return int(out[0].rsplit(":", 1)[1]) if out else 1

    def ask(self, sender, wishes):
        prefix = ["ip", "netns", "exec", self.name] if sender == "other host" else inside(self.pids.get(sender))
        out = run([*prefix, "/usr/bin/python3", "-c", CLIENT, json.dumps(wishes)], check=True).out
        return json.loads(out)


def rows_of(world, version, protocol, is_strict):
    """(sender, who that is, what, host, port, expected source)"""
    wire, other = (world.wire4, world.other4) if version == 4 else (world.wire6, world.other6)
    loopback = "127.0.0.1" if version == 4 else "::1"
    gate = {n: world.gateway(n, version) for n in NETWORKS if version == 6 or n != "fw-six"}
    at = {n: world.address(n, version) for n in world.pids}
    port = {n: world.host_port(n, 80, protocol) for n in ("fw-a", "fw-n", "fw-s")}
    private, closed = world.host_port("fw-a", 82, protocol), world.host_port("fw-a", 83, protocol)
    local = gate["fw-open"] if version == 4 else "-"  # nothing that has to do with ::1 leaves a host
    rows = [
        # IPv6 only: what is published is there by that family, and nothing by the other.
        ("other host", "other host", "IPv6 only, published", wire, port["fw-s"], other if version == 6 else "-"),
        ("host", "host itself", "IPv6 only, published", wire, port["fw-s"], wire if version == 6 else "-"),
        ("fw-c", "other network", "IPv6 only, published", wire, port["fw-s"], at["fw-c"] if version == 6 else "-"),
    ]
    if version == 6:
        rows += [
            ("other host", "other host", "IPv6 only, unpublished", at["fw-s"], 81, "-"),
            ("host", "host itself", "IPv6 only, unpublished", at["fw-s"], 81, gate["fw-six"]),
            ("fw-t", "same network", "IPv6 only, published", wire, port["fw-s"], gate["fw-six"]),
            ("fw-t", "same network", "IPv6 only, unpublished", at["fw-s"], 81, at["fw-t"]),
            ("fw-s", "hairpin", "IPv6 only, published", wire, port["fw-s"], gate["fw-six"]),
            ("fw-s", "out", "from IPv6 only", other, 80, wire),
        ]
    return rows + [
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

        # Published, but nothing that the rules for this host's input would let in.
        ("other host", "other host", "closed by input", wire, closed, "-" if is_strict else other),
        ("host", "host itself", "closed by input", wire, closed, wire),
        ("host", "loopback", "closed by input", loopback, closed, local),
        ("fw-b", "same network", "closed by input", wire, closed, "-" if is_strict else gate["fw-open"]),
        ("fw-c", "other network", "closed by input", wire, closed, "-" if is_strict else at["fw-c"]),
        ("fw-a", "hairpin", "closed by input", wire, closed, "-" if is_strict else gate["fw-open"]),

        ("other host", "other host", "routed, published", at["fw-r"], 80, other),
        ("host", "host itself", "routed, published", at["fw-r"], 80, gate["fw-routed"]),
        ("fw-c", "other network", "routed, published", at["fw-r"], 80, at["fw-c"]),
        ("other host", "other host", "routed, unpublished", at["fw-r"], 81, "-"),
        ("fw-c", "other network", "routed, unpublished", at["fw-r"], 81, "-"),
        ("other host", "other host", "nat-unprotected", at["fw-u"], 81, other),
        ("fw-c", "other network", "nat-unprotected", at["fw-u"], 81, "-"),

        # By the container's address, from links that are trusted and to what is published only.
        ("other host", "other host", "trusted, published", at["fw-h"], 80, other),
        ("other host", "other host", "trusted, unpublished", at["fw-h"], 81, "-"),
        ("fw-c", "other network", "trusted, published", at["fw-h"], 80, "-"),

        ("fw-a", "out", "from nat", other, 80, wire),
        ("fw-h", "out", "from host_ipv4 or 6", other, 80, world.source4 if version == 4 else world.source6),
        ("fw-u", "out", "from nat-unprotected", other, 80, wire),
        ("fw-r", "out", "from routed", other, 80, at["fw-r"]),
        ("fw-i", "out", "from internal", other, 80, "-"),
    ]


def all_rows(world, is_strict):
    return [(protocol, version, *row) for version in (4, 6) for protocol in ("tcp", "udp")
            for row in rows_of(world, version, protocol, is_strict)]


def expect_all(world, rows):
    """Asks everything at a time, prints what came of it as a table."""
    found = {}

    def ask_from(sender):
        mine = [row for row in rows if row[2] == sender]
        # Who is expected gets time, a silence is believed soon.
        wishes = [(protocol, host, port, 1 if expected == "-" else 60) for protocol, *_, host, port, expected in mine]
        found.update(zip(mine, world.ask(sender, wishes)))
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(ask_from, sorted({row[2] for row in rows})))
    wrong, lines = [], []
    for row in rows:
        protocol, version, _, who, what, _, _, expected = row
        lines.append(f"{protocol} v{version} {who:<14}{what:<24}expected {expected:<22}observed {found[row]:<22}")
        if found[row] != expected:
            wrong.append(lines[-1])
    print("\n" + "\n".join(lines))
    assert not wrong, "\n".join(["", *wrong])


@pytest.fixture(scope="module")
def world(engine):
    made = World(engine, 77)
    yield made
    made.close()
    wait_until(lambda: engine.verify().code == 0, what="nothing left")


def test_who_reaches_what(world):
    expect_all(world, all_rows(world, is_strict=False))


def test_the_administrator_may_forbid(world):
    """A rule in the table that is his holds, and outlives a restart of the engine's own table."""
    name = "berth_" + json.loads(world.engine.docker("network", "inspect", "bridge").out)[0]["Options"][
        "com.docker.network.bridge.name"].split("-")[1] + "_user"
    port = world.host_port("fw-a", 80, "tcp")
    wish, futile = ([["tcp", world.wire4, port, patience]] for patience in (60, 2))
    assert world.ask("other host", wish) == [world.other4]
    run(["nft", "add", "rule", "inet", name, "forward", "ip", "saddr", world.other4, "tcp", "dport", "80", "drop"], check=True)
    try:
        assert world.ask("other host", futile) == ["-"]
        # Where the kernel knows owners of tables nobody else takes it away, else it comes back.
        run(["nft", "delete", "table", "inet", name.removesuffix("_user")])
        wait_until(lambda: world.engine.verify().code == 0, what="our own table being there")
        assert world.ask("other host", futile) == ["-"] and world.ask("fw-c", wish) != ["-"]
    finally:
        run(["nft", "flush", "chain", "inet", name, "forward"], check=True)
    assert world.ask("other host", wish) == [world.other4]


def test_strict_mode_obeys_the_rules_for_the_hosts_input(build, docker_client):
    engine = engines.Engine(build, extra=["--firewall-mode=strict"]).start()
    try:
        context = engines.make_busybox_context(engine.directory / "busybox-context")
        engine.docker("build", "-q", "-t", "busybox", context, check=True)
        world = World(engine, 78)
        try:
            rows = all_rows(world, is_strict=True)
            expect_all(world, rows)
            assert engine.verify().code == 0
            engine.kill()
            expect_all(world, rows)
            engine.start()
        finally:
            world.close()
        # In the other mode nothing of it is left.
        engine.stop()
        engine.extra = ["--firewall-mode=docker"]
        engine.start()
        assert engine.verify().code == 0
    finally:
        engine.remove()
