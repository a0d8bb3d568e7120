"""Compose: files that change while a project runs, and what that leads to."""
import signal
import subprocess
import threading

import pytest

from compose_project import project  # noqa: F401 (a fixture)
from engine import LIMIT_S, wait_until

pytestmark = pytest.mark.own

FILE = """
services:
  a:
    build: .
    command: sh -c 'echo started; trap "exit 0" TERM; sleep 1000 & wait'
    scale: 2
    stop_grace_period: 1s
    develop:
      watch:
        - {path: ./src, action: sync, target: /app/src, ignore: [node_modules, "*.log"], initial_sync: true}
        - {path: ./conf/one.conf, action: sync+restart, target: /etc/one.conf}
        - {path: ./run, action: sync+exec, target: /app/run, include: ["*.sh"], exec: {command: sh -c 'cat /app/run/* >> /ran', environment: [A=b]}}
        - {path: ./Dockerfile, action: rebuild}
        - {path: ./flag, action: restart}
  b: {image: busybox, command: sleep 1000, stop_grace_period: 0s}
"""


class Watch:
    """A command that watches, and what it says."""

    def __init__(self, project, *arguments):
        self.lines = []
        self.process = subprocess.Popen([project.engine.build / "berth", "compose", "-p", project.name, "--project-directory", project.directory, *arguments],
                                        env=project.engine.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.reader = threading.Thread(target=lambda: self.lines.extend(iter(self.process.stdout.readline, "")), daemon=True)
        self.reader.start()
        self.wait_for("Watch enabled")

    def wait_for(self, words, count=1):
        wait_until(lambda: sum(words in line for line in self.lines) >= count or self.process.poll() is not None, what=words)
        assert sum(words in line for line in self.lines) >= count, "".join(self.lines[-60:])

    def end(self):
        self.process.send_signal(signal.SIGINT)
        code = self.process.wait(LIMIT_S)
        self.reader.join(LIMIT_S)
        return code


@pytest.fixture
def watched(project):
    for directory in ("src/node_modules", "conf", "run"):
        (project.directory / directory).mkdir(parents=True)
    (project.directory / "src/first").write_text("there before\n")
    (project.directory / "conf/one.conf").write_text("one\n")
    (project.directory / "flag").write_text("")
    (project.directory / "Dockerfile").write_text("FROM busybox\nRUN mkdir -p /app && echo 1 > /version\n")
    return project.write(FILE)


def inside(project, *command, index="1"):
    return project.compose("exec", "-T", "--index", index, "a", *command).out


def test_watch(watched, engine):
    directory, name = watched.directory, watched.name
    watch = Watch(watched, "watch")
    try:
        for index in ("1", "2"):
            assert inside(watched, "cat", "/app/src/first", index=index) == "there before\n"

        # Files that come, change and go; directories; what is ignored.
        (directory / "src/new/deep").mkdir(parents=True)
        (directory / "src/new/deep/file").write_text("deep\n")
        (directory / "src/node_modules/x").write_text("no\n")
        (directory / "src/y.log").write_text("no\n")
        (directory / "src/first").write_text("changed\n")
        (directory / "src/link").symlink_to("first")
        for index in ("1", "2"):
            wait_until(lambda: inside(watched, "sh", "-c", "cat /app/src/new/deep/file /app/src/link 2>/dev/null", index=index) == "deep\nchanged\n", what="the files")
        assert inside(watched, "ls", "/app/src") == "first\nlink\nnew\n"
        (directory / "src/new").rename(directory / "src/renamed")
        (directory / "src/link").unlink()
        wait_until(lambda: sorted(inside(watched, "find", "/app/src", "-type", "f").split()) == ["/app/src/first", "/app/src/renamed/deep/file"], what="what went")
        (directory / "src/renamed/deep/later").write_text("later\n")
        wait_until(lambda: inside(watched, "cat", "/app/src/renamed/deep/later") == "later\n", what="a file in a directory that moved")

        # A command after the copy; only what is included.
        (directory / "run/no.txt").write_text("no\n")
        (directory / "run/x.sh").write_text("echo x\n")
        wait_until(lambda: inside(watched, "cat", "/ran") == "echo x\n", what="the command")

        # Restarts, of these containers only.
        started = [engine.inspect(f"{name}-{n}-1")["State"]["StartedAt"] for n in ("a", "b")]
        replacement = directory / "conf/one.conf.new"
        replacement.write_text("two\n")
        replacement.rename(directory / "conf/one.conf")
        watch.wait_for("restarted")
        assert inside(watched, "cat", "/etc/one.conf") == "two\n"
        (directory / "flag").write_text("x")
        watch.wait_for("restarted", 2)
        again = [engine.inspect(f"{name}-{n}-1")["State"]["StartedAt"] for n in ("a", "b")]
        assert started[0] != again[0] and started[1] == again[1]

        # A rebuild: new containers, and the old image goes.
        old = engine.inspect(f"{name}-a-1")
        (directory / "Dockerfile").write_text("FROM busybox\nRUN mkdir -p /app && echo 2 > /version\n")
        watch.wait_for("successfully built")
        assert [inside(watched, "cat", "/version", index=i) for i in ("1", "2")] == ["2\n", "2\n"]
        assert engine.docker("image", "inspect", old["Image"]).code == 1

        # A build that fails is told; the next one is done all the same.
        (directory / "Dockerfile").write_text("FROM busybox\nRUN false\n")
        watch.wait_for('service "a":')
        (directory / "Dockerfile").write_text("FROM busybox\nRUN mkdir -p /app && echo 3 > /version\n")
        watch.wait_for("successfully built", 2)
        assert inside(watched, "cat", "/version") == "3\n"
    finally:
        code = watch.end()
    assert code == 130


def test_up_watches(watched):
    watch = Watch(watched, "up", "--watch")
    try:
        watch.wait_for("| started", 2)
        (watched.directory / "src/first").write_text("changed\n")
        wait_until(lambda: inside(watched, "cat", "/app/src/first") == "changed\n", what="the file")
    finally:
        code = watch.end()
    assert code == 130
    assert {row["State"] for row in watched.containers().values()} == {"exited"}


@pytest.mark.parametrize("service,words", [
    ("image: busybox", "none of the selected services says what to watch: give one a `develop` section with `watch`"),
    ("image: busybox, develop: {watch: [{path: ., action: rebuild}]}", 'can\'t watch service "a" with action rebuild: it has no build section'),
    ("image: busybox, develop: {watch: [{path: ., action: sync, target: /x, ignore: ['[']}]}", 'service "a": develop.watch: '),
    ("image: busybox, develop: {watch: [{path: ./nowhere/at/all, action: restart}]}", "watch {directory}/nowhere/at: no such file or directory"),
])
def test_what_cannot_be_watched(project, service, words):
    project.write(f"services: {{a: {{{service}}}}}")
    got = project.compose("watch", "--no-up")
    assert got.code == 1 and words.format(directory=project.directory) in got.err, got


def test_mounted_paths_are_not_watched(project):
    project.write("services: {a: {image: busybox, volumes: ['./x:/x'], develop: {watch: [{path: ./x/y, action: sync, target: /y}, "
                  "{path: ./nowhere/at/all, action: restart}]}}}")
    assert "is shown by a bind mount of service" in project.compose("watch", "--no-up").err
    assert "--watch needs the foreground" in project.compose("up", "-d", "--watch").err
