"""Every route of the API, one by one: status, headers, framing, shape of the body, words of errors, and how older versions are answered.

tests/shapes/routes.json has what Docker Engine 28.5 answered (written by record() below, given the socket of a fresh one on overlay2);
tests/differences.py what differs on purpose. A route in src/api/routes.c without a row fails."""
import fnmatch
import json
import pathlib
import re
import socket

import pytest

import differences as declared
import engine as engines
import raw_api
from test_api_shapes import build_context, image_archive

pytestmark = pytest.mark.own

ROOT = pathlib.Path(__file__).resolve().parent.parent
RECORD = ROOT / "tests/shapes/routes.json"
NEWEST = "1.51"
READ_LIMIT_S = 120

# Where answers of older versions differ, they do so at one of these.
VERSIONS = ["1.24", "1.25", "1.30", "1.40", "1.41", "1.42", "1.43", "1.44", "1.45", "1.46", "1.47", "1.48", "1.49", "1.50"]
# Around each version that a route appeared with.
BOUNDARIES = ["1.24", "1.25", "1.26", "1.28", "1.29", "1.30", "1.31", "1.34", "1.35", "1.38", "1.39", "1.41", "1.42", "1.51"]

UNASKED = ["GET /images/search"]  # whoever asks, the engine asks the world
OWN_ROUTES = {  # ours alone: what they answer is said here
    "GET /system/verify": ("/system/verify", 200, "application/json"),
    "POST /system/verify": ("/system/verify", 200, "application/json"),
    "GET /metrics": ("/metrics", 200, "text/plain; version=0.0.4; charset=utf-8"),
    "GET /images/{name}/files": ("/images/nope/files", 404, "application/json"),
    "POST /containers/{id}/ports": ("/containers/nope/ports", 400, "application/json"),
    "POST /containers/{id}/names": ("/containers/nope/names", 400, "application/json"),
    "POST /containers/{id}/mounts": ("/containers/nope/mounts", 400, "application/json"),
    "POST /containers/{id}/archive": ("/containers/nope/archive", 501, "application/json"),
    "GET /volumes/{name}/export": ("/volumes/nope/export", 404, "application/json"),
    "POST /volumes/{name}/import": ("/volumes/_/import", 400, "application/json"),
    "POST /volumes/{name}/copy": ("/volumes/nope/copy", 400, "application/json"),
    "POST /volumes/{name}/rename": ("/volumes/nope/rename?name=made", 404, "application/json"),
    **{f"GET /prune/{kind}": (f"/prune/{kind}", 200, "application/json") for kind in ("build", "containers", "images", "networks", "volumes")},
    "GET /distribution/{name}/manifest": ("/distribution/UPPER/manifest", 400, "application/json"),
    "PUT /distribution/{name}/manifest": ("/distribution/UPPER/manifest", 400, "application/json"),
    "GET /distribution/{name}/blob": ("/distribution/UPPER/blob", 400, "application/json"),
    "PUT /distribution/{name}/blob": ("/distribution/UPPER/blob", 400, "application/json"),
    "POST /build/contexts": ("/build/contexts", 400, "application/json"),
    "POST /build/lenders": ("/build/lenders", 400, "application/json"),
    "POST /build/lenders/agents/{word}": ("/build/lenders/agents/nope", 400, "application/json"),
    "POST /build/lenders/{id}/caches": ("/build/lenders/nope/caches", 404, "application/json"),
}

HEADERS = ["Api-Version", "Builder-Version", "Cache-Control", "Connection", "Content-Type", "Docker-Experimental", "Ostype", "Pragma",
           "Swarm", "Upgrade", "X-Content-Type-Options"]
PRESENT = ["Server", "Date", "X-Docker-Container-Path-Stat"]


def routes_of_ours():
    text = (ROOT / "src/api/routes.c").read_text()
    return [f"{method} {pattern}" for method, pattern in re.findall(r'^    \{ "([A-Z]+)", +"(/[^"]*)"', text, re.M)]


# ---- one exchange ----

class Answer:
    def __init__(self, head, body):
        lines = head.decode("latin-1").split("\r\n")
        self.status = int(lines[0].split()[1])
        self.headers = {}
        for line in lines[1:]:
            key, _, value = line.partition(": ")
            self.headers[key] = value
        self.framing = ("upgraded" if self.status == 101 else "chunked" if self.headers.get("Transfer-Encoding") == "chunked" else
                        "length" if "Content-Length" in self.headers else "none" if self.status in (204, 304) else "close")
        self.body = unchunked(body) if self.framing == "chunked" else body
        self.type = self.headers.get("Content-Type")

    def json(self):
        return json.loads(self.body) if self.type == "application/json" and self.body and self.body.count(b"\n") < 2 else None


def unchunked(data):
    out = b""
    while data:
        size, _, data = data.partition(b"\r\n")
        count = int(size, 16)
        if not count:
            break
        out, data = out + data[:count], data[count + 2:]
    return out


def exchange(path, method, target, data=None, type="application/json", headers=()):
    """A request on a connection of its own that the server closes at the end; everything that came."""
    head = f"{method} {raw_api.quote(target)} HTTP/1.1\r\nHost: x\r\n"
    head += "".join(f"{line}\r\n" for line in headers) or "Connection: close\r\n"
    if data is not None:
        head += f"Content-Type: {type}\r\n"
    if data is not None or method in ("POST", "PUT"):
        head += f"Content-Length: {len(data or b'')}\r\n"
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(READ_LIMIT_S)
        s.connect(str(path))
        got = b""
        try:
            s.sendall(head.encode() + b"\r\n" + (data or b""))
        except (BrokenPipeError, ConnectionResetError):
            pass  # an engine may refuse and close before it has read everything
        try:
            while block := s.recv(65536):
                got += block
        except ConnectionResetError:
            pass
        except TimeoutError:
            raise AssertionError(f"{method} {target}: no end after {got[:500]!r}")
    head, _, body = got.partition(b"\r\n\r\n")
    return Answer(head, body)


# ---- the world in which the calls are done ----

CONTAINER = {"Image": "routes", "Cmd": ["sleep", "600"], "StopTimeout": 0, "Labels": {"l": "1"}, "HostConfig": {"NetworkMode": "none"}}


class World:
    """Things of every kind: image routes, network rnet, volume rvol, and a container c1 in the state that a case wants."""

    def __init__(self, path):
        self.path = path
        self.api = raw_api.Api(path)
        self.api.do("POST", "/images/create?fromSrc=-&repo=routes&changes=CMD sh", text=image_archive(), content_type="application/x-tar")
        self.remove()
        self.api.do("POST", "/networks/create", {"Name": "rnet", "Internal": True})
        self.api.do("POST", "/volumes/create", {"Name": "rvol"})

    def remove(self):
        self.api.call("DELETE", "/containers/c1?force=1")
        self.api.call("DELETE", "/networks/rnet")
        self.api.call("DELETE", "/volumes/rvol")

    def bring(self, state):
        """The container as wanted; an id of an exec if that is what is wanted."""
        self.api.call("DELETE", "/containers/c1?force=1")
        if state is None:
            return None
        wanted = {**CONTAINER, "Cmd": ["true"]} if state == "exited" else CONTAINER
        self.api.do("POST", "/containers/create?name=c1", wanted)
        if state != "created":
            self.api.do("POST", "/containers/c1/start")
        if state == "exited":
            self.api.do("POST", "/containers/c1/wait")
        if state == "paused":
            self.api.do("POST", "/containers/c1/pause")
        if state == "exec":
            return self.api.do("POST", "/containers/c1/exec", {"Cmd": ["true"], "AttachStdout": True})["Id"]
        return None

    def ask(self, case, version=NEWEST):
        made = self.bring(case.get("given"))
        for before in case.get("before", ()):
            method, target = before.split(" ", 1)
            self.api.call(method, target)
        method, target = case["call"].split(" ", 1)
        data = json.dumps(case["body"]).encode() if "body" in case else DATA[case["data"]]() if "data" in case else None
        answer = exchange(self.path, method, f"/v{version}" + target.replace("{exec}", made or ""), data, case.get("type", "application/json"),
                          case.get("headers", ()))
        for after in case.get("after", ()):
            method, target = after.split(" ", 1)
            self.api.call(method, target)
        return answer


DATA = {"archive": image_archive, "context": lambda: build_context("FROM routes\nLABEL a=b\n"), "junk": lambda: b"junk", "empty": lambda: b""}
UPGRADE = ["Connection: Upgrade", "Upgrade: tcp"]
TAR = "application/x-tar"


def case(call, route=None, given=None, **more):
    """A call, and the route that it is for (the call without its query if that is one)."""
    return {"call": call, "route": route or call.split("?")[0], **({"given": given} if given else {}), **more}


def cases_of(route, call, states=(), unknown=True, **more):
    """A call on a container: in each state, and of one that is not there."""
    made = [case(call, route, state, **more) for state in states]
    return made + ([case(call.replace("/c1/", "/nope/"), route, **more)] if unknown else [])


C = "/containers/{id}"
SWARM = ["GET /swarm", "GET /swarm/unlockkey", "POST /swarm/leave", "POST /swarm/update", "POST /swarm/unlock", "GET /nodes", "GET /nodes/x",
         "POST /nodes/x/update", "DELETE /nodes/x", "GET /services", "POST /services/create", "GET /services/x/logs", "POST /services/x/update",
         "GET /services/x", "DELETE /services/x", "GET /tasks", "GET /tasks/x", "GET /tasks/x/logs", "GET /secrets", "POST /secrets/create",
         "POST /secrets/x/update", "GET /secrets/x", "DELETE /secrets/x", "GET /configs", "POST /configs/create", "POST /configs/x/update",
         "GET /configs/x", "DELETE /configs/x"]

CASES = [
    case("GET /_ping"), case("HEAD /_ping"), case("GET /version"), case("GET /info"), case("GET /system/df"), case("GET /system/df?type=volume"),
    case("GET /system/df?type=zz"), case("GET /events?since=1&until=2"), case("GET /events?since=5&until=1"), case("GET /events?since=x"),
    case("GET /events?since=1&until=2&filters=x"),
    case("POST /auth"), case("POST /auth", data="junk", type="text/plain"), case("POST /auth", data="junk"),
    case("POST /session"), case("POST /grpc"),

    case("GET /containers/json", given="running"), case("GET /containers/json?all=1&size=1", given="exited"), case("GET /containers/json"),
    case("GET /containers/json?limit=x"), case('GET /containers/json?filters={"zz":["a"]}'), case("GET /containers/json?filters=x"),
    case("POST /containers/create?name=c1", body=CONTAINER), case("POST /containers/create", data="junk"), case("POST /containers/create"),
    case("POST /containers/create", data="junk", type="text/plain"), case("POST /containers/create", body={"Image": "nope"}),
    case("POST /containers/create?name=c1", given="created", body=CONTAINER), case("POST /containers/create?name=_", body=CONTAINER),
    case("POST /containers/prune", given="exited"), case("POST /containers/prune"), case('POST /containers/prune?filters={"zz":["a"]}'),
    *cases_of(f"GET {C}/json", "GET /containers/c1/json", ["running", "created"]), case("GET /containers/c1/json?size=1", f"GET {C}/json", "exited"),
    *cases_of(f"GET {C}/logs", "GET /containers/c1/logs?stdout=1", ["exited", "created"]), case("GET /containers/c1/logs", f"GET {C}/logs", "exited"),
    *cases_of(f"GET {C}/top", "GET /containers/c1/top", ["running", "exited"]), case("GET /containers/c1/top?ps_args=zz", f"GET {C}/top", "running"),
    *cases_of(f"GET {C}/changes", "GET /containers/c1/changes", ["created"]),
    *cases_of(f"GET {C}/export", "GET /containers/c1/export", ["created"]),
    *cases_of(f"GET {C}/stats", "GET /containers/c1/stats?stream=0&one-shot=1", ["running", "created"]),
    *cases_of(f"GET {C}/archive", "GET /containers/c1/archive?path=/etc/passwd", ["created"]),
    case("GET /containers/c1/archive?path=/nope", f"GET {C}/archive", "created"), case("GET /containers/c1/archive", f"GET {C}/archive", "created"),
    *cases_of(f"HEAD {C}/archive", "HEAD /containers/c1/archive?path=/etc/passwd", ["created"]),
    case("HEAD /containers/c1/archive?path=/nope", f"HEAD {C}/archive", "created"),
    *cases_of(f"PUT {C}/archive", "PUT /containers/c1/archive?path=/tmp", ["created"], data="archive", type=TAR),
    case("PUT /containers/c1/archive?path=/etc/passwd", f"PUT {C}/archive", "created", data="archive", type=TAR),
    case("PUT /containers/c1/archive?path=/nope", f"PUT {C}/archive", "created", data="archive", type=TAR),
    *cases_of(f"GET {C}/checkpoints", "GET /containers/c1/checkpoints", ["created"]),
    *cases_of(f"POST {C}/checkpoints", "POST /containers/c1/checkpoints", ["created"], body={"CheckpointID": "x"}),
    *cases_of(f"DELETE {C}/checkpoints/{{name}}", "DELETE /containers/c1/checkpoints/x", ["created"]),
    *cases_of(f"POST {C}/start", "POST /containers/c1/start", ["created", "running", "paused", "exited"]),
    *cases_of(f"POST {C}/stop", "POST /containers/c1/stop?t=0", ["running", "exited", "paused"]),
    case("POST /containers/c1/stop?t=x", f"POST {C}/stop", "running"), case("POST /containers/c1/stop?signal=zz", f"POST {C}/stop", "running"),
    *cases_of(f"POST {C}/restart", "POST /containers/c1/restart?t=0", ["running", "exited"]),
    *cases_of(f"POST {C}/kill", "POST /containers/c1/kill", ["running", "exited", "created"]),
    case("POST /containers/c1/kill?signal=zz", f"POST {C}/kill", "running"),
    *cases_of(f"POST {C}/pause", "POST /containers/c1/pause", ["running", "paused", "exited"]),
    *cases_of(f"POST {C}/unpause", "POST /containers/c1/unpause", ["paused", "running"]),
    *cases_of(f"POST {C}/rename", "POST /containers/c1/rename?name=other", ["created"], after=["DELETE /containers/other?force=1"]),
    case("POST /containers/c1/rename?name=c1", f"POST {C}/rename", "created"), case("POST /containers/c1/rename", f"POST {C}/rename", "created"),
    *cases_of(f"POST {C}/resize", "POST /containers/c1/resize?h=10&w=20", ["exited", "running"]), case("POST /containers/c1/resize?h=x", f"POST {C}/resize", "running"),
    *cases_of(f"POST {C}/update", "POST /containers/c1/update", ["running", "exited"], body={"CpuShares": 100}),
    case("POST /containers/c1/update", f"POST {C}/update", "created"),
    *cases_of(f"POST {C}/wait", "POST /containers/c1/wait", ["exited", "created"]), case("POST /containers/c1/wait?condition=zz", f"POST {C}/wait", "exited"),
    *cases_of(f"POST {C}/attach", "POST /containers/c1/attach?logs=1&stdout=1", ["exited"], headers=UPGRADE),
    case("POST /containers/c1/attach?logs=1&stdout=1", f"POST {C}/attach", "exited"), case("POST /containers/c1/attach?stream=1", f"POST {C}/attach", "paused"),
    case("GET /containers/c1/attach/ws", f"GET {C}/attach/ws", "running"), case("GET /containers/nope/attach/ws", f"GET {C}/attach/ws"),
    *cases_of(f"POST {C}/exec", "POST /containers/c1/exec", ["running", "exited", "paused"], body={"Cmd": ["true"]}),
    case("POST /containers/c1/exec", f"POST {C}/exec", "running", body={}),
    case("DELETE /containers/c1", f"DELETE {C}", "created"), case("DELETE /containers/c1", f"DELETE {C}", "running"),
    case("DELETE /containers/c1?force=1", f"DELETE {C}", "running"), case("DELETE /containers/c1", f"DELETE {C}", "paused"), case("DELETE /containers/nope", f"DELETE {C}"),
    case("POST /commit?container=c1&repo=committed", "POST /commit", "exited", after=["DELETE /images/committed"]), case("POST /commit?container=nope"),
    case("POST /commit?container=c1&repo=UPPER", "POST /commit", "exited"),

    case("GET /exec/{exec}/json", "GET /exec/{id}/json", "exec"), case("GET /exec/nope/json", "GET /exec/{id}/json"),
    case("POST /exec/{exec}/start", "POST /exec/{id}/start", "exec", body={}, headers=UPGRADE), case("POST /exec/{exec}/start", "POST /exec/{id}/start", "exec", body={}),
    case("POST /exec/{exec}/start", "POST /exec/{id}/start", "exec", body={"Detach": True}), case("POST /exec/nope/start", "POST /exec/{id}/start", body={}),
    case("POST /exec/nope/resize?h=1&w=1", "POST /exec/{id}/resize"),

    case("GET /images/json"), case("GET /images/json?all=1&shared-size=1"), case('GET /images/json?filters={"zz":["a"]}'), case("GET /images/json?filters=x"),
    case("GET /images/search?term=x&limit=x"),
    case("GET /images/get?names=routes"), case("GET /images/get?names=nope"), case("GET /images/{name}/get".format(name="routes"), "GET /images/{name}/get"),
    case("GET /images/nope/get", "GET /images/{name}/get"),
    case("POST /images/load", data="junk", type=TAR), case("POST /images/create", data="junk", type=TAR),
    case("POST /images/create?fromSrc=-&repo=made", data="archive", type=TAR, after=["DELETE /images/made"]),
    case("POST /images/create?fromSrc=-&repo=UPPER", data="archive", type=TAR),
    case("POST /images/create?fromImage=127.0.0.1:1/nope&tag=1"), case("POST /images/create?fromImage=UPPER"),
    case("POST /images/prune"), case('POST /images/prune?filters={"zz":["a"]}'),
    case("GET /images/routes/json", "GET /images/{name}/json"), case("GET /images/nope/json", "GET /images/{name}/json"),
    case("GET /images/routes/history", "GET /images/{name}/history"), case("GET /images/nope/history", "GET /images/{name}/history"),
    case("POST /images/routes/tag?repo=tagged", "POST /images/{name}/tag", after=["DELETE /images/tagged"]), case("POST /images/nope/tag?repo=x", "POST /images/{name}/tag"),
    case("POST /images/routes/tag?repo=UPPER", "POST /images/{name}/tag"),
    case("POST /images/127.0.0.1:1/nope/push", "POST /images/{name}/push"),
    case("DELETE /images/tagged", "DELETE /images/{name}", before=["POST /images/routes/tag?repo=tagged"]), case("DELETE /images/nope", "DELETE /images/{name}"),
    case("DELETE /images/routes", "DELETE /images/{name}", "running"),
    case("GET /distribution/127.0.0.1:1/x/json", "GET /distribution/{name}/json"), case("GET /distribution/UPPER/json", "GET /distribution/{name}/json"),

    case("POST /build?t=built&rm=1", data="context", type=TAR, after=["DELETE /images/built"]), case("POST /build", data="junk", type=TAR), case("POST /build?t=UPPER", data="context", type=TAR),
    case("POST /build?q=1", data="context", type=TAR, after=["POST /images/prune"]), case("POST /build", data="context", type="text/plain"),
    case("POST /build/prune"), case('POST /build/prune?filters={"zz":["a"]}'), case("POST /build/cancel?id=x"), case("POST /build/cancel"),

    case("GET /volumes"), case('GET /volumes?filters={"zz":["a"]}'), case('GET /volumes?filters={"name":["none"]}'),
    case("POST /volumes/create", body={"Name": "made"}, after=["DELETE /volumes/made"]), case("POST /volumes/create", body={"Name": "_"}),
    case("POST /volumes/create", body={"Name": "made", "Driver": "nope-driver"}), case("POST /volumes/create", data="junk"),
    case("POST /volumes/prune"), case('POST /volumes/prune?filters={"zz":["a"]}'),
    case("GET /volumes/rvol", "GET /volumes/{name}"), case("GET /volumes/nope", "GET /volumes/{name}"),
    case("PUT /volumes/rvol", "PUT /volumes/{name}", body={}), case("DELETE /volumes/nope", "DELETE /volumes/{name}"), case("DELETE /volumes/nope?force=1", "DELETE /volumes/{name}"),
    case("DELETE /volumes/made", "DELETE /volumes/{name}", before=["POST /volumes/create?x=1"]),

    case("GET /networks"), case("GET /networks/"), case('GET /networks?filters={"zz":["a"]}'), case('GET /networks?filters={"name":["rnet"]}'),
    case("POST /networks/create", body={"Name": "made", "Internal": True}, after=["DELETE /networks/made"]), case("POST /networks/create", body={"Name": "rnet"}),
    case("POST /networks/create", body={"Name": "host"}), case("POST /networks/create", body={}), case("POST /networks/create", data="junk"),
    case('POST /networks/prune?filters={"zz":["a"]}'),
    case("GET /networks/rnet", "GET /networks/{id}"), case("GET /networks/nope", "GET /networks/{id}"), case("GET /networks/host", "GET /networks/{id}"),
    case("POST /networks/rnet/connect", "POST /networks/{id}/connect", body={"Container": "nope"}),
    case("POST /networks/nope/connect", "POST /networks/{id}/connect", "created", body={"Container": "c1"}),
    case("POST /networks/rnet/disconnect", "POST /networks/{id}/disconnect", "created", body={"Container": "c1"}),
    case("POST /networks/nope/disconnect", "POST /networks/{id}/disconnect", body={"Container": "c1"}),
    case("DELETE /networks/nope", "DELETE /networks/{id}"), case("DELETE /networks/host", "DELETE /networks/{id}"),

    case("GET /plugins"), case("GET /plugins/privileges"), case("POST /plugins/pull"), case("POST /plugins/create", data="junk", type=TAR),
    case("GET /plugins/nope/json", "GET /plugins/{name}/json"), case("POST /plugins/nope/enable", "POST /plugins/{name}/enable"),
    case("POST /plugins/nope/disable", "POST /plugins/{name}/disable"), case("POST /plugins/nope/push", "POST /plugins/{name}/push"),
    case("POST /plugins/nope/upgrade?remote=x", "POST /plugins/{name}/upgrade", body=[]), case("POST /plugins/nope/set", "POST /plugins/{name}/set", body=[]),
    case("DELETE /plugins/nope", "DELETE /plugins/{name}"),

    *[case(call, re.sub(r"/x\b", "/{id}", call), **({"body": {}} if call.startswith("POST") and "leave" not in call else {})) for call in SWARM],
    case("POST /swarm/init", data="junk"), case("POST /swarm/join", data="junk"),

    case("POST /networks/prune"), case("POST /networks/prune", again=True),

    case("GET /nope", "none"), case("POST /nope", "none"), case("DELETE /containers/json", "none"), case("PUT /containers/create", "none"),
    case("OPTIONS /containers/json", "none"), case("HEAD /containers/json", "none"), case("GET //containers//json", "none"),
]

# GETs whose answers depend on the version.
VERSIONED = [case("GET /version"), case("GET /info"), case("GET /containers/json?all=1", given="created"), case("GET /containers/c1/json", given="running"),
             case("GET /images/json"), case("GET /images/routes/json"), case("GET /images/routes/history"), case("GET /networks"), case("GET /networks/rnet"),
             case("GET /volumes"), case("GET /volumes/rvol"), case("GET /system/df"), case("GET /containers/c1/stats?stream=0&one-shot=1", given="running"),
             case("POST /containers/create?name=c1", body=CONTAINER), case("POST /containers/c1/update", given="created", body={"CpuShares": 100}),
             case("POST /containers/c1/wait", given="exited"), case("GET /containers/c1/logs?stdout=1", given="exited"), case("POST /containers/c1/exec", given="running", body={"Cmd": ["true"]})]


def name_of(case):
    extra = [f"[{case['given']}]"] if "given" in case else []
    extra += [json.dumps(case["body"], sort_keys=True)[:60]] if "body" in case else [f"{case['data']} {case.get('type', '')}".strip()] if "data" in case else []
    extra += ["upgrade"] if "headers" in case else []
    again = ["again"] if case.get("again") else []
    return " ".join([case["call"], *extra, *again])


def summary(answer):
    """What of an answer counts."""
    made = {"status": answer.status, "headers": {key: answer.headers[key] for key in HEADERS if key in answer.headers and not
                                                 (key == "Connection" and answer.headers[key] == "close")},
            "present": [key for key in PRESENT if key in answer.headers], "framing": answer.framing}
    value = answer.json()
    if isinstance(value, dict) and list(value) == ["message"]:
        made["message"] = raw_api.anonymous(value["message"])
    elif value is not None or answer.body == b"null\n":
        made["shape"] = raw_api.shape(value)
    elif answer.type and answer.type.startswith("text/plain"):
        made["text"] = answer.body.decode(errors="replace")
    elif not answer.body:
        made["empty"] = True
    return made


def over_versions(world, case):
    """{version: what differs from the answer to the newest}."""
    newest = world.ask(case)
    found = {}
    for version in VERSIONS:
        answer = world.ask(case, version)
        lines = raw_api.differences(raw_api.shape(newest.json()), raw_api.shape(answer.json()))
        lines += [f"{key}: {answer.headers.get(key)}" for key in HEADERS if answer.headers.get(key) != newest.headers.get(key)]
        lines += [f"status {answer.status}"] if answer.status != newest.status else []
        if lines:
            found[version] = lines
    return found


def since_when(world, route):
    """The first of the versions in which a route is not an unknown page."""
    method, pattern = route.split(" ", 1)
    target = re.sub(r"\{\w+\}", "zz", pattern)
    target += {"/events": "?since=1&until=2", "/distribution/zz/json": ""}.get(target, "")
    target = target.replace("/distribution/zz", "/distribution/127.0.0.1:1/zz")
    for version in BOUNDARIES:
        answer = exchange(world.path, method, f"/v{version}{target}", b"junk" if method in ("POST", "PUT") else None, "text/plain")
        if answer.status != 404 or b"page not found" not in answer.body:
            return version
    return None


# ---- Docker's answers held against ours ----

RECORDED = json.loads(RECORD.read_text()) if RECORD.exists() else {"cases": {}, "versions": {}, "since": {}}


@pytest.fixture(scope="module")
def world(build):
    """An engine of this module's own: routes that prune are called."""
    engine = engines.Engine(build)
    engine.start()
    try:
        made = World(engine.socket)
        yield made
        made.remove()
    finally:
        engine.remove()


def lines_of(name, wanted, got):
    """How an answer differs from the one recorded."""
    lines = [f"{key}: {got.get(key)} instead of {wanted.get(key)}" for key in ("status", "message", "text", "empty") if got.get(key) != wanted.get(key)]
    lines += [f"{key}: {got['headers'].get(key)} instead of {wanted['headers'].get(key)}" for key in HEADERS
              if got["headers"].get(key) != wanted["headers"].get(key)]
    lines += [f"{key}: {key in got['present']} instead of {key in wanted['present']}" for key in PRESENT if (key in got["present"]) != (key in wanted["present"])]
    if not name.startswith("HEAD ") and got["framing"] != wanted["framing"] and {got["framing"], wanted["framing"]} != {"length", "chunked"}:
        lines.append(f"framing: {got['framing']} instead of {wanted['framing']}")
    if "shape" in wanted or "shape" in got:
        lines += raw_api.differences(wanted.get("shape", "nothing"), got.get("shape", "nothing"))
    return lines


def undeclared(name, lines, declarations):
    for line in lines:
        if not any(fnmatch.fnmatch(name, pattern) and fnmatch.fnmatch(line, text) for pattern, text, _ in declarations):
            yield line


ASKED = {}


def asked(world, case):
    """Every case is asked once, by its own test or by the one that looks for stale declarations."""
    name = name_of(case)
    if name not in ASKED:
        ASKED[name] = lines_of(name, RECORDED["cases"][name], summary(world.ask(case)))
    return ASKED[name]


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_route_answers_as_docker(world, case):
    left = list(undeclared(name_of(case), asked(world, case), declared.ROUTES))
    assert not left, "\n".join([name_of(case), *left])


@pytest.mark.parametrize("case", VERSIONED, ids=name_of)
def test_older_versions_are_answered_as_docker(world, case):
    wanted, got = RECORDED["versions"][name_of(case)], over_versions(world, case)
    lines = [f"{version}: lacks: {line}" for version in VERSIONS for line in wanted.get(version, ()) if line not in got.get(version, ())]
    lines += [f"{version}: has: {line}" for version in VERSIONS for line in got.get(version, ()) if line not in wanted.get(version, ())]
    left = list(undeclared(name_of(case), lines, declared.VERSIONS))
    assert not left, "\n".join([name_of(case), *left])


@pytest.mark.parametrize("route", sorted(RECORDED["since"]))
def test_route_is_there_since_the_same_version(world, route):
    assert since_when(world, route) == RECORDED["since"][route]


def test_every_route_has_a_row():
    ours, rows = set(routes_of_ours()), {case["route"] for case in CASES}
    assert len(ours) > 100
    assert not sorted(ours - rows - set(OWN_ROUTES)), "routes without a case"
    assert not sorted(rows - ours - {"none"}), "cases of routes that are not there"
    assert not set(OWN_ROUTES) & rows


@pytest.mark.parametrize("route", sorted(OWN_ROUTES))
def test_routes_of_our_own(world, route):
    target, status, type = OWN_ROUTES[route]
    answer = exchange(world.path, route.split()[0], f"/v{NEWEST}{target}")
    assert (answer.status, answer.type) == (status, type)
    assert answer.headers["Api-Version"] == NEWEST and answer.headers["Server"].startswith(declared.SERVER)


@pytest.mark.parametrize("pattern, text, reason", declared.ROUTES)
def test_declared_difference_of_a_route_still_exists(world, pattern, text, reason):
    assert reason
    fitting = [case for case in CASES if fnmatch.fnmatch(name_of(case), pattern)]
    assert any(fnmatch.fnmatch(line, text) for case in fitting for line in asked(world, case)), "it is gone: take it out of differences.py"


def test_unversioned_paths_are_the_newest(world):
    for path in ("/version", "/containers/json", "/images/json", "/networks", "/volumes"):
        plain, versioned = exchange(world.path, "GET", path), exchange(world.path, "GET", f"/v{NEWEST}{path}")
        assert plain.status == 200 and raw_api.shape(plain.json()) == raw_api.shape(versioned.json())


def record(socket_path):
    """Asks another engine everything and writes it down."""
    world = World(socket_path)
    routes = [route for route in routes_of_ours() if route not in OWN_ROUTES]
    made = {"cases": {name_of(one): summary(world.ask(one)) for one in CASES},
            "versions": {name_of(one): over_versions(world, one) for one in VERSIONED},
            "since": {route: since_when(world, route) for route in routes if route not in UNASKED}}
    world.remove()
    lines = [f"{json.dumps(part)}: {{\n" + ",\n".join(f"{json.dumps(key)}: {json.dumps(value)}" for key, value in rows.items()) + "\n}"
             for part, rows in made.items()]
    RECORD.write_text("{\n" + ",\n".join(lines) + "\n}\n")
