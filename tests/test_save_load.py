"""Images as archives: ours read by others, others' read by us, broken ones refused without a trace."""
import bz2
import gzip
import hashlib
import io
import json
import lzma
import subprocess
import tarfile

import pytest

import engine as engines
from engine import run

pytestmark = pytest.mark.own


@pytest.fixture(scope="module")
def place(build, docker_client):
    made = engines.Engine(build).start()
    context = engines.make_busybox_context(made.directory / "context")
    made.docker("build", "-q", "-t", "busybox", "-t", "other/name:5", context, check=True)
    yield made
    made.remove()


def digest_of(data):
    return hashlib.sha256(data).hexdigest()


def layer(files, whiteouts=()):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode, info.uname = len(content), 0o644, "somebody"
            tar.addfile(info, io.BytesIO(content))
        for name in whiteouts:
            tar.addfile(tarfile.TarInfo(name))
    return out.getvalue()


def config(layers, architecture="amd64", **more):
    return json.dumps({"architecture": architecture, "os": "linux", "config": {"Cmd": ["sh"]}, "created": "2020-01-02T03:04:05Z",
                       "rootfs": {"type": "layers", "diff_ids": ["sha256:" + digest_of(one) for one in layers]}, **more}).encode()


def archive(files, links=()):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
        for name, target in links:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.SYMTYPE, target
            tar.addfile(info)
    return out.getvalue()


def docker_archive(layers, tags, **more):
    """As docker wrote it before it knew of OCI."""
    text = config(layers, **more)
    files = {f"{digest_of(text)}.json": text}
    for index, one in enumerate(layers):
        files[f"layer{index}/layer.tar"] = one
    files["manifest.json"] = json.dumps([{"Config": f"{digest_of(text)}.json", "RepoTags": tags,
                                          "Layers": [f"layer{i}/layer.tar" for i in range(len(layers))]}]).encode()
    return files


def blob(files, content, media_type, **more):
    files["blobs/sha256/" + digest_of(content)] = content
    return {"mediaType": media_type, "digest": "sha256:" + digest_of(content), "size": len(content), **more}


OCI = "application/vnd.oci.image."


def oci_image(files, layers, pack=gzip.compress, kind="layer.v1.tar+gzip", **more):
    body = {"schemaVersion": 2, "mediaType": OCI + "manifest.v1+json", "config": blob(files, config(layers, **more), OCI + "config.v1+json"),
            "layers": [blob(files, pack(one), OCI + kind) for one in layers]}
    return blob(files, json.dumps(body).encode(), OCI + "manifest.v1+json",
                platform={"os": "linux", "architecture": more.get("architecture", "amd64")})


def oci_archive(entries, files):
    return {"oci-layout": b'{"imageLayoutVersion":"1.0.0"}', **files,
            "index.json": json.dumps({"schemaVersion": 2, "manifests": entries}).encode()}


def load(place, data, *arguments):
    return place.docker("load", *arguments, stdin=data)


def blobs(place):
    return sorted(path.name for path in (place.data / "blobs/sha256").iterdir())


def files_of(place, image, *names):
    made = place.docker("run", "--rm", "-v", "/bin/busybox:/busybox:ro", "--entrypoint", "/busybox", image, "cat", *names)
    assert made.code == 0, made
    return made.out


def test_round_trip(place, tmp_path):
    before = json.loads(place.docker("image", "inspect", "busybox", check=True).out)[0]
    for index, save in enumerate((place.docker, place.berth)):
        path = tmp_path / f"{index}.tar"
        save("save", "-o", path, "busybox", "other/name", check=True)
        piped = subprocess.run([engines.docker_program() if index == 0 else place.build / "berth", "save", "busybox", "other/name"],
                               env=place.environment, capture_output=True, check=True).stdout
        assert piped == path.read_bytes()
    (image,) = json.loads(tarfile.open(path).extractfile("manifest.json").read())
    assert image["RepoTags"] == ["busybox:latest", "other/name:5"] and len(image["Layers"]) == len(before["RootFS"]["Layers"])
    place.docker("rmi", "-f", "busybox", "other/name:5", check=True)
    assert place.docker("images", "-q").out == ""
    assert place.berth("load", "-i", path, check=True).out == "Loaded image: busybox:latest\nLoaded image: other/name:5\n"
    after = json.loads(place.docker("image", "inspect", "busybox", check=True).out)[0]
    for key in ("Id", "RepoTags", "RootFS", "Config", "Created", "Size"):
        assert after[key] == before[key]
    assert place.docker("run", "--rm", "busybox", "echo", "hi", check=True).out == "hi\n"
    assert place.docker("load", "-q", "-i", path, check=True).out == "Loaded image: busybox:latest\nLoaded image: other/name:5\n"


@pytest.mark.parametrize("pack", (lambda data: data, gzip.compress, lzma.compress, bz2.compress,
                                  lambda data: subprocess.run(["zstd", "-c"], input=data, capture_output=True, check=True).stdout),
                         ids=("plain", "gzip", "xz", "bzip2", "zstd"))
def test_compressed_archives(place, pack):
    saved = subprocess.run([engines.docker_program(), "save", "other/name:5"], env=place.environment, capture_output=True, check=True).stdout
    assert load(place, pack(saved)).out == "Loaded image: other/name:5\n"


def test_saved_by_id_has_no_name(place, tmp_path):
    image_id = place.docker("images", "-q", "--no-trunc", "busybox", check=True).out.split()[0]
    place.docker("save", "-o", tmp_path / "x.tar", image_id, check=True)
    with tarfile.open(tmp_path / "x.tar") as tar:
        assert json.loads(tar.extractfile("manifest.json").read())[0]["RepoTags"] is None
        assert "repositories" not in tar.getnames()
    assert load(place, (tmp_path / "x.tar").read_bytes()).out == f"Loaded image ID: {image_id}\n"


def test_others_read_ours(place, tmp_path):
    place.docker("save", "-o", tmp_path / "x.tar", "busybox", check=True)
    layers = place.inspect("busybox")["RootFS"]["Layers"]
    seen = json.loads(run(["skopeo", "inspect", f"docker-archive:{tmp_path}/x.tar"], check=True).out)
    assert seen["Layers"] == layers
    run(["skopeo", "--insecure-policy", "copy", f"oci-archive:{tmp_path}/x.tar", f"oci:{tmp_path}/layout:x"], check=True)
    run(["umoci", "unpack", "--image", f"{tmp_path}/layout:x", tmp_path / "bundle"], check=True)
    assert (tmp_path / "bundle/rootfs/etc/passwd").read_text().startswith("root:")
    # And back: what skopeo wrote in both forms.
    for form, said in ((f"docker-archive:{tmp_path}/d.tar:back/docker:1", "Loaded image: back/docker:1\n"),
                       (f"oci-archive:{tmp_path}/o.tar:back/oci:1", "Loaded image: back/oci:1\n")):
        run(["skopeo", "--insecure-policy", "copy", f"oci:{tmp_path}/layout:x", form], check=True)
        assert place.docker("load", "-q", "-i", form.split(":")[1], check=True).out == said
        assert place.inspect(said.split()[-1])["RootFS"]["Layers"] == layers
        assert files_of(place, said.split()[-1], "/etc/passwd").startswith("root:")


def test_old_docker_archive(place):
    one, two = layer({"a": b"1\n", "b": b"2\n"}), layer({"c": b"3\n"}, [".wh.b"])
    files = docker_archive([one, two, one], ["old:1", "old:2"])
    del files["layer2/layer.tar"]
    said = load(place, archive(files, [("layer2/layer.tar", "../layer0/layer.tar")]))
    assert said.out == "Loaded image: old:1\nLoaded image: old:2\n", said
    assert files_of(place, "old:1", "/a", "/b", "/c") == "1\n2\n3\n"
    # Layers that others made leave with the digests that they had.
    saved = subprocess.run([engines.docker_program(), "save", "old:1"], env=place.environment, capture_output=True, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(saved)) as tar:
        assert tar.extractfile("blobs/sha256/" + digest_of(two)).read() == two


def test_oci_archive_keeps_its_manifest(place):
    files = {}
    entry = oci_image(files, [layer({"x": b"x\n"}), layer({"y": b"y\n"})])
    entry["annotations"] = {"org.opencontainers.image.ref.name": "registry.example/oci/kept:3"}
    load(place, archive(oci_archive([entry], files)))
    assert files_of(place, "registry.example/oci/kept:3", "/x", "/y") == "x\ny\n"
    saved = subprocess.run([engines.docker_program(), "save", "registry.example/oci/kept:3"], env=place.environment, capture_output=True,
                           check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(saved)) as tar:
        for name, content in files.items():
            assert tar.extractfile(name).read() == content


@pytest.mark.current_client
def test_platforms(place, tmp_path):
    files = {}
    ours, theirs = oci_image(files, [layer({"who": b"amd64\n"})]), oci_image(files, [layer({"who": b"arm64\n"})], architecture="arm64")
    note = blob(files, b'{"schemaVersion":2}', OCI + "manifest.v1+json", platform={"os": "unknown", "architecture": "unknown"})
    index = blob(files, json.dumps({"schemaVersion": 2, "manifests": [note, theirs, ours]}).encode(), OCI + "index.v1+json",
                 annotations={"io.containerd.image.name": "docker.io/library/many:1"})
    data = archive(oci_archive([index], files))
    assert load(place, data).out == "Loaded image: many:1\n"
    assert place.inspect("many:1")["Architecture"] == "amd64"
    assert load(place, data, "--platform", "linux/arm64").out.endswith("to empty string\nLoaded image: many:1\n")
    assert place.inspect("many:1")["Architecture"] == "arm64"
    refused = load(place, data, "--platform", "linux/s390x")
    assert refused.code != 0 and "no matching manifest for linux/s390x" in refused.err
    refused = place.docker("save", "--platform", "linux/amd64", "-o", tmp_path / "x.tar", "many:1")
    assert refused.code != 0 and "does not match the specified platform (linux/amd64)" in refused.err


def broken_archives():
    one = layer({"a": b"1\n"})
    good = docker_archive([one], ["broken:1"])

    def docker(**changes):
        return archive({**good, **{name.replace("__", "/").replace("_", "."): text for name, text in changes.items()}})

    def oci(change, **more):
        files = {}
        entry = oci_image(files, [one], **more)
        entry["annotations"] = {"org.opencontainers.image.ref.name": "broken/x:1"}
        change(entry, files)
        return archive(oci_archive([entry], files))

    def wrong_blob(entry, files):
        name = next(name for name, text in files.items() if text[:2] == b"\x1f\x8b")
        files[name] = gzip.compress(layer({"a": b"other\n"}))

    listed = json.loads(good["manifest.json"])[0]
    yield "cut", archive(good)[:700], "unexpected EOF"
    yield "nothing", b"", ""
    yield "no manifest", archive({"x": b"y"}), "neither manifest.json nor index.json"
    yield "missing layer", archive({k: v for k, v in good.items() if k != "layer0/layer.tar"}), "no such file or directory"
    yield "other layer", docker(layer0__layer_tar=layer({"evil": b""})), "instead of sha256:" + digest_of(one)
    yield "too few layers", docker(manifest_json=json.dumps([{**listed, "Layers": []}]).encode()), "layers length mismatch"
    yield "bad tag", docker(manifest_json=json.dumps([{**listed, "RepoTags": ["../x"]}]).encode()), "invalid tag"
    yield "twice", docker(manifest_json=b'[{"Config":"a","Config":"b"}]'), "invalid manifest.json"
    yield "no JSON", docker(manifest_json=b'['), "invalid manifest.json"
    yield "wrong digest", oci(wrong_blob), "has the digest"
    yield "wrong size", oci(lambda entry, files: entry.update(size=entry["size"] + 1)), "bytes instead of"
    yield "artifact", oci(lambda entry, files: entry.update(blob(files, json.dumps({
        "schemaVersion": 2, "config": blob(files, b"{}", "application/vnd.oci.empty.v1+json"), "layers": []}).encode(),
        OCI + "manifest.v1+json"))), "artifact"
    yield "bomb", gzip.compress(archive({"zeros": bytes(200 << 20)}), 9), "compress"
    yield "escape", archive(docker_archive([layer({"../../../outside": b"x"})], ["broken:1"])), ""


@pytest.mark.parametrize("data, text", [pytest.param(data, text, id=name) for name, data, text in broken_archives()])
def test_broken_archive_leaves_nothing(place, data, text):
    images, before = place.docker("images", "-qa").out, blobs(place)
    layers = sorted(path.name for path in (place.data / "layers").iterdir())
    said = load(place, data)
    if text:
        assert said.code != 0 and text in said.err, said
        assert place.docker("images", "-qa").out == images and blobs(place) == before
        assert sorted(path.name for path in (place.data / "layers").iterdir()) == layers
    assert not list((place.data / "tmp").iterdir()) and not (place.data.parent / "outside").exists()
    assert place.verify().code == 0


def test_what_is_not_there(place, tmp_path):
    for command in (place.docker, place.berth):
        said = command("save", "-o", tmp_path / "x.tar", "busybox", "nope")
        assert said.code == 1 and "No such image: nope" in said.err and not list(tmp_path.iterdir()), said


def test_import_from_a_url(place, tmp_path):
    import functools
    import http.server
    import threading
    (tmp_path / "root.tar.gz").write_bytes(gzip.compress(layer({"hello": b"from afar\n"})))
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=tmp_path)
    handler.func.log_message = lambda *arguments: None
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_address[1]}/root.tar.gz"
    try:
        for index, command in enumerate((place.docker, place.berth)):
            said = command("import", url, f"imported:{index}", check=True).out
            assert said.splitlines()[-1].startswith("sha256:")
            assert files_of(place, f"imported:{index}", "/hello") == "from afar\n"
            assert place.inspect(f"imported:{index}")["Comment"] == f"Imported from {url}"
        said = place.docker("import", url + "x", "imported:2")
        assert said.code == 1 and "404" in said.err + said.out, said
    finally:
        server.shutdown()
        server.server_close()


def test_sdk(place):
    client = place.sdk()
    data = b"".join(client.images.get("busybox").save(named=True))
    (image,) = client.images.load(data)
    assert "busybox:latest" in image.tags
