"""Networks: what each kind costs a start, joining one while running, and names answered per second with a supervisor's memory."""
import json
import statistics
import subprocess
import sys

from engine import run

IMAGE = "busybox"
QUESTIONS = 20000

# Asks in the container's namespace as fast as one socket can, eight questions on their way; prints questions per second.
CLIENT = r"""
import socket, sys, time
sys.path.insert(0, sys.argv[1])
from names_client import encode_query
query = encode_query(sys.argv[2])
count = int(sys.argv[3])
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(5)
s.connect(("127.0.0.11", 53))
start = time.perf_counter()
for _ in range(8):
    s.send(query)
for i in range(count):
    s.recv(2000)
    if i + 8 < count:
        s.send(query)
print(count / (time.perf_counter() - start))
"""
FLOOD = r"""
import socket, sys
sys.path.insert(0, sys.argv[1])
from names_client import encode_query
query = encode_query(sys.argv[2])
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.connect(("127.0.0.11", 53))
while True:
    s.send(query)
"""

# Asks one at a time; prints the median of the answers' milliseconds, and what 99 of 100 stay below.
PATIENT = r"""
import socket, sys, time
sys.path.insert(0, sys.argv[1])
from names_client import encode_query
query = encode_query(sys.argv[2])
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(5)
s.connect(("127.0.0.11", 53))
times = []
for _ in range(int(sys.argv[3])):
    start = time.perf_counter()
    s.send(query)
    s.recv(2000)
    times.append((time.perf_counter() - start) * 1e3)
times.sort()
print(f"median {times[len(times) // 2]:.3f} ms, 99 of 100 below {times[len(times) * 99 // 100]:.3f} ms")
"""


def asker(engine, name, script, asked, count):
    """The words of a program that asks in a container's namespace."""
    pid = engine.inspect(name)["State"]["Pid"]
    return ["nsenter", "-t", str(pid), "-n", "/usr/bin/python3", "-c", script, str(__file__).rsplit("/bench/", 1)[0], asked, str(count)]


def bench_flood(engine):
    """One container asks as fast as it can, for names that are there and names that are not; another one asks now and then."""
    print("\nlookups of a container, one at a time, beside a container that floods its own name server")
    for title, flooded in (("nobody floods", None), ("floods with a name of the network", "named-1"), ("floods with a name of nobody", "nobody.invalid")):
        flood = subprocess.Popen(asker(engine, "named-2", FLOOD, flooded, 0)) if flooded else None
        run(["sleep", "0.5"])
        out = subprocess.run(asker(engine, "named-0", PATIENT, "named-1", 3000), capture_output=True, text=True, check=True).stdout
        if flood:
            flood.kill()
            flood.wait()
        print(f"  {title:<34} {out.strip()}")
        sys.stdout.flush()


def print_network_part(samples, kinds, who):
    """What a start costs more than one without a network."""
    unit = statistics.median(samples[f"{who}--network none"])
    for kind in kinds:
        part = (statistics.median(samples[f"{who}--network {kind}"]) - unit) * 1e3
        print(f"  the network's part of it, {who}{kind}: {part:.2f} ms")


def bench_network(engine, build, docker, rounds, timed, interleave, print_table, memory_of):
    engine.berth("network", "create", "bench-user", check=True)
    engine.berth("network", "create", "--ipv6", "bench-ipv6", check=True)
    engine.berth("run", "-d", "--name", "joins", IMAGE, "sleep", "100000", check=True)
    kinds = {"none": [], "bridge": [], "bench-user": [], "bench-ipv6": [], "bench-user, a port": ["-p", "127.0.0.1::80"]}
    variants = {f"--network {kind}": lambda kind=kind, options=options: timed(
        [build / "berth", "run", "--rm", "--network", kind.split(",")[0], *options, IMAGE, "true"], engine.environment)
        for kind, options in kinds.items()}
    if docker:
        for kind in ("none", "bridge"):
            variants[f"docker --network {kind}"] = lambda kind=kind: docker.measure("run", "--rm", "--network", kind, IMAGE, "true")
    samples = interleave(variants, rounds)
    print_table(f"run --rm {IMAGE} true", samples, "--network none")
    print_network_part(samples, list(kinds)[1:], "")
    if docker:
        print_network_part(samples, ["bridge"], "docker ")

    def join():
        elapsed = timed([build / "berth", "network", "connect", "bench-user", "joins"], engine.environment)
        engine.berth("network", "disconnect", "bench-user", "joins", check=True)
        return elapsed
    print_table("joining a network while running", interleave({"network connect": join,
                "a command that does nothing": lambda: timed([build / "berth", "version"], engine.environment)}, rounds),
                "a command that does nothing")

    print("\nnames answered per second, by one supervisor to one asker")
    for others in (1, 50):
        for i in range(len(json.loads(run_inspect(engine))), others):
            engine.berth("run", "-d", "--name", f"named-{i}", "--network", "bench-user", IMAGE, "sleep", "100000", check=True)
        out = subprocess.run(asker(engine, "named-0", CLIENT, f"named-{others - 1}", QUESTIONS), capture_output=True, text=True, check=True).stdout
        print(f"  {others:3} names on the network        {float(out):9.0f}")
        sys.stdout.flush()
    bench_flood(engine)
    shim = json.loads((engine.run_directory / "bundles" / engine.inspect("named-0")["Id"] / "state.json").read_text())["shimPid"]
    run(["sleep", "3"])
    print(f"  that supervisor, at rest       PSS {memory_of(shim)[0]} KB, private {memory_of(shim)[1]} KB")
    engine.berth("rm", "-f", *engine.berth("ps", "-aq", check=True).out.split(), check=True)
    engine.berth("network", "rm", "bench-user", "bench-ipv6", check=True)


def run_inspect(engine):
    return json.dumps(engine.berth("ps", "-q", "--filter", "name=named-", check=True).out.split())
