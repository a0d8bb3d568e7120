"""A compose project of a test's own, gone with it."""
import json
import subprocess

import pytest

from engine import COMMAND_LIMIT_S, run


class Project:
    """A directory with a compose file, and the command that works on it."""

    def __init__(self, engine, directory, name):
        self.engine, self.directory, self.name = engine, directory, name

    def write(self, text, name="compose.yaml"):
        (self.directory / name).write_text(text)
        return self

    def compose(self, *arguments, env=None, **options):
        environment = {**self.engine.environment, "COMPOSE_PROJECT_NAME": self.name, **(env or {})}
        return run([self.engine.build / "berth", "compose", "--project-directory", self.directory, *arguments],
                   env=environment, **options)

    def containers(self):
        listed = self.compose("ps", "-a", "--format", "json", check=True).out
        return {row["Name"]: row for row in map(json.loads, listed.splitlines())}


@pytest.fixture
def project(engine, tmp_path, request):
    made = Project(engine, tmp_path, "t" + "".join(c for c in request.node.name.lower() if c.isalnum())[:24])
    yield made
    if (tmp_path / "compose.yaml").exists():
        gone = made.compose("down", "-v", "--remove-orphans", "--rmi", "local", "-t", "0")
        assert gone.code == 0, gone
        assert made.name not in engine.docker("network", "ls").out + engine.docker("volume", "ls").out + engine.docker("ps", "-a").out


def config(build, directory, arguments=("config",), variables={}, **options):
    """Runs compose without any engine; gives its status and what it printed, with <project> for the directory."""
    environment = {"PATH": "/usr/bin:/bin", "HOME": "/home/user", **variables}
    done = subprocess.run([f"{build}/berth", "compose", *arguments], cwd=directory, env=environment, stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, errors="replace", timeout=COMMAND_LIMIT_S, **options)
    texts = (text.replace(str(directory), "<project>").replace(str(directory.parent), "<parent>") for text in (done.stdout, done.stderr))
    return done.returncode, *texts


@pytest.fixture
def directory(tmp_path):
    made = tmp_path / "project"
    made.mkdir()
    return made
