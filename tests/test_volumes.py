"""What berth does with whole volumes: renaming, clones, snapshots, archives."""
import contextlib
import io
import json
import os
import sqlite3
import subprocess
import tarfile

import pytest

from engine import wait_until

pytestmark = pytest.mark.own

FILL = ("mkdir /v/d && echo one > /v/d/f && ln /v/d/f /v/hard && ln -s d/f /v/soft && mkfifo /v/p && chown 7:8 /v/d && chmod 2751 /v/d && "
        "dd if=/dev/zero of=/v/sparse bs=1 count=1 seek=1M 2>/dev/null && chown 5:6 /v && chmod 1770 /v")
SHOW = "cd /v; find . | sort | while read f; do stat -c '%n %F %a %u:%g %h %s %Y' $f; done; cat d/f; readlink soft"


@pytest.fixture
def volumes(engine):
    """Names for volumes, removed afterwards with the containers that have them."""
    made = []

    def name(text):
        made.append(text)
        return text
    yield name
    for text in reversed(made):
        ids = engine.docker("ps", "-aq", "--filter", f"volume={text}").out.split()
        if ids:
            engine.docker("rm", "-f", "-v", *ids)
        engine.docker("volume", "rm", "-f", text)


def inside(engine, volume, script, options=""):
    got = engine.docker("run", "--rm", "-v", f"{volume}:/v{options}", "busybox", "sh", "-c", script)
    assert got.code == 0, got
    return got.out


def exists(engine, volume):
    return engine.docker("volume", "inspect", volume).code == 0


# ---- names ----

def test_rename(engine, volumes, name):
    old, new = volumes("vr-old"), volumes("vr-new")
    engine.docker("volume", "create", "--label", "a=b", old, check=True)
    inside(engine, old, "echo kept > /v/f")
    engine.berth("volume", "rename", old, new, check=True)
    assert not exists(engine, old) and inside(engine, new, "cat /v/f") == "kept\n"
    assert json.loads(engine.docker("volume", "inspect", new).out)[0]["Labels"] == {"a": "b"}
    engine.docker("create", "--name", name, "-v", f"{new}:/v", "busybox", check=True)
    refused = engine.berth("volume", "rename", new, old)
    assert refused.code == 1 and f"rename {new}: volume is in use - [" in refused.err
    assert engine.verify().code == 0


def test_rename_refuses(engine, volumes):
    one, two = volumes("vr-1"), volumes("vr-2")
    for text in (one, two):
        engine.docker("volume", "create", text, check=True)
    assert "exists already" in engine.berth("volume", "rename", one, two).err
    assert "no such volume" in engine.berth("volume", "rename", "vr-missing", "vr-3").err
    assert "invalid characters" in engine.berth("volume", "rename", one, "../x").err
    assert exists(engine, one) and exists(engine, two)


# ---- copies ----

def test_clone_is_the_same_and_apart(engine, volumes):
    one, two = volumes("vc-1"), volumes("vc-2")
    engine.docker("volume", "create", "--label", "a=b", one, check=True)
    inside(engine, one, FILL)
    assert engine.berth("volume", "clone", one, two, check=True).out == two + "\n"
    assert inside(engine, one, SHOW) == inside(engine, two, SHOW)
    inside(engine, two, "echo two > /v/d/f")
    assert inside(engine, one, "cat /v/d/f") == "one\n"
    assert json.loads(engine.docker("volume", "inspect", two).out)[0]["Labels"] == {"a": "b"}
    again = engine.berth("volume", "clone", one, two)
    assert again.code == 1 and "exists already" in again.err
    assert "no such volume" in engine.berth("volume", "clone", "vc-missing", "vc-3").err


def test_snapshot_is_never_written_to(engine, volumes, name):
    one, kept, back = volumes("vs-1"), volumes("vs-kept"), volumes("vs-back")
    engine.docker("run", "-d", "--name", name, "-v", f"{one}:/v", "busybox", "sh", "-c", "echo then > /v/f; sleep 300", check=True)
    engine.docker("exec", name, "sh", "-c", "until [ -s /v/f ]; do sleep 0.05; done", check=True)
    engine.berth("volume", "snapshot", one, kept, check=True)
    assert engine.inspect(name)["State"]["Paused"] is False
    engine.docker("exec", name, "sh", "-c", "echo now > /v/f", check=True)
    assert inside(engine, kept, "cat /v/f; touch /v/x 2>/dev/null || echo refused") == "then\nrefused\n"
    assert json.loads(engine.docker("volume", "inspect", kept).out)[0]["Status"] == {"SnapshotOf": one}
    engine.berth("volume", "clone", kept, back, check=True)
    assert inside(engine, back, "echo more >> /v/f; cat /v/f") == "then\nmore\n"
    made = volumes(engine.berth("volume", "snapshot", one, check=True).out.strip())
    assert made.startswith(one + "-2") and inside(engine, made, "cat /v/f") == "now\n"


# ---- archives ----

def test_export_and_import(engine, volumes, tmp_path):
    one, two = volumes("ve-1"), volumes("ve-2")
    inside(engine, one, FILL)
    archive = tmp_path / "v.tar"
    engine.berth("volume", "export", "-o", archive, one, check=True)
    assert "./d/f" in tarfile.open(archive).getnames()
    assert engine.berth("volume", "import", "-i", archive, "--label", "from=archive", two, check=True).out == two + "\n"
    assert inside(engine, one, SHOW) == inside(engine, two, SHOW)
    assert json.loads(engine.docker("volume", "inspect", two).out)[0]["Labels"] == {"from": "archive"}
    assert "exists already" in engine.berth("volume", "import", "-i", archive, two).err


def test_import_of_what_is_no_archive_leaves_nothing(engine, volumes, tmp_path):
    name = volumes("vi-bad")
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w") as tar:
        entry = tarfile.TarInfo("f")
        entry.size = 100000
        tar.addfile(entry, io.BytesIO(b"x" * 100000))
    for text in (b"no archive at all" * 100, whole.getvalue()[:50000]):
        (tmp_path / "bad").write_bytes(text)
        got = engine.berth("volume", "import", "-i", tmp_path / "bad", name)
        assert got.code == 1 and got.err, got
        assert not exists(engine, name)
    assert engine.verify().code == 0


def test_import_stays_inside(engine, volumes, tmp_path):
    """An archive with a link out of the volume and a file behind it."""
    name = volumes("vi-out")
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        link = tarfile.TarInfo("out")
        link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path)
        tar.addfile(link)
        entry = tarfile.TarInfo("out/planted")
        entry.size = 1
        tar.addfile(entry, io.BytesIO(b"x"))
    engine.berth("volume", "import", "-i", tmp_path / "a.tar", name)
    assert sorted(os.listdir(tmp_path)) == ["a.tar"]


# ---- crashes ----

def test_names_and_copies_behind_a_crash(private_engine):
    """Killed in the middle of it: a volume has the one name or the other, and a copy is whole or not there."""
    engine = private_engine
    engine.docker("run", "--rm", "-v", "va:/v", "busybox", "sh", "-c", "for i in $(seq 500); do echo $i > /v/$i; done", check=True)
    for delay_ms in (1, 3, 6, 12, 20, 40):
        words = [["volume", "rename", "va", "vb"], ["volume", "clone", "va", f"vc-{delay_ms}"]][delay_ms % 2]
        if not exists(engine, "va"):
            engine.berth("volume", "rename", "vb", "va", check=True)
        process = subprocess.Popen([str(engine.build / "berth"), *words], env=engine.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            process.wait(delay_ms / 1000)
        except subprocess.TimeoutExpired:
            pass
        engine.kill()
        process.wait()
        engine.start()
        names = engine.docker("volume", "ls", "-q").out.split()
        assert ("va" in names) != ("vb" in names), names
        for text in names:
            assert inside(engine, text, "ls /v | wc -l") == "500\n", text
    assert engine.verify().code == 0


def test_the_record_forgets_what_was_removed(private_engine):
    """Soon after the answer, and not only when the name is wanted again."""
    engine = private_engine
    for name in ("first", "second"):
        engine.docker("volume", "create", name, check=True)
    engine.docker("volume", "rm", "first", check=True)

    def rows():
        with contextlib.closing(sqlite3.connect(f"file:{engine.data}/berth.db?mode=ro", uri=True)) as record:
            return [name for (name,) in record.execute("SELECT name FROM volume")]
    wait_until(lambda: rows() == ["second"], what="the row of the removed volume being gone")
