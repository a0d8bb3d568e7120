"""The registry's endpoints, one by one and in raw HTTP: what each answers, and what it refuses with which status and code."""
import json
import os
import socket
import subprocess
import urllib.parse

import pytest

from engine import LIMIT_S, run, wait_until
from registry import (DOCKER_LIST, DOCKER_MANIFEST, INDEX, MANIFEST, Registry, descriptor, digest_of, manifest_of)

pytestmark = pytest.mark.own

UNKNOWN = "sha256:" + "0" * 64


@pytest.fixture(scope="module")
def registry(build):
    made = Registry(build).start()
    yield made
    checked = made.verify()
    made.remove()
    assert checked.code == 0, checked


def begin(registry, repository="r"):
    answer = registry.request("POST", f"/v2/{repository}/blobs/uploads/")
    assert answer.status == 202 and answer.headers["Range"] == "0-0", answer
    assert answer.headers["Location"].endswith(answer.headers["Docker-Upload-UUID"])
    return answer.headers["Location"]


def patch(registry, location, data, span=None):
    headers = {"Content-Type": "application/octet-stream"}
    if span:
        headers["Content-Range"] = span
    return registry.request("PATCH", location, body=data, headers=headers)


# ---- who is there ----

def test_base(registry):
    for path in ("/v2/", "/v2"):
        answer = registry.get(path)
        assert answer.status == 200 and answer.json == {}
        assert answer.headers["Docker-Distribution-Api-Version"] == "registry/2.0"
    assert registry.get("/").status == 200
    assert registry.get("/elsewhere").status == 404


REFUSALS = [
    # method, path, status, code
    ("GET", "/v2/nothing/tags/list", 404, "NAME_UNKNOWN"),
    ("GET", "/v2/nothing/manifests/latest", 404, "MANIFEST_UNKNOWN"),
    ("GET", f"/v2/nothing/manifests/{UNKNOWN}", 404, "MANIFEST_UNKNOWN"),
    ("GET", "/v2/nothing/manifests/.no-tag", 404, "MANIFEST_UNKNOWN"),
    ("GET", "/v2/nothing/manifests/sha256:12", 400, "DIGEST_INVALID"),
    ("GET", f"/v2/nothing/blobs/{UNKNOWN}", 404, "BLOB_UNKNOWN"),
    ("GET", "/v2/nothing/blobs/sha256:12", 400, "DIGEST_INVALID"),
    ("GET", "/v2/nothing/blobs/md5:" + "0" * 32, 400, "DIGEST_INVALID"),
    ("GET", "/v2/NOTHING/tags/list", 400, "NAME_INVALID"),
    ("GET", "/v2/a/../b/tags/list", 400, "NAME_INVALID"),
    ("POST", "/v2/a//b/blobs/uploads/", 400, "NAME_INVALID"),
    ("GET", "/v2/nothing/blobs/uploads/00000000-0000-4000-8000-000000000000", 404, "BLOB_UPLOAD_UNKNOWN"),
    ("PATCH", "/v2/nothing/blobs/uploads/..", 404, "BLOB_UPLOAD_UNKNOWN"),
    ("PUT", f"/v2/nothing/blobs/uploads/x?digest={UNKNOWN}", 404, "BLOB_UPLOAD_UNKNOWN"),
    ("PUT", "/v2/nothing/blobs/uploads/x", 400, "DIGEST_INVALID"),
    ("DELETE", "/v2/nothing/blobs/uploads/x", 404, "BLOB_UPLOAD_UNKNOWN"),
    ("POST", "/v2/r/blobs/uploads/?digest=sha256:12", 400, "DIGEST_INVALID"),
    ("POST", "/v2/r/blobs/uploads/?mount=sha256:12", 400, "DIGEST_INVALID"),
    ("POST", "/v2/r/blobs/uploads/?digest-algorithm=md5", 400, "UNSUPPORTED"),
    ("DELETE", "/v2/nothing/manifests/latest", 404, "MANIFEST_UNKNOWN"),
    ("DELETE", f"/v2/nothing/manifests/{UNKNOWN}", 404, "MANIFEST_UNKNOWN"),
    ("DELETE", f"/v2/nothing/blobs/{UNKNOWN}", 404, "BLOB_UNKNOWN"),
    ("GET", "/v2/nothing/referrers/sha256:12", 400, "DIGEST_INVALID"),
    ("GET", "/v2/_catalog?n=x", 400, "PAGINATION_NUMBER_INVALID"),
    ("GET", "/v2/_catalog?n=-1", 400, "PAGINATION_NUMBER_INVALID"),
    ("POST", "/v2/_catalog", 405, "UNSUPPORTED"),
    ("POST", "/v2/r/manifests/latest", 405, "UNSUPPORTED"),
    ("PUT", "/v2/r/tags/list", 405, "UNSUPPORTED"),
    ("PUT", f"/v2/r/blobs/{UNKNOWN}", 405, "UNSUPPORTED"),
    ("PATCH", "/v2/r/blobs/uploads/", 405, "UNSUPPORTED"),
]


@pytest.mark.parametrize("method,path,status,code", REFUSALS)
def test_refusals(registry, method, path, status, code):
    answer = registry.request(method, path)
    assert (answer.status, answer.code) == (status, code), answer
    assert answer.headers["Content-Type"].startswith("application/json") and answer.json["errors"][0]["message"]
    assert (answer.headers["Allow"] is not None) == (status == 405)


# ---- blobs ----

@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_blob_in_one_request(registry, algorithm):
    data = os.urandom(100_000)
    digest = registry.push_blob("r", data, algorithm)
    answer = registry.get(f"/v2/r/blobs/{digest}")
    assert answer.status == 200 and answer.body == data
    assert answer.headers["Docker-Content-Digest"] == digest and answer.headers["ETag"] == f'"{digest}"'
    assert answer.headers["Content-Type"] == "application/octet-stream" and answer.headers["Accept-Ranges"] == "bytes"
    head = registry.request("HEAD", f"/v2/r/blobs/{urllib.parse.quote(digest)}")
    assert head.status == 200 and head.body == b"" and head.headers["Content-Length"] == "100000"
    assert registry.get(f"/v2/r/blobs/{digest}", If_None_Match=f'"{digest}"').status == 304
    assert registry.get(f"/v2/other/blobs/{digest}").code == "BLOB_UNKNOWN"


def test_blob_ranges(registry):
    data = os.urandom(200_000)
    path = f"/v2/r/blobs/{registry.push_blob('r', data)}"
    for asked, first, last in (("bytes=0-9", 0, 9), ("bytes=199990-", 199_990, 199_999), ("bytes=-5", 199_995, 199_999),
                               ("bytes=100-150000", 100, 150_000), ("bytes=5-999999", 5, 199_999)):
        answer = registry.get(path, Range=asked)
        assert answer.status == 206 and answer.body == data[first:last + 1], asked
        assert answer.headers["Content-Range"] == f"bytes {first}-{last}/200000"
    answer = registry.get(path, Range="bytes=200000-")
    assert answer.status == 416 and answer.headers["Content-Range"] == "bytes */200000"
    assert registry.get(path, Range="bytes=0-1,3-4").body == data
    assert registry.get(path, Range="bytes=0-1", If_Range='"another"').body == data


def test_blob_with_a_wrong_digest_leaves_nothing(registry):
    before = set((registry.root / "uploads").iterdir())
    answer = registry.request("POST", f"/v2/wrong/blobs/uploads/?digest={UNKNOWN}", body=b"x")
    assert (answer.status, answer.code) == (400, "DIGEST_INVALID")
    location = begin(registry, "wrong")
    assert patch(registry, location, b"x").status == 202
    assert registry.request("PUT", f"{location}?digest={UNKNOWN}").code == "DIGEST_INVALID"
    assert registry.get(location).code == "BLOB_UPLOAD_UNKNOWN"
    assert set((registry.root / "uploads").iterdir()) <= before
    assert registry.request("HEAD", f"/v2/wrong/blobs/{UNKNOWN}").status == 404


def test_blob_in_two_requests(registry):
    data = b"in two requests"
    digest = digest_of(data)
    answer = registry.request("PUT", f"{begin(registry)}?digest={digest}", body=data)
    assert answer.status == 201 and answer.headers["Docker-Content-Digest"] == digest
    assert registry.get(answer.headers["Location"]).body == data


def test_blob_in_pieces(registry):
    data = os.urandom(250_000)
    location = begin(registry)
    answer = patch(registry, location, data[:100_000], "0-99999")
    assert answer.status == 202 and answer.headers["Range"] == "0-99999"
    for wrong in ("0-99999", "100001-149999", "50-100"):
        answer = patch(registry, location, data[100_000:150_000], wrong)
        assert (answer.status, answer.code) == (416, "RANGE_INVALID"), wrong
        assert answer.headers["Range"] == "0-99999" and answer.headers["Location"] == location
    assert patch(registry, location, b"xx", "100000-149999").code == "SIZE_INVALID"
    assert patch(registry, location, b"xx", "about here").code == "BLOB_UPLOAD_INVALID"
    status = registry.get(location)
    assert status.status == 204 and status.headers["Range"] == "0-99999"
    assert patch(registry, location, iter([data[100_000:120_000], data[120_000:200_000]])).headers["Range"] == "0-199999"
    answer = registry.request("PUT", f"{location}?digest={digest_of(data)}", body=data[200_000:], headers={"Content-Range": "200000-249999"})
    assert answer.status == 201, answer
    assert registry.get(answer.headers["Location"]).body == data
    assert registry.get(location).status == 404


def test_upload_with_another_algorithm_than_foreseen(registry):
    location = begin(registry)
    patch(registry, location, b"content")
    digest = digest_of(b"content", "sha512")
    assert registry.request("PUT", f"{location}?digest={digest}").status == 201
    assert registry.get(f"/v2/r/blobs/{digest}").body == b"content"


def test_empty_blob(registry):
    digest = registry.push_blob("r", b"")
    answer = registry.get(f"/v2/r/blobs/{digest}")
    assert answer.status == 200 and answer.body == b""
    assert registry.get(f"/v2/r/blobs/{digest}", Range="bytes=0-").status == 416


def test_upload_is_cancelled(registry):
    location = begin(registry)
    patch(registry, location, b"gone")
    assert registry.request("DELETE", location).status == 204
    assert registry.get(location).status == 404
    assert registry.get(location.replace("/r/", "/other/")).status == 404


def test_upload_is_of_its_repository(registry):
    location = begin(registry, "mine")
    registry.push_blob("yours", b"x")
    assert registry.get(location.replace("/mine/", "/yours/")).code == "BLOB_UPLOAD_UNKNOWN"
    assert registry.get(location).status == 204


def test_upload_has_one_writer(registry):
    location = begin(registry)
    with socket.create_connection(("127.0.0.1", registry.port), timeout=LIMIT_S) as s:
        s.sendall(f"PATCH {location} HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n12345".encode())
        wait_until(lambda: registry.get(location).status == 409, what="the upload being written")
        assert patch(registry, location, b"x").code == "BLOB_UPLOAD_INVALID"
    # The first one has gone: what it sent counts, and the next may go on.
    wait_until(lambda: registry.get(location).status == 204, what="the upload being free")
    assert patch(registry, location, b"67890", "5-9").headers["Range"] == "0-9"
    assert registry.request("PUT", f"{location}?digest={digest_of(b'1234567890')}").status == 201


def test_mount(registry):
    digest = registry.push_blob("mount/from", b"to be mounted")
    answer = registry.request("POST", f"/v2/mount/to/blobs/uploads/?mount={digest}&from=mount/from")
    assert answer.status == 201 and answer.headers["Location"] == f"/v2/mount/to/blobs/{digest}"
    assert registry.get(answer.headers["Location"]).body == b"to be mounted"
    assert registry.request("POST", f"/v2/mount/auto/blobs/uploads/?mount={digest}").status == 201
    for query in (f"mount={digest}&from=mount/nowhere", f"mount={UNKNOWN}&from=mount/from", f"mount={UNKNOWN}"):
        answer = registry.request("POST", f"/v2/mount/to/blobs/uploads/?{query}")
        assert answer.status == 202 and answer.headers["Docker-Upload-UUID"], query


def test_blob_is_deleted(registry):
    digest = registry.push_blob("delete", b"a blob to delete")
    assert registry.request("DELETE", f"/v2/delete/blobs/{digest}").status == 202
    assert registry.get(f"/v2/delete/blobs/{digest}").status == 404
    assert registry.request("DELETE", f"/v2/delete/blobs/{digest}").code == "BLOB_UNKNOWN"
    registry.push_image("delete", "v1", b"a layer in use")
    answer = registry.request("DELETE", f"/v2/delete/blobs/{digest_of(b'a layer in use')}")
    assert (answer.status, answer.code) == (405, "DENIED")


# ---- manifests ----

def test_manifest(registry):
    digest = registry.push_image("m", "v1", b"layer one")
    by_tag = registry.get("/v2/m/manifests/v1")
    by_digest = registry.get(f"/v2/m/manifests/{digest}")
    assert by_tag.status == 200 and digest_of(by_tag.body) == digest and by_digest.body == by_tag.body
    for answer in (by_tag, by_digest, registry.request("HEAD", "/v2/m/manifests/v1")):
        assert answer.headers["Content-Type"] == MANIFEST
        assert answer.headers["Docker-Content-Digest"] == digest and answer.headers["ETag"] == f'"{digest}"'
        assert answer.headers["Content-Length"] == str(len(by_tag.body))
    assert registry.get("/v2/m/manifests/v1", If_None_Match=f'"{digest}"').status == 304
    assert registry.get("/v2/m/manifests/v1", If_None_Match='"other"').status == 200


@pytest.mark.parametrize("accept,status", [
    (MANIFEST, 200), (f"{DOCKER_MANIFEST}, {MANIFEST};q=0.5", 200), ("*/*", 200), ("application/*", 200), (DOCKER_MANIFEST, 404), ("text/html", 404)])
def test_manifest_types_are_negotiated(registry, accept, status):
    registry.push_image("accept", "v1", b"layer")
    answer = registry.get("/v2/accept/manifests/v1", Accept=accept)
    assert answer.status == status and (status == 200 or answer.code == "MANIFEST_UNKNOWN")


def test_docker_types(registry):
    for blob in (b"config", b"layer"):
        registry.push_blob("docker", blob)
    manifest = json.dumps({"schemaVersion": 2, "mediaType": DOCKER_MANIFEST,
                           "config": descriptor(b"config", "application/vnd.docker.container.image.v1+json"),
                           "layers": [descriptor(b"layer", "application/vnd.docker.image.rootfs.diff.tar.gzip")]}).encode()
    registry.push_manifest("docker", None, manifest, DOCKER_MANIFEST)
    index = {"schemaVersion": 2, "mediaType": DOCKER_LIST, "manifests": [
        {**descriptor(manifest, DOCKER_MANIFEST), "platform": {"architecture": "amd64", "os": "linux"}}]}
    registry.push_manifest("docker", "multi", index, DOCKER_LIST)
    assert registry.get("/v2/docker/manifests/multi").headers["Content-Type"] == DOCKER_LIST


def put(registry, reference, document, media_type=MANIFEST, repository="bad"):
    data = document if isinstance(document, bytes) else json.dumps(document).encode()
    return registry.request("PUT", f"/v2/{repository}/manifests/{reference}", body=data, headers={"Content-Type": media_type})


def test_manifests_are_checked(registry):
    for blob in (b"config", b"layer"):
        registry.push_blob("bad", blob)
    good = manifest_of(b"config", b"layer")
    wrong_size = manifest_of(b"config", b"layer")
    wrong_size["layers"][0]["size"] += 1
    for reference, document, media_type, status, code in (
            ("v1", manifest_of(b"config", b"missing"), MANIFEST, 404, "MANIFEST_BLOB_UNKNOWN"),
            ("v1", manifest_of(b"missing", b"layer"), MANIFEST, 404, "MANIFEST_BLOB_UNKNOWN"),
            ("v1", {"schemaVersion": 2, "manifests": [descriptor(b"missing", MANIFEST)]}, INDEX, 404, "MANIFEST_BLOB_UNKNOWN"),
            ("v1", wrong_size, MANIFEST, 400, "MANIFEST_INVALID"),
            ("v1", b"{", MANIFEST, 400, "MANIFEST_INVALID"),
            ("v1", good, INDEX, 400, "MANIFEST_INVALID"),
            ("v1", good, "application/vnd.docker.distribution.manifest.v1+prettyjws", 400, "MANIFEST_INVALID"),
            ("v1", {"schemaVersion": 1}, "application/vnd.docker.distribution.manifest.v1+prettyjws", 415, "MANIFEST_INVALID"),
            ("v1", {"schemaVersion": 2}, "text/plain", 415, "MANIFEST_INVALID"),
            ("-v1", good, MANIFEST, 400, "TAG_INVALID"),
            ("x" * 129, good, MANIFEST, 400, "TAG_INVALID"),
            (UNKNOWN, good, MANIFEST, 400, "DIGEST_INVALID"),
            ("v1", b" " * (4 * 1024 * 1024 + 1), MANIFEST, 413, "MANIFEST_INVALID")):
        answer = put(registry, reference, document, media_type)
        assert (answer.status, answer.code) == (status, code), (reference, document[:100] if isinstance(document, bytes) else document, answer)
    assert put(registry, "v1", manifest_of(b"config", b"missing")).json["errors"][0]["detail"] == digest_of(b"missing")
    assert registry.get("/v2/bad/tags/list").json["tags"] == []
    assert put(registry, "v1", good).status == 201


def test_manifest_of_a_blob_elsewhere_is_refused(registry):
    registry.push_blob("elsewhere", b"only elsewhere")
    registry.push_blob("here", b"config")
    assert put(registry, "v1", manifest_of(b"config", b"only elsewhere"), repository="here").code == "MANIFEST_BLOB_UNKNOWN"


def test_manifest_by_sha512_and_with_tags(registry):
    registry.push_blob("tags512", b"config")
    data = json.dumps(manifest_of(b"config")).encode()
    digest = digest_of(data, "sha512")
    answer = put(registry, f"{digest}?tag=a&tag=b", data, repository="tags512")
    assert answer.status == 201 and answer.headers["Docker-Content-Digest"] == digest and answer.headers["OCI-Tag"] == "a, b"
    assert registry.get("/v2/tags512/manifests/b").headers["Docker-Content-Digest"] == digest
    assert put(registry, f"{digest}?tag=-", data, repository="tags512").code == "TAG_INVALID"


def test_manifests_and_tags_are_deleted(registry):
    one = registry.push_image("del", "a", b"one")
    registry.push_manifest("del", "b", registry.get("/v2/del/manifests/a").body)
    other = registry.push_image("del", "c", b"other")
    assert registry.request("DELETE", "/v2/del/manifests/a").status == 202
    assert registry.get("/v2/del/manifests/a").status == 404
    assert registry.get("/v2/del/tags/list").json == {"name": "del", "tags": ["b", "c"]}
    assert registry.get(f"/v2/del/manifests/{one}").status == 200
    assert registry.request("DELETE", f"/v2/del/manifests/{one}").status == 202
    assert registry.get("/v2/del/manifests/b").status == 404 and registry.get(f"/v2/del/manifests/{one}").status == 404
    index = {"schemaVersion": 2, "manifests": [{"mediaType": MANIFEST, "digest": other, "size": len(registry.get("/v2/del/manifests/c").body)}]}
    listed = registry.push_manifest("del", "i", index, INDEX)
    answer = registry.request("DELETE", f"/v2/del/manifests/{other}")
    assert (answer.status, answer.code) == (405, "DENIED")
    assert registry.request("DELETE", f"/v2/del/manifests/{listed}").status == 202
    assert registry.request("DELETE", f"/v2/del/manifests/{other}").status == 202
    assert registry.get("/v2/del/tags/list").json["tags"] == []


# ---- lists ----

def follow(registry, path, key):
    """All pages, as a client walks them."""
    found, pages = [], 0
    while path:
        answer = registry.get(path)
        assert answer.status == 200, answer
        found += answer.json[key]
        link = answer.headers["Link"]
        path = link[1:link.index(">")] if link else None
        assert not link or link.endswith('; rel="next"')
        pages += 1
    return found, pages


def test_tags_come_sorted_and_in_pages(registry):
    names = ["B", "Z", "a", "a.1", "b", "c_", "z"]
    for name in reversed(names):
        registry.push_image("pages", name, b"layer")
    assert registry.get("/v2/pages/tags/list").json == {"name": "pages", "tags": names}
    assert follow(registry, "/v2/pages/tags/list?n=3", "tags") == (names, 3)
    assert follow(registry, "/v2/pages/tags/list?n=7", "tags") == (names, 1)
    assert registry.get("/v2/pages/tags/list?n=2&last=a").json["tags"] == ["a.1", "b"]
    none = registry.get("/v2/pages/tags/list?n=0")
    assert none.json["tags"] == [] and not none.headers["Link"]


def test_catalog(registry):
    for name in ("catalog/b", "catalog/a", "catalog/c"):
        registry.push_image(name, "v1", b"layer")
    registry.push_blob("catalog/blobs-only", b"x")
    listed, pages = follow(registry, "/v2/_catalog?n=2", "repositories")
    assert listed == sorted(listed) and pages > 1
    assert [name for name in listed if name.startswith("catalog/")] == ["catalog/a", "catalog/b", "catalog/c"]


def test_referrers(registry):
    subject = registry.push_image("ref", "v1", b"layer")
    size = len(registry.get("/v2/ref/manifests/v1").body)
    assert registry.get(f"/v2/ref/referrers/{subject}").json["manifests"] == []
    registry.push_blob("ref", b"{}")
    made = []
    for kind in ("signature", "sbom"):
        document = json.dumps(manifest_of(b"{}", artifactType=f"application/x.{kind}", annotations={"kind": kind},
                                          subject={"mediaType": MANIFEST, "digest": subject, "size": size})).encode()
        answer = put(registry, digest_of(document), document, repository="ref")
        assert answer.status == 201 and answer.headers["OCI-Subject"] == subject
        made.append({"mediaType": MANIFEST, "digest": digest_of(document), "size": len(document), "artifactType": f"application/x.{kind}",
                     "annotations": {"kind": kind}})
    answer = registry.get(f"/v2/ref/referrers/{subject}")
    assert answer.headers["Content-Type"] == INDEX and answer.json["schemaVersion"] == 2 and answer.json["mediaType"] == INDEX
    assert answer.json["manifests"] == sorted(made, key=lambda m: m["digest"]) and not answer.headers["OCI-Filters-Applied"]
    answer = registry.get(f"/v2/ref/referrers/{subject}?artifactType=application/x.sbom")
    assert answer.headers["OCI-Filters-Applied"] == "artifactType" and answer.json["manifests"] == made[1:]
    assert registry.request("DELETE", f"/v2/ref/manifests/{made[0]['digest']}").status == 202
    assert registry.get(f"/v2/ref/referrers/{subject}").json["manifests"] == made[1:]
    assert registry.get(f"/v2/nowhere/referrers/{UNKNOWN}").json["manifests"] == []


def test_subject_may_come_later(registry):
    registry.push_blob("later", b"{}")
    subject = manifest_of(b"{}")
    data = json.dumps(subject).encode()
    document = manifest_of(b"{}", artifactType="a/b", subject=descriptor(data, MANIFEST))
    registry.push_manifest("later", None, document)
    assert len(registry.get(f"/v2/later/referrers/{digest_of(data)}").json["manifests"]) == 1


# ---- settings ----

def test_read_only_and_no_delete(build):
    writable = Registry(build, "--no-delete").start()
    try:
        digest = writable.push_image("r", "v1", b"layer")
        answer = writable.request("DELETE", "/v2/r/manifests/v1")
        assert (answer.status, answer.code) == (405, "UNSUPPORTED")
        writable.stop()
        writable.flags = ["--read-only"]
        writable.start()
        assert writable.get("/v2/r/manifests/v1").headers["Docker-Content-Digest"] == digest
        for method, path in (("POST", "/v2/r/blobs/uploads/"), ("PUT", "/v2/r/manifests/v2"), ("DELETE", "/v2/r/manifests/v1")):
            assert writable.request(method, path).status == 405
    finally:
        writable.remove()


def test_limits(build):
    small = Registry(build, "--max-blob-size", "1k", "--max-uploads", "2", "--max-writers", "1", "--allow-sparse-index").start()
    try:
        answer = small.request("POST", f"/v2/r/blobs/uploads/?digest={digest_of(b'x' * 1025)}", body=b"x" * 1025)
        assert (answer.status, answer.code) == (413, "SIZE_INVALID")
        assert small.push_blob("r", b"x" * 1024)
        locations = [begin(small), begin(small)]
        answer = small.request("POST", "/v2/r/blobs/uploads/")
        assert (answer.status, answer.code) == (429, "TOOMANYREQUESTS") and answer.headers["Retry-After"]
        with socket.create_connection(("127.0.0.1", small.port), timeout=LIMIT_S) as s:
            s.sendall(f"PATCH {locations[0]} HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n12345".encode())
            wait_until(lambda: small.get(locations[0]).status == 409, what="the upload being written")
            assert patch(small, locations[1], b"x").code == "TOOMANYREQUESTS"
            assert put(small, "v1", manifest_of(b"x")).code == "TOOMANYREQUESTS"
        index = json.dumps({"schemaVersion": 2, "manifests": [descriptor(b"missing", MANIFEST)]})
        wait_until(lambda: small.request("PUT", "/v2/r/manifests/v1", body=index, headers={"Content-Type": INDEX}).status == 201,
                   what="a place for a further push once the client is gone")
    finally:
        small.remove()


@pytest.mark.parametrize("arguments,said", [
    ([], "--root is needed"), (["--root", "/x", "--nonsense"], "unknown flag"), (["--root"], "needs an argument"), (["fly"], "unknown command"),
    (["--root", "/x", "--gc-interval", "often"], "--gc-interval"), (["--root", "/x", "--tls-cert", "c"], "go together")])
def test_wrong_settings(build, arguments, said):
    result = run([build / "berth-registry", *arguments])
    assert result.code == 1 and said in result.err


def test_one_server_per_root(build, registry):
    result = registry.command("serve", "--listen", "127.0.0.1:0")
    assert result.code == 1 and "another registry has" in result.err


def test_configuration_file(build, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"read-only": True, "max-uploads": 5, "gc-interval": "0"}))
    made = Registry(build, "--config", tmp_path / "config.json").start()
    try:
        assert made.request("POST", "/v2/r/blobs/uploads/").status == 405
        (tmp_path / "config.json").write_text('{"rot": "/x"}')
        result = made.command("verify", "--config", tmp_path / "config.json")
        assert result.code == 1 and "rot" in result.err
    finally:
        made.remove()


# ---- other people's clients ----

@pytest.fixture(scope="module")
def layout(tmp_path_factory):
    """An image by hand, in an OCI layout: two layers and a configuration."""
    place = tmp_path_factory.mktemp("layout")
    (place / "blobs/sha256").mkdir(parents=True)

    def store(data):
        (place / "blobs/sha256" / digest_of(data)[7:]).write_bytes(data)
        return data
    layers = []
    for name in ("one", "two"):
        (place / name).write_text(name)
        layers.append(store(subprocess.run(["tar", "-C", place, "-cf", "-", name], check=True, capture_output=True).stdout))
    config = store(json.dumps({"architecture": "amd64", "os": "linux", "config": {"Cmd": ["x"]},
                               "rootfs": {"type": "layers", "diff_ids": [digest_of(layer) for layer in layers]}}).encode())
    manifest = store(json.dumps(manifest_of(config, *layers)).encode())
    (place / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    (place / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [
        {**descriptor(manifest, MANIFEST), "annotations": {"org.opencontainers.image.ref.name": "v1"}}]}))
    return place


@pytest.mark.parametrize("form", ["oci", "v2s2"])
def test_skopeo_copies_both_ways(registry, layout, tmp_path, form):
    name = f"docker://{registry.host}/skopeo/{form}:v1"
    run(["skopeo", "copy", "-q", "--format", form, "--dest-tls-verify=false", f"oci:{layout}:v1", name], check=True)
    run(["skopeo", "copy", "-q", "--src-tls-verify=false", name, f"oci:{tmp_path}/back:v1"], check=True)
    back = json.loads(run(["skopeo", "inspect", f"oci:{tmp_path}/back:v1"], check=True).out)
    assert back["Layers"] and registry.get(f"/v2/skopeo/{form}/manifests/v1").status == 200
    for layer in back["Layers"]:
        assert registry.request("HEAD", f"/v2/skopeo/{form}/blobs/{layer}").status in (200, 404)
    listed = json.loads(run(["skopeo", "list-tags", "--tls-verify=false", f"docker://{registry.host}/skopeo/{form}"], check=True).out)
    assert listed["Tags"] == ["v1"]
    run(["skopeo", "copy", "-q", "--src-tls-verify=false", "--dest-tls-verify=false", name, f"docker://{registry.host}/skopeo/{form}-copy:v2"], check=True)
    run(["skopeo", "delete", "--tls-verify=false", name], check=True)
    assert registry.get(f"/v2/skopeo/{form}/manifests/v1").status == 404


def test_an_engine_pushes_and_pulls(registry, engine, docker_client):
    """Docker's command and our engine: push, push elsewhere by mounts, pull by tag and by digest."""
    if not engine.is_ours:
        pytest.skip("another engine may not trust a registry without TLS")
    names = [f"{registry.host}/engine/one:v1", f"{registry.host}/engine/two:v1"]
    try:
        for name in names:
            assert engine.docker("tag", "busybox", name).code == 0
            pushed = engine.docker("push", name)
            assert pushed.code == 0, pushed
        manifest = registry.get("/v2/engine/one/manifests/v1")
        assert f"digest: {manifest.headers['Docker-Content-Digest']}" in pushed.out and "Mounted from engine/one" in pushed.out
        for layer in manifest.json["layers"]:
            assert registry.request("HEAD", f"/v2/engine/two/blobs/{layer['digest']}").headers["Content-Length"] == str(layer["size"])
        engine.docker("rmi", *names)
        by_digest = f"{registry.host}/engine/two@{manifest.headers['Docker-Content-Digest']}"
        for name in (names[0], by_digest):
            pulled = engine.docker("pull", name)
            assert pulled.code == 0 and manifest.headers["Docker-Content-Digest"] in pulled.out, pulled
        missing = engine.docker("pull", f"{registry.host}/engine/none:v1")
        assert missing.code == 1 and "not found" in missing.err
        names.append(by_digest)
    finally:
        engine.docker("rmi", *names)
