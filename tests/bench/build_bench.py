"""Builds, beside Docker's classic builder and buildx: ten steps anew and cached, a thousand cached ones, and a large context."""
import itertools
import os
import pathlib
import shlex
import shutil

from engine import docker_program

CONTEXT_MB, CONTEXT_ROUNDS = 1000, 5


def write_steps(directory, count, first="FROM busybox\n"):
    """Four of five run something, the fifth copies a file."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "file").write_text("copied\n")
    steps = [f"COPY file /copied-{i}\n" if i % 5 == 4 else f"RUN echo {i} > /made-{i}\n" for i in range(count)]
    (directory / "Dockerfile").write_text(first + "".join(steps))
    return directory


def write_words(directory, count):
    directory.mkdir(parents=True)
    (directory / "Dockerfile").write_text("FROM busybox\n" + "".join(f"ENV STEP_{i}={i}\n" if i % 2 else f"LABEL step.{i}={i}\n" for i in range(count)))
    return directory


def write_files(directory, megabytes):
    """A hundred files that are copied whole."""
    directory.mkdir(parents=True)
    for i in range(100):
        (directory / f"part{i}").write_bytes(os.urandom(megabytes * 10_000))
    (directory / "Dockerfile").write_text("FROM busybox\nCOPY . /all/\n")
    return directory


def bench_build(engine, build, docker, rounds, timed, interleave, print_table):
    """$BENCH_BUILDX is a command such as "docker buildx" that reaches Docker's engine and directory, perhaps from another root."""
    place = pathlib.Path(docker.directory if docker else engine.directory) / "contexts"
    turn = itertools.count()

    def variants(directory, flags=(), before=lambda: None):
        def measured(words, env):
            def measure():
                before()
                return timed([*words, "-q", *flags, directory], env)
            return measure
        yield "berth", measured([build / "berth", "build"], engine.environment)
        if docker_program():
            yield "berth, through docker's client", measured([docker_program(), "build"], engine.environment)
        if docker:
            yield "docker, classic", measured([docker_program(), "build"], docker.env)
        if docker and "BENCH_BUILDX" in os.environ:
            yield "docker, buildx", measured([*shlex.split(os.environ["BENCH_BUILDX"]), "build"], {**docker.env, "DOCKER_BUILDKIT": "1"})

    ten, thousand = write_steps(place / "ten", 10), write_words(place / "thousand", 1000)
    for title, directory, flags, count in (("10 steps anew", ten, ["--no-cache"], rounds // 2), ("10 steps cached", ten, [], rounds),
                                           ("1000 steps cached", thousand, [], rounds // 4)):
        print_table(f"build, {title}", interleave(dict(variants(directory, flags)), max(2, count)), "berth")
    large = write_files(place / "large", CONTEXT_MB)
    print_table(f"build, {CONTEXT_MB} MB copied whole, one small file changed",
                interleave(dict(variants(large, before=lambda: (large / "small").write_text(str(next(turn))))), min(rounds, CONTEXT_ROUNDS)), "berth")
    shutil.rmtree(place)
