"""Builds for other platforms than this machine's, and for several at once."""
import io
import json
import platform
import tarfile

import pytest

from buildkit_client import Client, Failure
from registry import INDEX, Registry
from test_buildkit import buildx, reachable, words  # noqa: F401 (fixtures)

OWN = {"x86_64": "linux/amd64", "aarch64": "linux/arm64"}[platform.machine()]
OTHER = "linux/s390x"
BOTH = f"{OWN},{OTHER}"

CROSS = f"""FROM --platform=$BUILDPLATFORM busybox AS build
RUN cat /proc/sys/kernel/random/uuid > /once
ARG TARGETPLATFORM TARGETARCH
RUN echo $TARGETPLATFORM > /made
FROM scratch
COPY --from=build /once /made /
COPY f /
CMD ["/f"]
"""


@pytest.fixture(scope="module")
def registry(build):
    made = Registry(build).start()
    yield made
    made.remove()


@pytest.fixture
def context(tmp_path):
    made = tmp_path / "context"
    made.mkdir()
    (made / "f").write_text("from the context\n")
    (made / "Dockerfile").write_text(CROSS)
    return made


@pytest.fixture
def client(engine):
    made = Client(engine)
    yield made
    made.close()


def word(name):
    return name.replace("/", "_")


def check_tree(directory):
    for name in (OWN, OTHER):
        assert (directory / word(name) / "made").read_text() == f"{name}\n"
        assert (directory / word(name) / "f").read_text() == "from the context\n"
    assert len({(directory / word(name) / "once").read_text() for name in (OWN, OTHER)}) == 1, "the step is the same for both"


def check_index(document, read):
    """'read' gives a blob or manifest by its digest."""
    images = {f"{m['platform']['os']}/{m['platform']['architecture']}": m for m in document["manifests"] if m["platform"]["os"] != "unknown"}
    assert set(images) == {OWN, OTHER}
    for name, entry in images.items():
        config = json.loads(read(json.loads(read(entry["digest"]))["config"]["digest"]))
        assert f"{config['os']}/{config['architecture']}" == name and config["config"]["Cmd"] == ["/f"]
    return images


def members(data):
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return {entry.name: tar.extractfile(entry).read() for entry in tar if entry.isfile()}


def check_layout(data, name):
    files = members(data)
    entry, = json.loads(files["index.json"])["manifests"]
    assert entry["mediaType"] == INDEX and entry["annotations"]["io.containerd.image.name"] == name and "manifest.json" not in files

    def read(digest):
        return files["blobs/sha256/" + digest.split(":")[1]]
    return entry["digest"], check_index(json.loads(read(entry["digest"])), read)


# ---- one ----

def test_an_image_for_another_platform(engine, context):
    done = engine.berth("build", "-q", "--platform", OTHER, "-t", "foreign:1", context)
    assert done.code == 0, done
    image = engine.inspect("foreign:1")
    assert f"{image['Os']}/{image['Architecture']}" == OTHER
    (context / "Dockerfile").write_text("FROM foreign:1\nCOPY f /g\n")
    done = engine.berth("build", "--check", context)
    assert f'Base image foreign:1 was pulled with platform "{OTHER}", expected "{OWN}" for current build' in done.out, done
    done = engine.berth("build", "--check", "--platform", OTHER, context)
    assert done.code == 0 and "no warnings found" in done.out, done
    engine.docker("rmi", "foreign:1", check=True)


def test_steps_that_this_machine_cannot_run(engine, context):
    (context / "Dockerfile").write_text("FROM scratch\nCOPY f /bin/sh\nRUN true\n")
    done = engine.berth("build", "--platform", OTHER, context)
    assert done.code == 1 and f"RUN true: this machine ({OWN}) cannot run programs for {OTHER}: no emulator is registered" in done.err, done
    assert "Dockerfile:3" in done.out + done.err
    done = engine.berth("build", "--platform", "windows/amd64", context)
    assert done.code == 1 and "images are made for Linux" in done.err


def test_bases_for_other_platforms(engine, context, registry, tmp_path):
    """A tag stays what it is for this machine; the image for the other one is known by its digest."""
    name = f"{registry.host}/base:1"
    assert engine.berth("build", "-q", "--platform", BOTH, "-t", name, "--push", context).code == 0
    engine.docker("pull", name, check=True)
    own = engine.inspect(name)["Id"]
    (context / "Dockerfile").write_text(f"FROM {name}\nCOPY f /more\n")
    for _ in range(2):
        done = engine.berth("build", "-q", "--platform", BOTH, "-o", tmp_path / "out", context)
        assert done.code == 0, done
    check_tree(tmp_path / "out")
    assert engine.inspect(name)["Id"] == own and engine.inspect(name)["Architecture"] == OWN.split("/")[1]
    (context / "Dockerfile").write_text(f"FROM {name}\n")
    done = engine.berth("build", "--platform", "linux/riscv64", context)
    assert done.code == 1 and "riscv64" in done.err, done
    for image in engine.docker("images", "-q", "--digests", f"{registry.host}/base", check=True).out.split():
        engine.docker("rmi", "-f", image)


# ---- several, by berth build ----

@pytest.mark.own
@pytest.mark.parametrize("flags", [(), ("--no-cache",)])
def test_a_directory_for_each(engine, context, tmp_path, flags):
    before = engine.docker("images", "-aq", check=True).out
    done = engine.berth("build", "--progress=plain", *flags, "--platform", BOTH, "-o", tmp_path / "out", context)
    assert done.code == 0, done
    check_tree(tmp_path / "out")
    assert f"{OWN}->{OTHER.split('/')[1]} RUN echo" in done.out and f"] {OTHER} COPY f /" in done.out
    assert engine.docker("images", "-aq", check=True).out == before
    done = engine.berth("build", "-q", "--platform", BOTH, "-o", f"type=tar,dest={tmp_path}/out.tar", context)
    assert done.code == 0, done
    files = members((tmp_path / "out.tar").read_bytes())
    assert files[f"{word(OTHER)}/made"].decode() == f"{OTHER}\n" and files[f"{word(OWN)}/f"] == b"from the context\n"


@pytest.mark.own
def test_one_directory_for_all(engine, context, tmp_path):
    done = engine.berth("build", "-q", "--platform", BOTH, "-o", f"type=local,dest={tmp_path}/out,platform-split=false", context)
    assert done.code == 1 and "different files of one name (f)" in done.err, done
    (context / "Dockerfile").write_text("FROM scratch\nARG TARGETARCH\nCOPY f /f-$TARGETARCH\n")
    done = engine.berth("build", "-q", "--platform", BOTH, "--provenance=true", "-o", f"type=local,dest={tmp_path}/out,platform-split=false", context)
    assert done.code == 0, done
    assert {path.name for path in (tmp_path / "out").iterdir()} == {f"{kind}{name.split('/')[1]}{end}" for name in (OWN, OTHER)
                                                                    for kind, end in (("f-", ""), ("provenance.linux_", ".json"))}


@pytest.mark.own
def test_an_index_in_an_archive_and_in_a_registry(engine, context, registry, tmp_path):
    name = f"{registry.host}/several:1"
    done = engine.berth("build", "-q", "--platform", BOTH, "--provenance=true", "-t", name, "-o", f"type=oci,dest={tmp_path}/oci.tar", "--push",
                        "--metadata-file", tmp_path / "meta", context)
    assert done.code == 0, done
    _, images = check_layout((tmp_path / "oci.tar").read_bytes(), name)
    pushed = registry.request("GET", "/v2/several/manifests/1", headers={"Accept": INDEX})
    assert json.loads((tmp_path / "meta").read_text())["containerimage.digest"] == pushed.headers["Docker-Content-Digest"]

    def read(digest):
        kind = "manifests" if registry.request("HEAD", f"/v2/several/manifests/{digest}").status == 200 else "blobs"
        return registry.request("GET", f"/v2/several/{kind}/{digest}").body
    found = check_index(pushed.json, read)
    attested = [m["annotations"]["vnd.docker.reference.digest"] for m in pushed.json["manifests"] if m["platform"]["os"] == "unknown"]
    assert sorted(attested) == sorted(m["digest"] for m in found.values())
    assert len(images) == 2
    assert engine.docker("images", "-q", name, check=True).out == ""
    engine.docker("load", "-i", tmp_path / "oci.tar", check=True)
    assert engine.inspect(name)["Architecture"] == OWN.split("/")[1]
    engine.docker("rmi", name, check=True)


@pytest.mark.own
def test_the_digest_of_an_archive(engine, context, tmp_path):
    for output, place in ((f"type=oci,dest={tmp_path}/oci.tar", None), (f"type=oci,tar=false,dest={tmp_path}/layout", tmp_path / "layout/index.json")):
        done = engine.berth("build", "-q", "--platform", BOTH, "-t", "written:1", "-o", output, "--metadata-file", tmp_path / "meta",
                            "--iidfile", tmp_path / "iid", context)
        assert done.code == 0, done
        digest = json.loads(place.read_text())["manifests"][0]["digest"] if place else check_layout((tmp_path / "oci.tar").read_bytes(), "docker.io/library/written:1")[0]
        assert json.loads((tmp_path / "meta").read_text()) == {"containerimage.digest": digest, "image.name": "written:1"}
        assert (tmp_path / "iid").read_text() == digest


@pytest.mark.own
def test_what_has_no_place(engine, context):
    for flags, said in (((), "needs an output"), (("-t", "x:1"), "needs an output"), (("-o", "type=image,name=x"), "have one name in a registry"),
                        (("-o", "type=docker"), "oci has"), (("-o", "type=docker,dest=x"), "oci has"), (("--load", "-o", "out"), "needs an output"), (("--push",), "needs a name")):
        done = engine.berth("build", "--platform", BOTH, *flags, context)
        assert done.code == 1 and said in done.err, (flags, done)
    done = engine.berth("build", "--platform", BOTH, "--verify", "-o", "out", context)
    assert done.code == 1 and "verified for one platform at a time" in done.err


@pytest.mark.own
def test_one_that_fails_calls_the_others_off(engine, context, tmp_path):
    before = engine.docker("images", "-aq", check=True).out
    (context / "Dockerfile").write_text(f"FROM --platform=$BUILDPLATFORM busybox\nARG TARGETPLATFORM\nRUN test $TARGETPLATFORM != {OTHER} || exit 7; sleep 60\n")
    done = engine.berth("build", "--platform", BOTH, "-o", tmp_path / "out", context)
    assert done.code == 7 and f"{OTHER}: The command" in done.err, done
    assert engine.docker("images", "-aq", check=True).out == before


# ---- several, by BuildKit's protocol ----

@pytest.mark.own
def test_several_by_buildkits_protocol(engine, client, context, registry):
    session = client.session({"context": context, "dockerfile": context})
    name = f"{registry.host}/kit:1"
    answer, progress = client.build(session, {"platform": BOTH, "attest:provenance": "mode=min"},
                                    exporters=[("oci", {"name": name}), ("tar", {}), ("image", {"name": name, "push": "true"})])
    names = progress.names()
    assert f"[{OTHER} stage-1 3/3] COPY f /" in names or f"[{OTHER} 3/3] COPY f /" in names, names
    assert f"[{OWN}->{OTHER.split('/')[1]} build 3/3] RUN echo $TARGETPLATFORM > /made" in names and f"[{OWN} build 2/3] RUN cat /proc/sys/kernel/random/uuid > /once" in names
    check_layout(session.received["0"], name)
    files = members(session.received["1"])
    assert files[f"{word(OTHER)}/made"].decode() == f"{OTHER}\n" and f"{word(OWN)}/provenance.json" in files
    pushed = registry.request("GET", "/v2/kit/manifests/1", headers={"Accept": INDEX})
    assert answer["containerimage.digest"] == pushed.headers["Docker-Content-Digest"] and len(pushed.json["manifests"]) == 4
    assert engine.docker("images", "-q", name, check=True).out == ""


@pytest.mark.own
@pytest.mark.parametrize("exporter, said", [(("image", {"name": "x"}), "push them"), (("image", {"name": "x", "push": "true", "load": "true"}), "push them"), (("moby", {}), "push them"), (("docker", {}), "oci has")])
def test_refused_by_buildkits_protocol(client, context, exporter, said):
    with pytest.raises(Failure, match=said):
        client.build(client.session({"context": context, "dockerfile": context}), {"platform": BOTH}, exporters=[exporter])


@pytest.mark.own
def test_buildx_builds_for_several(buildx, registry):
    here = buildx.directory
    (here / "f").write_text("from the context\n")
    (here / "Dockerfile").write_text(CROSS)
    buildx("build", "--platform", BOTH, "-o", f"type=local,dest={here}/out", here)
    check_tree(here / "out")
    buildx("build", "--platform", BOTH, "-t", f"{registry.host}/buildx:1", "--push", "--metadata-file", here / "meta", here)
    pushed = registry.request("GET", "/v2/buildx/manifests/1", headers={"Accept": INDEX})
    meta = json.loads((here / "meta").read_text())
    assert meta["containerimage.digest"] == pushed.headers["Docker-Content-Digest"] and meta["containerimage.descriptor"]["mediaType"] == INDEX
