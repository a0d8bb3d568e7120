"""Nothing that a tag or a manifest reaches is ever lost: collection beside random pushes and deletes, side by side with a model; and
kill -9 at every place where something changes on disk.

REGISTRY_MODEL_S is how long the model runs (default 5; the long form 600), BERTH_TEST_SEED which random steps it takes (default 1)."""
import json
import os
import random
import signal
import threading
import time

import pytest

from engine import LIMIT_S
from registry import INDEX, MANIFEST, Registry, digest_of, manifest_of
from sweep import Control, spread

pytestmark = pytest.mark.own

MODEL_S = float(os.environ.get("REGISTRY_MODEL_S", "5"))
SEED = int(os.environ.get("BERTH_TEST_SEED", "1"))
UPLOAD_AGE_S, FEWEST_STEPS = 2, 30

TAGS = ["a", "b", "c"]
POOL = [f"content {i} ".encode() * (1 + i * 500) for i in range(24)]  # shared by all: what one deletes, another pushes


def files(registry):
    return {f"{path.parent.parent.name}:{path.name}" for path in (registry.root / "blobs").glob("*/*/*")}


# ---- the model ----

class Worker(threading.Thread):
    """Works on repositories of its own, and knows what must be in them."""

    def __init__(self, registry, number, end, keeps_untagged):
        super().__init__()
        self.registry, self.end, self.keeps_untagged = registry, end, keeps_untagged
        self.random = random.Random(f"{SEED} {number}")
        self.repositories = [f"w{number}/one", f"w{number}/two"]
        self.manifests = {name: {} for name in self.repositories}  # digest → (bytes, type, blobs, manifests)
        self.tags = {name: {} for name in self.repositories}
        self.failure, self.steps = None, 0

    def run(self):
        doings = [self.push] * 6 + [self.push_index, self.untag, self.delete, self.delete_blob, self.abandon, self.check, self.check]
        try:
            while time.monotonic() < self.end or self.steps < FEWEST_STEPS:
                self.random.choice(doings)(self.random.choice(self.repositories))
                self.steps += 1
        except BaseException as e:  # told by the main thread
            self.failure = e

    def give_blob(self, repository, data):
        """As clients do: look whether it is there, try to mount it, send it whole or in pieces."""
        digest, how = digest_of(data), self.random.randrange(4)
        if how == 0 and self.registry.request("HEAD", f"/v2/{repository}/blobs/{digest}").status == 200:
            return
        if how == 1 and self.registry.request("POST", f"/v2/{repository}/blobs/uploads/?mount={digest}").status == 201:
            return
        if how == 2:
            half, begun = len(data) // 2, time.monotonic()
            location = self.registry.request("POST", f"/v2/{repository}/blobs/uploads/").headers["Location"]
            first = self.registry.request("PATCH", location, body=data[:half])
            answer = self.registry.request("PUT", f"{location}?digest={digest}", body=data[half:]) if first.status == 202 else first
            if answer.status == 201:
                return
            # On a busy machine this thread may have stood still for so long that the upload was given up.
            assert answer.status == 404 and time.monotonic() - begun > UPLOAD_AGE_S - 0.1, answer
        self.registry.push_blob(repository, data)

    def put(self, repository, data, media_type, blobs, manifests):
        tag = self.random.choice([*TAGS, None])
        digest = digest_of(data)
        answer = self.registry.request("PUT", f"/v2/{repository}/manifests/{tag or digest}", body=data, headers={"Content-Type": media_type})
        if answer.status == 404:  # collected between its push and now: the grace of this test is none
            assert answer.code == "MANIFEST_BLOB_UNKNOWN", answer
            return
        assert answer.status == 201, answer
        self.manifests[repository][digest] = (data, media_type, blobs, manifests)
        if tag:
            self.tags[repository][tag] = digest

    def push(self, repository):
        blobs = self.random.sample(POOL, self.random.randint(1, 4))
        for data in blobs:
            self.give_blob(repository, data)
        self.put(repository, json.dumps(manifest_of(*blobs, annotations={"n": str(self.random.randrange(5))})).encode(), MANIFEST,
                 [digest_of(data) for data in blobs], [])

    def push_index(self, repository):
        known = [digest for digest, what in self.manifests[repository].items() if what[1] == MANIFEST]
        if known:
            chosen = self.random.sample(known, min(2, len(known)))
            index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [
                {"mediaType": MANIFEST, "digest": digest, "size": len(self.manifests[repository][digest][0])} for digest in chosen]}
            self.put(repository, json.dumps(index).encode(), INDEX, [], chosen)

    def untag(self, repository):
        tag = self.random.choice(TAGS)
        answer = self.registry.request("DELETE", f"/v2/{repository}/manifests/{tag}")
        assert answer.status == (202 if self.tags[repository].pop(tag, None) else 404), answer

    def delete(self, repository):
        if not self.manifests[repository]:
            return
        digest = self.random.choice(list(self.manifests[repository]))
        is_named = any(digest in what[3] for what in self.manifests[repository].values())
        answer = self.registry.request("DELETE", f"/v2/{repository}/manifests/{digest}")
        if self.keeps_untagged:
            assert answer.status == (405 if is_named else 202), answer
        if answer.status != 405:
            del self.manifests[repository][digest]
            self.tags[repository] = {t: d for t, d in self.tags[repository].items() if d != digest}

    def delete_blob(self, repository):
        digest = digest_of(self.random.choice(POOL))
        is_named = any(digest in what[2] for what in self.manifests[repository].values())
        answer = self.registry.request("DELETE", f"/v2/{repository}/blobs/{digest}")
        if self.keeps_untagged:
            assert answer.status == 405 if is_named else answer.status in (202, 404), answer

    def abandon(self, repository):
        location = self.registry.request("POST", f"/v2/{repository}/blobs/uploads/").headers["Location"]
        self.registry.request("PATCH", location, body=b"never finished")

    def reached(self, repository):
        """What must be there: everything, or what tags reach."""
        todo = list(self.manifests[repository] if self.keeps_untagged else self.tags[repository].values())
        seen = set()
        while todo:
            digest = todo.pop()
            if digest not in seen:
                seen.add(digest)
                todo += self.manifests[repository][digest][3]
        return seen

    def check(self, repository, everything=False):
        for tag, digest in self.tags[repository].items():
            answer = self.registry.get(f"/v2/{repository}/manifests/{tag}")
            assert answer.status == 200 and answer.headers["Docker-Content-Digest"] == digest, (repository, tag, digest, answer)
        known = sorted(self.reached(repository))
        for digest in known if everything else self.random.sample(known, min(3, len(known))):
            data, media_type, blobs, _ = self.manifests[repository][digest]
            answer = self.registry.get(f"/v2/{repository}/manifests/{digest}")
            assert answer.body == data and answer.headers["Content-Type"] == media_type, (repository, digest, answer)
            for blob in blobs:
                answer = self.registry.get(f"/v2/{repository}/blobs/{blob}")
                assert answer.status == 200 and digest_of(answer.body) == blob, (repository, digest, blob, answer)


@pytest.mark.parametrize("flags", [[], ["--gc-untagged"]], ids=["default", "untagged"])
def test_collection_beside_pushes_and_deletes(build, flags):
    registry = Registry(build, "--gc-grace", "0", "--upload-age", f"{UPLOAD_AGE_S}s", "--gc-interval", "0", *flags).start()
    print(f"seed {SEED}, {MODEL_S:.0f} s: BERTH_TEST_SEED={SEED} REGISTRY_MODEL_S={MODEL_S:.0f} takes the same steps")
    try:
        end = time.monotonic() + MODEL_S
        workers = [Worker(registry, number, end, not flags) for number in range(4)]
        for worker in workers:
            worker.start()
        while any(worker.is_alive() for worker in workers):
            registry.collect()
        for worker in workers:
            worker.join()
            assert worker.failure is None, worker.failure
        time.sleep(UPLOAD_AGE_S + 0.01)  # until all uploads are old
        registry.collect()
        wanted, manifests = set(), 0
        for worker in workers:
            assert worker.steps >= FEWEST_STEPS
            for repository in worker.repositories:
                worker.check(repository, everything=True)
                for digest in worker.reached(repository):
                    wanted.update(worker.manifests[repository][digest][2])
                    manifests += 1
        assert manifests > 0 and wanted
        assert files(registry) == wanted, "on disk is what manifests name, nothing else"
        assert not list((registry.root / "uploads").iterdir()) and not list((registry.root / "trash").iterdir())
        checked = registry.verify()
        assert checked.code == 0, checked
    finally:
        registry.remove()


def test_grace(build):
    """A blob stays while its push may be going on; asking for it counts as use."""
    registry = Registry(build, "--gc-grace", "1h", "--gc-interval", "0").start()
    try:
        digest = registry.push_blob("r", b"pushed, not named yet")
        kept = registry.push_image("r", "v1", b"layer")
        registry.collect()
        assert registry.request("HEAD", f"/v2/r/blobs/{digest}").status == 200
        registry.age(2 * 3600)
        assert registry.request("HEAD", f"/v2/r/blobs/{digest}").status == 200
        registry.collect()
        assert registry.request("HEAD", f"/v2/r/blobs/{digest}").status == 200
        registry.age(2 * 3600)
        registry.collect()
        assert registry.request("HEAD", f"/v2/r/blobs/{digest}").status == 404
        assert registry.get(f"/v2/r/manifests/{kept}").status == 200
        registry.stop()
        assert "removed 0 blobs" in registry.command("gc", "--gc-grace", "0").out
        registry.start()
        assert "asked the running registry" in registry.command("gc").out
    finally:
        registry.remove()


def test_untagged_manifests(build):
    registry = Registry(build, "--gc-grace", "0", "--gc-interval", "0", "--gc-untagged").start()
    try:
        child = registry.push_image("r", "child", b"child")
        size = len(registry.get(f"/v2/r/manifests/{child}").body)
        registry.push_manifest("r", "index", {"schemaVersion": 2, "manifests": [{"mediaType": MANIFEST, "digest": child, "size": size}]}, INDEX)
        registry.push_blob("r", b"{}")
        signature = registry.push_manifest("r", "sig", manifest_of(b"{}", artifactType="a/b", subject={"mediaType": MANIFEST, "digest": child, "size": size}))
        for tag in ("child", "sig"):
            assert registry.request("DELETE", f"/v2/r/manifests/{tag}").status == 202
        registry.collect()
        assert registry.get(f"/v2/r/manifests/{child}").status == 200, "the index reaches it"
        assert registry.get(f"/v2/r/manifests/{signature}").status == 200, "it refers to what is reached"
        assert registry.request("DELETE", "/v2/r/manifests/index").status == 202
        registry.collect()
        assert registry.get(f"/v2/r/manifests/{child}").status == 404 and registry.get(f"/v2/r/manifests/{signature}").status == 404
        registry.collect()
        assert not files(registry) and registry.get("/v2/r/tags/list").code == "NAME_UNKNOWN"
    finally:
        registry.remove()


def test_uploads_survive_a_restart_and_age(build):
    registry = Registry(build, "--gc-interval", "0").start()
    try:
        location = registry.request("POST", "/v2/r/blobs/uploads/").headers["Location"]
        registry.request("PATCH", location, body=b"before ")
        registry.kill()
        registry.start()
        assert registry.get(location).headers["Range"] == "0-6"
        assert registry.request("PATCH", location, body=b"after", headers={"Content-Range": "7-11"}).status == 202
        assert registry.request("PUT", f"{location}?digest={digest_of(b'before after')}").status == 201
        location = registry.request("POST", "/v2/r/blobs/uploads/").headers["Location"]
        registry.collect()
        assert registry.get(location).status == 204
        registry.stop()
        registry.flags += ["--upload-age", "0"]
        registry.start()
        time.sleep(0.01)
        registry.collect()
        assert registry.get(location).code == "BLOB_UPLOAD_UNKNOWN" and not list((registry.root / "uploads").iterdir())
    finally:
        registry.remove()


def test_verify_finds_damage(build):
    registry = Registry(build, "--gc-interval", "0").start()
    try:
        registry.push_image("r", "v1", b"layer one", b"layer two")
        for data, change, said in ((b"layer one", lambda path: path.write_bytes(b"layer 0ne"), "other bytes"),
                                   (b"layer two", lambda path: path.unlink(), "No such file")):
            digest = digest_of(data)
            change(registry.root / "blobs/sha256" / digest[7:9] / digest[7:])
            result = registry.verify()
            assert result.code == 1 and digest in result.out and said in result.out, result
        assert registry.get(f"/v2/r/blobs/{digest_of(b'layer two')}").status == 404
    finally:
        registry.remove()


# ---- kill -9, everywhere ----

class Story:
    """A fixed row of pushes, deletes and collections, and what must be true after each that was answered."""

    def __init__(self, registry):
        self.registry = registry
        self.present = {}  # (repository, tag) → digest, as far as it was acknowledged
        self.absent = set()
        self.manifests = {}

    def image(self, repository, tag, *layers):
        config = json.dumps({"of": [digest_of(layer) for layer in layers]}).encode()
        for data in (config, *layers):
            self.registry.push_blob(repository, data)
        document = json.dumps(manifest_of(config, *layers)).encode()
        self.doubtful(repository, tag)
        self.registry.push_manifest(repository, tag, document)
        self.present[repository, tag] = digest_of(document)
        self.manifests[digest_of(document)] = (document, [digest_of(data) for data in (config, *layers)])

    def doubtful(self, repository, tag):
        """Until it is answered, either is right."""
        self.present.pop((repository, tag), None)
        self.absent.discard((repository, tag))

    def delete(self, repository, tag):
        digest = self.present[repository, tag]
        self.doubtful(repository, tag)
        assert self.registry.request("DELETE", f"/v2/{repository}/manifests/{digest}").status == 202
        self.absent.add((repository, tag))

    def pieces(self, repository, data):
        location = self.registry.request("POST", f"/v2/{repository}/blobs/uploads/").headers["Location"]
        for start in range(0, len(data), 20_000):
            assert self.registry.request("PATCH", location, body=data[start:start + 20_000]).status == 202
        assert self.registry.request("PUT", f"{location}?digest={digest_of(data)}").status == 201

    def collect(self):
        before = self.registry.log.read_text().count("garbage is collected")
        self.registry.process.send_signal(signal.SIGUSR1)
        while self.registry.log.read_text().count("garbage is collected") == before:
            if self.registry.process.poll() is not None:
                raise ConnectionError("killed")
            time.sleep(0.002)

    def tell(self):
        shared = b"shared layer" * 1000
        self.pieces("one", b"piece " * 10_000)
        self.image("one", "v1", shared, b"only in v1" * 100)
        self.image("two", "v1", shared)
        self.registry.request("POST", f"/v2/three/blobs/uploads/?mount={digest_of(shared)}&from=one")
        self.delete("one", "v1")
        self.collect()
        self.image("one", "v2", shared, b"only in v1" * 100)
        self.delete("two", "v1")
        self.collect()
        self.image("two", "v2", b"last")
        self.delete("one", "v2")
        self.collect()

    def check(self, point):
        for (repository, tag), digest in self.present.items():
            answer = self.registry.get(f"/v2/{repository}/manifests/{tag}")
            assert answer.status == 200 and answer.headers["Docker-Content-Digest"] == digest, (point, repository, tag, answer)
            document, blobs = self.manifests[digest]
            assert answer.body == document
            for blob in blobs:
                answer = self.registry.get(f"/v2/{repository}/blobs/{blob}")
                assert answer.status == 200 and digest_of(answer.body) == blob, (point, repository, tag, blob, answer)
        for repository, tag in self.absent:
            assert self.registry.get(f"/v2/{repository}/manifests/{tag}").status == 404, (point, repository, tag)


def one_life(build, preload, tmp_path, crash_at):
    """The story until the crash; then what a new server makes of what is left. Gives the number of calls."""
    control = Control(tmp_path / "control", preload, "berth-registry")
    control.arm(crash_at)
    registry = Registry(build, "--gc-grace", "0", "--gc-interval", "0", "--upload-age", "0", environment=control.environment)
    story = Story(registry)
    try:
        try:
            registry.start()
            story.tell()
            registry.process.send_signal(signal.SIGTERM)
        except Exception:
            if registry.process.wait(LIMIT_S) != -signal.SIGKILL:
                raise
        assert registry.process.wait(LIMIT_S) == (-signal.SIGKILL if crash_at else 0), crash_at
        registry.process, calls = None, control.calls
        registry.environment = {}
        registry.start()
        checked = registry.verify()
        assert checked.code == 0, (crash_at, checked)
        story.check(crash_at)
        time.sleep(0.002)
        story.collect()
        story.check(crash_at)
        checked = registry.verify()
        assert checked.code == 0, (crash_at, checked)
        assert files(registry) == named_blobs(registry), (crash_at, "on disk is what manifests name, nothing else")
        assert not list((registry.root / "uploads").iterdir()) and not list((registry.root / "trash").iterdir())
        return calls
    finally:
        registry.remove()


def named_blobs(registry):
    named = set()
    catalog = registry.get("/v2/_catalog")
    assert catalog.status == 200, catalog
    for name in catalog.json["repositories"]:
        for tag in registry.get(f"/v2/{name}/tags/list").json["tags"]:
            manifest = registry.get(f"/v2/{name}/manifests/{tag}").json
            named.update([manifest["config"]["digest"], *(layer["digest"] for layer in manifest["layers"])])
    return named


def test_kill_9_at_every_change(build, preload, tmp_path):
    total = one_life(build, preload, tmp_path, 0)
    assert total > 100
    for point in spread(total - 1):
        one_life(build, preload, tmp_path, point)
