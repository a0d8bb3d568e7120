"""kill -9 of the engine at each of its calls through compose's up, a changed up, scaling and down: a repeat ends in the wanted state."""
import pytest

from engine import run
from sweep import Story, sweep

pytestmark = pytest.mark.own
PROJECT = "swept"

FILE = """
services:
  db:
    image: busybox
    command: sleep 1000
    stop_grace_period: 0s
    environment: {VALUE: "VALUE_HERE"}
    volumes: [data:/data, /anonymous]
    networks: [back]
  web:
    image: busybox
    command: sleep 1000
    stop_grace_period: 0s
    scale: SCALE_HERE
    depends_on: [db]
    networks: [back, default]
    ports: ["127.0.0.1::80"]
    configs: [greeting]
networks: {back: {labels: {v: "VALUE_HERE"}}}
volumes: {data: {labels: {l: x}}}
configs: {greeting: {content: "hello"}}
"""


class Compose(Story):
    """The model: what the last command that ended well asked for."""
    steps = ("up", "change_one", "scale_up", "down_and_keep", "up", "down")

    def __init__(self, engine):
        super().__init__(engine)
        self.directory = engine.directory / "project"
        self.directory.mkdir(exist_ok=True)

    def compose(self, *arguments):
        result = run([self.engine.build / "berth", "compose", "-p", PROJECT, "--project-directory", self.directory, *arguments],
                     env=self.engine.environment)
        if result.code:  # the story's teller asks whether the engine died
            raise ConnectionError(f"{arguments}: {result}")
        return result

    def converge(self, value, scale):
        self.doubt("wanted")
        (self.directory / "compose.yaml").write_text(FILE.replace("VALUE_HERE", value).replace("SCALE_HERE", str(scale)))
        self.compose("up", "-d")
        self.acknowledged["wanted"] = (value, scale)

    def up(self):
        self.converge("one", 2)

    def change_one(self):
        self.converge("two", 2)

    def scale_up(self):
        self.converge("two", 3)

    def down_and_keep(self):
        self.doubt("wanted")
        self.compose("down")
        self.acknowledged["wanted"] = None

    def down(self):
        self.doubt("wanted")
        self.compose("down", "-v")
        self.acknowledged["wanted"] = None

    def check(self):
        if "wanted" not in self.acknowledged:
            return
        wanted = self.acknowledged["wanted"]
        listed = self.api.do("GET", "/containers/json?all=1")
        names = sorted(container["Names"][0] for container in listed)
        networks = [n["Name"] for n in self.api.do("GET", "/networks") if PROJECT in n["Name"]]
        if wanted is None:
            assert (names, networks) == ([], [])
            return
        value, scale = wanted
        assert names == [f"/{PROJECT}-db-1", *(f"/{PROJECT}-web-{i}" for i in range(1, scale + 1))]
        assert sorted(networks) == [f"{PROJECT}_back", f"{PROJECT}_default"]
        for container in listed:
            document = self.api.do("GET", f"/containers/{container['Id']}/json")
            assert document["State"]["Running"], names
            if "web" in container["Names"][0]:
                said = self.engine.berth("exec", container["Id"], "cat", "/greeting")
                assert said.out == "hello", (container["Names"], said)
            else:
                assert f"VALUE={value}" in document["Config"]["Env"]

    def clean(self):
        self.compose("down", "-v", "--remove-orphans")
        self.call("POST", "/volumes/prune")  # a down that keeps volumes leaves the anonymous ones


def test_sweep(build, preload):
    sweep(build, preload, Compose)
