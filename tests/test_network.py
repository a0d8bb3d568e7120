"""Joining, leaving and several networks: through Docker's command, its SDK, the API and berth."""
import json
import pathlib
import re
import socket
import subprocess
import time
import urllib.request

import pytest

import engine as engines
import raw_api
from engine import LIMIT_S, wait_until
from names_client import Server, ask

pytestmark = pytest.mark.own
NET4, NET6 = f"10.{engines.address_block()}", f"fd42:{engines.address_block()}"


@pytest.fixture
def two(engine):
    """Two networks, na with a subnet of the user's."""
    engine.docker("network", "create", "--subnet", f"{NET4}.40.0/24", "na", check=True)
    engine.docker("network", "create", "nb", check=True)
    yield "na", "nb"
    ids = engine.docker("ps", "-aq", "--filter", "network=na", "--filter", "network=nb").out.split()
    if ids:
        engine.docker("rm", "-f", *ids)
    engine.docker("network", "rm", "na", "nb", check=True)
    wait_until(lambda: engine.verify().code == 0, what="nothing left")


def networks(engine, name):
    return engine.inspect(name)["NetworkSettings"]["Networks"]


def page_of(url):
    """The page, or why there is none."""
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return answer.read()
    except OSError as problem:  # its server may not be there yet
        return problem


def default_route(engine, name):
    lines = engine.docker("exec", name, "ip", "route", check=True).out.splitlines()
    return [line.split()[2] for line in lines if line.startswith("default")]


@pytest.mark.current_client
def test_several_networks_at_creation(engine, two, name):
    engine.docker("run", "-d", "--name", name, "--network", f"name=na,ip={NET4}.40.9,alias=one,mac-address=02:00:00:00:00:09",
                  "--network", "name=nb,gw-priority=5", "busybox", "sleep", "300", check=True)
    got = networks(engine, name)
    assert got["na"]["IPAddress"] == f"{NET4}.40.9" and got["na"]["MacAddress"] == "02:00:00:00:00:09"
    assert got["na"]["Aliases"] == ["one"] and "one" in got["na"]["DNSNames"] and "one" not in got["nb"]["DNSNames"]
    assert default_route(engine, name) == [got["nb"]["Gateway"]], "the higher priority wins over the name"
    inside = engine.docker("exec", name, "ip", "addr", check=True).out
    assert f"{NET4}.40.9/24" in inside and f"{got['nb']['IPAddress']}/{got['nb']['IPPrefixLen']}" in inside and "02:00:00:00:00:09" in inside
    listed = json.loads(engine.docker("network", "inspect", "na").out)[0]["Containers"]
    assert [c["IPv4Address"] for c in listed.values()] == [f"{NET4}.40.9/24"]
    # The address is another's meanwhile only if this one does not run.
    taken = engine.docker("run", "--rm", "--network", "na", "--ip", f"{NET4}.40.9", "busybox", "true")
    assert taken.code == 125 and "Address already in use" in taken.err
    # Once more: what was wished for holds over a restart.
    engine.docker("restart", "-t", "0", name, check=True)
    got = networks(engine, name)
    assert (got["na"]["IPAddress"], got["na"]["MacAddress"]) == (f"{NET4}.40.9", "02:00:00:00:00:09")
    assert engine.docker("network", "rm", "na").err.startswith("Error response from daemon: error while removing network")


def test_joining_and_leaving_while_it_runs(engine, two, name, free_port):
    engine.docker("run", "-d", "--name", name, "-p", f"{free_port}:80", "busybox", "sh", "-c",
                  "echo page > /tmp/index.html; exec httpd -f -p 80 -h /tmp", check=True)

    def fetch():
        return page_of(f"http://127.0.0.1:{free_port}/")
    wait_until(lambda: fetch() == b"page\n", what="the page")
    before = default_route(engine, name)
    engine.docker("network", "connect", "--ip", f"{NET4}.40.7", "--alias", "x", "na", name, check=True)
    assert networks(engine, name)["na"]["IPAddress"] == f"{NET4}.40.7"
    assert default_route(engine, name) == before, "bridge sorts before na"
    again = engine.docker("network", "connect", "na", name)
    assert f"endpoint with name {name} already exists in network na" in again.err
    assert f"{NET4}.40.7\t" in engine.docker("exec", name, "cat", "/etc/hosts").out

    # The last network with a gateway takes route and ports over.
    engine.docker("network", "disconnect", "bridge", name, check=True)
    assert default_route(engine, name) == [f"{NET4}.40.1"] and fetch() == b"page\n"
    assert engine.docker("port", name, "80/tcp").out.strip() == f"0.0.0.0:{free_port}"
    engine.docker("network", "disconnect", "na", name, check=True)
    assert default_route(engine, name) == [] and networks(engine, name) == {}
    assert f"{NET4}.40.7" not in engine.docker("exec", name, "cat", "/etc/hosts").out
    gone = engine.docker("network", "disconnect", "na", name)
    assert "is not connected to network na" in gone.err
    assert engine.verify().code == 0

    engine.docker("network", "connect", "nb", name, check=True)
    assert default_route(engine, name) != []
    engine.docker("restart", "-t", "0", name, check=True)
    assert list(networks(engine, name)) == ["nb"]
    wait_until(lambda: fetch() == b"page\n", what="the page after a restart")
    engine.docker("rm", "-f", name, check=True)


def test_names_are_found_however_often_it_joins(engine, two, name):
    """By the sockets that its supervisor has from before, by new ones in a new namespace, and where an engine knows nothing of them."""
    engine.docker("run", "-d", "--name", f"{name}-other", "--network", "nb", "busybox", "sleep", "300", check=True)
    engine.docker("run", "-d", "--name", name, "busybox", "sleep", "300", check=True)
    try:
        for before in (None, None, lambda: engine.docker("restart", "-t", "0", name, check=True), lambda: (engine.kill(), engine.start()), None):
            if before:
                before()
            engine.docker("network", "connect", "nb", name, check=True)
            pid = engine.inspect(name)["State"]["Pid"]
            assert ask(pid, f"{name}-other").values == [networks(engine, f"{name}-other")["nb"]["IPAddress"]]
            engine.docker("network", "disconnect", "nb", name, check=True)
            assert ask(pid, f"{name}-other").values == []
    finally:
        engine.docker("rm", "-f", name, f"{name}-other")


def test_joining_and_leaving_while_it_does_not_run(engine, two, name):
    engine.docker("create", "--name", name, "--network", "na", "busybox", "sleep", "300", check=True)
    sdk = engine.sdk()
    sdk.networks.get("nb").connect(name, aliases=["b-alias"])
    assert sorted(networks(engine, name)) == ["na", "nb"] and networks(engine, name)["nb"]["IPAddress"] == ""
    assert engine.berth("network", "disconnect", "na", name).code == 0
    engine.docker("start", name, check=True)
    got = networks(engine, name)
    assert list(got) == ["nb"] and "b-alias" in got["nb"]["DNSNames"]
    engine.docker("stop", "-t", "0", name, check=True)
    assert engine.berth("network", "connect", "--alias", "late", "na", name).code == 0
    assert networks(engine, name)["na"]["Aliases"] == ["late"]
    engine.docker("rm", name, check=True)


REFUSALS = [
    ("/networks/nope/connect", {"Container": "nt-run"}, 404, "network nope not found"),
    ("/networks/na/connect", {}, 400, 'invalid name or ID supplied: ""'),
    ("/networks/na/connect", {"Container": "nope"}, 404, "No such container: nope"),
    ("/networks/host/connect", {"Container": "nt-run"}, 400, "cannot connect container to host network"),
    ("/networks/none/connect", {"Container": "nt-run"}, 400, "networks in private (none) mode"),
    ("/networks/na/connect", {"Container": "nt-host"}, 400, "container sharing network namespace with another container or host"),
    ("/networks/na/connect", {"Container": "nt-run", "EndpointConfig": {"IPAMConfig": {"IPv4Address": "10.9.9.9"}}}, 400,
     "no configured subnet or ip-range contain the IP address 10.9.9.9"),
    ("/networks/nb/connect", {"Container": "nt-run", "EndpointConfig": {"IPAMConfig": {"IPv4Address": "10.9.9.9"}}}, 400,
     "user specified IP address is supported only when connecting to networks with user configured subnets"),
    ("/networks/na/connect", {"Container": "nt-run", "EndpointConfig": {"MacAddress": "zz"}}, 400, "invalid MAC address zz"),
    ("/networks/bridge/connect", {"Container": "nt-alone", "EndpointConfig": {"Aliases": ["a"]}}, 400,
     "network-scoped alias is supported only for containers in user defined networks"),
    ("/networks/host/disconnect", {"Container": "nt-host"}, 403, "cannot be disconnected from host network"),
    ("/networks/nb/disconnect", {"Container": "nt-run"}, 500, "is not connected to network nb"),
    ("/networks/nb/disconnect", {"Container": "nope", "Force": True}, 404, "endpoint nope not found"),
]


@pytest.mark.current_client
def test_ipv6_only(engine, name, free_port):
    """No address, route or port of IPv4; names, ports and the world by IPv6."""
    other = f"{name}-2"
    engine.docker("network", "create", "--ipv4=false", "--ipv6", "n6-only", check=True)
    engine.docker("network", "create", "--ipv4=false", "--ipv6", "--subnet", f"{NET6}:2::/64", "n6-only-user", check=True)
    try:
        config = json.loads(engine.docker("network", "inspect", "n6-only").out)[0]
        (pool,) = config["IPAM"]["Config"]
        assert (config["EnableIPv4"], config["EnableIPv6"]) == (False, True) and ":" in pool["Subnet"] and pool["Gateway"].endswith("::1")
        engine.docker("run", "-d", "--name", name, "-p", f"{free_port}:80", "--network", "n6-only", "busybox", "sh",
                      "-c", "echo page > /tmp/index.html; exec httpd -f -p 80 -h /tmp", check=True)
        engine.docker("run", "-d", "--name", other, "--network", "n6-only", "busybox", "sleep", "300", check=True)
        got = networks(engine, name)["n6-only"]
        assert (got["IPAddress"], got["IPPrefixLen"], got["Gateway"]) == ("", 0, "")
        assert got["GlobalIPv6Address"].startswith(pool["Gateway"][:-1]) and got["IPv6Gateway"] == pool["Gateway"]
        assert got["MacAddress"] != networks(engine, other)["n6-only"]["MacAddress"]
        listed = json.loads(engine.docker("network", "inspect", "n6-only").out)[0]["Containers"].values()
        assert sorted((c["Name"], c["IPv4Address"]) for c in listed) == [(name, ""), (other, "")]
        assert len({c["IPv6Address"] for c in listed}) == 2 and all(c["IPv6Address"].endswith("/64") for c in listed)
        assert "inet " not in engine.docker("exec", name, "ip", "addr", "show", "eth0", check=True).out
        assert default_route(engine, name) == []
        assert f"default via {pool['Gateway']} dev eth0" in engine.docker("exec", name, "ip", "-6", "route").out
        hosts = engine.docker("exec", name, "cat", "/etc/hosts").out.splitlines()
        assert f"{got['GlobalIPv6Address']}\t{engine.inspect(name)['Config']['Hostname']}" in hosts and all(line.split() for line in hosts)

        pid = engine.inspect(other)["State"]["Pid"]
        assert ask(pid, name, "AAAA").values == [got["GlobalIPv6Address"]] and ask(pid, name, "A").values == []
        assert engine.docker("exec", other, "wget", "-qO-", f"http://[{got['GlobalIPv6Address']}]/").out == "page\n"
        assert engine.docker("port", name, "80/tcp").out.split() == [f"[::]:{free_port}"]
        wait_until(lambda: page_of(f"http://[{pool['Gateway']}]:{free_port}/") == b"page\n", what="the published port")

        # Ports and addresses of the other family are refused in words.
        refused = engine.docker("run", "--rm", "-p", "127.0.0.1:0:1", "--network", "n6-only", "busybox", "true")
        assert "network n6-only has no IPv4" in refused.err
        for network, option, text in (("n6-only", f"--ip={NET4}.1.1", "only when connecting to networks with user configured subnets"),
                                      ("n6-only-user", f"--ip={NET4}.1.1", "only when connecting to networks with user configured subnets"),
                                      ("n6-only-user", f"--ip6={NET6}:3::1", "no configured subnet or ip-range contain")):
            assert text in engine.docker("run", "--rm", "--network", network, option, "busybox", "true").err
        assert "IPv4 is not enabled" in engine.docker("network", "create", "--ipv4=false", "--ipv6", "--subnet", f"{NET4}.42.0/24", "n6-bad").err
        assert "IPv4 or IPv6 must be enabled" in engine.docker("network", "create", "--ipv4=false", "n6-bad").err

        # Beside a network with IPv4 each family has the routes and ports that it can have.
        engine.docker("network", "connect", "bridge", name, check=True)
        assert default_route(engine, name) == [networks(engine, name)["bridge"]["Gateway"]]
        assert f"default via {pool['Gateway']} dev eth0" in engine.docker("exec", name, "ip", "-6", "route").out
        engine.docker("network", "disconnect", "bridge", name, check=True)
        assert default_route(engine, name) == []
        engine.docker("network", "connect", "--ip6", f"{NET6}:2::99", "n6-only-user", name, check=True)
        assert networks(engine, name)["n6-only-user"]["GlobalIPv6Address"] == f"{NET6}:2::99"
        assert f"{NET6}:2::99\t" in engine.docker("exec", name, "cat", "/etc/hosts").out

        engine.kill()
        engine.start()
        assert engine.docker("exec", other, "wget", "-qO-", f"http://[{got['GlobalIPv6Address']}]/").out == "page\n"
        assert engine.verify().code == 0
    finally:
        engine.docker("rm", "-f", name, other)
        engine.docker("network", "rm", "n6-only", "n6-only-user", check=True)


CONFIG_REFUSALS = [
    ({"ConfigFrom": {"Network": "nc-config"}, "IPAM": {"Config": [{"Subnet": f"{NET4}.44.0/24"}]}}, 403,
     "user specified configurations are not supported if the network depends on a configuration network"),
    ({"ConfigFrom": {"Network": "nc-config"}, "EnableIPv6": True}, 403, "user specified configurations are not supported"),
    ({"ConfigFrom": {"Network": "nc-config"}, "EnableIPv4": False}, 403, "user specified configurations are not supported"),
    ({"ConfigFrom": {"Network": "nc-config"}, "Labels": {"a": "b"}}, 403, "user specified configurations are not supported"),
    ({"ConfigFrom": {"Network": "nc-config"}, "Options": {"a": "b"}}, 403,
     "network driver options are not supported if the network depends on a configuration network"),
    ({"ConfigFrom": {"Network": "nc-config"}}, 403, "Pool overlaps with other one on this address space"),
    ({"ConfigFrom": {"Network": "nc-config"}, "ConfigOnly": True}, 403,
     "a configuration network cannot depend on another configuration network"),
    ({"ConfigFrom": {"Network": "nc-nothing"}}, 400, "IPv4 or IPv6 must be enabled"),
    ({"ConfigFrom": {"Network": "nc-nope"}}, 404, 'configuration network "nc-nope" does not exist'),
    ({"ConfigFrom": {"Network": "nc-made"}}, 404, 'configuration network "nc-made" does not exist'),
    ({"ConfigOnly": True, "Scope": "local"}, 403, "configuration network can only contain network specific fields."),
    ({"ConfigOnly": True, "IPAM": {"Config": [{"Subnet": f"{NET4}.44.5/24"}]}}, 400, f"it should be {NET4}.44.0/24"),
]


def test_networks_that_are_configurations(engine, name):
    api = raw_api.Api(engine.socket)
    engine.docker("network", "create", "--config-only", "--ipv6", "--subnet", f"{NET4}.43.0/24", "--gateway", f"{NET4}.43.9", "--label", "a=b",
                  "-o", "com.docker.network.bridge.enable_icc=false", "nc-config", check=True)
    engine.berth("network", "create", "--config-only", "--ipv4=false", "nc-nothing", check=True)
    try:
        config = json.loads(engine.docker("network", "inspect", "nc-config").out)[0]
        assert (config["ConfigOnly"], config["Driver"], config["ConfigFrom"]) == (True, "null", {"Network": ""})
        assert config["IPAM"]["Config"] == [{"Subnet": f"{NET4}.43.0/24", "Gateway": f"{NET4}.43.9"}]
        engine.docker("network", "create", "--config-from", "nc-config", "nc-made", check=True)
        made = json.loads(engine.docker("network", "inspect", "nc-made").out)[0]
        assert (made["ConfigOnly"], made["Driver"], made["ConfigFrom"]) == (False, "bridge", {"Network": "nc-config"})
        assert made["IPAM"]["Config"][0] == config["IPAM"]["Config"][0] and made["EnableIPv6"]
        assert (made["Options"], made["Labels"]) == (config["Options"], {"a": "b"})

        for body, status, text in CONFIG_REFUSALS:
            answer = api.call("POST", "/networks/create", {"Name": "nc-refused", **body})
            assert answer.status == status and text in answer.json["message"], (body, answer)
        # Nobody can be there, and it stays as long as somebody depends on it.
        engine.docker("run", "-d", "--name", name, "--network", "nc-made", "busybox", "sleep", "300", check=True)
        assert networks(engine, name)["nc-made"]["Gateway"] == f"{NET4}.43.9"
        answer = api.call("POST", "/networks/nc-config/connect", {"Container": name})
        assert (answer.status, answer.json["message"]) == (403, "cannot create endpoint on configuration-only network")
        alone = engine.docker("run", "--rm", "--network", "nc-config", "busybox", "true")
        assert "failed to set up container networking: cannot create endpoint on configuration-only network" in alone.err
        answer = api.call("DELETE", "/networks/nc-config")
        assert (answer.status, answer.json["message"]) == (
            403, 'error while removing network: configuration network "nc-config" is in use')
        engine.docker("rm", "-f", name, check=True)
        engine.kill()
        engine.start()
        assert json.loads(engine.docker("network", "inspect", "nc-config").out)[0] == config
        # Configurations are no rubbish.
        engine.docker("network", "prune", "-f", check=True)
        left = engine.docker("network", "ls", "--filter", "name=nc-", "--format", "{{.Name}} {{.Driver}}").out.splitlines()
        assert left == ["nc-config null", "nc-nothing null"]
        assert engine.verify().code == 0
    finally:
        engine.docker("rm", "-f", name)
        engine.docker("network", "rm", "nc-made")
        engine.docker("network", "rm", "nc-config", "nc-nothing", check=True)


def test_refusals(engine, two):
    engine.docker("run", "-d", "--name", "nt-run", "busybox", "sleep", "300", check=True)
    engine.docker("run", "-d", "--name", "nt-host", "--network", "host", "busybox", "sleep", "300", check=True)
    engine.docker("create", "--name", "nt-alone", "--network", "na", "busybox", "true", check=True)
    api = raw_api.Api(engine.socket)
    try:
        for path, body, status, text in REFUSALS:
            answer = api.call("POST", path, body)
            assert answer.status == status and text in answer.json["message"].replace("\n", " "), (path, body, answer)
        assert list(networks(engine, "nt-run")) == ["bridge"]
        assert "eth1" not in engine.docker("exec", "nt-run", "ip", "addr").out
    finally:
        engine.docker("rm", "-f", "nt-run", "nt-host", "nt-alone")


def test_events_of_joining_and_leaving(engine, two, name):
    engine.docker("run", "-d", "--name", name, "busybox", "sleep", "300", check=True)
    since = engine.docker("info", "--format", "{{.SystemTime}}").out.strip()
    engine.docker("network", "connect", "na", name, check=True)
    engine.docker("network", "disconnect", "na", name, check=True)
    lines = engine.docker("events", "--since", since, "--until", str(int(time.time()) + 1), "--filter", "type=network", "--format",
                          "{{.Action}} {{.Actor.Attributes.name}} {{.Actor.Attributes.type}}", check=True).out.splitlines()
    assert lines == ["connect na bridge", "disconnect na bridge"]


def test_prune_and_filters(engine, name):
    for arguments in (["np-used"], ["np-free"], ["--label", "keep=1", "np-kept"]):
        engine.docker("network", "create", *arguments, check=True)
    engine.docker("run", "-d", "--name", name, "--network", "np-used", "busybox", "sleep", "300", check=True)
    try:
        assert engine.docker("network", "ls", "--filter", "dangling=true", "--filter", "name=np-", "--format", "{{.Name}}").out.split() \
            == ["np-free", "np-kept"]
        pruned = engine.berth("network", "prune", "-f", "--filter", "label!=keep=1")
        assert pruned.out.split("\n")[:1] == ["Deleted Networks:"] and "np-free" in pruned.out and "np-kept" not in pruned.out
        left = engine.docker("network", "ls", "--filter", "name=np-", "--format", "{{.Name}}").out.split()
        assert left == ["np-kept", "np-used"]
    finally:
        engine.docker("rm", "-f", name)
        engine.docker("network", "rm", "np-used", "np-kept", check=True)


@pytest.mark.current_client
def test_ipv6(engine, name, free_port):
    """Addresses of ours and of the user's, routes, names, hosts file, and a port published on both families."""
    engine.docker("network", "create", "--ipv6", "n6-ours", check=True)
    engine.docker("network", "create", "--ipv6", "--subnet", f"{NET6}:1::/64", "--gateway", f"{NET6}:1::5", "--subnet", f"{NET4}.41.0/24",
                  "n6-user", check=True)
    try:
        config = json.loads(engine.docker("network", "inspect", "n6-ours").out)[0]
        assert config["EnableIPv6"] and config["IPAM"]["Config"][1]["Subnet"].startswith("fd")
        engine.docker("run", "-d", "--name", name, "-p", f"{free_port}:80", "--network", f"name=n6-user,ip6={NET6}:1::77", "busybox", "sh",
                      "-c", "echo page > /tmp/index.html; exec httpd -f -p 80 -h /tmp", check=True)
        got = networks(engine, name)["n6-user"]
        assert (got["GlobalIPv6Address"], got["GlobalIPv6PrefixLen"], got["IPv6Gateway"]) == (f"{NET6}:1::77", 64, f"{NET6}:1::5")
        assert [c["IPv6Address"] for c in json.loads(engine.docker("network", "inspect", "n6-user").out)[0]["Containers"].values()] \
            == [f"{NET6}:1::77/64"]
        assert sorted(engine.docker("port", name, "80/tcp").out.split()) == [f"0.0.0.0:{free_port}", f"[::]:{free_port}"]
        for host in ("127.0.0.1", f"[{NET6}:1::5]"):
            wait_until(lambda: page_of(f"http://{host}:{free_port}/") == b"page\n", what=host)
        assert f"{NET6}:1::77\t" in engine.docker("exec", name, "cat", "/etc/hosts").out
        routes = engine.docker("exec", name, "ip", "-6", "route").out
        assert f"default via {NET6}:1::5 dev eth0" in routes

        engine.docker("network", "connect", "n6-ours", name, check=True)
        asking = engine.docker("run", "--rm", "--network", "n6-ours", "busybox", "ping", "-6", "-c", "1", "-W", "5", name)
        assert asking.code == 0, asking
        engine.docker("network", "disconnect", "n6-user", name, check=True)
        gateway = config["IPAM"]["Config"][1]["Gateway"]
        assert f"default via {gateway} dev eth1" in engine.docker("exec", name, "ip", "-6", "route").out
        assert urllib.request.urlopen(f"http://[{gateway}]:{free_port}/", timeout=LIMIT_S).read() == b"page\n", "the port went along"
        # A network without IPv6 carries none; that it has the default route takes nothing from the other family.
        engine.docker("network", "connect", "bridge", name, check=True)
        assert default_route(engine, name) == [networks(engine, name)["bridge"]["Gateway"]]
        assert f"default via {gateway} dev eth1" in engine.docker("exec", name, "ip", "-6", "route").out
        assert "inet6" not in engine.docker("exec", name, "ip", "addr", "show", "eth0").out
        refused = engine.docker("run", "--rm", "-p", "[::]:0:1", "busybox", "true")
        assert "network bridge has no IPv6" in refused.err
        again = engine.docker("network", "create", "--ipv6", "--subnet", f"{NET6}:1:0::/60", "n6-over")
        assert "Pool overlaps with other one on this address space" in again.err
        assert engine.verify().code == 0
    finally:
        engine.docker("rm", "-f", name)
        engine.docker("network", "rm", "n6-ours", "n6-user", check=True)


def test_ports_that_open_the_same_port_come_and_go(engine, name):
    """Where published ports are reached by the container's address, too, two of them may lead to one."""
    trusted = "com.docker.network.bridge.trusted_host_interfaces"
    engine.docker("network", "create", "-o", f"{trusted}=lo:nowhere0", "np-trust", check=True)
    try:
        engine.docker("run", "-d", "--name", name, "--network", "np-trust", "-p", "127.0.0.1::80", "-p", "127.0.0.2::80", "busybox", "sleep",
                      "300", check=True)
        assert engine.verify().code == 0
        engine.berth("update", "--publish-rm", engine.docker("port", name, "80").out.split()[0] + ":80", name, check=True)
        assert len(engine.docker("port", name, "80").out.split()) == 1
        assert engine.verify().code == 0
        for option, text in ((f"{trusted}=a/b", "invalid interface name 'a/b'"), (f"{trusted}=eth0::", "invalid interface name ''"),
                             ("com.docker.network.host_ipv4=zzz", "failed to parse com.docker.network.host_ipv4 value: zzz (nil ip)"),
                             ("com.docker.network.host_ipv4=fd00::1", "failed to parse com.docker.network.host_ipv4 value: fd00::1"),
                             ("com.docker.network.host_ipv6=10.0.0.1", "failed to parse com.docker.network.host_ipv6 value: 10.0.0.1")):
            assert text in engine.docker("network", "create", "-o", option, "np-bad").err
    finally:
        engine.docker("rm", "-f", name)
        engine.docker("network", "rm", "np-trust", check=True)
        assert engine.verify().code == 0


def test_options_of_creation(engine, name):
    """Ranges, gateways, kept addresses, names of links, modes; through berth, judged by what a container gets."""
    made = engine.berth("network", "create", "--subnet", f"{NET4}.42.0/24", "--ip-range", f"{NET4}.42.128/30", "--gateway", f"{NET4}.42.77",
                        "--aux-address", f"printer={NET4}.42.128", "--ipv6", "--subnet", f"{NET6}:42::/64", "--gateway", f"{NET6}:42::9",
                        "--label", "a=b", "-o", "com.docker.network.driver.mtu=1300", "-o", "com.docker.network.bridge.name=fwtestbr",
                        "-o", "com.docker.network.container_iface_prefix=net", "no-all")
    assert made.code == 0, made
    try:
        config = json.loads(engine.docker("network", "inspect", "no-all").out)[0]
        assert config["Id"] == made.out.strip() and config["Labels"] == {"a": "b"}
        assert config["IPAM"]["Config"][0] == {"Subnet": f"{NET4}.42.0/24", "IPRange": f"{NET4}.42.128/30", "Gateway": f"{NET4}.42.77",
                                               "AuxiliaryAddresses": {"printer": f"{NET4}.42.128"}}
        out = engine.docker("run", "--rm", "--network", "no-all", "busybox", "sh", "-c", "ip addr show net0; ip route", check=True).out
        assert f"{NET4}.42.129/24" in out and "mtu 1300" in out and f"default via {NET4}.42.77 dev net0" in out
        # Three places are left of four; the fourth container finds none.
        for i in range(3):
            engine.docker("run", "-d", "--name", f"no-{i}", "--network", "no-all", "busybox", "sleep", "300", check=True)
        full = engine.docker("run", "--rm", "--network", "no-all", "busybox", "true")
        assert full.code == 125 and "no available IPv4 addresses on this network's address pools: no-all" in full.err
    finally:
        engine.docker("rm", "-f", "no-0", "no-1", "no-2")
        engine.docker("network", "rm", "no-all", check=True)

    for arguments, text in [
        (["-o", "com.docker.network.bridge.gateway_mode_ipv4=isolated"], "can only be used for an internal network"),
        (["-o", "com.docker.network.bridge.gateway_mode_ipv4=odd"], "unknown gateway mode 'odd'"),
        (["-o", "com.docker.network.bridge.host_ipv4=10.0.0.1"], "network option com.docker.network.bridge.host_ipv4 is not supported yet"),
        (["--subnet", f"{NET4}.43.0/24", "--subnet", f"{NET4}.44.0/24"], "bridge driver does not support more than one IPv4 subnet"),
    ]:
        refused = engine.docker("network", "create", *arguments, "no-bad")
        assert refused.code == 1 and text in refused.err, refused
    refused = engine.berth("network", "create", "--subnet", f"{NET4}.43.0/24", "--gateway", "10.9.9.9", "no-bad")
    assert "no matching subnet for gateway 10.9.9.9" in refused.err

    # The host itself is not on an isolated network.
    engine.docker("network", "create", "--internal", "-o", "com.docker.network.bridge.gateway_mode_ipv4=isolated",
                  "-o", "com.docker.network.bridge.name=fwtestbr", "no-alone", check=True)
    assert "inet " not in engines.run(["ip", "addr", "show", "fwtestbr"], check=True).out
    engine.docker("network", "rm", "no-alone", check=True)


def test_macvlan(engine, name):
    """Containers as neighbours on a link of the host: a wire of the test's own, with a VLAN and another host at its other end."""
    end, there = f"mv{engine.directory.name[-6:]}", f"mv-{engine.directory.name[-6:]}"
    run = engines.run
    run(["ip", "netns", "add", there], check=True)
    try:
        run(["ip", "link", "add", end, "type", "veth", "peer", "name", "eth0", "netns", there], check=True)
        run(["ip", "link", "set", end, "up"], check=True)
        for arguments in (["link", "set", "eth0", "up"], ["addr", "add", f"{NET4}.60.1/24", "dev", "eth0"]):
            run(["ip", "-n", there, *arguments], check=True)
        has_vlan = run(["ip", "-n", there, "link", "add", "link", "eth0", "name", "eth0.7", "type", "vlan", "id", "7"]).code == 0
        if has_vlan:
            run(["ip", "-n", there, "link", "set", "eth0.7", "up"], check=True)
            run(["ip", "-n", there, "addr", "add", f"{NET4}.61.1/24", "dev", "eth0.7"], check=True)
        for net, parent in (("60", end), ("61", f"{end}.7")):
            made = engine.docker("network", "create", "-d", "macvlan", "--subnet", f"{NET4}.{net}.0/24", "--gateway", f"{NET4}.{net}.1",
                                 "-o", f"parent={parent}", f"mv-{net}")
            assert made.code == 0 or (net == "61" and not has_vlan and "this kernel has no vlan links" in made.err), made
        if not has_vlan:  # then any other network will do as the second one
            engine.docker("network", "create", "--subnet", f"{NET4}.61.0/24", "mv-61", check=True)
        engine.docker("run", "-d", "--name", name, "--network", "mv-60", "-p", "80", "busybox", "sleep", "300", check=True)
        assert engine.docker("port", name).out == "", "nothing is published there"
        engine.docker("exec", name, "ping", "-c", "1", "-W", "5", f"{NET4}.60.1", check=True)
        assert default_route(engine, name) == [f"{NET4}.60.1"]
        # A neighbour by name, the VLAN as a second network, and back.
        engine.docker("run", "--rm", "--network", "mv-60", "busybox", "ping", "-c", "1", "-W", "5", name, check=True)
        engine.docker("network", "connect", "mv-61", name, check=True)
        engine.docker("exec", name, "ping", "-c", "1", "-W", "5", f"{NET4}.61.1", check=True)
        engine.docker("network", "disconnect", "mv-60", name, check=True)
        assert default_route(engine, name) == [f"{NET4}.61.1"]
        assert "eth0" not in engine.docker("exec", name, "ip", "addr").out
        assert engine.verify().code == 0
        taken = engine.docker("network", "create", "-d", "macvlan", "-o", f"parent={end}", "mv-bad")
        assert f"network mv-60 is already using parent interface {end}" in taken.err
        for options, text in ((["-o", "parent=nope"], "invalid subinterface vlan name nope, example formatting is eth0.10"),
                              (["-o", "macvlan_mode=odd"], "unknown macvlan driver macvlan_mode: odd"),
                              (["-o", "com.docker.network.bridge.name=x"], "of driver macvlan is not supported")):
            assert text in engine.docker("network", "create", "-d", "macvlan", *options, "mv-bad").err
        # Without a parent: a network of its own that leads nowhere.
        engine.docker("network", "create", "-d", "macvlan", "mv-alone", check=True)
        engine.docker("run", "-d", "--name", "mv-a", "--network", "mv-alone", "busybox", "sleep", "300", check=True)
        engine.docker("run", "--rm", "--network", "mv-alone", "busybox", "ping", "-c", "1", "-W", "5", "mv-a", check=True)
    finally:
        engine.docker("rm", "-f", name, "mv-a")
        engine.docker("network", "rm", "mv-60", "mv-61", "mv-alone")
        left = [line for line in run(["ip", "-o", "link"]).out.splitlines() if f"{end}." in line or ": dm-" in line]
        run(["ip", "link", "del", end])
        run(["ip", "netns", "del", there])
    assert left == [], "links that were made for a network go with it"
    wait_until(lambda: engine.verify().code == 0, what="nothing left")


def test_ipvlan_is_there_or_refused(engine):
    made = engine.docker("network", "create", "-d", "ipvlan", "iv")
    if made.code == 0:
        engine.docker("run", "--rm", "--network", "iv", "busybox", "ip", "addr", "show", "eth0", check=True)
        engine.docker("network", "rm", "iv", check=True)
    else:
        assert "this kernel has no ipvlan" in made.err


def test_ports_come_and_go_while_it_runs(engine, name, free_port):
    """update --publish-add and --publish-rm: open connections go on, the port is free for others at once, a restart keeps it so."""
    engine.docker("run", "-d", "--name", name, "-p", f"{free_port}:80", "busybox", "sleep", "300", check=True)
    server = subprocess.Popen(["nsenter", "-t", str(engine.inspect(name)["State"]["Pid"]), "-n", "/usr/bin/python3", "-c", ECHO, "80", "81"])
    try:
        change_ports_while_talking(engine, name, free_port)
    finally:
        server.kill()
        server.wait()
    engine.docker("restart", "-t", "0", name, check=True)
    assert engine.docker("port", name).out.startswith("81/tcp -> 127.0.0.1:") and "80/tcp" not in engine.docker("port", name).out
    assert engine.verify().code == 0
    engine.docker("rm", "-f", name, check=True)


# Says again what it hears, in the network namespace that it is started in.
ECHO = r"""
import socketserver, sys, threading
class Echo(socketserver.BaseRequestHandler):
    def handle(self):
        while data := self.request.recv(100):
            self.request.sendall(data)
socketserver.ThreadingTCPServer.daemon_threads = True
for port in map(int, sys.argv[1:]):
    threading.Thread(target=socketserver.ThreadingTCPServer(("", port), Echo).serve_forever).start()
"""


def change_ports_while_talking(engine, name, free_port):

    def talk(s, text):
        s.sendall(text)
        got = b""
        while len(got) < len(text):
            piece = s.recv(100)
            assert piece, "the connection ended"
            got += piece
        return got

    def connect(port):
        s = socket.create_connection(("127.0.0.1", port), timeout=LIMIT_S)
        assert talk(s, b"first\n") == b"first\n"
        return s

    def is_answered(port):
        try:
            connect(port).close()
            return True
        except (OSError, AssertionError):
            return False
    wait_until(lambda: is_answered(free_port), what="an answer")
    old = connect(free_port)
    assert engine.berth("update", "--publish-add", "127.0.0.1::81", name).code == 0
    added = int(engine.docker("port", name, "81/tcp").out.strip().rsplit(":", 1)[1])
    wait_until(lambda: is_answered(added), what="an answer on the added port")
    assert talk(old, b"still\n") == b"still\n"

    taken = engine.berth("update", "--publish-add", f"{free_port}:81", name)
    assert taken.code == 1 and "port is already allocated" in taken.err
    assert f":{free_port}" not in engine.docker("port", name, "81/tcp").out, "nothing of a refused change remains"

    assert engine.berth("update", "--publish-rm", f"{free_port}:80/tcp", name).code == 0
    assert talk(old, b"and still\n") == b"and still\n"
    assert not is_answered(free_port)
    with socket.socket() as other:  # the port is anybody's now
        other.bind(("0.0.0.0", free_port))
    assert engine.docker("port", name).out.split("\n")[0].startswith("81/tcp")
    unknown = engine.berth("update", "--publish-rm", "99", name)
    assert unknown.code == 1 and "port 99 is not published" in unknown.err
    old.close()


def test_driver_options_of_an_endpoint(engine, two, name):
    options = ("driver-opt=com.docker.network.endpoint.ifname=front,"
               "driver-opt=com.docker.network.endpoint.sysctls=net.ipv4.conf.IFNAME.log_martians=1")
    engine.docker("run", "-d", "--name", name, "--network", f"name=na,{options}", "--network", "nb", "busybox", "sleep", "300", check=True)
    out = engine.docker("exec", name, "sh", "-c", "ip -o link; cat /proc/sys/net/ipv4/conf/front/log_martians", check=True).out
    assert ": front@" in out and ": eth0@" in out and out.endswith("\n1\n")
    for option, text in (("com.docker.network.endpoint.ifname=eth0/x", "invalid interface name: eth0/x"),
                         ("com.docker.network.endpoint.sysctls=net.ipv4.ip_forward=1", "invalid endpoint sysctl 'net.ipv4.ip_forward=1'"),
                         ("com.docker.network.endpoint.odd=1", "driver option com.docker.network.endpoint.odd on network na is not supported")):
        refused = engine.docker("run", "--rm", "--network", f"name=na,driver-opt={option}", "busybox", "true")
        assert refused.code == 125 and text in refused.err, refused
    engine.docker("rm", "-f", name, check=True)


def test_link_local_addresses(engine, two, name):
    """Beside the one that the engine chose; nobody counts them. Both families, at creation and later."""
    engine.docker("network", "create", "--ipv6", "ll6", check=True)
    try:
        shown = engine.docker("run", "--rm", "--network", "ll6", "--link-local-ip", "169.254.8.8", "--link-local-ip", "fe80::77", "busybox",
                              "ip", "addr", "show", "eth0", check=True).out
        assert "inet 169.254.8.8/16 " in shown and "inet6 fe80::77/64 " in shown
        engine.docker("run", "-d", "--name", name, "busybox", "sleep", "300", check=True)
        engine.docker("network", "connect", "--link-local-ip", "169.254.8.9", "na", name, check=True)
        assert "inet 169.254.8.9/16 " in engine.docker("exec", name, "ip", "addr", "show", "eth1", check=True).out
        assert networks(engine, name)["na"]["IPAMConfig"] == {"LinkLocalIPs": ["169.254.8.9"]}
        for network, address, said in (("na", "odd", "invalid link-local IP address: odd"), ("na", "fe80::1", "which has no IPv6")):
            refused = engine.docker("run", "--rm", "--network", network, "--link-local-ip", address, "busybox", "true")
            assert refused.code == 125 and said in refused.err
    finally:
        engine.docker("rm", "-f", name)
        engine.docker("network", "rm", "ll6", check=True)


def test_who_shares_a_network_goes_by_its_name(engine, name):
    engine.docker("run", "-d", "--name", name, "--hostname", "lender", "busybox", "sleep", "300", check=True)
    try:
        shown = engine.docker("run", "--rm", "--network", f"container:{name}", "busybox", "sh", "-c", "hostname; cat /etc/hostname; ping -c 1 lender")
        assert shown.code == 0 and shown.out.startswith("lender\nlender\nPING lender"), shown
    finally:
        engine.docker("rm", "-f", name)


def test_names_and_hosts_change_while_it_runs(engine, two, name):
    """update --dns, --add-host and so on: its files and its resolver follow at once, and a restart keeps it so."""
    def read(path):
        return engine.docker("exec", name, "cat", path, check=True).out
    engine.docker("run", "-d", "--name", name, "--network", "nb", "--add-host", "old:10.9.9.1", "busybox", "sleep", "300", check=True)
    engine.docker("exec", name, "sh", "-c", "echo 10.9.9.7 mine >> /etc/hosts", check=True)
    pid = engine.inspect(name)["State"]["Pid"]
    gateway = json.loads(engine.docker("network", "inspect", "nb").out)[0]["IPAM"]["Config"][0]["Gateway"]
    server = Server(gateway)
    try:
        engine.berth("update", "--dns", gateway, "--dns-search", "corp.test", "--add-host", "db=10.9.9.2", "--add-host", "up:host-gateway",
                     "--rm-host", "old", name, check=True)
        for _ in range(2):
            assert ask(pid, "www.example.test").values == ["198.51.100.7"]
            hosts, resolv = read("/etc/hosts"), read("/etc/resolv.conf")
            assert "10.9.9.2\tdb\n" in hosts and "\told\n" not in hosts and re.search(r"^[0-9.]+\tup$", hosts, re.M)
            assert "search corp.test\n" in resolv and "nameserver 127.0.0.11" in resolv and f"ExtServers: [{gateway}]" in resolv
            if "mine" in hosts:  # the first time: what somebody in the container wrote stays until it starts anew
                assert "10.9.9.7 mine\n" in hosts and engine.inspect(name)["HostConfig"]["Dns"] == [gateway]
                engine.docker("restart", "-t", "0", name, check=True)
                pid = engine.inspect(name)["State"]["Pid"]
    finally:
        server.close()
    engine.berth("update", "--dns", "none", "--dns-search", "none", "--rm-host", "db:10.9.9.2", name, check=True)
    assert engine.inspect(name)["HostConfig"]["ExtraHosts"] == ["up:host-gateway"] and engine.inspect(name)["HostConfig"]["Dns"] in ([], None)
    resolv = read("/etc/resolv.conf")
    assert "corp.test" not in resolv
    assert "\tdb\n" not in read("/etc/hosts")
    for arguments, text in ((["--dns", "nonsense"], "invalid IP address in dns"), (["--rm-host", "db"], "host db was not added"),
                            (["--add-host", "up:host-gateway"], "added to the container already"),
                            (["--add-host", "x:300.1.1.1"], "invalid IP address in add-host")):
        refused = engine.berth("update", *arguments, name)
        assert refused.code != 0 and text in refused.err, refused
    # On the default bridge: servers in the file itself, also when a network with names comes later.
    other = name + "-b"
    engine.docker("run", "-d", "--name", other, "busybox", "sleep", "300", check=True)
    try:
        engine.berth("update", "--dns", "192.0.2.1", other, check=True)
        assert "nameserver 192.0.2.1\n" in engine.docker("exec", other, "cat", "/etc/resolv.conf").out
        engine.docker("network", "connect", "nb", other, check=True)
        assert "nameserver 127.0.0.11\n" in engine.docker("exec", other, "cat", "/etc/resolv.conf").out
        assert ask(engine.inspect(other)["State"]["Pid"], name).values
    finally:
        engine.docker("rm", "-f", other)


def test_the_host_end_of_a_link_has_no_addresses(engine, name):
    """With IPv6 each would bring routes, which the host looks through one by one when a link comes."""
    engine.docker("run", "-d", "--name", name, "busybox", "sleep", "1000", check=True)
    index = engine.docker("exec", name, "cat", "/sys/class/net/eth0/iflink", check=True).out.strip()
    host_end = next(link for link in pathlib.Path("/sys/class/net").iterdir() if (link / "ifindex").read_text().strip() == index)
    assert (host_end / "operstate").read_text().strip() == "up"
    assert host_end.name not in pathlib.Path("/proc/net/if_inet6").read_text().split()
