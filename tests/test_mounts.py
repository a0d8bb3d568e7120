"""Mounts of all kinds: what they show and hide, what they refuse and in which words, and targets and sources that are laid as traps."""
import json
import os
import pathlib
import subprocess

import pytest

from engine import wait_until


@pytest.fixture
def place(tmp_path):
    (tmp_path / "bd").mkdir()
    return tmp_path


@pytest.fixture
def volume(engine, request):
    text = "v-" + "".join(c if c.isalnum() else "-" for c in request.node.name)[:40].strip("-")
    yield text
    engine.docker("volume", "rm", "-f", text)


def inside(engine, script, *options):
    got = engine.docker("run", "--rm", *options, "busybox", "sh", "-c", script)
    assert got.code == 0, got
    return got.out


def mount_of(engine, target, *options):
    """The last line of mountinfo for that target: (options, optional fields, type, super options)."""
    lines = [line.split() for line in inside(engine, "cat /proc/self/mountinfo", *options).splitlines()]
    found = [line for line in lines if line[4] == target][-1]
    dash = found.index("-")
    return found[5].split(","), found[6:dash], found[dash + 1], found[-1].split(",")


# ---- what is asked for wrongly ----

REFUSED = [
    (["-v", "{d}:rel"], "invalid volume specification: '{d}:rel': invalid mount config for type \"bind\": invalid mount path: 'rel' mount path must be absolute"),
    (["-v", "{d}:/"], "invalid volume specification: '{d}:/': invalid mount config for type \"bind\": invalid specification: destination can't be '/'"),
    (["-v", "vol:/"], "invalid volume specification: 'vol:/': invalid mount config for type \"volume\": invalid specification: destination can't be '/'"),
    (["-v", "/x:/y:foo"], "invalid mode: foo"),
    (["-v", "/x:/y:ro,rw"], "invalid mode: ro,rw"),
    (["-v", "v1:/b:shared"], "invalid volume specification: 'v1:/b:shared': invalid mount config for type \"volume\": field BindOptions must not be specified"),
    (["-v", "{d}:/b:nocopy"], "invalid volume specification: '{d}:/b:nocopy': invalid mount config for type \"bind\": field VolumeOptions must not be specified"),
    (["-v", "v1:/b", "--mount", "type=volume,src=v2,dst=/b"], "Duplicate mount point: /b"),
    (["-v", "v1:/b", "--tmpfs", "/b"], "Duplicate mount point: /b"),
    (["-v", "foo/bar:/x"], "create foo/bar: \"foo/bar\" includes invalid characters for a local volume name, only \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. "
                           "If you intended to pass a host directory, use absolute path"),
    (["--mount", "type=bind,src=/nope,dst=/b"], "invalid mount config for type \"bind\": bind source path does not exist: /nope"),
    (["--mount", "type=bind,dst=/b"], "invalid mount config for type \"bind\": field Source must not be empty"),
    (["--mount", "type=foo,dst=/b"], "invalid mount config for type \"foo\": mount type unknown"),
    (["--mount", "type=tmpfs,src=a,dst=/b"], "invalid mount config for type \"tmpfs\": field Source must not be specified"),
    (["--mount", "type=volume,src=a1,dst=/b,volume-subpath=../x"], "invalid mount config for type \"volume\": subpath must be a relative path within the volume"),
    (["--mount", "type=volume,dst=/b,volume-subpath=x"], "invalid mount config for type \"volume\": must not set Subpath when using anonymous volumes"),
    (["--tmpfs", "/a:foo=bar"], "invalid tmpfs option \"foo\""),
    (["--tmpfs", "rel"], "invalid mount path: 'rel' mount path must be absolute"),
    (["--volumes-from", "nobody-here"], "No such container: nobody-here"),
]


@pytest.mark.current_client
@pytest.mark.parametrize("options, message", REFUSED, ids=[" ".join(options) for options, _ in REFUSED])
def test_refusals_have_dockers_words(engine, place, options, message):
    options = [option.format(d=place / "bd") for option in options]
    got = engine.docker("run", "--rm", *options, "busybox", "true")
    assert got.code == 125
    assert got.err.split("\n\n")[0] == "docker: Error response from daemon: " + message.format(d=place / "bd"), got


def test_nothing_is_left_of_what_was_refused(engine):
    before = engine.docker("volume", "ls", "-q").out
    assert engine.docker("run", "--rm", "-v", "/anonymous", "-v", "left-over:/a", "-v", "x y:/b", "busybox", "true").code == 125
    assert engine.docker("volume", "ls", "-q").out == before


# ---- binds ----

def test_bind_below_binds_and_order(engine, place):
    """Parents are mounted before what lies in them, whatever the order on the command line."""
    (place / "bd/inner").mkdir()
    (place / "other").mkdir()
    (place / "other/file").write_text("deep")
    assert inside(engine, "cat /a/inner/file", "-v", f"{place}/other:/a/inner", "-v", f"{place}/bd:/a") == "deep"


@pytest.fixture
def shared(place):
    """A shared mount with a mount below."""
    top = place / "shared"
    top.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "top", top], check=True)
    subprocess.run(["mount", "--make-shared", top], check=True)
    (top / "below").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "below", top / "below"], check=True)
    yield top
    subprocess.run(["umount", "-R", "-l", top], check=False)


def test_propagation(engine, place, shared, name):
    assert mount_of(engine, "/b", "-v", f"{shared}:/b")[1] == []
    assert mount_of(engine, "/b", "-v", f"{shared}:/b:rslave")[1][0].startswith("master:")
    assert mount_of(engine, "/b", "-v", f"{shared}:/b:rshared")[1][0].startswith("shared:")
    # What the host mounts later is seen by a slave, and not by a private mount.
    engine.docker("run", "-d", "--name", name, "-v", f"{shared}:/s:slave", "-v", f"{shared}:/p", "busybox", "sleep", "300", check=True)
    (shared / "late").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "late", shared / "late"], check=True)
    (shared / "late/file").write_text("x")
    assert engine.docker("exec", name, "ls", "/s/late", "/p/late", check=True).out == "/p/late:\n\n/s/late:\nfile\n"


def test_propagation_needs_a_source_that_has_it(engine, place):
    subprocess.run(["mount", "-t", "tmpfs", "private", place / "bd"], check=True)
    subprocess.run(["mount", "--make-private", place / "bd"], check=True)
    try:
        for mode, kind in (("shared", "shared"), ("rslave", "shared or slave")):
            got = engine.docker("run", "--rm", "-v", f"{place}/bd:/b:{mode}", "busybox", "true")
            assert got.code == 125 and f"path {place}/bd is mounted on {place}/bd but it is not a {kind} mount" in got.err
    finally:
        subprocess.run(["umount", place / "bd"], check=True)


@pytest.mark.current_client
def test_read_only_reaches_down(engine, shared):
    write = "touch /b/below/x 2>/dev/null && echo written || echo refused"
    assert inside(engine, write, "-v", f"{shared}:/b:ro") == "refused\n"
    mount = f"type=bind,src={shared},dst=/b,readonly"
    assert inside(engine, write, "--mount", mount) == "refused\n"
    assert inside(engine, write, "--mount", mount + ",bind-recursive=writable") == "written\n"
    assert inside(engine, write, "--mount", mount + ",bind-recursive=readonly,bind-propagation=rprivate") == "refused\n"
    # Without what is mounted below, there is an empty directory of a read-only mount.
    assert inside(engine, "ls /b/below; " + write, "--mount", mount + ",bind-recursive=disabled") == "refused\n"


def test_contradictions_of_binds(engine):
    for options, words in ((dict(ReadOnlyForceRecursive=True), "readonly"),
                           (dict(ReadOnlyForceRecursive=True, NonRecursive=True), "NonRecursive"),
                           (dict(ReadOnlyForceRecursive=True, Propagation="rslave"), "private")):
        with pytest.raises(Exception) as refused:
            engine.sdk().api.create_container("busybox", ["true"], host_config={
                "Mounts": [{"Type": "bind", "Source": "/tmp", "Target": "/b", "ReadOnly": words != "readonly", "BindOptions": options}]})
        assert refused.value.response.status_code == 400 and words in str(refused.value)


def test_missing_source_becomes_a_directory(engine, place, name):
    assert inside(engine, "ls -d /b", "-v", f"{place}/new/deep:/b") == "/b\n"
    assert (place / "new/deep").is_dir()
    # Also one that went away between two starts.
    engine.docker("run", "--name", name, "-v", f"{place}/new/deep:/b", "busybox", "true", check=True)
    (place / "new/deep").rmdir()
    engine.docker("start", "-a", name, check=True)
    assert (place / "new/deep").is_dir()


def test_labels_are_accepted_where_there_is_no_selinux(engine, place):
    (place / "bd/f").write_text("z")
    assert inside(engine, "cat /z/f /Z/f", "-v", f"{place}/bd:/z:z", "-v", f"{place}/bd:/Z:ro,Z") == "zz"


# ---- volumes ----

@pytest.mark.current_client
def test_subpath(engine, volume):
    inside(engine, "mkdir -p /v/sub/deep; echo in > /v/sub/f; ln -s /etc /v/abs; ln -s ../../../../etc /v/up; ln -s sub /v/good", "-v", f"{volume}:/v")
    mount = f"type=volume,src={volume},dst=/b,volume-subpath="
    assert inside(engine, "cat /b/f; touch /b/new", "--mount", mount + "sub") == "in\n"
    assert inside(engine, "ls /b", "--mount", mount + "good") == "deep\nf\nnew\n"
    assert engine.docker("run", "--rm", "--mount", mount + "sub,readonly", "busybox", "touch", "/b/x").code == 1
    # Links that lead out lead nowhere: the host's /etc is not to be seen.
    for trap in ("abs", "up"):
        got = engine.docker("run", "--rm", "--mount", mount + trap, "busybox", "ls", "/b")
        assert got.code == 127 and f"_data/{trap}: no such file or directory" in got.err
    # A file of the volume on a file.
    assert inside(engine, "cat /etc/thing", "--mount", f"type=volume,src={volume},dst=/etc/thing,volume-subpath=sub/f") == "in\n"


@pytest.mark.current_client
def test_image_mount(engine, name):
    assert inside(engine, "cat /i/etc/passwd | head -n 1", "--mount", "type=image,src=busybox,dst=/i").startswith("root:")
    assert engine.docker("run", "--rm", "--mount", "type=image,src=busybox,dst=/i", "busybox", "touch", "/i/x").err == "touch: /i/x: Read-only file system\n"
    assert inside(engine, "ls /i", "--mount", "type=image,src=busybox,dst=/i,image-subpath=etc") == "group\npasswd\n"
    engine.docker("create", "--name", name, "--mount", "type=image,src=busybox,dst=/i", "busybox", check=True)
    shown = engine.inspect(name)["Mounts"][0]
    assert (shown["Type"], shown["Name"], shown["Destination"], shown["RW"]) == ("image", "busybox", "/i", False)
    got = engine.docker("create", "--mount", "type=image,src=not-there,dst=/i", "busybox")
    assert got.code == 1 and "Unable to find image" in got.err  # as for any missing image


def test_image_mount_keeps_the_layers(engine, name, tmp_path):
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY only /only\n")
    (tmp_path / "only").write_text("here")
    engine.docker("build", "-q", "-t", "mounted-image", tmp_path, check=True)
    engine.docker("create", "--name", name, "--mount", "type=image,src=mounted-image,dst=/i", "busybox", "cat", "/i/only", check=True)
    engine.docker("rmi", "mounted-image", check=True)
    assert engine.docker("start", "-a", name, check=True).out == "here"


def test_local_driver_options(engine, name, volume, place):
    """A tmpfs volume is one for all its users, and gone with the last."""
    engine.docker("volume", "create", "-o", "type=tmpfs", "-o", "device=tmpfs", "-o", "o=size=1m,uid=5", volume, check=True)
    engine.docker("run", "-d", "--name", name, "-v", f"{volume}:/v", "busybox", "sh", "-c", "echo mine > /v/f; sleep 300", check=True)
    wait_until(lambda: engine.docker("exec", name, "cat", "/v/f").out == "mine\n", what="the file")
    assert inside(engine, "cat /v/f; stat -c %u /v; df -k /v | tail -n 1 | awk '{ print $2 }'", "-v", f"{volume}:/v") == "mine\n5\n1024\n"
    assert engine.docker("volume", "rm", volume).code == 1
    engine.docker("rm", "-f", name, check=True)
    assert inside(engine, "ls /v", "-v", f"{volume}:/v") == ""
    assert engine.docker("volume", "inspect", "-f", "{{.Options.o}}", volume).out == "size=1m,uid=5\n"


def test_bind_volume_never_loses_what_is_not_its_own(engine, name, volume, place):
    (place / "bd/keep").write_text("kept")
    mount = f"type=volume,src={volume},dst=/b,volume-label=a=b,volume-opt=type=none,\"volume-opt=o=bind\",volume-opt=device={place}/bd"
    assert inside(engine, "cat /b/keep", "--mount", mount) == "kept"
    assert json.loads(engine.docker("volume", "inspect", volume).out)[0]["Labels"] == {"a": "b"}
    engine.docker("volume", "rm", volume, check=True)
    assert (place / "bd/keep").read_text() == "kept"


def test_bind_volume_without_its_device(engine, volume):
    mount = f"type=volume,src={volume},dst=/b,volume-opt=type=none,volume-opt=o=bind,volume-opt=device=/nope"
    got = engine.docker("run", "--rm", "--mount", mount, "busybox", "true")
    assert got.code == 127 and "failed to mount local volume: mount /nope:" in got.err and ", flags: 0x1000: no such file or directory" in got.err


@pytest.mark.own
def test_mounted_volumes_over_a_crash(private_engine, name):
    """A new engine takes the mounts of running containers over, and removes those of what ended meanwhile."""
    engine = private_engine
    for text in ("stays", "ends"):
        engine.docker("volume", "create", "-o", "type=tmpfs", "-o", "device=tmpfs", text, check=True)
        engine.docker("run", "-d", "--name", f"c-{text}", "-v", f"{text}:/v", "busybox", "sh", "-c", f"echo {text} > /v/f; sleep 300", check=True)
    pid = engine.inspect("c-ends")["State"]["Pid"]
    engine.kill()
    os.kill(pid, 9)
    engine.start()
    mounted = lambda text: f"{engine.data}/volumes/{text}/_data" in open("/proc/mounts").read()
    wait_until(lambda: not mounted("ends"), what="the unused volume being unmounted")
    assert mounted("stays")
    assert engine.docker("run", "--rm", "-v", "stays:/v", "busybox", "cat", "/v/f", check=True).out == "stays\n"
    assert engine.verify().code == 0
    engine.docker("rm", "-f", "c-stays", "c-ends", check=True)
    assert not mounted("stays")


@pytest.mark.own
def test_no_unknown_volume_behind_a_crash(private_engine):
    """Anonymous volumes are made behind the record of their container: whenever the engine dies, it knows whose they are."""
    engine = private_engine
    for delay_ms in (0, 2, 4, 6, 8, 12):
        process = subprocess.Popen([str(engine.build / "berth"), "create", "-v", "/a", "-v", "/b", "-v", "/c", "busybox"],
                                   env=engine.environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        try:
            process.wait(delay_ms / 1000)
        except subprocess.TimeoutExpired:
            pass
        engine.kill()
        process.communicate()
        engine.start()
    assert engine.verify().code == 0
    known = {mount["Name"] for c in engine.docker("ps", "-aq").out.split() for mount in engine.inspect(c)["Mounts"]}
    assert set(engine.docker("volume", "ls", "-q").out.split()) == known


# ---- volumes from others ----

def test_volumes_from(engine, name, volume, place):
    engine.docker("create", "--name", name, "-v", f"{volume}:/v", "-v", f"{place}/bd:/b:ro", "-v", "/anonymous", "busybox", check=True)
    write = "for d in /v /b /anonymous; do touch $d/x 2>/dev/null && echo $d; done; true"
    assert inside(engine, write, "--volumes-from", name) == "/v\n/anonymous\n"
    assert inside(engine, write, "--volumes-from", f"{name}:ro") == ""
    assert "invalid mode: foo" in engine.docker("run", "--rm", "--volumes-from", f"{name}:foo", "busybox", "true").err
    # The borrower's end does not take the lender's anonymous volume away.
    assert len(engine.inspect(name)["Mounts"]) == 3
    assert inside(engine, "ls /anonymous", "--volumes-from", name) == "x\n"


# ---- tmpfs ----

def test_tmpfs(engine):
    options, _, kind, super_options = mount_of(engine, "/t", "--tmpfs", "/t")
    assert kind == "tmpfs" and {"nosuid", "nodev", "noexec"} <= set(options)
    options, _, _, super_options = mount_of(engine, "/t", "--tmpfs", "/t:exec,size=5m,mode=755,uid=5")
    assert "noexec" not in options and {"size=5120k", "mode=755", "uid=5"} <= set(super_options)
    options, _, _, super_options = mount_of(engine, "/t", "--mount", "type=tmpfs,dst=/t,tmpfs-size=1m,tmpfs-mode=700")
    assert {"size=1024k", "mode=700"} <= set(super_options)
    assert inside(engine, "stat -c '%a %u' /root /new; ls /root", "--tmpfs", "/root", "--tmpfs", "/new") == "755 0\n1777 0\n"


# ---- traps ----

def build(engine, tmp_path, tag, lines):
    (tmp_path / "Dockerfile").write_text("FROM busybox\n" + "\n".join(lines) + "\n")
    engine.docker("build", "-q", "-t", tag, tmp_path, check=True)
    return tag


@pytest.fixture
def outside(tmp_path):
    """A directory of the host that no container may reach."""
    path = tmp_path / "outside"
    path.mkdir()
    yield path
    assert sorted(p.name for p in path.iterdir()) == []


def test_targets_behind_links_stay_inside(engine, tmp_path, outside, place):
    (place / "bd/f").write_text("inside")
    tag = build(engine, tmp_path, "trap-links", [f"RUN ln -s {outside} /abs && ln -s ../../../../../../..{outside} /up && ln -s /nowhere/deep /dangling"])
    for target in ("/abs", "/up", "/dangling", "/abs/new", "/up/new"):
        got = engine.docker("run", "--rm", "-v", f"{place}/bd:{target}", tag, "cat", f"{target}/f")
        assert got.out == "inside", (target, got)
    engine.docker("run", "--rm", "-v", f"{place}/bd:/../../../esc", tag, "cat", "/esc/f", check=True)


def test_targets_in_proc_are_refused(engine, place):
    for target in ("/proc", "/proc/1", "/proc/self/attr", "/proc/sys/kernel"):
        got = engine.docker("run", "--rm", "-v", f"{place}/bd:{target}", "busybox", "true")
        assert got.code == 125 and ("not of type proc" if target == "/proc" else "inside /proc") in got.err, (target, got)
    assert "not of type proc" in engine.docker("run", "--rm", "--tmpfs", "/proc", "busybox", "true").err
    assert inside(engine, "ls /proc/1/status", "-v", "/proc:/proc") == "/proc/1/status\n"


@pytest.mark.parametrize("path", ["/dev", "/proc", "/sys", "/etc", "/tmp"])
@pytest.mark.parametrize("kind, make", [("link", "ln -s {outside} {path}"), ("file", "echo > {path}"), ("fifo", "mkfifo {path}")])
def test_image_with_something_else_in_a_place_of_ours(engine, tmp_path, outside, path, kind, make):
    """Whatever an image has there: the container starts inside itself or not at all, and the host is not touched."""
    tag = f"trap-{kind}{path.replace('/', '-')}"
    (tmp_path / "root").mkdir()
    root = tmp_path / "root"
    for directory in ("bin", "etc", "tmp", "dev", "proc", "sys"):
        if directory != path[1:]:
            (root / directory).mkdir()
    (root / "bin/busybox").write_bytes(pathlib.Path("/bin/busybox").read_bytes())
    (root / "bin/busybox").chmod(0o755)
    target = root / path[1:]
    if kind == "link":
        target.symlink_to(outside)
    elif kind == "file":
        target.write_text("x")
    else:
        os.mkfifo(target)
    archive = subprocess.run(["tar", "-C", root, "-c", "."], capture_output=True, check=True).stdout
    engine.docker("import", "-", tag, stdin=archive, check=True)
    got = engine.docker("run", "--rm", tag, "/bin/busybox", "sh", "-c", "echo alive; /bin/busybox cat /proc/1/mountinfo")
    assert got.code in (0, 125, 126, 127), got
    if got.code == 0:
        rows = [line.split() for line in got.out.splitlines() if line != "alive"]
        assert {"/proc", "/sys", "/dev"} <= {row[4] for row in rows} or kind == "link", got
    engine.docker("rmi", "-f", tag)


def test_working_directory_is_not_a_way_out(engine, name):
    for number in range(3, 12):
        got = engine.docker("run", "--rm", "-w", f"/proc/self/fd/{number}", "busybox", "sh", "-c", "pwd; ls ..")
        assert got.code != 0, got
    engine.docker("run", "-d", "--name", name, "busybox", "sleep", "300", check=True)
    for number in range(3, 12):
        assert engine.docker("exec", "-w", f"/proc/self/fd/{number}", name, "ls", "..").code != 0


def test_interpreter_cannot_be_the_supervisor(engine, tmp_path, name):
    """#!/proc/self/exe would run what starts containers, were it not sealed: it can be run there, but not written to."""
    (tmp_path / "trap").write_text("#!/proc/self/exe\n")
    (tmp_path / "trap").chmod(0o755)
    (tmp_path / "Dockerfile").write_text("FROM busybox\nCOPY trap /trap\n")
    engine.docker("build", "-q", "-t", "trap-exe", tmp_path, check=True)
    got = engine.docker("run", "--rm", "trap-exe", "/trap")
    assert got.code != 0
    engine.docker("run", "-d", "--name", name, "trap-exe", "sleep", "300", check=True)
    assert engine.docker("exec", name, "/trap").code != 0
    for program in ("berthd", "berth-shim"):
        assert os.access(engine.build / "src/programs" / program, os.X_OK)


def test_no_inheritable_capabilities(engine, name):
    show = "grep -E '^Cap(Inh|Amb)' /proc/self/status | awk '{ print $2 }' | sort -u"
    assert inside(engine, show) == "0" * 16 + "\n"
    assert inside(engine, show, "--privileged") == "0" * 16 + "\n"
    engine.docker("run", "-d", "--name", name, "--cap-add", "SYS_ADMIN", "busybox", "sleep", "300", check=True)
    for options in ([], ["--privileged"], ["-u", "1000"]):
        assert engine.docker("exec", *options, name, "sh", "-c", show, check=True).out == "0" * 16 + "\n"
