"""Every command and every flag of Docker's command line, and of its compose 2.40, is known to ours, or named here with the reason."""
import json
import pathlib
import re

import pytest

import engine as engines

pytestmark = pytest.mark.own

SHAPES = pathlib.Path(__file__).parent / "shapes"
COMMANDS = json.loads((SHAPES / "commands.json").read_text()) + json.loads((SHAPES / "compose_commands.json").read_text())

CLUSTER = "clusters are not there yet"
PLUGINS = "plugins of Docker's kind are not there yet"
EXPERIMENT = "checkpoints are an experiment of Docker's"
REFUSED_GROUPS = {("compose", "alpha"): "experiments", ("compose", "bridge"): "for other engines, with images of Docker's"}
NO_COMMAND = {"config": CLUSTER, "node": CLUSTER, "secret": CLUSTER, "service": CLUSTER, "stack": CLUSTER, "swarm": CLUSTER,
              "plugin": PLUGINS, "checkpoint": EXPERIMENT}

WINDOWS = "for Windows"
VOLUMES = "for volumes of a cluster"
CLASSIC = "of the classic builder"
# (last word of the command, flag): why it is refused
REFUSED = {
    **{(command, flag): WINDOWS for command in ("run", "create") for flag in ("cpu-count", "cpu-percent", "io-maxbandwidth", "io-maxiops")},
    **{(command, "kernel-memory"): "kernels have no such limit any more" for command in ("run", "create")},
    **{("create", flag): VOLUMES for flag in ("availability", "group", "limit-bytes", "required-bytes", "scope", "secret", "sharing",
                                              "topology-preferred", "topology-required", "type")},
    ("update", "availability"): VOLUMES,
    **{("start", flag): EXPERIMENT for flag in ("checkpoint", "checkpoint-dir")},
    **{("build", flag): CLASSIC for flag in ("compress", "isolation", "security-opt", "squash", "ulimit")},
}
# The same for words of two: a flag of one name is taken elsewhere.
REFUSED_EXACTLY = {
    ("compose build", "print"): "there is no bake",
    ("compose", "no-ansi"): "deprecated there", ("compose", "verbose"): "deprecated there",
    ("compose publish", "app"): "images are pushed by themselves",
}
# (command, flag): why it is not known
UNKNOWN = {
    **{(command, flag): "Docker's own signatures, which ended in 2025" for command in ("image build", "build", "builder build")
       for flag in ("disable-content-trust",)},
}

ROWS = [(name, row["flags"]) for row in COMMANDS for name in row["names"]]


@pytest.fixture(scope="module")
def ask(build, tmp_path_factory):
    place = tmp_path_factory.mktemp("home")
    environment = {"HOME": str(place), "PATH": "/usr/bin:/bin", "DOCKER_HOST": "unix:///nowhere.sock"}

    def run(*words):
        return engines.run([pathlib.Path(build) / "berth", *words], env=environment)
    return run


def shown(help_text):
    """What a help text lists: {flag: (letter, takes a value)}."""
    rows = re.findall(r"^  (?:-(\S), |    )--([a-z0-9-]+)( \w+)?   ", help_text, re.M)
    return {name: (letter, bool(value)) for letter, name, value in rows}


def hidden(ask, words, flag, takes_value):
    """What a flag does that the help text does not list: None if it is taken."""
    said = ask(*words, f"--{flag}") if takes_value else ask(*words, f"--{flag}", "--help")
    if "unknown flag" in said.err:
        return "unknown"
    if takes_value and "flag needs an argument" not in said.err:
        return "takes no value"
    if takes_value:
        said = ask(*words, f"--{flag}", "1", "--help")
    return "refused" if "not supported" in said.err else None if said.code == 0 else said.err


def verdict(ask, words, listed, flag, kind):
    """What is wrong with a flag; None if it is as Docker's."""
    letter, type = kind.split() if " " in kind else ("", kind)
    if flag not in listed:
        return hidden(ask, words, flag, type != "bool")
    return None if listed[flag] == (letter, type != "bool") else f"is {listed[flag]}"


@pytest.mark.parametrize("command, flags", ROWS, ids=lambda value: value.replace(" ", "-") or "top" if isinstance(value, str) else "")
def test_command_and_flags(ask, command, flags):
    words = command.split()
    if tuple(words[:2]) in REFUSED_GROUPS:
        assert f"compose {words[1]} is not supported: " in ask(*words).err
        return
    group = words[0] if words else None
    if group in NO_COMMAND:
        assert "unknown command" in ask(*words, "--help").err, "it is there now: take it out of the list"
        return
    said = ask(*words, "--help")
    assert said.code == 0 and said.out.startswith(f"Usage:  berth {command}".rstrip()[:13])
    assert "Commands:" not in said.out or command in ("", "compose"), "it is a group"
    listed = shown(said.out)
    wrong = {flag: found for flag, kind in flags.items() if (found := verdict(ask, words, listed, flag, kind))}
    wanted = {flag: "refused" for flag in flags if words and words[0] != "compose" and (words[-1], flag) in REFUSED and
              (words[0] == "volume" or REFUSED[words[-1], flag] is not VOLUMES)}
    wanted |= {flag: "refused" for flag in flags if (command, flag) in REFUSED_EXACTLY}
    wanted |= {flag: "unknown" for flag in flags if (command, flag) in UNKNOWN}
    assert wrong == wanted


def test_every_exception_is_a_flag():
    flags = {(name, flag) for name, flags in ROWS for flag in flags}
    assert all(entry in flags for entry in [*UNKNOWN, *REFUSED_EXACTLY])
    last = {(name.split()[-1], flag) for name, flag in flags if name}
    assert all(entry in last for entry in REFUSED)
    assert all(any(name.split()[:1] == [group] for name, _ in ROWS) for group in NO_COMMAND)


@pytest.mark.parametrize("words, better", [(["run", "--memroy", "1g", "x"], "--memory"), (["ps", "--filtre", "x=y"], "--filter"),
                                           (["run", "--publsih=80", "x"], "--publish"), (["network", "create", "--subent", "x"], "--subnet"),
                                           (["--hosst", "x", "ps"], "--host"), (["contianer", "ls"], "container"), (["container", "lss"], "ls")])
def test_what_was_probably_meant(ask, words, better):
    said = ask(*words)
    assert said.code in (1, 125) and f"Did you mean this?\n        {better}\n" in said.err


@pytest.mark.parametrize("words", [["ps", "--xyzzy"], ["ps", "--q"], ["frobnicate"], ["ps", "-Z"]])
def test_nothing_is_guessed_from_nonsense(ask, words):
    said = ask(*words)
    assert said.code in (1, 125) and "unknown" in said.err and "Did you mean" not in said.err


def test_all_help_has_words(ask):
    """Every option that is shown says what it does."""
    for name, _ in ROWS:
        if name.split()[:1] and name.split()[0] in NO_COMMAND:
            continue
        text = ask(*name.split(), "--help").out.partition("Options:\n")[2]
        assert not [line for line in text.splitlines() if re.match(r"  (-\S, |    )--\S+( \w+)? *$", line)]


@pytest.mark.parametrize("arguments", [(), ("a",), ("/etc/passwd", "a:/x"), ("a", "", "-")])
def test_no_command_breaks_down_without_an_engine(ask, arguments):
    """Whatever cannot be done ends with an exit code, not with a signal."""
    codes = {name: ask(*name.split(), *arguments).code for name in (row["names"][0] for row in COMMANDS)}
    assert not {name: code for name, code in codes.items() if code not in (0, 1, 125, 126, 127)}
