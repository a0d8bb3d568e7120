"""An image of several layers on its way: load, save, push, pull; beside skopeo, which moves bytes but unpacks nothing, and Docker's engine."""
import gzip
import hashlib
import io
import json
import pathlib
import shutil
import tarfile
import time

from engine import run
from registry import Registry

LAYERS = ("/usr/include", "/usr/lib/python3", "/usr/lib/gcc/x86_64-linux-gnu", "/usr/share/perl")
NAME = "bench/image:1"


def pack_layer(directory):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        tar.add(directory, arcname=directory.lstrip("/"))
    return out.getvalue()


def make_archive(path):
    """As docker save once wrote it; the plain size of its layers."""
    layers = [pack_layer(one) for one in LAYERS if pathlib.Path(one).is_dir()]
    digests = [hashlib.sha256(one).hexdigest() for one in layers]
    config = json.dumps({"architecture": "amd64", "os": "linux", "config": {}, "created": "2020-01-02T03:04:05Z",
                         "rootfs": {"type": "layers", "diff_ids": ["sha256:" + one for one in digests]}}).encode()
    files = {"config.json": config, **{f"{digest}.tar": layer for digest, layer in zip(digests, layers)}}
    files["manifest.json"] = json.dumps([{"Config": "config.json", "RepoTags": [NAME], "Layers": [f"{one}.tar" for one in digests]}]).encode()
    with tarfile.open(path, "w") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    with open(path, "rb") as plain, gzip.open(f"{path}.gz", "wb", compresslevel=1) as packed:
        shutil.copyfileobj(plain, packed)
    return sum(map(len, layers)) / 1e6


class Table:
    def __init__(self, size_mb):
        self.size_mb, self.rows = size_mb, {}

    def add(self, name, action, *arguments, **options):
        start = time.perf_counter()
        action(*arguments, check=True, limit_s=600, **options)
        self.rows.setdefault(name, []).append(time.perf_counter() - start)

    def show(self):
        for name, values in self.rows.items():
            best = min(values)
            print(f"  {name:<40} {best * 1e3:9.0f} ms {self.size_mb / best:8.0f} MB/s of plain layers")


def round_of(table, engine, build, archive, has_skopeo):
    saved = engine.directory / "saved.tar"
    registry = Registry(build).start()
    target = f"127.0.0.1:{registry.port}/bench/image:1"
    try:
        table.add("load, plain", engine.berth, "load", "-q", "-i", archive)
        table.add("save", engine.berth, "save", "-o", saved, NAME)
        engine.berth("tag", NAME, target, check=True)
        table.add("push", engine.berth, "push", "-q", target)
        table.add("push again", engine.berth, "push", "-q", target)
        if has_skopeo:
            table.add("skopeo copies it out of the registry", run_skopeo, f"docker://{target}", f"dir:{engine.directory}/copy")
            shutil.rmtree(engine.directory / "copy")
        engine.berth("rmi", "-f", NAME, target, check=True)
        table.add("pull", engine.berth, "pull", "-q", target)
        engine.berth("rmi", "-f", target, check=True)
        table.add("load, gzip", engine.berth, "load", "-q", "-i", f"{archive}.gz")
        engine.berth("rmi", "-f", NAME, check=True)
        saved.unlink()
    finally:
        registry.remove()


def run_skopeo(source, target, check=True, limit_s=600):
    run(["skopeo", "--insecure-policy", "copy", "-q", "--src-tls-verify=false", source, target], check=check, limit_s=limit_s)


def bench_images(engine, build, docker, rounds):
    archive = engine.directory / "image.tar"
    table = Table(make_archive(archive))
    print(f"\nan image of {len(LAYERS)} layers, {table.size_mb:.0f} MB: the fastest of {max(rounds // 16, 1)}")
    for _ in range(max(rounds // 16, 1)):
        round_of(table, engine, build, archive, shutil.which("skopeo"))
        if docker:
            table.rows.setdefault("load, plain (docker)", []).append(docker.measure("load", "-q", "-i", archive))
            table.rows.setdefault("save (docker)", []).append(docker.measure("save", "-o", engine.directory / "saved.tar", NAME))
            docker.measure("rmi", "-f", NAME)
    table.show()
    archive.unlink()
    pathlib.Path(f"{archive}.gz").unlink()
