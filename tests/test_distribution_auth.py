"""Who may do what at the registry: passwords, rules, tokens, TLS; with other people's clients where they have an opinion."""
import base64
import http.client
import json
import signal
import ssl
import time

import pytest

from engine import LIMIT_S, run, wait_until
from registry import MANIFEST, Registry, digest_of, manifest_of
from test_tls import certificates  # noqa: F401 (a fixture)
from tokens import Key

pytestmark = pytest.mark.own

# bcrypt with the least cost, of "secret" and of "wonder"
USERS = ("alice:$2y$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW\n"
         "bob:$2b$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW\n")


def basic(user, password):
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


ALICE, BOB = basic("alice", "secret"), basic("bob", "secret")


def reload(registry, what="reloaded"):
    before = registry.log.read_text().count(what)
    registry.process.send_signal(signal.SIGHUP)
    wait_until(lambda: registry.log.read_text().count(what) > before, step_s=0.01, what="the reload")


@pytest.fixture
def users(tmp_path):
    (tmp_path / "htpasswd").write_text(USERS)
    return tmp_path / "htpasswd"


def test_passwords(build, users):
    registry = Registry(build, "--htpasswd", users, "--realm", "tests").start()
    try:
        for headers in ({}, basic("alice", "wrong"), basic("alice", ""), basic("nobody", "secret"), basic("", ""),
                        {"Authorization": "Basic !!!"}, {"Authorization": "Basic"}, {"Authorization": "Bearer x"}, {"Authorization": ""}):
            for path in ("/v2/", "/v2/_catalog", "/v2/r/manifests/latest", "/v2/r/tags/list"):
                answer = registry.request("GET", path, headers=headers)
                assert (answer.status, answer.code) == (401, "UNAUTHORIZED"), (headers, path)
                assert answer.headers["WWW-Authenticate"] == 'Basic realm="tests"'
        assert registry.get("/").status == 200
        for _ in range(3):
            for user in (ALICE, BOB):
                assert registry.request("GET", "/v2/", headers=user).status == 200
        answer = registry.request("POST", f"/v2/r/blobs/uploads/?digest={digest_of(b'x')}", body=b"x", headers=ALICE)
        assert answer.status == 201
        users.write_text(USERS.splitlines()[1] + "\n")
        reload(registry)
        assert registry.request("GET", "/v2/", headers=ALICE).status == 401
        assert registry.request("GET", "/v2/", headers=BOB).status == 200
        users.write_text("carol:plain\n")
        reload(registry, "nothing is reloaded")
        assert registry.request("GET", "/v2/", headers=BOB).status == 200
    finally:
        registry.remove()


def test_clients_log_in(build, users, docker_client, tmp_path):
    registry = Registry(build, "--htpasswd", users).start()
    try:
        name = f"docker://{registry.host}/r:v1"
        registry.request("POST", f"/v2/r/blobs/uploads/?digest={digest_of(b'{}')}", body=b"{}", headers=ALICE)
        manifest = json.dumps(manifest_of(b"{}")).encode()
        assert registry.request("PUT", "/v2/r/manifests/v1", body=manifest, headers={**ALICE, "Content-Type": MANIFEST}).status == 201
        assert run(["skopeo", "inspect", "--raw", "--tls-verify=false", "--creds", "alice:secret", name], check=True).out == manifest.decode()
        for credentials in (["--no-creds"], ["--creds", "alice:wrong"]):
            assert run(["skopeo", "inspect", "--raw", "--tls-verify=false", *credentials, name]).code != 0
    finally:
        registry.remove()


RULES = {"rules": [
    {"users": ["anonymous"], "repositories": ["public/**"], "actions": ["pull"]},
    {"users": ["*"], "repositories": ["**"], "actions": ["pull"]},
    {"users": ["alice"], "repositories": ["team/*", "public/*"], "actions": ["push", "delete"]},
    {"users": ["alice"], "repositories": ["secret/*"], "actions": ["push"]},
    {"users": ["bob"], "repositories": ["bob"], "actions": ["*"]},
]}


def test_rules(build, users, tmp_path):
    (tmp_path / "rules.json").write_text(json.dumps(RULES))
    registry = Registry(build, "--htpasswd", users, "--rules", tmp_path / "rules.json").start()

    def try_push(repository, headers):
        return registry.request("POST", f"/v2/{repository}/blobs/uploads/?digest={digest_of(b'{}')}", body=b"{}", headers=headers)

    def look(repository, headers):
        return registry.request("GET", f"/v2/{repository}/blobs/{digest_of(b'{}')}", headers=headers)
    try:
        for repository, user, status in (("public/a", {}, 401), ("public/a", BOB, 403), ("public/a", ALICE, 201), ("team/a", ALICE, 201),
                                         ("team/a/b", ALICE, 403), ("bob", BOB, 201), ("bob", ALICE, 403)):
            answer = try_push(repository, user)
            assert answer.status == status, (repository, user, answer)
            assert status != 403 or answer.code == "DENIED"
        for repository, user, status in (("public/a", {}, 200), ("team/a", {}, 401), ("team/a", BOB, 200)):
            assert look(repository, user).status == status, (repository, user)
        assert registry.request("DELETE", f"/v2/team/a/blobs/{digest_of(b'{}')}", headers=BOB).status == 403
        assert registry.request("GET", "/v2/_catalog", headers=BOB).status == 200
        assert registry.request("GET", "/v2/_catalog", headers=ALICE).status == 403
        assert registry.request("GET", "/v2/").status == 200, "somebody who is not known may pull something"
        # A blob is mounted only from where it may be read, said or not.
        RULES["rules"][1]["repositories"] = ["none"]
        (tmp_path / "rules.json").write_text(json.dumps(RULES))
        reload(registry)
        assert registry.request("DELETE", f"/v2/public/a/blobs/{digest_of(b'{}')}", headers=ALICE).status == 202
        for source in ("&from=bob", ""):
            assert registry.request("POST", f"/v2/team/b/blobs/uploads/?mount={digest_of(b'{}')}{source}", headers=ALICE).status == 202
        assert registry.request("POST", f"/v2/bob/blobs/uploads/?mount={digest_of(b'{}')}&from=bob", headers=BOB).status == 201
    finally:
        registry.remove()


def test_rules_without_passwords(build, tmp_path):
    (tmp_path / "rules.json").write_text(json.dumps({"rules": [{"users": ["anonymous"], "repositories": ["open/**"], "actions": ["pull", "push"]}]}))
    registry = Registry(build, "--rules", tmp_path / "rules.json").start()
    try:
        registry.push_blob("open/a", b"x")
        assert registry.request("POST", "/v2/closed/blobs/uploads/").code == "DENIED"
    finally:
        registry.remove()


# ---- tokens ----

@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    place = tmp_path_factory.mktemp("keys")
    made = {kind: Key(place, kind, kind) for kind in ("RS256", "ES256")}
    (place / "keys.json").write_text(json.dumps({"keys": [key.public for key in made.values()]}))
    return place / "keys.json", made, Key(place, "ES256", "stranger")


@pytest.fixture(scope="module")
def guarded(build, keys):
    registry = Registry(build, "--token-realm", "https://auth.example/token", "--token-service", "us", "--token-issuer", "them", "--token-keys", keys[0])
    registry.start()
    yield registry
    registry.remove()


def claims(*access, **others):
    return {"iss": "them", "aud": "us", "sub": "alice", "exp": int(time.time()) + 300,
            "access": [{"type": kind, "name": name, "actions": actions} for kind, name, actions in access], **others}


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


def test_challenges(guarded):
    start = 'Bearer realm="https://auth.example/token",service="us"'
    for method, path, scope in (("GET", "/v2/", ""), ("GET", "/v2/a/b/manifests/x", ',scope="repository:a/b:pull"'),
                                ("POST", "/v2/a/blobs/uploads/", ',scope="repository:a:pull,push"'), ("DELETE", "/v2/a/manifests/x", ',scope="repository:a:delete"'),
                                ("GET", "/v2/_catalog", ',scope="registry:catalog:*"')):
        answer = guarded.request(method, path)
        assert (answer.status, answer.code) == (401, "UNAUTHORIZED") and answer.headers["WWW-Authenticate"] == start + scope


@pytest.mark.parametrize("kind", ["RS256", "ES256"])
def test_tokens(guarded, keys, kind):
    key, stranger = keys[1][kind], keys[2]
    pull = ("repository", "a/b", ["pull"])
    good = bearer(key.token(claims(pull, ("repository", "p", ["pull", "push"]), ("registry", "catalog", ["*"]))))

    def status(method, path, headers, body=None):
        return guarded.request(method, path, body=body, headers=headers).status
    assert status("GET", "/v2/", good) == 200
    assert status("GET", "/v2/a/b/tags/list", good) == 404
    assert status("GET", "/v2/_catalog", good) == 200
    assert status("POST", f"/v2/p/blobs/uploads/?digest={digest_of(b'x')}", good, b"x") == 201
    assert status("POST", f"/v2/p/blobs/uploads/?mount={digest_of(b'x')}&from=other", good) == 202
    answer = guarded.request("POST", "/v2/a/b/blobs/uploads/", headers=good)
    assert answer.status == 401 and answer.headers["WWW-Authenticate"].endswith('scope="repository:a/b:pull,push",error="insufficient_scope"')
    assert status("GET", "/v2/a/c/tags/list", good) == 401
    for wrong in (claims(pull, iss="else"), claims(pull, aud="else"), claims(pull, aud=None), claims(pull, exp=int(time.time()) - 61), claims(pull, exp=None),
                  claims(pull, nbf=int(time.time()) + 120), claims(pull, access="all")):
        answer = guarded.request("GET", "/v2/a/b/tags/list", headers=bearer(key.token(wrong)))
        assert answer.status == 401 and answer.headers["WWW-Authenticate"].endswith('error="invalid_token"'), wrong
    token = key.token(claims(pull))
    for wrong in (stranger.token(claims(pull)), stranger.token(claims(pull), kid=kind), key.token(claims(pull), alg="none"), key.token(claims(pull), kid="x"),
                  key.token(claims(pull), crit=["x"]), token[:-4], token[:-4] + "AAAA", token.replace(".", "", 1), "x" * 40_000):
        assert status("GET", "/v2/a/b/tags/list", bearer(wrong)) == 401
    assert status("GET", "/v2/a/b/tags/list", bearer(key.token(claims(pull, aud=["else", "us"]), kid=None))) == 404


@pytest.mark.parametrize("flags,said", [
    (["--token-realm", "x"], "tokens need"), (["--htpasswd", "/nowhere"], "/nowhere"), (["--rules", "/dev/null"], "/dev/null"),
    (["--token-realm", "x", "--token-service", "x", "--token-issuer", "x", "--token-keys", "/dev/null"], "/dev/null")])
def test_wrong_settings(build, tmp_path, flags, said):
    result = run([build / "berth-registry", "--root", tmp_path / "root", *flags])
    assert result.code == 1 and said in result.err, result


# ---- TLS ----

def test_tls_and_client_certificates(build, certificates):  # noqa: F811
    registry = Registry(build, "--tls-cert", certificates / "server.pem", "--tls-key", certificates / "server-key.pem",
                        "--tls-client-ca", certificates / "ca.pem").start()
    try:
        context = ssl.create_default_context(cafile=certificates / "ca.pem")

        def ask(method, path, body=None):
            connection = http.client.HTTPSConnection("127.0.0.1", registry.port, context=context, timeout=LIMIT_S)
            connection.request(method, path, body=body)
            answer = connection.getresponse()
            return answer.status, answer.read()
        with pytest.raises((ssl.SSLError, ConnectionError)):
            ask("GET", "/v2/")
        context.load_cert_chain(certificates / "client.pem", certificates / "client-key.pem")
        assert ask("GET", "/v2/")[0] == 200
        data = bytes(range(256)) * 2000  # more than is sent at once: copied, as the kernel cannot send it by itself
        assert ask("POST", f"/v2/r/blobs/uploads/?digest={digest_of(data)}", data)[0] == 201
        assert ask("GET", f"/v2/r/blobs/{digest_of(data)}") == (200, data)
    finally:
        registry.remove()
