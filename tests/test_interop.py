"""Images between berth and others, by registries and by archives: every tool pushes to both registries, everybody pulls what everybody pushed, and
digests are the same everywhere."""
import hashlib
import json
import os
import shlex
import shutil
import subprocess

import pytest

import engine as engines
from engine import run
from registries import registry  # noqa: F401 (a fixture)

pytestmark = pytest.mark.own
SAID = "hello from inside\n"


def program(name):
    """Its command: on PATH, or behind $TEST_PEERS (a command that runs others where they are)."""
    if shutil.which(name):
        return [name]
    prefix = shlex.split(os.environ.get("TEST_PEERS", ""))
    if prefix and subprocess.run([*prefix, "which", name], capture_output=True, check=False).returncode == 0:
        return [*prefix, name]
    pytest.skip(f"not run: there is no {name}, neither on PATH nor behind $TEST_PEERS")


@pytest.fixture(scope="module")
def place(build, docker_client):
    made = engines.Engine(build).start()
    context = engines.make_busybox_context(made.directory / "context")
    with open(context / "Dockerfile", "a") as dockerfile:
        dockerfile.write(f'RUN echo -n "{SAID.strip()}" > /said && rm -rf /tmp/gone\nCMD ["sh", "-c", "cat /said; echo"]\n')
    made.docker("build", "-q", "-t", "interop", context, check=True)
    yield made
    made.remove()


@pytest.fixture(scope="module")
def podman(tmp_path_factory):
    command = program("podman")
    directory = tmp_path_factory.mktemp("podman")
    policy = directory / "policy.json"
    policy.write_text('{"default": [{"type": "insecureAcceptAnything"}]}')

    def call(*arguments, **options):
        # Its runtime refuses hosts that have both versions of cgroups: it is shown version 1 alone.
        return run(["unshare", "--mount", "sh", "-c", 'umount /sys/fs/cgroup/unified 2> /dev/null; exec "$@"', "sh", *command, "--root", directory / "root", "--runroot", directory / "run", "--storage-driver", "vfs", "--cgroup-manager", "cgroupfs",
                    *arguments], **options)
    yield call
    call("rmi", "-af")
    shutil.rmtree(directory, ignore_errors=True)


def raw_digest(reference):
    """The digest of the manifest, and those of its layers."""
    raw = run(["skopeo", "inspect", "--tls-verify=false", "--raw", f"docker://{reference}"], check=True).out.encode()
    document = json.loads(raw)
    return hashlib.sha256(raw).hexdigest(), [layer["digest"] for layer in document["layers"]], document["config"]["digest"]


def runs(place, name, *flags):
    return place.berth("run", "--rm", "--network=none", *flags, name)


# ---- by registries ----

@pytest.mark.parametrize("client", ["berth", "docker"])
def test_we_push_and_skopeo_copies(place, registry, client, tmp_path):
    ours, theirs, back = (f"{registry.host}/{client}/{name}:1" for name in ("ours", "theirs", "back"))
    place.docker("tag", "interop", ours, check=True)
    getattr(place, client)("push", ours, check=True)
    run(["skopeo", "copy", "-q", "--src-tls-verify=false", "--dest-tls-verify=false", f"docker://{ours}", f"docker://{theirs}"], check=True)
    assert raw_digest(ours) == raw_digest(theirs)
    place.docker("rmi", ours, check=True)
    getattr(place, client)("pull", theirs, check=True)
    assert place.inspect(theirs)["Id"] == place.inspect("interop")["Id"]
    assert runs(place, theirs).out == SAID
    # What was pulled leaves as it came, and comes back the same.
    place.docker("tag", theirs, back, check=True)
    getattr(place, client)("push", back, check=True)
    assert raw_digest(back) == raw_digest(ours)
    place.docker("rmi", theirs, back)


def test_an_oci_image_of_skopeo_keeps_its_digest(place, registry, tmp_path):
    """Docker's form turned into OCI's by skopeo, zstd inside: pulled, pushed on, saved."""
    first, second, third = (f"{registry.host}/oci/{name}:1" for name in ("first", "second", "third"))
    place.docker("tag", "interop", first, check=True)
    place.berth("push", "-q", first, check=True)
    run(["skopeo", "copy", "-q", "--format", "oci", "--dest-compress-format", "zstd", "--src-tls-verify=false", "--dest-tls-verify=false", f"docker://{first}",
         f"docker://{second}"], check=True)
    place.berth("pull", "-q", second, check=True)
    place.docker("tag", second, third, check=True)
    place.berth("push", "-q", third, check=True)
    assert raw_digest(second) == raw_digest(third)
    assert runs(place, second).out == SAID
    place.docker("rmi", "-f", first, second, third)


def test_podman_both_ways(place, registry, podman):
    ours, theirs = (f"{registry.host}/podman/{name}:1" for name in ("ours", "theirs"))
    place.docker("tag", "interop", ours, check=True)
    place.berth("push", "-q", ours, check=True)
    podman("pull", "-q", "--tls-verify=false", ours, check=True)
    assert podman("image", "inspect", "--format", "{{.Id}}", ours, check=True).out.strip() == place.inspect("interop")["Id"].removeprefix("sha256:")
    ran = podman("run", "--rm", "--network=none", "--cgroups=disabled", ours, limit_s=120)
    assert ran.out == SAID, ran
    podman("tag", ours, theirs, check=True)
    podman("push", "-q", "--tls-verify=false", theirs, check=True)
    place.docker("rmi", ours, check=True)
    place.berth("pull", "-q", theirs, check=True)
    assert runs(place, theirs).out == SAID
    assert raw_digest(theirs)[2] == place.inspect(theirs)["Id"]
    place.docker("rmi", theirs)
    podman("rmi", "-f", ours, theirs)


def test_podman_builds_and_we_run(place, registry, podman, tmp_path):
    built = f"{registry.host}/podman/built:1"
    shutil.copy("/bin/busybox", tmp_path / "busybox")
    (tmp_path / "Dockerfile").write_text(f'FROM scratch\nCOPY busybox /bin/busybox\nCOPY busybox /bin/sh\nCMD ["/bin/busybox", "echo", "{SAID.strip()}"]\n')
    podman("build", "-q", "-t", built, tmp_path, check=True)
    podman("push", "-q", "--tls-verify=false", built, check=True)
    place.berth("pull", "-q", built, check=True)
    assert runs(place, built).out == SAID
    place.docker("rmi", built)
    podman("rmi", "-f", built)


def test_oras_reads_and_writes(place, registry, tmp_path):
    """Artifacts go and come; what is no image is refused for a run by a clear word."""
    oras = program("oras")
    (tmp_path / "note.txt").write_text("a note")
    artifact, image = f"{registry.host}/oras/note:1", f"{registry.host}/oras/image:1"
    run([*oras, "push", "--plain-http", "--disable-path-validation", "--artifact-type", "application/vnd.example.note", artifact,
         f"{tmp_path}/note.txt:text/plain"], check=True)
    refused = place.berth("pull", artifact)
    assert refused.code == 1 and "application/vnd.example.note" in refused.err, refused
    place.docker("tag", "interop", image, check=True)
    place.berth("push", "-q", image, check=True)
    fetched = run([*oras, "manifest", "fetch", "--plain-http", image], check=True).out
    assert hashlib.sha256(fetched.encode()).hexdigest() == raw_digest(image)[0]
    run([*oras, "copy", "--from-plain-http", "--to-plain-http", image, f"{registry.host}/oras/copy:1"], check=True)
    assert raw_digest(f"{registry.host}/oras/copy:1") == raw_digest(image)
    place.docker("rmi", image)


# ---- by archives ----

def test_archives_of_skopeo(place, tmp_path):
    saved = tmp_path / "ours.tar"
    place.berth("save", "-o", saved, "interop", check=True)
    for kind in ("docker-archive", "oci-archive"):
        theirs = tmp_path / f"{kind}.tar"
        run(["skopeo", "copy", "-q", f"docker-archive:{saved}", f"{kind}:{theirs}:interop/{kind}:1"], check=True)
        place.berth("load", "-q", "-i", theirs, check=True)
        assert place.inspect(f"interop/{kind}:1")["RootFS"] == place.inspect("interop")["RootFS"]
        assert runs(place, f"interop/{kind}:1").out == SAID
        place.docker("rmi", f"interop/{kind}:1")


def test_archives_of_umoci(place, tmp_path):
    saved, layout = tmp_path / "ours.tar", tmp_path / "layout"
    place.berth("save", "-o", saved, "interop", check=True)
    layout.mkdir()
    run(["tar", "-xf", saved, "-C", layout], check=True)
    run(["umoci", "unpack", "--image", f"{layout}:latest", tmp_path / "bundle"], check=True)
    assert (tmp_path / "bundle/rootfs/said").read_text() == SAID.strip()
    (tmp_path / "bundle/rootfs/said").write_text("changed by umoci")
    run(["umoci", "repack", "--image", f"{layout}:changed", tmp_path / "bundle"], check=True)
    run(["umoci", "config", "--image", f"{layout}:changed", "--config.label", "by=umoci"], check=True)
    run(["skopeo", "copy", "-q", f"oci:{layout}:changed", f"oci-archive:{tmp_path}/changed.tar:interop/umoci:1"], check=True)
    place.berth("load", "-q", "-i", tmp_path / "changed.tar", check=True)
    assert runs(place, "interop/umoci:1").out == "changed by umoci\n" and place.inspect("interop/umoci:1")["Config"]["Labels"] == {"by": "umoci"}
    place.docker("rmi", "interop/umoci:1")


def test_archives_of_podman(place, podman, tmp_path):
    saved, theirs = tmp_path / "ours.tar", tmp_path / "theirs.tar"
    place.berth("save", "-o", saved, "interop", check=True)
    podman("load", "-q", "-i", saved, check=True)
    ours = podman("image", "inspect", "--format", "{{.Id}}", "docker.io/library/interop:latest", check=True).out.strip()
    assert ours == place.inspect("interop")["Id"].removeprefix("sha256:")
    for kind in ("docker-archive", "oci-archive"):
        podman("tag", ours, f"docker.io/interop/{kind}:1", check=True)
        theirs.unlink(missing_ok=True)
        podman("save", "-q", "--format", kind, "-o", theirs, f"docker.io/interop/{kind}:1", check=True)
        place.berth("load", "-q", "-i", theirs, check=True)
        assert runs(place, f"interop/{kind}:1").out == SAID
        assert place.inspect(f"interop/{kind}:1")["Id"] == place.inspect("interop")["Id"] or kind == "oci-archive"
        place.docker("rmi", f"interop/{kind}:1")
    podman("rmi", "-af")
