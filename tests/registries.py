"""Debian's docker-registry, a fixture that is each of both registries in turn, and one that is a registry of the test's own making."""
import json
import pathlib
import shutil
import socket
import subprocess

import pytest

from engine import free_port, wait_until
from fake_registry import FakeRegistry
from registry import Registry


def registry_program():
    unpacked = pathlib.Path(__file__).resolve().parent.parent / "build-registry/usr/bin/docker-registry"
    return shutil.which("docker-registry") or str(unpacked)


class RealRegistry:
    """Debian's docker-registry, with a directory and a port of its own."""

    def __init__(self, directory, users=None):
        self.host = f"127.0.0.1:{free_port()}"
        directory.mkdir(parents=True)
        config = {"version": "0.1", "log": {"level": "error"}, "http": {"addr": self.host},
                  "storage": {"filesystem": {"rootdirectory": str(directory / "data")}}}
        if users:
            import crypt
            (directory / "htpasswd").write_text("".join(
                f"{name}:{crypt.crypt(password, crypt.mksalt(crypt.METHOD_BLOWFISH, rounds=16))}\n" for name, password in users.items()))
            config["auth"] = {"htpasswd": {"realm": "test", "path": str(directory / "htpasswd")}}
        (directory / "config.yml").write_text(json.dumps(config))
        self.process = subprocess.Popen([registry_program(), "serve", directory / "config.yml"], stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL, start_new_session=True)
        wait_until(self.answers, what="the registry answering")

    def answers(self):
        host, port = self.host.split(":")
        with socket.socket() as s:
            return s.connect_ex((host, int(port))) == 0

    def close(self):
        self.process.kill()
        self.process.wait()


@pytest.fixture(scope="module", params=["berth-registry", "docker-registry"])
def registry(request, build, tmp_path_factory):
    """Tests that import it run once with each."""
    if request.param == "berth-registry":
        made = Registry(build).start()
        yield made
        made.remove()
    else:
        made = RealRegistry(tmp_path_factory.mktemp("registry") / "open")
        yield made
        made.close()


@pytest.fixture
def fake():
    """One for each test."""
    made = FakeRegistry()
    yield made
    made.close()
