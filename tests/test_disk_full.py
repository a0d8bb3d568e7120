"""A data root that is full: every request ends with an error that says so, nothing half-made stays, what runs goes on, and room is all that is missing."""
import io
import os
import tarfile

import pytest

from small_disk import engine_on_small_disk, fill, says_full

pytestmark = pytest.mark.own


@pytest.fixture
def small(tmp_path, build, docker_client):
    """An engine on a file system of 96 MiB."""
    with engine_on_small_disk(build, tmp_path, 96) as made:
        yield made


def state(engine):
    return (sorted(engine.docker("ps", "-aq", "--no-trunc").out.split()), sorted(engine.docker("images", "-aq", "--no-trunc").out.split()),
            sorted(engine.docker("images", "--format", "{{.Repository}}:{{.Tag}}").out.split()), sorted(engine.docker("volume", "ls", "-q").out.split()),
            sorted(engine.docker("network", "ls", "-q").out.split()))


def archive():
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        entry = tarfile.TarInfo("big")
        entry.size = 1 << 20
        tar.addfile(entry, io.BytesIO(os.urandom(1 << 20)))
    return out.getvalue()


def test_full_and_free_again(small, tmp_path):
    engine = small
    (tmp_path / "context").mkdir()
    (tmp_path / "context/Dockerfile").write_text("FROM busybox\nRUN dd if=/dev/urandom of=/big bs=64k count=32\n")
    engine.docker("run", "-d", "--name", "runs", "-v", "has:/v", "busybox", "sh", "-c", "while :; do echo alive; sleep 0.2; done", check=True)
    engine.docker("run", "--name", "ended", "busybox", "sh", "-c", "dd if=/dev/urandom of=/big bs=64k count=32", check=True)
    engine.docker("run", "--rm", "-v", "has:/v", "busybox", "sh", "-c", "dd if=/dev/urandom of=/v/big bs=64k count=32", check=True)
    engine.docker("volume", "create", "kept", check=True)
    before = state(engine)
    filler = fill(engine)
    # Reading needs no room: not for an image that nobody has read before.
    engine.docker("save", "-o", tmp_path / "saved", "busybox", check=True)
    engine.docker("export", "-o", tmp_path / "exported", "ended", check=True)
    tries = [(["volume", "create", "new"], {}), (["create", "--name", "new", "-v", "/anonymous", "busybox"], {}), (["run", "--rm", "busybox", "true"], {}),
             (["commit", "ended", "new"], {}), (["build", "-t", "new", tmp_path / "context"], {}), (["import", "-", "new"], {"stdin": archive()}),
             (["tag", "busybox", "new"], {}), (["network", "create", "new-net"], {}), (["cp", "-", "ended:/"], {"stdin": archive()}),
             (["rename", "ended", "new"], {}), (["load"], {"stdin": archive()})]
    ours = [["volume", "clone", "has", "new"], ["volume", "import", "new"], ["volume", "rename", "kept", "new"], ["volume", "create", "-o", "size=8m", "new"]]
    failed = 0
    for client, words, options in [(engine.docker, *row) for row in tries] + [(engine.berth, words, {"stdin": archive()} if "import" in words else {}) for words in ours]:
        got = client(*words, limit_s=60, **options)
        said = got.out + got.err
        if got.code == 0:  # A few bytes may have been free still: then it is whole.
            undo = {"tag": ["rmi", "new"], "volume": ["volume", "rename", "new", "kept"] if words[1] == "rename" else ["volume", "rm", "new"], "network": ["network", "rm", "new-net"], "create": ["rm", "-v", "new"],
                    "rename": ["rename", "new", "ended"]}.get(words[0])
            if undo:
                engine.berth(*undo, check=True)
        elif words[0] != "load":
            failed += 1
            assert says_full(said), (words, got)
        assert state(engine) == before, (words, got)
    assert failed >= 5
    # What runs goes on, and can be talked to.
    assert engine.docker("exec", "runs", "echo", "there").out == "there\n"
    assert engine.inspect("runs")["State"]["Running"]
    filler.unlink()
    assert engine.verify().code == 0, engine.verify()
    for words in (["volume", "create", "new"], ["commit", "ended", "new"], ["run", "--rm", "busybox", "true"], ["build", "-t", "newer", tmp_path / "context"]):
        engine.docker(*words, check=True)
    assert "alive" in engine.docker("logs", "--tail", "3", "runs").out


def removed_but_there(engine):
    return [*(engine.data / "tmp").iterdir(), *(engine.data / "volumes").glob(".removed-*")]


def test_removing_makes_room(small):
    """Nobody has to find the disk's own tools: what berth removes is enough, and where room is scarce it is there with the answer."""
    engine = small
    engine.docker("import", "-", "big", stdin=archive(), check=True)
    engine.docker("run", "--name", "ended", "busybox", "sh", "-c", "dd if=/dev/urandom of=/big bs=64k count=64", check=True)
    engine.docker("run", "--rm", "-v", "has:/v", "busybox", "sh", "-c", "dd if=/dev/urandom of=/v/big bs=64k count=64", check=True)
    fill(engine)
    for words in (["rm", "ended"], ["volume", "rm", "has"], ["rmi", "big"]):
        fill(engine)
        got = engine.docker(*words)
        assert got.code == 0, (words, got)
        assert not removed_but_there(engine), words
    engine.docker("run", "--rm", "busybox", "true", check=True)
    assert engine.verify().code == 0


def test_engine_starts_on_a_full_disk(small):
    engine = small
    engine.docker("run", "-d", "--name", "runs", "busybox", "sleep", "300", check=True)
    filler = fill(engine)
    engine.kill()
    engine.start()
    assert engine.docker("exec", "runs", "echo", "there").out == "there\n"
    filler.unlink()
    engine.docker("run", "--rm", "busybox", "true", check=True)
    assert engine.verify().code == 0
