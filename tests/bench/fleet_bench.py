"""One container's life call by call, and two hundred containers on one engine: what grows, and how long a restart of the engine is felt."""
import concurrent.futures
import os
import statistics
import subprocess
import time

from engine import docker_program
from raw_api import Api

FLEET, AT_ONCE, RESTARTED, RESTARTS = 200, 8, 100, 5
LISTS, SETTLE_S = 20, 1
CALLS_S = 0.0005  # between two looks whether the engine answers


def bench_life(engine, build, docker, floor, rounds, timed, interleave, print_table):
    """create, start, exec, stop, rm -f and run -d by the command line. The floor is the kernel's whole work for one run."""
    clients = {"berth": lambda *words: timed([build / "berth", *words], engine.environment)}
    if docker_program():
        clients["berth, through docker's client"] = lambda *words: timed([docker_program(), *words], engine.environment)
    if docker:
        clients["docker"] = docker.measure

    def rows(prepare, measured, clean):
        def one(call):
            for words in prepare:
                call(*words)
            elapsed = call(*measured)
            for words in clean:
                call(*words)
            return elapsed
        return {"kernel floor (a whole run)": lambda: floor.measure("bridge"), **{name: lambda c=call: one(c) for name, call in clients.items()}}

    create, run, remove = ["create", "--name", "life", "busybox", "sleep", "1000"], ["run", "-d", "--name", "life", "busybox", "sleep", "1000"], ["rm", "-f", "life"]
    for title, steps in {"create": ([], create, [remove]), "start": ([create], ["start", "life"], [remove]), "exec": ([run], ["exec", "life", "true"], [remove]),
                         "stop -t 0": ([run], ["stop", "-t", "0", "life"], [remove]), "rm -f of one that runs": ([run], remove, []),
                         "run -d": ([], run, [remove]), "stats --no-stream": ([run], ["stats", "--no-stream", "life"], [remove])}.items():
        print_table(title, interleave(rows(*steps), rounds), "kernel floor (a whole run)")


def bench_list(engine, build, docker, rounds, timed, interleave, print_table):
    """ps -a with two hundred containers, none of which runs: Docker would take minutes to start them."""
    engines = {"berth": engine.socket, **({"docker": docker.socket} if docker else {})}
    for socket in engines.values():
        for number in range(FLEET):
            Api(socket).do("POST", f"/containers/create?name=l{number}", {"Image": "busybox", "Cmd": ["true"]})
    variants = {"berth": lambda: timed([build / "berth", "ps", "-a"], engine.environment)}
    if docker_program():
        variants["berth, through docker's client"] = lambda: timed([docker_program(), "ps", "-a"], engine.environment)
    if docker:
        variants["docker"] = lambda: docker.measure("ps", "-a")
    print_table(f"ps -a of {FLEET}", interleave(variants, rounds), "berth")
    calls = {name: lambda s=socket: time_of(lambda: Api(s).do("GET", "/containers/json?all=1")) for name, socket in engines.items()}
    print_table(f"the list of {FLEET} by the API", interleave(calls, rounds), "berth")
    for socket in engines.values():
        for number in range(FLEET):
            Api(socket).do("DELETE", f"/containers/l{number}")


def start_many(api, count, at_once):
    """Seconds that each start took, in the order of their beginning."""
    def start_one(number):
        api.do("POST", f"/containers/create?name=f{number}", {"Image": "busybox", "Cmd": ["sleep", "100000"], "ExposedPorts": {"80/tcp": {}},
                                                              "HostConfig": {"PortBindings": {"80/tcp": [{"HostPort": "0"}]}}})
        began = time.perf_counter()
        api.do("POST", f"/containers/f{number}/start")
        return time.perf_counter() - began
    with concurrent.futures.ThreadPoolExecutor(at_once) as pool:
        return list(pool.map(start_one, range(count)))


def remove_many(api, count):
    for number in range(count):
        api.do("DELETE", f"/containers/f{number}?force=1&v=1")


def time_of(call):
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def restart_gap(engine, how):
    """From the signal to the first request that is answered."""
    began = time.perf_counter()
    engine.process.send_signal(how)
    engine.process.wait()
    with open(engine.log, "ab") as log:
        engine.process = subprocess.Popen([engine.build / "berthd", "--data-root", engine.data, "--exec-root", engine.run_directory, "-H", engine.host],
                                          stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True)
    while not engine.answers():
        time.sleep(CALLS_S)
    return time.perf_counter() - began


def cpu_of(pid):
    """Seconds of processor time of a process so far."""
    fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def bench_fleet(engine, build, timed, memory_of, shim_pids):
    api = Api(engine.socket)
    for at_once in (1, AT_ONCE):
        times = start_many(api, FLEET, at_once)
        tenth = FLEET // 10
        first, last = statistics.median(times[:tenth]), statistics.median(times[-tenth:])
        print(f"\n{FLEET} containers with a port each, {at_once} at a time")
        print(f"  start: the first {tenth} {first * 1e3:.2f} ms, the last {tenth} {last * 1e3:.2f} ms: {last / first:.2f} times")
        lists = [time_of(lambda: api.do("GET", "/containers/json")) for _i in range(LISTS)]
        commands = [timed([build / "berth", "ps"], engine.environment) for _i in range(LISTS)]
        print(f"  list {statistics.median(lists) * 1e3:.2f} ms, berth ps {statistics.median(commands) * 1e3:.2f} ms")
        time.sleep(SETTLE_S)
        shims = [memory_of(pid) for pid in shim_pids(engine)]
        pss, private = (statistics.median(column) for column in zip(*shims))
        print(f"  memory: daemon {memory_of(engine.process.pid)[0]} KB PSS; each supervisor {pss:.0f} KB PSS, {private:.0f} KB private")
        print(f"  all removed: {time_of(lambda: remove_many(api, FLEET)) / FLEET * 1e3:.2f} ms each; left: {api.do('GET', '/system/verify')['Differences']}")
    start_many(api, RESTARTED, AT_ONCE)
    for name, how in (("SIGTERM", 15), ("SIGKILL", 9)):
        gaps, cpu = [], []
        for _i in range(RESTARTS):
            gaps.append(restart_gap(engine, how))
            cpu.append(cpu_of(engine.process.pid))
            time.sleep(SETTLE_S)
        print(f"restart with {RESTARTED} containers by {name}, to the first answer: {statistics.median(gaps) * 1e3:.0f} ms, fastest {min(gaps) * 1e3:.0f} ms; "
              f"processor time of the new engine {statistics.median(cpu) * 1e3:.0f} ms")
    remove_many(api, RESTARTED)
