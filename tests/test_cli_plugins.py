"""Commands that other programs bring along, as Docker's own client finds and runs them."""
import json
import pathlib

import pytest

import engine as engines

pytestmark = pytest.mark.own

HELLO = """#!/bin/sh
case "$1" in
docker-cli-plugin-metadata) echo '{"SchemaVersion":"0.1.0","Vendor":"Somebody","Version":"v1.2","ShortDescription":"Say hello"}';;
__complete) shift; echo "to $*" >&2; printf 'one\\tThe first\\ntwo\\n:%s\\n' "$BITS";;
*) printf '<%s>' "$@"; echo "$DOCKER_HOST $DOCKER_CLI_PLUGIN_ORIGINAL_CLI_COMMAND"; exit 7;;
esac
"""


class Place:
    """A configuration directory with plugins."""

    def __init__(self, build, directory):
        self.program, self.directory = pathlib.Path(build) / "berth", directory

    def add(self, name, text, directory="cli-plugins"):
        path = self.directory / directory / f"docker-{name}"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)
        return path

    def run(self, *arguments, docker=False, **environment):
        return engines.run([engines.docker_program() if docker else self.program, *arguments],
                           env={"PATH": "/usr/bin:/bin", "HOME": "/", "DOCKER_CONFIG": str(self.directory), **environment}, limit_s=30)


@pytest.fixture
def place(build, tmp_path):
    return Place(build, tmp_path)


def test_a_plugin_is_run_in_our_place(place):
    place.add("hello", HELLO)
    for docker in (False, True):
        got = place.run("-D", "-H", "unix:///nowhere.sock", "hello", "x y", "--no-such-flag", docker=docker)
        assert got.out.startswith("<-D><-H><unix:///nowhere.sock><hello><x y><--no-such-flag>") and got.code == 7, got
    assert place.run("hello").out == f"<hello>unix:///run/berth/berth.sock {place.program}\n", "the engine that we would ask"
    assert "unix:///given.sock" in place.run("hello", DOCKER_HOST="unix:///given.sock").out
    place.run("context", "create", "far", "--docker", "host=unix:///far.sock")
    assert place.run("hello", DOCKER_CONTEXT="far").out.startswith("<hello> "), "it finds the context's engine by itself"


def test_plugins_are_listed(place, tmp_path):
    hello = place.add("hello", HELLO)
    assert "\n  hello       Say hello\n" in place.run("--help").out
    told = place.run("info").out
    assert f" Plugins:\n  hello: Say hello (Somebody)\n    Version:  v1.2\n    Path:     {hello}\n" in told
    # Other directories come before; our own commands and what has no fitting name are none.
    extra = place.add("hello", HELLO.replace("Say hello", "Another"), directory="extra")
    for name in ("ps", "compose", "Hello", "a-b", "1st"):
        place.add(name, HELLO)
    (tmp_path / "cli-plugins/docker-plain").write_text(HELLO)
    (tmp_path / "config.json").write_text(json.dumps({"cliPluginsExtraDirs": [str(tmp_path / "extra")]}))
    told = place.run("info").out
    assert f"  hello: Another (Somebody)\n    Version:  v1.2\n    Path:     {extra}\n" in told and told.count("Path:") == 1
    assert place.run("plain").err.startswith("berth: unknown command: berth plain")
    assert "../cli-plugins/docker-hello" not in place.run("../hello").out and place.run("").code == 1


@pytest.mark.current_client
def test_docker_lists_them_alike(place):
    hello = place.add("hello", HELLO)
    listed = f"  hello: Say hello (Somebody)\n    Version:  v1.2\n    Path:     {hello}\n"
    assert listed in place.run("info").out and listed in place.run("info", docker=True).out


@pytest.mark.parametrize("text, reason", [
    ("#!/bin/sh\nexit 3\n", "exit status 3"), ("#!/bin/sh\necho hello\n", "metadata"), ("#!/bin/sh\necho '{\"SchemaVersion\":\"1.0.0\",\"Vendor\":\"v\"}'\n", "must be lower"),
    ("#!/bin/sh\necho '{\"SchemaVersion\":\"0.1.0\"}'\n", "vendor"), ("#!/bin/sh\nyes | head -c 3000000\n", ""), ("#!/no/such/interpreter\n", "")])
def test_what_is_no_plugin(place, text, reason):
    path = place.add("broken", text)
    got = place.run("broken")
    assert got.code == 1 and got.err.startswith(f"berth: {path}: ") and reason in got.err, got
    assert "  broken: cannot be used: " in place.run("info").out
    assert place.run("ps", "--help").code == 0


def test_completion_asks_the_plugin(place):
    place.add("hello", HELLO)
    assert place.run("__complete", "--", "hel").out == "hello\tSay hello\n"
    assert place.run("__complete", "--", "-D", "hello", "sub", "o", BITS="4").out == "one\tThe first\ntwo\n"
    assert place.run("__complete", "--", "hello", "", BITS="0").out == "one\tThe first\ntwo\n:files\n"


def test_help_is_a_command_too(place):
    assert place.run("help").out == place.run("--help").out
    assert place.run("help", "run").out == place.run("run", "--help").out
    assert place.run("help", "container", "ls").out == place.run("container", "ls", "--help").out
    assert place.run("help", "nope").code == 1
