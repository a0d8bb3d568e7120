"""Volumes whose driver is a plugin: found by socket and by spec files, asked in Docker's protocol, and never waited for by others."""
import json
import pathlib
import subprocess
import sys

import pytest

import engine as engines
from engine import LIMIT_S, wait_until


class Plugin:
    def __init__(self, directory):
        self.directory = directory
        directory.mkdir()
        self.socket = directory / "socket"
        self.process = None

    def start(self):
        self.process = subprocess.Popen([sys.executable, "-B", str(pathlib.Path(__file__).parent / "volume_plugin.py"), str(self.socket), str(self.directory)],
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(self.socket.exists, what="the plugin's socket")

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.socket.unlink()

    def calls(self, method):
        text = (self.directory / "calls").read_text() if (self.directory / "calls").exists() else ""
        return [line.split(" ", 1)[1].strip() for line in text.splitlines() if line.split()[0] == method]


@pytest.fixture
def plugin(tmp_path):
    made = Plugin(tmp_path / "plugin")
    made.start()
    yield made
    made.process.kill()
    made.process.wait()


@pytest.fixture
def engine(build, docker_client, plugin, tmp_path):
    """An engine that looks for plugins in two directories: a socket in one, spec files in the other."""
    places = [tmp_path / "sockets", tmp_path / "specs"]
    for place in places:
        place.mkdir()
    (places[0] / "direct.sock").symlink_to(plugin.socket)
    (places[1] / "by-spec.spec").write_text(f"unix://{plugin.socket}\n")
    (places[1] / "by-json").mkdir()
    (places[1] / "by-json/by-json.json").write_text(json.dumps({"Name": "by-json", "Addr": f"unix://{plugin.socket}"}))
    (places[1] / "nobody.spec").write_text(f"unix://{tmp_path}/nobody\n")
    made = engines.Engine(build, extra=[option for place in places for option in ("--plugin-dir", place)])
    made.start()
    context = engines.make_busybox_context(made.directory / "busybox-context")
    assert made.docker("build", "-q", "-t", "busybox", context).code == 0
    yield made
    for path in plugin.directory.glob("hang-*"):
        path.unlink()
    if not plugin.socket.exists():
        plugin.start()
    made.remove()


pytestmark = pytest.mark.own


def test_life_of_a_volume(engine, plugin):
    assert json.loads(engine.docker("info", "-f", "{{json .Plugins.Volume}}", check=True).out) == ["local", "by-json", "by-spec", "direct", "nobody"]
    for driver in ("direct", "by-spec", "by-json"):
        name = f"v-{driver}"
        engine.docker("volume", "create", "-d", driver, "-o", "a=b", "-o", "size=odd", name, check=True)
        assert plugin.calls("Create")[-1] == f'{name} {{"a": "b", "size": "odd"}}'
        shown = json.loads(engine.docker("volume", "inspect", name).out)[0]
        assert (shown["Driver"], shown["Scope"], shown["Status"], shown["Mountpoint"]) == \
            (driver, "global", {"health": "good"}, str(plugin.directory / "volumes" / name))
    assert engine.docker("run", "--rm", "-v", "v-direct:/v", "busybox", "sh", "-c", "echo kept > /v/f; cat /v/f").out == "kept\n"
    assert (plugin.directory / "volumes/v-direct/f").read_text() == "kept\n"
    assert len(plugin.calls("Mount")) == len(plugin.calls("Unmount")) > 0
    assert engine.verify().code == 0
    for driver in ("direct", "by-spec", "by-json"):
        engine.docker("volume", "rm", f"v-{driver}", check=True)
        assert not (plugin.directory / "volumes" / f"v-{driver}").exists()
    assert engine.docker("volume", "ls", "-q").out == ""


def test_made_by_run_and_shared(engine, plugin):
    engine.docker("run", "-d", "--name", "one", "--volume-driver", "direct", "-v", "shared:/v", "busybox", "sleep", "300", check=True)
    engine.docker("run", "-d", "--name", "two", "--mount", "type=volume,src=shared,dst=/w,volume-driver=direct", "busybox", "sleep", "300", check=True)
    engine.docker("exec", "one", "sh", "-c", "echo x > /v/f", check=True)
    assert engine.docker("exec", "two", "cat", "/w/f").out == "x\n"
    assert len(plugin.calls("Mount")) - len(plugin.calls("Unmount")) == 1
    engine.kill()
    engine.start()
    assert "volume is in use" in engine.docker("volume", "rm", "shared").err
    engine.docker("rm", "-f", "one", check=True)
    assert engine.docker("exec", "two", "cat", "/w/f").out == "x\n"
    engine.docker("rm", "-f", "two", check=True)
    assert len(plugin.calls("Mount")) == len(plugin.calls("Unmount"))
    assert engine.docker("cp", "-", "nobody:/", stdin="").code != 0
    assert engine.verify().code == 0


def test_what_a_plugin_refuses(engine, plugin):
    assert 'plugin "missing" not found' in engine.docker("volume", "create", "-d", "missing", "vx").err
    (plugin.directory / "fail-Create").write_text("no room for it")
    assert "VolumeDriver.Create: no room for it" in engine.docker("volume", "create", "-d", "direct", "vx").err
    (plugin.directory / "fail-Create").unlink()
    engine.docker("volume", "create", "-d", "direct", "vx", check=True)
    assert "volume name must be unique" in engine.docker("volume", "create", "vx").err
    (plugin.directory / "fail-Mount").write_text("cannot mount it")
    got = engine.docker("run", "--rm", "-v", "vx:/v", "busybox", "true")
    assert got.code == 125 and "VolumeDriver.Mount: cannot mount it" in got.err
    (plugin.directory / "fail-Remove").write_text("still needed")
    assert "VolumeDriver.Remove: still needed" in engine.docker("volume", "rm", "vx").err
    assert engine.docker("volume", "ls", "-q").out == "vx\n"
    (plugin.directory / "fail-Remove").unlink()
    engine.docker("volume", "rm", "vx", check=True)
    got = engine.docker("volume", "create", "-d", "nobody", "vx")
    assert got.code == 1 and "connect" in got.err
    assert engine.docker("volume", "ls", "-q").out == ""


def test_a_plugin_that_is_gone(engine, plugin):
    engine.docker("volume", "create", "-d", "direct", "vx", check=True)
    plugin.stop()
    assert engine.docker("volume", "rm", "vx").code == 1
    assert "Error" in json.loads(engine.docker("volume", "inspect", "vx").out)[0]["Status"]
    assert engine.docker("volume", "ls", "-q").out == "vx\n"
    engine.docker("volume", "rm", "-f", "vx", check=True)


def test_a_plugin_that_hangs_hangs_nobody_else(engine, plugin):
    engine.docker("volume", "create", "-d", "direct", "vx", check=True)
    for method in ("Create", "Mount", "Get", "Remove"):
        (plugin.directory / f"hang-{method}").touch()
    waiting = [subprocess.Popen([engines.docker_program(), *words], env=engine.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
               for words in (["volume", "create", "-d", "direct", "vy"], ["run", "--rm", "-v", "vx:/v", "busybox", "true"], ["volume", "inspect", "vx"],
                             ["volume", "create", "-d", "direct", "vz"])]
    wait_until(lambda: len(plugin.calls("Create")) >= 3 and len(plugin.calls("Mount")) and len(plugin.calls("Get")), what="all calls reaching the plugin")
    assert engine.docker("run", "--rm", "-v", "other:/v", "busybox", "echo", "works").out == "works\n"
    assert sorted(engine.docker("volume", "ls", "-q").out.split()) == ["other", "vx"]
    engine.docker("volume", "rm", "other", check=True)
    assert engine.docker("system", "df").code == 0 and engine.docker("ps", "-a").code == 0
    assert "being made" in engine.docker("volume", "create", "vy").err or "exists already" in engine.docker("volume", "create", "vy").err
    assert all(process.poll() is None for process in waiting)
    plugin.stop()  # which ends the waiting
    for process in waiting[:2]:
        out, err = process.communicate(timeout=LIMIT_S)
        assert process.returncode != 0 and "VolumeDriver." in err, (out, err)
