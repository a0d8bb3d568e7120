"""Speed and memory, as ratios: our engine, other engines and the kernel's own floor, in turns on one machine.

Prints what it measures and judges nothing. --build=<dir> names the build; --rounds, --only choose how much of it.
crun and docker-registry are compared with when they are on PATH; Docker's engine when dockerd is, or $BENCH_DOCKERD names a command for it
(it gets network and mount namespaces of its own, so that nothing of it stays behind).
"""
import argparse
import ctypes
import json
import os
import pathlib
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from engine import Engine, docker_program, make_busybox_context, run, wait_until  # noqa: E402
from build_bench import bench_build, bench_context  # noqa: E402
from compose_bench import bench_compose  # noqa: E402
from fleet_bench import bench_fleet, bench_life, bench_list  # noqa: E402
from images_bench import bench_images  # noqa: E402
from network_bench import bench_network  # noqa: E402
from registry_bench import bench_registry  # noqa: E402
from traffic_bench import bench_traffic  # noqa: E402
from sick_bench import bench_sick  # noqa: E402
from storage_bench import bench_storage  # noqa: E402

CONTAINERS = (0, 10, 100)
LINE_SIZE, BLOCK_MIB, LOG_MIB = 100, 64, 1024
COPY_MIB, COMMIT_MB, COPY_ROUNDS = 1024, 500, 5
PAUSE_S = 0.1
REST_S = 3  # until supervisors and the daemon have given back what they do not need
IMAGE = "busybox"
MEMORY = "/dev/shm"
GROUP = f"/berth-bench-{os.getpid()}"


# ---- measuring ----

def timed(arguments, env):
    """Seconds from before a command's start to after its end."""
    start = time.perf_counter()
    null = os.open(os.devnull, os.O_RDWR)
    pid = os.posix_spawnp(str(arguments[0]), [str(a) for a in arguments], env,
                          file_actions=[(os.POSIX_SPAWN_DUP2, null, fd) for fd in (0, 1, 2)])
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    elapsed = time.perf_counter() - start
    os.close(null)
    if status:
        raise SystemExit(f"{shlex.join(map(str, arguments))}: exit code {status}")
    return elapsed


def interleave(variants, rounds):
    """One call of each variant per round, so that whatever else the machine does hits all of them alike.

    The kernel goes on taking network namespaces down after a container's end, which is not to be paid by who comes next.
    """
    for measure in variants.values():
        measure()
    samples = {name: [] for name in variants}
    for _ in range(rounds):
        for name, measure in variants.items():
            time.sleep(PAUSE_S)
            samples[name].append(measure())
    return samples


def print_table(title, samples, reference):
    print(f"\n{title}: medians of {len(samples[reference])}, and the fastest")
    unit = statistics.median(samples[reference])
    for name, values in samples.items():
        median = statistics.median(values)
        print(f"  {name:<34} {median * 1e3:9.2f} ms   {median / unit:6.2f} x {reference}   {min(values) * 1e3:9.2f} ms")
    sys.stdout.flush()


class BenchEngine(Engine):
    """Has its run directory where an installed engine usually has it: in memory."""

    def __init__(self, build):
        super().__init__(build)
        self.run_directory = pathlib.Path(tempfile.mkdtemp(prefix="berth-bench-", dir=MEMORY))
        self.socket = self.run_directory / "berth.sock"
        self.host = f"unix://{self.socket}"

    def remove(self):
        super().remove()
        shutil.rmtree(self.run_directory, ignore_errors=True)


# ---- peers ----

class Floor:
    """tests/bench/kernel_floor.c, which answers each line with the microseconds that it took."""

    def __init__(self, build, engine):
        program = build / "src/programs/kernel_floor"
        run(["ninja", "-C", build, "src/programs/kernel_floor"], check=True, limit_s=600)
        self.scratch = engine.directory / "floor"
        self.scratch.mkdir(exist_ok=True)
        engine.berth("run", "-d", "--name", "layers", IMAGE, "sleep", "1000", check=True)
        root = engine.berth("exec", "layers", "cat", "/proc/mounts", check=True).out.splitlines()[0].split()[3]
        engine.berth("rm", "-f", "layers", check=True)
        layers = []
        for option in root.split(","):
            key, _, value = option.partition("=")
            if key in ("lowerdir", "lowerdir+"):
                layers += value.split(":")
        self.process = subprocess.Popen([program, self.scratch, next(engine.run_directory.glob("seccomp/*.bpf")), *layers],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def measure(self, network):
        self.process.stdin.write(network + "\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline()) / 1e6

    def close(self):
        self.process.stdin.close()
        self.process.wait(30)


class Bundle:
    """What our engine would run, as a bundle for another runtime: same configuration, root mounted once."""

    def __init__(self, engine):
        self.path = engine.directory / "bundle"
        self.path.mkdir()
        engine.berth("run", "-d", "--name", "bundle", "--network", "none", IMAGE, "sleep", "1000", check=True)
        full_id = engine.inspect("bundle")["Id"]
        config = json.loads((engine.run_directory / "bundles" / full_id / "config.json").read_text())
        engine.berth("rm", "-f", "bundle", check=True)
        config["ociVersion"] = "1.0.2"  # which older releases know
        config["process"]["args"] = ["true"]
        config["root"] = {"path": "rootfs", "readonly": False}
        config["linux"]["cgroupsPath"] = f"/berth-bench-{os.getpid()}"
        config["mounts"] = [mount for mount in config["mounts"] if mount["type"] != "bind"]
        (self.path / "config.json").write_text(json.dumps(config))
        (self.path / "rootfs/bin").mkdir(parents=True)
        shutil.copy("/bin/busybox", self.path / "rootfs/bin/true")

        # crun refuses hosts that have both versions of cgroups: it is shown version 1 alone.
        self.mounts = subprocess.Popen(
            ["unshare", "--mount", "sh", "-c", "mountpoint -q /sys/fs/cgroup/unified && umount /sys/fs/cgroup/unified; echo; read x"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.mounts.stdout.readline()

    def measure(self):
        libc, newns = ctypes.CDLL(None, use_errno=True), 0x20000
        with open("/proc/self/ns/mnt") as home, open(f"/proc/{self.mounts.pid}/ns/mnt") as away:
            assert libc.setns(away.fileno(), newns) == 0, os.strerror(ctypes.get_errno())
            try:
                return self.run()
            finally:
                assert libc.setns(home.fileno(), newns) == 0, os.strerror(ctypes.get_errno())

    def close(self):
        self.mounts.stdin.close()
        self.mounts.wait(30)

    def run(self):
        return timed(["crun", "--cgroup-manager=cgroupfs", "run", "--bundle", self.path, f"berth-bench-{os.getpid()}"], os.environ)


class Docker:
    """Docker's own engine on directories of its own."""

    def __init__(self, command, context):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="berth-bench-"))
        self.run_directory = pathlib.Path(tempfile.mkdtemp(prefix="berth-bench-", dir=MEMORY))
        self.socket = self.directory / "docker.sock"
        self.env = {**os.environ, "DOCKER_HOST": f"unix://{self.socket}", "DOCKER_CONFIG": str(self.directory),
                    "DOCKER_BUILDKIT": "0", "DOCKER_CLI_HINTS": "false"}
        with open(self.directory / "log", "wb") as log:
            self.process = subprocess.Popen(
                ["unshare", "--net", "--mount", *command, "--data-root", self.directory / "data", "--exec-root",
                 self.run_directory, "--cgroup-parent", GROUP, "--pidfile", self.directory / "pid", "-H", f"unix://{self.socket}"],
                stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True)
        wait_until(self.answers, limit_s=60, what="Docker's engine answering")
        run([docker_program(), "build", "-t", IMAGE, context], env=self.env, check=True)

    def answers(self):
        if self.process.poll() is not None:
            raise AssertionError((self.directory / "log").read_text()[-2000:])
        return run([docker_program(), "version"], env=self.env).code == 0

    def measure(self, *arguments):
        return timed([docker_program(), *arguments], self.env)

    def output(self, *arguments):
        return run([docker_program(), *arguments], env=self.env, check=True).out.strip()

    def network_pid(self):
        """A process in its network namespace."""
        return self.process.pid

    def close(self):
        self.process.terminate()
        self.process.wait(60)
        shutil.rmtree(self.directory, ignore_errors=True)
        shutil.rmtree(self.run_directory, ignore_errors=True)
        groups = pathlib.Path("/sys/fs/cgroup")
        for group in [*groups.glob(GROUP[1:]), *groups.glob(f"*{GROUP}")]:
            wait_until(lambda group=group: run(["rmdir", group]).code == 0, what=f"{group} being left by its processes")


def start_docker(context):
    command = shlex.split(os.environ.get("BENCH_DOCKERD", "")) or [shutil.which("dockerd")]
    if not command[0] or not docker_program():
        print("Docker's engine is not compared: no dockerd on PATH and no $BENCH_DOCKERD")
        return None
    return Docker(command, context)


# ---- what is measured ----

def bench_run(engine, build, docker, rounds):
    """run --rm true, from the command line to the prompt, on both kinds of network."""
    floor, bundle = Floor(build, engine), Bundle(engine)
    client = docker_program()
    try:
        for network in ("none", "bridge"):
            command = ["run", "--rm", "--network", network, IMAGE, "true"]
            variants = {"kernel floor": lambda: floor.measure(network),
                        "berth": lambda: timed([build / "berth", *command], engine.environment)}
            if client:
                variants["berth, through docker's client"] = lambda: timed([client, *command], engine.environment)
            if shutil.which("crun") and network == "none":
                variants["crun run (root mounted before)"] = bundle.measure
            if docker:
                variants["docker"] = lambda: docker.measure(*command)
            print_table(f"run --rm --network {network} {IMAGE} true", interleave(variants, rounds), "kernel floor")
    finally:
        floor.close()
        bundle.close()


def bench_each_call(engine, build, docker, rounds):
    floor = Floor(build, engine)
    try:
        bench_life(engine, build, docker, floor, max(3, rounds // 4), timed, interleave, print_table)
    finally:
        floor.close()


def memory_of(pid):
    """Proportional and private KiB of a process."""
    sizes = {}
    for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
        key, value = line.split(":")
        sizes[key] = int(value.split()[0])
    return sizes["Pss"], sizes["Private_Clean"] + sizes["Private_Dirty"]


def shim_pids(engine):
    for state in engine.run_directory.glob("bundles/*/state.json"):
        yield json.loads(state.read_text())["shimPid"]


def bench_memory(engine, *_):
    """Daemon and supervisors, at rest."""
    print("\nmemory at rest                          PSS     private")
    count = 0
    for wanted in CONTAINERS:
        for _i in range(count, wanted):
            engine.berth("run", "-d", IMAGE, "sleep", "100000", check=True)
        count = wanted
        time.sleep(REST_S)
        pss, private = memory_of(engine.process.pid)
        print(f"  daemon, {wanted:3} containers        {pss:9} KB {private:8} KB")
        shims = [memory_of(pid) for pid in shim_pids(engine)]
        if shims:
            pss, private = (statistics.median(column) for column in zip(*shims))
            print(f"  each supervisor (median)        {pss:9.0f} KB {private:8.0f} KB")
        sys.stdout.flush()
    ids = engine.berth("ps", "-aq", check=True).out.split()
    engine.berth("rm", "-f", *ids, check=True)


def bench_log(engine, *_):
    """Lines from a container's command to its json-file log: what leaves the command, per second."""
    lines = engine.directory / "lines"
    lines.write_bytes((b"x" * (LINE_SIZE - 1) + b"\n") * (BLOCK_MIB * 2**20 // LINE_SIZE))
    repeats = LOG_MIB // BLOCK_MIB
    size = lines.stat().st_size * repeats
    print(f"\nlog of {size / 2**20:.0f} MiB in lines of {LINE_SIZE} bytes, json-file")
    for title, options in (("5 files of 20 MB (default)", []), ("one file without limit", ["--log-opt", "max-size=-1"])):
        start = time.perf_counter()
        engine.berth("run", "-d", "--name", "log", "--network", "none", *options, "-v", f"{lines}:/lines:ro", IMAGE,
                     "cat", *["/lines"] * repeats, check=True)
        engine.berth("wait", "log", check=True, limit_s=600)
        print(f"  {title:<34} {size / 1e6 / (time.perf_counter() - start):9.0f} MB/s")
        sys.stdout.flush()
        engine.berth("rm", "-f", "log", check=True)
    lines.unlink()


def bench_copy(engine, build, docker, rounds):
    """A large file into a running container and out of it, beside cp on the same disk; then a commit of changes, beside cp of as much."""
    directory, rounds = engine.directory / "copy", min(rounds, COPY_ROUNDS)
    directory.mkdir()
    big, half = directory / "big", directory / "half"
    for path, size in ((big, COPY_MIB), (half, COMMIT_MB * 10**6 / 2**20)):
        with open(path, "wb") as out:
            for _i in range(int(size)):
                out.write(os.urandom(2**20))
    engine.berth("run", "-d", "--name", "copy", "--network", "none", IMAGE, "sleep", "100000", check=True)
    engine.berth("create", "--name", "commit", IMAGE, check=True)
    engine.berth("cp", half, "commit:/tmp/half", check=True)
    if docker:
        docker.measure("run", "-d", "--name", "copy", "--network", "none", IMAGE, "sleep", "100000")
        docker.measure("create", "--name", "commit", IMAGE)
        docker.measure("cp", half, "commit:/tmp/half")

    def rested(call, words, undo):
        """The second of two: what was written before must not hold up who writes next, and a host that backs this machine's memory only while it is
        used makes whoever takes new memory wait."""
        def measure():
            for _i in range(2):
                os.sync()
                elapsed = call(*words)
                if undo:
                    call(*undo)
            return elapsed
        return measure

    def table(title, source, words, undo=None):
        def plain(*_words):
            return timed(["cp", "--remove-destination", source, directory / "plain"], os.environ)

        calls = {"cp": plain, "berth": lambda *words: timed([build / "berth", *words], engine.environment)}
        if docker_program():
            calls["berth, through docker's client"] = lambda *words: timed([docker_program(), *words], engine.environment)
        if docker:
            calls["docker"] = docker.measure
        print_table(title, interleave({name: rested(call, words, undo) for name, call in calls.items()}, rounds), "cp")

    table(f"cp of {COPY_MIB} MiB into a running container", big, ("cp", big, "copy:/tmp/big"))
    table(f"cp of {COPY_MIB} MiB out of it", big, ("cp", "copy:/tmp/big", directory / "back"))
    table(f"commit of {COMMIT_MB} MB", half, ("commit", "commit", "committed"), ("rmi", "committed"))
    engine.berth("rm", "-f", "copy", "commit", check=True)
    if docker:
        docker.measure("rm", "-f", "copy", "commit")
    shutil.rmtree(directory)


PARTS = {"run": bench_run, "life": bench_each_call, "memory": bench_memory, "log": bench_log, "copy": bench_copy, "registry": bench_registry, "images": bench_images}

for name, bench in (("build", bench_build), ("context", bench_context)):
    PARTS[name] = lambda engine, build, docker, rounds, bench=bench: bench(engine, build, docker, rounds, timed, interleave, print_table)
PARTS["fleet"] = lambda engine, build, docker, rounds: bench_fleet(engine, build, timed, memory_of, shim_pids)

PARTS["list"] = lambda engine, build, docker, rounds: bench_list(engine, build, docker, rounds, timed, interleave, print_table)

PARTS["sick"] = lambda engine, build, docker, rounds: bench_sick(engine)

PARTS["network"] = lambda engine, build, docker, rounds: bench_network(engine, build, docker, rounds, timed, interleave, print_table, memory_of)

PARTS["traffic"] = lambda engine, build, docker, rounds: bench_traffic(build, docker, rounds, memory_of)

PARTS["compose"] = lambda engine, build, docker, rounds: bench_compose(engine, build, docker, rounds, timed, print_table)

PARTS["storage"] = lambda engine, build, docker, rounds: bench_storage(engine, build, docker, rounds, IMAGE, timed, print_table)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", required=True, type=pathlib.Path)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--only", default=",".join(PARTS), help="of " + ", ".join(PARTS))
    options = parser.parse_args()
    engine = BenchEngine(options.build).start()
    docker = None
    try:
        context = make_busybox_context(engine.directory / "context")
        engine.berth("build", "-t", IMAGE, context, check=True)
        docker = start_docker(context)
        for part in options.only.split(","):
            PARTS[part](engine, options.build, docker, options.rounds)
    finally:
        if docker:
            docker.close()
        engine.remove()


if __name__ == "__main__":
    main()
