"""Random requests, on a small disk that is full at times, with a model beside them: what berth says it has is what was asked for, record, kernel and
disk agree at each checkpoint, and after everything is removed no byte of a user is left.

BERTH_TEST_OPERATIONS is how many (default 60; the long form 20000), BERTH_TEST_SEED which (default 1)."""
import os
import random
import subprocess
import time

import pytest

import engine as engines
from registry import Registry
from small_disk import engine_on_small_disk, fill, says_full

pytestmark = pytest.mark.own

DISK_MIB = 384
OPERATIONS = int(os.environ.get("BERTH_TEST_OPERATIONS", "60"))
SEED = int(os.environ.get("BERTH_TEST_SEED", "1"))
LIMIT = 12  # of each kind


class World:
    """What should be there, and the operations that change it."""

    def __init__(self, engine, registry, directory, seed):
        self.engine, self.registry, self.directory, self.random = engine, registry, directory, random.Random(seed)
        self.pushed = {}      # names of images in the registry, as self.images
        self.containers = {}  # name → {"image", "volume", "text", "running"}
        self.images = {}      # name → text of its /mark, or None
        self.volumes = {}     # name → text of its f
        self.count = 0
        self.log = []

    def name(self, kind):
        self.count += 1
        return f"{kind}-{self.count}"

    def pick(self, things):
        things = sorted(things)
        return self.random.choice(things) if things else None

    def free_volumes(self):
        return [name for name in self.volumes if all(c["volume"] != name for c in self.containers.values())]

    def free_images(self):
        return [name for name in self.images if all(c["image"] != name for c in self.containers.values())]

    def docker(self, *words, **options):
        return self.engine.docker(*words, check=True, **options)

    # ---- operations: each does nothing where it does not apply

    def create_volume(self):
        if len(self.volumes) < LIMIT:
            name = self.name("vol")
            self.docker("volume", "create", name)
            self.volumes[name] = ""

    def clone_volume(self):
        source = self.pick(self.volumes)
        if source and len(self.volumes) < LIMIT:
            name = self.name("vol")
            self.engine.berth("volume", "clone", source, name, check=True)
            self.volumes[name] = self.volumes[source]

    def rename_volume(self):
        source = self.pick(self.free_volumes())
        if source:
            name = self.name("vol")
            self.engine.berth("volume", "rename", source, name, check=True)
            self.volumes[name] = self.volumes.pop(source)

    def remove_volume(self):
        name = self.pick(self.free_volumes())
        if name:
            self.docker("volume", "rm", name)
            del self.volumes[name]

    def run(self):
        if len(self.containers) >= LIMIT:
            return
        name, image, volume, text = self.name("con"), self.pick(list(self.images) + ["busybox"]), self.pick(self.volumes), f"t{self.count}"
        stays = self.random.random() < 0.3
        mount = ["-v", f"{volume}:/v"] if volume else []
        script = f"echo {text} > /mark;" + (f"echo {text} > /v/f;" if volume else "") + ("echo ready; exec sleep 1000" if stays else "")
        self.docker("run", *(["-d"] if stays else []), "--name", name, *mount, image, "sh", "-c", script)
        if stays:
            engines.wait_until(lambda: "ready" in self.engine.docker("logs", name).out, what=f"{name} being ready")
        self.containers[name] = {"image": image, "volume": volume, "text": text, "running": stays}
        if volume:
            self.volumes[volume] = text

    def create(self):
        if len(self.containers) < LIMIT:
            name, image = self.name("con"), self.pick(list(self.images) + ["busybox"])
            self.docker("create", "--name", name, image, "true")
            self.containers[name] = {"image": image, "volume": None, "text": self.images.get(image), "running": False}

    def copy_in(self):
        name = self.pick(self.containers)
        if name:
            text = f"c{self.count}"
            (self.directory / "mark").write_text(text + "\n")
            self.docker("cp", self.directory / "mark", f"{name}:/mark")
            self.containers[name]["text"] = text

    def commit(self):
        source = self.pick(self.containers)
        if source and len(self.images) < LIMIT:
            name = self.name("img")
            self.docker("commit", source, name)
            self.images[name] = self.containers[source]["text"]

    def build(self):
        if len(self.images) < LIMIT:
            name, base, text = self.name("img"), self.pick(list(self.images) + ["busybox"]), f"b{self.count}"
            (self.directory / "Dockerfile").write_text(f"FROM {base}\nRUN echo {text} > /mark\n")
            self.docker("build", "-q", "-t", name, self.directory)
            self.images[name] = text

    def save_and_load(self):
        source = self.pick(self.images)
        if source:
            self.docker("save", "-o", self.directory / "saved", source)
            self.docker("load", "-q", "-i", self.directory / "saved")

    def push(self):
        source = self.pick(name for name in self.images if "/" not in name)
        if source and len(self.pushed) < LIMIT:
            name = f"{self.registry.host}/{self.name('pushed')}"
            self.docker("tag", source, name)
            self.docker("push", "-q", name)
            self.docker("rmi", name)
            self.pushed[name] = self.images[source]

    def pull(self):
        name = self.pick(self.pushed)
        if name and (name in self.images or len(self.images) < LIMIT):
            self.docker("pull", "-q", name)
            self.images[name] = self.pushed[name]

    def remove_image(self):
        name = self.pick(self.free_images())
        if name:
            self.docker("rmi", name)
            del self.images[name]

    def remove_container(self):
        name = self.pick(self.containers)
        if name:
            self.docker("rm", "-f", "-v", name)
            del self.containers[name]

    def stop(self):
        name = self.pick([name for name, c in self.containers.items() if c["running"]])
        if name:
            self.docker("stop", "-t", "0", name)
            self.containers[name]["running"] = False

    def prune_containers(self):
        self.docker("container", "prune", "-f")
        self.containers = {name: c for name, c in self.containers.items() if c["running"]}

    def prune_system(self):
        self.engine.berth("system", "prune", "-f", check=True)
        self.containers = {name: c for name, c in self.containers.items() if c["running"]}

    def crash(self):
        self.engine.kill()
        self.engine.start()

    def crash_in_the_middle(self):
        """A clone and an image that nobody waits for: whole or not there."""
        source = self.pick(self.volumes)
        if not source or len(self.volumes) >= LIMIT:
            return
        name = self.name("vol")
        process = subprocess.Popen([str(self.engine.build / "berth"), "volume", "clone", source, name], env=self.engine.environment,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(self.random.random() / 50)
        self.engine.kill()
        process.wait()
        self.engine.start()
        if name in self.docker("volume", "ls", "-q").out.split():
            self.volumes[name] = self.volumes[source]

    # What ends as a whole or not at all; a volume's own files, and a container that was made and not started, may be left otherwise.
    ON_A_FULL_DISK = (create_volume, clone_volume, rename_volume, create, commit, build, pull, save_and_load)

    def fill_disk(self):
        """What does not fit says so and leaves nothing; removing works; and with room again all goes on."""
        filler = fill(self.engine)
        try:
            for operation in self.random.choices(self.ON_A_FULL_DISK, k=3):
                self.log.append(operation.__name__)
                try:
                    operation(self)
                except AssertionError as failure:
                    assert says_full(str(failure)), failure
            operation = self.random.choice((World.remove_volume, World.remove_container, World.remove_image, World.prune_containers))
            self.log.append(operation.__name__)
            operation(self)
        finally:
            filler.unlink()

    WEIGHTS = {create_volume: 4, clone_volume: 3, rename_volume: 3, remove_volume: 3, run: 12, create: 4, copy_in: 5, commit: 4, build: 4, save_and_load: 2,
               push: 2, pull: 3, fill_disk: 1, remove_image: 4, remove_container: 7, stop: 3, prune_containers: 1, prune_system: 1, crash: 1, crash_in_the_middle: 1}

    def step(self):
        operation = self.random.choices(list(self.WEIGHTS), list(self.WEIGHTS.values()))[0]
        self.log.append(operation.__name__)
        operation(self)

    # ---- comparing

    def check(self):
        running = {name for name, c in self.containers.items() if c["running"]}
        assert set(self.docker("ps", "-a", "--format", "{{.Names}}").out.split()) == set(self.containers)
        assert set(self.docker("ps", "--format", "{{.Names}}").out.split()) == running
        assert set(self.docker("volume", "ls", "-q").out.split()) == set(self.volumes)
        named = {line for line in self.docker("images", "--format", "{{.Repository}}").out.split() if line != "<none>"}
        assert named == set(self.images) | {"busybox"}
        for name, text in self.volumes.items():
            place = self.engine.data / "volumes" / name / "_data/f"
            assert (place.read_text().strip() if place.exists() else "") == text, name
        name = self.pick(self.containers)
        if name and self.containers[name]["text"]:
            self.docker("cp", f"{name}:/mark", self.directory / "out")
            assert (self.directory / "out").read_text().strip() == self.containers[name]["text"], name
        assert self.engine.verify().code == 0, self.engine.verify()

    def check_empty(self):
        if self.containers:
            self.docker("rm", "-f", "-v", *self.containers)
        if self.volumes:
            self.docker("volume", "rm", *self.volumes)
        self.docker("rmi", "-f", *self.docker("images", "-aq").out.split())
        self.engine.berth("system", "prune", "-a", "-f", "--volumes", check=True)
        self.engine.berth("builder", "prune", "-a", "-f", check=True)
        assert self.engine.verify().code == 0, self.engine.verify()

        def left():
            data = self.engine.data
            return [path for top in ("containers", "layers", "volumes", "blobs/sha256", "tmp") for path in (data / top).glob("*")]
        engines.wait_until(lambda: not left(), what=f"nothing being left of {left()}")


@pytest.fixture
def world(build, docker_client, tmp_path):
    registry = Registry(build).start()
    try:
        for name in ("disk", "world"):
            (tmp_path / name).mkdir()
        with engine_on_small_disk(build, tmp_path / "disk", DISK_MIB) as engine:
            yield World(engine, registry, tmp_path / "world", SEED)
    finally:
        registry.remove()


def test_conservation(world):
    print(f"seed {SEED}, {OPERATIONS} operations: BERTH_TEST_SEED={SEED} BERTH_TEST_OPERATIONS={OPERATIONS} replays")
    for number in range(OPERATIONS):
        try:
            world.step()
            if number % 50 == 49:
                world.check()
        except AssertionError as failure:
            raise AssertionError(f"seed {SEED}, operation {number} ({world.log[-8:]}): {failure}") from failure
    world.check()
    world.check_empty()
