"""--use-api-socket, and use_api_socket of compose: the engine's socket in a container, and the user's credentials for registries beside it."""
import base64
import json

import pytest

import engine as engines
from engine import Engine

pytestmark = pytest.mark.own

CONFIG = "/run/secrets/docker/config.json"
STORED = {"auths": {"registry.test:5000": {"auth": base64.b64encode(b"somebody:secret").decode()},
                    "https://index.docker.io/v1/": {"auth": base64.b64encode(b"other:word").decode()}},
          "HttpHeaders": {"X-Own": "not for the container"}}


class EngineAtItsUsualPlace(Engine):
    """Docker's client names /var/run/docker.sock, whatever it speaks to itself: there is one in the part of the host that this engine sees."""
    def __init__(self, build):
        super().__init__(build)
        self.prefix = ["unshare", "--mount", "--propagation", "private", "sh", "-c",
                       f'mount -t tmpfs run /run && ln -s {self.socket} /run/docker.sock && exec "$@"', "engine"]


@pytest.fixture(scope="module")
def engine(build, docker_client):
    made = EngineAtItsUsualPlace(build)
    try:
        made.start()
        made.docker("build", "-q", "-t", "busybox", engines.make_busybox_context(made.directory / "context"), check=True)
        yield made
        assert made.verify().code == 0
    finally:
        made.remove()


@pytest.fixture(params=["berth", pytest.param("docker", marks=pytest.mark.current_client)])
def client(engine, request):
    return getattr(engine, request.param)


@pytest.fixture
def stored(engine):
    """What the user keeps for registries."""
    path = engine.directory / "config/config.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(STORED))
    yield STORED
    path.unlink()


SOCKET = ["stat", "-L", "-c", "%F %i", "/var/run/docker.sock"]


def test_the_socket_is_there(engine, client):
    found = client("run", "--rm", "--use-api-socket", "busybox", *SOCKET, check=True)
    assert found.out == f"socket {engine.socket.stat().st_ino}\n"


def test_credentials_go_along_and_nothing_else_of_the_config(client, stored):
    found = client("run", "--rm", "--use-api-socket", "busybox", "sh", "-c", f"echo $DOCKER_CONFIG; stat -c '%a %u' {CONFIG}; cat {CONFIG}", check=True)
    where, mode, text = found.out.split("\n", 2)
    assert (where, mode) == ("/run/secrets/docker", "600 0")
    assert json.loads(text) == {"auths": stored["auths"]}


def test_credentials_are_in_no_record(engine, client, stored, name):
    client("create", "--use-api-socket", "--name", name, "busybox", check=True)
    seen = engine.inspect(name)
    assert "DOCKER_CONFIG=/run/secrets/docker" in seen["Config"]["Env"]
    assert all(entry["auth"] not in json.dumps(seen) for entry in stored["auths"].values())


def test_without_credentials_there_is_no_config(client):
    found = client("run", "--rm", "--use-api-socket", "busybox", "sh", "-c", f"echo [$DOCKER_CONFIG]; test -e {CONFIG}")
    assert (found.code, found.out) == (1, "[]\n")


def test_a_config_of_the_users_own_stays(client, stored):
    found = client("run", "--rm", "--use-api-socket", "-e", "DOCKER_CONFIG=/own", "busybox", "sh", "-c", f"echo $DOCKER_CONFIG; test -e {CONFIG}")
    assert (found.code, found.out) == (1, "/own\n")


def test_without_the_flag_there_is_neither(client, stored):
    found = client("run", "--rm", "busybox", "sh", "-c", f"echo [$DOCKER_CONFIG]; test -e {CONFIG} || test -e /var/run/docker.sock")
    assert (found.code, found.out) == (1, "[]\n")


def test_a_service_of_a_compose_file(engine, stored, tmp_path):
    """The same for those that ask for it, with up and with run; the file is in no record."""
    (tmp_path / "compose.yaml").write_text(f"""
name: apisocket
services:
  with: {{image: busybox, use_api_socket: true, command: sh -c 'echo $$DOCKER_CONFIG; stat -L -c %i /var/run/docker.sock; cat {CONFIG}'}}
  own: {{image: busybox, use_api_socket: true, environment: {{DOCKER_CONFIG: /own}}, command: sh -c 'echo $$DOCKER_CONFIG; test -S /var/run/docker.sock; echo $$?; test -e {CONFIG}'}}
  without: {{image: busybox, use_api_socket: false, command: sh -c 'test -e /var/run/docker.sock || test -e {CONFIG}'}}
""")

    def compose(*arguments, **options):
        return engine.berth("compose", "-f", tmp_path / "compose.yaml", *arguments, **options)
    try:
        compose("up", "-d", check=True)
        for service in ("with", "own", "without"):
            engine.docker("wait", f"apisocket-{service}-1", check=True)
        where, inode, text = compose("logs", "--no-log-prefix", "with", check=True).out.split("\n", 2)
        assert (where, int(inode)) == ("/run/secrets/docker", engine.socket.stat().st_ino)
        assert json.loads(text) == {"auths": stored["auths"]}
        assert compose("logs", "--no-log-prefix", "own", check=True).out == "/own\n0\n"
        assert engine.inspect("apisocket-own-1")["State"]["ExitCode"] == engine.inspect("apisocket-without-1")["State"]["ExitCode"] == 1
        assert all(entry["auth"] not in json.dumps(engine.inspect("apisocket-with-1")) for entry in stored["auths"].values())
        assert compose("run", "--rm", "-T", "with", check=True).out.startswith("/run/secrets/docker\n")
        before = engine.inspect("apisocket-with-1")["Id"]
        compose("up", "-d", "--no-recreate", check=True)
        compose("up", "-d", check=True)
        assert engine.inspect("apisocket-with-1")["Id"] == before
    finally:
        compose("down", "-t", "0", check=True)
