"""Programs that end while detached threads of theirs are still ending: nothing may be freed under them, or twice."""
import gzip
import json
import os
import pathlib
import socket
import subprocess

import pytest

from archives import tar_of
from engine import Engine
from fake_registry import FakeRegistry, add_image
from registry import Registry
from test_distribution_auth import Key, bearer, claims

pytestmark = pytest.mark.own
SOURCE = pathlib.Path(__file__).parent / "late/late.c"


@pytest.fixture
def late(tmp_path):
    """The environment of a program whose detached threads never quite end."""
    library = tmp_path / "late.so"
    subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-o", library, SOURCE, "-ldl"], check=True)
    return {**os.environ, "LD_PRELOAD": str(library), "ASAN_OPTIONS": "verify_asan_link_order=0"}


def test_the_engine(build, late):
    registry = FakeRegistry()
    add_image(registry, "base", "1", [tar_of(a=b"1")], gzip.compress)
    engine = Engine(build)
    engine.daemon_environment = late
    try:
        engine.start()
        # The registry is asked by TLS first, which it does not speak.
        assert engine.berth("pull", f"{registry.host}/base:1").code == 0
        engine.stop()
    finally:
        registry.close()
        engine.daemon_environment = None
        engine.remove()


def greet(registry):
    """Requests that a server serves with threads that end: more at a time than it keeps."""
    sockets = [socket.create_connection(("127.0.0.1", registry.port)) for _ in range(8)]
    for s in sockets:
        s.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    for s in sockets:
        with s:
            while s.recv(4096):
                pass


def test_a_registry_with_tls(build, late, tmp_path):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", tmp_path / "key.pem", "-out", tmp_path / "cert.pem", "-days", "2",
                    "-subj", "/CN=localhost"], check=True, capture_output=True)
    registry = Registry(build, "--tls-cert", tmp_path / "cert.pem", "--tls-key", tmp_path / "key.pem", environment=late).start()
    try:
        greet(registry)
    finally:
        registry.remove()


def test_a_registry_with_tokens(build, late, tmp_path):
    key = Key(tmp_path, "RS256", "key")
    (tmp_path / "keys.json").write_text(json.dumps({"keys": [key.public]}))
    registry = Registry(build, "--token-realm", "https://auth.example/token", "--token-service", "us", "--token-issuer", "them",
                        "--token-keys", tmp_path / "keys.json", environment=late).start()
    try:
        assert registry.request("GET", "/v2/", headers=bearer(key.token(claims()))).status == 200
        greet(registry)
    finally:
        registry.remove()
