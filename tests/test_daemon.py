"""berthd itself: flags, configuration file, sockets handed over by a service manager, reload, locks."""
import json
import os
import pathlib
import re
import signal
import socket
import stat
import subprocess
import time

import pytest

import engine as engines
from engine import LIMIT_S, run, wait_until

pytestmark = pytest.mark.own


@pytest.fixture
def berthd(build, tmp_path):
    def call(*arguments, **options):
        return run([build / "berthd", "--data-root", tmp_path / "data", "--exec-root", tmp_path / "run", *arguments], **options)
    return call


@pytest.mark.parametrize("arguments, said", [
    (["--nope"], "nope"),
    (["--userns-remap", "default"], "userns-remap"),
    (["--selinux-enabled"], "selinux-enabled"),
    (["--mtu", "many"], "mtu"),
    (["-H", "gopher://x"], "gopher"),
    (["--engine-id", "XYZ"], "engine-id"),
])
def test_bad_flags_are_named(berthd, arguments, said):
    got = berthd(*arguments)
    assert got.code == 1 and said in got.err, got


@pytest.mark.parametrize("config, arguments, said", [
    ({"no-such-key": 1}, [], "no-such-key"),
    ({"debug": True}, ["--debug"], "debug"),
    ({"mtu": "x"}, [], "mtu"),
    ({"live-restore": False}, [], "live-restore"),
])
def test_bad_configuration_is_named(berthd, tmp_path, config, arguments, said):
    path = tmp_path / "daemon.json"
    path.write_text(json.dumps(config))
    got = berthd("--config-file", path, "--validate", *arguments)
    assert got.code == 1 and said in got.err, got


def test_good_configuration_is_taken(berthd, tmp_path):
    path = tmp_path / "daemon.json"
    path.write_text(json.dumps({"debug": True, "labels": ["a=b"], "log-opts": {"max-size": "1m"}, "live-restore": True}))
    assert berthd("--config-file", path, "--validate").code == 0


def test_socket_is_for_its_group_only(engine):
    mode = os.stat(engine.socket).st_mode
    assert stat.S_ISSOCK(mode) and stat.S_IMODE(mode) == 0o660


def test_run_directory_shows_nothing_else(engine):
    for name in ("shims", "bundles", "seccomp"):
        assert stat.S_IMODE(os.stat(engine.run_directory / name).st_mode) == 0o700
    assert stat.S_IMODE(os.stat(engine.data).st_mode) == 0o700


def test_a_second_engine_on_the_same_data_is_refused(engine, build):
    got = run([build / "berthd", "--data-root", engine.data, "--exec-root", engine.directory / "other", "-H",
               f"unix://{engine.directory}/other.sock"])
    assert got.code == 1 and "another berthd" in got.err
    assert engine.answers()


def test_two_engines_side_by_side(engine, private_engine):
    for made in (engine, private_engine):
        assert made.docker("run", "--rm", "busybox", "echo", "both", check=True).out == "both\n"
    assert engine.docker("info", "-f", "{{.ID}}").out != private_engine.docker("info", "-f", "{{.ID}}").out


def test_open_files(private_engine):
    """As many as the hard limit allows for the engine, and for containers what the engine was started with."""
    engine = private_engine
    engine.docker("create", "--name", "box", "busybox", "sleep", "1000", check=True)
    engine.stop()
    engine.prefix = ["prlimit", "--nofile=700:900", *engine.prefix]
    engine.start()
    engine.docker("start", "box", check=True)
    for arguments in (("exec", "box"), ("run", "--rm", "busybox")):
        assert engine.docker(*arguments, "sh", "-c", "ulimit -Sn; ulimit -Hn", check=True).out.split() == ["700", "900"]
    limits = pathlib.Path(f"/proc/{engine.process.pid}/limits").read_text()
    assert re.search(r"Max open files +900 +900 ", limits), limits
    engine.stop()
    ended = run(["prlimit", "--nofile=64:64", engine.build / "berthd", "--data-root", engine.data, "--exec-root", engine.run_directory, "-H", engine.host])
    assert ended.code == 1 and "the limit of open files is 64: at least 512 are needed" in ended.out + ended.err, ended
    engine.prefix = engine.prefix[2:]
    engine.start()


def test_reload(private_engine):
    events = subprocess.Popen([engines.docker_program(), "events", "--since", f"{time.time():.6f}", "--filter", "type=daemon", "--format", "{{.Action}}"],
                              env=private_engine.environment, stdout=subprocess.PIPE)
    private_engine.process.send_signal(signal.SIGHUP)
    assert events.stdout.readline() == b"reload\n"
    events.kill()
    events.wait()
    assert private_engine.answers()


def test_socket_from_a_service_manager(build, tmp_path):
    """LISTEN_FDS and NOTIFY_SOCKET, as systemd hands them over."""
    path, notify_path = tmp_path / "berth.sock", tmp_path / "notify"
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(path))
    listening.listen()
    notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    notify.bind(str(notify_path))
    notify.settimeout(LIMIT_S)
    command = f"exec 3<&{listening.fileno()}; LISTEN_FDS=1 LISTEN_PID=$$ exec {build}/berthd --data-root {tmp_path}/data --exec-root {tmp_path}/run -H fd://"
    daemon = subprocess.Popen(["bash", "-c", command], pass_fds=[listening.fileno()], env=dict(os.environ, NOTIFY_SOCKET=str(notify_path)),
                              stderr=subprocess.DEVNULL)
    try:
        assert notify.recv(100).startswith(b"READY=1")
        environment = dict(os.environ, DOCKER_HOST=f"unix://{path}")
        got = wait_until(lambda: run([build / "berth", "version"], env=environment), what="an answer on the socket")
        assert got.code == 0 and "Server: berth" in got.out
    finally:
        daemon.terminate()
        code = daemon.wait(LIMIT_S)
        run([build / "berthd", "--data-root", tmp_path / "data", "--exec-root", tmp_path / "run", "--remove-kernel-objects"])
    assert code == 0
    assert path.exists(), "the socket belongs to the service manager"
