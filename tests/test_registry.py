"""Pull and push: against a real registry, and against one that misbehaves in every way that it can."""
import base64
import gzip
import hashlib
import json
import os
import shutil
import socket
import subprocess
import threading
import time

import pytest

import engine as engines
from engine import LIMIT_S, run, wait_until
from fake_registry import OCI, FakeRegistry, add_image
from registries import RealRegistry, fake  # noqa: F401 (a fixture)
from test_save_load import layer

pytestmark = pytest.mark.own

ZSTD = "layer.v1.tar+zstd"


@pytest.fixture(scope="module")
def mirror():
    made = FakeRegistry()
    yield made
    made.close()


@pytest.fixture(scope="module")
def place(build, docker_client, mirror, tmp_path_factory):
    certificates = tmp_path_factory.mktemp("certs")
    made = engines.Engine(build, extra=["--max-download-attempts=2", "--registry-mirror", f"mirrored.example={mirror.url}",
                                        "--registry-certificates", certificates]).start()
    made.certificates = certificates
    context = engines.make_busybox_context(made.directory / "context")
    made.docker("build", "-q", "-t", "busybox", context, check=True)
    yield made
    made.remove()


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    made = RealRegistry(tmp_path_factory.mktemp("registry") / "open")
    yield made
    made.close()


def blobs(place):
    return sorted(path.name for path in (place.data / "blobs/sha256").iterdir())


def forget(place, *names):
    place.docker("rmi", "-f", *names)


def digest_of_pushed(said):
    (line,) = [line for line in said.out.splitlines() if " digest: sha256:" in line]
    return line.split("digest: ")[1].split()[0]


# ---- there and back ----

def test_push_and_pull(place, registry):
    name = f"{registry.host}/team/app:1"
    place.docker("tag", "busybox", name, check=True)
    first = place.docker("push", name, check=True)
    assert first.out.count(": Pushed") == 5 and f"The push refers to repository [{registry.host}/team/app]" in first.out
    digest = digest_of_pushed(first)
    second = place.berth("push", name, check=True)
    assert second.out.count(": Layer already exists") == 5 and digest_of_pushed(second) == digest
    assert place.inspect(name)["RepoDigests"] == [f"{registry.host}/team/app@{digest}"]
    # Others see the same, and gzip inside.
    seen = json.loads(run(["skopeo", "inspect", "--tls-verify=false", "--raw", f"docker://{name}"], check=True).out)
    assert all(one["mediaType"].endswith("tar.gzip") for one in seen["layers"])
    before = place.inspect(name)["Id"]
    forget(place, name)
    pulled = place.docker("pull", name, check=True)
    assert f"Digest: {digest}\n" in pulled.out and f"Status: Downloaded newer image for {name}\n" in pulled.out
    assert place.inspect(name)["Id"] == before
    assert f"Status: Image is up to date for {name}" in place.berth("pull", name, check=True).out
    assert place.berth("pull", "-q", f"{registry.host}/team/app@{digest}", check=True).out == f"{registry.host}/team/app@{digest}\n"
    # Another repository gets the layers without their being sent.
    other = f"{registry.host}/team/other:latest"
    place.docker("tag", name, other, check=True)
    assert place.docker("push", other, check=True).out.count(": Mounted from team/app") == 5
    assert place.verify().code == 0


def test_all_tags(place, registry):
    name = f"{registry.host}/many"
    for tag in "abc":
        place.docker("tag", "busybox", f"{name}:{tag}", check=True)
    said = place.docker("push", "-a", name, check=True).out
    assert [line.split(":")[0] for line in said.splitlines() if "digest:" in line] == ["a", "b", "c"]
    forget(place, *(f"{name}:{tag}" for tag in "abc"))
    said = place.berth("pull", "-a", name, check=True).out
    assert said.count("Digest: ") == 3 and f"Status: Downloaded newer image for {name}\n" in said
    assert len(place.docker("images", "-q", name).out.split()) == 3


def test_what_was_pulled_leaves_as_it_came(place, registry, fake):
    """Bytes of others' gzip and zstd cannot be made again: they are kept."""
    for tag, pack, kind in (("gzip", lambda data: gzip.compress(data, 9), "layer.v1.tar+gzip"),
                            ("zstd", lambda data: subprocess.run(["zstd", "-c", "-19"], input=data, capture_output=True).stdout, ZSTD)):
        layers = [layer({"a": tag.encode() * 5000}), layer({"b": b"2\n"}), layer({"c": b"3\n"}, [".wh.b"])]
        entry, _ = add_image(fake, "from/others", tag, layers, pack, kind)
        name, target = f"{fake.host}/from/others:{tag}", f"{registry.host}/copied/{tag}:1"
        place.docker("pull", "-q", name, check=True)
        place.docker("tag", name, target, check=True)
        assert digest_of_pushed(place.docker("push", target, check=True)) == entry["digest"]
        forget(place, name, target)
        assert entry["digest"] in place.docker("pull", target, check=True).out


def test_run_pulls(place, registry):
    name = f"{registry.host}/team/run:1"
    place.docker("tag", "busybox", name, check=True)
    place.docker("push", "-q", name, check=True)
    for command in (place.docker, place.berth):
        forget(place, name)
        said = command("run", "--rm", name, "echo", "hi")
        assert said.code == 0 and said.out == "hi\n" and f"Unable to find image '{name}' locally" in said.err, said
    forget(place, name)
    assert place.berth("run", "--rm", "--pull=never", name, "true").code == 125
    said = place.berth("run", "--rm", "-q", "--pull=always", name, "echo", "hi")
    assert (said.code, said.out, said.err) == (0, "hi\n", "")
    client = place.sdk()
    forget(place, name)
    assert name in client.images.pull(name).tags
    events = place.docker("events", "--since", "1", "--until", str(int(time.time()) + 1), "--filter", "event=pull", "--format", "{{.ID}}").out
    assert name in events


def test_removing_names(place, registry):
    """The last tag of a repository takes its digests along; an image goes with its last name of any kind."""
    one, two, other = (f"{registry.host}/{rest}" for rest in ("rm/a:1", "rm/a:2", "rm/b:1"))
    for name in (one, two, other):
        place.docker("tag", "busybox", name, check=True)
        digest = digest_of_pushed(place.docker("push", name, check=True))
    forget(place, "busybox:latest", *(name for name in place.docker("images", "--format", "{{.Repository}}:{{.Tag}}").out.split()
                                      if name not in (one, two, other) and "<none>" not in name))
    at_a, at_b = f"{registry.host}/rm/a@{digest}", f"{registry.host}/rm/b@{digest}"
    assert place.docker("rmi", one, check=True).out == f"Untagged: {one}\n"
    assert place.docker("rmi", two, check=True).out == f"Untagged: {two}\nUntagged: {at_a}\n"
    assert place.docker("rmi", other, check=True).out.startswith(f"Untagged: {other}\nUntagged: {at_b}\nDeleted: sha256:")
    place.docker("pull", "-q", at_a, check=True)
    place.docker("pull", "-q", other, check=True)
    assert place.docker("rmi", at_a, check=True).out == f"Untagged: {at_a}\n"
    assert place.docker("tag", other, "busybox").code == 0


def test_build_pulls_its_base(place, registry, tmp_path):
    name = f"{registry.host}/team/base:1"
    place.docker("tag", "busybox", name, check=True)
    place.docker("push", "-q", name, check=True)
    (tmp_path / "Dockerfile").write_text(f"FROM {name}\nRUN echo built > /built\nCMD cat /built\n")
    for command in (place.docker, place.berth):
        forget(place, name, "of-base")
        assert name not in place.docker("images", "--format", "{{.Repository}}:{{.Tag}}").out
        said = command("build", "-t", "of-base", tmp_path)
        assert said.code == 0, said
        assert place.docker("run", "--rm", "of-base", check=True).out == "built\n"
    assert "Image is up to date" in place.docker("build", "--pull", "-t", "of-base", tmp_path, check=True).out
    (tmp_path / "Dockerfile").write_text(f"FROM {registry.host}/team/missing:1\n")
    said = place.docker("build", tmp_path)
    assert said.code != 0 and f"manifest for {registry.host}/team/missing:1 not found" in said.err + said.out


# ---- platforms and kinds ----

def add_index(fake, repository, tag, entries):
    fake.add_manifest(repository, tag, OCI + "index.v1+json", {"schemaVersion": 2, "mediaType": OCI + "index.v1+json", "manifests": entries})


def test_platforms(place, fake):
    ours, _ = add_image(fake, "p", "x1", [layer({"who": b"amd64"})], gzip.compress)
    theirs, _ = add_image(fake, "p", "x2", [layer({"who": b"arm64"})], gzip.compress, architecture="arm64")
    note = fake.add_manifest("p", "x3", OCI + "manifest.v1+json", b"{}")
    note["platform"] = {"os": "unknown", "architecture": "unknown"}
    add_index(fake, "p", "many", [note, theirs, ours])
    name = f"{fake.host}/p:many"
    place.docker("pull", "-q", name, check=True)
    assert place.inspect(name)["Architecture"] == "amd64"
    assert note["digest"] not in "".join(r.path for r in fake.requests)
    place.berth("pull", "-q", "--platform", "linux/arm64/v8", name, check=True)
    assert place.inspect(name)["Architecture"] == "arm64"
    said = place.docker("pull", "--platform", "linux/s390x", name)
    assert said.code == 1 and "no matching manifest for linux/s390x in the manifest list entries" in said.err
    said = place.docker("pull", "--platform", "linux/arm64", f"{fake.host}/p:x1", check=True)
    assert "does not match the specified platform (linux/arm64)" in said.out
    described = place.sdk().images.get_registry_data(name)
    assert described.has_platform("linux/arm64") and described.has_platform("linux/amd64")


def test_artifacts_are_refused_by_name(place, fake):
    fake.add_manifest("chart", "1", OCI + "manifest.v1+json", {
        "schemaVersion": 2, "layers": [], "config": {"mediaType": "application/vnd.cncf.helm.config.v1+json", "size": 2,
                                                     "digest": fake.add_blob(b"{}")}})
    said = place.docker("pull", f"{fake.host}/chart:1")
    assert said.code == 1 and "artifact (application/vnd.cncf.helm.config.v1+json)" in said.err


# ---- who is asking ----

def test_basic_auth(place, tmp_path):
    registry = RealRegistry(tmp_path / "secured", {"somebody": "secret"})
    try:
        name = f"{registry.host}/private/app:1"
        place.docker("tag", "busybox", name, check=True)
        assert "no basic auth credentials" in place.docker("push", name).err
        assert f'"http://{registry.host}/v2/private/app/manifests/1": no basic auth credentials' in place.docker("pull", name).err
        refused = place.berth("login", "-u", "somebody", "--password-stdin", registry.host, stdin="wrong")
        assert refused.code == 1 and "401 Unauthorized" in refused.err
        for command in (place.berth, place.docker):
            said = command("login", "-u", "somebody", "--password-stdin", registry.host, stdin="secret\n")
            assert said.code == 0 and "Login Succeeded" in said.out, said
            stored = json.loads((place.directory / "config/config.json").read_text())["auths"][registry.host]
            assert base64.b64decode(stored["auth"]) == b"somebody:secret"
            command("push", name, check=True)
            forget(place, name)
            command("pull", name, check=True)
            forget(place, name)
            (tmp_path / "context").mkdir(exist_ok=True)
            (tmp_path / "context/Dockerfile").write_text(f"FROM {name}\nLABEL by={command.__name__}\n")
            command("build", "-q", "-t", "of-private", tmp_path / "context", check=True)
            assert f"Removing login credentials for {registry.host}" in command("logout", registry.host, check=True).out
            assert "no basic auth credentials" in command("pull", name).err
    finally:
        registry.close()


def test_credential_helper(place, fake, tmp_path):
    """config.json names a program that keeps passwords."""
    fake.users, fake.basic = {"u": "p"}, True
    add_image(fake, "x", "1", [layer({"a": b"h"})], gzip.compress)
    helper = tmp_path / "docker-credential-test"
    helper.write_text(f"""#!/bin/sh
case $1 in
get) read server; [ -e {tmp_path}/stored ] && cat {tmp_path}/stored || {{ echo credentials not found in native keychain; exit 1; }};;
store) cat > {tmp_path}/stored;;
erase) rm -f {tmp_path}/stored;;
esac
""")
    helper.chmod(0o755)
    (tmp_path / "config.json").write_text('{"credsStore":"test","psFormat":"x"}')
    env = {**place.environment, "PATH": f"{tmp_path}:{os.environ['PATH']}", "DOCKER_CONFIG": str(tmp_path)}
    berth = place.build / "berth"
    run([berth, "login", "-u", "u", "-p", "p", fake.host], env=env, check=True)
    assert json.loads((tmp_path / "stored").read_text()) == {"ServerURL": fake.host, "Username": "u", "Secret": "p"}
    kept = json.loads((tmp_path / "config.json").read_text())
    assert kept == {"auths": {fake.host: {}}, "credsStore": "test", "psFormat": "x"}
    run([berth, "pull", "-q", f"{fake.host}/x:1"], env=env, check=True)
    run([berth, "logout", fake.host], env=env, check=True)
    assert not (tmp_path / "stored").exists()


def with_auth(place, path, auth, method="POST"):
    import http.client

    class Unix(http.client.HTTPConnection):
        def connect(self):
            self.sock = socket.socket(socket.AF_UNIX)
            self.sock.connect(str(place.socket))

    connection = Unix("localhost", timeout=60)
    header = base64.urlsafe_b64encode(json.dumps(auth).encode()).decode()
    connection.request(method, "/v1.51" + path, headers={"X-Registry-Auth": header, "Content-Length": "0"})
    answer = connection.getresponse()
    return answer.status, answer.read().decode()


def test_tokens(place, fake):
    add_image(fake, "x/y", "1", [layer({"a": b"t"})], gzip.compress)
    path = f"/images/create?fromImage={fake.host}/x/y&tag=1"
    fake.users = {"": "", "somebody": "secret"}
    assert "Status: Downloaded newer" in with_auth(place, path, {})[1]
    (asked,) = fake.asked("GET", "/token")
    assert asked.query["service"] == ["fake, really"] and asked.query["scope"][0] == "repository:x/y:pull"
    del fake.users[""]
    status, text = with_auth(place, path, {})
    assert status == 401 and "unauthorized: authentication required" in text
    assert with_auth(place, path, {"username": "somebody", "password": "wrong"})[0] == 401
    assert with_auth(place, path, {"username": "somebody", "password": "secret"})[0] == 200
    assert with_auth(place, path, {"auth": base64.b64encode(b"somebody:secret").decode()})[0] == 200
    assert with_auth(place, path, {"registrytoken": "good-token"})[0] == 200
    refused = place.berth("login", "-u", "somebody", "-p", "wrong", fake.host)
    assert refused.code == 1 and f'Get "{fake.url}/v2/": unauthorized: authentication required' in refused.err
    # Login gets a token to be kept instead of the password, which then works.
    said = place.berth("login", "-u", "somebody", "-p", "secret", fake.host)
    assert said.code == 0, said
    kept = json.loads((place.directory / "config/config.json").read_text())["auths"][fake.host]
    assert kept["identitytoken"] == "refresh-me" and base64.b64decode(kept["auth"]) == b"somebody:"
    before = len(fake.asked("POST", "/token"))
    place.docker("pull", f"{fake.host}/x/y:1", check=True)
    assert len(fake.asked("POST", "/token")) == before + 1
    place.berth("logout", fake.host, check=True)


SECRET = {"username": "somebody", "password": "very-secret-word"}


def secrets_in(requests):
    basic = base64.b64encode(b"somebody:very-secret-word").decode()
    return [r for r in requests if basic in str(r.headers) or b"very-secret" in r.body or "very-secret" in str(r.query)]


def test_credentials_stay_with_their_host(place, fake):
    """Neither a token server elsewhere nor a redirect gets them."""
    thief = FakeRegistry(address="127.0.0.2")
    try:
        add_image(fake, "x", "1", [layer({"a": b"s"})], gzip.compress)
        thief.blobs = fake.blobs
        thief.users, fake.users = {"somebody": "very-secret-word"}, {"somebody": "very-secret-word"}
        fake.realm = thief.url + "/token"
        status, text = with_auth(place, f"/images/create?fromImage={fake.host}/x&tag=1", SECRET)
        assert status == 500 and "wants its credentials to be sent to another host" in text
        assert not thief.requests
        fake.realm = "http://example.invalid/token"
        status, text = with_auth(place, f"/images/create?fromImage={fake.host}/x&tag=1", SECRET)
        assert status == 500 and "names a token server with plain HTTP" in text
        # Blobs may lie elsewhere (storage services do), but that is told nothing.
        fake.realm, thief.users = None, None

        def send_away(request, handler):
            if "/blobs/" in request.path:
                fake.say(handler, 307, Location=thief.url + request.path)
                return True

        fake.hook = send_away
        status, text = with_auth(place, f"/images/create?fromImage={fake.host}/x&tag=1", SECRET)
        assert "Status: Downloaded newer" in text and thief.requests
        assert not [r for r in thief.requests if r.headers.get("Authorization")]
        # And where it asks for them itself, it gets nothing either.
        forget(place, f"{fake.host}/x:1")
        thief.users, thief.basic = {"somebody": "very-secret-word"}, True
        status, text = with_auth(place, f"/images/create?fromImage={fake.host}/x&tag=1", SECRET)
        assert "errorDetail" in text and not [r for r in thief.requests if r.headers.get("Authorization")]
    finally:
        thief.close()


def test_mirror_gets_no_credentials(place, mirror):
    add_image(mirror, "m/app", "1", [layer({"a": b"m"})], gzip.compress)
    status, text = with_auth(place, "/images/create?fromImage=mirrored.example/m/app&tag=1", SECRET)
    assert status == 200 and "Status: Downloaded newer image for mirrored.example/m/app:1" in text
    assert not [r for r in mirror.requests if r.headers.get("Authorization")]
    # What the mirror does not have is asked of the registry itself, which is not there.
    said = place.docker("pull", "mirrored.example/m/missing")
    assert said.code == 1 and "lookup mirrored.example: no such host" in said.err


def own_address():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        try:
            s.connect(("192.0.2.1", 9))
            return s.getsockname()[0]
        except OSError:
            return None


def test_tls(place, tmp_path):
    """Certificates count for hosts that no rule excuses."""
    import ssl
    address = own_address()
    if not address or address.startswith("127."):
        pytest.skip("this machine has loopback addresses only")
    run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=test",
         "-addext", f"subjectAltName=IP:{address}", "-keyout", tmp_path / "key.pem", "-out", tmp_path / "cert.pem"], check=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    secure, plain = FakeRegistry(tls=context, address=address), FakeRegistry(address=address)
    try:
        for one in (secure, plain):
            add_image(one, "x", "1", [layer({"a": b"tls"})], gzip.compress)
        said = place.docker("pull", f"{secure.host}/x:1")
        assert said.code == 1 and "x509: certificate signed by unknown authority" in said.err
        said = place.docker("pull", f"{plain.host}/x:1")
        assert said.code == 1 and "http: server gave HTTP response to HTTPS client" in said.err and not plain.requests
        directory = place.certificates / secure.host
        directory.mkdir()
        shutil.copy(tmp_path / "cert.pem", directory / "ca.crt")
        place.docker("pull", f"{secure.host}/x:1", check=True)

        def to_plain(request, handler):
            if "/manifests/" in request.path:
                secure.say(handler, 302, Location=plain.url + request.path)
                return True

        secure.hook = to_plain
        said = place.docker("pull", f"{secure.host}/x:1")
        assert said.code == 1 and "redirects to plain HTTP" in said.err and not plain.requests
    finally:
        secure.close()
        plain.close()


# ---- what others see of errors ----

def test_error_texts(place, registry):
    place.docker("tag", "busybox", f"{registry.host}/texts:1", check=True)
    place.docker("push", f"{registry.host}/texts:1", check=True)
    zeros = "sha256:" + "0" * 64
    for name, text in ((f"{registry.host}/texts:9", f"manifest for {registry.host}/texts:9 not found: manifest unknown: manifest unknown"),
                       (f"{registry.host}/nope", f"manifest for {registry.host}/nope:latest not found: manifest unknown: manifest unknown"),
                       (f"{registry.host}/texts@{zeros}", f"manifest for {registry.host}/texts@{zeros} not found: manifest unknown"),
                       ("127.0.0.1:1/x", 'Get "http://127.0.0.1:1/v2/": dial tcp 127.0.0.1:1: connect: connection refused'),
                       ("no-such-host.invalid/x", "dial tcp: lookup no-such-host.invalid: no such host"),
                       ("scratch", "'scratch' is a reserved name")):
        said = place.docker("pull", name)
        assert said.code == 1 and text in said.err, said
    said = place.docker("pull", "-a", f"{registry.host}/nope")
    assert f"repository {registry.host}/nope not found: name unknown: repository name not known to registry" in said.err
    said = place.docker("push", f"{registry.host}/not-here:1")
    assert f"An image does not exist locally with the tag: {registry.host}/not-here" in said.err
    assert "tag does not exist: " in place.docker("push", f"{registry.host}/texts:8").err


# ---- slow, cut, shared, cancelled ----

def big_layer(name="big"):
    return layer({name: os.urandom(3 << 20)})


def test_two_pulls_share_a_download(place, fake):
    entry, document = add_image(fake, "s", "1", [big_layer()], lambda data: gzip.compress(data, 1))
    digest = document["layers"][0]["digest"]
    gate = threading.Event()

    def wait_for_gate(request, handler):
        if digest in request.path:
            gate.wait(LIMIT_S)

    fake.hook = wait_for_gate
    pulls = [subprocess.Popen([engines.docker_program(), "pull", f"{fake.host}/s:1"], env=place.environment, stdout=subprocess.PIPE)
             for _ in range(2)]
    wait_until(lambda: len(fake.asked("GET", "/manifests/")) == 2 and fake.asked("GET", digest), what="both pulls waiting")
    time.sleep(0.3)
    gate.set()
    for pull in pulls:
        out, _ = pull.communicate(timeout=LIMIT_S)
        assert pull.returncode == 0 and b"Pull complete" in out
    assert len(fake.asked("GET", digest)) == 1


def test_a_cut_download_goes_on(place, fake):
    _, document = add_image(fake, "cut", "1", [big_layer()], lambda data: gzip.compress(data, 1))
    digest = document["layers"][0]["digest"]
    state = {"cuts": 0}

    def cut_once(request, handler):
        if digest not in request.path or state["cuts"]:
            return False
        state["cuts"] += 1
        data = fake.blobs[digest]
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data[:1 << 20])
        handler.wfile.flush()
        handler.connection.shutdown(socket.SHUT_RDWR)
        handler.close_connection = True
        return True

    fake.hook = cut_once
    place.docker("pull", f"{fake.host}/cut:1", check=True)
    again = fake.asked("GET", digest)[1]
    assert 0 < int(again.headers["Range"].split("=")[1].split("-")[0]) <= 1 << 20


def test_cancelled_pull_leaves_whole_things_only(place, fake):
    _, document = add_image(fake, "c", "1", [big_layer(), big_layer("more")], lambda data: gzip.compress(data, 1))
    first, second = (one["digest"] for one in document["layers"])
    gate = threading.Event()

    def hold_second(request, handler):
        if second in request.path and not gate.is_set():
            data = fake.blobs[second]
            handler.send_response(200)
            handler.send_header("Content-Length", str(len(data)))
            handler.end_headers()
            handler.wfile.write(data[:1 << 20])
            handler.wfile.flush()
            gate.wait(LIMIT_S)
            return True

    fake.hook = hold_second
    pull = subprocess.Popen([engines.docker_program(), "pull", f"{fake.host}/c:1"], env=place.environment, stdout=subprocess.PIPE)
    wait_until(lambda: first.split(":")[1] in blobs(place) and fake.asked("GET", second), what="the second layer under way")
    pull.kill()
    pull.communicate()
    wait_until(lambda: not list((place.data / "tmp").iterdir()), what="the download given up")
    assert second.split(":")[1] not in blobs(place) and first.split(":")[1] in blobs(place)
    assert place.verify().code == 0
    gate.set()
    place.docker("pull", f"{fake.host}/c:1", check=True)
    assert len(fake.asked("GET", first)) == 1


# ---- hostile ----

def say_manifest(fake, data, media_type=OCI + "manifest.v1+json"):
    def hook(request, handler):
        if "/manifests/" in request.path:
            fake.say(handler, 200, data, media_type)
            return True
    return hook


def say_blob(fake, document, answer):
    def hook(request, handler):
        if document["layers"][0]["digest"] in request.path:
            answer(handler, fake.blobs[document["layers"][0]["digest"]])
            return True
    return hook


def endless(handler, data):
    handler.send_response(200)
    handler.send_header("Content-Type", "application/octet-stream")
    handler.end_headers()
    try:
        for _ in range(1 << 16):
            handler.wfile.write(b"x" * 65536)
    except OSError:
        pass
    handler.close_connection = True


def short(handler, data):
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(data)))
    handler.end_headers()
    handler.wfile.write(data[:len(data) // 2])
    handler.close_connection = True


def status_only(fake, status, **headers):
    def hook(request, handler):
        if "/manifests/" in request.path:
            fake.say(handler, status, b"oops", "text/plain", **headers)
            return True
    return hook


def redirect_loop(fake):
    def hook(request, handler):
        if "/manifests/" in request.path:
            fake.say(handler, 302, Location=fake.url + request.path)
            return True
    return hook


def unauthorized_forever(fake):
    def hook(request, handler):
        if "/manifests/" in request.path:
            fake.challenge(handler)
            return True
    return hook


def chunks(data):
    def answer(handler, _blob):
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        handler.wfile.write(data)
        handler.close_connection = True
    return answer


def another_part(handler, data):
    """Of what was not asked for in parts."""
    handler.send_response(206)
    handler.send_header("Content-Range", f"bytes 5-{len(data) - 1}/{len(data)}")
    handler.send_header("Content-Length", str(len(data) - 5))
    handler.end_headers()
    handler.wfile.write(data[5:])


def cut_and_lie(fake, document):
    """Half of the blob; and then another half than was asked for."""
    digest, state = document["layers"][0]["digest"], {"cuts": 0}

    def hook(request, handler):
        if digest not in request.path:
            return False
        data = fake.blobs[digest]
        if not request.headers.get("Range"):
            state["cuts"] += 1
            short(handler, data)
        else:
            fake.say(handler, 206, data[-9:], Content_Range=f"bytes {len(data) - 9}-{len(data) - 1}/{len(data)}")
        return True
    return hook


def nested_index(fake, document):
    """Indexes of indexes, and so on."""
    child = fake.add_manifest("evil", "inner", OCI + "manifest.v1+json", document)
    for _ in range(50):
        index = {"schemaVersion": 2, "mediaType": OCI + "index.v1+json", "manifests": [{**child, "platform": {"os": "linux", "architecture": "amd64"}}]}
        child = fake.add_manifest("evil", "1", OCI + "index.v1+json", index)
    return lambda request, handler: False


def lying_digest(fake, document):
    def hook(request, handler):
        if "/manifests/" in request.path:
            fake.say(handler, 200, json.dumps(document).encode(), OCI + "manifest.v1+json", Docker_Content_Digest="sha256:" + "0" * 64)
            return True
    return hook


HOSTILE = {
    "redirect with a user": (lambda fake, doc: status_only(fake, 302, Location=f"http://user:word@{fake.host}/v2/evil/manifests/2"), "redirect: invalid URL"),
    "digest that lies": (lying_digest, "manifest verification failed"),
    "nested indexes": (nested_index, "indexes are too deep"),
    "another part": (lambda fake, doc: say_blob(fake, doc, another_part), "another range than asked for"),
    "another part after a cut": (cut_and_lie, "another range than asked for"),
    "chunk without a size": (lambda fake, doc: say_blob(fake, doc, chunks(b"zz\r\nno chunk\r\n0\r\n\r\n")), "unexpected EOF"),
    "chunk of all memory": (lambda fake, doc: say_blob(fake, doc, chunks(b"ffffffffffffffff0\r\nx")), "unexpected EOF"),
    "chunks without an end": (lambda fake, doc: say_blob(fake, doc, chunks(b"4\r\nabcd\r\n")), "unexpected EOF"),
    "wrong digest": (lambda fake, doc: say_blob(fake, doc, lambda h, data: fake.say(h, 200, data[:-1] + b"?")), "verification failed for digest"),
    "short body": (lambda fake, doc: say_blob(fake, doc, short), "unexpected EOF"),
    "small body": (lambda fake, doc: say_blob(fake, doc, lambda h, data: fake.say(h, 200, data[:-9])), "bytes instead of"),
    "endless body": (lambda fake, doc: say_blob(fake, doc, endless), "is larger than its"),
    "blob missing": (lambda fake, doc: say_blob(fake, doc, lambda h, data: fake.refuse(h, 404, "BLOB_UNKNOWN", "gone")), "blob unknown: gone"),
    "401 loop": (lambda fake, doc: unauthorized_forever(fake), "unauthorized: authentication required"),
    "bad challenge": (lambda fake, doc: status_only(fake, 401, WWW_Authenticate='Bearer realm="x'), "invalid challenge"),
    "429": (lambda fake, doc: status_only(fake, 429, Retry_After="0"), "toomanyrequests"),
    "503": (lambda fake, doc: status_only(fake, 503), "received unexpected HTTP status: 503"),
    "denied": (lambda fake, doc: status_only(fake, 403), "pull access denied for"),
    "redirect loop": (lambda fake, doc: redirect_loop(fake), "stopped after 10 redirects"),
    "redirect to a file": (lambda fake, doc: status_only(fake, 302, Location="file:///etc/passwd"), "invalid"),
    "endless manifest": (lambda fake, doc: say_manifest(fake, b" " * (5 << 20)), "is larger than"),
    "manifest and index": (lambda fake, doc: say_manifest(fake, json.dumps({**doc, "manifests": []}).encode()), "both a manifest and an index"),
    "other type": (lambda fake, doc: say_manifest(fake, json.dumps(doc).encode(), OCI + "index.v1+json"), "calls itself"),
    "twice the same key": (lambda fake, doc: say_manifest(fake, json.dumps(doc).encode()[:-1] + b',"layers":[]}'), "duplicate"),
    "not JSON": (lambda fake, doc: say_manifest(fake, b"<html>"), "invalid"),
    "too many layers": (lambda fake, doc: say_manifest(fake, json.dumps({**doc, "layers": doc["layers"] * 600}).encode()), "more than 500 layers"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_registry(place, fake, name):
    _, document = add_image(fake, "evil", "1", [layer({"file": name.encode() * 3000})], gzip.compress)
    fake.users = {"somebody": "very-secret-word", "": ""}
    make, text = HOSTILE[name]
    fake.hook = make(fake, document)
    before = blobs(place)
    status, said = with_auth(place, f"/images/create?fromImage={fake.host}/evil&tag=1", {})
    assert text in said and (status >= 400 or "errorDetail" in said), said
    check_nothing_is_left(place, fake, before)


def check_nothing_is_left(place, fake, before):
    assert place.docker("images", "-q", f"{fake.host}/evil").out == ""
    # Whole, verified blobs may wait for the next try when only the network failed.
    for extra in set(blobs(place)) - set(before):
        assert hashlib.sha256((place.data / "blobs/sha256" / extra).read_bytes()).hexdigest() == extra
    wait_until(lambda: not list((place.data / "tmp").iterdir()), what="what was unpacked being removed")
    assert place.verify().code == 0


@pytest.mark.parametrize("name, pack", (("broken gzip", lambda data: gzip.compress(data)[:40] + b"garbage" * 9),
                                        ("garbage behind", lambda data: gzip.compress(data) + b"garbage" * 9),
                                        ("zstd with a window of 2 GiB", lambda data: subprocess.run(["zstd", "-c", "--long=31"], input=data, capture_output=True).stdout),
                                        ("bomb", lambda data: gzip.compress(bytes(300 << 20), 9))))
def test_hostile_layers(place, fake, name, pack):
    before = blobs(place)
    add_image(fake, "evil", "1", [layer({"file": b"x" * 3000})], pack)
    said = place.docker("pull", f"{fake.host}/evil:1")
    assert said.code == 1 and "unpack layer" in said.err, said
    assert not set(blobs(place)) - set(before)
    check_nothing_is_left(place, fake, before)


def test_layers_that_are_not_what_the_configuration_says(place, fake):
    before = blobs(place)
    _, document = add_image(fake, "evil", "1", [layer({"file": b"good"})], gzip.compress)
    other = gzip.compress(layer({"file": b"evil"}))
    document["layers"][0].update(digest=fake.add_blob(other), size=len(other))
    fake.add_manifest("evil", "1", OCI + "manifest.v1+json", document)
    said = place.docker("pull", f"{fake.host}/evil:1")
    assert said.code == 1 and "instead of sha256:" in said.err
    assert blobs(place) == before
    check_nothing_is_left(place, fake, before)
