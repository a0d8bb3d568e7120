"""Compose: a stack as people run it: nginx in front of two replicas of an application, Redis, PostgreSQL, a worker, a migration that runs once."""
import json
import pathlib
import re
import shutil
import urllib.request

import pytest

from compose_project import Project
from engine import wait_until
from test_real_software import BUILD_LIMIT_S, debian  # noqa: F401 (a fixture)

pytestmark = [pytest.mark.own, pytest.mark.debian]

FILES = pathlib.Path(__file__).parent / "compose" / "stack"


@pytest.fixture(scope="module")
def software(engine, debian, tmp_path_factory):
    """One image with all the software; its first layer is that of other tests."""
    directory = tmp_path_factory.mktemp("software")
    shutil.copytree(FILES / "image", directory, dirs_exist_ok=True)
    shutil.copy("/bin/busybox", directory / "busybox")
    built = engine.docker("build", "-t", "stack-software", directory, limit_s=BUILD_LIMIT_S)
    assert built.code == 0, built


@pytest.fixture
def stack(engine, software, tmp_path, free_port):
    shutil.copytree(FILES / "project", tmp_path, dirs_exist_ok=True)
    (tmp_path / ".env").write_text(f"PORT={free_port}\nTOKEN=from the environment\n")
    (tmp_path / "password.txt").write_text("a password")
    made = Project(engine, tmp_path, "stack")
    yield made
    made.compose("--profile", "*", "down", "-v", "--rmi", "local", "-t", "1")


def test_stack(stack, engine, free_port):
    def ask(path):
        try:
            return urllib.request.urlopen(f"http://127.0.0.1:{free_port}/cgi-bin/{path}", timeout=10).read().decode().split()
        except OSError:
            return []

    def ids(service=None):
        return {name: row["ID"] for name, row in stack.containers().items() if service in (None, row["Service"])}

    def rows():
        return int((ask("rows") or ["0"])[0])

    up = stack.compose("up", "-d", "--wait", check=True)
    told = [line.strip() for line in up.err.splitlines()]
    assert told.index("Container stack-migrate-1  Exited") < told.index("Container stack-app-1  Starting")
    assert {name: row["State"] for name, row in stack.containers().items()} == {
        "stack-proxy-1": "running", "stack-app-1": "running", "stack-app-2": "running", "stack-cache-1": "running",
        "stack-db-1": "running", "stack-worker-1": "running", "stack-migrate-1": "exited"}

    # A visit goes through both replicas; the worker takes it from Redis to PostgreSQL.
    hosts = set()
    wait_until(lambda: len(hosts) == 2 or hosts.update(a[1] for a in [ask("visit")] if a) or len(hosts) == 2, what="both replicas answering")
    assert ask("visit")[0] == "overridden"
    wait_until(lambda: rows() >= 3, what="the worker writing rows")

    # Secrets with owners and modes; networks keep apart who should not meet.
    seen = stack.compose("exec", "-T", "app", "sh", "-c", "stat -c '%u:%g %a' /run/secrets/password /run/secrets/token; cat /run/secrets/token", check=True)
    assert seen.out == "0:33 440\n1:2 400\nfrom the environment"
    assert stack.compose("exec", "-T", "proxy", "getent", "hosts", "db").code != 0
    assert stack.compose("exec", "-T", "app", "getent", "hosts", "db", "proxy").code == 0
    assert stack.compose("exec", "-T", "proxy", "stat", "-c", "%a", "/etc/nginx/sites-enabled/default", check=True).out == "444\n"

    # A profile that is not active; then it is.
    assert "stack-tool-1" not in ids()
    tool = stack.compose("--profile", "tools", "run", "--rm", "-T", "tool", check=True)
    assert re.fullmatch(r"PONG\n", tool.out)

    # One service changes: it alone is made anew, and nothing else is touched.
    before = ids()
    (stack.directory / ".env").write_text((stack.directory / ".env").read_text() + "PAUSE=0.02\n")
    stack.compose("up", "-d", check=True)
    after = ids()
    assert {name for name in before if before[name] != after[name]} == {"stack-worker-1"}

    # More replicas are found by their name; fewer, too.
    stack.compose("up", "-d", "--scale", "app=3", check=True)
    hosts.clear()
    wait_until(lambda: hosts.update(a[1] for a in [ask("visit")] if a) or len(hosts) == 3, what="three replicas answering")
    stack.compose("scale", "app=2", check=True)
    assert set(ids("app")) == {"stack-app-1", "stack-app-2"}

    # A new version rolls through; what the database has stays.
    count, old = rows(), ids("app")
    (stack.directory / "compose.override.yaml").write_text((stack.directory / "compose.override.yaml").read_text().replace("overridden", "second"))
    rolled = stack.compose("up", "-d", "--wait", check=True)
    assert rolled.err.count("Recreated") == 2
    assert set(ids("app")) == set(old) and not set(ids("app").values()) & set(old.values())
    wait_until(lambda: ask("visit")[:1] == ["second"], what="the new version answering")
    assert rows() >= count

    ended = stack.compose("down", "-v", "--rmi", "local", "-t", "1", check=True)
    assert ended.err.index("stack-proxy-1  Removed") < ended.err.index("stack-app-1  Stopping") < ended.err.index("stack-db-1  Stopping")
    assert "stack_" not in engine.docker("network", "ls").out + engine.docker("volume", "ls").out
    assert engine.docker("ps", "-aq", "--filter", "label=com.docker.compose.project=stack").out == ""
    assert [row["Repository"] for row in map(json.loads, engine.docker("images", "--format", "{{json .}}").out.splitlines()) if "stack-app" in row["Repository"]] == []
