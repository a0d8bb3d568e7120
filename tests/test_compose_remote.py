"""Compose files from elsewhere: git repositories, and artifacts that `compose publish` makes, of ours and of Docker's."""
import json
import socket
import subprocess

import pytest

import engine as engines
from compose_project import project  # noqa: F401 (a fixture)
from engine import docker_compose, free_port, run, wait_until
from registries import registry  # noqa: F401 (a fixture)
from registry import MANIFEST, Registry
from test_build import git

pytestmark = pytest.mark.own

FILES = {
    "compose.yaml": """# a stack
services:
  a:
    image: busybox:${TAG-latest}
    env_file: [a.env, {path: nowhere.env, required: false}]  # both
    extends: {file: base/base.yaml, service: b}
    stop_grace_period: 0s
  z: {image: busybox, profiles: [extra], env_file: a.env}
""",
    "over.yaml": "services: {a: {labels: {l: über, m: !reset null}}}\n",
    "base/base.yaml": "services:\n  b:\n    image: none\n    command: sleep 1000\n    env_file: ./c.env\n    labels: {m: gone}\n",
    "a.env": "A=1\n",
    "base/c.env": "C=3\n",
}


def write(directory, files=FILES):
    for name, text in files.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(text)


def model(done):
    """What a project means, wherever it is."""
    assert done.code == 0, done
    return json.loads(done.out)["services"]


@pytest.fixture
def call(engine, tmp_path):
    """Calls berth compose in a directory that has no compose file."""
    place = tmp_path / "place"
    place.mkdir()
    (place / ".env").write_text("TAG=mine\n")

    def compose(*arguments, directory=place, env=None, **options):
        environment = {**engine.environment, "XDG_CACHE_HOME": str(tmp_path / "cache"), **(env or {})}
        return run(["env", "-C", directory, engine.build / "berth", "compose", *arguments], env=environment, **options)
    compose.cache = tmp_path / "cache/berth/compose"
    return compose


@pytest.fixture
def repository(tmp_path):
    work = tmp_path / "repos/r.git"
    work.mkdir(parents=True)
    git(work, "init", "-q")
    write(work)
    write(work / "sub")
    (work / ".env").write_text("TAG=theirs\n")
    (work / "out").symlink_to("/etc")
    git(work, "add", ".")
    git(work, "commit", "-qm", "one")
    git(work, "tag", "v1")
    (work / "compose.yaml").write_text("services: {second: {image: busybox}}\n")
    git(work, "commit", "-qam", "two")
    port = free_port()
    daemon = subprocess.Popen([git(work, "--exec-path") + "/git-daemon", "--export-all", f"--base-path={tmp_path}/repos", "--listen=127.0.0.1",
                               f"--port={port}", "--reuseaddr"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def answers():
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", port)) == 0
    wait_until(answers, what="git's server")
    daemon.url, daemon.commit = f"git://127.0.0.1:{port}/r.git", git(work, "rev-parse", "v1")
    yield daemon
    daemon.kill()
    daemon.wait()


def test_out_of_a_repository(call, repository, tmp_path):
    write(tmp_path / "local")
    here = model(call("-f", tmp_path / "local/compose.yaml", "config", "--format", "json", env={"TAG": "mine"}))
    for place in ("#v1", "#v1:sub", f"#{repository.commit}", "#v1:sub/compose.yaml"):
        done = call("-f", repository.url + place, "config", "--format", "json")
        assert model(done) == here and json.loads(done.out)["name"] == "place"
    assert list(model(call("-f", repository.url, "config", "--format", "json"))) == ["second"]
    assert sorted(path.name for path in (call.cache / "git").iterdir() if len(path.name) != 40) == []
    for place, words in (("#nope", "repository does not contain ref nope"), ("#v1:../..", "git subdirectory path traversal detected: ../.."),
                         ("#v1:out", "git subdirectory path traversal detected: out"), ("#v1:none", "the repository has no none"),
                         ("#v1:base", "no configuration file provided: not found in base of it")):
        refused = call("-f", repository.url + place, "config")
        assert refused.code == 1 and words in refused.err, refused
    off = call("-f", repository.url, "config", env={"COMPOSE_EXPERIMENTAL_GIT_REMOTE": "0"})
    assert (off.code, off.err) == (1, 'git remote resource is disabled by "COMPOSE_EXPERIMENTAL_GIT_REMOTE"\n')

    # Others may be included and extended.
    (tmp_path / "place/compose.yaml").write_text(
        f"include: ['{repository.url}#v1']\nservices: {{own: {{extends: {{file: '{repository.url}#v1:base/base.yaml', service: b}}}}}}\n")
    whole = model(call("config", "--format", "json"))
    assert whole["a"] == here["a"] and whole["own"]["environment"] == {"C": "3"}

    # What is named by its commit is not asked for again; the rest cannot be had without the server.
    repository.kill()
    repository.wait()
    (tmp_path / "place/compose.yaml").unlink()
    assert model(call("-f", f"{repository.url}#{repository.commit}", "config", "--format", "json")) == here
    refused = call("-f", f"{repository.url}#v1", "config")
    assert refused.code == 1 and "git ls-remote failed" in refused.err and "refused" in refused.err


def test_published_and_read_again(call, registry, tmp_path):
    local = tmp_path / "local"
    write(local)
    files = ("-f", local / "compose.yaml", "-f", local / "over.yaml")
    name = f"{registry.host}/team/stack:1"
    refused = call(*files, "publish", name)
    assert refused.code == 1 and 'service "a" has env_file declared.\n' in refused.err and "--with-env" in refused.err
    tried = call(*files, "publish", "--with-env", "-y", "--dry-run", name, check=True)
    assert "DRY-RUN MODE -  Artifact" in tried.err and call("-f", f"oci://{name}", "config").code == 1
    done = call(*files, "publish", "--with-env", "-y", name, check=True)
    assert done.err == f" Artifact {name}  Publishing\n Artifact {name}  Published\n" and not done.out
    for extra in ((), ("--profile", "extra")):
        here = model(call(*files, *extra, "config", "--format", "json", env={"TAG": "mine"}))
        there = model(call("-f", f"oci://{name}", *extra, "config", "--format", "json"))
        assert there == here
    assert here["a"]["labels"] == {"l": "über"} and set(here) == {"a", "z"}

    # As registries have it.
    for version, kinds in (("1.1", ("application/vnd.docker.compose.project", "application/vnd.oci.empty.v1+json")),
                           ("1.0", (None, "application/vnd.docker.compose.config.empty.v1+json"))):
        call(*files, "publish", "--with-env", "-y", "--oci-version", version, name, check=True)
        raw = run(["curl", "-sf", "-H", f"Accept: {MANIFEST}", f"http://{registry.host}/v2/team/stack/manifests/1"], check=True).out
        manifest = json.loads(raw)
        assert (manifest.get("artifactType"), manifest["config"]["mediaType"]) == kinds and manifest["mediaType"] == MANIFEST
        assert model(call("-f", f"oci://{name}", "config", "--format", "json")) == {"a": here["a"]}
    layers = [(layer["mediaType"].rpartition(".")[2], layer["annotations"].get("com.docker.compose.file"), "com.docker.compose.extends" in layer["annotations"])
              for layer in manifest["layers"]]
    assert [layer for layer in layers if layer[0] != "envfile"][:2] == [("file+yaml", "compose.yaml", False), ("file+yaml", "over.yaml", False)]
    assert sorted(layer[0] for layer in layers) == ["envfile", "envfile", "file+yaml", "file+yaml", "file+yaml"]
    assert str(local) not in raw and str(local) not in "".join(path.read_text() for path in call.cache.rglob("*.yaml"))

    off = call("-f", f"oci://{name}", "config", env={"COMPOSE_EXPERIMENTAL_OCI_REMOTE": "false"})
    assert (off.code, off.err) == (1, 'OCI remote resource is disabled by "COMPOSE_EXPERIMENTAL_OCI_REMOTE"\n')


def test_what_is_not_published(call, registry, tmp_path):
    local = tmp_path / "local"
    name = f"{registry.host}/team/none:1"

    def publish(text, *flags, **options):
        write(local, {"compose.yaml": text, "other.yaml": "services: {o: {image: busybox}}\n"})
        return call("-f", local / "compose.yaml", "publish", *flags, name, **options)
    for text, words in (
            ("services: {a: {build: .}}", 'only contains a build section for service(s):\n- "a"\n'),
            ("include: [other.yaml]\nservices: {a: {image: busybox}}", "cannot publish compose file with local includes"),
            ("services: {a: {image: busybox, environment: {A: 1}}}", 'service "a" has environment variable(s) declared.\n'),
            ("services: {a: {image: busybox, configs: [c]}}\nconfigs: {c: {environment: HOME}}", 'config "c" is declare as an environment variable.\n')):
        refused = publish(text)
        assert refused.code == 1 and words in refused.err, refused
    binds = "services: {a: {image: busybox, volumes: ['./x:/x']}}"
    for answer, code in (("n\n", 1), ("", 1), ("y\n", 0)):
        asked = publish(binds, stdin=answer)
        assert asked.code == code and f"  a: {local}/x:/x\n" in asked.err and "bind mount declarations?" in asked.err
        assert code == 0 or "operation cancelled" in asked.err
    asked = publish("services: {a: {image: busybox, environment: {SECRET: s}}}", "--with-env", stdin="n\n")
    assert asked.code == 1 and "  a: SECRET=s\n" in asked.err
    for flags, words in ((("--oci-version", "3"), "unsupported OCI version: 3\n"), (("--app",), "--app is not supported: push the images with")):
        assert publish(binds, "-y", *flags).err.startswith(words)
    for place, words in ((f"{registry.host}/UPPER", "must be lowercase"), ("127.0.0.1:1/x", "refused"),
                         (f"{registry.host}/x@sha256:{'0' * 64}", "published under a tag")):
        refused = call("-f", local / "compose.yaml", "publish", "-y", place)
        assert refused.code == 1 and words in refused.err, refused


def test_with_digests(call, engine, registry, tmp_path):
    image = f"{registry.host}/team/app:1"
    engine.docker("tag", "busybox", image, check=True)
    try:
        write(tmp_path / "local", {"compose.yaml": f"services: {{a: {{image: '{image}'}}}}\n"})
        engine.docker("push", image, check=True)
        call("-f", tmp_path / "local/compose.yaml", "publish", "-y", "--resolve-image-digests", f"{registry.host}/team/fixed", check=True)
        there = model(call("-f", f"oci://{registry.host}/team/fixed", "config", "--format", "json"))
        assert there["a"]["image"].startswith(f"{image}@sha256:")
    finally:
        engine.docker("rmi", "-f", image)


@pytest.fixture
def place(build):
    made = Registry(build).start()
    yield made
    made.remove()


def test_artifacts_are_read_with_suspicion(call, place):
    """Those without inline data are read blob by blob; names of files stay names."""
    def artifact(name="x.yaml", data=None, kind="application/vnd.docker.compose.project", media="application/vnd.docker.compose.file+yaml", files=1):
        text = b"services: {a: {image: busybox}}\n"
        config, digest = place.push_blob("team/odd", b"{}"), place.push_blob("team/odd", text)
        extra = {"mediaType": media, "digest": digest, "size": len(text), "annotations": {
            "com.docker.compose.file": name, "com.docker.compose.envfile": name, "com.docker.compose.extends": "true"}}
        if data:
            extra["data"] = data
        place.push_manifest("team/odd", "1", {
            "schemaVersion": 2, "mediaType": MANIFEST, "artifactType": kind, "annotations": {"n": name + kind},
            "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": config, "size": 2},
            "layers": [{"mediaType": media, "digest": digest, "size": len(text)}] * files + [extra]})
        return call("-f", f"oci://{place.host}/team/odd:1", "config", "--services")
    assert artifact().out == "a\n"
    for name in ("../x.yaml", "/etc/x", "a/b", "..", ".hidden", "", "compose.yaml", "a\\b"):
        refused = artifact(name)
        assert refused.code == 1 and f'invalid OCI artifact: it names a file "{name}"' in refused.err, refused
    assert "a layer has the digest sha256:" in artifact(data="AAAA").err
    assert "is not a compose project OCI artifact, but application/x" in artifact(kind="application/x").err
    assert "has no compose file" in artifact(files=0).err
    assert "has no compose file" in artifact(media="application/x").err
    missing = call("-f", f"oci://{place.host}/team/none:1", "config")
    assert missing.code == 1 and missing.err.startswith(f'failed to pull OCI resource "{place.host}/team/none:1": '), missing
    refused = call("-f", "oci://127.0.0.1:1/x", "config")
    assert refused.code == 1 and "refused" in refused.err
    assert not [path for path in call.cache.rglob("*") if path.name.count(".") and path.is_dir()]


def test_a_stack_from_elsewhere_asks_first(call, engine, place, tmp_path):
    write(tmp_path / "local", {"compose.yaml": "services: {a: {image: busybox, command: 'sleep ${TIME:-1000}', hostname: $HOST, stop_grace_period: 0s}}\n"})
    name = f"{place.host}/team/asking"
    call("-f", tmp_path / "local/compose.yaml", "publish", "-y", name, env={"HOST": "x"}, check=True)
    stack = ("-p", "asking", "-f", f"oci://{name}")
    for words in (("up", "-d"), ("create",), ("run", "a", "true")):
        for answer in ("n\n", ""):
            refused = call(*stack, *words, env={"HOST": "here"}, stdin=answer)
            assert refused.code == 1 and "operation cancelled" in refused.err, refused
            assert f'Your compose stack "oci://{name}" is stored in "{call.cache}' in refused.err and "  HOST=here\n  TIME=<unset>\n" in refused.err
        assert "asking" not in engine.docker("ps", "-a").out
    try:
        call(*stack, "up", "-d", env={"HOST": "here"}, stdin="y\n", check=True)
        call(*stack, "up", "-d", "-y", env={"HOST": "there"}, check=True)
        assert engine.inspect("asking-a-1")["Config"]["Hostname"] == "there"
        assert call(*stack, "ps", "-q").out and call("-p", "asking", "ps", "-q").out
    finally:
        call(*stack, "down", "-t", "0", check=True)


@pytest.fixture
def both(build, tmp_path):
    """Docker's compose and ours, with an engine and a registry that both trust (Docker's speaks to none without TLS)."""
    words = docker_compose()
    if not words:
        pytest.skip("not run: Docker's compose is not there ($DOCKER_COMPOSE names it)")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", tmp_path / "key.pem", "-out", tmp_path / "cert.pem", "-days", "2",
                    "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)
    place = Registry(build, f"--tls-cert={tmp_path}/cert.pem", f"--tls-key={tmp_path}/key.pem").start()
    own = engines.Engine(build, extra=[f"--insecure-registry={place.host}"]).start()

    def caller(program):
        def compose(*arguments, **options):
            environment = {**own.environment, "HOME": str(tmp_path / "home"), "SSL_CERT_FILE": str(tmp_path / "cert.pem")}
            return run([*program, "-p", "both", *arguments], env=environment, **options)
        return compose
    yield {"berth": caller([build / "berth", "compose"]), "docker": caller(words), "host": place.host}
    own.remove()
    place.remove()


# Docker's compose falls over env files of what is extended, and swallows what closes a list or a mapping behind a name that it changes.
PLAIN = {
    "compose.yaml": """# a stack
services:
  a:
    image: busybox:${TAG-latest}
    env_file:
      - a.env
    extends:
      file: base/base.yaml
      service: b
  z: {image: busybox, profiles: [extra]}
""",
    "base/base.yaml": "services:\n  b:\n    image: none\n    command: sleep 1000\n    labels: {m: gone}\n",
}


@pytest.mark.parametrize("writer,reader", [("berth", "docker"), ("docker", "berth")])
def test_artifacts_of_the_other(both, tmp_path, writer, reader):
    write(tmp_path / "local", {**FILES, **PLAIN})
    files = ("-f", tmp_path / "local/compose.yaml", "-f", tmp_path / "local/over.yaml")
    name = f"{both['host']}/team/stack:1"
    both[writer](*files, "publish", "--with-env", "-y", name, check=True)
    here = model(both[reader](*files, "config", "--format", "json"))
    there = model(both[reader]("-f", f"oci://{name}", "config", "--format", "json"))
    assert there == here
