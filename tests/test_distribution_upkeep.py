"""What operators see and set: metrics, the access log, quotas, events, a service manager's sockets."""
import http.server
import json
import os
import re
import signal
import socket
import subprocess
import threading

import pytest

from engine import LIMIT_S, free_port, run, wait_until
from registry import MANIFEST, Registry, digest_of, manifest_of

pytestmark = pytest.mark.own


def test_metrics_and_access_log(build):
    port = free_port()
    registry = Registry(build, "--debug-listen", f"127.0.0.1:{port}", "--access-log", "--gc-grace", "0").start()
    main_port = registry.port

    def metrics():
        registry.port = port
        try:
            answer = registry.get("/metrics")
        finally:
            registry.port = main_port
        assert answer.status == 200 and answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        text = answer.body.decode()
        for line in text.splitlines():
            assert re.fullmatch(r'# (HELP|TYPE) \w+ .+|\w+(\{\w+="[^"]*"(,\w+="[^"]*")*\})? [0-9.]+', line), line
        return {key: float(value) for key, value in (line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))}
    try:
        registry.push_image("r", "v1", b"x" * 1000)
        registry.push_blob("r", b"unused")
        assert len(registry.get("/v2/r/manifests/v1").body) and registry.get("/v2/r/manifests/v2").status == 404
        registry.get(f"/v2/r/blobs/{digest_of(b'x' * 1000)}")
        wait_until(lambda: metrics()['berth_registry_requests_total{endpoint="blob",status="2xx"}'] == 1, what="the last request being counted")
        now = metrics()
        assert now['berth_registry_requests_total{endpoint="manifest",status="2xx"}'] == 2
        assert now['berth_registry_requests_total{endpoint="manifest",status="4xx"}'] == 1
        assert now['berth_registry_request_duration_seconds_count{endpoint="manifest"}'] == 3
        assert now['berth_registry_request_duration_seconds_bucket{endpoint="manifest",le="+Inf"}'] == 3
        assert now["berth_registry_received_bytes_total"] > 1000 and now["berth_registry_sent_bytes_total"] > 1000
        assert (now["berth_registry_repositories"], now["berth_registry_manifests"], now["berth_registry_tags"], now["berth_registry_blobs"]) == (1, 1, 1, 3)
        registry.collect()
        assert metrics()["berth_registry_collected_bytes_total"] == len(b"unused") and metrics()["berth_registry_collections_total"] == 1
        registry.port = port
        assert registry.get("/debug/health").json == {} and registry.get("/v2/").status == 404
        registry.port = main_port
        assert registry.get("/metrics").status == 404, "not for everybody"
        lines = [line for line in registry.log.read_text().splitlines() if 'msg="request"' in line]
        line = next(line for line in lines if 'path="/v2/r/manifests/v2"' in line)
        assert 'method="GET"' in line and 'status="404"' in line and 'peer="127.0.0.1:' in line
    finally:
        registry.port = main_port
        registry.remove()


def test_quota(build):
    registry = Registry(build, "--quota", "small/*=10k", "--quota", "**=1m").start()
    try:
        def push(repository, data):
            return registry.request("POST", f"/v2/{repository}/blobs/uploads/?digest={digest_of(data)}", body=data)
        assert push("small/a", b"x" * 8000).status == 201
        assert push("small/a", b"x" * 8000).status == 201, "it has it already"
        answer = push("small/a", b"y" * 3000)
        assert (answer.status, answer.code) == (403, "DENIED") and "quota" in answer.json["errors"][0]["message"]
        assert not list((registry.root / "uploads").iterdir())
        assert push("small/b", b"y" * 3000).status == 201 and push("large", b"z" * 200_000).status == 201
        answer = registry.request("POST", f"/v2/small/a/blobs/uploads/?mount={digest_of(b'z' * 200_000)}&from=large")
        assert answer.status == 202, "a mount counts like an upload"
        assert push("small/a", b"{}").status == 201
        answer = registry.request("PUT", "/v2/small/a/manifests/v1", body=json.dumps(manifest_of(b"{}", annotations={"x": "x" * 3000})),
                                  headers={"Content-Type": MANIFEST})
        assert (answer.status, answer.code) == (403, "DENIED")
        for wrong in ("10k", "=10k", "a=much"):
            assert registry.command("serve", "--root", f"{registry.root}-2", "--quota", wrong).code == 1
    finally:
        registry.remove()


class Listener:
    """An endpoint for events, which fails as often as it is told to."""

    def __init__(self, failures=0):
        self.events, self.headers, self.failures = [], [], failures
        listener = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if listener.failures:
                    listener.failures -= 1
                    self.send_error(503)
                    return
                listener.events += body["events"]
                listener.headers.append(self.headers)
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_):
                pass
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/events"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def test_events(build):
    good, shaky = Listener(), Listener(failures=2)
    registry = Registry(build, "--events-url", good.url, "--events-url", shaky.url, "--events-url", "http://127.0.0.1:1/nobody",
                        "--events-header", "Authorization: secret").start()
    try:
        digest = registry.push_image("r", "v1", b"layer")
        registry.request("POST", f"/v2/other/blobs/uploads/?mount={digest_of(b'layer')}&from=r")
        registry.get("/v2/r/manifests/v1", User_Agent="tester")
        registry.request("DELETE", "/v2/r/manifests/v1")
        for listener in (good, shaky):
            wait_until(lambda: len(listener.events) == 6, what="all events")
            found = [(event["action"], event["target"].get("tag"), event["target"]["repository"]) for event in listener.events]
            assert found == [("push", None, "r"), ("push", None, "r"), ("push", "v1", "r"), ("mount", None, "other"), ("pull", "v1", "r"), ("delete", "v1", "r")]
        pushed, mounted, pulled = good.events[2], good.events[3], good.events[4]
        assert pushed["target"]["digest"] == digest and pushed["target"]["mediaType"] == MANIFEST and pushed["target"]["size"] > 0
        assert mounted["target"]["fromRepository"] == "r" and mounted["target"]["digest"] == digest_of(b"layer")
        assert pulled["request"]["useragent"] == "tester" and pulled["request"]["addr"].startswith("127.0.0.1:")
        assert len({event["id"] for event in good.events}) == 6 and pulled["timestamp"]
        assert all(headers["Authorization"] == "secret" and "events" in headers["Content-Type"] for headers in good.headers)
        assert registry.command("serve", "--root", f"{registry.root}-2", "--events-url", "ftp://x").code == 1
    finally:
        registry.remove()
        good.close()
        shaky.close()


def test_service_manager(build, tmp_path):
    """Sockets come from it, and it is told when all is ready."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify, socket.socket() as listening:
        notify.bind(str(tmp_path / "notify"))
        notify.settimeout(LIMIT_S)
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        registry = Registry(build)
        registry.port = listening.getsockname()[1]
        os.set_inheritable(listening.fileno(), True)
        script = f'exec 3<&{listening.fileno()}; LISTEN_PID=$$ LISTEN_FDS=1 exec "$@"'
        with open(registry.log, "wb") as log:
            registry.process = subprocess.Popen(["bash", "-c", script, "-", build / "berth-registry", "--root", registry.root, "--listen", "fd://"],
                                                pass_fds=[listening.fileno()], stderr=log, env={**os.environ, "NOTIFY_SOCKET": str(tmp_path / "notify")})
        try:
            assert notify.recv(100) == b"READY=1"
            assert registry.get("/v2/").status == 200
            registry.process.send_signal(signal.SIGTERM)
            assert notify.recv(100) == b"STOPPING=1"
            assert registry.process.wait(LIMIT_S) == 0
            registry.process = None
        finally:
            registry.remove()
        result = run([build / "berth-registry", "--root", tmp_path / "root", "--listen", "fd://"])
        assert result.code == 1 and "no sockets were passed" in result.err


def test_full_disk(build, tmp_path):
    """An upload that finds no room gives back what its request took, and is what it was before; others have the room."""
    run(["mount", "-t", "tmpfs", "-o", "size=64m", "none", tmp_path], check=True)
    registry = Registry(build, "--gc-grace", "0", directory=tmp_path / "registry")
    registry.directory.mkdir()
    try:
        registry.start()
        first, rest, large = os.urandom(2**20), os.urandom(3 * 2**20), bytes(80 * 2**20)

        def free():
            status = os.statvfs(tmp_path)
            return status.f_bavail * status.f_frsize

        def begin():
            return registry.request("POST", "/v2/a/blobs/uploads/").headers["Location"]

        before = free()
        upload = begin()
        assert registry.request("PATCH", upload, body=first).status == 202
        for _ in range(2):
            answer = registry.request("PATCH", upload, body=large)
            assert answer.status == 507 and "no space left on device" in answer.json["errors"][0]["message"], answer
            assert registry.get(upload).headers["Range"] == f"0-{len(first) - 1}"
        answer = registry.request("PUT", f"{begin()}?digest={digest_of(large)}", body=large)
        assert answer.status == 507 and free() > before - 3 * 2**20, answer
        assert registry.request("PATCH", upload, body=rest).status == 202
        digest = digest_of(first + rest)
        assert registry.request("PUT", f"{upload}?digest={digest}").status == 201
        assert registry.get(f"/v2/a/blobs/{digest}").body == first + rest
        registry.push_blob("b", os.urandom(2**20))
        registry.stop()
        assert run([build / "berth-registry", "verify", "--root", registry.root]).code == 0
    finally:
        registry.remove()
        run(["umount", tmp_path], check=True)
