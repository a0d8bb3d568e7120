"""A volume plugin for tests: volume_plugin.py SOCKET DIRECTORY. It keeps each volume in a directory, writes a line per call to DIRECTORY/calls, and
does what files in DIRECTORY say: hang-<method> waits for ever, fail-<method> answers with that file's text."""
import http.server
import json
import os
import pathlib
import socketserver
import sys
import threading

socket_path, root = sys.argv[1], pathlib.Path(sys.argv[2])
lock = threading.Lock()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_POST(self):
        size = int(self.headers.get("Content-Length") or 0)
        asked = json.loads(self.rfile.read(size) or b"{}")
        method = self.path.rsplit(".", 1)[-1].strip("/")
        with lock, open(root / "calls", "a") as calls:
            calls.write(f"{method} {asked.get('Name', '')} {json.dumps(asked.get('Opts') or {}, sort_keys=True)} {asked.get('ID', '')}\n")
        if (root / f"hang-{method}").exists():
            threading.Event().wait()
        failure = root / f"fail-{method}"
        answer = {"Err": failure.read_text()} if failure.exists() else self.answer(method, asked.get("Name", ""))
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/vnd.docker.plugins.v1.2+json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def answer(self, method, name):
        place = root / "volumes" / name
        if method == "Activate":
            return {"Implements": ["VolumeDriver"]}
        if method == "Capabilities":
            return {"Capabilities": {"Scope": "global"}}
        if method == "Create":
            place.mkdir(parents=True, exist_ok=True)
            return {"Err": ""}
        if method == "List":
            return {"Volumes": [{"Name": entry.name} for entry in (root / "volumes").iterdir()], "Err": ""}
        if not place.exists():
            return {"Err": "no such volume here"}
        if method == "Remove":
            for entry in place.iterdir():
                entry.unlink()
            place.rmdir()
            return {"Err": ""}
        if method == "Get":
            return {"Volume": {"Name": name, "Mountpoint": str(place), "Status": {"health": "good"}}, "Err": ""}
        return {"Mountpoint": str(place), "Err": ""}


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True

    def get_request(self):
        request, _ = super().get_request()
        return request, ("plugin", 0)


(root / "volumes").mkdir(parents=True, exist_ok=True)
if os.path.exists(socket_path):
    os.unlink(socket_path)
Server(socket_path, Handler).serve_forever()
