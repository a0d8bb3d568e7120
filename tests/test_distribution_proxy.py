"""A cache in front of another registry."""
import base64
import http.client
import http.server
import json
import os
import threading
import time
import urllib.parse

import pytest

from engine import run, wait_until
from registry import INDEX, MANIFEST, Registry, digest_of, manifest_of
from test_distribution_auth import ALICE, USERS
from tokens import Key

pytestmark = pytest.mark.own


@pytest.fixture
def origin(build):
    made = Registry(build, "--access-log").start()
    yield made
    made.remove()


def asked(origin, method, path):
    """How often the origin was asked for that."""
    return sum(f'method="{method}"' in line and f'path="{path}"' in line for line in origin.log.read_text().splitlines())


def cache_of(build, origin, *flags):
    return Registry(build, "--proxy", f"http://{origin.host}/", "--gc-interval", "0", *flags).start()


def test_pulls_pass_through_and_stay(build, origin):
    layer = os.urandom(3_000_000)
    digest = origin.push_image("a/b", "v1", layer)
    size = len(origin.get("/v2/a/b/manifests/v1").body)
    origin.push_manifest("a/b", "multi", {"schemaVersion": 2, "manifests": [{"mediaType": MANIFEST, "digest": digest, "size": size}]}, INDEX)
    cache = cache_of(build, origin)
    try:
        path = f"/v2/a/b/blobs/{digest_of(layer)}"
        head = cache.request("HEAD", path)
        assert head.status == 200 and head.headers["Content-Length"] == "3000000" and asked(origin, "GET", path) == 0
        assert cache.get("/v2/a/b/manifests/multi").headers["Content-Type"] == INDEX
        for reference in ("v1", digest):
            answer = cache.get(f"/v2/a/b/manifests/{reference}", Accept=MANIFEST)
            assert answer.status == 200 and answer.headers["Docker-Content-Digest"] == digest
        config = answer.json["config"]["digest"]
        assert cache.get(f"/v2/a/b/blobs/{config}", Range="bytes=0-4").body == origin.get(f"/v2/a/b/blobs/{config}").body[:5]
        answers = []
        threads = [threading.Thread(target=lambda: answers.append(cache.get(path))) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert all(answer.status == 200 and answer.body == layer and answer.headers["Content-Length"] == "3000000" for answer in answers)
        assert asked(origin, "GET", path) == 1, "six clients, one transfer"
        assert cache.get("/v2/a/b/tags/list").json["tags"] == ["multi", "v1"]
        assert cache.get("/v2/a/b/tags/list?n=1").headers["Link"].startswith("</v2/a/b/tags/list?last=multi")
        assert cache.get(f"/v2/a/b/referrers/{digest}").json["manifests"] == []
        for method, path in (("POST", "/v2/a/b/blobs/uploads/"), ("PUT", "/v2/a/b/manifests/v2"), ("DELETE", "/v2/a/b/manifests/v1")):
            assert cache.request(method, path).status == 405
        for path, code in (("/v2/a/b/manifests/none", "MANIFEST_UNKNOWN"), ("/v2/none/tags/list", "NAME_UNKNOWN"),
                           ("/v2/a/b/blobs/sha256:" + "0" * 64, "BLOB_UNKNOWN")):
            answer = cache.get(path)
            assert (answer.status, answer.code) == (404, code)
        origin.stop()
        assert cache.get("/v2/a/b/manifests/v1").headers["Docker-Content-Digest"] == digest, "good enough without the origin"
        assert cache.get(f"/v2/a/b/blobs/{digest_of(layer)}").body == layer
        answer = cache.get("/v2/a/b/manifests/none")
        assert (answer.status, answer.code) == (502, "UNAVAILABLE")
        assert cache.verify().code == 0
    finally:
        cache.remove()


def test_tags_are_fresh(build, origin):
    old = origin.push_image("r", "v1", b"old")
    always, seldom = cache_of(build, origin), cache_of(build, origin, "--proxy-fresh", "1h")
    try:
        for cache in (always, seldom):
            assert cache.get("/v2/r/manifests/v1").headers["Docker-Content-Digest"] == old
        new = origin.push_image("r", "v1", b"new")
        assert always.get("/v2/r/manifests/v1").headers["Docker-Content-Digest"] == new
        assert seldom.get("/v2/r/manifests/v1").headers["Docker-Content-Digest"] == old
        before = asked(origin, "GET", "/v2/r/manifests/v1")
        for _ in range(3):
            assert always.get("/v2/r/manifests/v1").headers["Docker-Content-Digest"] == new
        assert asked(origin, "GET", "/v2/r/manifests/v1") == before, "asking whether it changed is enough"
        origin.request("DELETE", "/v2/r/manifests/v1")
        assert always.get("/v2/r/manifests/v1").status == 404
    finally:
        always.remove()
        seldom.remove()


def test_what_nobody_asks_for_goes(build, origin):
    origin.push_image("r", "v1", b"layer one")
    cache = cache_of(build, origin, "--proxy-keep", "1h", "--gc-grace", "0")
    try:
        def pull():
            for blob in cache.get("/v2/r/manifests/v1").json["layers"]:
                assert cache.get(f"/v2/r/blobs/{blob['digest']}").status == 200
        pull()
        cache.collect()
        assert len(list((cache.root / "blobs").glob("*/*/*"))) == 1
        cache.age(2 * 3600)
        pull()
        cache.collect()
        assert len(list((cache.root / "blobs").glob("*/*/*"))) == 1, "it was used"
        cache.age(2 * 3600)
        cache.collect()
        assert not list((cache.root / "blobs").glob("*/*/*")) and cache.verify().code == 0
        pull()
    finally:
        cache.remove()


def test_origin_wants_a_password(build, tmp_path):
    (tmp_path / "htpasswd").write_text(USERS)
    (tmp_path / "right").write_text("alice:secret\n")
    (tmp_path / "wrong").write_text("alice:guess\n")
    origin = Registry(build, "--htpasswd", tmp_path / "htpasswd").start()
    origin.request("POST", f"/v2/r/blobs/uploads/?digest={digest_of(b'{}')}", body=b"{}", headers=ALICE)
    caches = []
    try:
        for flags, status in ((["--proxy-credentials", tmp_path / "right"], 200), (["--proxy-credentials", tmp_path / "wrong"], 502), ([], 502)):
            caches.append(cache_of(build, origin, *flags))
            assert caches[-1].get(f"/v2/r/blobs/{digest_of(b'{}')}").status == status
        assert run([build / "berth-registry", "--root", tmp_path / "root", "--proxy", "ftp://x"]).code == 1
    finally:
        for registry in (*caches, origin):
            registry.remove()


def test_origin_wants_tokens(build, tmp_path):
    key = Key(tmp_path, "ES256", "key")
    (tmp_path / "keys.json").write_text(json.dumps(key.public))
    (tmp_path / "credentials").write_text("me:mine")
    questions = []

    class Service(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(self.path).query))
            questions.append((query, self.headers.get("Authorization")))
            kind, name, actions = query["scope"].split(":")
            claims = {"iss": "them", "aud": query["service"], "exp": int(time.time()) + 300,
                      "access": [{"type": kind, "name": name, "actions": actions.split(",")}]}
            body = json.dumps({"token": key.token(claims), "expires_in": 300}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass
    service = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Service)
    threading.Thread(target=service.serve_forever, daemon=True).start()
    origin = Registry(build, "--token-realm", f"http://127.0.0.1:{service.server_port}/token", "--token-service", "us", "--token-issuer", "them",
                      "--token-keys", tmp_path / "keys.json").start()
    cache = None
    try:
        push = key.token({"iss": "them", "aud": "us", "exp": int(time.time()) + 300, "access": [{"type": "repository", "name": "r", "actions": ["push"]}]})
        headers = {"Authorization": f"Bearer {push}"}
        assert origin.request("POST", f"/v2/r/blobs/uploads/?digest={digest_of(b'{}')}", body=b"{}", headers=headers).status == 201
        document = json.dumps(manifest_of(b"{}")).encode()
        assert origin.request("PUT", "/v2/r/manifests/v1", body=document, headers={**headers, "Content-Type": MANIFEST}).status == 201
        cache = cache_of(build, origin, "--proxy-credentials", tmp_path / "credentials")
        assert cache.get("/v2/r/manifests/v1").body == document and cache.get(f"/v2/r/blobs/{digest_of(b'{}')}").body == b"{}"
        assert questions == [({"service": "us", "scope": "repository:r:pull"}, "Basic " + base64.b64encode(b"me:mine").decode())], "one token is enough"
    finally:
        for registry in filter(None, (cache, origin)):
            registry.remove()
        service.shutdown()
        service.server_close()


class Liar(http.server.BaseHTTPRequestHandler):
    """Answers every blob and manifest with other bytes than its digest says, or stops in the middle."""
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = b"x" * 100_000 if "/blobs/" in self.path else json.dumps(manifest_of(b"{}")).encode()
        self.send_response(200)
        self.send_header("Content-Type", MANIFEST)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[:50_000] if "short" in self.path else body)
        self.close_connection = True

    def log_message(self, *_):
        pass


def test_an_origin_that_lies_leaves_nothing(build):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Liar)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    cache = Registry(build, "--proxy", f"http://127.0.0.1:{server.server_port}", "--gc-interval", "0").start()
    try:
        digest = "sha256:" + "0" * 64
        assert cache.get(f"/v2/r/manifests/{digest}").status == 502
        cache.get(f"/v2/r/blobs/{digest}")
        with pytest.raises(http.client.IncompleteRead):
            cache.get(f"/v2/short/blobs/{digest}")
        wait_until(lambda: not list((cache.root / "uploads").iterdir()), what="the rest being removed")
        assert not list((cache.root / "blobs").glob("*/*/*")) and cache.verify().code == 0
    finally:
        cache.remove()
        server.shutdown()
        server.server_close()
