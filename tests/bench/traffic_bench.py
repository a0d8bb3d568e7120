"""Networks: what goes through them, beside Docker's engine, and what published ports cost. Each engine lives in a network namespace of its own,
with another host on a wire; iperf3 (where there is one) and small Python programs talk within the namespaces."""
import collections
import contextlib
import itertools
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys

from engine import Engine, make_busybox_context, run, wait_until

IMAGE = "busybox"
PORT, ECHO_PORT, PORTS = 5201, 5300, 100
SECONDS = 2  # of each iperf3
CONNECTIONS, ROUND_TRIPS = 2000, 10000
WIRE, OTHER = "192.0.2.1", "192.0.2.2"  # for documentation only: nobody has them

# TCP: a byte to each who comes; UDP: everything comes back.
SERVER = r"""
import socket, sys, threading
port = int(sys.argv[1])
def echo():
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(("", port))
    while True:
        s.sendto(*s.recvfrom(100))
threading.Thread(target=echo, daemon=True).start()
listening = socket.create_server(("", port), backlog=1000)
print("ready", flush=True)
while True:
    c, _ = listening.accept()
    c.send(b"x")
    c.close()
"""

CLIENT = r"""
import socket, sys, time
kind, host, port, count = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
start = time.perf_counter()
if kind == "tcp":
    for _ in range(count):
        with socket.create_connection((host, port), timeout=10) as s:
            s.recv(1)
else:
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.settimeout(10)
    s.connect((host, port))
    for _ in range(count):
        s.send(b"x")
        s.recv(100)
print(count / (time.perf_counter() - start))
"""


def ours(build):
    """An engine in a namespace of its own: (what enters it, how it is told something, what ends it)."""
    name = f"berth-bench-{os.getpid()}"
    run(["ip", "netns", "add", name], check=True)
    enter = ["nsenter", f"--net=/run/netns/{name}"]
    engine = Engine(build, namespace=name).start()
    engine.berth("build", "-q", "-t", IMAGE, make_busybox_context(engine.directory / "context"), check=True)

    def end():
        engine.remove()
        run(["ip", "netns", "del", name], check=True)
    return enter, lambda *words: engine.berth(*words, check=True).out.strip(), end


class World:
    """An engine with a server and another container, and another host."""

    def __init__(self, number, enter, command):
        self.enter, self.command = enter, command
        self.other = f"berth-bench-{os.getpid()}-{number}"
        run(["ip", "netns", "add", self.other], check=True)
        run([*enter, "ip", "link", "add", "wire", "type", "veth", "peer", "name", "wire", "netns", self.other], check=True)
        self.outside = ["nsenter", f"--net=/run/netns/{self.other}"]
        for inside, address in ((enter, WIRE), (self.outside, OTHER)):
            run([*inside, "ip", "link", "set", "lo", "up"], check=True)
            run([*inside, "ip", "addr", "add", f"{address}/24", "dev", "wire"], check=True)
            run([*inside, "ip", "link", "set", "wire", "up"], check=True)
        for name, options in (("traffic-server", ["-p", f"{PORT}:{PORT}", "-p", f"{ECHO_PORT}:{ECHO_PORT}", "-p", f"{ECHO_PORT}:{ECHO_PORT}/udp"]),
                              ("traffic-client", [])):
            command("run", "-d", "--name", name, *options, IMAGE, "sleep", "100000")
        self.address = command("inspect", "-f", "{{.NetworkSettings.Networks.bridge.IPAddress}}", "traffic-server")
        self.server, self.client = (["nsenter", "-t", command("inspect", "-f", "{{.State.Pid}}", name), "-n"]
                                    for name in ("traffic-server", "traffic-client"))
        self.programs = [subprocess.Popen([*self.server, sys.executable, "-c", SERVER, str(ECHO_PORT)], stdout=subprocess.PIPE, text=True)]
        self.programs[0].stdout.readline()
        if shutil.which("iperf3"):
            self.programs.append(subprocess.Popen([*self.server, "iperf3", "-s", "-p", str(PORT)], stdout=subprocess.DEVNULL))
            wait_until(lambda: f":{PORT} " in run([*self.server, "ss", "-ltn"]).out, what="iperf3 listening")

    def paths(self):
        return {"container to container": (self.client, self.address), "host to container": (self.enter, self.address),
                "other host, published port": (self.outside, WIRE), "localhost, published port": (self.enter, "127.0.0.1")}

    def throughput(self, path):
        """Bits per second."""
        where, host = self.paths()[path]
        report = json.loads(run([*where, "iperf3", "-J", "-c", host, "-p", PORT, "-t", SECONDS]).out)
        if "error" in report:
            raise AssertionError(f"iperf3, {path}: {report['error']}")
        return report["end"]["sum_received"]["bits_per_second"]

    def turns(self, path, kind, count):
        """Per second."""
        where, host = self.paths()[path]
        return float(run([*where, sys.executable, "-c", CLIENT, kind, host, ECHO_PORT, count], check=True).out)

    def processes(self):
        """Pids of what belongs to publishing: in the engine's namespace, and the supervisors'."""
        for entry in pathlib.Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if entry.name.isdigit() and (entry / "comm").read_text().strip() in ("docker-proxy", "berth-shim", "berthd", "dockerd") and \
                        os.readlink(entry / "ns/net") == self.namespace():
                    yield int(entry.name)

    def namespace(self):
        return run([*self.enter, "readlink", "/proc/self/ns/net"], check=True).out.strip()

    def end(self):
        for program in self.programs:
            program.kill()
            program.wait()
        self.command("rm", "-f", "traffic-server", "traffic-client")
        run([*self.enter, "ip", "link", "del", "wire"])
        run(["ip", "netns", "del", self.other])


def compare(title, unit, measures, rounds):
    """Medians of each engine in turns, and ours as a multiple of the other."""
    samples = {name: [] for name in measures}
    for _ in range(rounds):
        for name, measure in measures.items():
            samples[name].append(measure())
    medians = {name: statistics.median(values) for name, values in samples.items()}
    ratio = f"   {medians['berth'] / medians['docker']:6.2f} x docker" if "docker" in medians else ""
    print(f"  {title:<30}" + "".join(f" {name} {value:9.1f} {unit}" for name, value in medians.items()) + ratio)
    sys.stdout.flush()


def memory_of_ports(world, memory_of):
    """KiB of private memory that a hundred published ports take in each kind of process, and how many processes more there are."""
    found = []
    for options in ([], ["-p", f"20000-{20000 + PORTS - 1}:20000-{20000 + PORTS - 1}"]):
        world.command("run", "-d", "--name", "ports", *options, IMAGE, "sleep", "100000")
        run(["sleep", "3"])
        sizes = collections.Counter()
        for pid in world.processes():
            sizes[pathlib.Path(f"/proc/{pid}/comm").read_text().strip()] += memory_of(pid)[1]
            sizes["processes"] += 1
        found.append(sizes)
        world.command("rm", "-f", "ports")
        run(["sleep", "1"])
    return {name: found[1][name] - found[0][name] for name in found[1]}


def bench_traffic(build, docker, rounds, memory_of):
    numbers = itertools.count()
    with contextlib.ExitStack() as stack:
        enter, command, end = ours(build)
        stack.callback(end)
        worlds = {"berth": World(next(numbers), enter, command)}
        if docker:
            enter = ["nsenter", "-t", str(docker.network_pid()), "-n"]
            worlds["docker"] = World(next(numbers), enter, docker.output)
        for world in worlds.values():
            stack.callback(world.end)
        rounds = max(3, rounds // 10)
        print(f"\ntraffic, medians of {rounds}")
        first = next(iter(worlds.values()))
        if shutil.which("iperf3"):
            for path in first.paths():
                compare(path, "Gbit/s", {name: lambda w=w, p=path: w.throughput(p) / 1e9 for name, w in worlds.items()}, rounds)
        else:
            print("  throughput is not measured: no iperf3 on PATH")
        for path in ("other host, published port", "localhost, published port"):
            for what, kind, count in (("connections", "tcp", CONNECTIONS), ("UDP round trips", "udp", ROUND_TRIPS)):
                compare(f"{what}, {path.split(',')[0]}", "per s", {name: lambda w=w, p=path, k=kind, c=count: w.turns(p, k, c)
                                                                   for name, w in worlds.items()}, rounds)
        for name, world in worlds.items():
            more = memory_of_ports(world, memory_of)
            print(f"  {PORTS} published ports, {name}: {more.pop('processes')} processes more; private memory:",
                  ", ".join(f"{process} {size:+} KB" for process, size in more.items()))
            sys.stdout.flush()
