"""Builds made twice, called off at each of their steps, and against each other."""
import concurrent.futures
import os
import subprocess
import time

import pytest

from build_cases import RIGHT
from buildkit_client import Client
from engine import wait_until
from raw_api import Api
from test_build import build, context

pytestmark = pytest.mark.own

ROUNDS = int(os.environ.get("BERTH_RACE_ROUNDS", "60"))


def test_thirty_builds_give_the_same_twice(engine):
    """Built again without the cache, with another host name and another clock: the digests are the same."""
    api = Api(engine.socket)
    names = [name for name, case in RIGHT.items() if not any(word in case[0] for word in ("/dev/urandom", "date", "mktemp"))][:30]
    tar = context(**{f"D.{name}": RIGHT[name][0] for name in names})

    def one(name):
        built = build(api, tar, f"D.{name}", verify="1", **(RIGHT[name][2] if len(RIGHT[name]) > 2 else {}))
        return None if built.id else f"{name}: {built.error}"

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        failed = [text for text in pool.map(one, names) if text]
    assert len(names) == 30 and not failed, "\n".join(failed)


STEPS = 5


@pytest.mark.parametrize("at", range(STEPS))
def test_called_off_at_each_step(private_engine, tmp_path, at):
    """Nothing is left; the steps before are used by the next build, those after were never begun."""
    engine = private_engine
    (tmp_path / "file").write_text("x" * 10000)
    kinds = ["RUN echo {0} > /made-{0}", "COPY file /copied-{0}", "RUN --mount=type=cache,target=/c,sharing=locked --mount=source=file,target=/in test -s /in; echo {0} > /c/{0}"]
    lines = [kinds[i % 3].format(i) for i in range(STEPS)]
    stopping = lines[:at] + ["RUN sleep 61"] + lines[at:]
    (tmp_path / "Dockerfile").write_text("\n".join(["FROM busybox", *stopping]) + "\n")
    shims = engine.run_directory / "shims"
    with subprocess.Popen([str(engine.build / "berth"), "build", "--progress=plain", str(tmp_path)], env=engine.environment,
                          stdout=subprocess.PIPE, text=True) as client:
        assert any("RUN sleep 61" in line for line in client.stdout)
        wait_until(lambda: len(os.listdir(shims)) == 1, what="the step running")
        client.kill()
    wait_until(lambda: os.listdir(shims) == [] and engine.verify().code == 0, what="nothing left")
    wait_until(lambda: not [name for name in os.listdir(engine.data / "tmp") if name.startswith(("context", "writable"))], what="no directory of the build left")
    (tmp_path / "Dockerfile").write_text("\n".join(["FROM busybox", *lines]) + "\n")
    done = engine.berth("build", "--progress=plain", str(tmp_path))
    assert done.code == 0 and done.out.count("CACHED") == at, done


def test_two_builds_race_on_a_cache_mount(engine, tmp_path):
    """One swaps a directory of the shared cache for a link to the outside and back, while another one mounts, fills and reads it."""
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "there").write_text("untouched")
    target = str(victim)
    swap = f"i=0; while [ $i -lt {ROUNDS * 20} ]; do ln -sfn {target} /c/n; rm -rf /c/d; mv /c/n /c/d; rm -f /c/d; mkdir -p /c/d; i=$((i+1)); done"
    files = {"swap": f"FROM busybox\nARG N\nRUN --mount=type=cache,id=race,target=/c {swap}\n",
             "fill": "FROM busybox\nARG N\nRUN mkdir /seed && echo planted > /seed/file\n"
                     "RUN --mount=type=cache,id=race,target=/c mkdir -p /c/d; echo planted > /c/d/there 2>/dev/null; cat /c/d/there 2>/dev/null; true\n"
                     "RUN --mount=type=cache,id=race,target=/c/d/deep --mount=type=cache,id=race,target=/other true\n"}
    api = Api(engine.socket)
    tar = context(**files)
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        swapping = pool.submit(build, api, tar, "swap", buildargs={"N": "s"}, nocache="1")
        rounds = 0
        while not swapping.done() and rounds < ROUNDS:
            filled = build(api, tar, "fill", buildargs={"N": str(rounds)}, nocache="1")
            assert filled.id and "untouched" not in filled.out, filled
            rounds += 1
    assert swapping.result().id, swapping.result()
    assert rounds > 0 and os.listdir(victim) == ["there"] and (victim / "there").read_text() == "untouched"
    assert engine.verify().code == 0


def test_the_same_steps_of_several_builds_run_once(engine, tmp_path):
    """Eight builds at once of one Dockerfile: each of its steps is done by one of them."""
    (tmp_path / "Dockerfile").write_text("FROM busybox\n" + "".join(f"RUN sleep 0.2; cat /proc/sys/kernel/random/uuid > /{i}\n" for i in range(3)))
    start = time.time()
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        ids = set(pool.map(lambda i: engine.berth("build", "-q", "--build-arg", f"UNUSED={start}", str(tmp_path), check=True).out, range(8)))
    assert len(ids) == 1


def image_ids(engine):
    return set(engine.docker("images", "-aq", "--no-trunc", check=True).out.split())


def test_equal_builds_for_outputs_alone(engine, tmp_path):
    """None removes the image under another, and the last one leaves nothing; by both protocols, at once."""
    before = image_ids(engine)
    client = Client(engine)

    def by_berth(round, place):
        done = engine.berth("build", "-q", "-o", f"type=local,dest={place}", str(tmp_path / "context"))
        assert done.code == 0, done
        return (place / "f").read_text()

    def by_buildkit(round, place):
        session = client.session({"context": tmp_path / "context", "dockerfile": tmp_path / "context"})
        client.build(session, exporters=[("tar", {})])
        return session.received["0"].decode(errors="replace")

    (tmp_path / "context").mkdir()
    (tmp_path / "context/Dockerfile").write_text("FROM scratch\nCOPY f /\n")
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for round in range(max(ROUNDS // 3, 5)):
            (tmp_path / "context/f").write_text(f"round {round}\n")
            ways = [pool.submit(way, round, tmp_path / f"{round}-{n}") for n, way in enumerate((by_berth, by_berth, by_buildkit, by_buildkit))]
            assert all(f"round {round}\n" in way.result() for way in ways)
            assert image_ids(engine) == before
    client.close()


def test_an_equal_build_that_keeps_its_image(engine, tmp_path):
    (tmp_path / "context").mkdir()
    (tmp_path / "context/Dockerfile").write_text("FROM scratch\nCOPY f /\n")
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for round in range(max(ROUNDS // 3, 5)):
            (tmp_path / "context/f").write_text(f"kept {round}\n")
            passing = pool.submit(engine.berth, "build", "-q", "-o", f"type=local,dest={tmp_path}/{round}", str(tmp_path / "context"))
            kept = pool.submit(engine.berth, "build", "-q", str(tmp_path / "context")).result()
            assert passing.result().code == 0 and kept.code == 0, (passing.result(), kept)
            engine.docker("rmi", kept.out.strip(), check=True)
