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


class Builders:
    """Who builds: $BENCH_BUILDX is a command such as "docker buildx" that reaches Docker's engine and directory, perhaps from another root."""

    def __init__(self, engine, build, docker, timed):
        self.place, self.timed = pathlib.Path(docker.directory if docker else engine.directory) / "contexts", timed
        self.commands = {"berth": ([build / "berth", "build"], engine.environment)}
        if docker_program():
            self.commands["berth, through docker's client"] = ([docker_program(), "build"], engine.environment)
        if docker:
            self.commands["docker, classic"] = ([docker_program(), "build"], docker.env)
        if docker and "BENCH_BUILDX" in os.environ:
            self.commands["docker, buildx"] = ([*shlex.split(os.environ["BENCH_BUILDX"]), "build"], {**docker.env, "DOCKER_BUILDKIT": "1"})

    def variants(self, directory, flags=(), before=lambda: None):
        def measured(words, env):
            def measure():
                before()
                return self.timed([*words, "-q", *flags, directory], env)
            return measure
        return {name: measured(*command) for name, command in self.commands.items()}


def bench_build(engine, build, docker, rounds, timed, interleave, print_table):
    builders = Builders(engine, build, docker, timed)
    ten, thousand = write_steps(builders.place / "ten", 10), write_words(builders.place / "thousand", 1000)
    for title, directory, flags, count in (("10 steps anew", ten, ["--no-cache"], rounds // 2), ("10 steps cached", ten, [], rounds),
                                           ("1000 steps cached", thousand, [], rounds // 4)):
        print_table(f"build, {title}", interleave(builders.variants(directory, flags), max(2, count)), "berth")
    shutil.rmtree(builders.place)


def bench_context(engine, build, docker, rounds, timed, interleave, print_table):
    builders, turn = Builders(engine, build, docker, timed), itertools.count()
    large = write_files(builders.place / "large", CONTEXT_MB)
    for where, name in (("last", "small"), ("halfway", "part50-small"), ("first", "a-small")):
        change = lambda: (large / name).write_text(str(next(turn)))  # noqa: B023, E731
        print_table(f"build, {CONTEXT_MB} MB copied whole, one small file changed that comes {where}",
                    interleave(builders.variants(large, before=change), min(rounds, CONTEXT_ROUNDS)), "berth")
    shutil.rmtree(builders.place)
