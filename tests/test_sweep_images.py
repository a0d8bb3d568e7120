"""kill -9 of the engine at each of its calls through pull, push, tag, save, load, import and removal of images."""
import gzip
import hashlib
import io
import json
import os
import random
import tarfile

import pytest

from registry import Registry, digest_of, manifest_of
from sweep import Story, sweep

pytestmark = pytest.mark.own
LAYER_FILES = (("etc/a", 300_000), ("usr/b", 200_000), ("usr/lib/c", 400_000))


def layer_of(name, size):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for part in range(3):
            entry = tarfile.TarInfo(f"{name}-{part}")
            entry.size = size // 3
            archive.addfile(entry, io.BytesIO(random.Random(name + str(part)).randbytes(entry.size)))
    return out.getvalue()


def push_image(registry, repository, tag):
    """Three layers, one of them compressed."""
    layers = [layer_of(*row) for row in LAYER_FILES]
    sent = [gzip.compress(layers[0], 1), *layers[1:]]
    config = json.dumps({"architecture": "amd64", "os": "linux", "config": {"Cmd": ["/x"]},
                         "rootfs": {"type": "layers", "diff_ids": [digest_of(layer) for layer in layers]}}).encode()
    for blob in (config, *sent):
        registry.push_blob(repository, blob)
    manifest = manifest_of(config, *sent)
    manifest["layers"][0]["mediaType"] += "+gzip"
    registry.push_manifest(repository, tag, manifest)


class Images(Story):
    """The model: which names there are, as far as it was acknowledged."""
    steps = ("pull", "tag", "push", "save", "remove_tag", "remove_pulled", "load", "import_files", "pull", "tag", "remove_by_id", "import_files",
             "load", "prune_all")
    registry = None  # of the test
    saved = None

    @property
    def repository(self):
        return f"{self.registry.host}/source/image"

    @property
    def copy(self):
        return f"{self.registry.host}/copy/image"

    def stream(self, method, path, **options):
        """A call whose errors come inside of the answer."""
        answer = self.call(method, path, **options)
        messages = [json.loads(line) for line in answer.data.splitlines() if line.strip()]
        failed = [message["error"] for message in messages if "error" in message]
        assert not failed, (path, failed)
        return messages

    def pull(self):
        self.doubt("pulled")
        self.stream("POST", f"/images/create?fromImage={self.repository}&tag=v1")
        self.acknowledged["pulled"] = True

    def tag(self):
        self.doubt("copy")
        self.call("POST", f"/images/{self.repository}:v1/tag?repo={self.copy}&tag=v2")
        self.acknowledged["copy"] = True

    def push(self):
        self.stream("POST", f"/images/{self.copy}/push?tag=v2")
        answer = self.registry.get("/v2/copy/image/manifests/v2")
        assert answer.status == 200, answer

    def save(self):
        data = self.call("GET", f"/images/get?names={self.repository}:v1&names={self.copy}:v2").data
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            assert "manifest.json" in archive.getnames()
        Images.saved = data

    def remove_tag(self):
        self.doubt("copy")
        self.call("DELETE", f"/images/{self.copy}:v2", again=(404,))
        self.acknowledged["copy"] = False

    def remove_pulled(self):
        self.doubt("pulled")
        self.call("DELETE", f"/images/{self.repository}:v1", again=(404,))
        self.acknowledged["pulled"] = False

    def load(self):
        self.doubt("copy", "pulled")
        self.stream("POST", "/images/load?quiet=1", text=self.saved, content_type="application/x-tar")
        self.acknowledged.update(copy=True, pulled=True)

    def import_files(self):
        self.doubt("imported")
        self.stream("POST", "/images/create?fromSrc=-&repo=imported&tag=v1", text=layer_of("imported", 150_000), content_type="application/x-tar")
        self.acknowledged["imported"] = True

    def remove_by_id(self):
        self.doubt("copy", "pulled", "imported")
        for image in self.api.do("GET", "/images/json"):
            if "busybox:latest" not in (image["RepoTags"] or []):
                self.call("DELETE", f"/images/{image['Id']}?force=1", again=(404,))
        self.acknowledged.update(copy=False, pulled=False, imported=False)

    def prune_all(self):
        self.doubt("copy", "pulled", "imported")
        self.call("POST", "/containers/create?name=holds", {"Image": "busybox"}, again=(409,))  # what a container uses stays
        self.call("POST", '/images/prune?filters={"dangling":["false"]}')
        self.acknowledged.update(copy=False, pulled=False, imported=False)

    def check(self):
        names = {"pulled": f"{self.repository}:v1", "copy": f"{self.copy}:v2", "imported": "imported:v1", "busybox": "busybox:latest"}
        listed = {tag for image in self.api.do("GET", "/images/json") for tag in image["RepoTags"] or []}
        for what, wanted in {**self.acknowledged, "busybox": True}.items():
            assert (names[what] in listed) == wanted, f"image {what}: {wanted=}"
        for name in listed:
            told = self.api.do("GET", f"/images/{name}/json")
            for layer in told["RootFS"]["Layers"]:
                assert layer.startswith("sha256:")
            if name == names["pulled"]:
                assert told["Size"] >= sum(size for _name, size in LAYER_FILES) - 9
        self.check_blobs()
        self.check_usage()

    def check_blobs(self):
        """Each by its bytes; and nothing is half-made."""
        blobs = self.engine.data / "blobs/sha256"
        for path in blobs.iterdir():
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            assert digest == path.name, f"blob {path.name} has other bytes"

    def check_usage(self):
        said = self.api.do("GET", "/system/df?type=image")["LayersSize"]
        bytes_, blocks = 0, 0
        for path, directories, files in os.walk(self.engine.data / "layers"):
            for entry in (*directories, *files):
                status = os.lstat(os.path.join(path, entry))
                bytes_ += status.st_size if entry in files else 0
                blocks += status.st_blocks * 512
        assert abs(said - bytes_) <= bytes_ // 100 or abs(said - blocks) <= blocks // 100, f"system df: {said}, on disk: {bytes_} bytes, {blocks} in blocks"

    def clean(self):
        self.is_repeat = True
        self.call("DELETE", "/containers/holds?force=1", again=(404,))
        self.remove_by_id()
        self.call("POST", '/images/prune?filters={"dangling":["true"]}')


def test_kill_9_at_every_call(build, docker_client, preload):
    registry = Registry(build).start()
    try:
        push_image(registry, "source/image", "v1")
        Images.registry = registry
        sweep(build, preload, Images)
    finally:
        registry.remove()
