"""Whose files are: binds whose owner on the host is the container's user inside (berth's own)."""
import os

import pytest

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
