"""Names on user-defined networks: who is found, by which name, from where, and when nobody runs the engine."""
import json
import re
import threading
import time

import pytest

from engine import wait_until
from names_client import Server, ask, ask_many

pytestmark = pytest.mark.own


@pytest.fixture
def network(engine, name):
    made = name[:40] + "-net"
    engine.docker("network", "create", made, check=True)
    yield made
    ids = engine.docker("ps", "-aq", "--filter", f"network={made}").out.split()
    if ids:
        engine.docker("rm", "-f", *ids)
    engine.docker("network", "rm", made, check=True)


def start(engine, name, *arguments):
    engine.docker("run", "-d", "--name", name, *arguments, "busybox", "sleep", "300", check=True)
    return engine.inspect(name)


def address(inspected, network):
    return inspected["NetworkSettings"]["Networks"][network]["IPAddress"]


def test_names_of_every_kind(engine, network):
    web = start(engine, "nm-web", "--network", network, "--network-alias", "shared", "--hostname", "webhost")
    db = start(engine, "nm-db", "--network", network, "--network-alias", "shared", "--link", "nm-web:linked")
    pid, web_ip, db_ip = db["State"]["Pid"], address(web, network), address(db, network)
    try:
        assert web["NetworkSettings"]["Networks"][network]["DNSNames"] == ["nm-web", "shared", web["Id"][:12], "webhost"]
        for known in ("nm-web", "NM-Web", "webhost", web["Id"][:12], f"nm-web.{network}", "linked"):
            assert ask(pid, known).values == [web_ip], known
        assert ask(pid, "nm-web", tcp=True).values == [web_ip]
        assert ask(web["State"]["Pid"], "linked").code != 0, "a link is for one container only"

        # Several addresses of one name take turns.
        answers = ask_many(pid, [("shared", "A", False, 0)] * 4)
        assert all(sorted(a.values) == sorted([web_ip, db_ip]) for a in answers)
        assert {a.values[0] for a in answers} == {web_ip, db_ip}

        # Known without such a record: an empty answer, no error.
        for kind in ("AAAA", "MX"):
            answer = ask(pid, "nm-web", kind)
            assert (answer.code, answer.values) == (0, []), kind
        reverse = ".".join(reversed(web_ip.split("."))) + ".in-addr.arpa"
        assert ask(pid, reverse, "PTR").values == [f"nm-web.{network}"]

        resolv = engine.docker("exec", "nm-db", "cat", "/etc/resolv.conf", check=True).out
        assert re.findall(r"^nameserver (.*)$", resolv, re.M) == ["127.0.0.11"] and "options ndots:0" in resolv
        # The container's own programs may have port 53.
        engine.docker("exec", "nm-db", "sh", "-c", "nc -l -p 53 -s 0.0.0.0 & sleep 0.2; kill %1", check=True)
        assert ask(pid, "nm-web").values == [web_ip]

        engine.docker("rename", "nm-web", "nm-new", check=True)
        assert ask(pid, "nm-new").values == [web_ip]
        assert ask(pid, "nm-web").values == []
        engine.docker("stop", "-t", "0", "nm-new", check=True)
        assert ask(pid, "nm-new").values == []
        assert ask(pid, "shared").values == [db_ip]
        assert engine.verify().code == 0
    finally:
        engine.docker("rm", "-f", "nm-web", "nm-new", "nm-db")


def test_names_stay_on_their_networks(engine, network):
    engine.docker("network", "create", "nm-other", check=True)
    try:
        start(engine, "nm-a", "--network", network)
        b = start(engine, "nm-b", "--network", "nm-other")
        plain = start(engine, "nm-plain")
        assert ask(b["State"]["Pid"], "nm-a").values == []
        assert engine.docker("exec", "nm-plain", "cat", "/etc/resolv.conf").out.find("127.0.0.11") < 0

        # Joining brings names, to both sides; leaving takes them.
        engine.docker("network", "connect", "--alias", "known", network, "nm-plain", check=True)
        pid = plain["State"]["Pid"]
        assert len(ask(pid, "nm-a").values) == 1
        assert len(ask(engine.inspect("nm-a")["State"]["Pid"], "known").values) == 1
        assert engine.docker("exec", "nm-plain", "ping", "-c", "1", "-W", "5", "nm-a").code == 0
        engine.docker("network", "disconnect", network, "nm-plain", check=True)
        assert ask(pid, "nm-a").values == []
        assert ask(engine.inspect("nm-a")["State"]["Pid"], "known").values == []
        engine.docker("network", "connect", network, "nm-plain", check=True)
        assert len(ask(pid, "nm-a").values) == 1, "names came back with the network"
    finally:
        engine.docker("rm", "-f", "nm-a", "nm-b", "nm-plain")
        engine.docker("network", "rm", "nm-other", check=True)


def test_names_are_answered_without_the_engine(private_engine):
    engine = private_engine
    engine.docker("network", "create", "net", check=True)
    web = start(engine, "web", "--network", "net")
    pid = start(engine, "asks", "--network", "net")["State"]["Pid"]
    expected = [address(web, "net")]
    failures, counted, stop = [], [], threading.Event()

    def keep_asking():
        while not stop.is_set():
            for answer in ask_many(pid, [("web", "A", False, 0)] * 200):
                counted.append(1)
                if isinstance(answer, str) or answer.values != expected:
                    failures.append(answer)
    asking = threading.Thread(target=keep_asking)
    asking.start()
    try:
        engine.kill()
        time.sleep(0.5)
        engine.start()
        # New names reach those who were started by the engine before.
        new = start(engine, "new", "--network", "net")
        assert ask(pid, "new").values == [address(new, "net")]
        already = len(counted)
        wait_until(lambda: len(counted) > already + 200 or not asking.is_alive(), what="answers by the new engine")
    finally:
        stop.set()
        asking.join()
    assert failures == [] and len(counted) > 200
    assert engine.verify().code == 0


def test_other_names_are_asked_outside(engine, network):
    """A server on an address of this host, given by --dns, asked from inside the container."""
    gateway = json.loads(engine.docker("network", "inspect", network, check=True).out)[0]["IPAM"]["Config"][0]["Gateway"]
    server = Server(gateway)
    try:
        pid = start(engine, "nm-asks", "--network", network, "--dns", gateway, "--dns-search", "corp.test")["State"]["Pid"]
        assert ask(pid, "www.example.test").values == ["198.51.100.7"]
        assert ask(pid, "www.example.test", tcp=True).values == ["198.51.100.7"]
        assert ask(pid, "_http._tcp.example.test", "SRV").code == 0
        assert ("_http._tcp.example.test", 33) in server.asked
        asked = len(server.asked)
        assert ask(pid, "nm-asks").values and len(server.asked) == asked, "own names are not asked outside"
        ask_many(pid, [("r.example.test", "A", False, 0)] * 20)
        assert len(set(server.ports[-20:])) > 10 and len(set(server.numbers[-20:])) > 10, "ports and ids are drawn"
        # An id that was asked comes back, whatever was sent outside.
        assert ask(pid, "www.example.test").number == 0x4242
        resolv = engine.docker("exec", "nm-asks", "cat", "/etc/resolv.conf").out
        assert "search corp.test" in resolv and f"# ExtServers: [{gateway}]" in resolv
    finally:
        server.close()
    # Nobody answers there now: the container is told soon, and not after its patience ended.
    answer = ask(pid, "www.example.test")
    assert answer.code == 2


def test_internal_networks_ask_nobody(engine):
    engine.docker("network", "create", "--internal", "nm-inner", check=True)
    gateway = json.loads(engine.docker("network", "inspect", "nm-inner").out)[0]["IPAM"]["Config"][0]["Gateway"]
    server = Server(gateway)
    try:
        pid = start(engine, "nm-in", "--network", "nm-inner", "--dns", gateway)["State"]["Pid"]
        assert ask(pid, "www.example.test").code == 2
        assert ask(pid, "nm-in").code == 0 and server.asked == []
        assert engine.docker("exec", "nm-in", "ip", "route").out.find("default") < 0
    finally:
        server.close()
        engine.docker("rm", "-f", "nm-in")
        engine.docker("network", "rm", "nm-inner", check=True)


def test_many_addresses_are_cut_by_udp_and_whole_by_tcp(engine, network):
    count = 34 # more than 512 bytes hold
    pids = []
    sdk = engine.sdk()
    config = sdk.api.create_networking_config({network: sdk.api.create_endpoint_config(aliases=["many"])})
    made = [sdk.containers.get(sdk.api.create_container("busybox", ["sleep", "300"], name=f"nm-many-{i}", networking_config=config,
                                                        host_config=sdk.api.create_host_config(network_mode=network))["Id"])
            for i in range(count)]
    try:
        for container in made:
            container.start()
        pids = [engine.inspect("nm-many-0")["State"]["Pid"]]
        cut = ask(pids[0], "many")
        assert cut.is_cut and cut.size <= 512 and len(cut.values) < count
        assert len(set(ask(pids[0], "many", tcp=True).values)) == count
        wide = ask(pids[0], "many", edns=4096)
        assert not wide.is_cut and len(set(wide.values)) == count
    finally:
        for container in made:
            container.remove(force=True)
    wait_until(lambda: engine.verify().code == 0, what="nothing left")


def test_links_on_the_default_bridge(engine, name):
    start(engine, "nm-linked")
    try:
        linked = engine.inspect("nm-linked")
        out = engine.docker("run", "--rm", "--link", "nm-linked:other", "busybox", "cat", "/etc/hosts", check=True).out
        ip = linked["NetworkSettings"]["IPAddress"]
        assert f"{ip}\tother {linked['Id'][:12]} nm-linked\n" in out
        engine.docker("create", "--name", name, "--link", "nm-linked", "busybox", "true", check=True)
        assert engine.inspect(name)["HostConfig"]["Links"] == [f"/nm-linked:/{name}/nm-linked"]
        engine.docker("stop", "-t", "0", "nm-linked", check=True)
        assert "Cannot link to a non running container: /nm-linked" in engine.docker("start", name).err
    finally:
        engine.docker("rm", "-f", "nm-linked")
