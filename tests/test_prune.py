"""What a prune shows before it asks, what it removes then, and its filters."""
import pytest

import engine as engines

pytestmark = pytest.mark.own

KINDS = ["container", "image", "volume", "network", "builder", "system"]


@pytest.fixture(scope="module")
def place(build, docker_client, tmp_path_factory):
    """An engine with one of each that goes, and one that stays because it is used."""
    engine, context = engines.Engine(build).start(), tmp_path_factory.mktemp("context")
    engine.docker("build", "-q", "-t", "busybox", engines.make_busybox_context(engine.directory / "context"), check=True)
    for number, options in ((1, []), (2, ["-t", "two"]), (3, ["-t", "kept"])):
        (context / "Dockerfile").write_text(f"FROM busybox\nRUN head -c 5000 /dev/zero > /file{number}\n")
        engine.docker("build", "-q", *options, context, check=True)
    for words in ("volume create named", "network create free", "network create busy", "network create --label old labelled"):
        engine.docker(*words.split(), check=True)
    engine.docker("run", "--name", "ended", "--label", "old", "-v", "/data", "busybox", "sh", "-c", "head -c 7000 /dev/zero > /data/f > /f", check=True)
    engine.docker("create", "--name", "other", "busybox", check=True)
    engine.docker("run", "-d", "--name", "runs", "--network", "busy", "-v", "used:/data", "kept", "sleep", "1000", check=True)
    yield engine
    engine.remove()


def ask(engine, *words, answer="n\n"):
    return engine.berth(*words, stdin=answer)


def told(out):
    """What would go, as [kind, rest]."""
    return [line.split(maxsplit=1) for line in out.split("This would go:\n")[-1].split("\n\n")[0].splitlines() if line.startswith("  ")]


def names(out, kind):
    return {word for noun, rest in told(out) if noun == kind for word in rest.split()}


def everything(engine):
    return [engine.docker(*words).out for words in (("ps", "-aq"), ("images", "-aq"), ("volume", "ls", "-q"), ("network", "ls", "-q"), ("system", "df"))]


def test_nothing_goes_without_a_yes(place):
    before = everything(place)
    for words in [[kind, "prune"] for kind in KINDS] + [["system", "prune", "-a", "--volumes"]]:
        for answer in ("n\n", "", "perhaps\n"):
            got = ask(place, *words, answer=answer)
            assert got.code == 1 and got.out.startswith("WARNING! This will remove") and "[y/N] " in got.out, got
            assert "Deleted" not in got.out and "reclaimed" not in got.out
    assert everything(place) == before


@pytest.mark.parametrize("words, kind, some, none", [
    (["container", "prune"], "container", {"ended", "other"}, {"runs"}),
    (["container", "prune", "--filter", "label=old"], "container", {"ended"}, {"runs", "other"}),
    (["container", "prune", "--filter", "label!=old"], "container", {"other"}, {"ended"}),
    (["container", "prune", "--filter", "until=1h"], "container", set(), {"ended"}),
    (["image", "prune"], "image", set(), {"two:latest", "kept:latest"}),
    (["image", "prune", "-a"], "image", {"two:latest"}, {"kept:latest", "busybox:latest"}),
    (["image", "prune", "-a", "--filter", "until=1h"], "image", set(), {"two:latest"}),
    (["image", "prune", "-a", "--filter", "label=x"], "image", set(), {"two:latest"}),
    (["volume", "prune"], "volume", set(), {"named", "used"}),
    (["volume", "prune", "-a"], "volume", {"named"}, {"used"}),
    (["volume", "prune", "-a", "--filter", "label=x"], "volume", set(), {"named"}),
    (["network", "prune"], "network", {"free", "labelled"}, {"busy", "bridge"}),
    (["network", "prune", "--filter", "label=old"], "network", {"labelled"}, {"free"}),
    (["network", "prune", "--filter", "until=1h"], "network", set(), {"free"}),
    (["builder", "prune", "-a"], "cache", {"bin/sh"}, set()),
    (["builder", "prune", "-a", "--filter", "until=1h"], "cache", set(), {"bin/sh"}),
], ids=" ".join)
def test_the_list_follows_the_filters(place, words, kind, some, none):
    shown = ask(place, *words).out
    assert some <= names(shown, kind) and not none & names(shown, kind), shown
    assert bool(told(shown)) != ("There is nothing that would go." in shown)


def test_the_list_of_everything(place):
    shown = ask(place, "system", "prune", "-a", "--volumes").out
    assert {"ended", "other"} <= names(shown, "container") and "runs" not in names(shown, "container")
    assert {"two:latest", "busybox:latest"} <= names(shown, "image"), "its only containers would go"
    assert "kept:latest" not in names(shown, "image")
    assert "free" in names(shown, "network") and "busy" not in names(shown, "network")
    volumes = names(shown, "volume")
    assert not volumes & {"named", "used"} and [name for name in volumes if len(name) == 64], "the anonymous one of the container that would go"
    assert "cache" in {noun for noun, _ in told(shown)}


def test_until_and_volumes_do_not_go_together(place):
    got = place.berth("system", "prune", "-f", "--volumes", "--filter", "until=1h")
    assert got.code == 1 and 'The "until" filter is not supported with "--volumes"' in got.err


def test_bad_filters_are_refused_before_the_question(place):
    for words in (["container", "prune"], ["image", "prune"], ["volume", "prune"], ["network", "prune"], ["builder", "prune"]):
        got = ask(place, *words, "--filter", "nonsense=1")
        assert got.code == 1 and "invalid filter 'nonsense'" in got.err and "[y/N]" not in got.out, got


def test_an_engine_that_cannot_tell_is_asked_all_the_same(build, tmp_path):
    """Docker's engine knows no such call: the warning and the question are there, and nothing else."""
    import http.server
    import threading
    asked = []

    class Other(http.server.BaseHTTPRequestHandler):
        def answer(self, code, body):
            self.send_response(code)
            self.send_header("Api-Version", "1.51")
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def do_GET(self):
            asked.append(self.path)
            self.answer(200, b"OK") if "_ping" in self.path else self.answer(404, b'{"message":"page not found"}')
        do_HEAD = do_GET

        def do_POST(self):
            asked.append(self.path)
            self.answer(200, b'{"ContainersDeleted":["a"],"SpaceReclaimed":4}')

        def log_message(self, *_):
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Other)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        command = [build / "berth", "-H", f"tcp://127.0.0.1:{server.server_port}", "container", "prune"]
        got = engines.run(command, stdin="y\n")
        assert got.out == ("WARNING! This will remove all stopped containers.\nAre you sure you want to continue? [y/N] Deleted Containers:\na\n\n"
                           "Total reclaimed space: 4B\n"), got
    finally:
        server.shutdown()
        server.server_close()


def test_what_was_listed_goes(place):
    """From the narrow to the wide; the last of the tests here, for it empties the place."""
    for words, kind, heading in ((["container", "prune", "--filter", "label=old"], "container", "Deleted Containers:"),
                                 (["network", "prune", "--filter", "label=old"], "network", "Deleted Networks:"),
                                 (["image", "prune"], "image", "Deleted Images:"),
                                 (["volume", "prune"], "volume", "Deleted Volumes:"),
                                 (["builder", "prune"], "cache", "Deleted build cache objects:"),
                                 (["builder", "prune", "-a"], "cache", "Deleted build cache objects:"),
                                 (["volume", "prune", "-a"], "volume", "Deleted Volumes:"),
                                 (["container", "prune"], "container", "Deleted Containers:"),
                                 (["image", "prune", "-a"], "image", "Deleted Images:"),
                                 (["network", "prune"], "network", "Deleted Networks:")):
        listed = told(ask(place, *words).out)
        done = place.berth(*words, "-f", check=True).out
        assert "This would go" not in done and "WARNING" not in done
        removed = [line for line in done.split(heading + "\n")[-1].split("\n\n")[0].splitlines() if not line.startswith("untagged: ")] if heading in done else []
        assert {noun for noun, _ in listed} <= {kind}
        assert len(removed) >= len(listed) if kind == "image" else len(removed) == len(listed), (words, listed, done)
        assert "Total reclaimed space:" in done or kind == "network"
        assert not told(ask(place, *words).out), words
    assert place.docker("ps", "-a", "--format", "{{.Names}}").out == "runs\n"
    assert place.docker("volume", "ls", "-q").out == "used\n" and "kept" in place.docker("images").out and "two" not in place.docker("images").out
    for words in ("container prune", "image prune -a", "volume prune", "network prune", "system prune"):
        ours, theirs = (run(*words.split(), "-f", check=True).out for run in (place.berth, place.docker))
        assert ours == theirs == ("" if words == "network prune" else "Total reclaimed space: 0B\n")
