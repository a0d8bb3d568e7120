"""The Dockerfile language and the builder: small files by the dozen through the plain API, then what clients do with builds."""
import concurrent.futures
import io
import json
import os
import socket
import subprocess
import tarfile
import threading
import time
import urllib.parse

import pytest

from build_cases import FILES, LINKS, RIGHT, WRONG
from engine import LIMIT_S, wait_until
from raw_api import Api


def add(tar, name, data, mode=0o644):
    entry = tarfile.TarInfo(name)
    data = data.encode() if isinstance(data, str) else data
    entry.size, entry.mode, entry.mtime = len(data), mode, 1_600_000_000
    tar.addfile(entry, io.BytesIO(data))


def small_archive():
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        add(tar, "in/side", "packed\n")
    return out.getvalue()


def context(**dockerfiles):
    """The files of all cases, and Dockerfiles by name."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, text in FILES.items():
            add(tar, name, text)
        for name, target in LINKS.items():
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = tarfile.SYMTYPE, target
            tar.addfile(entry)
        add(tar, "t.tar.gz", small_archive())
        for name, text in dockerfiles.items():
            add(tar, name, text)
    return out.getvalue()


class Built:
    """What a build answered: its status, what it said, its image's id or its error."""

    def __init__(self, answer):
        self.status = answer.status
        self.lines = [json.loads(line) for line in answer.data.splitlines() if line.strip()]
        self.out = "".join(line.get("stream", "") for line in self.lines)
        self.error = next((line["error"] for line in self.lines if "error" in line), None)
        if self.status >= 400:
            self.error = self.lines[0]["message"]
        ids = [line["aux"]["ID"] for line in self.lines if "ID" in line.get("aux", {})]
        self.id = ids[-1] if ids and not self.error else None

    def __repr__(self):
        return f"Built({self.status}, error={self.error!r}, out={self.out[-1500:]!r})"


def build(api, tar, dockerfile="Dockerfile", **options):
    query = {"dockerfile": dockerfile, "rm": "1"}
    for key, value in options.items():
        query[key] = json.dumps(value) if isinstance(value, (dict, list)) else value
    return Built(api.call("POST", "/build?" + urllib.parse.urlencode(query), text=tar, content_type="application/x-tar"))


@pytest.fixture(scope="module")
def api(engine):
    yield Api(engine.socket)
    engine.docker("rmi", "-f", "cli-a:1", "cli-b", "language")
    engine.docker("image", "prune", "-f", check=True)  # hundreds, many of one second: clients list those in any order


def value_at(image, path):
    value = {**image["Config"], "Author": image.get("Author")}
    for part in path.split("."):
        value = (value or {}).get(part)
    return value


def compare(name, image, expected):
    for path, wanted in expected.items():
        got = value_at(image, path)
        if path == "Env":
            for entry in wanted if isinstance(wanted, list) else wanted.split(" "):
                assert (entry[1:] not in got) if entry.startswith("!") else (entry in got), f"{name}: {entry} in {got}"
        else:
            assert got == wanted, f"{name}: {path} is {got}, not {wanted}"


def test_right_dockerfiles(api):
    names = {name: f"D.{name}" for name in RIGHT}
    tar = context(**{names[name]: case[0] for name, case in RIGHT.items()})

    def one(name):
        case = RIGHT[name]
        built = build(api, tar, names[name], **(case[2] if len(case) > 2 else {}))
        if not built.id:
            return f"{name}: {built}"
        try:
            compare(name, api.do("GET", f"/images/{built.id}/json"), case[1])
        except AssertionError as failure:
            return str(failure)
        return None

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        failed = [text for text in pool.map(one, RIGHT) if text]
    assert not failed, "\n".join(failed)
    assert len(RIGHT) >= 100


def test_wrong_dockerfiles(api):
    tar = context(**{f"W.{i}": case[0] for i, case in enumerate(WRONG)})

    def one(i):
        text, words, line = WRONG[i]
        built = build(api, tar, f"W.{i}")
        said = (built.error or "") + built.out
        if not built.error or words not in built.error:
            return f"{text!r}: no {words!r} in {built}"
        if line and (f"W.{i}:{line}\n" not in said or f"{line:4} | >>> " not in said):
            return f"{text!r}: does not point at line {line}: {built}"
        return None

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        failed = [text for text in pool.map(one, range(len(WRONG))) if text]
    assert not failed, "\n".join(failed)
    assert len(WRONG) >= 60


# ---- hostile contexts


def hostile(entries, dockerfile="FROM busybox\nCOPY . /c/\n"):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        add(tar, "Dockerfile", dockerfile)
        for kind, name, target in entries:
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = kind, target
            if kind == tarfile.REGTYPE:
                entry.size = len(target)
                entry.linkname = ""
                tar.addfile(entry, io.BytesIO(target.encode()))
            else:
                tar.addfile(entry)
    return out.getvalue()


def test_hostile_contexts_stay_inside(api, tmp_path):
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "file").write_text("untouched")
    up = "../" * 12 + str(victim).lstrip("/")
    cases = [
        [(tarfile.REGTYPE, f"{up}/file", "bad")],
        [(tarfile.REGTYPE, f"{victim}/file", "bad")],
        [(tarfile.SYMTYPE, "l", str(victim)), (tarfile.REGTYPE, "l/file", "bad")],
        [(tarfile.SYMTYPE, "l", up), (tarfile.REGTYPE, "l/new", "bad")],
        [(tarfile.LNKTYPE, "h", f"{victim}/file"), (tarfile.REGTYPE, "h", "bad")],
        [(tarfile.SYMTYPE, ".dockerignore", f"{victim}/file")],
        [(tarfile.SYMTYPE, ".berth-contexts", str(victim))],
        [(tarfile.FIFOTYPE, "pipe", "")],
        [(tarfile.CHRTYPE, "device", "")],
    ]
    for entries in cases:
        build(api, hostile(entries), contexts={"x": "dir:0"} if entries[0][1] == ".berth-contexts" else {})
        assert (victim / "file").read_text() == "untouched" and os.listdir(victim) == ["file"], entries
    # What links point to outside is not what they mean inside.
    link = hostile([(tarfile.SYMTYPE, "l", f"{victim}/file")], "FROM busybox\nCOPY l /l\n")
    assert "file does not exist" in build(api, link).error
    bound = hostile([(tarfile.SYMTYPE, "l", str(victim))], "FROM busybox\nRUN --mount=source=l,target=/m,rw echo bad > /m/file\n")
    assert build(api, bound).error
    # A Dockerfile that is a link out, a directory, or not there.
    for entries in ([(tarfile.SYMTYPE, "D", f"{victim}/file")], [(tarfile.DIRTYPE, "D", "")], []):
        assert build(api, hostile(entries), "D").error
    for body in (b"", b"not a tar", b"\x1f\x8bbroken"):
        assert build(api, body).error
    assert (victim / "file").read_text() == "untouched"


def test_targets_stay_in_the_image(api, tmp_path):
    """Links in the image lead nowhere outside either."""
    victim = tmp_path / "victim"
    victim.mkdir()
    text = (f"FROM busybox\nRUN ln -s {victim} /out && ln -s ../../../../../../../..{victim} /up\nCOPY a.txt /out/\nADD t.tar.gz /up/\nWORKDIR /out/w\n"
            f"RUN --mount=type=tmpfs,target=/up/t test -s {victim}/a.txt -a -s {victim}/in/side\n")
    built = build(api, context(Dockerfile=text))
    assert built.id, built
    assert os.listdir(victim) == []


# ---- remote sources


@pytest.fixture
def web(tmp_path):
    """A small web server that counts; answers 304 to who knows its tag."""
    import http.server

    class Handler(http.server.BaseHTTPRequestHandler):
        sent = []

        def do_GET(self):
            path = tmp_path / "web" / self.path.lstrip("/").split("?")[0]
            if self.path == "/moved":
                self.send_response(302)
                self.send_header("Location", "/file.txt")
                self.end_headers()
                return
            if not path.is_file():
                self.send_error(404)
                return
            data = path.read_bytes()
            tag = f'"{hash(data)}"'
            if self.headers.get("If-None-Match") == tag:
                self.send_response(304)
                self.end_headers()
                return
            self.sent.append(self.path)
            self.send_response(200)
            self.send_header("ETag", tag)
            self.send_header("Last-Modified", "Sun, 13 Sep 2020 12:26:40 GMT")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *arguments):
            pass

    (tmp_path / "web").mkdir()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Handler.sent = []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    server.files, server.sent, server.url = tmp_path / "web", Handler.sent, f"http://127.0.0.1:{server.server_port}"
    yield server
    server.shutdown()
    server.server_close()


def test_add_from_the_web(api, web):
    import hashlib
    (web.files / "file.txt").write_text("from the web\n")
    (web.files / "t.tgz").write_bytes(small_archive())
    digest = "sha256:" + hashlib.sha256(b"from the web\n").hexdigest()

    def check(lines, **options):
        return build(api, context(Dockerfile="FROM busybox\n" + lines.replace("URL", web.url)), **options)
    text = ("ADD URL/file.txt /d/\nADD --chown=1:2 --chmod=644 URL/moved /named\nADD URL/t.tgz /packed/\nADD --unpack URL/t.tgz /unpacked/\n"
            f"ADD --checksum={digest} URL/file.txt /sure\n"
            "RUN test \"$(stat -c '%a %u %Y' /d/file.txt)\" = '600 0 1600000000' && test \"$(stat -c '%a %u:%g' /named)\" = '644 1:2'"
            " && cmp /d/file.txt /named && test -f /packed/t.tgz -a -s /unpacked/in/side -a -s /sure\n")
    first = check(text)
    assert first.id, first
    sent = len(web.sent)
    again = check(text)
    assert again.id == first.id and again.out.count("Using cache") == 6 and len(web.sent) == sent, again
    (web.files / "file.txt").write_text("changed\n")
    changed = check("ADD URL/file.txt /d/\nRUN grep -q changed /d/file.txt\n")
    assert changed.id, changed
    assert "digest mismatch" in check(f"ADD --checksum={digest} URL/file.txt /sure\n", nocache="1").error
    assert "invalid response status 404" in check("ADD URL/nope /x\n").error
    assert "cannot determine filename" in check("ADD URL/ /x/\n").error or "404" in check("ADD URL/ /x/\n").error

    # Contexts: an archive, and a lone Dockerfile.
    (web.files / "context.tar").write_bytes(context(Dockerfile="FROM busybox\nCOPY a.txt /\n"))
    (web.files / "Dockerfile.web").write_text("FROM busybox\nENV FROM=web\n")
    assert build(api, None, "", remote=f"{web.url}/context.tar").id
    alone = build(api, None, "", remote=f"{web.url}/Dockerfile.web")
    assert "FROM=web" in api.do("GET", f"/images/{alone.id}/json")["Config"]["Env"]
    assert "404" in build(api, None, "", remote=f"{web.url}/nope").error


def git(directory, *arguments):
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_AUTHOR_DATE": "1600000000 +0000", "GIT_COMMITTER_DATE": "1600000000 +0000"}
    done = subprocess.run(["git", "-c", "user.name=n", "-c", "user.email=e@x", "-c", "init.defaultBranch=main", *arguments], cwd=directory,
                          env=environment, capture_output=True, text=True, timeout=LIMIT_S)
    assert done.returncode == 0, done
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path, free_port):
    """A repository behind git's own server; main, a branch and a tag."""
    work = tmp_path / "repos" / "r.git"
    work.mkdir(parents=True)
    git(work, "init", "-q")
    (work / "sub").mkdir()
    (work / "sub/Dockerfile").write_text("FROM busybox\nCOPY f /f\nRUN grep -q main /f\n")
    (work / "sub/f").write_text("main\n")
    (work / "tool").write_text("#!/bin/sh\n")
    (work / "tool").chmod(0o700)
    git(work, "add", ".")
    git(work, "commit", "-qm", "one")
    git(work, "tag", "-a", "v1", "-m", "v1")
    git(work, "checkout", "-qb", "odd/branch")
    (work / "sub/f").write_text("branch\n")
    git(work, "commit", "-qam", "two")
    git(work, "checkout", "-q", "main")
    git(work, "checkout", "-qb", "links")
    for name, target in (("in", "sub"), ("out", "/etc"), ("up", "../../.."), ("loop", "loop")):
        (work / name).symlink_to(target)
    git(work, "add", ".")
    git(work, "commit", "-qm", "three")
    git(work, "checkout", "-q", "main")
    daemon = subprocess.Popen([git(work, "--exec-path") + "/git-daemon", "--export-all", f"--base-path={tmp_path}/repos", "--listen=127.0.0.1",
                               f"--port={free_port}", "--reuseaddr"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def answers():
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", free_port)) == 0
    wait_until(answers, what="git's server")
    daemon.url, daemon.commit = f"git://127.0.0.1:{free_port}/r.git", git(work, "rev-parse", "HEAD")
    yield daemon
    daemon.kill()
    daemon.wait()


def test_git(api, engine, repository):
    url, commit = repository.url, repository.commit
    text = (f"FROM busybox\nADD {url} /a\nADD --keep-git-dir {url}#v1 /b\nADD {url}#odd/branch:sub /c\nADD --checksum={commit} {url}#{commit} /d/\n"
            f"ADD {url}?ref=odd/branch&subdir=/../sub /e\n"
            "RUN grep -q main /a/sub/f && test ! -e /a/.git -a -d /b/.git && grep -q branch /c/f && grep -q main /d/sub/f && grep -q branch /e/f\n"
            "RUN test \"$(stat -c '%a %u %Y' /a/tool)\" = '755 0 1600000000' && test \"$(stat -c %a /a/sub/f)\" = 644\n")
    first = build(api, context(Dockerfile=text))
    assert first.id, first
    again = build(api, context(Dockerfile=text))
    assert again.id == first.id and again.out.count("Using cache") == 7
    for wrong, words in ((f"{url}#nope", "does not contain ref nope"), (f"{url}#--upload-pack=x", "invalid Git reference"),
                         (f"{url}#v1:nope", "nope"), ("git://127.0.0.1:1/x.git", "git ls-remote failed")):
        assert words in build(api, context(Dockerfile=f"FROM busybox\nADD {wrong} /x\n")).error, wrong
    assert "expected checksum" in build(api, context(Dockerfile=f"FROM busybox\nADD --checksum=ab {url} /x\n")).error
    assert build(api, None, "", remote=f"{url}#v1:sub").id
    assert engine.docker("build", "-q", f"{url}#main:sub").code == 0
    assert engine.berth("build", "-q", f"{url}#main:sub").code == 0
    assert "grep -q main" in engine.berth("build", f"{url}#odd/branch:sub").err


@pytest.mark.parametrize("fragment", ["", ":", ":.", ":/", ":../..", ":sub/../..", "main:", "main:./", "refs/heads/main", "HEAD", "main:sub/../sub/.."])
def test_git_fragments_that_mean_the_top(api, repository, fragment):
    """Whatever leads above the top of a repository ends there."""
    built = build(api, context(Dockerfile=f"FROM busybox\nADD {repository.url}#{fragment} /a\nRUN grep -q main /a/sub/f && test -x /a/tool -a ! -e /a/r.git\n"))
    assert built.id, built


@pytest.mark.parametrize("fragment, words", [
    ("-x", "invalid Git reference"), ("--upload-pack=touch${IFS}/x", ""), ("a..b", ""), ("main~1", ""), ("^main", ""), ("main^{}", ""), ("@{-1}", ""), ("*", ""),
    ("main:nope", "nope"), ("main:sub/f", ""), ("main:../../etc", "etc"), ("main:-x", ""), ("#", ""), ("main#x", ""), ("main:sub:f", ""), ("\u2014x", ""),
    ("main;touch", ""), ("$(touch)", ""), ("links:out", ""), ("links:up", ""), ("links:loop", ""), ("a" * 5000, ""),
])
def test_git_fragments_that_mean_nothing(api, repository, fragment, words):
    """They are refused with a reason: nothing of them is an option, a pattern or a way out."""
    failed = build(api, None, "", remote=f"{repository.url}#{fragment}")
    assert not failed.id and failed.error and words in failed.error, failed
    assert "root:" not in failed.error + failed.out


def test_git_links_and_modules_stay_inside(api, repository, tmp_path):
    """Links of a repository lead nowhere outside of it, and its modules come by the network or not at all."""
    assert build(api, context(Dockerfile=f"FROM busybox\nADD {repository.url}#links:in /a\nRUN grep -q main /a/f\n")).id
    marker = tmp_path / "ran"
    for number, (path, url) in enumerate([("m", f"ext::sh -c touch% {marker}"), ("m", f"file://{tmp_path}/repos/r.git"), ("m", f"{tmp_path}/repos/r.git"),
                                          ("m", "--upload-pack=touch " + str(marker)), ("../out", repository.url), (".git/hooks", repository.url)]):
        work = tmp_path / "repos" / f"m{number}.git"
        work.mkdir()
        git(work, "init", "-q")
        (work / ".gitmodules").write_text(f'[submodule "x"]\n\tpath = {path}\n\turl = {url}\n\tupdate = !touch {marker}\n')
        git(work, "add", ".gitmodules")
        git(work, "update-index", "--add", "--cacheinfo", f"160000,{repository.commit},{'m' if path.startswith('.') else path}")
        git(work, "commit", "-qm", "one")
        failed = build(api, context(Dockerfile=f"FROM busybox\nADD {repository.url.replace('r.git', f'm{number}.git')} /x\nRUN test ! -e /x/m/tool\n"))
        assert not marker.exists() and not (tmp_path / "out").exists() and (failed.error or failed.id), failed


# ---- how builds are carried out


def test_stages_side_by_side_in_order(api, tmp_path):
    """Each of two stages waits for a sign of the other: they can only end if they run at once. What they say is not mixed."""
    text = ("FROM busybox AS one\nRUN --mount=type=cache,target=/c,id=meet touch /c/one; for i in $(seq 100); do test -e /c/two && break; sleep 0.1; done;"
            " test -e /c/two; echo one is over\n"
            "FROM busybox AS two\nRUN --mount=type=cache,target=/c,id=meet touch /c/two; for i in $(seq 100); do test -e /c/one && break; sleep 0.1; done;"
            " test -e /c/one; echo two is over\n"
            "FROM scratch\nCOPY --from=one /etc/passwd /1\nCOPY --from=two /etc/passwd /2\n")
    built = build(api, context(Dockerfile=text), nocache="1")
    assert built.id, built
    steps = [line for line in built.out.splitlines() if line.startswith("Step") or "is over" in line]
    assert [s.split(" :")[0] for s in steps] == ["Step 1/7", "Step 2/7", "one is over", "Step 3/7", "Step 4/7", "two is over", "Step 5/7", "Step 6/7", "Step 7/7"]


def test_a_step_of_two_builds_runs_once(api):
    text = "FROM busybox\nARG N\nRUN --mount=type=cache,target=/c,id=count echo x >> /c/count; sleep 0.5; cp /c/count /count\n"
    tar = context(Dockerfile=text)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        ids = {build.id for build in pool.map(lambda i: build_with(api, tar), range(4))}
    assert len(ids) == 1 and None not in ids
    check = build(api, context(Dockerfile="FROM busybox\nRUN --mount=type=cache,target=/c,id=count test \"$(wc -l < /c/count)\" = 1\n"))
    assert check.id, check


def build_with(api, tar):
    return build(api, tar, buildargs={"N": "1"})


def test_no_cache_filter_and_named_contexts(api, engine, tmp_path):
    text = "FROM busybox AS one\nRUN cat /proc/sys/kernel/random/uuid > /one\nFROM busybox AS two\nRUN cat /proc/sys/kernel/random/uuid > /two\nFROM scratch\nCOPY --from=one /one /\nCOPY --from=two /two /\n"
    tar = context(Dockerfile=text)
    assert build(api, tar).id
    again = build(api, tar, nocachefilter=["TWO"])
    assert again.out.count("Using cache") == 2, again  # the RUN and the COPY of stage one
    (tmp_path / "main").mkdir()
    (tmp_path / "more").mkdir()
    (tmp_path / "more/f").write_text("more\n")
    (tmp_path / "main/Dockerfile").write_text("FROM base\nCOPY --from=more /f /f\nRUN --mount=from=more,target=/m cmp /m/f /f && test ! -e /.berth-contexts\n"
                                              "COPY . /all/\nRUN test ! -e /all/.berth-contexts\n")
    got = engine.berth("build", "--build-context", f"more={tmp_path}/more", "--build-context", "base=docker-image://busybox", tmp_path / "main")
    assert got.code == 0, got


def test_reproducible(engine, tmp_path):
    (tmp_path / "f").write_text("f\n")
    (tmp_path / "Dockerfile").write_text("FROM busybox\nCOPY f /new/dir/\nWORKDIR /w\nRUN echo x > /x\n")
    ids = set()
    for _ in range(2):
        got = engine.berth("build", "-q", "--no-cache", "--build-arg", "SOURCE_DATE_EPOCH=1600000000", tmp_path, check=True)
        ids.add(got.out)
        time.sleep(1.1)  # so that another second would show
    assert len(ids) == 1
    image = engine.inspect(ids.pop().strip())
    assert image["Created"] == "2020-09-13T12:26:40Z"
    # Without an epoch at least what is copied tells no time.
    layers = set()
    for _ in range(2):
        id = engine.berth("build", "-q", "--no-cache", tmp_path, check=True).out.strip()
        layers.add(tuple(engine.inspect(id)["RootFS"]["Layers"][:-1]))
    assert len(layers) == 1
    assert engine.berth("build", "--verify", tmp_path).code == 0
    (tmp_path / "Dockerfile").write_text("FROM busybox\nRUN mkdir /d && head -c 8 /dev/urandom > /d/random\n")
    differs = engine.berth("build", "--verify", tmp_path)
    assert differs.code == 1 and "not reproducible" in differs.err and "d/random: another content" in differs.err, differs


def test_cancelled_build_leaves_nothing(private_engine, tmp_path):
    engine = private_engine
    text = "FROM busybox AS a\nRUN sleep 60\nFROM busybox AS b\nRUN --mount=type=cache,target=/c,sharing=locked sleep 61\nFROM scratch\nCOPY --from=a / /\nCOPY --from=b / /\n"
    (tmp_path / "Dockerfile").write_text(text)

    def supervisors():
        return len(os.listdir(engine.run_directory / "shims"))
    client = subprocess.Popen([str(engine.build / "berth"), "build", str(tmp_path)], env=engine.environment, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL)
    wait_until(lambda: supervisors() == 2, what="both steps running")
    client.kill()
    client.wait()
    wait_until(lambda: supervisors() == 0, what="the end of the steps")
    wait_until(lambda: engine.verify().code == 0, what="nothing left")

    def left():
        return [name for name in os.listdir(engine.data / "tmp") if name.startswith(("context", "writable"))]
    wait_until(lambda: not left(), what="no directory of the build left")
    # The same, but the engine dies: what was whole is used by the next build.
    (tmp_path / "Dockerfile").write_text("FROM busybox\nRUN echo kept > /kept\nRUN test -e /go || sleep 60\n")
    client = subprocess.Popen([str(engine.build / "berth"), "build", str(tmp_path)], env=engine.environment, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL)
    wait_until(lambda: any("kept" in row["Description"] for row in Api(engine.socket).do("GET", "/system/df")["BuildCache"]), what="a step cached")
    wait_until(lambda: supervisors() == 1, what="the next step running")
    engine.kill()
    client.wait()
    engine.start()
    wait_until(lambda: engine.verify().code == 0, what="a clean engine after its death")
    assert not left()
    (tmp_path / "Dockerfile").write_text("FROM busybox\nRUN echo kept > /kept\nRUN grep kept /kept\n")
    assert "Using cache" in engine.berth("build", tmp_path, check=True).out


def test_cache_mounts_are_counted_and_pruned(private_engine, tmp_path):
    engine = private_engine
    (tmp_path / "Dockerfile").write_text("FROM busybox\nRUN --mount=type=cache,target=/c,id=big head -c 100000 /dev/zero > /c/f\n")
    engine.berth("build", tmp_path, check=True)
    rows = engine.sdk().api.df()["BuildCache"]
    mount = [row for row in rows if row["Type"] == "exec.cachemount"]
    assert len(mount) == 1 and mount[0]["Size"] >= 100000 and "big" in mount[0]["Description"]
    pruned = engine.berth("builder", "prune", "-f", "--filter", "type=exec.cachemount", check=True)
    assert mount[0]["ID"] in pruned.out and os.listdir(engine.data / "build-cache") == []
    engine.berth("builder", "prune", "-af", check=True)
    assert engine.sdk().api.df()["BuildCache"] in ([], None)
    assert engine.verify().code == 0


# ---- checks, and files in files

# Dockerfile, {rule: line}
CHECKS = [
    ("FROM busybox\nCMD [\"x\"]\n", {}),
    ("FROM busybox AS One\nRUN x\n", {"StageNameCasing": 1}),
    ("FROM busybox as one\nRUN x\n", {"FromAsCasing": 1}),
    ("FROM busybox AS one\nFROM busybox AS one\n", {"DuplicateStageName": 2}),
    ("FROM busybox AS scratch\nRUN x\n", {"ReservedStageName": 1}),
    ("FROM busybox\nRUN echo a \\\n\n && echo b\n", {"NoEmptyContinuation": 3}),
    ("FROM busybox\nrun x\nRUN y\n", {"ConsistentInstructionCasing": 2}),
    ("FROM busybox\nCMD x\n", {"JSONArgsRecommended": 2}),
    ("FROM busybox\nCMD ['x', 'y']\n", {"JSONArgsRecommended": 2}),
    ("FROM busybox\nCOPY -chown=1 a.txt /x/\nRUN -mount=type=cache,target=/c x\nRUN --network=none -x\n", {"FlagWithOneDash": [2, 3]}),
    ("FROM busybox\nSHELL [\"sh\", \"-c\"]\nCMD x\n", {}),
    ("FROM busybox\nMAINTAINER x\n", {"MaintainerDeprecated": 2}),
    ("FROM $NO\n", {"UndefinedArgInFrom": 1, "InvalidDefaultArgInFrom": 1}),
    ("FROM --platform=linux/amd64 busybox\n", {"FromPlatformFlagConstDisallowed": 1}),
    ("FROM --platform=$TARGETPLATFORM busybox\n", {"RedundantTargetPlatform": 1}),
    ("FROM busybox\nWORKDIR a\n", {"WorkdirRelativePath": 2}),
    ("FROM busybox\nWORKDIR /a\nWORKDIR b\n", {}),
    ("FROM busybox\nCMD [\"a\"]\nCMD [\"b\"]\nENTRYPOINT [\"x\"]\nCMD [\"c\"]\n", {"MultipleInstructionsDisallowed": [2, 3]}),
    ("FROM busybox\nENV a b\n", {"LegacyKeyValueFormat": 2}),
    ("FROM busybox\nARG DB_PASSWORD\n", {"SecretsUsedInArgOrEnv": 2}),
    ("FROM busybox\nARG PUBLIC_KEY\n", {}),
    ("FROM busybox\nCOPY $NOPE/x $PATH/y\n", {"UndefinedVar": 2}),
    ("FROM busybox\nARG A\nENV B=$A\nLABEL x=$B y=${C:-d}\n", {}),
    ("FROM busybox\nEXPOSE 80/TCP\n", {"ExposeProtoCasing": 2}),
    ("FROM busybox\nEXPOSE 80:80\n", {"ExposeInvalidFormat": 2}),
    ("# check=skip=MaintainerDeprecated\nFROM busybox\nMAINTAINER x\n", {}),
    ("# check=skip=all\nFROM busybox\nMAINTAINER x\nCMD x\n", {}),
]


def test_checks(api, engine, tmp_path):
    tar = context(**{f"C.{i}": case[0] for i, case in enumerate(CHECKS)})
    for i, (text, expected) in enumerate(CHECKS):
        built = build(api, tar, f"C.{i}", check="1")
        found = list(zip([line.split()[1] for line in built.out.splitlines() if line.startswith("WARNING: ")],
                         [int(line.split(":")[1]) for line in built.out.splitlines() if line.startswith(f"C.{i}:")]))
        wanted = [(rule, line) for rule, lines in expected.items() for line in (lines if isinstance(lines, list) else [lines])]
        assert sorted(found) == sorted(wanted), f"{text!r}: {built}"
        said = "1 warning has" if len(found) == 1 else f"{len(found)} warnings have"
        assert built.error == ("base name ($NO) should not be blank" if "$NO\n" in text else f"Check complete, {said} been found!" if found else None)
        assert "stand in double quotes" in built.out or "['x'" not in text
    broken = build(api, context(Dockerfile="FROM busybox\nCOPY --from=7 a b\n"), check="1")
    assert "index out of bounds" in broken.error and "no warnings" not in broken.out and "Dockerfile:2" in broken.out, "it could not be built"
    (tmp_path / "Dockerfile").write_text("# check=error=true\nFROM busybox\nMAINTAINER x\n")
    assert engine.berth("build", "--check", tmp_path).code == 1
    assert "MaintainerDeprecated (line 3)" in engine.berth("build", tmp_path).err
    assert "invalid check option" in build(api, context(Dockerfile="# check=odd\nFROM busybox\n")).error


@pytest.mark.parametrize("count", [0, 300], ids=["archive", "kept"])
def test_what_is_not_in_the_context_is_explained(engine, tmp_path, count):
    for i in range(count):  # more than a context that is simply sent
        (tmp_path / f"many-{i}").write_text("")
    (tmp_path / "app").mkdir()
    (tmp_path / "app/requirements.txt").write_text("")
    (tmp_path / "secret.key").write_text("")
    (tmp_path / ".dockerignore").write_text("# private\n*.key\n")
    for source, hint in (("secret.key", " (.dockerignore leaves it out: *.key)"), ("App/requirement.txt", " (did you mean app/requirements.txt?)"),
                         ("requirements.txt", " (did you mean app/requirements.txt?)"), ("-link", " (flags begin with two dashes: --link)"), ("unlike", "")):
        (tmp_path / "Dockerfile").write_text(f"FROM scratch\nCOPY {source} /\n")
        for platform in ((), ("--platform", "linux/amd64,linux/arm64", "-o", f"type=oci,dest={tmp_path}.tar")):
            done = engine.berth("build", *platform, tmp_path)
            assert done.code == 1 and f"stat {source}: file does not exist{hint}\n" in done.err, done


def test_include(api, engine, tmp_path):
    built = build(api, context(Dockerfile="# syntax=berth/1\nFROM busybox\nINCLUDE part.docker WHAT=one\nRUN grep -qx one /included && test $INCLUDED = one\n"
                                          "FROM busybox\nINCLUDE part.docker WHAT=two\nRUN grep -qx two /included\n"), target="0")
    assert built.id, built
    files = {"twice": "INCLUDE part.docker WHAT=1\nINCLUDE part.docker WHAT=1\n", "itself": "INCLUDE D.itself\n", "gone": "INCLUDE nope\n",
             "outside": "INCLUDE ../../etc/passwd\n", "variable": "INCLUDE $X\n", "word": "INCLUDE part.docker x\n", "bare": "INCLUDE\n", "context": "INCLUDE --from=x y\n"}
    tar = context(**{f"D.{name}": "# syntax=berth/1\nFROM busybox\n" + text for name, text in files.items()}, plain="FROM busybox\nINCLUDE part.docker\n")
    for name, words in (("twice", "is included in this stage already"), ("itself", "includes itself"), ("gone", "there is no file nope"),
                        ("outside", "there is no file"), ("variable", "no variables in its path"), ("word", "takes NAME=value"),
                        ("bare", "at least one argument"), ("context", "no build context of this name")):
        got = build(api, tar, f"D.{name}")
        assert words in got.error and f"D.{name}:" in got.error, got
    assert "unknown instruction: INCLUDE" in build(api, tar, "plain").error
    (tmp_path / "main").mkdir()
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts/p").write_text("RUN exit 4\n")
    (tmp_path / "main/Dockerfile").write_text("# syntax=berth/1\nFROM busybox\nINCLUDE --from=parts p\n")
    got = engine.berth("build", "--build-context", f"parts={tmp_path}/parts", tmp_path / "main")
    assert got.code == 4 and "parts:p:1\n" in got.out, got


# ---- berth's own command


def test_command_line(engine, tmp_path):
    (tmp_path / "c").mkdir()
    (tmp_path / "c/Dockerfile").write_text("FROM busybox AS tools\nRUN echo made > /made\nFROM scratch\nCOPY --from=tools /made /etc/passwd /out/\n")
    plain = engine.berth("build", "--progress=plain", "-t", "cli-a:1", "-t", "cli-b", "--iidfile", tmp_path / "iid", "--metadata-file", tmp_path / "meta",
                         tmp_path / "c", check=True).out
    assert "#2 [2/4] RUN echo made > /made\n" in plain and "#2 DONE" in plain and "Successfully tagged cli-b" in plain
    id = (tmp_path / "iid").read_text()
    assert engine.inspect("cli-a:1")["Id"] == engine.inspect("cli-b")["Id"] == id
    assert json.loads((tmp_path / "meta").read_text()) == {"containerimage.config.digest": id, "containerimage.digest": id, "image.name": "cli-a:1,cli-b"}
    assert "#2 CACHED" in engine.berth("build", "--progress=plain", tmp_path / "c", check=True).out
    assert engine.berth("build", "-q", tmp_path / "c", check=True).out == id + "\n"
    states = [json.loads(line)["step"]["state"] for line in engine.berth("build", "--progress=rawjson", tmp_path / "c", check=True).out.splitlines()
              if "step" in line]
    assert states.count("cached") == 2 and states.count("done") == 4

    engine.berth("build", "-o", tmp_path / "local", tmp_path / "c", check=True)
    assert (tmp_path / "local/out/made").read_text() == "made\n"
    engine.berth("build", "-o", f"type=tar,dest={tmp_path}/files.tar", "-o", f"type=oci,dest={tmp_path}/image.tar", tmp_path / "c", check=True)
    assert sorted(tarfile.open(tmp_path / "files.tar").getnames()) == ["out", "out/made", "out/passwd"]
    assert "index.json" in tarfile.open(tmp_path / "image.tar").getnames()
    out = subprocess.run([engine.build / "berth", "build", "-q", "-o", "-", tmp_path / "c"], env=engine.environment, capture_output=True, check=True).stdout
    assert "out/made" in tarfile.open(fileobj=io.BytesIO(out)).getnames()

    assert "from stdin" in engine.berth("build", "--no-cache", "-", stdin="FROM busybox\nRUN echo from stdin\n", check=True).out
    assert engine.berth("build", "-", stdin=context(Dockerfile="FROM busybox\nCOPY a.txt /\n")).code == 0
    assert engine.berth("build", "-f", "-", tmp_path / "c", stdin="FROM busybox\nCOPY Dockerfile /x\n").code == 0
    failed = engine.berth("build", "--progress=plain", "-", stdin="FROM busybox\nRUN echo last words; exit 9\n")
    assert failed.code == 9 and " > [2/2] RUN echo last words; exit 9:\nlast words\n" in failed.out and "Dockerfile:2\n" in failed.out
    assert engine.berth("build", "--allow", "security.insecure", "-", stdin="FROM busybox\nRUN --security=insecure mount -t tmpfs x /tmp\n").code == 0
    for wrong, words in ((["-o", "type=odd"], 'exporter "odd"'), (["--progress=odd"], 'invalid progress "odd"'), (["-o", "type=local"], "dest is required"),
                         (["--build-context", "x"], "expected key=value"), (["--secret", "id=x"], "secret")):
        got = engine.berth("build", *wrong, tmp_path / "c")
        assert got.code != 0 and words in got.err, got
    (tmp_path / "bare").mkdir()
    for place, words in (("c/Dockerfile", "context must be a directory"), ("nowhere", "not found"), ("bare", "(--file names another one)")):
        got = engine.berth("build", tmp_path / place)
        assert got.code == 1 and words in got.err, got
    quiet = engine.berth("build", "-q", "-", stdin="FROM busybox\nRUN false\n")
    assert quiet.code == 1 and "   2 | >>> RUN false\n" in quiet.err, quiet
    terminal = subprocess.run(["script", "-qec", f"{engine.build}/berth build {tmp_path}/c", "/dev/null"], env=engine.environment, capture_output=True,
                              text=True, timeout=60)
    assert terminal.returncode == 0 and "[+] Building (4/4) FINISHED" in terminal.stdout and "=> CACHED" in terminal.stdout


@pytest.mark.parametrize("given", ["a file elsewhere", "stdin", "a link that leads out", "the usual name leads out"])
def test_a_dockerfile_that_is_no_file_of_the_context(engine, tmp_path, given):
    """COPY does not see it, so it does not count for the cache; what is wrong in it is told under its own name."""
    (tmp_path / "context").mkdir()
    (tmp_path / "context/f").write_text("f")
    outside, text = tmp_path / "Other.docker", "FROM scratch\nCOPY . /c/\n"
    link = tmp_path / "context" / ("Dockerfile" if "usual" in given else "link")
    if "leads" in given:
        link.symlink_to(outside)
    words = {"stdin": ["-f", "-"], "a file elsewhere": ["-f", outside], "a link that leads out": ["-f", link]}.get(given, [])

    def build_it(text, *more):
        outside.write_text(text)
        return engine.berth("build", "-q", *words, *more, tmp_path / "context", stdin=text)
    first, second = build_it(text), build_it(text + "# another text\n")
    assert first.code == 0 and first.out == second.out, (first, second)
    assert build_it(text, "-o", tmp_path / "out").code == 0
    assert sorted(path.name for path in (tmp_path / "out/c").iterdir()) == sorted(["f"] + ([link.name] if "leads" in given else []))
    wrong = build_it("FROM scratch\nCOPIE . /\n")
    name = {"stdin": "Dockerfile", "a file elsewhere": "Other.docker"}.get(given, link.name)
    assert wrong.code == 1 and f"{name}:2" in wrong.err and ".berth" not in wrong.err, wrong


def test_docker_builds_the_language(engine, tmp_path):
    (tmp_path / "f").write_text("f\n")
    (tmp_path / "Dockerfile").write_text("FROM busybox\nCOPY <<EOF /h\nhello\nEOF\nRUN --mount=source=f,target=/m cat /m /h > /both\nCMD [\"cat\", \"/both\"]\n")
    engine.docker("build", "-t", "language", tmp_path, check=True)
    assert engine.docker("run", "--rm", "language", check=True).out == "f\nhello\n"
    image, _ = engine.sdk().images.build(path=str(tmp_path), rm=True)
    assert image.id == engine.inspect("language")["Id"]
