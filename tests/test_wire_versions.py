"""Supervisors of earlier releases under the engine of this one. Their program is built from the repository's own history."""
import os
import pathlib
import shutil
import subprocess

import pytest

import engine as engines
from engine import LIMIT_S, run, wait_until
from raw_api import Api

pytestmark = pytest.mark.own

ROOT = pathlib.Path(__file__).resolve().parent.parent
# The last commit before execs outlived the engine: version 1 of the wire, without deadlines and lifetimes.
OLDEST = "43ec05ca169ec3e093700451ddb4bacd06cd060c"


@pytest.fixture(scope="module")
def old_shim(tmp_path_factory):
    """The supervisor of that commit."""
    if run(["git", "-C", ROOT, "cat-file", "-e", OLDEST + "^{commit}"]).code != 0:
        pytest.skip(f"not run: this clone has no history (commit {OLDEST[:12]} is not in it)")
    place = tmp_path_factory.mktemp("old")
    source, build, program = place / "source", place / "build", place / "berth-shim"
    source.mkdir()
    subprocess.run(f"git -C {ROOT} archive {OLDEST} | tar -xC {source}", shell=True, check=True)
    run(["meson", "setup", build, source, "-Dtests=disabled", "-Doptimization=0", "-Ddebug=false"], check=True, limit_s=120)
    run(["ninja", "-C", build, "src/programs/berth-shim"], check=True, limit_s=600)
    shutil.copy(build / "src/programs/berth-shim", program)
    shutil.rmtree(build)
    return program


def test_an_old_supervisor_serves_a_new_engine(build, docker_client, old_shim):
    engine = engines.Engine(build, extra=["--shim-path", old_shim])
    engine.start()
    try:
        context = engines.make_busybox_context(engine.directory / "busybox-context")
        assert engine.docker("build", "-q", "-t", "busybox", context).code == 0
        for name, command in (("one", "echo before; read line; echo got $line; exit 4"), ("two", "trap 'exit 7' TERM; while :; do sleep 0.1; done"),
                              ("three", "sleep 2; exit 5")):
            engine.docker("run", "-d", "-i", "--name", name, "busybox", "sh", "-c", command, check=True)
        pids = {name: engine.inspect(name)["State"]["Pid"] for name in ("one", "two", "three")}
        assert all(is_run_by(pid, old_shim) for pid in pids.values())
        engine.kill()
        wait_until(lambda: not os.path.exists(f"/proc/{pids['three']}"), what="the end of a container without an engine")

        engine.extra = []
        engine.start()
        assert {name: engine.inspect(name)["State"]["Pid"] for name in ("one", "two")} == {name: pids[name] for name in ("one", "two")}
        assert engine.inspect("three")["State"]["ExitCode"] == 5

        api = Api(engine.socket)
        made = api.do("POST", "/containers/two/exec", {"Cmd": ["sh", "-c", "exit 3"]})["Id"]
        api.do("POST", f"/exec/{made}/start", {"Detach": True})
        wait_until(lambda: api.do("GET", f"/exec/{made}/json")["ExitCode"] == 3, what="the exit code of an exec")
        assert engine.docker("exec", "-i", "two", "cat", stdin="through\n", check=True).out == "through\n"
        assert engine.docker("exec", "two", "nope").code == 127
        engine.docker("pause", "two", check=True)
        engine.docker("unpause", "two", check=True)
        attached = subprocess.Popen([engines.docker_program(), "attach", "one"], env=engine.environment, stdin=subprocess.PIPE,
                                    stdout=subprocess.PIPE)
        attached.stdin.write(b"text\n")
        attached.stdin.flush()
        assert attached.stdout.read() == b"got text\n" and attached.wait(LIMIT_S) == 4
        assert engine.docker("wait", "one", check=True).out == "4\n"
        assert engine.docker("logs", "one", check=True).out == "before\ngot text\n"
        engine.docker("stop", "two", check=True)
        assert engine.inspect("two")["State"]["ExitCode"] == 7
        # From here on they are of this release.
        engine.docker("start", "two", check=True)
        assert is_run_by(engine.inspect("two")["State"]["Pid"], build / "berth-shim")
        engine.docker("rm", "-f", "one", "two", "three", check=True)
        left = engine.verify()
        assert left.code == 0, left
    finally:
        engine.remove()


def is_run_by(pid, program):
    with open(f"/proc/{pid}/status") as status:
        parent = next(int(line.split()[1]) for line in status if line.startswith("PPid:"))
    return os.path.samefile(f"/proc/{parent}/exe", program)
