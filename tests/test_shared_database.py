"""SQLite with its write-ahead log on a volume that two containers share: locks and shared memory hold between them, and what was committed is there
after the engine was killed, a writer was killed, and the image was replaced."""
import contextlib
import pathlib
import sqlite3

import pytest

from engine import run, wait_until

pytestmark = pytest.mark.own

SOURCE = pathlib.Path(__file__).parent / "sqlite_writer.c"
ROWS = 30  # that each writer has to come further


def build_image(engine, directory, tag, **files):
    """The writer, alone; other files make it another version."""
    directory.mkdir()
    run(["cc", "-static", "-O1", "-w", "-o", directory / "writer", SOURCE, "-lsqlite3", "-lm"], check=True)
    for name, text in files.items():
        (directory / name).write_text(text)
    (directory / "Dockerfile").write_text('FROM scratch\nCOPY . /\nENTRYPOINT ["/writer", "/data/shared.db"]\n')
    engine.docker("build", "-q", "-t", tag, directory, check=True)


def rows(engine):
    """How many each writer has written, as the database itself says."""
    path = engine.data / "volumes/shared/_data/shared.db"
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        return dict(database.execute("SELECT name, count(*) FROM row GROUP BY name"))


def acknowledged(engine, name):
    numbers = [int(line) for line in engine.docker("logs", name, check=True).out.split()]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers))), numbers
    return numbers


def write_on(engine):
    before = rows(engine)
    wait_until(lambda: all(count >= before[name] + ROWS for name, count in rows(engine).items()), what="both writers writing")


def test_two_containers_share_a_database(private_engine, tmp_path):
    engine = private_engine
    build_image(engine, tmp_path / "first", "writer")
    for name in ("one", "two"):
        engine.docker("run", "-d", "--name", name, "-v", "shared:/data", "writer", name, check=True)
    wait_until(lambda: len(engine.docker("logs", "one").out.split()) >= ROWS and len(engine.docker("logs", "two").out.split()) >= ROWS,
               what="both writers writing")
    pids = [engine.inspect(name)["State"]["Pid"] for name in ("one", "two")]
    engine.kill()
    write_on(engine)
    engine.start()
    assert [engine.inspect(name)["State"]["Pid"] for name in ("one", "two")] == pids
    write_on(engine)

    engine.docker("kill", "one", check=True)  # wherever it is in a transaction: 'two' goes on
    before = rows(engine)
    assert acknowledged(engine, "one")[0] == 1 and before["one"] >= acknowledged(engine, "one")[-1]
    wait_until(lambda: rows(engine)["two"] >= before["two"] + ROWS, what="the other writer writing")
    build_image(engine, tmp_path / "second", "writer", version="2\n")
    engine.docker("rm", "one", check=True)
    engine.docker("run", "-d", "--name", "one", "-v", "shared:/data", "writer", "one", check=True)
    write_on(engine)
    assert acknowledged(engine, "one")[0] == before["one"] + 1

    last = {}
    for name in ("one", "two"):
        engine.docker("kill", name, check=True)
        last[name] = acknowledged(engine, name)[-1]
        engine.docker("rm", name, check=True)
    with contextlib.closing(sqlite3.connect(engine.data / "volumes/shared/_data/shared.db")) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        for name, number in last.items():
            found = [row for row, in database.execute("SELECT number FROM row WHERE name = ? ORDER BY number", (name,))]
            assert found == list(range(1, len(found) + 1)) and len(found) >= number, (name, number, len(found))
    assert engine.verify().code == 0, engine.verify()
