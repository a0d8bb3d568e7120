"""The ways to registries: search, proxies, certificates of clients, limits that pass, layers that lie elsewhere, helpers that keep tokens."""
import base64
import gzip
import json
import os
import shutil
import socket
import ssl
import threading

import pytest

import engine as engines
from engine import run
from fake_registry import OCI, FakeRegistry, add_image
from registries import fake  # noqa: F401 (a fixture)
from test_save_load import layer

pytestmark = pytest.mark.own
NAME = "registry.behind.test"  # nobody but a proxy knows it


class Tunnel:
    """A proxy that connects whatever it is asked for to one place, and notes what that was."""

    def __init__(self, target):
        self.target, self.asked = target, []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.connect, args=(client,), daemon=True).start()

    def connect(self, client):
        head = b""
        while b"\r\n\r\n" not in head:
            part = client.recv(4096)
            if not part:
                return client.close()
            head += part
        self.asked.append(head.split(b"\r\n")[0].decode())
        try:
            server = socket.create_connection(self.target)
        except OSError:
            client.sendall(b"HTTP/1.1 502 Bad Gateway\r\n\r\n")
            return client.close()
        client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        threading.Thread(target=self.copy, args=(server, client), daemon=True).start()
        self.copy(client, server)

    @staticmethod
    def copy(source, target):
        try:
            while part := source.recv(65536):
                target.sendall(part)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def close(self):
        self.listener.close()


def certificate(directory, names, issuer=None):
    """key.pem and cert.pem; of the issuer's making, or its own."""
    directory.mkdir()
    signed = ["-CA", issuer / "cert.pem", "-CAkey", issuer / "key.pem"] if issuer else []
    run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", f"/CN={directory.name}",
         "-addext", f"subjectAltName={names}", *signed, "-keyout", directory / "key.pem", "-out", directory / "cert.pem"], check=True)
    return directory


def server_context(directory):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / "cert.pem", directory / "key.pem")
    return context


@pytest.fixture(scope="module")
def place(build, docker_client, tmp_path_factory):
    certificates = tmp_path_factory.mktemp("certs")
    made = engines.Engine(build, extra=["--registry-certificates", certificates]).start()
    made.certificates = certificates
    yield made
    made.remove()


# ---- search ----

FOUND = [{"name": "team/web", "description": "A web server,\nfast " + "and small " * 9, "star_count": 12, "is_official": False, "is_automated": False},
         {"name": "web", "description": "Official", "star_count": 900, "is_official": True, "is_automated": False},
         {"name": "old/web", "description": "", "star_count": 0, "is_official": False, "is_automated": True}]


@pytest.mark.current_client
@pytest.mark.parametrize("client", ["docker", "berth"])
def test_search(place, fake, client):
    def answer(request, handler):
        if request.path == "/v1/search":
            fake.say(handler, 200, json.dumps({"num_results": len(FOUND), "query": request.query["q"][0], "results": FOUND}).encode())
            return True

    fake.hook = answer

    def names(*flags):
        return getattr(place, client)("search", "--format", "{{.Name}}", *flags, f"{fake.host}/web", check=True).out.split()

    assert sorted(names()) == ["old/web", "team/web", "web"]
    assert fake.requests[-1].query == {"q": ["web"], "n": ["25"]}
    names("--limit", "7")
    assert fake.requests[-1].query["n"] == ["7"]
    assert names("--filter", "is-official=true") == ["web"]
    assert names("--filter", "stars=12", "--filter", "is-official=false") == ["team/web"]
    table = getattr(place, client)("search", f"{fake.host}/web", check=True).out.splitlines()
    assert table[0].split() == ["NAME", "DESCRIPTION", "STARS", "OFFICIAL"]
    (row,) = [line for line in table if line.startswith("team/web ")]
    assert "A web server, fast and small" in row and "…" in row and row.split()[-1] == "12"
    (row,) = [line for line in table if line.startswith("web ")]
    assert row.split() == ["web", "Official", "900", "[OK]"]
    for flags, text in ((("--limit", "101"), "outside the range"), (("--filter", "color=red"), "invalid filter 'color'"),
                        (("--filter", "stars=many"), "invalid filter 'stars=")):
        said = getattr(place, client)("search", *flags, f"{fake.host}/web")
        assert said.code == 1 and text in said.err, said
    fake.hook = lambda request, handler: fake.say(handler, 503, b"busy") or True
    said = getattr(place, client)("search", f"{fake.host}/web")
    assert said.code == 1 and "503" in said.err


# ---- proxies ----

def test_proxies(build, docker_client, fake, tmp_path):
    """Plain HTTP is asked of the proxy, TLS goes through it, and what no-proxy names is asked directly."""
    certificates = tmp_path / "certs"
    secure = FakeRegistry(tls=server_context(certificate(tmp_path / "server", f"DNS:{NAME}")))
    tunnel = Tunnel(("127.0.0.1", secure.server.server_address[1]))
    direct = FakeRegistry(address="127.0.0.2")
    (certificates / f"{NAME}:443").mkdir(parents=True)
    (certificates / NAME).mkdir()
    for directory in (f"{NAME}:443", NAME):
        shutil.copy(tmp_path / "server/cert.pem", certificates / directory / "ca.crt")
    made = engines.Engine(build, extra=["--http-proxy", fake.url, "--https-proxy", tunnel.url, "--no-proxy", "127.0.0.2",
                                        "--insecure-registry", f"plain.{NAME}:5000", "--registry-certificates", certificates, "--max-download-attempts=1"])
    try:
        made.start()
        for one in (fake, secure, direct):
            add_image(one, "x", "1", [layer({"a": b"proxied"})], gzip.compress)
        made.docker("pull", "-q", f"{NAME}/x:1", check=True)
        assert set(tunnel.asked) == {f"CONNECT {NAME}:443 HTTP/1.1"} and secure.asked("GET", "/blobs/")
        assert not fake.requests
        made.docker("pull", "-q", f"{direct.host}/x:1", check=True)
        assert direct.asked("GET", "/manifests/") and not fake.requests
        tunnel.target = ("127.0.0.1", fake.server.server_address[1])  # nobody speaks TLS there: plain HTTP is next
        made.docker("pull", "-q", f"plain.{NAME}:5000/x:1", check=True)
        assert {request.headers["Host"] for request in fake.requests} == {f"plain.{NAME}:5000"}
        fake.hook = lambda request, handler: fake.say(handler, 410, b"") or True
        said = made.berth("import", f"http://files.{NAME}/x.tar")
        assert said.code == 1 and "410" in said.err and fake.requests[-1].headers["Host"] == f"files.{NAME}", said
        assert made.docker("info", "-f", "{{.HTTPProxy}} {{.HTTPSProxy}} {{.NoProxy}}", check=True).out.split() == [fake.url, tunnel.url, "127.0.0.2"]
    finally:
        made.remove()
        for one in (secure, tunnel, direct):
            one.close()


def test_proxies_of_the_environment(build, tmp_path):
    """What the daemon's environment says is used and told, without the words that let one in."""
    made = engines.Engine(build, extra=["--config-file", tmp_path / "daemon.json"])
    (tmp_path / "daemon.json").write_text(json.dumps({"proxies": {"no-proxy": "a,b"}}))
    made.daemon_environment = {**os.environ, "HTTP_PROXY": "http://some:se@cret@proxy.test:1/@x", "https_proxy": "some:secret@proxy.test:2", "NO_PROXY": "c"}
    try:
        made.start()
        said = json.loads(made.berth("info", "--format", "{{json .}}", check=True).out)
        assert [said[key] for key in ("HttpProxy", "HttpsProxy", "NoProxy")] == \
            ["http://xxxxx:xxxxx@proxy.test:1/@x", "xxxxx:xxxxx@proxy.test:2", "a,b"]
        said = made.berth("pull", f"{NAME}/x:1")
        assert said.code == 1 and "proxyconnect tcp: dial tcp: no such host" in said.err, said
    finally:
        made.remove()


def test_a_tunnel_that_fails_is_no_answer(build, fake):
    """An insecure registry is asked with plain HTTP when the proxy does not get through to it with TLS, whatever the reason."""
    add_image(fake, "x", "1", [layer({"a": b"tunnel"})], gzip.compress)
    nowhere = Tunnel(("127.0.0.1", 1))
    silent = Tunnel(None)
    silent.connect = lambda client: (client.recv(4096), client.close())
    try:
        for proxy, reason in ((nowhere.url, "proxyconnect tcp: the proxy answers with status 502"), (silent.url, "proxyconnect tcp: EOF"),
                              ("http://127.0.0.1:1", "proxyconnect tcp: dial tcp: connect: connection refused")):
            made = engines.Engine(build, extra=["--http-proxy", fake.url, "--https-proxy", proxy, "--insecure-registry", f"{NAME}:5000"])
            try:
                made.start()
                before = len(fake.requests)
                made.berth("pull", "-q", f"{NAME}:5000/x:1", check=True)
                assert {request.headers["Host"] for request in fake.requests[before:]} == {f"{NAME}:5000"}
                before = len(fake.requests)
                said = made.berth("pull", f"secure.{NAME}:5000/x:1")
                assert said.code == 1 and reason in said.err and len(fake.requests) == before, said
            finally:
                made.remove()
    finally:
        nowhere.close()
        silent.close()


# ---- who we are ----

def test_certificates_of_clients(place, tmp_path):
    """A registry that wants to see one gets that of its own directory, and no other registry does."""
    authority = certificate(tmp_path / "authority", "DNS:authority")
    context = server_context(certificate(tmp_path / "server", "IP:127.0.0.3", authority))
    context.load_verify_locations(authority / "cert.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    registry = FakeRegistry(tls=context, address="127.0.0.3")
    try:
        add_image(registry, "x", "1", [layer({"a": b"mutual"})], gzip.compress)
        directory = place.certificates / registry.host
        directory.mkdir()
        said = place.docker("pull", f"{registry.host}/x:1")
        assert said.code == 1 and not registry.requests, said
        client = certificate(tmp_path / "client", "DNS:client", authority)
        shutil.copy(authority / "cert.pem", directory / "ca.crt")
        shutil.copy(client / "cert.pem", directory / "client.cert")
        said = place.docker("pull", f"{registry.host}/x:1")
        assert said.code == 1 and "missing key" in said.err and not registry.requests, said
        shutil.copy(client / "key.pem", directory / "client.key")
        place.docker("pull", "-q", f"{registry.host}/x:1", check=True)
        assert registry.asked("GET", "/blobs/")
        place.docker("rmi", f"{registry.host}/x:1", check=True)
    finally:
        registry.close()


def test_a_helper_of_one_registry_keeps_a_token(place, fake, tmp_path):
    """credHelpers; what the registry gave instead of the password is kept under the name <token>, and used by docker's client too."""
    add_image(fake, "x", "1", [layer({"a": b"token"})], gzip.compress)
    fake.users = {"somebody": "secret"}
    helper = tmp_path / "docker-credential-own"
    helper.write_text(f"""#!/bin/sh
case $1 in
store) cat > {tmp_path}/stored;;
get) cat > /dev/null; [ -f {tmp_path}/stored ] && cat {tmp_path}/stored || {{ echo credentials not found in native keychain; exit 1; }};;
erase) cat > /dev/null; rm -f {tmp_path}/stored;;
esac
""")
    helper.chmod(0o755)
    (tmp_path / "config.json").write_text(json.dumps({"credHelpers": {fake.host: "own"}}))
    env = {**place.environment, "PATH": f"{tmp_path}:{os.environ['PATH']}", "DOCKER_CONFIG": str(tmp_path)}
    berth = place.build / "berth"
    said = run([berth, "pull", "-q", f"{fake.host}/x:1"], env=env)  # docker's client would ask the user now
    assert said.code == 1 and "unauthorized" in said.err, said
    for client in (berth, engines.docker_program()):
        run([client, "login", "-u", "somebody", "--password-stdin", fake.host], env=env, stdin="secret\n", check=True)
        stored = json.loads((tmp_path / "stored").read_text())
        assert stored["Username"] == "<token>" and stored["Secret"] == "refresh-me"
        assert "secret" not in (tmp_path / "config.json").read_text()
        for each in (berth, engines.docker_program()):
            run([each, "pull", "-q", f"{fake.host}/x:1"], env=env, check=True)
            assert b"refresh-me" in fake.asked("POST", "/token")[-1].body
        run([client, "logout", fake.host], env=env, check=True)
        assert not (tmp_path / "stored").exists()
    assert not [r for r in fake.asked("GET", "/v2/") if base64.b64encode(b"somebody:secret").decode() in str(r.headers)], "only the token server saw it"


# ---- limits that pass ----

def test_too_many_requests_for_a_while(place, fake):
    """429 is waited for as long as it says, for manifests and for layers, and then the pull goes on."""
    _, document = add_image(fake, "busy", "1", [layer({"a": b"busy"})], gzip.compress)
    refused = {}

    def refuse_once(request, handler):
        kind = request.path.split("/")[-2]
        if kind in ("manifests", "blobs") and not refused.get(request.path):
            refused[request.path] = True
            fake.refuse(handler, 429, "TOOMANYREQUESTS", "slower, please", Retry_After="1")
            return True

    fake.hook = refuse_once
    place.docker("pull", "-q", f"{fake.host}/busy:1", check=True)
    assert len(refused) >= 3 and len(fake.asked("GET", document["layers"][0]["digest"])) == 2
    place.docker("rmi", f"{fake.host}/busy:1", check=True)


# ---- foreign layers ----

FOREIGN = "layer.nondistributable.v1.tar+gzip"


def test_foreign_layers(place, fake):
    """A layer that registries need not have is got from where the manifest says, without credentials; and leaves as it came."""
    directory = place.certificates / "elsewhere"
    elsewhere = FakeRegistry(tls=server_context(certificate(directory, "IP:127.0.0.4")), address="127.0.0.4")
    try:
        _, document = add_image(fake, "foreign", "1", [layer({"a": b"foreign"})], gzip.compress, FOREIGN)
        entry = document["layers"][0]
        data = fake.blobs.pop(entry["digest"])
        entry["urls"] = [f"{elsewhere.url}/gone", f"{elsewhere.url}/files/layer"]
        wanted = fake.add_manifest("foreign", "1", OCI + "manifest.v1+json", document)["digest"]
        content = data

        def answer(request, handler):
            if request.path == "/files/layer":
                elsewhere.say(handler, 200, content, "application/octet-stream")
                return True

        elsewhere.hook = answer
        fake.users = {"": ""}
        name = f"{fake.host}/foreign:1"
        content = data[:-1] + b"?"
        said = place.docker("pull", name)
        assert said.code == 1 and "verification failed for digest" in said.err
        content = data
        place.docker("pull", "-q", name, check=True)
        assert [r.path for r in elsewhere.requests][-2:] == ["/gone", "/files/layer"]
        assert not [r for r in elsewhere.requests if r.headers.get("Authorization")]
        assert wanted in place.docker("inspect", "-f", "{{.RepoDigests}}", name).out
        place.docker("rmi", name, check=True)
        # Neither plain HTTP nor a layer of another kind makes the engine ask elsewhere.
        before = len(elsewhere.requests)
        entry["urls"] = [f"http://{fake.host}/elsewhere"]
        fake.add_manifest("foreign", "2", OCI + "manifest.v1+json", document)
        entry.update(urls=[f"{elsewhere.url}/files/layer"], mediaType=OCI + "layer.v1.tar+gzip")
        fake.add_manifest("foreign", "3", OCI + "manifest.v1+json", document)
        for tag in ("2", "3"):
            said = place.docker("pull", f"{fake.host}/foreign:{tag}")
            assert said.code == 1 and "blob unknown" in said.err, said
        assert len(elsewhere.requests) == before and not fake.asked("GET", "/elsewhere")
    finally:
        elsewhere.close()
