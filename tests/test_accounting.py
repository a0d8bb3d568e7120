"""What system df says is what du says; and it goes on being so while things change."""
import os
import sqlite3
import subprocess

import pytest

from engine import wait_until

pytestmark = pytest.mark.own

# Containers and small files: 1,000 and 250,000 (1 GB) in the long form.
CONTAINERS = int(os.environ.get("BERTH_TEST_DF_CONTAINERS", "20"))
FILES = int(os.environ.get("BERTH_TEST_DF_FILES", "2000"))


def usage(engine):
    client = engine.sdk()
    try:
        return client.df()
    finally:
        client.close()


def du(engine):
    while (done := subprocess.run(["du", "-sx", "-B1", engine.data], capture_output=True, text=True)).returncode:
        assert "No such file" in done.stderr, done  # what is removed while it looks is an error to it
    return int(done.stdout.split()[0])


def agrees(engine):
    """Within 0.1 %, or a few blocks where little is there; the record's own log may grow meanwhile."""
    ours, theirs = usage(engine)["DataRoot"]["Total"], du(engine)
    return abs(ours - theirs) <= max(theirs / 1000, 256 * 1024)


def check(engine):
    wait_until(lambda: agrees(engine), what=f"df ({usage(engine)['DataRoot']}) agreeing with du ({du(engine)})")
    said = usage(engine)["DataRoot"]
    assert said["Total"] == sum(value for key, value in said.items() if key != "Total")


def test_adds_up_to_du(private_engine):
    engine = private_engine
    check(engine)
    engine.docker("run", "--name", "fills", "-v", "small:/v", "busybox", "sh", "-c",
                  f"i=0; while [ $i -lt {FILES} ]; do echo 0123456789 > /v/$i; i=$((i+1)); done; dd if=/dev/zero of=/root/big bs=64k count=64", limit_s=600, check=True)
    for number in range(CONTAINERS):
        engine.docker("create", "--name", f"c-{number}", "busybox", "true", check=True)
    check(engine)
    before = usage(engine)
    assert before["Volumes"][0]["UsageData"] == {"RefCount": 1, "Size": 11 * FILES}
    assert next(c["SizeRw"] for c in before["Containers"] if c["Names"] == ["/fills"]) == 4 << 20
    # What changes is seen: by a run, by files copied in, by a running container.
    engine.docker("run", "-d", "--name", "runs", "-v", "small:/v", "busybox", "sh", "-c", "rm /v/1; echo more > /v/more; dd if=/dev/zero of=/root/x bs=64k count=32; sleep 300",
                  check=True)
    wait_until(lambda: engine.docker("exec", "runs", "stat", "-c", "%s", "/root/x").out == f"{2 << 20}\n", what="the file")
    archive = subprocess.run(["tar", "-C", "/bin", "-c", "busybox"], capture_output=True, check=True).stdout
    engine.docker("cp", "-", "fills:/root", stdin=archive, check=True)
    wait_until(lambda: usage(engine)["Volumes"][0]["UsageData"]["Size"] == 11 * FILES - 11 + 5, what="the volume's size following")
    now = {c["Names"][0]: c.get("SizeRw", 0) for c in usage(engine)["Containers"]}
    assert now["/runs"] == 2 << 20 and now["/fills"] == (4 << 20) + os.path.getsize("/bin/busybox")
    check(engine)
    engine.docker("rm", "-f", "runs", "fills", check=True)
    engine.docker("volume", "rm", "small", check=True)
    check(engine)


def test_shared_and_unique_bytes(private_engine, tmp_path):
    engine = private_engine
    (tmp_path / "Dockerfile").write_text("FROM busybox\nRUN dd if=/dev/zero of=/own bs=1k count=100\n")
    engine.docker("build", "-q", "-t", "above", tmp_path, check=True)
    images = {image["RepoTags"][0]: image for image in usage(engine)["Images"] if image["RepoTags"]}
    base, above = images["busybox:latest"], images["above:latest"]
    assert above["Size"] - above["SharedSize"] == 100 * 1024 and above["SharedSize"] == base["SharedSize"] == base["Size"]
    assert usage(engine)["LayersSize"] == above["Size"]


def test_asking_leaves_no_trace(private_engine):
    """Times of access are the user's."""
    engine = private_engine
    fill(engine, "looked-at", "12345")
    place = engine.data / "volumes/looked-at/_data"
    directories = [place.joinpath(*["d"] * depth) for depth in range(61)]  # more than are kept open
    directories[-1].mkdir(parents=True)
    for directory in directories:
        (directory / "e").mkdir()
    engine.docker("run", "-d", "--name", "has-it", "-v", "looked-at:/v", "busybox", "sleep", "300", check=True)  # so that it is walked
    for directory in directories:
        os.utime(directory, (10**9, 10**9))
    assert volume_size(engine, "looked-at") == 5
    assert {directory.stat().st_atime for directory in directories} == {10**9}


def volume_size(engine, name):
    return next(v["UsageData"]["Size"] for v in usage(engine)["Volumes"] if v["Name"] == name)


def recorded(engine):
    with sqlite3.connect(f"file:{engine.data}/berth.db?mode=ro", uri=True) as record:
        return {path for (path,) in record.execute("SELECT path FROM usage")}


def fill(engine, volume, letters):
    engine.docker("run", "--rm", "-v", f"{volume}:/v", "busybox", "sh", "-c", f"echo -n {letters} >> /v/f", check=True)


def test_sizes_are_kept_over_a_restart(private_engine):
    """What was measured at rest is in the record, so the first question after a start walks nothing of it; and what was changed since is not there."""
    engine = private_engine
    fill(engine, "kept", "12345")
    fill(engine, "used", "12345")
    assert (volume_size(engine, "kept"), volume_size(engine, "used")) == (5, 5)
    wait_until(lambda: {"volumes/kept/_data", "volumes/used/_data"} <= recorded(engine), what="the record having the sizes")
    engine.stop()
    (engine.data / "volumes/kept/_data/g").write_text("behind the engine's back: whoever does not walk does not see it")
    engine.start()
    assert volume_size(engine, "kept") == 5
    # In use, through a crash: the row went before the first byte was written.
    engine.docker("run", "-d", "--name", "writes", "-v", "used:/v", "busybox", "sh", "-c", "echo -n 67890 >> /v/f; touch /ready; exec sleep 300", check=True)
    wait_until(lambda: engine.docker("exec", "writes", "test", "-e", "/ready").code == 0, what="the file being written")
    assert "volumes/used/_data" not in recorded(engine)
    engine.kill()
    engine.start()
    engine.docker("rm", "-f", "writes", check=True)
    assert volume_size(engine, "used") == 10
    fill(engine, "kept", "6")  # whoever mounts it makes it measured anew
    assert volume_size(engine, "kept") > 6
    check(engine)


def test_sizes_are_known_before_anybody_asks(private_engine):
    engine = private_engine
    fill(engine, "early", "12345")
    wait_until(lambda: "volumes/early/_data" in recorded(engine) and any(path.startswith("layers/") for path in recorded(engine)), limit_s=60, what="the engine measuring by itself")
    assert volume_size(engine, "early") == 5
    engine.docker("volume", "rm", "early", check=True)
    wait_until(lambda: "volumes/early/_data" not in recorded(engine), limit_s=60, what="the engine forgetting what is gone")


def test_a_name_that_is_used_again(private_engine):
    engine = private_engine
    fill(engine, "again", "12345")
    assert volume_size(engine, "again") == 5
    engine.docker("volume", "rm", "again", check=True)
    engine.docker("volume", "create", "again", check=True)
    assert volume_size(engine, "again") == 0
    fill(engine, "other", "12")
    engine.docker("volume", "rm", "again", check=True)
    engine.berth("volume", "rename", "other", "again", check=True)
    assert volume_size(engine, "again") == 2


def test_a_large_volume_goes_behind_the_answer(private_engine):
    """Its name is free at once, nothing of it stays, not even if the engine ends meanwhile."""
    engine = private_engine
    for ends in (False, True):
        engine.docker("run", "--rm", "-v", "large:/v", "busybox", "sh", "-c", f"seq {5 * FILES} | (cd /v; xargs touch)", limit_s=300, check=True)
        engine.docker("volume", "rm", "large", check=True)
        engine.docker("volume", "create", "large", check=True)
        if ends:
            engine.kill()
            engine.start()
        assert volume_size(engine, "large") == 0 and not any((engine.data / "volumes/large/_data").iterdir())
        wait_until(lambda: not list((engine.data / "volumes").glob(".removed-*")), what="the old one being gone")
        assert engine.verify().code == 0, engine.verify()
    check(engine)
