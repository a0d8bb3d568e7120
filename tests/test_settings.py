"""What config.json and the environment say, and flags that other tests leave out, through both command lines."""
import http.server
import json
import pathlib
import threading

import pytest

import engine as engines

pytestmark = [pytest.mark.own, pytest.mark.current_client]


class Settings:
    """Both command lines with a config.json of this test's."""

    def __init__(self, engine, directory):
        self.engine, self.directory = engine, directory

    def run(self, client, *arguments, config=None, env=None, **options):
        (self.directory / "config.json").write_text(json.dumps(config or {}))
        program = engines.docker_program() if client == "docker" else pathlib.Path(self.engine.build) / "berth"
        return engines.run([program, *arguments], env={**self.engine.environment, "DOCKER_CONFIG": str(self.directory), **(env or {})}, **options)

    def both(self, *arguments, **options):
        """What both print, which must be the same."""
        ours, theirs = (self.run(client, *arguments, check=True, **options).out for client in ("berth", "docker"))
        assert ours == theirs
        return ours


@pytest.fixture
def settings(engine, tmp_path):
    return Settings(engine, tmp_path)


PROXIES = {"default": {"httpProxy": "http://p:1", "httpsProxy": "http://p:2", "noProxy": "a,b", "ftpProxy": "http://p:3", "allProxy": "http://p:4"}}


def test_proxies_of_containers(settings):
    script = "env | grep -i _proxy | sort"
    seen = settings.both("run", "--rm", "busybox", "sh", "-c", script, config={"proxies": PROXIES})
    assert len(seen.splitlines()) == 10 and "http_proxy=http://p:1\n" in seen and "NO_PROXY=a,b\n" in seen
    seen = settings.both("run", "--rm", "-e", "HTTP_PROXY=mine", "-e", "NO_PROXY", "busybox", "sh", "-c", script, config={"proxies": PROXIES})
    assert "HTTP_PROXY=mine\n" in seen and "NO_PROXY" not in seen
    own = {"proxies": {"default": {"httpProxy": "no"}, settings.engine.host: {"httpProxy": "http://own"}}}
    assert settings.both("run", "--rm", "busybox", "sh", "-c", script, config=own) == "HTTP_PROXY=http://own\nhttp_proxy=http://own\n"


def test_proxies_of_builds(settings, tmp_path):
    context = tmp_path / "context"
    context.mkdir()
    (context / "Dockerfile").write_text("FROM busybox\nRUN echo seen $HTTP_PROXY $no_proxy\n")
    for client in ("berth", "docker"):
        assert "seen http://p:1 a,b" in settings.run(client, "build", "--no-cache", context, config={"proxies": PROXIES}, check=True).out


def test_formats(settings):
    settings.run("docker", "run", "-d", "--name", "formats", "busybox", "sleep", "300", check=True)
    settings.run("docker", "volume", "create", "formats", check=True)
    try:
        for key, arguments in {"psFormat": ["ps", "-a"], "imagesFormat": ["images"], "volumesFormat": ["volume", "ls"],
                               "networksFormat": ["network", "ls"]}.items():
            field = "ID" if key in ("psFormat", "imagesFormat", "networksFormat") else "Name"
            printed = settings.both(*arguments, config={key: "<{{.%s}}>" % field})
            assert printed and all(line.startswith("<") and line.endswith(">") for line in printed.splitlines())
            assert settings.both(*arguments, "-q", config={key: "<{{.%s}}>" % field}).count("<") == 0
        assert settings.both("stats", "--no-stream", "formats", config={"statsFormat": "<{{.Name}}>"}) == "<formats>\n"
    finally:
        settings.run("docker", "rm", "-f", "formats")
        settings.run("docker", "volume", "rm", "formats")


def test_names_are_listed_as_people_count(settings):
    names = ["sorted10", "sorted9", "sorted09", "sorted", "sorted-a", "sorteda"]
    for kind in ("volume", "network"):
        try:
            for name in names:
                settings.run("docker", kind, "create", name, check=True)
            listed = settings.both(kind, "ls", "--filter", "name=sorted", "--format", "{{.Name}}").split()
            assert listed == ["sorted", "sorted9", "sorted09", "sorted10", "sorted-a", "sorteda"]
        finally:
            for name in names:
                settings.run("docker", kind, "rm", name)


class Recorder(http.server.BaseHTTPRequestHandler):
    """An engine with nothing in it, that keeps what it was asked with."""
    seen, bodies = [], {}

    def do_GET(self):
        Recorder.seen.append(dict(self.headers))
        self.send_response(200)
        self.send_header("Api-Version", "1.51")
        body = next((body for path, body in Recorder.bodies.items() if path in self.path), b"[]")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_HEAD = do_GET

    def log_message(self, *_):
        pass


@pytest.fixture
def recorder():
    Recorder.seen, Recorder.bodies = [], {}
    server = http.server.HTTPServer(("127.0.0.1", 0), Recorder)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"tcp://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("client", ["berth", "docker"])
def test_headers(settings, recorder, client):
    settings.run(client, "-H", recorder, "ps", config={"HttpHeaders": {"X-One": "1", "X-Two": "a b"}}, check=True)
    assert Recorder.seen and all(headers.get("X-One") == "1" and headers.get("X-Two") == "a b" for headers in Recorder.seen)
    Recorder.seen.clear()
    settings.run(client, "-H", recorder, "ps", config={"HttpHeaders": {"X-One": "1"}}, env={"DOCKER_CUSTOM_HEADERS": 'X-Three=3,"X-Four=a,b"'}, check=True)
    assert all(headers.get("X-Three") == "3" and headers.get("X-Four") == "a,b" and "X-One" not in headers for headers in Recorder.seen)
    refused = settings.run(client, "-H", recorder, "ps", env={"DOCKER_CUSTOM_HEADERS": "nonsense"})
    assert refused.code == 1 and "nonsense" in refused.err


def test_a_header_cannot_break_a_request(settings, recorder):
    refused = settings.run("berth", "-H", recorder, "ps", config={"HttpHeaders": {"X-One": "1\r\nX-Two: 2"}})
    assert refused.code == 1 and "malformed header X-One" in refused.err and not Recorder.seen


def test_exec_env_file(settings, tmp_path):
    (tmp_path / "env").write_text("# said\nA=from file\nB=from file\n\nHOME_OF\nC=#x\n")
    settings.run("docker", "run", "-d", "--name", "envs", "busybox", "sleep", "300", check=True)
    try:
        printed = settings.both("exec", "--env-file", tmp_path / "env", "-e", "B=from flag", "envs", "sh", "-c", "echo $A, $B, $C, $HOME_OF",
                                env={"HOME_OF": "here"})
        assert printed == "from file, from flag, #x, here\n"
        (tmp_path / "env").write_text("A B=1\n")
        refused = settings.run("berth", "exec", "--env-file", tmp_path / "env", "envs", "true")
        assert refused.code == 1 and "contains whitespaces" in refused.err
    finally:
        settings.run("docker", "rm", "-f", "envs")


def test_images_as_a_tree(settings, recorder):
    def manifest(number, architecture, containers=(), **more):
        return {"ID": f"sha256:{number:064x}", "Available": True, "Size": {"Total": 3000 * number, "Content": 1000 * number}, "Kind": "image",
                "ImageData": {"Platform": {"os": "linux", "architecture": architecture, **more}, "Containers": list(containers)}}
    attestation = {"ID": "sha256:" + "e" * 64, "Kind": "attestation", "Size": {"Total": 1, "Content": 1}}
    Recorder.bodies["/images/json"] = json.dumps([
        {"Id": "sha256:" + "a" * 64, "RepoTags": ["one:latest", "one:v1"], "Size": 9000, "Manifests": [manifest(1, "amd64", ["c"]), attestation, manifest(2, "arm64", variant="v8")]},
        {"Id": "sha256:" + "b" * 64, "RepoTags": ["plain:latest"], "Size": 5000}, {"Id": "sha256:" + "c" * 64, "RepoTags": [], "Size": 7}]).encode()
    Recorder.bodies["/containers/json"] = json.dumps([{"Id": "c", "ImageID": "sha256:" + "b" * 64}]).encode()
    rows = settings.run("berth", "-H", recorder, "images", "--tree", check=True).out.splitlines()
    assert [row.split() for row in rows] == [
        ["IMAGE", "ID", "DISK", "USAGE", "CONTENT", "SIZE", "EXTRA"], ["one:latest"], ["one:v1", "a" * 12, "9kB", "3kB", "U"], ["├─", "linux/amd64", "0" * 12, "3kB", "1kB", "U"],
        ["└─", "linux/arm64/v8", "0" * 12, "6kB", "2kB"], [], ["plain:latest", "b" * 12, "5kB", "0B", "U"]]
    assert len({row.index("kB") for row in rows if "kB" in row}) == 1, "columns"
    rows = settings.run("berth", "-H", recorder, "images", "--tree", "-a", check=True).out.splitlines()
    assert rows[-1].split() == ["<untagged>", "c" * 12, "7B", "0B"]
    for flag in ("-q", "--digests", "--no-trunc", "--format=x"):
        ours, theirs = (settings.run(client, "-H", recorder, "images", "--tree", flag) for client in ("berth", "docker"))
        assert ours.code == theirs.code == 1 and ours.err == theirs.err


def test_platform_of_images(settings):
    machine = settings.both("image", "inspect", "-f", "{{.Os}}/{{.Architecture}}", "busybox").strip()
    other = "linux/s390x"
    settings.run("docker", "tag", "busybox", "busybox:platform", check=True)
    for arguments in (["image", "inspect", "-f", "{{.Id}}"], ["history", "-q"]):
        assert settings.both(*arguments, "--platform", machine, "busybox")
        refused = settings.run("berth", *arguments, "--platform", other, "busybox")
        assert refused.code == 1 and f"does not match the specified platform ({other})" in refused.err
    refused = settings.run("berth", "rmi", "--platform", other, "busybox:platform")
    assert refused.code == 1 and "does not match" in refused.err
    assert "Untagged: busybox:platform" in settings.run("berth", "rmi", "--platform", machine, "busybox:platform", check=True).out


@pytest.mark.parametrize("arguments, said", [
    (["volume", "create", "--group", "g"], "it is for volumes of a cluster"), (["run", "--cpu-count", "2", "busybox"], "it is for Windows"),
    (["rm", "--link", "nobody/alias"], ""), (["run", "--link-local-ip", "odd", "busybox"], "link-local"),
    (["volume", "update", "nobody"], "no such volume")])
def test_refused_and_said_why(settings, arguments, said):
    refused = settings.run("berth", *arguments)
    assert refused.code in (1, 125) and said in refused.err


def test_lists_of_cluster_volumes_are_empty(settings):
    settings.run("docker", "volume", "create", "plain", check=True)
    try:
        assert settings.both("volume", "ls", "--cluster", "-q") == ""
        assert settings.run("berth", "volume", "update", "plain").err == "Can only update cluster volumes\n"
    finally:
        settings.run("docker", "volume", "rm", "plain")
