"""BuildKit's protocol: by a small client of our own, which also says wrong things, and by buildx and compose where they are."""
import json
import os
import pathlib
import socket
import stat
import subprocess
import tempfile

import pytest

import engine as engines
from buildkit_client import BRIDGE, CONTROL, DATA, END, ERROR, STAT, Client, Failure, digest_of, fields, go_mode, message, packet, upgrade
from engine import LIMIT_S, wait_until
from raw_api import Api
from registry import Registry
from test_build_secrets import TALK, asking  # noqa: F401 (a fixture)
from test_compose_build import USERS, basic

pytestmark = pytest.mark.own

SOURCE = "github.com/moby/buildkit/errdefs.Source+json"


@pytest.fixture
def client(engine):
    made = Client(engine)
    yield made
    made.close()


@pytest.fixture
def context(tmp_path):
    directory = tmp_path / "context"
    directory.mkdir()
    return directory


def dirs(context):
    return {"context": context, "dockerfile": context}


def image_of(answer):
    return answer["containerimage.config.digest"]


def test_a_build(client, engine, context):
    (context / "Dockerfile").write_text("FROM busybox AS first\nCOPY . /src\nRUN cat /src/d/file > /told; echo heard\nENV A=b\nCMD cat /told\n")
    (context / "d").mkdir()
    (context / "d/file").write_text("from the context\n")
    (context / "left-out").write_text("x" * 100000)
    (context / ".dockerignore").write_text("left-out\n")
    answer, progress = client.build(client.session(dirs(context)), exporters=[("moby", {"name": "kit:1,kit:2"})])
    assert answer["image.name"] == "kit:1,kit:2" and image_of(answer).startswith("sha256:")
    assert engine.docker("run", "--rm", "kit:2", check=True).out == "from the context\n"
    names = progress.names()
    assert "[internal] load build definition from Dockerfile" in names and "[first 2/3] COPY . /src" in names
    assert "[first 3/3] RUN cat /src/d/file > /told; echo heard" in names and "exporting to image" in names
    assert not [name for name in names if "ENV" in name or "CMD" in name]
    assert progress.said("[first 3/3]") == "heard\n"
    assert all(vertex.get(5) and vertex.get(6) for vertex in progress.steps.values()), "each step begins and ends"
    again, progress = client.build(client.session(dirs(context)), exporters=[("moby", {"load": "true"})])
    assert image_of(again) == image_of(answer)
    assert progress.find("COPY").get(4) == [1] and progress.find("RUN").get(4) == [1], "cached"
    engine.docker("rmi", "kit:1", "kit:2", check=True)


def test_only_what_changed_is_sent(client, engine, context):
    (context / "Dockerfile").write_text("FROM busybox\nCOPY . /src\n")
    for i in range(20):
        (context / f"f{i:02}").write_text(f"file {i}\n")
    (context / "sub").mkdir()
    (context / "sub/link").symlink_to("../f00")

    def sent():
        session = client.session(dirs(context), key="same-key")
        answer, _ = client.build(session, exporters=[("moby", {"name": "kit:sync"})])
        return sorted(session.sent["context"]), image_of(answer)

    files, first = sent()
    assert len(files) == 21
    assert sent() == ([], first)
    (context / "f07").write_text("changed\n")
    (context / "f08").unlink()
    (context / "f09").unlink()
    (context / "f09").mkdir()
    (context / "f09/in").write_text("a directory now\n")
    files, second = sent()
    assert files == ["f07", "f09/in"] and second != first
    seen = engine.docker("run", "--rm", "kit:sync", "sh", "-c", "cd /src; ls; cat f07 f09/in sub/link", check=True).out.split("\n")
    assert "f08" not in seen and seen[-4:] == ["changed", "a directory now", "file 0", ""]
    usage = Api(engine.socket).do("GET", "/system/df")["BuildCache"]
    kept = [item for item in usage if item["Description"] == "local source for context of same-key"]
    assert len(kept) == 1 and kept[0]["Type"] == "source.local" and not kept[0]["InUse"]
    tree = engine.data / "build-contexts" / kept[0]["ID"] / "tree"
    assert kept[0]["Size"] == sum(path.stat().st_size for path in tree.rglob("*") if path.is_file() and not path.is_symlink())
    engine.docker("builder", "prune", "-af", check=True)
    assert not tree.exists()
    engine.docker("rmi", "kit:sync", check=True)


def test_a_failure_has_its_place(client, context):
    (context / "Other").write_text("FROM busybox\n\nRUN echo before \\\n && exit 7\n")
    with pytest.raises(Failure) as caught:
        client.build(client.session(dirs(context)), {"filename": "Other"})
    assert caught.value.text == 'process "/bin/sh -c echo before  && exit 7" did not complete successfully: exit code: 7'
    source = json.loads(caught.value.details[SOURCE])
    assert source["info"]["filename"] == "Other" and source["ranges"][0]["start"]["line"] == 3
    assert caught.value.progress.said("RUN") == "before\n" and caught.value.progress.find("RUN")[7]


@pytest.mark.parametrize("attributes, said", [
    ({"platform": "linux/amd64,plan9/x"}, "plan9/x is not supported"), ({"no-such": "1"}, "no-such"),
    ({"filename": "gone"}, "failed to read dockerfile: open gone"), ({"target": "nope"}, 'target stage "nope" could not be found'),
    ({"context:x": "oci-layout://x@sha256:0"}, "OCI layouts"), ({"requestid": "frontend.outline"}, "frontend.outline"), ({"ulimit": "nofile"}, "invalid ulimit"),
    ({"shm-size": "much"}, "shm-size"), ({"add-hosts": "x"}, "invalid host x"), ({"context:x": "input:nothing"}, "the input nothing"),
])
def test_refusals(client, context, attributes, said):
    (context / "Dockerfile").write_text("FROM busybox\n")
    with pytest.raises(Failure, match=said):
        client.build(client.session(dirs(context)), attributes)


@pytest.mark.parametrize("exporter, said", [
    (("moby", {"compression": "zstd"}), "the option compression"), (("nowhere", {}), "type=nowhere is not supported"),
    (("moby", {"unpack": "false"}), "unpack=false is not supported"), (("moby", {"name": "UPPER"}), "UPPER"), (("moby", {"push": "true"}), "a name is needed to push"), (("oci", {"tar": "false"}), "tar=false"),
])
def test_refused_outputs_leave_nothing(client, engine, context, exporter, said):
    (context / "Dockerfile").write_text(f"FROM busybox\nLABEL only={said.split()[-1]}\n")
    before = engine.docker("images", "-aq", check=True).out
    with pytest.raises(Failure, match=said):
        client.build(client.session(dirs(context)), exporters=[exporter])
    if exporter[0] != "moby":
        assert engine.docker("images", "-aq", check=True).out == before


def test_attributes_reach_the_builder(client, engine, context):
    (context / "Dockerfile").write_text("ARG BASE=nothing\nFROM ${BASE} AS one\nARG GIVEN\nRUN echo $GIVEN; ulimit -n; cat /etc/hosts; df -k /dev/shm | tail -1\n"
                                        "FROM one AS two\nRUN false\n")
    answer, progress = client.build(client.session(dirs(context)), {
        "build-arg:BASE": "busybox", "build-arg:GIVEN": "argument", "label:l": "v", "target": "one", "add-hosts": "somehost=10.1.2.3",
        "ulimit": "nofile=100:200", "shm-size": str(1 << 20), "no-cache": ""}, [("moby", {"name": "kit:attributes"})])
    said = progress.said("RUN")
    assert "argument\n100\n" in said and "10.1.2.3" in said and "somehost" in said and " 1024 " in said
    assert engine.inspect("kit:attributes")["Config"]["Labels"] == {"l": "v"}
    engine.docker("rmi", "kit:attributes", check=True)


def test_steps_of_an_image_need_not_be_done_again(client, engine, context):
    (context / "Dockerfile").write_text("FROM busybox\nRUN head -c 8 /dev/urandom | md5sum > /random\n")
    client.build(client.session(dirs(context)), exporters=[("moby", {"name": "kit:cache"})])
    first = engine.inspect("kit:cache")["Id"]
    engine.docker("builder", "prune", "-a", "-f", check=True)
    imports = json.dumps([{"Type": "registry", "Attrs": {"ref": "kit:cache"}}])
    for attributes in ({"cache-imports": imports, "cache-from": "kit:cache"}, {"cache-from": "kit:cache"}):
        client.build(client.session(dirs(context)), attributes, exporters=[("moby", {"name": "kit:again"})])
        assert engine.inspect("kit:again")["Id"] == first
        engine.docker("builder", "prune", "-a", "-f", check=True)
    engine.docker("rmi", "kit:cache", "kit:again", check=True)


RANDOM = "FROM busybox AS tool\nRUN head -c 8 /dev/urandom | md5sum > /random\nFROM busybox\nCOPY --from=tool /random /random\nRUN head -c 300000 /dev/urandom > /own\n"


def local(digest, **options):
    return {"cache-imports": json.dumps([{"Type": "local", "Attrs": {"src": "cache", "digest": digest, **options}}])}


@pytest.mark.parametrize("mode", ["max", "min"])
def test_a_directory_of_the_client_is_a_cache(client, engine, context, mode):
    (context / "Dockerfile").write_text(RANDOM)
    blobs = {}
    exported = [("local", {"dest": "cache", "mode": mode, "ignore-error": "false", "oci-mediatypes": "true", "image-manifest": "false", "compression": "uncompressed"})]
    before = engine.docker("images", "-aq", "--no-trunc", check=True).out
    answer, progress = client.build(client.session(dirs(context), stores={"local:cache": blobs}), exporters=[("moby", {"name": "kit:first"})], caches=exported)
    told = json.loads(answer["cache.manifest"])
    assert told["mediaType"] == "application/vnd.oci.image.index.v1+json" and told["size"] == len(blobs[told["digest"]])
    assert len(json.loads(blobs[told["digest"]])["manifests"]) == (2 if mode == "max" else 1) and "exporting cache to client directory" in progress.names()
    first = engine.inspect("kit:first")["Id"]
    engine.docker("rmi", "kit:first", check=True)
    engine.docker("builder", "prune", "-a", "-f", check=True)
    session = client.session(dirs(context), stores={"local:cache": blobs})
    _, progress = client.build(session, local(told["digest"]), [("moby", {"name": "kit:again"})])
    assert "importing cache manifest from cache" in progress.names() and told["digest"] in session.read
    assert (engine.inspect("kit:again")["Id"] == first) == (mode == "max")
    assert progress.find("RUN head -c 8").get(4, [0]) == [int(mode == "max")]
    if mode == "max":  # all layers are here now: documents alone are read
        session = client.session(dirs(context), stores={"local:cache": blobs})
        client.build(session, local(told["digest"]))
        assert max(len(blobs[digest]) for digest in session.read) < 10000
    # Blobs that are there are not sent again; the images of caches do not stay.
    session = client.session(dirs(context), stores={"local:cache": blobs})
    count = len(blobs)
    client.build(session, caches=exported)
    assert not session.begun and len(blobs) <= count + 5
    engine.docker("rmi", "kit:again", check=True)
    assert engine.docker("images", "-aq", "--no-trunc", check=True).out == before


def test_berth_build_reads_all_stages_of_such_a_directory(client, engine, context, tmp_path):
    (context / "Dockerfile").write_text(RANDOM)
    blobs, cache = {}, tmp_path / "cache"
    answer, _ = client.build(client.session(dirs(context), stores={"local:cache": blobs}), exporters=[("moby", {"name": "kit:first"})],
                             caches=[("local", {"dest": "cache", "mode": "max"})])
    first = engine.inspect("kit:first")["Id"]
    (cache / "blobs/sha256").mkdir(parents=True)
    for digest, data in blobs.items():
        (cache / "blobs/sha256" / digest.removeprefix("sha256:")).write_bytes(data)
    (cache / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    told = {**json.loads(answer["cache.manifest"]), "annotations": {"org.opencontainers.image.ref.name": "latest"}}  # as clients write it
    (cache / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [told]}))
    engine.docker("rmi", "kit:first", check=True)
    engine.docker("builder", "prune", "-a", "-f", check=True)
    before = set(engine.docker("images", "-aq", "--no-trunc", check=True).out.split())
    done = engine.berth("build", "--progress=plain", "-t", "kit:again", "--cache-from", f"type=local,src={cache}", context)
    assert done.out.count("CACHED") == 3 and engine.inspect("kit:again")["Id"] == first, done
    engine.docker("rmi", "kit:again", *set(engine.docker("images", "-aq", "--no-trunc", check=True).out.split()) - before - {first}, check=True)
    (cache / "blobs/sha256" / digest_of(b"{}").removeprefix("sha256:")).write_bytes(b"{}")
    foreign = json.dumps({"schemaVersion": 2, "mediaType": told["mediaType"],
                          "manifests": [{"mediaType": "application/vnd.buildkit.cacheconfig.v0", "digest": digest_of(b"{}"), "size": 2}]}).encode()
    (cache / "blobs/sha256" / digest_of(foreign).removeprefix("sha256:")).write_bytes(foreign)
    (cache / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [{**told, "digest": digest_of(foreign), "size": len(foreign)}]}))
    done = engine.berth("build", "-q", "--cache-from", f"type=local,src={cache}", context, check=True)
    assert "an index of something else: application/vnd.buildkit.cacheconfig" in done.err


def test_caches_that_cannot_be_read_are_done_without(client, engine, context):
    (context / "Dockerfile").write_text("FROM busybox\nRUN true\n")
    foreign = json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "layers": [],
                          "config": {"mediaType": "application/vnd.buildkit.cacheconfig.v0", "digest": digest_of(b"{}"), "size": 2}}).encode()
    listed = json.dumps({"schemaVersion": 2, "manifests": [{"mediaType": "application/vnd.buildkit.cacheconfig.v0", "digest": digest_of(b"{}"), "size": 2}]}).encode()
    huge = json.dumps({"schemaVersion": 2, "manifests": [{"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest_of(b"{}"), "size": 1 << 33}]}).encode()
    blobs = {digest_of(data): data for data in (foreign, listed, huge, b"{}")} | {digest_of(b"other"): b"broken"}
    for data, said in ((foreign, "no cache that this engine knows"), (listed, "no cache that this engine knows"), (b"{}", "schema version"),
                       (huge, "too large"), (b"gone", "not found"), (b"other", digest_of(b"other"))):
        _, progress = client.build(client.session(dirs(context), stores={"local:cache": blobs}), local(digest_of(data)))
        assert said in progress.find("importing cache")[7][0].decode()
    _, progress = client.build(client.session(dirs(context)), local(digest_of(b"{}")))
    assert "unknown store" in progress.find("importing cache")[7][0].decode()
    for attributes, said in ((local(""), "needs src and digest"), (local(digest_of(b""), ref="x"), "the option ref"),
                             ({"cache-imports": json.dumps([{"Type": "gha"}])}, "type gha are not supported")):
        with pytest.raises(Failure, match=said):
            client.build(client.session(dirs(context)), attributes)


def test_caches_that_cannot_be_written(client, context):
    (context / "Dockerfile").write_text("FROM busybox\nRUN true\n")
    for ignored in ("true", "false"):
        session = client.session(dirs(context), stores={"local:cache": {}})
        session.is_full = True
        try:
            answer, progress = client.build(session, caches=[("local", {"dest": "cache", "ignore-error": ignored})])
            assert ignored == "true" and "cache.manifest" not in answer
        except Failure as failure:
            assert ignored == "false" and "no space left" in failure.text
            progress = failure.progress
        assert "no space left" in progress.find("exporting cache")[7][0].decode() and not session.begun


def test_a_secret_is_lent(client, engine, context):
    value = os.urandom(12).hex()
    (context / "Dockerfile").write_text("FROM busybox\nRUN --mount=type=secret,id=s,required=true md5sum < /run/secrets/s\n")
    _, progress = client.build(client.session(dirs(context), secrets_of={"s": value}))
    import hashlib
    assert progress.said("RUN").split()[0] == hashlib.md5(value.encode()).hexdigest()
    found = subprocess.run(["grep", "-rlF", value, str(engine.data), str(engine.log)], capture_output=True, text=True, check=False)
    assert found.stdout == ""
    with pytest.raises(Failure, match="s"):
        client.build(client.session(dirs(context)), {"no-cache": ""})


def test_an_agent_is_reached(client, context, asking):
    (context / "Dockerfile").write_text("FROM asking\nRUN --mount=type=ssh,id=mine,required " + TALK.format("word", "WORD") + "\n")
    session = client.session(dirs(context), agents=["mine"])
    client.build(session, {"no-cache": ""})
    assert session.talk["agent"] == "mine"
    with pytest.raises(Failure, match="ssh mine: not found"):
        client.build(client.session(dirs(context)), {"no-cache": ""})


def test_pushes_with_the_client_s_credentials(client, engine, context, build, tmp_path):
    (tmp_path / "users").write_text(USERS)
    (context / "Dockerfile").write_text("FROM busybox\nLABEL pushed=1\n")
    made = Registry(build, "--htpasswd", tmp_path / "users").start()
    try:
        image = f"{made.host}/kit:1"
        with pytest.raises(Failure, match="no basic auth credentials"):
            client.build(client.session(dirs(context)), exporters=[("moby", {"name": image, "push": "true"})])
        known = {"users": {made.host: ("alice", "secret")}}
        answer, _ = client.build(client.session(dirs(context), **known), exporters=[("moby", {"name": image, "push": "true"})])
        assert made.request("HEAD", f"/v2/kit/manifests/{answer['containerimage.digest']}", headers=basic()).status == 200
        engine.docker("rmi", image, check=True)
        (context / "Dockerfile").write_text(f"FROM {image}\n")
        client.build(client.session(dirs(context), **known))
        with pytest.raises(Failure, match="no basic auth credentials"):
            client.build(client.session(dirs(context)), {"image-resolve-mode": "pull"})
        engine.docker("rmi", "-f", image)
    finally:
        made.remove()


def test_results_go_to_the_client(client, engine, context, tmp_path):
    (context / "Dockerfile").write_text("FROM scratch\nCOPY given /d/\n")
    (context / "given").write_text("content\n")
    before = engine.docker("images", "-aq", check=True).out
    session = client.session(dirs(context))
    client.build(session, exporters=[("tar", {}), ("oci", {"name": "kit:oci"})])
    for place, member in (("0", "d/given"), ("1", "index.json")):
        (tmp_path / place).write_bytes(session.received[place])
        listed = subprocess.run(["tar", "tf", str(tmp_path / place)], capture_output=True, text=True, check=True).stdout.split()
        assert member in listed
    assert engine.docker("images", "-aq", check=True).out == before, "no image is left behind"


def test_a_build_is_called_off(client, engine, context):
    seconds = str(100000 + os.getpid())  # a sleep that nobody else's container has
    (context / "Dockerfile").write_text(f"FROM busybox\nRUN echo up; sleep {seconds}\n")
    ref, call = client.begin(client.session(dirs(context)), {"no-cache": ""})
    stream = client.channel.unary_stream(CONTROL + "Status")(message((1, ref)), timeout=60)
    for part in map(fields, stream):
        if any(b"up" in fields(log)[4][0] for log in part.get(3, [])):
            break
    call.cancel()
    wait_until(lambda: not [p for p in pathlib.Path("/proc").glob("[0-9]*/cmdline") if is_sleep(p, seconds)], what="the step ending")
    rest = [fields(v) for part in map(fields, stream) for v in part.get(1, [])]
    assert any(b"RUN" in vertex[3][0] and vertex.get(7) for vertex in rest), "the step is told to have failed"
    assert not list((engine.data / "tmp").glob("work-*"))


def is_sleep(path, seconds):
    try:
        return path.read_bytes() == f"sleep\0{seconds}\0".encode()
    except OSError:
        return False


# ---- the bridge, as buildx uses it ----

def over_the_bridge(client, session, attributes, exporters=(), inputs=()):
    """A build that the client leads: Control/Solve waits for what Return says."""
    import secrets as random
    ref = random.token_hex(12)
    request = message((1, ref), (5, session.id), *((13, message((1, kind), (2, options))) for kind, options in exporters))
    call = client.channel.unary_unary(CONTROL + "Solve").future(request, timeout=60)
    belongs = [("buildkit-controlapi-buildid", ref)]
    inside = [(13, message((1, name), (2, definition))) for name, definition in inputs]
    solved = fields(client.call(BRIDGE + "Solve", message((2, "dockerfile.v0"), (3, attributes), *inside), belongs))
    reference = fields(fields(solved[3][0])[3][0])
    client.call(BRIDGE + "Return", message((1, message((3, message((1, reference[1][0])))))), belongs)
    return call.result(), reference[2][0]


@pytest.mark.parametrize("text, rules, said", [
    ("FROM scratch\nCOPY a b\n", [], None), ("FROM scratch\nCMD x\n", ["JSONArgsRecommended"], None), ("FROM scratch\nCMD x\nCOPY --from=7 a b\n", ["JSONArgsRecommended"], "out of bounds"),
    ("FROM scratch\n\nENV x\n", [], "ENV must have two arguments"),
])
def test_checks_tell_what_cannot_be_built(client, context, text, rules, said):
    (context / "Dockerfile").write_text(text)
    ref, session = os.urandom(12).hex(), client.session(dirs(context))
    call = client.channel.unary_unary(CONTROL + "Solve").future(message((1, ref), (5, session.id)), timeout=60)
    try:
        solved = fields(client.call(BRIDGE + "Solve", message((2, "dockerfile.v0"), (3, {"requestid": "frontend.lint"})), [("buildkit-controlapi-buildid", ref)]))
    finally:
        call.cancel()
    result = {entry[1][0].decode(): entry[2][0] for entry in map(fields, fields(solved[3][0])[10])}
    found = json.loads(result["result.json"])
    assert [warning["ruleName"] for warning in found["warnings"]] == rules and result["result.statuscode"] == (b"1" if rules or said else b"0")
    assert ("buildError" in found) == bool(said)
    if said:
        assert said in found["buildError"]["message"] and found["buildError"]["location"]["ranges"][0]["start"]["line"] == 3


def test_one_build_is_the_input_of_another(client, engine, context, tmp_path):
    (context / "Dockerfile").write_text("FROM busybox\nRUN echo below > /layer\n")
    _, definition = over_the_bridge(client, client.session(dirs(context)), {}, [("moby", {})])
    above = tmp_path / "above"
    above.mkdir()
    (above / "Dockerfile").write_text("FROM base\nCOPY --from=base /layer /copy\nCMD cat /layer /copy\n")
    over_the_bridge(client, client.session(dirs(above)), {"context:base": "input:base"}, [("moby", {"name": "kit:above"})], [("base", definition)])
    assert engine.docker("run", "--rm", "kit:above", check=True).out == "below\nbelow\n"
    engine.docker("rmi", "kit:above", check=True)


def test_what_the_engine_says_of_itself(client):
    pong = fields(client.call(BRIDGE + "Ping", metadata=[("buildkit-controlapi-buildid", "any")]))
    assert b"return" in [fields(cap)[1][0] for cap in pong[1]]
    worker = fields(fields(client.call(CONTROL + "ListWorkers"))[1][0])
    assert b"org.mobyproject.buildkit.worker.snapshotter" in b"".join(worker[2])
    assert b"berth" in client.call(CONTROL + "Info")
    assert fields(client.call("/grpc.health.v1.Health/Check"))[1] == [1]


@pytest.mark.parametrize("operation, said", [
    (message((2, message((1, b"x")))), '"exec"'), (message((3, message((1, "docker-image://busybox")))), '"source" of docker-image://busybox'),
    (message((4, b"")), '"file"'), (message((6, message((1, b"x")))), '"merge"'),
])
def test_llb_is_refused_by_its_operation(client, context, operation, said):
    session = client.session(dirs(context))
    request = message((1, os.urandom(8).hex()), (2, message((1, operation))), (5, session.id))
    with pytest.raises(Failure, match="LLB operation") as caught:
        client.call(CONTROL + "Solve", request)
    assert said in caught.value.text


def test_what_would_be_passed_over_is_refused(client, context):
    (context / "Dockerfile").write_text("FROM busybox\n")
    session, bridge = client.session(dirs(context)), [("buildkit-controlapi-buildid", "any")]
    rule = message((2, message((1, 1), (2, message((1, "docker-image://*"))))))
    for field in ((12, rule), (15, "a-session")):
        with pytest.raises(Failure, match="source policies are not supported"):
            client.call(CONTROL + "Solve", message((1, os.urandom(8).hex()), (5, session.id), (6, "dockerfile.v0"), field))
    with pytest.raises(Failure, match="source policies are not supported"):
        client.call(BRIDGE + "Solve", message((2, "dockerfile.v0"), (15, rule)), bridge)
    with pytest.raises(Failure, match="filters of workers are not supported"):
        client.call(CONTROL + "ListWorkers", message((1, "label.x==y")))
    client.call(CONTROL + "Solve", message((1, os.urandom(8).hex()), (5, session.id), (6, "dockerfile.v0"), (12, message((1, 1)))))  # a policy without rules
    with pytest.raises(Failure, match="outputs that the session names after the build"):
        client.call(CONTROL + "Solve", message((1, os.urandom(8).hex()), (5, session.id), (6, "dockerfile.v0"), (14, 1)))


# ---- what a client may say wrong ----

def listed(path, mode=stat.S_IFREG | 0o644, size=3, link=""):
    return packet(STAT, entry=message((1, path), (2, go_mode(mode)), (5, size), (7, link)))


def answer_all(*packets):
    """A client that lists these, and sends what is asked for as 'bad'."""
    def talk(requests):
        yield from packets
        yield packet(STAT)
        for request in map(fields, requests):
            if request.get(1, [0])[0] == END:
                yield packet(END)
                return
            yield packet(DATA, request.get(3, [0])[0], b"bad")
            yield packet(DATA, request.get(3, [0])[0])
    return talk


def unasked(requests):
    yield listed("a", size=0)
    yield packet(DATA, 7, b"nobody wanted it")
    next(requests)


def broken(requests):
    yield b"\xff\xff\xff"
    next(requests)


HOSTILE = {
    "up": answer_all(listed("../escaped")), "absolute": answer_all(listed("/etc/escaped")), "inside up": answer_all(listed("a/../../escaped")),
    "no parent": answer_all(listed("d/escaped")), "order": answer_all(listed("b"), listed("a")), "twice": answer_all(listed("a"), listed("a")),
    "below a link": answer_all(listed("l", stat.S_IFLNK | 0o777, 0, "/tmp"), listed("l/escaped")),
    "link out": answer_all(listed("a", link="../../../../../../etc/passwd")), "link to nothing": answer_all(listed("a", link="gone")),
    "deep": answer_all(*(listed("/".join("d" * n), stat.S_IFDIR | 0o755, 0) for n in range(1, 200))),
    "unasked": unasked, "broken": broken, "error": lambda requests: iter([packet(ERROR, data=b"the disk is sick")]),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_contexts(client, engine, context, kind):
    (context / "Dockerfile").write_text("FROM busybox\nCOPY . /src\n")
    session = client.session(dirs(context), key=f"hostile {kind}")
    session.talk["context"] = HOSTILE[kind]
    with pytest.raises(Failure) as caught:
        client.build(session)
    assert caught.value.text and not list(engine.directory.rglob("escaped")) and not pathlib.Path("/tmp/escaped").exists()
    # What was synced halfway serves the next build all the same.
    (context / "fine").write_text("fine\n")
    client.build(client.session(dirs(context), key=f"hostile {kind}"))


def test_broken_connections(client, engine):
    api = engine.docker("version", "--format", "{{.Server.APIVersion}}", check=True).out.strip()
    for path, status in (("/session", 400), ("/grpc", 500)):
        with socket.socket(socket.AF_UNIX) as plain:
            plain.connect(str(engine.socket))
            plain.sendall(f"POST /v{api}{path} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
            assert b"".join(iter(lambda: plain.recv(4096), b"")).startswith(f"HTTP/1.1 {status} ".encode())
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    for garbage in (b"", b"GET / HTTP/1.1\r\n\r\n", preface, preface + os.urandom(200), preface + b"\xff" * 9):
        for path, headers in (("/grpc", ()), ("/session", ("X-Docker-Expose-Session-Uuid: " + os.urandom(4).hex(),))):
            with upgrade(engine, path, *headers) as made:
                made.sendall(garbage)
                made.shutdown(socket.SHUT_WR)
                made.settimeout(LIMIT_S)
                while made.recv(65536):  # until the engine closes
                    pass
    with pytest.raises(Failure, match="unknown method"):
        client.call("/no.Such/Method")
    with pytest.raises(Failure, match="no active session|names no session"):
        client.call(CONTROL + "Solve", message((1, "lonely"), (6, "dockerfile.v0")))


# ---- Docker's own clients ----

@pytest.fixture(scope="module")
def words():
    found = engines.docker_buildx()
    if not found:
        pytest.skip("not run: there is no buildx ($DOCKER_BUILDX names the words that call it)")
    return found


@pytest.fixture(scope="module")
def reachable(build, words):
    """An engine below /tmp, which clients in another root see as well."""
    made = engines.Engine(build, directory=tempfile.mkdtemp(prefix="berth-buildx-", dir="/tmp")).start()
    context = engines.make_busybox_context(made.directory / "busybox-context")
    made.docker("build", "-q", "-t", "busybox", context, check=True)
    yield made
    made.remove()


@pytest.fixture
def buildx(reachable, words, request):
    def call(*arguments, stdin=None, env=None, check=True):
        environment = {k: v for k, v in {**reachable.environment, **(env or {})}.items() if k != "DOCKER_BUILDKIT"}
        return engines.run([*words, *arguments], env=environment, stdin=stdin, check=check)
    call.engine = reachable
    call.directory = reachable.directory / request.node.name
    call.directory.mkdir()
    return call


def test_buildx_builds(buildx):
    here = buildx.directory
    (here / "Dockerfile").write_text("FROM busybox AS tool\nRUN echo made > /made\nFROM busybox\nCOPY --from=tool /made /made\nCOPY --from=other /o /o\n"
                                     "RUN --mount=type=secret,id=s cat /run/secrets/s | tr a-z A-Z\nCMD cat /made /o\n")
    (here / "other").mkdir()
    (here / "other/o").write_text("named\n")
    (here / "secret").write_text("whisper")
    said = buildx("build", "--progress=plain", "-t", "kit:x", "--iidfile", here / "id", "--metadata-file", here / "meta", "--build-context", f"other={here}/other",
                  "--secret", f"id=s,src={here}/secret", here).err
    assert "WHISPER" in said and "[tool 2/2] RUN echo made > /made" in said and "naming to docker.io/library/kit:x" in said
    assert buildx.engine.docker("run", "--rm", "kit:x", check=True).out == "made\nnamed\n"
    id = buildx.engine.inspect("kit:x")["Id"]
    assert (here / "id").read_text() == id and json.loads((here / "meta").read_text())["containerimage.config.digest"] == id
    assert said.count("CACHED") == 0 and buildx("build", "--progress=plain", "--build-context", f"other={here}/other", here).err.count("CACHED") >= 3
    failed = buildx("build", "--progress=plain", "-", stdin="FROM busybox\nRUN exit 9\n", check=False)
    assert failed.code == 1 and "Dockerfile:2" in failed.err and ">>> RUN exit 9" in failed.err and "exit code: 9" in failed.err
    checked = buildx("build", "--check", "-", stdin="FROM busybox AS Upper\nRUN true\n", check=False)
    assert checked.code == 1 and "StageNameCasing" in checked.out + checked.err
    assert buildx("build", "--check", "-", stdin="FROM busybox\nRUN true\n").code == 0
    checked = buildx("build", "--check", "-", stdin="FROM busybox\nCOPY --from=7 a b\n", check=False)
    assert checked.code == 1 and "out of bounds" in checked.out + checked.err


def test_buildx_outputs(buildx, build):
    here = buildx.directory
    (here / "Dockerfile").write_text("FROM scratch\nCOPY f /d/f\n")
    (here / "f").write_text("exported\n")
    buildx("build", "-o", f"type=local,dest={here}/local", here)
    assert (here / "local/d/f").read_text() == "exported\n"
    for kind, member in (("tar", "d/f"), ("oci", "index.json"), ("docker", "manifest.json")):
        buildx("build", "-t", "kit:out", "-o", f"type={kind},dest={here}/{kind}.tar", here)
        assert member in subprocess.run(["tar", "tf", here / f"{kind}.tar"], capture_output=True, text=True, check=True).stdout.split()
    assert "out" not in buildx.engine.docker("images", check=True).out
    made = Registry(build).start()
    try:
        buildx("build", "--push", "-t", f"{made.host}/app:1", "--metadata-file", here / "meta", here)
        pushed = json.loads((here / "meta").read_text())["containerimage.digest"]
        assert made.request("HEAD", f"/v2/app/manifests/{pushed}").status == 200
    finally:
        made.remove()


def test_bake_links_targets(buildx):
    here = buildx.directory
    (here / "docker-bake.json").write_text(json.dumps({"group": {"default": {"targets": ["base", "app"]}}, "target": {
        "base": {"context": str(here), "dockerfile-inline": "FROM busybox\nRUN echo base > /base\n", "output": ["type=cacheonly"]},
        "app": {"context": str(here), "dockerfile-inline": "FROM base\nCMD cat /base\n", "contexts": {"base": "target:base"}, "tags": ["kit:baked"]}}}))
    buildx("bake", "--allow=fs=*", "-f", here / "docker-bake.json", "--progress=plain")
    assert buildx.engine.docker("run", "--rm", "kit:baked", check=True).out == "base\n"


def test_buildx_caches_in_directories(buildx):
    here = buildx.directory
    (here / "Dockerfile").write_text(RANDOM)
    (here / ".dockerignore").write_text("cache\n")
    cache = here / "cache"
    buildx("build", "-t", "kit:cached", "--cache-to", f"type=local,dest={cache},mode=max", here)
    first = buildx.engine.inspect("kit:cached")["Id"]
    assert json.loads((cache / "index.json").read_text())["manifests"][0]["annotations"]["org.opencontainers.image.ref.name"] == "latest"
    assert not list((cache / "ingest").glob("*"))
    buildx.engine.docker("rmi", "kit:cached", check=True)
    buildx.engine.docker("builder", "prune", "-a", "-f", check=True)
    said = buildx("build", "--progress=plain", "-t", "kit:cached", "--cache-from", f"type=local,src={cache}", "--cache-to", f"type=local,dest={cache}", here).err
    assert buildx.engine.inspect("kit:cached")["Id"] == first and said.count("CACHED") == 3
    refused = buildx("build", "--cache-to", f"type=local,dest={cache},compression=zstd", here, check=False)
    assert refused.code == 1 and "compression=zstd is not supported" in refused.err


def test_docker_build_finds_buildx(buildx, words):
    if not words[:-1]:
        pytest.skip("not run: $DOCKER_BUILDX names the plugin itself, not a client that has it")
    here = buildx.directory
    (here / "Dockerfile").write_text("FROM busybox\nRUN echo modern\n")
    environment = {k: v for k, v in buildx.engine.environment.items() if k != "DOCKER_BUILDKIT"}
    said = engines.run([*words[:-1], "build", "--progress=plain", "-t", "kit:default", here], env=environment, check=True)
    assert "exporting to image" in said.err and "modern" in said.err


def test_compose_builds(buildx):
    compose = engines.docker_compose()
    if not compose:
        pytest.skip("not run: there is no compose of Docker's ($DOCKER_COMPOSE names the words that call it)")
    here = buildx.directory
    (here / "Dockerfile").write_text("FROM busybox\nARG WHO\nRUN echo $WHO > /who\nCMD cat /who; sleep 600\n")
    (here / "compose.yaml").write_text("services:\n" + "".join(f"  {n}:\n    build: {{context: ., args: {{WHO: {n}}}}}\n    stop_grace_period: 0s\n" for n in ("one", "two")))
    environment = {k: v for k, v in buildx.engine.environment.items() if k != "DOCKER_BUILDKIT"} | {"COMPOSE_PROJECT_NAME": "kit"}
    try:
        engines.run([*compose, "-f", here / "compose.yaml", "up", "--build", "-d"], env=environment, check=True)
        for name in ("one", "two"):
            wait_until(lambda n=name: buildx.engine.docker("logs", f"kit-{n}-1").out == f"{n}\n", what="the service's word")
    finally:
        engines.run([*compose, "-f", here / "compose.yaml", "down", "-t", "0"], env=environment)
