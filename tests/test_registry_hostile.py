"""A registry that means harm, in ways that need a look at the engine itself: its memory, names that change their address, bodies that never end."""
import functools
import gzip
import pathlib
import shutil
import ssl
import subprocess
import threading

import pytest

import engine as engines
from engine import LIMIT_S, run, wait_until
from fake_registry import OCI, FakeRegistry, add_image
from registries import fake  # noqa: F401 (a fixture)
from test_registry import SECRET, check_nothing_is_left, endless, blobs, with_auth
from test_save_load import layer

pytestmark = pytest.mark.own
MEMORY_LIMIT_KB = 64 * 1024
NAME = "registry.changes.test"


@pytest.fixture(scope="module")
def place(build, docker_client, tmp_path_factory):
    """An engine that sees an /etc/hosts of the test's own."""
    directory = tmp_path_factory.mktemp("hosts")
    hosts, certificates = directory / "hosts", directory / "certs"
    hosts.write_text("127.0.0.1 localhost\n")
    certificates.mkdir()
    made = engines.Engine(build, extra=["--max-download-attempts=2", "--registry-certificates", certificates])
    made.prefix = ["unshare", "--mount", "sh", "-c", 'mount --bind "$0" /etc/hosts && exec "$@"', hosts]
    made.start()
    made.hosts, made.certificates = hosts, certificates
    yield made
    made.remove()


def status_of(engine, key):
    for line in pathlib.Path(f"/proc/{engine.process.pid}/status").read_text().splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1])


def peak_of(engine, action):
    """The largest memory of the engine during an action, in KiB."""
    pathlib.Path(f"/proc/{engine.process.pid}/clear_refs").write_text("5")
    action()
    return status_of(engine, "VmHWM")


def is_sanitized(engine):
    return "libasan" in pathlib.Path(f"/proc/{engine.process.pid}/maps").read_text()


@functools.cache
def bomb(_data):
    """What would be 300 MiB."""
    return gzip.compress(bytes(300 << 20), 9)


def test_memory_stays_small(place, fake):
    """Whatever comes: endless bodies, bombs, many layers at once, documents at their limits."""
    before, names = blobs(place), [f"file-{i}" for i in range(200)]
    add_image(fake, "evil", "bomb", [layer({"a": b"1"})] * 6, bomb)
    _, document = add_image(fake, "evil", "endless", [layer({name: name.encode() * 20 for name in names})] * 6, gzip.compress)
    add_image(fake, "evil", "many", [layer({name: bytes([i]) * 4000 for name in names}) for i in range(8)], gzip.compress)
    fake.add_manifest("evil", "long", OCI + "manifest.v1+json", {**document, "annotations": {"a" * 100: "b" * (3 << 20)}})

    def endless_layer(request, handler):
        if "/blobs/" in request.path and document["layers"][0]["digest"] in request.path:
            endless(handler, b"")
            return True

    def pull_all():
        # One by one and then all at once.
        for tag in ("bomb", "endless", "many", "long"):
            fake.hook = endless_layer if tag == "endless" else None
            done = place.docker("pull", "-q", f"{fake.host}/evil:{tag}")
            assert (done.code == 0) == (tag in ("many", "long")), (tag, done)
        place.docker("rmi", "-f", f"{fake.host}/evil:many", f"{fake.host}/evil:long")
        fake.hook = None
        pulls = [subprocess.Popen([engines.docker_program(), "pull", "-q", f"{fake.host}/evil:{tag}"], env=place.environment,
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for tag in ("bomb", "many", "long")]
        assert [pull.wait(LIMIT_S) for pull in pulls] == [1, 0, 0]
        place.docker("rmi", "-f", f"{fake.host}/evil:many", f"{fake.host}/evil:long")

    peak = peak_of(place, pull_all)
    assert is_sanitized(place) or peak < MEMORY_LIMIT_KB, f"{peak} KiB"
    assert not [name for name in blobs(place) if name not in before]
    check_nothing_is_left(place, fake, before)


def test_slow_body_ends_with_its_client(place, fake):
    """A byte now and then keeps a connection alive, but not longer than somebody waits for it; others are not held up."""
    _, document = add_image(fake, "evil", "1", [layer({"a": b"slow"})], gzip.compress)
    add_image(fake, "good", "1", [layer({"a": b"fast"})], gzip.compress)
    before, over = blobs(place), threading.Event()

    def drip(request, handler):
        if document["layers"][0]["digest"] not in request.path:
            return False
        data = fake.blobs[document["layers"][0]["digest"]]
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        try:
            for byte in data:
                handler.wfile.write(bytes([byte]))
                handler.wfile.flush()
                if over.wait(0.3):
                    break
        except OSError:
            pass
        over.set()
        handler.close_connection = True
        return True

    fake.hook = drip
    pull = subprocess.Popen([engines.docker_program(), "pull", f"{fake.host}/evil:1"], env=place.environment, stdout=subprocess.DEVNULL)
    try:
        wait_until(lambda: fake.asked("GET", document["layers"][0]["digest"]), what="the layer under way")
        place.docker("pull", "-q", f"{fake.host}/good:1", check=True)
        assert pull.poll() is None
    finally:
        pull.kill()
        pull.wait()
    wait_until(over.is_set, what="the engine hanging up")
    place.docker("rmi", "-f", f"{fake.host}/good:1", check=True)
    wait_until(lambda: not list((place.data / "tmp").iterdir()), what="the download given up")
    place.docker("image", "prune", "-af", check=True)
    check_nothing_is_left(place, fake, before)


def certify(directory, name):
    run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=test",
         "-addext", f"subjectAltName=DNS:{name}", "-keyout", directory / "key.pem", "-out", directory / "cert.pem"], check=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / "cert.pem", directory / "key.pem")
    return context


def test_names_that_change_their_address(place, tmp_path):
    """A name that leads to loopback is no reason for plain HTTP; and one that leads elsewhere after the first answer gets nothing there."""
    for name in ("honest", "thief"):
        (tmp_path / name).mkdir()
    honest = FakeRegistry(tls=certify(tmp_path / "honest", NAME), address="127.0.0.3")
    port = honest.server.server_address[1]
    thief = FakeRegistry(tls=certify(tmp_path / "thief", NAME), address="127.0.0.4", port=port)
    plain = FakeRegistry(address="127.0.0.5", port=port)
    try:
        for one in (honest, thief, plain):
            add_image(one, "x", "1", [layer({"a": b"s"})], gzip.compress)
            one.users = {"somebody": "very-secret-word"}
            one.realm = f"https://{NAME}:{port}/token"
        directory = place.certificates / f"{NAME}:{port}"
        directory.mkdir()
        shutil.copy(tmp_path / "honest/cert.pem", directory / "ca.crt")
        target = f"/images/create?fromImage={NAME}:{port}/x&tag=1"

        def change_to(address):
            """For an engine that remembers no address."""
            place.stop()
            place.hosts.write_text(f"{address} {NAME}\n")
            place.start()

        place.hosts.write_text(f"127.0.0.5 {NAME}\n")
        status, said = with_auth(place, target, SECRET)
        assert "server gave HTTP response to HTTPS client" in said and not plain.requests, said

        def leave(request, handler):
            """After its first answer the name leads to the thief, and to new connections only that."""
            place.hosts.write_text(f"127.0.0.4 {NAME}\n")
            honest.hook = None
            honest.challenge(handler)
            handler.close_connection = True
            return True

        place.hosts.write_text(f"127.0.0.3 {NAME}\n")
        honest.hook = leave
        with_auth(place, target, SECRET)
        # What was looked up may be remembered for a while: then the honest one is asked on. The thief is told nothing in any case.
        assert not [r for r in thief.requests if r.headers.get("Authorization")] and not plain.requests
        change_to("127.0.0.4")
        status, said = with_auth(place, target, SECRET)
        assert "x509: certificate signed by unknown authority" in said and not thief.requests, said
        change_to("127.0.0.3")
        status, said = with_auth(place, target, SECRET)
        assert "Downloaded newer image" in said, said
        place.docker("rmi", "-f", f"{NAME}:{port}/x:1", check=True)
    finally:
        for one in (honest, thief, plain):
            one.close()


@pytest.mark.parametrize("pages", [1, 2])
def test_lists_of_tags_that_go_in_circles(place, fake, pages):
    def turn(request, handler):
        if not request.path.endswith("/tags/list"):
            return False
        number = int(request.query.get("page", ["0"])[0])
        fake.say(handler, 200, b'{"name": "evil", "tags": ["t%d"]}' % number, Link=f'</v2/evil/tags/list?page={(number + 1) % pages}>; rel="next"')
        return True
    fake.hook = turn
    try:
        said = place.docker("pull", "-a", f"{fake.host}/evil")
    finally:
        fake.hook = None
    assert said.code == 1 and "goes in circles" in said.err, said
    assert len(fake.asked("GET", "/tags/list")) <= pages + 1, "nobody asks twice"


def test_heads_without_end(place, fake):
    """Many headers are not kept; one that never ends is refused."""
    add_image(fake, "many", "headers", [layer({"a": b"headers"})], gzip.compress)
    before = status_of(place, "VmRSS")

    def boast(request, handler):
        if "/manifests/" not in request.path:
            return False
        media_type, data = fake.manifests["many", "headers"]
        handler.send_response(200)
        for number in range(2000):
            handler.send_header(f"X-Many-{number}", "x" * 20)
        handler.send_header("Content-Type", media_type)
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data)
        return True

    def boast_for_ever(request, handler):
        handler.send_response(200)
        try:
            for _ in range(1 << 12):
                handler.wfile.write(b"X-Endless: " + b"x" * 65536)
        except OSError:
            pass
        handler.close_connection = True
        return True
    for hook in (boast, boast_for_ever):
        fake.hook = hook
        place.docker("pull", f"{fake.host}/many:headers")  # may work or not; it ends
    fake.hook = None
    assert is_sanitized(place) or status_of(place, "VmRSS") - before < MEMORY_LIMIT_KB
    place.docker("pull", f"{fake.host}/many:headers", check=True)
