"""The power goes while images, volumes, networks and containers come and go: what was acknowledged is there afterwards, what was under way is there
as a whole or not at all, record and disk agree, and the engine starts without help.

BERTH_CUTS is at how many points (default 15; the long form 2000), BERTH_TEST_SEED which, BERTH_CUT_MKFS the command that makes the file system
(default: ext4)."""
import hashlib
import io
import json
import os
import random
import tarfile
import tempfile

import pytest

from archives import TAR, tar_of
from engine import PLACE, make_busybox_context, run
from power_cut import CutEngine, RecordedEngine, Replay
from raw_api import quote
from registry import Registry, digest_of, manifest_of

pytestmark = pytest.mark.own

CUTS = int(os.environ.get("BERTH_CUTS", "15"))
SEED = int(os.environ.get("BERTH_TEST_SEED", "7"))
ROUNDS = 2
REWRITTEN_LOG = 30  # records that fill the log of the record once: from then on it is written over, in place


def push_images(registry, repository, number):
    """Two of the same layers."""
    layers = [tar_of(**{f"part-{layer}": random.Random(f"{number} {layer}").randbytes(20_000 << layer)}) for layer in range(3)]
    for tag in (f"v{number}", f"like-v{number}"):
        config = json.dumps({"architecture": "amd64", "os": "linux", "config": {"Cmd": [tag]},
                             "rootfs": {"type": "layers", "diff_ids": [digest_of(layer) for layer in layers]}}).encode()
        for blob in (config, *layers):
            registry.push_blob(repository, blob)
        registry.push_manifest(repository, tag, manifest_of(config, *layers))


class Story:
    """Requests of one client. What it has been told is in the engine's ledger."""

    def __init__(self, engine, registry):
        self.engine, self.api, self.registry, self.ledger = engine, engine.api, registry, engine.ledger
        self.archives = []  # of images as they were made

    def call(self, method, path, body=None, **options):
        answer = self.api.call(method, path, body, **options)
        assert answer.status < 400, f"{method} {path}: {answer}"
        assert b'"error"' not in answer.data, f"{method} {path}: {answer}"
        return answer

    def gone(self, path):
        self.call("DELETE", path)

    # ---- images ----

    def image(self, words, name, method, path, body=None, **options):
        def act():
            self.call(method, path, body, **options)
            return self.image_id(name)
        self.ledger.tell(f"{words} {name}", act, ("image", name))

    def image_id(self, name):
        return self.api.do("GET", f"/images/{name}/json")["Id"]

    def images(self, number):
        source, copy = f"{self.registry.host}/source", f"copy:{number}"
        self.image("pull", f"{source}:v{number}", "POST", f"/images/create?fromImage={source}&tag=v{number}")
        self.image("pull", f"{source}:like-v{number}", "POST", f"/images/create?fromImage={source}&tag=like-v{number}")
        self.image("tag", copy, "POST", f"/images/{source}:v{number}/tag?repo=copy&tag={number}")
        self.image("move tag", "moving:tag", "POST", f"/images/{copy}/tag?repo=moving&tag=tag")
        self.image("import", f"imported:{number}", "POST", f"/images/create?fromSrc=-&repo=imported&tag={number}",
                   text=tar_of(imported=b"%d" % number * 9000), content_type=TAR)
        self.image("build", f"built:{number}", "POST", f"/build?t=built:{number}", content_type=TAR,
                   text=tar_of(Dockerfile=b"FROM busybox\nCOPY file /\nRUN cat file file > both\n", file=b"%d" % number * 5000))
        self.image("build without files", f"plain:{number}", "POST", f"/build?t=plain:{number}", content_type=TAR,
                   text=tar_of(Dockerfile=b"FROM busybox\nLABEL number=%d\nCMD true\n" % number))
        for name in (f"{source}:v{number}", f"built:{number}", f"imported:{number}"):
            self.archives.append(self.call("GET", f"/images/get?names={name}").data)
        saved = self.archives[-1]
        self.ledger.tell("rmi", lambda: self.gone(f"/images/imported:{number}"), ("image", f"imported:{number}"))
        self.image("load", f"imported:{number}", "POST", "/images/load?quiet=1", text=saved, content_type=TAR)
        self.ledger.tell("rmi of one name", lambda: self.gone(f"/images/{copy}"), ("image", copy))
        if number:
            self.ledger.tell("rmi of the last name", lambda: self.gone(f"/images/{source}:v0"), ("image", f"{source}:v0"))

    # ---- volumes ----

    def volume(self, words, name, method, path, body=None, content=None, labels=None, **options):
        def act():
            self.call(method, path, body, **options)
            return labels or {}, content
        self.ledger.tell(f"{words} {name}", act, ("volume", name))

    def volumes(self, number):
        labels = {"number": str(number)}
        content = b"%d" % number * 30_000
        self.volume("volume create", f"empty-{number}", "POST", "/volumes/create", {"Name": f"empty-{number}", "Labels": labels}, labels=labels)
        self.volume("volume import", f"import-{number}", "POST", f"/volumes/import-{number}/import", text=tar_of(content=content), content_type=TAR,
                    content=content)
        self.volume("volume clone", f"clone-{number}", "POST", f"/volumes/import-{number}/copy", {"Name": f"clone-{number}"}, content=content)

        def rename():
            self.call("POST", f"/volumes/clone-{number}/rename?name=renamed-{number}")
        self.ledger.tell("volume rename", rename, ("volume", f"clone-{number}"))
        self.ledger.steps[-1][3]["volume", f"renamed-{number}"] = ({}, content)
        self.ledger.tell("volume rm", lambda: self.gone(f"/volumes/import-{number}"), ("volume", f"import-{number}"))
        self.ledger.tell("volume rm", lambda: self.gone(f"/volumes/empty-{number}"), ("volume", f"empty-{number}"))
        for name in (f"empty-{number}", f"import-{number}"):  # what the one before had does not come back
            self.volume("volume create again", name, "POST", "/volumes/create", {"Name": name})

    # ---- the rest ----

    def create(self, name, image="busybox", *command):
        self.ledger.tell(f"create {name}", lambda: self.call("POST", f"/containers/create?name={name}", {"Image": image, "Cmd": command or ["true"]}).json["Id"],
                         ("container", name))

    def containers(self, number):
        name = f"box-{number}"
        self.create(name, "busybox", "sh", "-c", f"echo {number} >> /made")
        for _time in range(2):
            self.call("POST", f"/containers/{name}/start")
            self.call("POST", f"/containers/{name}/wait")
        self.image("commit", f"committed:{number}", "POST", f"/commit?container={name}&repo=committed&tag={number}")
        self.image("commit again", f"committed:{number}", "POST", f"/commit?container={name}&repo=committed&tag={number}&changes=LABEL%20a=b")
        self.create(f"of-commit-{number}", f"committed:{number}")
        container = self.api.do("GET", f"/containers/{name}/json")["Id"]

        def rename():
            self.call("POST", f"/containers/{name}/rename?name=renamed-{number}")
        self.ledger.tell("rename", rename, ("container", name))
        self.ledger.steps[-1][3]["container", f"renamed-{number}"] = container
        self.ledger.tell("rm", lambda: self.gone(f"/containers/of-commit-{number}"), ("container", f"of-commit-{number}"))

        def run_and_remove():
            made = self.call("POST", "/containers/create?name=passing", {"Image": "busybox", "Cmd": ["true"], "HostConfig": {"AutoRemove": True}}).json
            self.call("POST", f"/containers/{made['Id']}/start")
            self.api.call("POST", f"/containers/{made['Id']}/wait?condition=removed")
        self.ledger.tell("run --rm", run_and_remove, ("container", "passing"))

    def networks(self, number):
        for name in (f"net-{number}", f"other-{number}"):
            self.ledger.tell(f"network create {name}", lambda: self.call("POST", "/networks/create", {"Name": name}).json["Id"], ("network", name))
        self.ledger.tell("network rm", lambda: self.gone(f"/networks/other-{number}"), ("network", f"other-{number}"))

    def connections(self, number):
        """Of a container that ended: each is recorded, and made when it starts."""
        name, container = f"renamed-{number}", self.api.do("GET", f"/containers/renamed-{number}/json")["Id"]

        def connect(network):
            self.call("POST", f"/networks/{network}/connect", {"Container": name})
            return ["bridge", network]
        self.ledger.tell("network connect", lambda: connect(f"net-{number}"), ("networks", container))

        def disconnect():
            self.call("POST", f"/networks/net-{number}/disconnect", {"Container": name})
        self.ledger.tell("network disconnect", disconnect, ("networks", container))
        self.ledger.tell("network connect again", lambda: connect(f"net-{number}"), ("networks", container))

    def updates(self, number):
        container = self.api.do("GET", f"/containers/renamed-{number}/json")["Id"]
        for shares in (256, 512 + number):
            def update():
                self.call("POST", f"/containers/{container}/update", {"CpuShares": shares})
                return shares
            self.ledger.tell("update", update, ("shares", container))

    def filled_volumes(self, number):
        """What an image has at the place of an empty volume is in it when the container is there."""
        volume, image, name, content = f"filled-{number}", f"filling:{number}", f"filled-by-{number}", b"%d" % number * 40_000
        self.image("build", image, "POST", f"/build?t={image}", content_type=TAR,
                   text=tar_of(Dockerfile=b"FROM busybox\nCOPY content /filled/content\nRUN cd /filled && seq 100 | xargs touch\n", content=content))
        self.volume("volume create", volume, "POST", "/volumes/create", {"Name": volume})

        def create():
            return self.call("POST", f"/containers/create?name={name}", {"Image": image, "Cmd": ["true"], "HostConfig": {"Binds": [f"{volume}:/filled"]}}).json["Id"]
        with tempfile.TemporaryFile(dir=PLACE) as others:  # much that the host has yet to write: each file is waited for by itself
            for _piece in range(number % 2 * 200):
                others.write(bytes(1 << 20))
            self.ledger.tell(f"create {name}", create, ("container", name))
        self.ledger.steps[-1][3]["volume", volume] = ({}, content)

    def prunes(self, number):
        """Of what has a label of its own; the rest of the story stays."""
        label, names = {"lost": str(number)}, [f"lost-{number}-{letter}" for letter in "abc"]

        def prune(kind, *whats, **more):
            filters = json.dumps({"label": [f"lost={number}"], **more})
            self.ledger.tell(f"{kind} prune", lambda: self.call("POST", f"/{kind}/prune?filters={quote(filters)}") and None, *whats)
        for name in names:
            self.ledger.tell(f"create {name}", lambda: self.call("POST", f"/containers/create?name={name}",
                                                                 {"Image": "busybox", "Cmd": ["true"], "Labels": label}).json["Id"], ("container", name))
            self.ledger.tell("commit without a name", lambda: self.call("POST", f"/commit?container=renamed-{number}&changes=" + quote(
                f"LABEL lost={number} name={name}")).json["Id"], ("nameless", name))
            self.volume("volume create", name, "POST", "/volumes/create", {"Name": name, "Labels": label}, labels=label)
            self.ledger.tell(f"network create {name}", lambda: self.call("POST", "/networks/create", {"Name": name, "Labels": label}).json["Id"],
                             ("network", name))
        prune("containers", *(("container", name) for name in names))
        prune("images", *(("nameless", name) for name in names))
        prune("volumes", *(("volume", name) for name in names), all=["true"])
        prune("networks", *(("network", name) for name in names))

    def tell(self):
        for number in range(ROUNDS):
            self.images(number)
            self.volumes(number)
            self.containers(number)
            self.networks(number)
            self.connections(number)
            self.updates(number)
            self.filled_volumes(number)
            self.prunes(number)
        self.create("last")


def fill_log(engine):
    """Until the log of the record has its full length: what is written over in place is flushed without the file system's own journal."""
    for number in range(REWRITTEN_LOG):
        engine.api.do("POST", "/volumes/create", {"Name": f"fill-{number}", "Labels": {"long": "x" * 150_000}})
    for number in range(REWRITTEN_LOG):
        engine.api.do("DELETE", f"/volumes/fill-{number}")


def record(engine, build):
    """Tells the story to an engine whose disk is noted."""
    engine.start()
    engine.docker("build", "-q", "-t", "busybox", make_busybox_context(engine.directory / "busybox-context"), check=True)
    fill_log(engine)
    engine.ledger.tell("begin", lambda: Story(engine, None).image_id("busybox:latest"), ("image", "busybox:latest"))
    registry = Registry(build).start()
    try:
        for number in range(ROUNDS):
            push_images(registry, "source", number)
        story = Story(engine, registry)
        story.tell()
    finally:
        registry.remove()
    engine.cut_power()
    return story.archives


# ---- after a cut ----

def there(engine):
    """What the engine says it has, as the ledger has it."""
    found = {}
    for image in engine.api.do("GET", "/images/json"):
        for name in image["RepoTags"] or []:
            found["image", name] = image["Id"]
        if "lost" in (image["Labels"] or {}):
            found["nameless", image["Labels"]["name"]] = image["Id"]
    for volume in engine.api.do("GET", "/volumes")["Volumes"] or []:
        try:
            content = engine.read(f"{volume['Mountpoint']}/content")
        except FileNotFoundError:
            content = None
        found["volume", volume["Name"]] = (volume["Labels"] or {}, content)
    for network in engine.api.do("GET", "/networks"):
        if network["Name"] not in ("bridge", "host", "none"):
            found["network", network["Name"]] = network["Id"]
    for container in engine.api.do("GET", "/containers/json?all=1"):
        found["container", container["Names"][0][1:]] = container["Id"]
        networks = sorted(container["NetworkSettings"]["Networks"])
        shares = engine.api.do("GET", f"/containers/{container['Id']}/json")["HostConfig"]["CpuShares"]
        if networks != ["bridge"]:
            found["networks", container["Id"]] = networks
        if shares:
            found["shares", container["Id"]] = shares
    return found


def check_images(engine):
    """Each as a whole: its archive has the configuration and the layers that its id stands for."""
    images = engine.api.do("GET", "/images/json")
    for manifest in [name.split(":")[-1] for image in images for name in image["RepoDigests"] or []]:
        assert hashlib.sha256(engine.read(f"{engine.data}/blobs/sha256/{manifest}")).hexdigest() == manifest, "a manifest"
    names = [name for image in images for name in image["RepoTags"] or []]
    answer = engine.api.call("GET", "/images/get?" + "&".join(f"names={name}" for name in names))
    assert answer.status == 200, answer
    with tarfile.open(fileobj=io.BytesIO(answer.data)) as archive:
        for image in json.load(archive.extractfile("manifest.json")):
            config = archive.extractfile(image["Config"]).read()
            assert hashlib.sha256(config).hexdigest() == image["Config"].split("/")[-1].removesuffix(".json"), image
            for layer, diff_id in zip(image["Layers"], json.loads(config)["rootfs"]["diff_ids"], strict=True):
                assert digest_of(archive.extractfile(layer).read()) == diff_id, (image, layer)


def check_use(engine, archives, found, chosen):
    """What is there can be used: a container of before is started, and something is made, also out of what a pull or build may have left."""
    containers = sorted(name for kind, name in found if kind == "container")
    if containers:
        name = chosen.choice(containers)
        engine.api.do("POST", f"/containers/{name}/start")
        assert engine.api.do("POST", f"/containers/{name}/wait")["StatusCode"] == 0, name
    engine.api.do("POST", "/volumes/create", {"Name": "after"})
    engine.api.do("POST", "/images/busybox/tag?repo=after&tag=all")
    engine.api.do("POST", "/images/load?quiet=1", text=chosen.choice(archives), content_type=TAR)
    check_images(engine)


def check_cut(engine, ledger, archives, position, chosen):
    found = there(engine)
    allowed = ledger.allowed(position)
    wrong = [f"{what}: {brief(found.get(what))}, not {' or '.join(map(brief, allowed.get(what, [None])))}" for what in {**found, **allowed}
             if found.get(what) not in allowed.get(what, [None])]
    differences = engine.api.do("GET", "/system/verify?rehash=1")["Differences"]
    assert not wrong and not differences, (wrong, differences)
    check_images(engine)
    check_use(engine, archives, found, chosen)
    differences = engine.api.do("GET", "/system/verify")["Differences"]
    assert not differences, differences


def brief(value):
    return repr(value)[:60]


def start_after_cut(build, engine, archives, replay, position, number):
    """Whether all is well there: (seconds of the start, what is wrong or None)."""
    chosen = random.Random(f"{SEED} {number}")
    replay.advance(position)
    image, words = replay.cut(chosen)
    cut = CutEngine(build, engine, image)
    try:
        cut.start()
        check_cut(cut, engine.ledger, archives, position, chosen)
        return cut.start_s, None
    except (AssertionError, OSError) as problem:
        return cut.start_s, (f"cut {number} at {position} (record {replay.records}, under way: {engine.ledger.under_way(position)}), with {words}: {problem}; "
                         f"log: {cut.log.read_text(errors='replace')[-1500:]}")
    finally:
        cut.remove()


def test_power_cuts(build, docker_client):
    engine = RecordedEngine(build)
    failures, starts = [], []
    try:
        archives = record(engine, build)
        cuts = engine.directory / "cuts"
        cuts.mkdir()
        run(["mount", "-t", "tmpfs", "-o", "size=1g", "cuts", cuts], check=True)
        replay = Replay(engine.disk, cuts)
        for number, position in enumerate(engine.ledger.points(CUTS, SEED)):
            seconds, problem = start_after_cut(build, engine, archives, replay, position, number)
            starts.append(seconds)
            if problem:
                failures.append(problem)
                print(problem, flush=True)
                if len(failures) >= 20:
                    break
        starts.sort()
        print(f"{len(starts)} cuts over {len(engine.ledger.steps)} requests; start of the engine: median {starts[len(starts) // 2] * 1000:.0f} ms, "
              f"longest {starts[-1] * 1000:.0f} ms; {len(failures)} failures", flush=True)
        assert not failures, failures
    finally:
        engine.remove()
