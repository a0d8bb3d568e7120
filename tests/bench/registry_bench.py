"""The registry beside Debian's docker-registry (when it is on PATH): requests and bytes per second over loopback, and peak memory."""
import json
import os
import pathlib
import shutil
import statistics
import subprocess

from engine import run, wait_until
from registry import MANIFEST, Registry, digest_of, manifest_of

SMALL, LARGE = 10_000, 64 * 2**20


class Peer(Registry):
    """docker-registry with its usual cache of descriptors."""

    def start(self):
        config = self.directory / "config.yml"
        config.write_text("version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\n"
                          f"storage: {{filesystem: {{rootdirectory: {self.root}}}, cache: {{blobdescriptor: inmemory}}}}\nhttp: {{addr: '{self.host}'}}\n")
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(["docker-registry", "serve", str(config)], stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        wait_until(self.listens, step_s=0.05, what="docker-registry listening")
        return self

    def remove(self):
        self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)

    def push_blob(self, repository, data, algorithm="sha256"):
        location = self.request("POST", f"/v2/{repository}/blobs/uploads/").headers["Location"]
        location = location[location.index("/v2/"):]
        answer = self.request("PUT", f"{location}&digest={digest_of(data)}", body=data)
        assert answer.status == 201, answer


def peak_memory(pid):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1])


def bench_registry(_engine, build, _docker, rounds):
    run(["ninja", "-C", build, "src/programs/http_load"], check=True)
    servers = {"berth-registry": Registry(build).start()}
    if shutil.which("docker-registry"):
        servers["docker-registry"] = Peer(build).start()
    small, large = os.urandom(SMALL), os.urandom(LARGE)
    loads = {  # name: path, connections, requests, what counts
        "manifests by tag, 1 connection": ("/v2/a/manifests/v1", 1, 4000, "requests"),
        "manifests by tag, 16 connections": ("/v2/a/manifests/v1", 16, 4000, "requests"),
        "blobs of 10 kB, 16 connections": (f"/v2/a/blobs/{digest_of(small)}", 16, 4000, "requests"),
        "blobs of 64 MiB, 4 connections": (f"/v2/a/blobs/{digest_of(large)}", 4, 16, "MiB"),
    }

    def measure(server, path, connections, count, what):
        done = run([build / "src/programs/http_load", server.port, path, connections, count, f"Accept: {MANIFEST}"], check=True)
        requests, seconds, size = map(float, done.out.split())
        return (requests if what == "requests" else size / 2**20) / seconds
    try:
        for server in servers.values():
            for data in (small, large, b"{}"):
                server.push_blob("a", data)
            server.push_manifest("a", "v1", json.dumps(manifest_of(b"{}", small, large)).encode())
        print(f"\nregistry over loopback, medians of {rounds // 8 or 1}, client on the same processors")
        for name, (path, connections, count, what) in loads.items():
            samples = {server: [] for server in servers}
            for _ in range(rounds // 8 or 1):
                for server in servers:
                    samples[server].append(measure(servers[server], path, connections, count, what))
            reference = statistics.median(samples["berth-registry"])
            for server, values in samples.items():
                median = statistics.median(values)
                print(f"  {name:<34} {server:<16} {median:9.0f} {what}/s   {reference / median:6.2f} x")
        for name, server in servers.items():
            print(f"  peak memory                        {name:<16} {peak_memory(server.process.pid):9} KB")
    finally:
        for server in servers.values():
            server.remove()
