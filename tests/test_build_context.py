"""Contexts that the engine keeps between builds: what is sent, what is built of it, and what hostile clients get."""
import concurrent.futures
import hashlib
import json
import os
import pathlib
import random
import re
import shutil
import socket
import tarfile
import time

import pytest

from engine import LIMIT_S, run, wait_until
from raw_api import Api

pytestmark = pytest.mark.own

COUNT = int(os.environ.get("BERTH_CONTEXT_FILES", "300"))  # more than a context that is simply sent


def tree_of(directory):
    """path → kind, mode and content of all below a directory."""
    seen = {}
    for place, directories, names in os.walk(directory):
        for name in directories + names:
            path = os.path.join(place, name)
            info = os.lstat(path)
            content = os.readlink(path) if os.path.islink(path) else open(path, "rb").read() if os.path.isfile(path) else None
            seen[os.path.relpath(path, directory)] = (info.st_mode, None if content is None else content, None if content is None else int(info.st_mtime))
    return seen


def fill(directory, count=COUNT):
    for i in range(count):
        place = directory / f"d{i % 7}" / f"e{i % 3}"
        place.mkdir(parents=True, exist_ok=True)
        (place / f"f{i}").write_bytes(random.Random(i).randbytes(random.Random(i).choice([0, 10, 5000, 20000])))
    (directory / "link").symlink_to("d1/e1")


@pytest.fixture
def project(tmp_path):
    (tmp_path / "context").mkdir()
    fill(tmp_path / "context")
    (tmp_path / "context/Dockerfile").write_text("FROM scratch\nCOPY . /\n")
    return tmp_path / "context"


def built_tree(engine, project, out, *options):
    shutil.rmtree(out, ignore_errors=True)
    engine.berth("build", "-q", "-o", str(out), *options, str(project), check=True)
    return tree_of(out)


def kept(engine):
    """Names of files in all kept trees."""
    return {path.name for path in (engine.data / "build-contexts").rglob("*") if path.is_file() or path.is_symlink()}


def given_back(engine):
    """The engine sees a moment later that the client has gone."""
    wait_until(lambda: not any(entry["InUse"] for entry in Api(engine.socket).do("GET", "/system/df")["BuildCache"]), what="the context given back")


def test_every_kind_of_change_arrives(engine, project, tmp_path):
    def changes():
        yield "nothing", lambda: None
        yield "content", lambda: (project / "d1/e1/f1").write_text("changed")
        yield "the same size and time", lambda: same_size_and_time(next(path for path in (project / "d2/e2").iterdir() if path.stat().st_size))
        yield "mode", lambda: (project / "d3/e0/f3").chmod(0o755)
        yield "removal", lambda: (project / "d4/e1/f4").unlink()
        yield "a file becomes a directory", lambda: ((project / "d5/e2/f5").unlink(), (project / "d5/e2/f5").mkdir(), (project / "d5/e2/f5/x").write_text("x"))
        yield "and a file again", lambda: (shutil.rmtree(project / "d5/e2/f5"), (project / "d5/e2/f5").write_text("file"))
        yield "a file becomes a link", lambda: ((project / "d6/e0/f6").unlink(), (project / "d6/e0/f6").symlink_to("/etc/passwd"))
        yield "a link elsewhere", lambda: ((project / "link").unlink(), (project / "link").symlink_to("d2"))
        yield "a link becomes a directory", lambda: ((project / "link").unlink(), (project / "link").mkdir(), (project / "link/y").write_text("y"))
        yield "a directory becomes a link", lambda: (shutil.rmtree(project / "link"), (project / "link").symlink_to("d1/e1"))
        yield "a directory moves", lambda: (project / "d0").rename(project / "moved")
        yield "a directory's mode", lambda: (project / "moved").chmod(0o700)
        yield "odd names", lambda: [(project / name).write_text(name) for name in ("with blank", "new\nline", "é", "-o", "a,b", "'\"")]
        yield "all is gone", lambda: [shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink() for entry in project.iterdir()
                                      if entry.name.startswith("d")]

    def same_size_and_time(path):
        info = path.stat()
        assert info.st_size > 0
        path.write_bytes(bytes(byte ^ 1 for byte in path.read_bytes()))
        os.utime(path, ns=(info.st_atime_ns, info.st_mtime_ns))

    for what, change in changes():
        change()
        built, expected = built_tree(engine, project, tmp_path / "out", "--no-cache"), tree_of(project)  # a cached step may have older times
        assert built == expected, (what, {path: (built.get(path), expected.get(path)) for path in built.keys() | expected.keys() if built.get(path) != expected.get(path)})


def test_a_build_is_the_same_as_from_an_archive(engine, project):
    """The digest of what was copied does not tell how it came here."""
    (project / "Dockerfile").write_text("FROM scratch\nCOPY --chmod=0640 d1 /a\nCOPY d2/e2 d3 /b/\nCOPY . /c\n")
    histories = []
    for tag, program in (("kept", engine.berth), ("archived", engine.docker)):
        program("build", "-q", "--no-cache", "-t", tag, str(project), check=True)
        rows = Api(engine.socket).do("GET", f"/images/{tag}/history")
        histories.append([(row["CreatedBy"], row["Size"]) for row in rows])
    layers = [engine.inspect(tag)["RootFS"]["Layers"] for tag in ("kept", "archived")]
    assert histories[0] == histories[1] and layers[0] == layers[1]


@pytest.mark.parametrize("place", ["first", "middle", "last"])
def test_digests_go_on_from_what_has_not_changed(engine, tmp_path, place):
    """A layer's digest is that of its archive, however little of it was hashed: clients and registries work it out by themselves."""
    project = tmp_path / "large"
    project.mkdir()
    for i in range(10):
        (project / f"part{i}").write_bytes(bytes([i]) * 6_000_000)
        os.utime(project / f"part{i}", (10**9 + i, 10**9 + i))
    changed = project / {"first": "about", "middle": "part5", "last": "small"}[place]
    (project / "Dockerfile").write_text("FROM scratch\nCOPY . /all/\n")
    layers = []
    for turn in range(3):
        changed.write_bytes(f"{turn}".encode() * 5000)
        engine.berth("build", "-q", "-t", "kept", str(project), check=True)
        layers += engine.inspect("kept")["RootFS"]["Layers"]
        engine.berth("save", "-o", str(tmp_path / "saved"), "kept", check=True)
        archive = tarfile.open(tmp_path / "saved")
        manifest = json.load(archive.extractfile("manifest.json"))[0]
        digests = [hashlib.sha256(archive.extractfile(name).read()).hexdigest() for name in manifest["Layers"]]
        assert [f"sha256:{digest}" for digest in digests] == layers[-1:]
    assert len(set(layers)) == 3


def settled(project):
    """What changed a moment before a build counts as changed the next time too, since a further change might get the same time."""
    newest = max(path.lstat().st_ctime_ns for path in project.rglob("*"))
    wait_until(lambda: time.time_ns() - newest > 200_000_000, what="files that are not quite new")


def test_only_what_is_needed_is_sent(engine, project):
    engine.berth("builder", "prune", "-a", "-f", check=True)
    settled(project)
    (project / ".dockerignore").write_text("d1\n!d1/e1/f1\nsecret*\n")
    (project / "secret.key").write_text("ignored")
    (project / "Dockerfile").write_text("FROM scratch\nCOPY d2 /x\nCOPY d1/e1/f* /y/\n")
    engine.berth("build", "-q", str(project), check=True)
    names = kept(engine)
    assert {f"f{i}" for i in range(COUNT) if i % 7 == 2} <= names and "f1" in names
    assert not names & ({f"f{i}" for i in range(COUNT) if i % 7 not in (1, 2)} | {"f8", "secret.key"})
    (project / "Dockerfile").write_text("FROM scratch\nCOPY d3 /x\n")
    engine.berth("build", "-q", str(project), check=True)
    assert {f"f{i}" for i in range(COUNT) if i % 7 in (2, 3)} <= kept(engine), "what is here and has not changed stays"
    refused = engine.berth("build", "-q", str(project), "--build-arg", "x=y", "-f", "-", stdin="FROM scratch\nCOPY secret.key /x\n")
    assert refused.code != 0 and "secret.key" in refused.err


def test_variables_wildcards_and_links_as_sources(engine, project, tmp_path):
    (project / "Dockerfile").write_text("FROM scratch\nARG WHERE=d1\nARG NAME\nCOPY $WHERE/e1 /a\nCOPY ${NAME}/e2 /b\nCOPY d[34]/e*/f3* /c/\nCOPY link /d\n")
    built = built_tree(engine, project, tmp_path / "out", "--build-arg", "NAME=d2")
    names = lambda place: {path.split("/")[-1] for path in built if path.startswith(place + "/")}
    assert names("a") == names("d") == {path.name for path in (project / "d1/e1").iterdir()}
    assert names("b") == {path.name for path in (project / "d2/e2").iterdir()}
    assert names("c") == {path.name for path in project.glob("d[34]/e*/f3*")}


def test_triggers_of_a_base_get_their_files(engine, project, tmp_path):
    engine.berth("build", "-q", "-t", "triggering", "-", stdin="FROM scratch\nONBUILD COPY d5 /five\n", check=True)
    (project / "Dockerfile").write_text("FROM triggering\nCOPY d1 /one\n")
    built = built_tree(engine, project, tmp_path / "out")
    assert "five/e2/f5" in built and "one/e1/f1" in built


def test_layers_do_not_change_with_the_context(engine, project):
    """Layers share files with the kept tree; later changes of either are seen by neither."""
    big = project / "d1/big"
    big.write_bytes(b"one" * 5000)
    (project / "Dockerfile").write_text("FROM busybox\nCOPY . /all/\n")
    engine.berth("build", "-q", "-t", "shared:1", str(project), check=True)
    assert int(engine.berth("run", "--rm", "shared:1", "stat", "-c", "%h", "/all/d1/big", check=True).out) > 1, "the file is shared"
    engine.berth("run", "--rm", "shared:1", "sh", "-c", "echo more >> /all/d1/big; chmod 600 /all/d1/big", check=True)
    big.write_bytes(b"two" * 5000)
    engine.berth("build", "-q", "-t", "shared:2", str(project), check=True)
    shown = [engine.berth("run", "--rm", f"shared:{i}", "head", "-c3", "/all/d1/big", check=True).out for i in (1, 2)]
    assert shown == ["one", "two"]
    assert engine.berth("run", "--rm", "shared:1", "stat", "-c", "%a", "/all/d1/big", check=True).out == "644\n"
    assert engine.verify().code == 0


def test_into_directories_that_are_there(engine, project):
    """New files in old directories, over old files, through links of the image, and where a file is in the way."""
    (project / "d1/e1/f1").write_bytes(b"new" * 5000)
    (project / "Dockerfile").write_text(
        "FROM busybox\nRUN mkdir -p /old/e1 /old/own /target && chmod 711 /old/e1 && echo old > /old/e1/f1 && echo own > /old/own/file && ln -s target /through\n"
        "COPY d1 /old/\nCOPY d1/e1 /through/\nCOPY d2/e2 /old/own\n"
        "RUN test \"$(head -c3 /old/e1/f1)\" = new -a \"$(cat /old/own/file)\" = own -a -L /through -a -s /target/f1 -a -e /old/own/f2\n")
    done = engine.berth("build", "--progress=plain", "-t", "merged", str(project))
    assert done.code == 0, done
    (project / "Dockerfile").write_text("FROM busybox\nRUN mkdir -p /old && echo x > /old/e1\nCOPY d1 /old/\n")
    assert "cannot copy to non-directory" in engine.berth("build", str(project)).err


def test_builds_at_once_of_one_directory(engine, project):
    (project / "Dockerfile").write_text("FROM busybox\nARG N\nCOPY . /all/\nRUN find /all -type f | wc -l && echo $N\n")
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        done = list(pool.map(lambda i: engine.berth("build", "--progress=plain", "--build-arg", f"N={i}", str(project)), range(6)))
    count = sum(1 for path in project.rglob("*") if path.is_file() and not path.is_symlink())
    for one in done:
        assert one.code == 0 and f" {count}\n" in one.out, one


def test_room_is_counted_and_given_back(engine, project):
    engine.berth("builder", "prune", "-a", "-f", check=True)
    engine.berth("build", "-q", str(project), check=True)
    given_back(engine)
    entries = [entry for entry in Api(engine.socket).do("GET", "/system/df")["BuildCache"] if entry["Type"] == "source.local"]
    size = sum(path.stat().st_size for path in project.rglob("*") if path.is_file() and not path.is_symlink())
    assert [entry["Size"] for entry in entries] == [size] and not entries[0]["InUse"]
    engine.berth("builder", "prune", "-f", "--filter", "type=source.local", check=True)
    assert not [entry for entry in Api(engine.socket).do("GET", "/system/df")["BuildCache"] if entry["Type"] == "source.local"]
    assert os.listdir(engine.data / "build-contexts") == []


# ---- clients that do it by hand ----

class Talk:
    def __init__(self, engine, key="by hand"):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(LIMIT_S)
        self.socket.connect(str(engine.socket))
        self.socket.sendall(f"POST /build/contexts?key={key.replace(' ', '%20')} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 0\r\n\r\n".encode())
        self.stream = self.socket.makefile("rb")
        assert b"101" in self.stream.readline()
        while self.stream.readline() != b"\r\n":
            pass

    def offer(self, manifest, dockerfile=b"FROM scratch\nCOPY . /\n"):
        self.socket.sendall(b"%d %d\n" % (len(manifest), len(dockerfile)) + manifest + dockerfile)
        return self.stream.readline().decode()

    def close(self):
        self.stream.close()
        self.socket.close()


WRONG = {
    "absolute": b"f 644 1 1 i /etc/x\0", "upwards": b"f 644 1 1 i ../x\0", "in the middle": b"d 755 0 1 i a\0f 644 1 1 i a/../../x\0",
    "below a link": b"l 777 0 1 i a\0/etc\0f 644 1 1 i a/x\0", "without its directory": b"f 644 1 1 i a/x\0", "twice": b"f 644 1 1 i a\0f 644 1 1 i a\0",
    "a device": b"c 644 0 1 i a\0", "negative": b"f 644 -1 1 i a\0", "cut": b"f 644 1 1 i a", "nothing": b"\0",
}


def test_wrong_manifests_are_refused(engine):
    for what, manifest in WRONG.items():
        talk = Talk(engine)
        answer = talk.offer(manifest)
        assert answer.startswith("error context manifest: "), (what, answer)
        talk.close()
    for line in (b"x y\n", b"1\n", b"-1 0\n", b"99999999999999 0\n", b"1" * 100):
        talk = Talk(engine)
        talk.socket.sendall(line)
        assert talk.stream.readline().startswith(b"error "), line
        talk.close()
    assert Api(engine.socket).call("POST", "/build/contexts?key=x").status == 400


def test_links_lead_nowhere_but_into_the_tree(engine, tmp_path):
    """A link that was there becomes a directory: what is put into it must not land where the link led."""
    (tmp_path / "victim").mkdir()
    target = str(tmp_path / "victim").encode()
    for manifest in (b"l 777 0 1 i a\0" + target + b"\0", b"d 755 0 1 i a\0f 644 3 1 i a/x\0"):
        talk = Talk(engine, "links")
        missing = int(talk.offer(manifest).split()[1])
        for _ in range(missing):
            talk.stream.readline()
            talk.socket.sendall(b"bad")
        assert talk.stream.readline().startswith(b"context ")
        talk.close()
        given_back(engine)
    assert os.listdir(tmp_path / "victim") == []


def test_a_client_that_leaves_half_way(engine, project, tmp_path):
    talk = Talk(engine, "leaving")
    assert talk.offer(b"f 644 5 1 i a\0f 644 5 1 i b\0") == "missing 2\n"
    talk.socket.sendall(b"whole" + b"ha")
    talk.close()
    given_back(engine)
    talk = Talk(engine, "leaving")
    assert talk.offer(b"f 644 5 1 i a\0f 644 5 1 i b\0") == "missing 1\n" and talk.stream.readline() == b"1\n"
    talk.close()


def test_ids_of_contexts(engine):
    answer = Api(engine.socket).call("POST", "/build?context=" + "0" * 64, text="FROM scratch\n", content_type="text/plain")
    assert answer.status == 404 and "build context" in json.loads(answer.data)["message"]


@pytest.mark.skipif("BERTH_CONTEXT_FILES" not in os.environ, reason="the long form: BERTH_CONTEXT_FILES=1000000")
def test_very_many_files(engine, tmp_path):
    root = tmp_path / "many"
    for i in range(COUNT):
        if i % 1000 == 0:
            place = root / f"d{i // 1000}"
            place.mkdir(parents=True)
        os.close(os.open(place / f"f{i}", os.O_CREAT | os.O_WRONLY, 0o644))
    (root / "Dockerfile").write_text("FROM scratch\nCOPY . /\n")
    for _ in range(2):
        done = run([engine.build / "berth", "build", "-q", str(root)], env=engine.environment, limit_s=1800)
        assert done.code == 0, done
    (root / "d0/f0").write_text("x")
    assert run([engine.build / "berth", "build", "-q", str(root)], env=engine.environment, limit_s=1800).code == 0


def test_memory_is_given_back(engine, tmp_path):
    """What a large context takes while it is built is not kept by the engine that has nothing to do."""
    process = pathlib.Path(f"/proc/{engine.process.pid}")
    if re.search("lib[at]san", (process / "maps").read_text()):
        pytest.skip("sanitizers have an allocator of their own")

    def resident_kib():  # without files: which of their pages are there is the kernel's business
        return int(re.search(r"RssAnon:\s*(\d+)", (process / "status").read_text())[1])
    root, before = tmp_path / "many", resident_kib()
    for number in range(20):
        (root / f"d{number}").mkdir(parents=True)
        for file in range(1000):
            (root / f"d{number}/f{file}").touch()
    (root / "Dockerfile").write_text("FROM scratch\nCOPY . /\n")
    for text in "abc":
        (root / "d0/f0").write_text(text)
        engine.berth("build", "-q", root, check=True)
    try:
        wait_until(lambda: resident_kib() - before < 16 << 10, what="memory being given back")
    except AssertionError as failure:
        threads = [(task / "comm").read_text().strip() for task in process.glob("task/*")]
        raise AssertionError(f"{before} KiB before, now {resident_kib()}; threads {threads}\n{(process / 'status').read_text()}") from failure
