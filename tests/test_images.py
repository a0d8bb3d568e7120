"""Lists of images and what is chosen from them: filters, pruning, platforms; by Docker's client and by ours."""
import gzip
import json

import pytest

import engine as engines
from engine import run
from fake_registry import OCI, FakeRegistry, add_image
from raw_api import Api
from test_registry import add_index
from test_save_load import archive, docker_archive, layer

pytestmark = pytest.mark.own


@pytest.fixture(scope="module")
def fake():
    made = FakeRegistry()
    yield made
    made.close()


@pytest.fixture(scope="module")
def place(build, docker_client, fake):
    made = engines.Engine(build).start()
    context = made.directory / "context"
    context.mkdir()
    (context / "file").write_text("x")
    made.names = {}
    for name, tag, labels in (("one", "f/one:1", {"k": "v", "a": "b"}), ("two", "f/two:1", {"k": "w"}), ("three", "g/three:1", {}),
                              ("nameless", None, {"k": "v"}), ("plain", None, {})):
        lines = ["FROM scratch", f"COPY file /{name}", *(f"LABEL {key}={value}" for key, value in labels.items())]
        (context / "Dockerfile").write_text("\n".join(lines) + "\n")
        made.names[name] = made.docker("build", "-q", *(["-t", tag] if tag else []), context, check=True).out.strip()
    made.docker("tag", "f/one:1", "other/f/one:3", check=True)
    add_image(fake, "old", "1", [layer({"old": b"1"})], gzip.compress)
    made.old = f"{fake.host}/old:1"
    made.docker("pull", "-q", made.old, check=True)
    made.names["old"] = made.docker("inspect", "-f", "{{.Id}}", made.old, check=True).out.strip()
    yield made
    made.remove()


def listed(place, client, *flags):
    """Which images, by the names of the fixture; as a set, for one image comes once a name."""
    ids = getattr(place, client)("images", "-q", "--no-trunc", *flags, check=True).out.split()
    return {name for name, id_ in place.names.items() if id_ in ids}


EVERYTHING = {"one", "two", "three", "nameless", "plain", "old"}
FILTERS = {
    "": EVERYTHING,
    "dangling=true": {"nameless", "plain"},
    "dangling=false": EVERYTHING - {"nameless", "plain"},
    "label=k": {"one", "two", "nameless"},
    "label=k=v": {"one", "nameless"},
    "label=k=v label=a=b": {"one"},
    "label!=k": {"three", "plain", "old"},
    "before=f/two:1": {"one", "old"},
    "since=f/two:1": {"three", "nameless", "plain"},
    "label=k before=f/two:1": {"one"},
    "reference=f/*": {"one", "two"},
    "reference=f/*:1 reference=g/*": {"one", "two", "three"},
    "reference=*/f/*": {"one"},
    "until=1h": {"old"},
    "until=2021-06-01": {"old"},
    "until=2020-06-01": set(),
}


@pytest.mark.parametrize("client", ["docker", "berth"])
@pytest.mark.parametrize("filters", FILTERS)
def test_filters(place, client, filters):
    flags = [word for one in filters.split() for word in ("--filter", one)]
    assert listed(place, client, *flags) == FILTERS[filters]


@pytest.mark.parametrize("client", ["docker", "berth"])
def test_wrong_filters(place, client):
    for one, text in (("nope=1", "invalid filter 'nope'"), ("dangling=maybe", "invalid filter 'dangling=[maybe]'"),
                      ("before=not-here", "No such image: not-here:latest")):
        said = getattr(place, client)("images", "--filter", one)
        assert said.code == 1 and text in said.err, said
    for one, text in (("nope=1", "invalid filter 'nope'"), ("until=soon", 'failed to parse value as time or duration: "soon"')):
        said = getattr(place, client)("image", "prune", "-f", "--filter", one)
        assert said.code == 1 and text in said.err, said


@pytest.mark.parametrize("client", ["docker", "berth"])
def test_columns(place, client):
    shown = getattr(place, client)("images", "--digests", "--no-trunc", place.old.removesuffix(":1"), check=True).out.split("\n")[1].split()
    assert shown[:4] == [place.old.removesuffix(":1"), "1", shown[2], place.names["old"]] and shown[2].startswith("sha256:")
    assert place.docker("inspect", "-f", "{{index .RepoDigests 0}}", place.old).out.strip() == f"{shown[0]}@{shown[2]}"
    row = getattr(place, client)("images", "--format", "{{.Repository}} {{.Tag}} {{.ID}} {{.Size}} {{.Digest}}", "g/three", check=True).out.split()
    assert row == ["g/three", "1", place.names["three"][7:19], "1B", "<none>"]


# ---- platforms ----

@pytest.fixture(scope="module")
def many(fake):
    """An index of two platforms, with what a builder attests about one of them."""
    ours, _ = add_image(fake, "many", None, [layer({"who": b"amd64"})], gzip.compress)
    theirs, _ = add_image(fake, "many", None, [layer({"who": b"arm64"})], gzip.compress, architecture="arm64")
    statement = json.dumps({"_type": "https://in-toto.io/Statement/v0.1", "subject": []}).encode()
    config = json.dumps({"architecture": "unknown", "os": "unknown", "config": {}, "rootfs": {"type": "layers", "diff_ids": []}}).encode()
    note = fake.add_manifest("many", None, OCI + "manifest.v1+json", {
        "schemaVersion": 2, "mediaType": OCI + "manifest.v1+json",
        "config": {"mediaType": OCI + "config.v1+json", "digest": fake.add_blob(config), "size": len(config)},
        "layers": [{"mediaType": "application/vnd.in-toto+json", "digest": fake.add_blob(statement), "size": len(statement)}]})
    note.update(platform={"os": "unknown", "architecture": "unknown"},
                annotations={"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": ours["digest"]})
    add_index(fake, "many", "1", [note, ours, theirs])
    return f"{fake.host}/many:1", note["digest"]


def architecture(place, name):
    return place.docker("inspect", "-f", "{{.Architecture}}{{.Variant}}", name, check=True).out.strip()


def with_default(place, platform, *arguments, **options):
    return run([place.build / "berth", *arguments], env={**place.environment, "DOCKER_DEFAULT_PLATFORM": platform}, **options)


def test_the_default_platform_counts(place, many, tmp_path):
    name, _ = many
    try:
        with_default(place, "linux/arm64", "pull", "-q", name, check=True)
        assert architecture(place, name) == "arm64"
        # What is there for another platform is as good as missing.
        with_default(place, "linux/amd64", "create", "-q", "--name", "user", name, check=True)
        assert architecture(place, name) == "amd64"
        place.docker("rm", "user", check=True)
        said = with_default(place, "linux/arm64", "create", "--pull=never", name)
        assert said.code != 0 and "does not match the specified platform (linux/arm64)" in said.err
        files = layer({"x": b"y"})
        with_default(place, "linux/arm/v7", "import", "-", "imported:1", stdin=files, check=True)
        assert architecture(place, "imported:1") == "armv7"
        (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
        with_default(place, "linux/s390x", "build", "-q", "-t", "built:1", tmp_path, check=True)
        assert architecture(place, "built:1") == "s390x"
    finally:
        place.docker("rmi", "-f", name, "imported:1", "built:1")


@pytest.mark.parametrize("client", ["docker", "berth"])
def test_the_only_image_is_for_another_platform(place, client):
    """It is taken all the same; the warning is the last word."""
    said = getattr(place, client)("pull", "--platform=linux/arm64", place.old, check=True).out.splitlines()
    assert [line.split(":")[0] for line in said[-4:]] == ["Digest", "Status", "WARNING", "127.0.0.1"], said
    assert "its platform (linux/amd64) does not match the specified platform (linux/arm64)" in said[-2]


@pytest.mark.parametrize("client", ["docker", "berth"])
def test_names_that_would_hide_an_id(place, client):
    call, id_ = getattr(place, client), place.names["one"]
    files = layer({"x": b"name"})
    for arguments, text in ((("tag", "f/two:1", id_), "refusing to create an ambiguous tag using digest algorithm as name"),
                            (("import", "-", id_), "refusing to create an ambiguous tag using digest algorithm as name"),
                            (("import", "-", f"f/x@{id_}"), "cannot import digest reference")):
        said = call(*arguments, stdin=files)
        assert said.code == 1 and text in said.err, said
    assert "sha256" not in call("images", "--format", "{{.Repository}}", check=True).out
    assert listed(place, client) == EVERYTHING


@pytest.mark.parametrize("client", ["docker", "berth"])
@pytest.mark.parametrize("created, seconds, ago", [("1970-01-01T00:00:00Z", 0, "years ago"), ("1980-01-01T00:00:01Z", 315532801, "years ago"),
                                                   ("0001-01-01T00:00:00Z", -62135596800, "N/A")])
def test_images_that_are_built_to_be_the_same_each_time(place, client, created, seconds, ago):
    """Their dates are of 1970, or none at all; other images are older or newer than they."""
    call = getattr(place, client)
    history = [{"created": created, "created_by": "x"}]
    place.docker("load", "-q", stdin=archive(docker_archive([layer({"c": created.encode()})], ["dated:1"], created=created, history=history)), check=True)
    try:
        assert call("image", "inspect", "-f", "{{.Created}}", "dated:1", check=True).out.strip() == created
        (item,) = [one for one in Api(place.socket).do("GET", "/images/json") if one["RepoTags"] == ["dated:1"]]
        assert item["Created"] == seconds and Api(place.socket).do("GET", "/images/dated:1/history")[0]["Created"] == seconds
        assert ago in call("images", "dated", check=True).out
        if client == "berth":  # Docker's says N/A of all that is older than Docker
            assert ago in call("history", "dated:1", check=True).out
        assert created in call("history", "--human=false", "--format", "{{.CreatedAt}}", "dated:1", check=True).out
        assert call("images", "--format", "{{.CreatedAt}}", "dated", check=True).out.startswith(created.replace("T", " ").removesuffix("Z"))
        assert listed(place, client, "--filter", "since=dated:1") == EVERYTHING
        assert listed(place, client, "--filter", "before=dated:1") == set()
        assert call("images", "-q", "--filter", "before=f/one:1", "--filter", "reference=dated", check=True).out
        assert not call("images", "-q", "--filter", "since=f/one:1", "--filter", "reference=dated", check=True).out
    finally:
        place.docker("rmi", "dated:1", check=True)


def test_the_comment_of_the_last_step(place):
    """Builders say it there only."""
    for config, comment in (({"comment": "own"}, "own"), ({}, "buildkit.dockerfile.v0")):
        config.update(history=[{"created_by": "a", "comment": "first"}, {"created_by": "b", "comment": "buildkit.dockerfile.v0", "empty_layer": True}])
        place.docker("load", "-q", stdin=archive(docker_archive([layer({"c": b"1"})], ["said:1"], **config)), check=True)
        assert place.docker("image", "inspect", "-f", "{{.Comment}}", "said:1", check=True).out.strip() == comment
        place.docker("rmi", "said:1", check=True)


@pytest.mark.parametrize("client", ["docker", "berth"])
def test_imported_for_a_platform(place, client):
    call = getattr(place, client)
    call("import", "--platform", "linux/arm64", "-", "imported:2", stdin=layer({"x": b"z"}), check=True)
    assert architecture(place, "imported:2") == "arm64"
    call("import", "-", "imported:2", stdin=layer({"x": b"z"}), check=True)
    assert architecture(place, "imported:2") == "amd64"
    said = call("import", "--platform", "windows/amd64", "-", "imported:2", stdin=layer({"x": b"z"}))
    assert said.code == 1 and 'operating system is not supported: "windows"' in said.err
    place.docker("rmi", "imported:2", check=True)


@pytest.mark.current_client
@pytest.mark.parametrize("client", ["docker", "berth"])
def test_commands_with_a_platform(place, many, client, tmp_path):
    name, _ = many
    call = getattr(place, client)
    place.docker("pull", "-q", name, check=True)
    try:
        saved = tmp_path / "saved.tar"
        for right, wrong in ((("image", "inspect", "--platform=linux/amd64", name), ("image", "inspect", "--platform=linux/arm64", name)),
                             (("history", "-q", "--platform=linux/amd64", name), ("history", "--platform=linux/arm64", name)),
                             (("save", "--platform=linux/amd64", "-o", saved, name), ("save", "--platform=linux/arm64", "-o", saved, name))):
            call(*right, check=True)
            said = call(*wrong)
            assert said.code == 1 and "its platform (linux/amd64) does not match the specified platform (linux/arm64)" in said.err, said
        said = call("push", "--platform=linux/arm64", name)
        assert said.code == 1 and "does not match the specified platform (linux/arm64)" in said.err and "The push refers" not in said.out, said
        place.docker("rmi", "-f", name, check=True)
        said = call("load", "--platform=linux/arm64", "-i", saved)
        assert said.code == 1 and "no image for platform linux/arm64" in said.err
        call("load", "--platform=linux/amd64", "-i", saved, check=True)
        assert architecture(place, name) == "amd64"
    finally:
        place.docker("rmi", "-f", name)


def test_attestations_are_left_alone(place, fake, many):
    name, note = many
    api = Api(place.socket)
    place.docker("pull", "-q", name, check=True)
    assert not fake.asked("GET", note) and not fake.asked("HEAD", note)
    (entry,) = [one for one in api.do("GET", "/images/json?manifests=1") if name in (one["RepoTags"] or [])]
    told = api.do("GET", f"/images/{name}/json?manifests=1")
    assert entry["Id"] == told["Id"] and told["Architecture"] == "amd64"
    place.docker("rmi", "-f", name, check=True)


@pytest.mark.parametrize("client", ["docker", "berth"])
def test_an_artifact_does_not_run(place, fake, client):
    document = {"schemaVersion": 2, "mediaType": OCI + "manifest.v1+json",
                "config": {"mediaType": "application/vnd.cncf.helm.config.v1+json", "size": 2, "digest": fake.add_blob(b"{}")},
                "layers": [{"mediaType": "application/vnd.cncf.helm.chart.content.v1.tar+gzip", "size": 2, "digest": fake.add_blob(b"{}")}]}
    fake.add_manifest("chart", "1", OCI + "manifest.v1+json", document)
    said = getattr(place, client)("run", "--rm", f"{fake.host}/chart:1")
    assert said.code == 125 and "it is an artifact (application/vnd.cncf.helm.config.v1+json), not an image" in said.err


# ---- pruning, last: it removes ----

@pytest.mark.parametrize("client", ["docker", "berth"])
def test_pruning_with_filters(place, client):
    call, before = getattr(place, client), listed(place, client)
    images = before & {"one", "two", "three", "old"}  # what is nameless may have been pruned by the other client
    call("image", "prune", "-f", "--filter", "until=24h", check=True)
    assert listed(place, client) == before, "nothing that is nameless is so old"
    call("image", "prune", "-f", "--filter", "label!=k", check=True)
    assert listed(place, client) == before - {"plain"}
    call("image", "prune", "-f", "--filter", "label=k=w", check=True)
    assert listed(place, client) == before - {"plain"}
    call("image", "prune", "-f", "--filter", "dangling=true", "--filter", "label=k=v", check=True)
    assert listed(place, client) == images
    place.docker("create", "--name", "user", "f/two:1", "x", check=True)
    try:
        said = call("image", "prune", "-af", "--filter", "label=k=w", check=True)
        assert said.out.strip() == "Total reclaimed space: 0B" and listed(place, client) == images, "what a container uses stays"
    finally:
        place.docker("rm", "user", check=True)
    said = call("image", "prune", "-af", "--filter", "until=24h", check=True)
    if "old" in images:
        assert f"untagged: {place.old}" in said.out
    assert listed(place, client) == images - {"old"}


@pytest.mark.parametrize("words, code, text", [
    (["image", "ls", "--bogus"], 125, "Usage:  berth image ls [OPTIONS] [REPOSITORY[:TAG]]"),
    (["image", "images", "--bogus"], 125, "Usage:  berth image ls [OPTIONS] [REPOSITORY[:TAG]]"),
    (["images", "--bogus"], 125, "Usage:  berth images [OPTIONS] [REPOSITORY[:TAG]]"),
    (["image", "rm"], 1, "berth: 'berth image rm' requires at least 1 argument"),
    (["container", "ls", "--bogus"], 125, "Usage:  berth container ls [OPTIONS]"),
    (["import"], 1, "berth: 'berth import' requires at least 1 argument"),
    (["import", "a", "b", "c"], 1, "berth: 'berth import' requires at most 2 arguments"),
    (["save", "-o", "/nowhere/file", "f/one:1"], 1, "failed to save image: invalid output path: stat /nowhere: no such file or directory"),
    (["save", "-o", "/tmp", "nothing"], 1, "failed to save image: cannot write to a directory"),
    (["save", "-o", "/tmp/", "f/one:1"], 1, "failed to save image: cannot write to a directory"),
    (["manifest", "rm", "nothing"], 1, "No such manifest: docker.io/library/nothing:latest"),
])
def test_refusals_of_our_client(place, words, code, text):
    said = place.berth(*words)
    assert said.code == code and text in said.err and not said.out, said


def test_columns_as_dockers_client_has_them(place):
    for words in (["images", "--format", "{{.VirtualSize}} {{.Size}}", "f/one"],
                  ["history", "--human=false", "--format", "{{.CreatedSince}} {{.CreatedAt}}", "f/one:1"]):
        assert place.berth(*words, check=True).out == place.docker(*words, check=True).out
    assert place.berth("images", "--format", "{{.Containers}}", "f/one", check=True).out == "0\n"  # N/A of Docker's until 28.5
