"""Mounts that are added to a container and taken off, while it runs and while it does not."""
import os

import pytest

pytestmark = pytest.mark.own


@pytest.fixture
def running(engine, name, tmp_path):
    (tmp_path / "bd").mkdir()
    (tmp_path / "bd/f").write_text("of the host\n")
    engine.docker("run", "-d", "--name", name, "busybox", "sleep", "300", check=True)
    yield name
    engine.docker("rm", "-f", "-v", name)
    engine.docker("volume", "rm", "-f", "lm-v")


def sh(engine, name, script):
    return engine.docker("exec", name, "sh", "-c", script)


def change(engine, name, *words):
    return engine.berth("update", *words, name)


def test_bind_and_tmpfs(engine, running, tmp_path):
    assert change(engine, running, "--mount-add", f"type=bind,src={tmp_path}/bd,dst=/new/deep").out == running + "\n"
    assert sh(engine, running, "cat /new/deep/f; echo inside > /new/deep/g").out == "of the host\n"
    assert (tmp_path / "bd/g").read_text() == "inside\n"
    change(engine, running, "--mount-add", f"type=bind,src={tmp_path}/bd/f,dst=/etc/one,readonly", "--mount-add", "type=tmpfs,dst=/t,tmpfs-size=1m").out
    got = sh(engine, running, "cat /etc/one; echo x > /etc/one; df -k /t | tail -1; dd if=/dev/zero of=/t/x bs=1k count=2000 2>&1 | grep -c 'No space'")
    assert "of the host" in got.out and "Read-only" in got.err and got.out.endswith("1\n")
    seen = {m["Destination"]: m["RW"] for m in engine.inspect(running)["Mounts"]}
    assert seen == {"/new/deep": True, "/etc/one": False, "/t": True}
    # The next start has them too.
    engine.docker("restart", "-t", "0", running, check=True)
    assert sh(engine, running, "cat /new/deep/f /etc/one; ls /t").out == "of the host\n" * 2
    assert change(engine, running, "--mount-rm", "/new/deep", "--mount-rm", "/etc/one", "--mount-rm", "/t").code == 0
    assert sh(engine, running, "ls /new/deep; cat /etc/one; grep -c -e /new -e /etc/one -e ' /t ' /proc/self/mountinfo").out == "0\n"
    assert engine.inspect(running)["Mounts"] == [] and not engine.inspect(running)["HostConfig"].get("Mounts")
    engine.docker("restart", "-t", "0", running, check=True)
    assert sh(engine, running, "ls /new/deep").out == ""
    assert engine.verify().code == 0


def test_volume(engine, running):
    change(engine, running, "--mount-add", "type=volume,src=lm-v,dst=/home")
    assert sh(engine, running, "ls /home; echo kept > /home/f").out == "somebody\n"  # what the image has there
    assert "volume is in use" in engine.docker("volume", "rm", "lm-v").err
    assert change(engine, running, "--mount-rm", "/home/").code == 0
    assert engine.docker("run", "--rm", "-v", "lm-v:/v", "busybox", "cat", "/v/f").out == "kept\n"
    engine.docker("volume", "rm", "lm-v", check=True)


def test_image_and_subpath(engine, running):
    engine.docker("run", "--rm", "-v", "lm-v:/v", "busybox", "sh", "-c", "mkdir /v/sub; echo part > /v/sub/f", check=True)
    got = change(engine, running, "--mount-add", "type=image,src=busybox,dst=/img", "--mount-add", "type=image,src=busybox,dst=/etc2,image-subpath=etc",
                 "--mount-add", "type=volume,src=lm-v,dst=/part,volume-subpath=sub")
    assert got.code == 0, got
    assert sh(engine, running, "ls /img/bin/busybox /etc2/passwd; cat /part/f; touch /img/x 2>/dev/null || echo refused").out == \
        "/etc2/passwd\n/img/bin/busybox\npart\nrefused\n"
    assert change(engine, running, "--mount-rm", "/img", "--mount-rm", "/etc2", "--mount-rm", "/part").code == 0


def test_owners_change_places(engine, running, tmp_path):
    os.chown(tmp_path / "bd", 4321, 4321)
    assert change(engine, running, "--mount-add", f"type=bind,src={tmp_path}/bd,dst=/b,idmap=match-user").code == 0
    assert sh(engine, running, "stat -c %u /b; touch /b/new").out == "0\n"
    assert os.stat(tmp_path / "bd/new").st_uid == 4321
    assert change(engine, running, "--mount-rm", "/b").code == 0


def test_volume_of_a_container_with_users_of_its_own(engine, name):
    """Its numbers are the container's there too, and on disk."""
    engine.berth("run", "-d", "--name", name, "--userns", "auto", "busybox", "sleep", "300", check=True)
    try:
        assert change(engine, name, "--mount-add", "type=volume,src=lm-u,dst=/v").code == 0
        assert sh(engine, name, "stat -c %u /v && touch /v/new && stat -c %u /v/new").out == "0\n0\n"
        assert engine.docker("run", "--rm", "-v", "lm-u:/v", "busybox", "stat", "-c", "%u", "/v/new").out == "0\n"
    finally:
        engine.docker("rm", "-f", name)
        engine.docker("volume", "rm", "-f", "lm-u")


def test_of_a_stopped_container(engine, running, tmp_path):
    engine.docker("stop", "-t", "0", running, check=True)
    assert change(engine, running, "--mount-add", f"type=bind,src={tmp_path}/bd,dst=/b").code == 0
    engine.docker("start", running, check=True)
    assert sh(engine, running, "cat /b/f").out == "of the host\n"
    engine.docker("stop", "-t", "0", running, check=True)
    assert change(engine, running, "--mount-rm", "/b").code == 0
    engine.docker("start", running, check=True)
    assert sh(engine, running, "ls /b/f").code != 0


def test_refusals_change_nothing(engine, running, tmp_path):
    bind = f"type=bind,src={tmp_path}/bd,dst="
    assert change(engine, running, "--mount-add", bind + "/a/b").code == 0
    for words, said in [(["--mount-add", bind + "/a/b"], "Duplicate mount point: /a/b"),
                        (["--mount-add", bind + "/a"], "would hide the one on /a/b"),
                        (["--mount-rm", "/x"], "nothing is mounted on /x"),
                        (["--mount-add", f"type=bind,src={tmp_path}/missing,dst=/m"], "bind source path does not exist"),
                        (["--mount-add", bind + "/proc/1"], "made by the kernel"),
                        (["--mount-add", bind + "/sys/fs"], "made by the kernel"),
                        (["--mount-add", bind + "/"], "destination can't be '/'"),
                        (["--mount-add", bind + "/bin/busybox"], "a directory goes on a directory"),
                        (["--mount-rm", "/a/b", "--mount-add", bind + "/proc/1"], "made by the kernel"),
                        (["--mount-add", bind + "/ok", "--mount-add", "type=volume,src=lm-v,dst=/proc/1"], "made by the kernel")]:
        got = change(engine, running, *words)
        assert got.code == 1 and said in got.err, (words, got)
        assert [m["Destination"] for m in engine.inspect(running)["Mounts"]] == ["/a/b"], words
        assert sh(engine, running, "cat /a/b/f; ls /ok/f").out == "of the host\n", words
    assert engine.docker("volume", "inspect", "lm-v").code != 0
    assert engine.verify().code == 0


def test_targets_behind_links_stay_inside(engine, running, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    sh(engine, running, f"ln -s {outside} /abs; ln -s ../../../..{outside} /up; ln -s /proc/1 /trap")
    for target in ("/abs", "/up/new"):
        assert change(engine, running, "--mount-add", f"type=bind,src={tmp_path}/bd,dst={target}").code == 0
        assert sh(engine, running, f"cat {target}/f").out == "of the host\n"
    assert "made by the kernel" in change(engine, running, "--mount-add", f"type=bind,src={tmp_path}/bd,dst=/trap/fd").err
    assert change(engine, running, "--mount-rm", "/abs", "--mount-rm", "/up/new").code == 0
    assert os.listdir(outside) == []


def test_survives_a_crash_of_the_engine(private_engine, tmp_path):
    engine = private_engine
    (tmp_path / "f").write_text("there\n")
    engine.docker("run", "-d", "--name", "live", "busybox", "sleep", "300", check=True)
    change(engine, "live", "--mount-add", f"type=bind,src={tmp_path},dst=/b")
    engine.kill()
    engine.start()
    assert sh(engine, "live", "cat /b/f").out == "there\n"
    assert change(engine, "live", "--mount-rm", "/b").code == 0
    assert sh(engine, "live", "ls /b").out == ""
    assert engine.verify().code == 0
