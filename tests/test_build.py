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
from engine import run, wait_until
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
    return Api(engine.socket)


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
