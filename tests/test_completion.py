"""Completion, as the shells do it: bash by its own machinery, fish by its own question, zsh by a terminal and the TAB key."""
import os
import pathlib
import pty
import re
import select
import shutil
import subprocess
import time

import pytest

import engine as engines
from engine import LIMIT_S

pytestmark = pytest.mark.own


@pytest.fixture(scope="module")
def place(engine, build, tmp_path_factory):
    """A home with a context, an engine with an object of every kind, and our program on PATH as berth and as docker."""
    home = tmp_path_factory.mktemp("completion")
    (home / "bin").mkdir()
    for name in ("berth", "docker"):
        (home / "bin" / name).symlink_to(pathlib.Path(build) / "berth")
    environment = {"HOME": str(home), "PATH": f"{home}/bin:/usr/bin:/bin", "DOCKER_HOST": engine.host, "TERM": "dumb", "LC_ALL": "C.UTF-8"}
    names = ["c-running", "c-stopped"]
    engine.docker("run", "-d", "--name", names[0], "busybox", "sleep", "600", check=True)
    engine.docker("create", "--name", names[1], "busybox", check=True)
    engine.docker("volume", "create", "vol-one", check=True)
    engine.docker("network", "create", "net-one", check=True)
    engine.docker("tag", "busybox", "completion.test/team/app:v1", check=True)
    engines.run([home / "bin/berth", "context", "create", "far-away", "--docker", f"host={engine.host}"], env=environment, check=True)
    yield home, environment
    engine.docker("rm", "-f", *names)
    engine.docker("volume", "rm", "vol-one")
    engine.docker("network", "rm", "net-one")
    engine.docker("rmi", "completion.test/team/app:v1")


def offered(place, *words):
    home, environment = place
    out = engines.run([home / "bin/berth", "__complete", "--", *words], env=environment, check=True).out
    return [line.split("\t")[0] for line in out.splitlines()]


@pytest.mark.parametrize("words, wanted", [
    (["cont"], ["container", "context"]), (["container", "st"], ["start", "stats", "stop"]), (["ps", "--no-t"], ["--no-trunc"]),
    (["start", ""], ["c-stopped"]), (["stop", "c-"], ["c-running"]), (["rm", "c-"], ["c-running", "c-stopped"]), (["rm", "-f", "c-stopped", "c-r"], ["c-running"]),
    (["container", "exec", "-it", "c"], ["c-running"]), (["exec", "-e", "A=b", "c-running", ""], []), (["network", "rm", "net-"], ["net-one"]),
    (["network", "connect", "net-one", "c-r"], ["c-running"]), (["volume", "inspect", "vol"], ["vol-one"]), (["volume", "create", ""], []),
    (["run", "--network", "net"], ["net-one"]), (["run", "--network=net"], ["--network=net-one"]), (["run", "-it", "--restart=a"], ["--restart=always"]),
    (["run", "completion.test"], ["completion.test/team/app:v1"]), (["rmi", "completion.test/team/app:"], ["completion.test/team/app:v1"]),
    (["run", "busybox", "--net"], []), (["context", "use", ""], ["default", "far-away"]), (["-c", "f"], ["far-away"]), (["--context=f"], ["--context=far-away"]),
    (["-c", "far-away", "stop", "c-"], ["c-running"]), (["-H", "unix:///nowhere.sock", "stop", "c-"], []), (["ps", "--filter", "st"], ["status="]),
    (["ps", "-f", "net"], ["network="]), (["volume", "ls", "-f", "dr"], ["driver="]), (["run", "--env-file", ""], [":files"]), (["build", ""], [":files"]),
    (["cp", "c-r"], ["c-running:"]), (["cp", "./x"], [":files"]), (["inspect", "net-"], ["net-one"]), (["inspect", "vol-"], ["vol-one"]),
    (["completion", "b"], ["bash"]), (["compose", "--file", ""], [":files"]), (["frobnicate", ""], []), (["frobnicate", "more", ""], []), (["container", "frobnicate", ""], []),
    (["container", "frobnicate", "more", "-"], []), (["-", ""], []), (["--", ""], None), (["-H", "x", "-c", "y", "rm", ""], []), (["ps", "--nope", ""], []), ([""], None), ([], None)])
def test_candidates(place, words, wanted):
    found = offered(place, *words)
    assert sorted(found) == sorted(wanted) if wanted is not None else {"run", "ps", "compose", "completion"} < set(found)


def test_nothing_hidden_and_nothing_refused_is_offered(place):
    assert "__complete" not in offered(place, "") and "__complete" not in offered(place, "__")
    options = offered(place, "run", "--")
    assert "--publish" in options and not {"--net", "--cpu-count"} & set(options)


def test_an_engine_that_hangs_holds_no_shell(place, tmp_path):
    import socket
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "s"))
        silent.listen(1)
        home, environment = place
        ended = subprocess.run([home / "bin/berth", "-H", f"unix://{tmp_path}/s", "__complete", "--", "-H", f"unix://{tmp_path}/s", "rm", ""],
                               env=environment, capture_output=True, timeout=LIMIT_S)
        assert ended.stdout == b""


@pytest.mark.parametrize("program", ["berth", "docker"])
@pytest.mark.parametrize("line, wanted", [
    ("{} container sta", ["start", "stats"]), ("{} stop c-", ["c-running"]), ("{} run --network=net", ["net-one"]), ("{} run --network net", ["net-one"]),
    ("{} rmi completion.test/team/app:", ["v1"]), ("{} cp c-run", ["c-running:"]), ("{} run  --restart  unl", ["unless-stopped"]), ("{} build ./", [])])
def test_bash(place, program, line, wanted):
    """The words are what bash hands over, which splits at ':' and '='; the reply is what it puts in place of the last one."""
    home, environment = place
    text = line.format(program)
    script = 'source <("$0" completion bash); COMP_LINE=$1; COMP_POINT=${#1}; "$2"; printf "%s\\n" "${COMPREPLY[@]}"'
    out = engines.run(["bash", "--norc", "-c", script, program, text, f"_{program}_complete"], env=environment, check=True).out
    assert [found for found in out.splitlines() if found] == wanted


@pytest.mark.skipif(not shutil.which("fish"), reason="fish is not here")
@pytest.mark.parametrize("line, wanted", [
    ("berth container sta", ["start", "stats"]), ("berth stop c-", ["c-running"]), ("berth run --network=net", ["--network=net-one"]),
    ("berth rmi completion.test/team/app:", ["completion.test/team/app:v1"]), ("berth context use ", ["default", "far-away"])])
def test_fish(place, line, wanted):
    home, environment = place
    out = engines.run(["fish", "--no-config", "-c", f"berth completion fish | source; complete -C '{line}'"], env=environment, check=True).out
    assert [found.split("\t")[0] for found in out.splitlines()] == wanted
    assert "\t" in out or "team" in line or "context" in line


@pytest.mark.skipif(not shutil.which("zsh"), reason="zsh is not here")
@pytest.mark.parametrize("line, wanted", [("berth contai", "container"), ("berth stop c-", "c-running"), ("berth run --network=ne", "--network=net-one"),
                                          ("berth rmi completion.test/team/app:", "completion.test/team/app:v1"), ("berth cp c-runn", "c-running:")])
def test_zsh(place, line, wanted):
    home, environment = place
    (home / "functions").mkdir(exist_ok=True)
    (home / "functions/_berth").write_text(engines.run([home / "bin/berth", "completion", "zsh"], env=environment, check=True).out)
    (home / ".zshrc").write_text("PS1='READY> '\nfpath=(~/functions $fpath)\nautoload -Uz compinit\ncompinit -u -D\nunsetopt zle_bracketed_paste 2>/dev/null\n"
                                 "show() { print -r -- \"LINE<$BUFFER>\"; zle reset-prompt }\nzle -N show\nbindkey '^X' show\n")
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(shutil.which("zsh"), ["zsh", "-i"], {**environment, "TERM": "xterm"})
    try:
        seen = read_until(terminal, "READY> ")
        os.write(terminal, line.encode() + b"\t")
        time.sleep(0.5)
        os.write(terminal, b"\x18")
        seen = read_until(terminal, ">")
        while "LINE<" not in seen or not re.search(r"LINE<[^>]*>", seen):
            seen += read_until(terminal, ">")
        assert re.search(r"LINE<([^>]*)>", seen).group(1).strip().endswith(wanted)
    finally:
        os.kill(pid, 9)
        os.waitpid(pid, 0)
        os.close(terminal)


def read_until(terminal, text, limit_s=LIMIT_S):
    seen, end = "", time.monotonic() + limit_s
    while text not in seen:
        ready, _, _ = select.select([terminal], [], [], max(0, end - time.monotonic()))
        assert ready, f"no {text!r} in {seen!r}"
        seen += os.read(terminal, 4096).decode(errors="replace")
    return seen


def test_install_puts_them_in_place(build, tmp_path):
    root = pathlib.Path(__file__).resolve().parent.parent
    subprocess.run([root / "tools/install", build, tmp_path, "/usr", "1"], check=True, capture_output=True)
    for name in ("berth", "docker"):
        for path in (f"bash-completion/completions/{name}", f"zsh/site-functions/_{name}", f"fish/vendor_completions.d/{name}.fish"):
            assert re.search(rf"\b{name}\n", (tmp_path / "usr/share" / path).read_text())
