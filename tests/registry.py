"""A private registry for tests, and hand-made images to put into it."""
import contextlib
import hashlib
import http.client
import json
import os
import pathlib
import shutil
import signal
import socket
import sqlite3
import subprocess
import tempfile
import urllib.parse

from engine import LIMIT_S, free_port, run, wait_until

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"


def digest_of(data, algorithm="sha256"):
    return f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def code(self):
        """The protocol's code of the error."""
        return self.json["errors"][0]["code"]

    def __repr__(self):
        return f"Answer({self.status}, {dict(self.headers)}, {self.body[:500]!r})"


class Registry:
    def __init__(self, build, *flags, directory=None, environment=None):
        self.build = pathlib.Path(build)
        self.directory = pathlib.Path(directory or tempfile.mkdtemp(prefix="berth-registry-", dir="/var/tmp"))
        self.root = self.directory / "root"
        self.flags = [str(f) for f in flags]
        self.environment = environment or {}
        self.port = free_port()
        self.log = self.directory / "log"
        self.process = None

    @property
    def host(self):
        return f"127.0.0.1:{self.port}"

    def start(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([str(self.build / "berth-registry"), "--root", str(self.root), "--listen", self.host, *self.flags],
                                            stdout=log, stderr=log, stdin=subprocess.DEVNULL, env={**os.environ, **self.environment})
        wait_until(self.listens, step_s=0.01, what="the registry listening")
        return self

    def listens(self):
        if self.process.poll() is not None:
            raise AssertionError(f"the registry ended with {self.process.returncode}: {self.log.read_text()[-3000:]}")
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", self.port)) == 0

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process = None

    def stop(self):
        if self.process:
            self.process.send_signal(signal.SIGTERM)
            try:
                code = self.process.wait(LIMIT_S)
            except subprocess.TimeoutExpired:
                self.kill()
                raise AssertionError(f"the registry did not end within {LIMIT_S} s of SIGTERM")
            self.process = None
            assert code == 0, self.log.read_text(errors="replace")[-6000:]

    def remove(self):
        try:
            self.stop()
            said = [line for line in self.log.read_text(errors="replace").splitlines() if "Sanitizer" in line or "runtime error:" in line]
            assert not said, said[:20]
        finally:
            if self.process:
                self.kill()
            shutil.rmtree(self.directory, ignore_errors=True)

    def command(self, *arguments):
        return run([self.build / "berth-registry", *arguments, "--root", self.root])

    def verify(self):
        return self.command("verify")

    def collect(self):
        """Asks the server to collect and waits until it has."""
        before = self.log.read_text().count("garbage is collected")
        self.process.send_signal(signal.SIGUSR1)
        wait_until(lambda: self.log.read_text().count("garbage is collected") > before, step_s=0.01, what="the collection")

    def age(self, seconds):
        """All that was pushed or asked for was so many seconds earlier than it was."""
        with contextlib.closing(sqlite3.connect(self.root / "registry.db", timeout=LIMIT_S)) as database, database:
            database.execute("UPDATE link SET touched = touched - ?", (seconds * 1000,))
            database.execute("UPDATE manifest SET pushed = pushed - ?", (seconds * 1000,))

    def request(self, method, path, body=None, headers=None):
        """One request on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=LIMIT_S)
        try:
            connection.request(method, path, body=body, headers=headers or {})
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers, answer.read())
        finally:
            connection.close()

    def get(self, path, **headers):
        return self.request("GET", path, headers={k.replace("_", "-"): v for k, v in headers.items()})

    def push_blob(self, repository, data, algorithm="sha256"):
        digest = digest_of(data, algorithm)
        answer = self.request("POST", f"/v2/{repository}/blobs/uploads/?digest={urllib.parse.quote(digest)}", body=data,
                              headers={"Content-Type": "application/octet-stream"})
        assert answer.status == 201, answer
        return digest

    def push_manifest(self, repository, reference, document, media_type=MANIFEST):
        data = document if isinstance(document, bytes) else json.dumps(document).encode()
        answer = self.request("PUT", f"/v2/{repository}/manifests/{reference or digest_of(data)}", body=data, headers={"Content-Type": media_type})
        assert answer.status == 201, answer
        return digest_of(data)

    def push_image(self, repository, tag, *layers, **members):
        """A manifest of these layers (bytes), with a configuration that names them. Gives its digest."""
        config = json.dumps({"architecture": "amd64", "os": "linux", "made_of": [digest_of(layer) for layer in layers]}).encode()
        for blob in (config, *layers):
            self.push_blob(repository, blob)
        return self.push_manifest(repository, tag, manifest_of(config, *layers, **members))


def descriptor(data, media_type):
    return {"mediaType": media_type, "digest": digest_of(data), "size": len(data)}


def manifest_of(config, *layers, **members):
    return {"schemaVersion": 2, "mediaType": MANIFEST, "config": descriptor(config, "application/vnd.oci.image.config.v1+json"),
            "layers": [descriptor(layer, "application/vnd.oci.image.layer.v1.tar") for layer in layers], **members}
