"""A registry that does what a test tells it to: cut, delay, lie, ask for tokens, send elsewhere. It keeps what it was asked."""
import base64
import collections
import hashlib
import http.server
import json
import threading
import urllib.parse

Request = collections.namedtuple("Request", "method path query headers body")


class FakeRegistry:
    """Serves self.blobs (digest: bytes) and self.manifests ((repository, reference): (type, bytes)). self.hook(request, handler) may
    answer first; it then gives True. With self.users it wants tokens (self.realm) or, with self.basic, passwords."""

    def __init__(self, tls=None, address="127.0.0.1", port=0):
        self.blobs, self.manifests, self.requests, self.uploads = {}, {}, [], []
        self.hook, self.users, self.basic, self.realm = None, None, False, None
        self.refresh_tokens = {}
        self.lock = threading.Lock()
        registry = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *arguments):
                pass

            def handle_any(self):
                registry.answer(self)

            do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any

        self.server = http.server.ThreadingHTTPServer((address, port), Handler)
        self.server.daemon_threads = True
        if tls:
            self.server.socket = tls.wrap_socket(self.server.socket, server_side=True)
        self.host = f"{address}:{self.server.server_address[1]}"
        self.url = f"{'https' if tls else 'http'}://{self.host}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    # ---- what it has ----

    def add_blob(self, data):
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        self.blobs[digest] = data
        return digest

    def add_manifest(self, repository, tag, media_type, document):
        data = document if isinstance(document, bytes) else json.dumps(document).encode()
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        self.manifests[repository, tag] = self.manifests[repository, digest] = (media_type, data)
        return {"mediaType": media_type, "digest": digest, "size": len(data)}

    def asked(self, method, part):
        with self.lock:
            return [r for r in self.requests if r.method == method and part in r.path]

    # ---- what it says ----

    def answer(self, handler):
        url = urllib.parse.urlsplit(handler.path)
        body = self.read_body(handler)
        request = Request(handler.command, url.path, urllib.parse.parse_qs(url.query), handler.headers, body)
        with self.lock:
            self.requests.append(request)
        if self.hook and self.hook(request, handler):
            return
        if url.path == "/token":
            self.give_token(request, handler)
        elif not self.is_allowed(request):
            self.challenge(handler)
        else:
            self.serve(request, handler)

    def read_body(self, handler):
        if handler.headers.get("Transfer-Encoding") != "chunked":
            return handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        body = b""
        while size := int(handler.rfile.readline() or b"0", 16):
            body += handler.rfile.read(size)
            handler.rfile.readline()
        handler.rfile.readline()
        return body

    def say(self, handler, status, data=b"", media_type="application/json", **headers):
        handler.send_response(status)
        handler.send_header("Content-Type", media_type)
        handler.send_header("Content-Length", str(len(data)))
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        if handler.command != "HEAD":
            handler.wfile.write(data)

    def refuse(self, handler, status, code, message, **headers):
        self.say(handler, status, json.dumps({"errors": [{"code": code, "message": message}]}).encode(), **headers)

    def serve(self, request, handler):
        parts = request.path.strip("/").split("/")
        repository, kind, reference = "/".join(parts[1:-2]), parts[-2] if len(parts) > 2 else "", parts[-1]
        if request.path == "/v2/":
            self.say(handler, 200, b"{}")
        elif "/blobs/uploads/" in request.path:
            self.take_blob(request, handler)
        elif kind == "manifests" and request.method == "PUT":
            entry = self.add_manifest(repository, reference, request.headers["Content-Type"], request.body)
            self.say(handler, 201, Docker_Content_Digest=entry["digest"])
        elif kind == "manifests" and (repository, reference) in self.manifests:
            media_type, data = self.manifests[repository, reference]
            self.say(handler, 200, data, media_type, Docker_Content_Digest="sha256:" + hashlib.sha256(data).hexdigest())
        elif kind == "manifests":
            self.refuse(handler, 404, "MANIFEST_UNKNOWN", "manifest unknown")
        elif kind == "blobs" and reference in self.blobs:
            self.serve_blob(request, handler, self.blobs[reference])
        else:
            self.refuse(handler, 404, "BLOB_UNKNOWN", "blob unknown to registry")

    def take_blob(self, request, handler):
        """POST opens an upload, PATCH adds to it, PUT ends it; DELETE forgets it."""
        if request.method == "POST":
            self.uploads.append(b"")
            self.say(handler, 202, Location=f"{request.path}{len(self.uploads) - 1}")
            return
        number = int(request.path.rsplit("/", 1)[1])
        self.uploads[number] = b"" if request.method == "DELETE" else self.uploads[number] + request.body
        if request.method != "PUT":
            self.say(handler, 202, Location=request.path)
        elif self.add_blob(self.uploads[number]) == request.query["digest"][0]:
            self.say(handler, 201)
        else:
            self.refuse(handler, 400, "DIGEST_INVALID", "other bytes")

    def serve_blob(self, request, handler, data):
        wanted = request.headers.get("Range")
        if wanted:
            start = int(wanted.split("=")[1].split("-")[0])
            self.say(handler, 206, data[start:], "application/octet-stream",
                     Content_Range=f"bytes {start}-{len(data) - 1}/{len(data)}")
        else:
            self.say(handler, 200, data, "application/octet-stream")

    # ---- who is allowed ----

    def is_allowed(self, request):
        given = request.headers.get("Authorization") or ""
        if self.users is None:
            return True
        if self.basic:
            return given.startswith("Basic ") and self.check(given)
        return given == "Bearer good-token"

    def check(self, given):
        user, _, password = base64.b64decode(given.split()[1]).decode().partition(":")
        return self.users.get(user) == password

    def challenge(self, handler):
        realm = self.realm or self.url + "/token"
        text = 'Basic realm="fake"' if self.basic else f'Bearer realm="{realm}",service="fake, really",scope="repository:x:pull,push"'
        self.refuse(handler, 401, "UNAUTHORIZED", "authentication required", WWW_Authenticate=text)

    def give_token(self, request, handler):
        given = request.headers.get("Authorization") or ""
        form = urllib.parse.parse_qs(request.body.decode())
        refresh = form.get("refresh_token", [""])[0]
        anonymous = not given and not refresh and self.users.get("") == ""
        if anonymous or (given and self.check(given)) or refresh in self.refresh_tokens:
            answer = {"token": "good-token"}
            if request.query.get("offline_token"):
                answer["refresh_token"] = "refresh-me"
                self.refresh_tokens["refresh-me"] = True
            self.say(handler, 200, json.dumps(answer).encode())
        else:
            self.refuse(handler, 401, "UNAUTHORIZED", "authentication required")


OCI = "application/vnd.oci.image."


def add_image(registry, repository, tag, layers, pack, layer_type="layer.v1.tar+gzip", architecture="amd64", **changes):
    """An image of plain layer tars, packed by pack(bytes)."""
    text = json.dumps({"architecture": architecture, "os": "linux", "config": {"Cmd": ["sh"]}, "created": "2021-01-02T03:04:05Z",
                       "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(one).hexdigest() for one in layers]}}).encode()
    packed = [pack(one) for one in layers]
    document = {"schemaVersion": 2, "mediaType": OCI + "manifest.v1+json",
                "config": {"mediaType": OCI + "config.v1+json", "digest": registry.add_blob(text), "size": len(text)},
                "layers": [{"mediaType": OCI + layer_type, "digest": registry.add_blob(one), "size": len(one)} for one in packed]}
    document.update(changes)
    entry = registry.add_manifest(repository, tag, OCI + "manifest.v1+json", document)
    entry["platform"] = {"os": "linux", "architecture": architecture}
    return entry, document
