"""A compose project of a test's own, gone with it."""
import json

import pytest

from engine import run


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
