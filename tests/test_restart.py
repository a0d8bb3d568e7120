"""kill -9 of the engine: no container, published port, terminal, log line or exit code is lost."""
import contextlib
import os
import sqlite3
import threading
import time
import urllib.request

import pytest

from engine import LIMIT_S, docker_program, wait_until
from test_first_light import Terminal, fetch

pytestmark = pytest.mark.own

# 100 bytes a line, ten pieces of 1 MB a second: it writes on while the engine is down.
LOGGED_LINES = 500_000
WRITER = ("awk 'BEGIN { pad = \"\"; while (length(pad) < 91) pad = pad \"x\"; "
          f"for (i = 1; i <= {LOGGED_LINES}; i++) {{ printf \"%08d %s\\n\", i, substr(pad, 1, 90); "
          "if (i % 10000 == 0) { fflush(); system(\"sleep 0.1\") } } }'; sleep 300")


def test_containers_outlive_the_engine(private_engine, free_port):
    engine = private_engine
    engine.docker("run", "-d", "--name", "web", "-p", f"{free_port}:80", "busybox", "sh", "-c",
                  "echo page > /tmp/index.html; httpd -f -p 80 -h /tmp", check=True)
    engine.docker("run", "-d", "--name", "writer", "--log-opt", "max-size=200m", "busybox", "sh", "-c", WRITER, check=True)
    engine.docker("run", "-d", "--name", "seven", "busybox", "sh", "-c", "sleep 4; exit 7", check=True)
    engine.docker("run", "-d", "--name", "idle", "busybox", "sleep", "300", check=True)
    terminal = Terminal([docker_program(), "run", "-it", "--name", "shell", "busybox", "sh"], engine.environment)
    terminal.expect("# ")
    assert fetch(free_port) == "page\n"

    failures, stop = [], threading.Event()

    def knock():
        while not stop.is_set():
            try:
                assert urllib.request.urlopen(f"http://127.0.0.1:{free_port}/", timeout=LIMIT_S).read() == b"page\n"
            except Exception as problem:
                failures.append(repr(problem))
            time.sleep(0.02)
    knocking = threading.Thread(target=knock)
    knocking.start()
    try:
        pids = {name: engine.inspect(name)["State"]["Pid"] for name in ("web", "writer", "seven", "idle", "shell")}
        engine.kill()
        # Nobody is there to ask, and the terminal goes on.
        terminal.send("echo $((11*11))\r")
        terminal.expect("121")
        wait_until(lambda: not os.path.exists(f"/proc/{pids['seven']}"), what="the end of 'seven'")
        assert all(os.path.exists(f"/proc/{pids[name]}") for name in ("web", "writer", "idle", "shell"))
        engine.start()
        terminal.send("echo $((12*12))\r")
        terminal.expect("144")
    finally:
        stop.set()
        knocking.join()
    assert failures == []

    listed = engine.docker("ps", "-a", "--format", "{{.Names}} {{.State}}", check=True).out.split("\n")
    assert set(filter(None, listed)) == {"web running", "writer running", "seven exited", "idle running", "shell running"}
    state = engine.inspect("seven")["State"]
    assert (state["ExitCode"], state["Running"], state["Pid"]) == (7, False, 0)
    for name in ("web", "writer", "idle", "shell"):
        assert engine.inspect(name)["State"]["Pid"] == pids[name]
    assert engine.docker("exec", "idle", "echo", "still here", check=True).out == "still here\n"

    def complete():
        return engine.docker("logs", "--tail", "1", "writer").out.startswith(f"{LOGGED_LINES:08d} ")
    wait_until(complete, what="the last line in the log")
    lines = engine.docker("logs", "writer", check=True).out.splitlines()
    assert [line[:8] for line in lines] == [f"{n:08d}" for n in range(1, LOGGED_LINES + 1)]
    assert {len(line) for line in lines} == {99}

    terminal.send("exit 6\r")
    assert terminal.process.wait(LIMIT_S) == 6 or engine.inspect("shell")["State"]["ExitCode"] == 6
    assert engine.inspect("shell")["State"]["ExitCode"] == 6
    os.close(terminal.master)
    engine.docker("rm", "-f", "web", "writer", "seven", "idle", "shell", check=True)
    left = engine.verify()
    assert left.code == 0, left
    with pytest.raises(OSError):
        urllib.request.urlopen(f"http://127.0.0.1:{free_port}/", timeout=LIMIT_S)


def test_auto_remove_and_policy_across_restart(private_engine):
    engine = private_engine
    engine.docker("run", "-d", "--rm", "--name", "gone", "busybox", "sleep", "2", check=True)
    engine.docker("run", "-d", "--restart", "always", "--name", "back", "busybox", "sleep", "2", check=True)
    engine.docker("run", "-d", "--restart", "unless-stopped", "--name", "stays-down", "busybox", "sleep", "300", check=True)
    engine.docker("stop", "-t", "0", "stays-down", check=True)
    engine.kill()
    time.sleep(2.5)
    engine.start()
    wait_until(lambda: engine.docker("inspect", "gone").code == 1, what="removal of a --rm container that ended meanwhile")
    wait_until(lambda: engine.inspect("back")["State"]["Running"], what="the next run of an always container")
    assert engine.inspect("stays-down")["State"]["Status"] == "exited"


def test_orderly_stop_keeps_containers(private_engine):
    engine = private_engine
    engine.docker("run", "-d", "--name", "runs", "busybox", "sleep", "300", check=True)
    pid = engine.inspect("runs")["State"]["Pid"]
    engine.stop()
    assert os.path.exists(f"/proc/{pid}")
    engine.start()
    assert engine.inspect("runs")["State"]["Pid"] == pid


# What the steps of a subsystem beyond the first so many made, taken back. A new step belongs here too.
YOUNGER = {
    ("engine", 1): ["DROP TABLE exec", "ALTER TABLE container DROP COLUMN health", "DROP TABLE unused_image", "ALTER TABLE container DROP COLUMN is_whole",
                    "DROP TABLE usage"],
    ("store", 1): ["DROP TABLE compressed", "DROP TABLE plain", "DROP TABLE attestation", "DROP TABLE archive_state",
                   "ALTER TABLE layer DROP COLUMN pack_order"],
    ("volume", 1): ["ALTER TABLE volume DROP COLUMN snapshot_of", "ALTER TABLE volume DROP COLUMN moving_to", "ALTER TABLE volume DROP COLUMN scope"],
}


def test_the_record_of_an_older_engine(private_engine):
    """Each subsystem brings its tables up to date; what they say is kept. A record of a newer engine is refused, and left as it is."""
    engine = private_engine
    engine.docker("volume", "create", "--label", "a=b", "kept", check=True)
    engine.docker("create", "--name", "box", "-v", "kept:/v", "busybox", "cat", "/v/content", check=True)
    (engine.data / "volumes/kept/_data/content").write_text("kept")
    before = engine.inspect("box")["Id"], engine.docker("images", "-q", "--no-trunc").out
    engine.stop()
    path = engine.data / "berth.db"
    with contextlib.closing(sqlite3.connect(path)) as record:
        steps = dict(record.execute("SELECT subsystem, count FROM migration"))
        for (subsystem, count), statements in YOUNGER.items():
            for statement in statements:
                record.execute(statement)
            record.execute("UPDATE migration SET count = ? WHERE subsystem = ?", (count, subsystem))
        record.commit()
    engine.start()
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as record:
        assert dict(record.execute("SELECT subsystem, count FROM migration")) == steps
    assert (engine.inspect("box")["Id"], engine.docker("images", "-q", "--no-trunc").out) == before
    assert engine.docker("volume", "inspect", "-f", "{{.Labels.a}}", "kept").out == "b\n"
    assert engine.docker("start", "-a", "box").out == "kept"
    assert engine.verify().code == 0

    engine.stop()
    with contextlib.closing(sqlite3.connect(path)) as record:
        record.execute("UPDATE migration SET count = count + 1 WHERE subsystem = 'volume'")
        record.commit()
    with pytest.raises(AssertionError, match="written by a newer version"):
        engine.start()
    with contextlib.closing(sqlite3.connect(path)) as record:
        record.execute("UPDATE migration SET count = count - 1 WHERE subsystem = 'volume'")
        record.commit()
    engine.process = None
    engine.start()


def test_what_was_being_removed_goes_behind_the_next_start(private_engine):
    """Large trees keep neither an answer nor a start waiting; what an end of the engine leaves of them is not forgotten."""
    places = [private_engine.data / "tmp/gone-0123", private_engine.data / "tmp/container-0123", private_engine.data / "volumes/.removed-0123"]
    private_engine.kill()
    for place in places:
        (place / "diff/deep").mkdir(parents=True)
        (place / "diff/deep/file").write_bytes(b"x" * 100_000)
    private_engine.start()
    wait_until(lambda: not any(place.exists() for place in places), what="what nobody uses being removed")
    assert private_engine.verify().code == 0


def test_killed_in_the_middle_of_things(private_engine):
    """Starts and removals are interrupted again and again; what is left agrees with the record."""
    engine = private_engine
    for round in range(4):
        workers = [threading.Thread(target=lambda n=n: engine.docker("run", "--rm", "--name", f"r{round}-{n}", "busybox", "true"))
                   for n in range(3)]
        for worker in workers:
            worker.start()
        time.sleep(0.05 + 0.06 * round)
        engine.kill()
        for worker in workers:
            worker.join()
        engine.start()

    def is_empty():
        """What is listed may be on its way out by itself."""
        ids = engine.docker("ps", "-aq", check=True).out.split()
        return not ids or engine.docker("rm", "-f", *ids).code is None
    wait_until(is_empty, what="no container")
    left = engine.verify()
    assert left.code == 0, left
