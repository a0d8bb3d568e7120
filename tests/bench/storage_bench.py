"""Storage: starts with many mounts, volumes that are filled from an image, and looking after the disk; beside Docker's engine."""
import os
import pathlib
import shutil
import tempfile
import time

import raw_api
from engine import docker_program

MOUNTS = (0, 10, 100)
FILES = 10000
CONTAINERS, IMAGES = 200, 50
FILLED = "bench-filled"
PAUSE_S = 0.3


class Side:
    """An engine with a command line: what is measured is the whole command."""

    def __init__(self, program, env, socket, timed):
        self.program, self.env, self.timed, self.api = program, env, timed, raw_api.Api(socket)

    def __call__(self, *words):
        return self.timed([self.program, *words], self.env)

    def ask(self, method, path, body=None):
        answer = self.api.call(method, path, body)
        assert answer.status < 300, (path, answer.status, answer.data[:300])
        return answer.json

    def fill(self, image):
        """Containers that ended and images without a name, as many as are pruned."""
        for _ in range(CONTAINERS):
            last = self.ask("POST", "/containers/create", {"Image": image, "Cmd": ["true"]})["Id"]
        for number in range(IMAGES):
            self.ask("POST", f"/commit?container={last}&comment={number}", {})


def bench_storage(engine, build, docker, rounds, image, timed, print_table):
    client = docker_program()
    sides = {"berth": Side(build / "berth", engine.environment, engine.socket, timed)}
    if client:
        sides["berth, through docker's client"] = Side(client, {**engine.environment, "DOCKER_BUILDKIT": "0"}, engine.socket, timed)
    if docker:
        sides["docker"] = Side(client, docker.env, docker.socket, timed)
    directory = pathlib.Path(tempfile.mkdtemp(prefix="berth-bench-"))  # where an engine with a root of its own sees it too
    try:
        compare_starts(sides, directory, image, rounds, print_table)
        compare_copies(sides, directory, image, max(2, rounds // 4), print_table)
        compare_volumes(sides, rounds, print_table)
        compare_prunes(sides, image, max(2, rounds // 10), print_table)
    finally:
        shutil.rmtree(directory)


def interleave(sides, rounds, measure, is_repeated=False):
    """Samples of each side by what measure(side) names: {title: {side: [seconds]}}. Nobody waits for what the one before left to be written.

    A virtual machine may pay for each page that was not touched for a while, many times what a short command costs otherwise: of a repeated
    measure the second one counts.
    """
    samples = {}
    for number in range(rounds + 1):
        for name, side in sides.items():
            os.sync()
            time.sleep(PAUSE_S)
            if is_repeated:
                measure(side)
            for title, elapsed in measure(side).items():
                if number:  # the first one warms up
                    samples.setdefault(title, {}).setdefault(name, []).append(elapsed)
    return samples


def show(samples, print_table):
    for title, values in samples.items():
        print_table(title, values, "docker" if "docker" in values else "berth")


def compare_starts(sides, directory, image, rounds, print_table):
    options = []
    for number in range(max(MOUNTS)):
        (directory / f"m{number}").mkdir()
        options += ["-v", f"{directory}/m{number}:/m/{number}"]
    show(interleave(sides, rounds, lambda side: {f"run --rm true with {count} binds": side("run", "--rm", "--network", "none", *options[:2 * count], image, "true")
                                                 for count in MOUNTS}), print_table)


def compare_copies(sides, directory, image, rounds, print_table):
    (directory / "Dockerfile").write_text(f"FROM {image}\nRUN mkdir /filled && cd /filled && seq {FILES} | xargs touch\nVOLUME /filled\n")
    for side in sides.values():
        side("build", "-t", FILLED, directory)

    def measure(side):
        return {f"create with a volume of {FILES} files of the image": side("create", "--name", "bench-copy", FILLED, "true"),
                "rm -v of it": side("rm", "-v", "bench-copy")}
    show(interleave(sides, rounds, measure), print_table)


def compare_volumes(sides, rounds, print_table):
    show(interleave(sides, rounds, lambda side: {"volume create": side("volume", "create", "bench-volume"), "volume rm": side("volume", "rm", "bench-volume")},
                    is_repeated=True), print_table)


def compare_prunes(sides, image, rounds, print_table):
    def measure(side):
        side.fill(image)
        return {f"system df, {CONTAINERS} containers and {IMAGES} images": side("system", "df"),
                "system df, again": side("system", "df"),
                f"container prune of {CONTAINERS}": side("container", "prune", "-f"),
                f"image prune of {IMAGES}": side("image", "prune", "-f")}
    show(interleave(sides, rounds, measure), print_table)
