"""An image of about 1 GB in several layers on its way: load, save, push, pull, import; beside Docker's engine and podman ($BENCH_PODMAN names a
command for it). Each has a registry of its own, next to it, and pulls the same bytes."""
import hashlib
import io
import json
import os
import pathlib
import shlex
import shutil
import statistics
import subprocess
import tarfile
import tempfile
import time

from engine import docker_program, run, wait_until
from registry import Registry

DIRECTORIES = ("/usr/bin", "/usr/include", "/usr/share", "/usr/lib/gcc/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/usr/lib/python3",
               "/usr/lib/llvm-14", "/usr/lib/git-core")
IMAGE_MB = float(os.environ.get("BENCH_IMAGE_MB", "960"))
LAYER_MB = IMAGE_MB / 6
NAME, TAG = "bench/image", "bench/image:1"
STEPS = ("load", "push", "save", "pull", "import")
LIMIT_S = 600
VERBOSE = "BENCH_VERBOSE" in os.environ  # each measurement as it is made


# ---- the image ----

def pack_layer(directory, path, flat, limit):
    """A tar of what is in a directory, up to a size; the same into 'flat'."""
    size = 0
    with tarfile.open(path, "w") as tar:
        for top, directories, names in os.walk(directory):
            directories.sort()
            for name in [".", *sorted(names)]:
                file = os.path.normpath(os.path.join(top, name))
                for out in (tar, flat):
                    out.add(file, arcname=file.lstrip("/"), recursive=False)
                size += os.path.getsize(file) if os.path.isfile(file) and not os.path.islink(file) else 0
                if size > limit:
                    return


def digest_file(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()


def make_archive(directory):
    """image.tar, as docker save once wrote it, and flat.tar, one tree; the plain size of the layers in MB."""
    names, total = [], 0
    with tarfile.open(directory / "flat.tar", "w") as flat:
        for source in DIRECTORIES:
            limit = min(LAYER_MB, IMAGE_MB - total) * 1e6
            if not pathlib.Path(source).is_dir() or limit <= 0:
                continue
            draft = directory / "draft.tar"
            pack_layer(source, draft, flat, limit)
            total += draft.stat().st_size / 1e6
            names.append(f"{digest_file(draft)}.tar")
            draft.rename(directory / names[-1])
    config = json.dumps({"architecture": "amd64", "os": "linux", "config": {}, "created": "2020-01-02T03:04:05Z",
                         "rootfs": {"type": "layers", "diff_ids": ["sha256:" + one[:64] for one in names]}}).encode()
    manifest = json.dumps([{"Config": "config.json", "RepoTags": [TAG], "Layers": names}]).encode()
    with tarfile.open(directory / "image.tar", "w") as tar:
        for name, data in (("config.json", config), ("manifest.json", manifest)):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
        for name in names:
            tar.add(directory / name, arcname=name)
    for name in names:
        (directory / name).unlink()
    return total, len(names)


# ---- who takes part ----

class NearRegistry(Registry):
    """In the network namespace of who talks to it."""

    def __init__(self, build, prefix):
        super().__init__(build)
        self.prefix = prefix

    def start(self):
        original, self.build = self.build, None
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([*self.prefix, original / "berth-registry", "--root", self.root, "--listen", self.host],
                                            stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        self.build = original
        wait_until(lambda: run([*self.prefix, "bash", "-c", f"< /dev/tcp/127.0.0.1/{self.port}"]).code == 0, what="the registry listening")
        return self


class Contestant:
    def __init__(self, name, command, environment, build, prefix=(), flags=()):
        self.name, self.command, self.environment, self.build = name, command, environment, build
        self.prefix, self.flags = list(prefix), list(flags)
        self.times = {step: [] for step in STEPS}

    def call(self, *arguments):
        run([*self.command, *arguments], env=self.environment, check=True, limit_s=LIMIT_S)

    def measure(self, step, *arguments):
        os.sync()
        start = time.perf_counter()
        self.call(*arguments)
        self.times[step].append(time.perf_counter() - start)
        if VERBOSE:
            print(self.name, step, f"{self.times[step][-1]:.2f}", flush=True)

    def registry(self, root=None):
        registry = NearRegistry(self.build, self.prefix)
        if root:
            shutil.copytree(root, registry.root)
        return registry.start()

    def round(self, directory, origin):
        saved = directory / "saved.tar"
        target = self.registry()
        try:
            self.measure("load", "load", "-q", "-i", directory / "image.tar")
            self.call("tag", TAG, f"{target.host}/{TAG}")
            self.measure("push", "push", "-q", *self.flags, f"{target.host}/{TAG}")
            self.measure("save", "save", "-o", saved, TAG)
            self.call("rmi", "-f", TAG, f"{target.host}/{TAG}")
        finally:
            target.remove()
            saved.unlink(missing_ok=True)
        source = self.registry(origin)
        try:
            self.measure("pull", "pull", "-q", *self.flags, f"{source.host}/{TAG}")
            self.call("rmi", "-f", f"{source.host}/{TAG}")
        finally:
            source.remove()
        self.measure("import", "import", directory / "flat.tar", "bench/flat:1")
        self.call("rmi", "-f", "bench/flat:1")


def contestants(engine, build, docker, scratch):
    yield Contestant("berth", [build / "berth"], engine.environment, build)
    if docker:
        inside = ["nsenter", "--net", "--target", str(docker.network_pid())]
        run([*inside, "ip", "link", "set", "lo", "up"], check=True)
        yield Contestant("docker", [docker_program()], docker.env, build, inside)
    if podman := shlex.split(os.environ.get("BENCH_PODMAN", "")):
        yield Contestant("podman", [*podman, "--root", scratch / "podman", "--runroot", scratch / "podman-run"], dict(os.environ), build,
                         flags=["--tls-verify=false"])


def make_origin(engine, build, directory):
    """The root of a registry that has the image, as berth pushes it."""
    registry = Registry(build).start()
    try:
        engine.berth("load", "-q", "-i", directory / "image.tar", check=True, limit_s=LIMIT_S)
        engine.berth("tag", TAG, f"{registry.host}/{TAG}", check=True)
        engine.berth("push", "-q", f"{registry.host}/{TAG}", check=True, limit_s=LIMIT_S)
        engine.berth("rmi", "-f", TAG, f"{registry.host}/{TAG}", check=True)
        registry.stop()
        registry.root.rename(directory / "origin")
    finally:
        registry.remove()
    return directory / "origin"


def bench_images(engine, build, docker, rounds):
    scratch = pathlib.Path(tempfile.mkdtemp(prefix="berth-bench-"))
    try:
        size_mb, layers = make_archive(scratch)
        rivals = list(contestants(engine, build, docker, scratch))
        origin = make_origin(engine, build, scratch)
        count = max(rounds // 16, 1)
        for _ in range(count):
            for rival in rivals:
                rival.round(scratch, origin)
        print(f"\nan image of {layers} layers, {size_mb:.0f} MB: medians of {count}, and the fastest")
        for step in STEPS:
            unit = statistics.median(rivals[0].times[step])
            for rival in rivals:
                times = rival.times[step]
                median = statistics.median(times)
                print(f"  {step:<8} {rival.name:<8} {median:7.2f} s {median / unit:6.2f} x berth   {min(times):7.2f} s {size_mb / min(times):6.0f} MB/s")
    finally:
        run(["rm", "-rf", "--one-file-system", scratch])
