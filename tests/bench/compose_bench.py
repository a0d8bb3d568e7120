"""Compose: projects of several sizes come up, stay as they are, and go; beside Docker's compose on Docker's engine and on ours."""
import pathlib
import time

from engine import docker_compose

SIZES = (1, 10, 50)
PAUSE_S = 0.3


def write_project(directory, size):
    directory.mkdir(parents=True, exist_ok=True)
    services = "".join(f"  s{i}: {{image: busybox, command: sleep 100000, stop_grace_period: 0s}}\n" for i in range(size))
    (directory / "compose.yaml").write_text(f"name: bench{size}\nservices:\n{services}")
    return directory / "compose.yaml"


def bench_compose(engine, build, docker, rounds, timed, print_table):
    theirs = docker_compose()
    variants = {"berth": ([build / "berth", "compose"], engine.environment)}
    if theirs:
        variants["docker's compose on berth"] = (theirs, engine.environment)
    if theirs and docker:
        variants["docker's compose on docker"] = (theirs, docker.env)
    if not theirs:
        print("Docker's compose is not compared: there is none, and no $DOCKER_COMPOSE")
    for size in SIZES:
        file = write_project(pathlib.Path(engine.directory) / f"compose-{size}", size)
        samples = {step: {name: [] for name in variants} for step in ("up", "up, nothing changed", "down")}
        for _ in range(max(2, min(rounds, 100 // size // 2))):
            for name, (command, env) in variants.items():
                time.sleep(PAUSE_S)
                for step, words in (("up", ["up", "-d"]), ("up, nothing changed", ["up", "-d"]), ("down", ["down"])):
                    samples[step][name].append(timed([*command, "-f", file, *words], env))
        for step, values in samples.items():
            print_table(f"compose {step}, {size} services", values, "berth")
