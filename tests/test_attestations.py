"""What builds attest of their images: SLSA provenance and lists of packages, where images go and what they are called there."""
import base64
import contextlib
import io
import json
import os
import shlex
import subprocess
import tarfile

import pytest

from buildkit_client import Client, Failure
from engine import run
from registry import DOCKER_MANIFEST, INDEX, MANIFEST, digest_of

pytestmark = pytest.mark.own

V02, V1, SPDX = "https://slsa.dev/provenance/v0.2", "https://slsa.dev/provenance/v1", "https://spdx.dev/Document"
DPKG = "Package: bash\nStatus: install ok installed\nArchitecture: amd64\nVersion: 5.2+1\n\nPackage: gone\nStatus: deinstall ok config-files\nVersion: 1\n"
APK = "P:musl\nV:1.2.5-r0\nA:x86_64\n\n"


@pytest.fixture
def project(tmp_path):
    path = tmp_path / "project"
    path.mkdir()
    (path / "status").write_text(DPKG)
    (path / "installed").write_text(APK)
    (path / "Dockerfile").write_text("FROM busybox AS first\nARG WHAT=nothing\nRUN echo $WHAT > /what\nFROM busybox AS second\nLABEL a=b\n"
                                     "COPY status /var/lib/dpkg/status\nCOPY installed /lib/apk/db/installed\nCOPY --from=first /what /what\n")
    return path


class Pushed:
    """An image in a registry, looked at by hand."""

    def __init__(self, registry, name):
        self.registry, self.path, self.tag = registry, *name.split("/", 1)[1].split(":")
        self.type, self.body = self.manifest(self.tag)
        self.digest = digest_of(self.body)

    def manifest(self, target):
        answer = self.registry.request("GET", f"/v2/{self.path}/manifests/{target}", headers={"Accept": ", ".join((INDEX, MANIFEST, DOCKER_MANIFEST))})
        assert answer.status == 200, answer
        return answer.headers["Content-Type"], answer.body

    def blob(self, digest):
        body = self.registry.request("GET", f"/v2/{self.path}/blobs/{digest}").body
        assert digest_of(body) == digest
        return body

    @property
    def index(self):
        assert self.type == INDEX, (self.type, self.body)
        return json.loads(self.body)["manifests"]

    @property
    def statements(self):
        image, attached = self.index
        assert attached["annotations"] == {"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": image["digest"]}
        assert attached["platform"] == {"architecture": "unknown", "os": "unknown"}
        _, body = self.manifest(attached["digest"])
        manifest = json.loads(body)
        config = json.loads(self.blob(manifest["config"]["digest"]))
        assert config["rootfs"]["diff_ids"] == [layer["digest"] for layer in manifest["layers"]]
        found = {}
        for layer in manifest["layers"]:
            assert layer["mediaType"] == "application/vnd.in-toto+json"
            statement = json.loads(self.blob(layer["digest"]))
            assert statement["predicateType"] == layer["annotations"]["in-toto.io/predicate-type"]
            assert [subject["digest"]["sha256"] for subject in statement["subject"]] == [image["digest"].split(":")[1]]
            found[statement["predicateType"]] = statement
        return found


def build_and_push(engine, project, name, *options):
    done = engine.berth("build", "--progress=plain", "-t", name, "--push", *options, str(project))
    assert done.code == 0, done


def test_provenance_goes_along_and_changes_no_image(engine, registry, project):
    name = f"localhost:{registry.port}/attested:1"
    build_and_push(engine, project, name)
    plain, image_id = Pushed(registry, name), engine.inspect(name)["Id"]
    build_and_push(engine, project, name, "--provenance=true")
    attested = Pushed(registry, name)
    assert attested.index[0]["digest"] == plain.digest and engine.inspect(name)["Id"] == image_id
    predicate = attested.statements[V02]["predicate"]
    base = engine.inspect("busybox")
    assert [material["digest"]["sha256"] for material in predicate["materials"]] == [base["Id"].split(":")[1]]
    assert predicate["invocation"]["configSource"]["entryPoint"] == "Dockerfile" and "buildConfig" not in predicate
    assert not [key for key in predicate["invocation"]["parameters"]["args"] if key.startswith("build-arg:")], "mode=min tells no arguments"
    engine.berth("push", name, check=True)
    assert Pushed(registry, name).digest == attested.digest, "a later push sends the same"
    build_and_push(engine, project, name)
    assert Pushed(registry, name).digest == plain.digest, "what the last build did not ask for is not there"
    engine.berth("rmi", name, check=True)
    engine.berth("pull", name, check=True)
    assert engine.inspect(name)["Id"] == image_id
    engine.berth("rmi", name, check=True)


def test_all_that_the_builder_knows(engine, registry, project):
    name = f"localhost:{registry.port}/attested:max"
    build_and_push(engine, project, f"localhost:{registry.port}/base:1")
    base = Pushed(registry, f"localhost:{registry.port}/base:1")
    (project / "Dockerfile").write_text(f"FROM localhost:{registry.port}/base:1\nARG WHAT\nRUN echo $WHAT > /what\n")
    build_and_push(engine, project, name, "--provenance=mode=max,builder-id=urn:x:y", "--build-arg", "WHAT=this", "--label", "c=d")
    predicate = Pushed(registry, name).statements[V02]["predicate"]
    assert predicate["materials"] == [{"uri": f"pkg:docker/localhost:{registry.port}/base@1?platform=linux%2Famd64", "digest": {"sha256": base.digest.split(":")[1]}}]
    assert predicate["builder"]["id"] == "urn:x:y" and predicate["invocation"]["parameters"]["args"] == {"build-arg:WHAT": "this", "label:c": "d"}
    source = predicate["metadata"]["https://mobyproject.org/buildkit@v1#metadata"]["source"]["infos"][0]
    assert base64.b64decode(source["data"]).decode() == (project / "Dockerfile").read_text()
    assert predicate["buildConfig"]["stages"][0]["steps"] == ["ARG WHAT", "RUN echo $WHAT > /what"]
    build_and_push(engine, project, name, "--attest", "type=provenance,mode=max,version=v1", "--build-arg", "WHAT=this")
    predicate = Pushed(registry, name).statements[V1]["predicate"]
    assert predicate["buildDefinition"]["externalParameters"]["request"]["args"] == {"build-arg:WHAT": "this"}
    assert predicate["buildDefinition"]["resolvedDependencies"][0]["digest"]["sha256"] == base.digest.split(":")[1]
    engine.berth("rmi", "-f", name, f"localhost:{registry.port}/base:1", check=True)


@contextlib.contextmanager
def serving(directory):
    with subprocess.Popen(["python3", "-m", "http.server", "--bind", "127.0.0.1", "0", "--directory", str(directory)], stdout=subprocess.PIPE, text=True,
                          stderr=subprocess.DEVNULL, env={**os.environ, "PYTHONUNBUFFERED": "1"}) as server:
        try:
            yield f"http://127.0.0.1:{server.stdout.readline().split(' port ')[1].split()[0]}"
        finally:
            server.kill()


def test_what_add_fetches_is_a_material(engine, project, tmp_path):
    with serving(project) as place:
        (project / "Dockerfile").write_text(f"FROM scratch\nADD {place}/status /fetched\n")
        engine.berth("build", "-q", "--provenance=true", "-o", str(tmp_path / "out"), str(project), check=True)
    predicate = json.loads((tmp_path / "out/provenance.json").read_text())["predicate"]
    assert predicate["materials"] == [{"uri": f"{place}/status", "digest": {"sha256": digest_of(DPKG.encode()).split(":")[1]}}]


def test_a_repository_is_a_material(engine, project, tmp_path):
    def git(*words):
        environment = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}
        return subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b", "-c", "init.defaultBranch=main", "-C", str(project), *words], check=True,
                              capture_output=True, text=True, env=environment, timeout=60).stdout.strip()
    git("init", "-q")
    git("add", ".")
    git("commit", "-qm", "x")
    git("update-server-info")
    commit = git("rev-parse", "HEAD")
    with serving(project) as place:
        url = f"{place}/.git"
        engine.berth("build", "-q", "--provenance=true", "-o", str(tmp_path / "out"), url, check=True)
    predicate = json.loads((tmp_path / "out/provenance.json").read_text())["predicate"]
    assert predicate["invocation"]["configSource"] == {"uri": url, "digest": {"sha1": commit}, "entryPoint": "Dockerfile"}
    assert {"uri": url, "digest": {"sha1": commit}} in predicate["materials"]


def test_packages_of_the_image(engine, registry, project):
    name = f"localhost:{registry.port}/attested:sbom"
    build_and_push(engine, project, name, "--sbom=true", "--provenance=true")
    statements = Pushed(registry, name).statements
    assert set(statements) == {V02, SPDX}
    document = statements[SPDX]["predicate"]
    assert document["spdxVersion"] == "SPDX-2.3"
    assert [(package["name"], package["versionInfo"], package["externalRefs"][0]["referenceLocator"]) for package in document["packages"]] == [
        ("bash", "5.2+1", "pkg:deb/debian/bash@5.2%2B1?arch=amd64"), ("musl", "1.2.5-r0", "pkg:apk/alpine/musl@1.2.5-r0?arch=x86_64")]
    (project / "Dockerfile").write_text("FROM busybox\nENV A=b\n")
    build_and_push(engine, project, name, "--sbom=true")
    document = Pushed(registry, name).statements[SPDX]["predicate"]
    assert document["packages"] == [] and "no list of packages" in document["comment"]
    engine.berth("rmi", "-f", name, check=True)


def test_hostile_lists_of_packages(engine, project):
    for line in ("RUN ln -s /proc/kmsg /var/lib/dpkg/status", "RUN mkdir /var/lib/dpkg/status", "RUN mkfifo /var/lib/dpkg/status",
                 "RUN ln -s ../../../../../../etc/shadow /var/lib/dpkg/status", "RUN printf 'Package: \\377\\nVersion: \\n\\n' > /var/lib/dpkg/status"):
        done = engine.berth("build", "-q", "--sbom=true", "-", stdin=f"FROM busybox\nRUN mkdir -p /var/lib/dpkg\n{line}\n")
        assert done.code == 0 or "list of packages" in done.err, (line, done)


def test_files_and_archives(engine, project, tmp_path):
    engine.berth("build", "-q", "--provenance=true", "--sbom=true", "-o", str(tmp_path / "out"), str(project), check=True)
    for name, kind in (("provenance.json", V02), ("sbom.spdx.json", SPDX)):
        assert json.loads((tmp_path / "out" / name).read_text())["predicateType"] == kind
    assert (tmp_path / "out/what").exists()
    engine.berth("build", "-q", "-o", str(tmp_path / "plain"), str(project), check=True)
    assert not (tmp_path / "plain/provenance.json").exists()
    engine.berth("build", "-q", "--provenance=true", "-t", "attested:oci", "-o", f"type=oci,dest={tmp_path}/image.tar", str(project), check=True)
    with tarfile.open(tmp_path / "image.tar") as archive:
        read = lambda digest: json.load(archive.extractfile("blobs/sha256/" + digest.split(":")[1]))
        entry = json.load(archive.extractfile("index.json"))["manifests"][0]
        assert entry["mediaType"] == INDEX
        image, attached = read(entry["digest"])["manifests"]
        assert read(image["digest"])["config"]["digest"] == engine.inspect("attested:oci")["Id"]
        assert read(read(attached["digest"])["layers"][0]["digest"])["predicateType"] == V02
    image_id = engine.inspect("attested:oci")["Id"]
    engine.berth("rmi", "-f", "attested:oci", check=True)
    engine.berth("load", "-i", tmp_path / "image.tar", check=True)
    assert engine.inspect("attested:oci")["Id"] == image_id
    skopeo = shlex.split(os.environ.get("ATTEST_SKOPEO", ""))  # words that call a skopeo which sees /tmp
    if skopeo:
        seen = json.loads(run([*skopeo, "inspect", "--raw", f"oci-archive:{tmp_path}/image.tar"], check=True).out)
        assert seen["mediaType"] == INDEX and len(seen["manifests"]) == 2
    engine.berth("rmi", "-f", "attested:oci", check=True)


@pytest.mark.parametrize("options, said", [
    (["--provenance=perhaps"], "invalid value perhaps"), (["--provenance=mode=odd"], "min or max"), (["--sbom=generator="], "unknown setting generator"),
    (["--attest", "mode=max"], "type=provenance or type=sbom"), (["--attest", "type=vsa"], "type=provenance or type=sbom"),
    (["--attest", "type=provenance,version=v9"], "v0.2 or v1"), (["--sbom=mode=max"], "unknown setting mode"),
])
def test_wrong_words(engine, project, options, said):
    done = engine.berth("build", "-q", *options, str(project))
    assert done.code != 0 and said in done.err, done


SCAN = """set -e
test "$BUILDKIT_SCAN_SOURCE" = /run/src/core/sbom && test -z "$BUILDKIT_SCAN_SOURCE_EXTRAS"
! touch "$BUILDKIT_SCAN_SOURCE/x" 2>/dev/null
test ! -e /run/secrets
cd "$BUILDKIT_SCAN_SOURCE"
echo '{"_type": "https://in-toto.io/Statement/v0.1", "predicateType": "https://spdx.dev/Document", "predicate": {"name": "'$(cat told)'"}}' > "$BUILDKIT_SCAN_DESTINATION/one.spdx.json"
echo '{"predicateType": "https://example.org/other", "predicate": {"n": [1, null]}}' > "$BUILDKIT_SCAN_DESTINATION/two.json"
echo nothing > "$BUILDKIT_SCAN_DESTINATION/readme"
"""


def scanner(engine, tmp_path, name, script):
    place = tmp_path / name
    place.mkdir()
    (place / "scan").write_text(script)
    (place / "Dockerfile").write_text('FROM busybox\nCOPY scan /scan\nENTRYPOINT ["/bin/sh"]\nCMD ["/scan"]\n')
    engine.berth("build", "-q", "-t", f"{name}:1", str(place), check=True)
    return f"{name}:1"


def test_a_generator_of_the_users_choice(engine, project, tmp_path):
    """A program of an image finds what is in the result, which it cannot change; what it writes becomes statements."""
    (tmp_path / "built").mkdir()
    (tmp_path / "secret").write_text("whisper")
    (tmp_path / "built/Dockerfile").write_text("FROM busybox\nRUN --mount=type=secret,id=s echo told by the image > /told\n")
    name = scanner(engine, tmp_path, "scanner", SCAN)
    done = engine.berth("build", "-q", "--secret", f"id=s,src={tmp_path}/secret", "--attest", f"type=sbom,generator={name}", "-o", str(tmp_path / "out"), str(tmp_path / "built"))
    assert done.code == 0, done
    found = json.loads((tmp_path / "out/sbom.spdx.json").read_text())
    assert found["predicate"] == {"name": "told by the image"} and found["subject"]
    assert json.loads((tmp_path / "out/attestation.json").read_text())["predicate"] == {"n": [1, None]}
    for script, said in (("echo no good; exit 3", "non-zero code: 3: no good"), ("true", "left no statement"), ("echo '{}' > /run/out/x.json", "x.json is no statement"),
                         ("echo '[' > /run/out/x.json", "x.json"), ("ln -s /etc/passwd /run/out/x.json", "x.json"), ("mkdir /run/out/x.json", "x.json is no file")):
        (tmp_path / "scanner").rename(tmp_path / f"was-{abs(hash(script))}")
        name = scanner(engine, tmp_path, "scanner", script)
        done = engine.berth("build", "-t", "never:1", f"--sbom=generator={name}", str(tmp_path / "built"), "--secret", f"id=s,src={tmp_path}/secret")
        assert done.code == 1 and f"SBOM generator {name}: " in done.err and said in done.err, (script, done)
    assert engine.docker("images", "-q", "never", check=True).out == ""
    engine.docker("rmi", "scanner:1", check=True)


def test_by_buildkits_protocol(engine, registry, project, tmp_path):
    name, client = f"localhost:{registry.port}/attested:kit", Client(engine)
    try:
        directories = {"context": project, "dockerfile": project}
        attributes = {"attest:provenance": "mode=max", "attest:sbom": "", "vcs:source": "https://git.example/x", "vcs:revision": "abc"}
        answer, _ = client.build(client.session(directories), attributes, [("image", {"name": name, "push": "true"})])
        pushed = Pushed(registry, name)
        assert answer["containerimage.digest"] == pushed.digest and answer["containerimage.config.digest"] == engine.inspect(name)["Id"]
        assert json.loads(base64.b64decode(answer["containerimage.descriptor"]))["mediaType"] == INDEX
        assert set(pushed.statements) == {V02, SPDX}
        extension = pushed.statements[V02]["predicate"]["metadata"]["https://mobyproject.org/buildkit@v1#metadata"]
        assert extension["vcs"] == {"source": "https://git.example/x", "revision": "abc"}
        for attributes, is_there in (({"attest:provenance": "mode=min"}, True), ({"attest:provenance": "mode=min,inline-only=true"}, False)):
            session = client.session(directories)
            client.build(session, attributes, [("tar", {})])
            with tarfile.open(fileobj=io.BytesIO(session.received["0"])) as archive:
                assert ("provenance.json" in archive.getnames()) == is_there
        with pytest.raises(Failure, match="SBOM generator UPPER"):
            client.build(client.session(directories), {"attest:sbom": "generator=UPPER"})
    finally:
        client.close()
        engine.berth("rmi", "-f", name)
