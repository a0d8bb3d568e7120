"""What no well-meaning client sends: every field of a creation with values that are not for it. Each is an answer, and the engine lives on."""
import http.client
import json
import pathlib
import re
import urllib.parse

import pytest

import raw_api
from raw_api import UnixConnection

pytestmark = pytest.mark.own

SHAPES = (pathlib.Path(__file__).resolve().parent.parent / "src/spec/container.c").read_text()
VALUES = [None, "", [], {}, [None], [""], [[]], [{}], {"": ""}, {"": None}, {"x": None}, {"x": [None]}, {"x": [{}]}, 0, -1, 2**32, 2**63 - 1, 2**64, 1.5,
          True, "x", ["x"], "/", ["/"], ":", [":"], ["::"], ["="], [","], "container:", "a\0b", ["a\0b"], "\n", ["\n"], ["%s%n"], ["../..:/.."], [-1, -1],
          "x" * 70000, ["x" * 70000], {"80-81/tcp": [{"HostPort": " "}]}]
# What else a list needs in each of its elements, for the one field to be looked at.
ELEMENTS = {"BlkioWeightDevice": {"Path": "/dev/null", "Weight": 10}, "BlkioDeviceReadBps": {"Path": "/dev/null", "Rate": 10},
            "Devices": {"PathOnHost": "/dev/null"}, "DeviceRequests": {}, "Mounts": {"Type": "volume", "Target": "/x"},
            "Ulimits": {"Name": "nofile", "Soft": 10, "Hard": 20}}
STRUCTS = {"BlkioWeightDevice": "weight_device", "BlkioDeviceReadBps": "throttle_device", "Devices": "device_mapping",
           "DeviceRequests": "device_request", "Mounts": "mount_request", "Ulimits": "ulimit"}
MOUNTS = {"BindOptions": ("bind_options", "bind", "/tmp"), "VolumeOptions": ("volume_options", "volume", ""),
          "TmpfsOptions": ("tmpfs_options", "tmpfs", ""), "ImageOptions": ("image_options", "image", "busybox")}
ENDPOINT = ["IPAMConfig", "Links", "Aliases", "MacAddress", "DriverOpts", "GwPriority", "DNSNames", "IPAddress"]


def fields(struct):
    names = re.findall(rf'\(struct {struct}, *\w+, *"(\w+)"', SHAPES)
    assert names, struct
    return names


def bodies():
    def body(host=None, **config):
        return {"Image": "busybox", "Cmd": ["true"], "HostConfig": host or {}, **config}

    for value in VALUES:
        yield from (body(**{name: value}) for name in fields("container_config"))
        yield from (body({name: value}) for name in fields("host_config"))
        yield from (body(Healthcheck={"Test": ["CMD", "true"], name: value}) for name in fields("health_config"))
        yield from (body({"LogConfig": {name: value}}) for name in fields("log_config"))
        yield from (body({"RestartPolicy": {name: value}}) for name in fields("restart_policy"))
        for name, element in ELEMENTS.items():
            yield from (body({name: [{**element, part: value}]}) for part in fields(STRUCTS[name]))
        for name, (struct, kind, source) in MOUNTS.items():
            yield from (body({"Mounts": [{"Type": kind, "Source": source, "Target": "/x", name: {part: value}}]}) for part in fields(struct))
        yield from (body(NetworkingConfig={"EndpointsConfig": {"bridge": {name: value}}}) for name in ENDPOINT)
        yield from (body(NetworkingConfig={"EndpointsConfig": {"bridge": {"IPAMConfig": {name: value}}}}) for name in ("IPv4Address", "LinkLocalIPs"))
        yield from (body(NetworkingConfig={"EndpointsConfig": endpoints}) for endpoints in (value, {"bridge": value}))


def test_creations_with_every_odd_value(engine):
    """Refused with a reason, or taken: then it can be looked at and removed."""
    connection = UnixConnection(engine.socket)

    def call(method, path, body=None):
        try:
            connection.request(method, path, json.dumps(body) if body else None, {"Content-Type": "application/json"} if body else {})
            answer = connection.getresponse()
            data = answer.read()
        except (OSError, http.client.HTTPException) as broken:
            raise AssertionError(f"no answer to {method} {path} {str(body)[:300]}: {broken!r}") from broken
        return answer.status, json.loads(data) if data else {}

    taken = refused = 0
    for body in bodies():
        status, answer = call("POST", "/v1.51/containers/create", body)
        if status != 201:
            assert 400 <= status <= 501 and answer["message"], (status, answer, body)
            refused += 1
            continue
        taken += 1
        status, inspected = call("GET", f"/v1.51/containers/{answer['Id']}/json")
        assert status == 200 and inspected["Id"] == answer["Id"], body
        assert call("DELETE", f"/v1.51/containers/{answer['Id']}?v=1")[0] == 204, body
    assert taken and refused
    connection.close()


@pytest.fixture
def api(engine):
    return raw_api.Api(engine.socket)


def send(engine, method, target):
    """The target as it is, which the other helpers would escape."""
    connection = UnixConnection(engine.socket)
    connection.putrequest(method, target)
    connection.putheader("Content-Length", "0")
    connection.endheaders()
    answer = connection.getresponse()
    data = answer.read()
    connection.close()
    return answer.status, data.decode()


def test_broken_escapes_are_refused(engine, name):
    """A filter that cannot be read is not taken for none: what prunes would remove everything."""
    engine.docker("create", "--name", name, "busybox", "true", check=True)
    for target in ("/containers/prune?filters=%zz", "/containers/prune?filters=%7B%22label%22%3A%5B%22x%00%22%5D%7D", f"/containers/{name}/rename?name=ab%00c"):
        status, said = send(engine, "POST", target)
        assert status == 400 and "invalid URL escape" in said, (target, said)
    assert engine.inspect(name)["Name"] == f"/{name}"


def test_filters_without_values(engine, api, name):
    """null is none, and a status without values selects as if it were not there."""
    engine.docker("create", "--name", name, "busybox", "true", check=True)

    def names(filters, every=""):
        answer = api.do("GET", f"/containers/json?{every}filters={urllib.parse.quote(filters)}")
        return {entry["Names"][0] for entry in answer}
    assert f"/{name}" not in names("null") | names('{"status":[]}') | names('{"status":null}')
    assert f"/{name}" in names("null", "all=1&") & names('{"name":null,"label":null}', "all=1&")
    assert f"/{name}" in names('{"status":["created"]}')


def test_published_ports_that_are_none(api):
    for port in ("-1", "70000", "80-", "-", "90-80", "80-70000", "1-2-3"):
        wish = {"Image": "busybox", "HostConfig": {"PortBindings": {"80/tcp": [{"HostPort": port}]}}}
        answer = api.call("POST", "/containers/create", wish)
        assert (answer.status, answer.json["message"]) == (400, f'invalid port specification: "{port}"'), port


def test_logs_since_the_far_future(engine, api, name):
    engine.docker("run", "--name", name, "busybox", "echo", "hi", check=True)
    assert b"hi" in api.call("GET", f"/containers/{name}/logs?stdout=1&until=99999999999").data
    assert api.call("GET", f"/containers/{name}/logs?stdout=1&since=99999999999").data == b""
    answer = api.call("GET", f"/containers/{name}/logs?stdout=1&since=99999999999999999999")
    assert answer.status == 500 and answer.json["message"] == 'strconv.ParseInt: parsing "99999999999999999999": value out of range'


def test_prune_until_something(api):
    answer = api.call("POST", "/containers/prune?filters=" + urllib.parse.quote('{"until":["x"]}'))
    assert (answer.status, answer.json["message"]) == (400, 'failed to parse value as time or duration: "x"')


def test_lists_given_as_one_text(engine, api, name):
    """Docker takes a text for the list of one where a shell word may stand."""
    api.do("POST", f"/containers/create?name={name}", {"Image": "busybox", "Cmd": "true", "Shell": "/bin/sh",
                                                       "HostConfig": {"CapAdd": "NET_ADMIN", "CapDrop": "MKNOD"}})
    made = engine.inspect(name)
    assert made["HostConfig"]["CapAdd"] == ["NET_ADMIN"] and made["HostConfig"]["CapDrop"] == ["MKNOD"]
    assert made["Config"]["Shell"] == ["/bin/sh"]


@pytest.mark.parametrize("host", [{}, {"NetworkMode": "bridge", "PortBindings": {"80/tcp": [{"HostPort": ""}]}}])
def test_network_disabled(engine, api, name, host):
    """Only the loopback interface, as with the network "none"."""
    api.do("POST", f"/containers/create?name={name}", {"Image": "busybox", "Cmd": ["ls", "/sys/class/net"], "NetworkDisabled": True, "HostConfig": host,
                                                       "NetworkingConfig": {"EndpointsConfig": {"bridge": {}}}})
    assert engine.docker("start", "-a", name, check=True).out == "lo\n"
    assert engine.inspect(name)["Config"]["NetworkDisabled"] is True
