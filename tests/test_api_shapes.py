"""The API's answers held against Docker's: which keys in which order, which types, which statuses and which words.

tests/shapes/ has what Docker Engine 28.5 answered, reduced to that; tests/differences.py has what differs on purpose."""
import fnmatch
import io
import json
import os
import pathlib
import socket
import tarfile
import time

import pytest

import differences as declared
import engine as engines
import raw_api

pytestmark = pytest.mark.own

SHAPES = pathlib.Path(__file__).parent / "shapes"
ANSWERS = json.loads((SHAPES / "answers.json").read_text())
EVENTS = json.loads((SHAPES / "events.json").read_text())
ERRORS = json.loads((SHAPES / "errors.json").read_text())


def image_archive():
    """A root file system of busybox and its user files, for an image whose configuration is empty like Docker's when recorded."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for name in ("bin", "etc", "tmp", "dev", "proc", "sys"):
            folder = tarfile.TarInfo(name)
            folder.type, folder.mode = tarfile.DIRTYPE, 0o755
            archive.addfile(folder)
        archive.add("/bin/busybox", "bin/busybox")
        for applet in ("sh", "sleep", "true", "echo", "cat", "rm"):
            link = tarfile.TarInfo(f"bin/{applet}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            archive.addfile(link)
        for name, text in (("passwd", b"root:x:0:0:root:/root:/bin/sh\n"), ("group", b"root:x:0:\n")):
            file = tarfile.TarInfo(f"etc/{name}")
            file.size = len(text)
            archive.addfile(file, io.BytesIO(text))
    return made.getvalue()


def build_context(dockerfile):
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for name, text in (("Dockerfile", dockerfile.encode()), ("a.txt", b"a")):
            file = tarfile.TarInfo(name)
            file.size = len(text)
            archive.addfile(file, io.BytesIO(text))
    return made.getvalue()


DOCKERFILE = """FROM busybox
ARG V=1
ENV A=b
RUN echo out; echo err >&2
COPY a.txt /a.txt
RUN echo hi >/f
EXPOSE 80
HEALTHCHECK CMD true
VOLUME /v
USER 5
WORKDIR /w
LABEL z=1
ENTRYPOINT ["sh"]
CMD ["-c", "id"]
"""


@pytest.fixture(scope="module")
def api(build):
    """An engine of this module's own, because the tests list and prune everything in it."""
    engine = engines.Engine(build)
    engine.start()
    try:
        made = raw_api.Api(engine.socket)
        made.do("POST", "/images/create?fromSrc=-&repo=busybox&changes=LABEL a=b&changes=CMD sh&message=hello",
                text=image_archive(), content_type="application/x-tar")
        made.do("POST", "/images/busybox/tag?repo=shapes")
        yield made
    finally:
        engine.remove()


# ---- answers ----

class Recorder:
    """Does the calls of answers.json in the order of a story, and keeps what they answered."""

    def __init__(self, api, port):
        self.api, self.answers = api, {}
        self.entries = {entry["name"]: entry for entry in json.loads(json.dumps(ANSWERS).replace("{port}", str(port)))}

    def record(self, name, **paths):
        entry = self.entries[name]
        method, path = entry["call"].split(" ", 1)
        for key, value in paths.items():
            path = path.replace("{" + key + "}", value)
        answer = self.api.call(method, path, entry.get("request"), version=entry.get("api"))
        self.answers[name] = answer
        return answer.json


@pytest.fixture(scope="module")
def story(api):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    told = Recorder(api, port)
    record, do = told.record, api.do
    started_s = int(time.time())

    record("volume create, named")
    record("volume create, anonymous")
    record("volume create, with options")
    api.call("DELETE", "/volumes/gt")
    record("volume inspect")
    record("volume list")
    record("volume list, empty")

    do("POST", "/networks/create", {"Name": "vn", "IPAM": {"Driver": "default", "Config": [{"Subnet": "10.213.7.0/24"}]},
                                    "Labels": {"k": "v"}})
    record("network create")
    record("network inspect, none")
    record("network inspect, with addresses")

    do("POST", "/build?t=gi:1", text=build_context(DOCKERFILE), content_type="application/x-tar")
    record("image inspect")
    record("image inspect, 1.43")
    record("image list")
    record("image list, 1.42")
    record("image history")
    record("image delete")

    record("container create, little")
    record("container inspect, never started")
    for refused in ("health check", "alias"):
        record(f"container create, {refused}")
        api.call("DELETE", "/containers/g-" + refused.split()[0] + "?force=1")
    record("container create, much")
    record("container start")
    record("container inspect, running")
    record("container inspect, running, 1.43")
    record("container list, all with sizes")
    record("container list, running")
    record("network inspect, one container")
    record("network list")
    write_a_file(api, "g-full")
    record("container changes")
    do("GET", "/containers/g-full/archive?path=/new")
    do("PUT", "/containers/g-full/archive?path=/tmp", text=image_archive(), content_type="application/x-tar")
    do("GET", "/containers/g-full/export")
    record("container commit")
    do("DELETE", "/images/cm2:1")
    do("POST", "/build/prune?all=1")  # the recorded engine's plain builder kept its cache among the images
    record("system df")
    record("system df, volumes only")
    record("info")
    record("version")
    record("container pause")
    record("container list, paused")
    record("container unpause")

    record("exec create")
    created = do("POST", "/containers/g-full/exec", {"Cmd": ["sh", "-c", "exit 4"], "AttachStdout": True, "AttachStderr": True,
                                                     "Privileged": True, "DetachKeys": "ctrl-a"})["Id"]
    record("exec inspect, created", id=created)
    do("POST", f"/exec/{created}/start", {"Detach": True})
    engines.wait_until(lambda: do("GET", f"/exec/{created}/json")["ExitCode"] is not None, what="the end of the exec")
    record("exec inspect, finished", id=created)
    sleeping = do("POST", "/containers/g-full/exec", {"Cmd": ["sleep", "600"], "AttachStdout": True, "AttachStderr": True})["Id"]
    record("exec start, detached", id=sleeping)
    record("exec inspect, running", id=sleeping)

    record("container rename")
    do("POST", "/containers/g-full2/rename?name=g-full")
    record("container restart")
    record("container kill")
    record("container stop")
    record("container wait")
    record("container inspect, exited")
    record("container list, exited")

    do("POST", "/containers/create?name=g-fail", {"Image": "shapes", "Cmd": ["nope"], "HostConfig": {"NetworkMode": "none"}})
    assert api.call("POST", "/containers/g-fail/start").status == 400
    record("container inspect, start failed")
    do("POST", "/containers/create?name=g-host", {"Image": "shapes", "Cmd": ["true"], "HostConfig": {"NetworkMode": "host"}})
    do("POST", "/containers/g-host/start")
    do("POST", "/containers/g-host/wait")
    record("container inspect, host network")
    do("POST", "/containers/create?name=g-priv", {"Image": "shapes", "Cmd": ["sleep", "1000"],
                                                  "HostConfig": {"NetworkMode": "none", "Privileged": True}})
    do("POST", "/containers/g-priv/attach?logs=1&stdout=1")
    do("POST", "/containers/g-priv/start")
    record("container inspect, privileged")
    do("DELETE", "/containers/g-priv?force=1")

    do("DELETE", "/volumes/" + do("POST", "/volumes/create", {})["Name"])
    do("POST", "/volumes/create", {})
    do("POST", "/networks/create", {"Name": "gone"})
    do("DELETE", "/networks/gone")
    record("container prune")
    record("container prune, nothing left")
    do("POST", "/images/prune")
    record("image prune, nothing left")
    record("network prune")
    record("network prune, nothing left")
    record("volume prune")
    record("volume prune, all")
    record("volume prune, nothing left")
    told.events = read_events(api, started_s)
    return told


def write_a_file(api, container):
    """So that the container has a size."""
    made = api.do("POST", f"/containers/{container}/exec", {"Cmd": ["sh", "-c", "echo 1 >/new"]})["Id"]
    api.do("POST", f"/exec/{made}/start", {"Detach": True})
    engines.wait_until(lambda: api.do("GET", f"/exec/{made}/json")["ExitCode"] == 0, what="a file written by an exec")


def read_events(api, since_s):
    answer = api.call("GET", f"/events?since={since_s - 1}&until={int(time.time()) + 1}")
    return [json.loads(line) for line in answer.data.splitlines() if line.strip()]


PICKED_BY = {  # lists of which only some elements are compared: by which key, and which
    "container list, all with sizes": ("Names", ["/g-full", "/g-min"]),
    "container list, running": ("Names", ["/g-full"]),
    "container list, paused": ("Names", ["/g-full"]),
    "container list, exited": ("Names", ["/g-full"]),
    "image list": ("RepoTags", ["gi:1", "busybox:latest"]),
    "image list, 1.42": ("RepoTags", ["gi:1", "busybox:latest"]),
    "network list": ("Name", ["none", "host", "vm", "vn"]),
}


def compared(name, value):
    """The shape of an answer, or of the elements that are compared one by one."""
    if name not in PICKED_BY:
        return raw_api.shape(value) if value is not None else "nothing"
    key, wanted = PICKED_BY[name]
    return [raw_api.shape(item) for one in wanted for item in value
            if item[key] == one or isinstance(item[key], list) and one in item[key]]


def found_differences(entry, answer):
    if answer.status != entry["status"]:
        return [f"status {answer.status} instead of {entry['status']}: {message_of(answer)}"]
    if answer.content_type != ("application/json" if answer.data else None):
        return [f"content type {answer.content_type}"]
    return raw_api.differences(entry["shape"], compared(entry["name"], answer.json))


def declared_lines(what):
    return {line for pattern, line, _ in declared.SHAPES if fnmatch.fnmatch(what, pattern)}


@pytest.mark.parametrize("entry", ANSWERS, ids=lambda entry: entry["name"])
def test_answer_has_dockers_shape(story, entry):
    found = found_differences(entry, story.answers[entry["name"]])
    undeclared = [line for line in found if line not in declared_lines(entry["name"])]
    assert not undeclared, "\n".join([entry["name"], *undeclared])


@pytest.mark.parametrize("wanted", EVENTS, ids=lambda wanted: f"{wanted['type']} {wanted['action']}")
def test_event_has_dockers_shape(story, wanted):
    what = f"event {wanted['type']} {wanted['action']}"
    found = event_differences(story, wanted)
    undeclared = [line for line in found if line not in declared_lines(what)]
    assert not undeclared, "\n".join([what, *undeclared])


def event_differences(story, wanted):
    same = [event for event in story.events
            if event["Type"] == wanted["type"] and event["Action"].split(":")[0] == wanted["action"]]
    if not same:
        return ["no such event"]
    best = None
    for event in same:
        for label in ("a", "l", "z"):
            event["Actor"]["Attributes"].pop(label, None)
        found = raw_api.differences(wanted["shape"], raw_api.shape(event))
        best = found if best is None or len(found) < len(best) else best
    return best


@pytest.mark.parametrize("pattern, line, reason", declared.SHAPES)
def test_declared_difference_of_shape_still_exists(story, pattern, line, reason):
    """A difference that is gone must leave differences.py, or it would hide its return."""
    assert reason
    for entry in ANSWERS:
        if fnmatch.fnmatch(entry["name"], pattern) and line in found_differences(entry, story.answers[entry["name"]]):
            return
    for wanted in EVENTS:
        if fnmatch.fnmatch(f"event {wanted['type']} {wanted['action']}", pattern) and line in event_differences(story, wanted):
            return
    pytest.fail(f"no answer differs like this any more: {pattern}: {line}")


COMMON_HEADERS = {"Api-Version": "1.51", "Docker-Experimental": "false", "Ostype": "linux"}


@pytest.mark.parametrize("version", ["1.24", "1.43", "1.51"])
@pytest.mark.parametrize("path, status", [("/version", 200), ("/info", 200), ("/containers/json", 200), ("/images/json", 200),
                                          ("/networks", 200), ("/volumes", 200), ("/events?since=1&until=2", 200),
                                          ("/containers/zz/json", 404), ("/containers/json?filters=x", 400)])
def test_every_version_is_answered_with_the_common_headers(api, version, path, status):
    answer = api.call("GET", path, version=version)
    assert answer.status == status
    assert {key: answer.headers.get(key) for key in COMMON_HEADERS} == COMMON_HEADERS
    assert answer.headers["Server"].startswith(declared.SERVER)


@pytest.mark.parametrize("version, message", [
    ("1.23", "client version 1.23 is too old. Minimum supported API version is 1.24, please upgrade your client to a newer version"),
    ("1.52", "client version 1.52 is too new. Maximum supported API version is 1.51"),
    ("9", "client version 9 is too new. Maximum supported API version is 1.51"),
])
def test_other_versions_are_refused(api, version, message):
    answer = api.call("GET", "/version", version=version)
    assert (answer.status, message_of(answer)) == (400, message)


# ---- errors ----

SLEEP = {"Image": "shapes", "Cmd": ["sleep", "1000"], "StopTimeout": 0, "HostConfig": {"NetworkMode": "none"}}


class World:
    """Brings containers, networks and volumes into the state that a case of errors.json names."""

    def __init__(self, api):
        self.api = api

    def bring(self, given):
        name, _, state = given.partition(" ")
        return {"c1": self.container, "ok1": self.container, "h1": self.container, "network": self.network,
                "v1": self.volume, "exec": self.execute}[name](name, state)

    def container(self, name, state):
        self.remove(name)
        self.api.do("POST", f"/containers/create?name={name}", SLEEP)
        if state != "created":
            self.api.do("POST", f"/containers/{name}/start")
        if state == "paused":
            self.api.do("POST", f"/containers/{name}/pause")
        if state == "exited":
            self.api.do("POST", f"/containers/{name}/stop?t=0")

    def network(self, _, name):
        if self.api.call("GET", f"/networks/{name}").status == 404:
            self.api.do("POST", "/networks/create", {"Name": name, "IPAM": {"Config": [{"Subnet": "10.213.7.0/24"}]}})

    def volume(self, name, _):
        self.remove("user")
        self.api.do("POST", "/containers/create?name=user", {**SLEEP, "HostConfig": {"Binds": [f"{name}:/v"], "NetworkMode": "none"}})

    def execute(self, _, state):
        self.container("c1", "running")
        made = self.api.do("POST", "/containers/c1/exec", {"Cmd": ["nope" if state == "nope" else "sleep", "600"]})["Id"]
        if state == "running":
            self.api.do("POST", f"/exec/{made}/start", {"Detach": True})
        if state == "paused":
            self.api.do("POST", "/containers/c1/pause")
        return made

    def remove(self, name):
        self.api.call("DELETE", f"/containers/{name}?force=1&v=1")


@pytest.fixture(scope="module")
def world(api, story):
    """After the story, so that its containers are out of the way."""
    made = World(api)
    yield made
    for name in ("c1", "ok1", "h1", "user"):
        made.remove(name)


@pytest.fixture(scope="module")
def error_answers():
    """Every case is asked once, by its own test or by the one that looks for stale declarations."""
    return {}


def ask(case, world, kept):
    """What the engine answers to a case, as (status, message, content type)."""
    if case["name"] in kept:
        return kept[case["name"]]
    made = world.bring(case["given"]) if "given" in case else None
    path = case["path"].replace("{exec}", made or "")
    own = path.split("/")[2] if "create" in case else None
    answer = world.api.call("POST", f"/containers/create?name={own}", case["create"]) if own else None
    if answer is None or answer.status == 201:
        answer = world.api.call(case["method"], path, case.get("body"), text=case.get("text"),
                                content_type=case.get("type", "application/json"))
    if own:
        world.remove(own)
    if answer.status == 201 and path.startswith("/containers/create"):
        world.remove(answer.json["Id"])
    if answer.status == 201 and path.startswith("/networks/create"):
        world.api.do("DELETE", "/networks/" + answer.json["Id"])
    kept[case["name"]] = (answer.status, message_of(answer), answer.content_type)
    return kept[case["name"]]


def message_of(answer):
    if not answer.data or answer.status < 300:
        return None
    if answer.content_type == "application/json" and answer.data.count(b"\n") < 2:
        said = answer.json
        return raw_api.anonymous(said["message"]) if isinstance(said, dict) and list(said) == ["message"] else said
    return raw_api.anonymous(answer.data.decode(errors="replace").strip())


def docker_said(case):
    """What Docker answered, as it would have on this machine."""
    message = case.get("message")
    if message:
        message = message.replace("{cpus}", str(os.cpu_count())).replace("{last_cpu}", str(os.cpu_count() - 1))
    return case["status"], message


@pytest.mark.parametrize("case", ERRORS, ids=lambda case: case["name"])
def test_error_is_dockers(world, error_answers, case):
    status, message, content_type = ask(case, world, error_answers)
    wanted = declared.ERRORS.get(case["name"])
    if wanted:
        assert (status, message) == wanted[:2], f"declared otherwise in differences.py: {wanted[2]}"
        assert (status, message) != docker_said(case), "no difference any more: remove it from differences.py"
    elif any(fnmatch.fnmatch(f"{case['method']} {case['path']}", route) for route, _ in declared.NOT_SERVED):
        assert status == 501, "served now: remove it from differences.py"
    else:
        assert (status, message) == docker_said(case)
        if message is not None:
            assert content_type == ("application/vnd.docker.raw-stream" if case.get("plain") else "application/json")


def test_every_declared_error_is_a_case():
    names = {case["name"] for case in ERRORS}
    assert not [name for name in declared.ERRORS if name not in names]
    calls = [f"{case['method']} {case['path']}" for case in ERRORS]
    assert not [route for route, _ in declared.NOT_SERVED if not any(fnmatch.fnmatch(call, route) for call in calls)]
