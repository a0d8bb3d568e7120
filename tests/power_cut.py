"""A power cut, block by block: the data root lies on a disk that notes each write and flush (logged_disk.py), and any moment of it can be had again.

At a cut the disk has all that was written before the last flush, and some of what was written after it: nothing, all, or any of it, the last write
torn between two sectors. The engine is started on such a disk as after a boot: the kernel has nothing of it, and another boot id."""
import os
import pathlib
import random
import subprocess
import sys
import time
import uuid

import logged_disk
from engine import Engine, run, wait_until
from raw_api import Api

DISK_SIZE = 320 << 20  # the least that xfs wants
MKFS = os.environ.get("BERTH_CUT_MKFS", "mkfs.ext4 -q -F -b 4096 -E lazy_itable_init=0,lazy_journal_init=0").split()
SECTOR = 512
CUT_COMMAND = """mount -o loop "$1" "$2" && mount --bind "$3" /proc/sys/kernel/random/boot_id && ip link set lo up && shift 3 && exec "$@" """


class LoggedDisk:
    """A file system on a loop device on a file whose server notes what it is given."""

    def __init__(self, directory):
        self.place, self.under, self.image, self.log = (directory / name for name in ("disk", "under", "image", "log"))
        self.server = self.device = None

    def mount(self):
        self.place.mkdir()
        self.under.mkdir()
        with open(self.image, "wb") as file:
            file.truncate(DISK_SIZE)
        run([*MKFS, self.image], check=True)
        run(["cp", "--sparse=always", self.image, self.first_image], check=True)
        self.server = subprocess.Popen([sys.executable, "-B", logged_disk.__file__, self.under, self.image, self.log], stdout=subprocess.PIPE)
        assert self.server.stdout.readline() == b"mounted\n"
        self.device = run(["losetup", "-f", "--show", self.under / "file"], check=True).out.strip()
        queue = pathlib.Path("/sys/block") / pathlib.Path(self.device).name / "queue"
        assert (queue / "write_cache").read_text() == "write back\n", "flushes do not reach the disk"
        run(["mount", self.device, self.place], check=True)

    @property
    def first_image(self):
        return self.image.with_name("first-image")

    @property
    def position(self):
        """How much the disk has been given until now."""
        return os.stat(self.log).st_size

    def remove(self):
        run(["umount", "-l", self.place])
        if self.device:
            run(["losetup", "-d", self.device])
        run(["umount", "-l", self.under])
        if self.server:
            self.server.kill()
            self.server.wait()


class Ledger:
    """What was asked of the engine, when the disk had been given how much, and what of it was acknowledged when."""

    def __init__(self, disk):
        self.disk = disk
        self.steps = []  # (words, position before, position at the acknowledgement, {what: value})

    def tell(self, words, act, *whats):
        """act() asks the engine and returns the value that each of 'whats' has from then on; None: it is gone."""
        began = self.disk.position
        value = act()
        self.steps.append((words, began, self.disk.position, dict.fromkeys(whats, value)))

    def allowed(self, position):
        """The values that each thing may have at a cut there."""
        values = {}
        for _words, began, acknowledged, changes in self.steps:
            for what, value in changes.items():
                if acknowledged <= position:
                    values[what] = [value]
                elif began <= position:
                    values[what] = [*values.get(what, [None]), value]
        return values

    def under_way(self, position):
        return next((words for words, _began, acknowledged, _changes in self.steps if acknowledged > position), "end")

    def points(self, count, seed):
        """Positions to cut at: one half where something was just acknowledged, the other anywhere; in order."""
        chosen = random.Random(seed)
        acknowledged = [step[2] for step in self.steps]
        begin, end = self.steps[0][1], acknowledged[-1]
        width = (end - begin) / max(count // 2, 1)
        anywhere = [int(begin + width * (index + chosen.random())) for index in range(count // 2)]
        shares = count - len(anywhere)
        just = [acknowledged[int(len(acknowledged) * (index + chosen.random()) / shares)] for index in range(shares)]
        return sorted(anywhere + just)


class Replay:
    """The disk at one position after the other."""

    def __init__(self, disk, directory):
        self.image, self.directory = directory / "flushed", directory
        run(["cp", "--sparse=always", disk.first_image, self.image], check=True)
        self.log, self.records = open(disk.log, "rb"), 0
        self.at = 0        # in the log
        self.pending = []  # (offset, bytes) since the last flush

    def advance(self, position):
        """Up to the last record that ends at 'position' or before."""
        self.log.seek(self.at)
        with open(self.image, "r+b") as flushed:
            while self.at < position:
                head = self.log.read(logged_disk.RECORD.size)
                offset, size = logged_disk.RECORD.unpack(head)
                if self.at + len(head) + size > position:
                    return
                data = self.log.read(size)
                self.at += len(head) + size
                self.records += 1
                if head != logged_disk.FLUSH:
                    self.pending.append((offset, data))
                    continue
                for offset, data in self.pending:
                    flushed.seek(offset)
                    flushed.write(data)
                self.pending = []

    def cut(self, chosen):
        """An image of the disk with some of what is pending. Its path, and in words what was chosen."""
        way = chosen.choice(("none", "all", "some", "some"))
        share = chosen.random()
        kept = [write for write in self.pending if way == "all" or (way == "some" and chosen.random() < share)]
        if kept and way != "none":
            offset, data = kept[-1]
            kept[-1] = (offset, data[:SECTOR * chosen.randint(0, len(data) // SECTOR)])
        path = self.directory / f"cut-{uuid.uuid4()}"
        run(["cp", "--sparse=always", self.image, path], check=True)
        with open(path, "r+b") as image:
            for offset, data in kept:
                image.seek(offset)
                image.write(data)
        return path, f"{len(kept)} of {len(self.pending)} writes since the last flush"


class CutEngine(Engine):
    """The engine on the disk of a cut. The disk is mounted where it was, for this engine alone: its end takes the mount along."""
    look_s = 0.004

    def __init__(self, build, recorded, image):
        super().__init__(build, directory=recorded.directory)
        self.data, self.image = recorded.data, image
        self.run_directory = self.directory / f"run-{image.name}"
        self.socket = self.run_directory / "berth.sock"
        self.host = f"unix://{self.socket}"
        self.log = self.directory / f"log-{image.name}"
        boot_id = self.directory / "boot-id"
        boot_id.write_text(f"{uuid.uuid4()}\n")
        self.prefix = ["unshare", "--mount", "--net", "sh", "-c", CUT_COMMAND, "sh", image, recorded.disk.place, boot_id]
        self.api = Api(self.socket)
        self.began = self.start_s = 0

    def start(self):
        super().start()
        self.start_s = time.monotonic() - self.began
        return self

    def answers(self):
        is_there = pathlib.Path(f"/proc/{self.process.pid}/comm").read_text() == "berthd\n"  # the disk is mounted
        if not self.began and is_there:
            self.began = time.monotonic()
        return super().answers() and is_there  # it counts from when it was seen to be there

    def read(self, path):
        """A file as the engine sees it."""
        return pathlib.Path(f"/proc/{self.process.pid}/root{path}").read_bytes()

    def remove(self):
        if self.process:
            self.kill()
        run(["rm", "-rf", self.run_directory, self.log, self.image], check=True)


class RecordedEngine(Engine):
    """The one whose disk is noted."""

    def __init__(self, build):
        super().__init__(build)
        self.disk = LoggedDisk(self.directory)
        self.data = self.disk.place / "root"
        self.api = Api(self.socket)
        self.ledger = Ledger(self.disk)

    def start(self):
        self.disk.mount()
        return super().start()

    def cut_power(self):
        """It is over with this engine; its kernel objects would not be there after a boot."""
        self.kill()
        self.remove_kernel_objects()
        wait_until(lambda: run(["umount", self.disk.place]).code == 0, what="the end of all that uses the disk")

    def remove_kernel_objects(self):
        run([self.build / "berthd", "--data-root", self.data, "--exec-root", self.run_directory, "-H", self.host, "--remove-kernel-objects"],
            limit_s=60)

    def remove(self):
        if self.process:
            self.kill()
        try:
            self.remove_kernel_objects()
        finally:
            self.disk.remove()
            run(["umount", "-l", self.directory / "cuts"])
            run(["rm", "-rf", self.directory])
