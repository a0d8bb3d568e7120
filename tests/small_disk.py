"""An engine whose data root is a file system of its own, small enough to be filled."""
import contextlib
import os

import engine as engines

FULL = ("no space left", "disk is full", "No space left")


@contextlib.contextmanager
def engine_on_small_disk(build, directory, size_mib):
    image, place = directory / "disk", directory / "data"
    place.mkdir()
    with open(image, "wb") as file:
        file.truncate(size_mib << 20)
    engines.run(["mkfs.ext4", "-q", "-F", "-m", "0", image], check=True)
    engines.run(["mount", "-o", "loop", image, place], check=True)
    made = engines.Engine(build)
    made.data = place / "root"
    try:
        made.start()
        context = engines.make_busybox_context(made.directory / "busybox-context")
        made.docker("build", "-q", "-t", "busybox", context, check=True)
        yield made
        made.remove()
    finally:
        engines.run(["umount", "-R", "-l", place], check=True)


def fill(engine):
    """To the last block: large pieces first, then small ones."""
    path = engine.data.parent / "fill"
    with open(path, "ab") as file:
        for size in (1 << 20, 4096, 512):
            try:
                while True:
                    os.write(file.fileno(), b"x" * size)
            except OSError as failure:
                assert failure.errno == 28
    return path


def says_full(text):
    return any(phrase in text for phrase in FULL)
