"""What users look at while containers of theirs are sick: nothing of it may wait for them. Printed, not judged."""
import os
import pathlib
import signal
import statistics
import time

from raw_api import Api
from sickness import Fuse, connect, fill, freezer_of, stall_exec, supervisor_of

ROUNDS = 30


def make_sick(engine, api):
    """One of each kind: frozen, supervisor stopped, on a dead file system, with a full pipe, with an exec that stalls."""
    fuse = Fuse(pathlib.Path(engine.directory) / "sick")
    pids = {}
    for name, options, command in (("frozen", [], ["sleep", "1000"]), ("stopped", [], ["sleep", "1000"]), ("deaf", ["-i"], ["sleep", "1000"]),
                                   ("dead", ["-v", f"{fuse.path}:/mnt"], ["sh", "-c", "sleep 1; exec cat /mnt/file"]), ("stalled", [], ["sleep", "1000"])):
        engine.berth("run", "-d", "--name", name, *options, "busybox", *command, check=True)
        pids[name] = engine.inspect(name)["State"]["Pid"]
    fuse.silence(signal.SIGUSR1)
    file, freeze, thaw = freezer_of(pids["frozen"])
    file.write_text(freeze)
    os.kill(supervisor_of(pids["stopped"]), signal.SIGSTOP)
    kept = [connect(engine, "POST /v1.51/containers/deaf/attach?stream=1&stdin=1"), stall_exec(engine, api, "stalled")[0]]
    fill(kept[0])

    def heal():
        file.write_text(thaw)
        os.kill(supervisor_of(pids["stopped"]), signal.SIGCONT)
        fuse.end()
        engine.berth("rm", "-f", *pids, check=True)
        for one in kept:
            one.close()
    return heal


def bench_sick(engine):
    api = Api(engine.socket)
    engine.berth("run", "-d", "--name", "well", "busybox", "sleep", "1000", check=True)
    reads = {"list": "/containers/json", "inspect": "/containers/well/json", "info": "/info", "stats, one-shot": "/containers/well/stats?stream=0&one-shot=1",
             "top": "/containers/well/top", "inspect of a sick one": "/containers/stopped/json"}

    def measure():
        times = {name: [] for name in [*reads, "events"]}
        for _i in range(ROUNDS):
            for name, path in {**reads, "events": f"/events?since=1&until={time.time():.3f}"}.items():
                if "sick" in name and not is_sick:
                    continue
                began = time.perf_counter()
                api.call("GET", path)
                times[name].append((time.perf_counter() - began) * 1e3)
        return times
    is_sick = False
    healthy = measure()
    heal, is_sick = make_sick(engine, api), True
    try:
        sick = measure()
    finally:
        heal()
    print("\nreads by the API while five others are sick: median and slowest, beside those while all were well")
    for name, values in sick.items():
        before = f"{statistics.median(healthy[name]):8.2f} {max(healthy[name]):8.2f} ms" if healthy[name] else ""
        print(f"  {name:<24} {statistics.median(values):8.2f} {max(values):8.2f} ms   {before}")
    engine.berth("rm", "-f", "well", check=True)
