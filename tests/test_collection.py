"""What the engine removes by itself: images without a name and a container, build cache and layers beyond the limits, and nothing else."""
import json
import signal
import sqlite3

import pytest

import engine as engines
from engine import wait_until

pytestmark = pytest.mark.own


def heard(engine):
    log = engine.log.read_text()
    return log.count("configuration is reloaded") + log.count("configuration is not reloaded")


@pytest.fixture
def collecting(build, docker_client, tmp_path):
    """An engine whose configuration file can be changed: set(...) writes it and has it read."""
    path = tmp_path / "daemon.json"
    path.write_text(json.dumps({"gc-interval": "0"}))
    made = engines.Engine(build, extra=["--config-file", path])

    def set_limits(**limits):
        path.write_text(json.dumps({key.replace("_", "-"): value for key, value in limits.items()}))
        before = heard(made)
        made.process.send_signal(signal.SIGHUP)
        wait_until(lambda: heard(made) > before, what="the engine having read its configuration")
    made.set = set_limits
    made.start()
    context = engines.make_busybox_context(made.directory / "context")
    made.docker("build", "-q", "-t", "busybox", context, check=True)
    yield made
    made.remove()


def build_image(engine, directory, text, *options):
    directory.mkdir(exist_ok=True)
    (directory / "Dockerfile").write_text(f"FROM busybox\nRUN head -c 300000 /dev/urandom > /{text}\n")
    return engine.docker("build", "-q", *options, directory, check=True).out.strip()


def images(engine):
    return set(engine.docker("images", "-aq", "--no-trunc").out.split())


def cache(engine):
    return json.loads(engine.docker("system", "df", "-v", "--format", "{{json .BuildCache}}").out)


def test_nothing_used_goes_and_nothing_else(collecting, tmp_path):
    named = build_image(collecting, tmp_path / "a", "named", "-t", "named")
    nameless = build_image(collecting, tmp_path / "b", "nameless")
    running = build_image(collecting, tmp_path / "c", "running")
    parent = build_image(collecting, tmp_path / "d", "parent")
    collecting.docker("create", "--name", "user", running, "true", check=True)
    collecting.docker("commit", collecting.docker("create", "--name", "child", parent, "true", check=True).out.strip(), "child", check=True)
    collecting.docker("rm", "child", check=True)
    collecting.docker("volume", "create", "unused", check=True)
    anonymous = collecting.docker("volume", "create", check=True).out.strip()
    assert {named, nameless, running, parent} <= images(collecting)

    collecting.set(gc_interval="50ms", gc_image_age="1ms", gc_build_cache_age="1ms")
    wait_until(lambda: nameless not in images(collecting) and not cache(collecting), what="what nothing uses being removed")
    assert {named, running, parent} <= images(collecting)
    assert {"unused", anonymous} <= set(collecting.docker("volume", "ls", "-q").out.split())
    assert collecting.docker("ps", "-aq", "--filter", "name=user").out
    assert "collected what nothing uses" in collecting.log.read_text()
    # What was used is unused from now on.
    collecting.docker("rm", "user", check=True)
    wait_until(lambda: running not in images(collecting), what="the image of the removed container being removed")
    for name in ("named", "child"):
        assert collecting.docker("run", "--rm", name, "true").code == 0
    collecting.set(gc_interval="0")
    wait_until(lambda: collecting.verify().code == 0, what="record and disk agreeing")


def test_the_longest_unused_go_first(collecting, tmp_path):
    collecting.set(gc_interval="50ms", gc_image_size="100g", gc_build_cache_age="1ms")
    made = []
    for number in range(4):
        made.append(build_image(collecting, tmp_path / "context", f"file{number}", "--no-cache"))
        # Noted as unused before the next one is there: a pass leaves nothing else to see.
        wait_until(lambda: noted(collecting, made[-1]), what="the engine having seen the image")
    collecting.set(gc_interval="50ms", gc_image_size="700k", gc_build_cache_age="1ms")
    wait_until(lambda: not {made[0], made[1]} & images(collecting), what="the oldest going")
    assert {made[2], made[3]} <= images(collecting)


def noted(engine, image):
    with sqlite3.connect(f"file:{engine.data}/berth.db?mode=ro", uri=True) as record:
        return record.execute("SELECT 1 FROM unused_image WHERE id = ?", (image,)).fetchone()


def test_build_cache_has_a_size(collecting, tmp_path):
    for number in range(4):
        build_image(collecting, tmp_path / "context", f"file{number}", "-t", "same", "--no-cache")
    before = {item["ID"] for item in cache(collecting)}
    assert len(before) >= 4
    collecting.set(gc_interval="50ms", gc_build_cache_size="700k", gc_image_age="1ms")
    wait_until(lambda: len(cache(collecting)) <= 2, what="the cache being small")
    assert {item["ID"] for item in cache(collecting)} < before
    assert collecting.docker("run", "--rm", "same", "ls", "/file3").code == 0


def test_a_bad_limit_is_refused_and_the_old_ones_stay(collecting, tmp_path):
    collecting.set(gc_interval="soon", gc_image_age="1ms")
    log = collecting.log.read_text()
    assert "configuration is not reloaded" in log and "gc-interval" in log
    nameless = build_image(collecting, tmp_path / "context", "file")
    collecting.docker("builder", "prune", "-af", check=True)
    assert nameless in images(collecting)
    collecting.set(gc_interval="50ms", gc_image_age="1ms")
    wait_until(lambda: nameless not in images(collecting), what="a good configuration taking effect")


def test_containers_win_against_the_collection(collecting, tmp_path):
    """Images that are used or named while passes run all the time: either they are there, or they are gone with a clear error."""
    collecting.set(gc_interval="1ms", gc_image_age="1ms")
    for number in range(8):
        image = build_image(collecting, tmp_path / "context", f"file{number}", "--no-cache")
        got = collecting.docker("run", "--rm", image, "ls", f"/file{number}")
        assert got.code == 0 or "No such image" in got.err, got
        tagged = collecting.docker("tag", image, f"kept{number}")
        assert tagged.code == 0 or "No such image" in tagged.err, tagged
        if tagged.code == 0:
            assert collecting.docker("run", "--rm", f"kept{number}", "ls", f"/file{number}").code == 0
    collecting.set(gc_interval="0")
    wait_until(lambda: collecting.verify().code == 0, what="record and disk agreeing")
