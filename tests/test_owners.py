"""Whose files are: binds whose owner on the host is the container's user inside, and containers with users of their own (berth's own)."""
import io
import os
import pathlib
import subprocess
import tarfile

import pytest

from engine import Engine, make_busybox_context, wait_until

pytestmark = pytest.mark.own


@pytest.fixture
def place(tmp_path):
    """A directory that a user of the host with a number of its own works in."""
    directory = tmp_path / "work"
    directory.mkdir()
    (directory / "theirs").write_text("x")
    for path in (directory, directory / "theirs"):
        os.chown(path, 4321, 4322)
    return directory


def run(engine, place, *arguments, options=()):
    return engine.berth("run", "--rm", "--mount", f"type=bind,src={place},dst=/job,idmap=match-user", *options, "busybox", *arguments)


def owner(path):
    status = os.lstat(path)
    return status.st_uid, status.st_gid


@pytest.mark.parametrize("user, numbers", [((), "0 0"), (("-u", "somebody"), "1000 1000"), (("-u", "33:44"), "33 44")])
def test_what_the_container_makes_belongs_to_the_hosts_user(engine, place, user, numbers):
    got = run(engine, place, "sh", "-c", "stat -c '%u %g' /job /job/theirs && mkdir /job/made && stat -c '%u %g' /job/made", options=user)
    assert (got.code, got.out.splitlines()) == (0, [numbers] * 3)
    assert owner(place / "made") == (4321, 4322)


def test_the_users_change_places_and_others_stay(engine, place):
    (place / "third").write_text("x")
    os.chown(place / "third", 77, 78)
    got = run(engine, place, "sh", "-c", "stat -c '%u %g' /job/third; touch /job/a; chown 4321:4322 /job/a", options=("-u", "0"))
    assert (got.code, got.out) == (0, "77 78\n")
    assert owner(place / "a") == (0, 0)
    assert owner(place / "third") == (77, 78)


def test_a_user_cannot_write_where_the_hosts_user_may_not(engine, place):
    (place / "closed").mkdir(mode=0o700)  # of the host's root
    got = run(engine, place, "touch", "/job/closed/x", options=("-u", "1000:1000"))
    assert got.code != 0 and "Permission denied" in got.err


def test_inspect_and_copies_know_it(engine, place, name):
    engine.berth("create", "--name", name, "-u", "somebody", "--mount", f"type=bind,src={place},dst=/job,idmap=match-user", "busybox", check=True)
    assert engine.inspect(name)["HostConfig"]["Mounts"][0]["BindOptions"] == {"IDMap": "match-user"}
    got = engine.berth("cp", f"{name}:/job/theirs", "-", check=True)
    assert "theirs" in got.out
    engine.berth("rm", name, check=True)


def test_what_is_no_map_is_refused(engine, place):
    got = engine.berth("run", "--rm", "--mount", f"type=bind,src={place},dst=/job,idmap=everybody", "busybox", "true")
    assert got.code == 125
    assert 'invalid mount config for type "bind": invalid IDMap: everybody (match-user is known)' in got.err
    got = run(engine, place, "true", options=("-u", "nobody-there"))
    assert got.code == 125 and "unable to find user nobody-there" in got.err


def test_a_filesystem_that_cannot_says_so(engine):
    got = engine.berth("run", "--rm", "--mount", "type=bind,src=/proc/sys,dst=/job,idmap=match-user", "busybox", "true")
    assert got.code == 125
    assert "idmap of /proc/sys: the file system cannot show its files' owners as others" in got.err


# ---- users of the container's own ----

def maps(text):
    return [tuple(map(int, line.split())) for line in text.splitlines()]


def mapped(engine, script, *options, mode="auto"):
    got = engine.berth("run", "--rm", "--userns", mode, *options, "busybox", "sh", "-c", script)
    assert got.code == 0, got
    return got.out


def test_auto_gives_numbers_that_no_other_has(engine, name):
    engine.berth("run", "-d", "--name", name, "--userns", "auto", "busybox", "sleep", "1000", check=True)
    [first] = maps(engine.berth("exec", name, "cat", "/proc/self/uid_map", check=True).out)
    [second] = maps(mapped(engine, "cat /proc/self/uid_map"))
    [small] = maps(mapped(engine, "cat /proc/self/gid_map", mode="auto:size=1000"))
    assert first[0] == second[0] == small[0] == 0 and first[2] == 65536 and small[2] == 1000
    starts = sorted([(first[1], first[2]), (second[1], second[2])])
    assert starts[0][0] + starts[0][1] <= starts[1][0]
    pid = engine.inspect(name)["State"]["Pid"]
    assert os.stat(f"/proc/{pid}").st_uid == first[1]
    assert engine.inspect(name)["HostConfig"]["UsernsMode"] == "auto"


def test_root_is_root_inside_and_nobody_outside(engine, tmp_path):
    """Files of the image, of volumes and of the engine have the owners that they have without; the host's have not."""
    os.chown(tmp_path, 0, 0)
    text = mapped(engine, "id -u; stat -c '%u:%g' / /bin/busybox /home/somebody /etc/hosts /etc/resolv.conf /dev/shm /v; touch /x /v/x /etc/hosts; chown 1000:2000 /v/x;"
                          "stat -c '%u:%g' /x /v/x /host; touch /host/x 2>&1 || true; su somebody -c 'id -u; touch ~/mine; touch /x' 2>&1; stat -c %u /home/somebody/mine",
                  "-v", "/v", "-v", f"{tmp_path}:/host")
    assert text.splitlines() == ["0", *["0:0"] * 2, "1000:1000", *["0:0"] * 4, "0:0", "1000:2000", "65534:65534", "touch: /host/x: Permission denied",
                                 "1000", "touch: /x: Permission denied", "1000"]


def test_devices_kernel_files_and_settings(engine):
    text = mapped(engine, "echo x > /dev/null && head -c 4 /dev/zero | wc -c; test -c /dev/tty && echo tty; mount | grep -c ' type \\(proc\\|sysfs\\|devpts\\|mqueue\\) ';"
                          "ls /sys/class/net | tr '\\n' ' '; cat /proc/sys/net/ipv4/ip_unprivileged_port_start; hostname; grep Seccomp: /proc/self/status; mknod /tmp/n c 1 3 2>&1 || true",
                  "--hostname", "box", "--sysctl", "net.ipv4.conf.all.forwarding=1")
    lines = text.splitlines()
    assert lines[0:2] == ["4", "tty"] and int(lines[2]) >= 4
    assert lines[3].split() == ["eth0", "lo", "0"] or lines[3].split() == ["eth0", "lo"]
    assert "box" in lines and any("Seccomp:\t2" in line for line in lines) and lines[-1].endswith("Operation not permitted")


def test_networks_names_and_limits_work(engine, name):
    engine.berth("network", "create", name, check=True)
    try:
        engine.berth("run", "-d", "--name", f"{name}-web", "--network", name, "--userns", "auto", "-m", "64m", "busybox", "sh", "-c",
                     "mkdir /www; echo page > /www/index.html; httpd -f -h /www", check=True)
        text = mapped(engine, f"for i in 1 2 3 4 5 6 7 8 9 10; do wget -qO - http://{name}-web/ && break; sleep 0.2; done; ping -c 1 {name}-web > /dev/null && echo pong", "--network", name)
        assert text.splitlines() == ["page", "pong"]
        got = engine.berth("run", "--name", f"{name}-big", "--userns", "auto", "-m", "16m", "busybox", "sh", "-c", "head -c 100m /dev/zero | tail", check=False)
        assert got.code == 137 and engine.inspect(f"{name}-big")["State"]["OOMKilled"]
    finally:
        engine.berth("rm", "-f", f"{name}-web", f"{name}-big")
        engine.berth("network", "rm", name, check=True)


def test_execs_and_copies_see_the_containers_numbers(engine, name, tmp_path):
    engine.berth("run", "-d", "--name", name, "--userns", "auto", "-v", "/v", "busybox", "sh", "-c", "echo a > /a; chown somebody /a; sleep 1000", check=True)
    wait_until(lambda: engine.berth("exec", name, "stat", "-c", "%u", "/a").out == "1000\n", what="the file")
    assert engine.berth("exec", "-u", "somebody", name, "id", "-u", check=True).out == "1000\n"

    def listed(path):
        with tarfile.open(fileobj=io.BytesIO(subprocess.run([engine.build / "berth", "cp", f"{name}:{path}", "-"], env=engine.environment, check=True,
                                                            capture_output=True).stdout)) as archive:
            return {member.name: (member.uid, member.gid) for member in archive}

    (tmp_path / "in").mkdir()
    (tmp_path / "in/file").write_text("x")
    os.chown(tmp_path / "in/file", 1000, 2000)
    for target in ("/", "/v"):
        assert listed("/a") == {"a": (1000, 0)}
        engine.berth("cp", "-a", tmp_path / "in", f"{name}:{target}", check=True)
        assert engine.berth("exec", name, "stat", "-c", "%u:%g", f"{target}/in", f"{target}/in/file", check=True).out.split() == ["0:0", "1000:2000"]
        engine.berth("cp", tmp_path / "in/file", f"{name}:{target}/plain", check=True)
        assert engine.berth("exec", name, "stat", "-c", "%u:%g", f"{target}/plain", check=True).out.split() == ["1000:2000"]
        assert listed(f"{target}/in") == {"in": (0, 0), "in/": (0, 0), "in/file": (1000, 2000)} or listed(f"{target}/in")["in/file"] == (1000, 2000)
    changes = engine.berth("diff", name, check=True).out.split("\n")
    assert "A /in/file" in changes and "A /a" in changes
    engine.berth("commit", name, f"{name}:kept", check=True)
    engine.berth("stop", "-t", "0", name, check=True)
    assert listed("/a") == {"a": (1000, 0)}
    engine.berth("cp", "-a", tmp_path / "in/file", f"{name}:/v/rest", check=True)
    engine.berth("start", name, check=True)
    assert engine.berth("exec", name, "stat", "-c", "%u:%g", "/v/rest", "/a", "/in/file", check=True).out.split() == ["1000:2000", "1000:0", "1000:2000"]
    got = engine.berth("run", "--rm", f"{name}:kept", "stat", "-c", "%u:%g", "/a", "/in/file", "/in", check=True)
    assert got.out.split() == ["1000:0", "1000:2000", "0:0"], "an image of it is like any other"
    engine.berth("rm", "-f", name, check=True)
    engine.berth("rmi", f"{name}:kept", check=True)


def test_copies_into_a_container_that_never_ran(engine, name, tmp_path):
    """The places of its mounts are made for that, and are its root's."""
    (tmp_path / "file").write_text("x")
    engine.berth("create", "--name", name, "--userns", "auto", "-v", "/deep/v", "busybox", "stat", "-c", "%u:%g", "/deep", "/deep/v", "/deep/v/file", check=True)
    engine.berth("cp", tmp_path / "file", f"{name}:/deep/v/file", check=True)
    assert engine.berth("start", "-a", name, check=True).out.split() == ["0:0"] * 3


def test_keep_id_keeps_one_user(engine, place):
    text = mapped(engine, "id -u; id -g; touch /job/mine; stat -c '%u:%g' /job /job/mine /bin/busybox; touch /bin/x 2>&1 || true",
                  "-u", "4321:4322", "-v", f"{place}:/job", mode="keep-id:uid=4321,gid=4322")
    assert text.splitlines() == ["4321", "4322", "4321:4322", "4321:4322", "0:0", "touch: /bin/x: Permission denied"]
    assert owner(place / "mine") == (4321, 4322)
    rows = maps(mapped(engine, "cat /proc/self/uid_map", mode="keep-id:uid=4321,gid=4322"))
    assert [row for row in rows if row[0] == 4321] == [(4321, 4321, 1)]
    assert sum(row[2] for row in rows) == 65536 and all(row[1] != 0 for row in rows)


def test_a_matched_bind_in_a_user_namespace(engine, place):
    text = mapped(engine, "stat -c '%u:%g' /job; touch /job/made", "-u", "somebody", "--mount", f"type=bind,src={place},dst=/job,idmap=match-user")
    assert text == "1000:1000\n"
    assert owner(place / "made") == (4321, 4322)


def test_an_init_a_health_check_and_a_restart(engine, name):
    engine.berth("run", "-d", "--init", "--name", name, "--userns", "auto", "--health-cmd", "id -u | grep -q 0", "--health-interval", "200ms", "busybox", "sleep", "1000", check=True)
    wait_until(lambda: engine.inspect(name)["State"]["Health"]["Status"] == "healthy", what="health")
    before = engine.berth("exec", name, "cat", "/proc/self/uid_map", check=True).out
    engine.berth("restart", "-t", "0", name, check=True)
    assert engine.berth("exec", name, "cat", "/proc/self/uid_map", check=True).out == before


@pytest.mark.parametrize("options, message", [
    (["--userns", "auto:size=x"], "invalid user namespace mode: auto:size=x"),
    (["--userns", "auto:uid=1"], "invalid user namespace mode: auto:uid=1"),
    (["--userns", "auto:size=0"], "invalid user namespace mode: auto:size=0"),
    (["--userns", "keep-id"], "user namespace mode keep-id: say whose numbers are kept: keep-id:uid=NUMBER,gid=NUMBER"),
    (["--userns", "keep-id:uid=1,gid=1,uid=2"], "invalid user namespace mode: keep-id:uid=1,gid=1,uid=2"),
    (["--userns", "auto", "--privileged"], "privileged mode is incompatible with user namespaces"),
    (["--userns", "auto", "--network", "host"], "cannot share the host's network namespace when user namespaces are enabled"),
    (["--userns", "auto", "--pid", "host"], "cannot share the host PID namespace when user namespaces are enabled"),
    (["--userns", "auto", "--ipc", "host"], "namespaces of others cannot be joined by a container with users of its own"),
    (["--userns", "nope"], "--userns: invalid USER mode"),
])
def test_modes_that_are_refused(engine, options, message):
    got = engine.berth("run", "--rm", *options, "busybox", "true")
    assert got.code == 125 and message in got.err, got


def test_one_range_for_all_containers(build, tmp_path):
    """userns-remap, with files of subordinate numbers that only this engine sees."""
    (tmp_path / "subuid").write_text("somebody:1:2\nberths:700000:5000\n")
    (tmp_path / "subgid").write_text("berths:800000:4000\n")
    programs = tmp_path / "programs"
    programs.mkdir()
    for program in ("berth", "src"):
        (programs / program).symlink_to(pathlib.Path(build) / program)
    (programs / "berthd").write_text(f"""#!/bin/sh
exec unshare -m sh -c 'for f in /etc/subuid /etc/subgid; do [ -e $f ] || touch $f; done; mount --bind {tmp_path}/subuid /etc/subuid; mount --bind {tmp_path}/subgid /etc/subgid; exec "$@"' - {build}/berthd "$@"
""")
    (programs / "berthd").chmod(0o755)
    (tmp_path / "bad").mkdir()
    with pytest.raises(AssertionError, match="userns-remap: /etc/subgid has no range for somebody"):
        Engine(programs, directory=tmp_path / "bad", extra=["--userns-remap", "somebody"]).start()
    engine = Engine(programs, extra=["--userns-remap", "berths"])
    engine.start()
    try:
        engine.docker("build", "-q", "-t", "busybox", make_busybox_context(tmp_path / "context"), check=True)
        text = engine.docker("run", "--rm", "busybox", "cat", "/proc/self/uid_map", "/proc/self/gid_map", check=True).out
        assert maps(text) == [(0, 700000, 5000), (0, 800000, 4000)]
        assert maps(engine.docker("run", "--rm", "--userns", "host", "busybox", "cat", "/proc/self/uid_map", check=True).out) == [(0, 0, 4294967295)]
        got = engine.docker("run", "--rm", "--privileged", "busybox", "true")
        assert got.code == 125 and "privileged mode is incompatible with user namespaces" in got.err
    finally:
        engine.remove()
