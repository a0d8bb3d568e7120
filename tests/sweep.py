"""kill -9 of a program at every call that changes something outside of it, and what must be true afterwards.

A story is a row of steps. It is told to an engine that dies at a chosen call (tests/crash/crash.c); the engine is started anew and must agree
with itself and with what was acknowledged; the step that was cut off is repeated, the story is told to its end, all that it made is removed,
and then nothing may be left. BERTH_SWEEP_POINTS says how many points of each story are taken, spread over all of them; 0: each one.
"""
import http.client
import mmap
import os
import pathlib
import random
import signal
import struct
import subprocess
import time

from engine import LIMIT_S, Engine, make_busybox_context, run, wait_until
from raw_api import Api

POINTS = int(os.environ.get("BERTH_SWEEP_POINTS", "8"))
WHERE_END, CONTROL_SIZE = 120, 136  # of crash.c's struct control
SOURCE = pathlib.Path(__file__).parent / "crash/crash.c"


def build_preload(directory):
    library = pathlib.Path(directory) / "crash.so"
    subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-o", library, SOURCE, "-ldl"], check=True)
    return library


class Control:
    """Counts a program's calls and says which is its last: struct control of crash.c."""

    def __init__(self, path, preload, program):
        path.write_bytes(bytes(CONTROL_SIZE))
        self.file = open(path, "r+b")
        self.memory = mmap.mmap(self.file.fileno(), CONTROL_SIZE)
        self.environment = {"LD_PRELOAD": str(preload), "CRASH_CONTROL": str(path), "CRASH_PROGRAM": program,
                            "ASAN_OPTIONS": "verify_asan_link_order=0"}  # for builds with sanitizers

    @property
    def calls(self):
        return struct.unpack_from("q", self.memory, 0)[0]

    @property
    def where(self):
        return self.memory[16:WHERE_END].split(b"\0")[0].decode(errors="replace")

    @property
    def is_held(self):
        return struct.unpack_from("q", self.memory, WHERE_END + 8)[0] != 0

    def arm(self, calls, hold=False):
        """The program dies at that one of its next calls, or waits there until it is let go; 0: it lives."""
        self.memory[16:WHERE_END] = bytes(WHERE_END - 16)
        struct.pack_into("q", self.memory, WHERE_END, hold)
        self.last = self.calls + calls if calls else 0
        struct.pack_into("q", self.memory, 8, self.last)

    def disarm(self):
        """The program lives on, unless it came to its last call just before: whether it may have."""
        struct.pack_into("q", self.memory, 8, 0)
        return 0 < self.last <= self.calls

    def let_go(self):
        struct.pack_into("q", self.memory, WHERE_END, 0)


def spread(total, points=POINTS, seed=7):
    """Some of the numbers 1 to total: one out of each equal part."""
    if not points or points >= total:
        return list(range(1, total + 1))
    chosen, bounds = random.Random(seed), [i * total // points for i in range(points + 1)]
    return [chosen.randint(low + 1, high) for low, high in zip(bounds, bounds[1:])]


class Died(Exception):
    """The engine did, as was wanted."""


class SweptEngine(Engine):
    def __init__(self, build, preload):
        super().__init__(build)
        self.control = Control(self.directory / "control", preload, "berthd")
        self.daemon_environment = {**os.environ, **self.control.environment}
        self.api = Api(self.socket)
        self.network_ids = set()

    def prepare(self):
        """A small image; what is there now is what 'empty' means."""
        self.start()
        context = make_busybox_context(self.directory / "busybox-context")
        self.docker("build", "-q", "-t", "busybox", context, check=True)
        self.docker("builder", "prune", "-af")
        self.docker("create", "--name", "first", "busybox", check=True)  # makes what is made once
        self.docker("start", "first", check=True)
        self.docker("rm", "-f", "first", check=True)
        self.baseline = None

        def is_at_rest():
            before, self.baseline = self.baseline, self.fingerprint()
            return self.baseline == before and not list(self.processes())
        wait_until(is_at_rest, step_s=0.3, what="an engine at rest")
        return self

    # ---- the end of the engine ----

    def died(self, limit_s=LIMIT_S):
        """Whether it was killed; any other end is a failure."""
        try:
            code = self.process.wait(limit_s)
        except subprocess.TimeoutExpired:
            return False
        assert code == -signal.SIGKILL, f"berthd ended with {code}: {self.log.read_text(errors='replace')[-3000:]}"
        self.process = None
        return True

    def start_armed(self, calls):
        """A start that is cut off at one of its calls. Whether it came to that."""
        self.control.arm(calls)
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([self.build / "berthd", "--data-root", self.data, "--exec-root", self.run_directory, "-H", self.host,
                                             "--debug"], stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True,
                                            env=self.daemon_environment)
        end = time.monotonic() + LIMIT_S
        while time.monotonic() < end:
            if self.process.poll() is not None:
                return self.died()
            try:
                if self.answers():  # and goes on with work of its own
                    return self.control.disarm() and self.died()
            except AssertionError:
                return self.died()
            time.sleep(0.005)
        raise AssertionError("the engine does not start")

    def start(self):
        self.control.arm(0)
        self.start_armed(0)
        return self

    # ---- what there is ----

    @property
    def id(self):
        import hashlib
        return hashlib.sha256(str(self.data).encode()).hexdigest()[:8]

    def fingerprint(self):
        """All that the engine has on disk and in the kernel, as a set of lines."""
        found = set()
        for root in (self.data, self.run_directory):
            for path, directories, files in os.walk(root):
                inner = pathlib.Path(path).relative_to(root).parts
                if inner[:1] == ("layers",) and len(inner) >= 2 or inner[:1] == ("init",):
                    directories.clear()
                    continue
                found.update(f"{root.name}/{'/'.join((*inner, entry))}" for entry in directories + files if not entry.startswith("berth.db"))
        for name in os.listdir("/sys/class/net"):
            if self.id in name or any(name == f"br-{network[:12]}" for network in self.network_ids):
                found.add(f"link {name}")
        for base, directories, _files in os.walk("/sys/fs/cgroup"):
            if f"/berth-{self.id}" in base:
                found.update(f"cgroup {base}/{entry}" for entry in directories)
            elif base.count("/") >= 5:
                directories.clear()
        for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines():
            if str(self.directory) in line:
                found.add(f"mount {line.split()[4]}")
        found.update(f"process {pid} {words}" for pid, words in self.processes())
        for line in run(["nft", "list", "table", "inet", f"berth_{self.id}"]).out.splitlines():
            found.add(f"nft {line.strip()}")
        return found

    def processes(self):
        """Those of ours but the daemon: supervisors, and what was started by them."""
        for entry in os.listdir("/proc"):
            if not entry.isdigit() or self.process and int(entry) == self.process.pid:
                continue
            try:
                words = pathlib.Path(f"/proc/{entry}/cmdline").read_bytes().decode(errors="replace").replace("\0", " ")
            except OSError:
                continue
            if "berth-shim" in words and str(self.run_directory) in words:
                yield entry, words[:120]

    def differences(self):
        return self.api.do("GET", "/system/verify")["Differences"]

    def check_empty(self):
        left = None

        def is_empty():
            nonlocal left
            left = self.fingerprint() ^ self.baseline
            return not left
        try:
            wait_until(is_empty, LIMIT_S, 0.02)
        except AssertionError:
            sign = {line: "left over" if line not in self.baseline else "lost" for line in sorted(left)}
            raise AssertionError(f"not empty: {[f'{what}: {line}' for line, what in sign.items()][:30]}") from None


class Story:
    """Its steps are its methods' names in 'steps'. Each calls the API and notes what was acknowledged."""
    steps = ()

    def __init__(self, engine):
        self.engine, self.api = engine, engine.api
        self.is_repeat = False
        self.acknowledged = {}  # what → value, as far as it was answered; nothing while a step is under way

    def call(self, method, path, body=None, ok=(200, 201, 204), again=(), **options):
        """again: further statuses that are right when this may have been done before."""
        answer = self.api.call(method, path, body, **options)
        allowed = (*ok, *again) if self.is_repeat else ok
        assert answer.status in allowed, f"{method} {path}: {answer}"
        return answer

    def doubt(self, *whats):
        for what in whats:
            self.acknowledged.pop(what, None)

    def tell(self, start=0):
        """Tells the steps from that one on; raises Died at the engine's death, with self.at being the step that was cut off."""
        for self.at in range(start, len(self.steps)):
            try:
                getattr(self, self.steps[self.at])()
            except (OSError, http.client.HTTPException) as problem:
                if self.engine.died():
                    raise Died from None
                raise AssertionError(f"step {self.steps[self.at]}: {problem!r} while the engine lives") from problem
            self.is_repeat = False
        self.at = len(self.steps)

    def check(self):
        """What was acknowledged is true of the engine as it is now."""

    def clean(self):
        """Removes all that the story made."""


def live(engine, story_type, point, second=0):
    """One life: the story until the engine dies, and what comes after. Returns whether it came to dying."""
    story = story_type(engine)
    cut = ended = False
    try:
        engine.control.arm(point)
        try:
            story.tell()
            ended = True
        except Died:
            cut = True
        where = engine.control.where
        engine.control.arm(0)
        if ended:  # the count varies a little: it dies behind the end then
            engine.kill()
        if second and engine.start_armed(second):
            where += f", then {engine.control.where}"
        if engine.process is None:
            engine.start()
        engine.control.arm(0)
        found = engine.differences()
        assert not found, f"differences: {found}"
        story.check()
        story.is_repeat = True
        story.tell(story.at)
        story.check()
        found = engine.differences()
        assert not found, f"differences at the end: {found}"
        story.clean()
        engine.check_empty()
        return cut
    except Died:
        raise AssertionError(f"point {point} of {story_type.__name__}: died again")
    except AssertionError as problem:
        engine.control.arm(0)
        step = (*story.steps, "end")[story.at]
        raise AssertionError(f"point {point}{f'+{second}' if second else ''} of {story_type.__name__}, step {step}, at {where if cut else '-'}: {problem}") from problem


def count(engine, story_type):
    """How many calls the story makes, and a start after it."""
    story = story_type(engine)
    engine.control.arm(0)
    before = engine.control.calls
    story.tell()
    told = engine.control.calls - before
    story.check()
    engine.kill()
    before = engine.control.calls
    engine.start()
    started = engine.control.calls - before
    story.clean()
    engine.check_empty()
    return told, started


def sweep(build, preload, story_type, points=POINTS, seed=7):
    """Points spread over the story; every third life has its recovery cut off as well. All failures are told together."""
    failures, lives, dead = [], 0, 0
    engine = SweptEngine(build, preload)
    began = time.monotonic()
    try:
        engine.prepare()
        told, started = count(engine, story_type)
        chosen = random.Random(seed)
        for point in spread(told, points, seed):
            second = chosen.randint(1, started) if lives % 3 == 2 else 0
            lives += 1
            try:
                dead += live(engine, story_type, point, second)
            except AssertionError as problem:
                failures.append(str(problem))
                print(problem, flush=True)
                if len(failures) >= 20:
                    break
                engine.remove()
                engine = SweptEngine(build, preload).prepare()
        seconds = time.monotonic() - began
        print(f"{story_type.__name__}: {lives} points of {told}, {dead} deaths, {seconds:.1f} s, {len(failures)} failures", flush=True)
        assert not failures, failures
        assert dead > lives * 3 // 4, f"only {dead} of {lives} lives were cut off"
    finally:
        engine.remove()
