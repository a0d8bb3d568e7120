"""Networks: what each kind costs a start, joining one while running, and names answered per second with a supervisor's memory."""
import json
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


def bench_network(engine, build, rounds, timed, interleave, print_table, memory_of):
    engine.berth("network", "create", "bench-user", check=True)
    engine.berth("network", "create", "--ipv6", "bench-ipv6", check=True)
    engine.berth("run", "-d", "--name", "joins", IMAGE, "sleep", "100000", check=True)
    kinds = {"none": [], "bridge": [], "bench-user": [], "bench-ipv6": [], "bench-user, a port": ["-p", "127.0.0.1::80"]}
    variants = {f"--network {kind}": lambda kind=kind, options=options: timed(
        [build / "berth", "run", "--rm", "--network", kind.split(",")[0], *options, IMAGE, "true"], engine.environment)
        for kind, options in kinds.items()}
    print_table(f"run --rm {IMAGE} true", interleave(variants, rounds), "--network none")

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
        state = json.loads(engine.berth("inspect", "named-0", check=True).out)[0]
        out = subprocess.run(["nsenter", "-t", str(state["State"]["Pid"]), "-n", "/usr/bin/python3", "-c", CLIENT,
                              str(__file__).rsplit("/bench/", 1)[0], f"named-{others - 1}", str(QUESTIONS)],
                             capture_output=True, text=True, check=True).stdout
        print(f"  {others:3} names on the network        {float(out):9.0f}")
        sys.stdout.flush()
    shim = json.loads((engine.run_directory / "bundles" / state["Id"] / "state.json").read_text())["shimPid"]
    run(["sleep", "3"])
    print(f"  that supervisor, at rest       PSS {memory_of(shim)[0]} KB, private {memory_of(shim)[1]} KB")
    engine.berth("rm", "-f", *engine.berth("ps", "-aq", check=True).out.split(), check=True)
    engine.berth("network", "rm", "bench-user", "bench-ipv6", check=True)


def run_inspect(engine):
    return json.dumps(engine.berth("ps", "-q", "--filter", "name=named-", check=True).out.split())
