"""What the OCI distribution specification 1.1 says that a registry must do, as tables: each row a request and what has to be answered. In the four
workflows of the specification: pull, push, content discovery, content management."""
import collections
import json
import re

import pytest

from registry import INDEX, MANIFEST, descriptor, digest_of, manifest_of
from test_distribution import registry  # noqa: F401 (a fixture)

pytestmark = pytest.mark.own

Row = collections.namedtuple("Row", "says method path status headers code body sends keeps", defaults=({}, None, None, {}, None))
OCTETS = {"Content-Type": "application/octet-stream"}
JSON = {"Content-Type": MANIFEST}
NOWHERE = "sha256:" + "f" * 64
EMPTY = b"{}"
CONFIG = json.dumps({"architecture": "amd64", "os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": []}}).encode()
LAYER = bytes(range(256)) * 40
FIRST, SECOND = LAYER[:4096], LAYER[4096:]
MANIFEST_BYTES = json.dumps(manifest_of(CONFIG, LAYER)).encode()
WITHOUT_LAYERS = json.dumps(manifest_of(CONFIG)).encode()
SUBJECT = descriptor(MANIFEST_BYTES, MANIFEST)


def artifact(kind, **members):
    """A manifest that refers to the image."""
    document = manifest_of(EMPTY, EMPTY, subject=SUBJECT, **members)
    document["config"]["mediaType"] = kind
    return json.dumps(document).encode()


BY_TYPE = artifact("application/vnd.oci.empty.v1+json", artifactType="application/x.signature", annotations={"who": "me"})
BY_CONFIG = artifact("application/x.sbom")
LISTED = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "artifactType": "application/x.index", "subject": SUBJECT,
                     "manifests": [SUBJECT]}).encode()
BLOB, CONFIG_BLOB, IMAGE = digest_of(LAYER), digest_of(CONFIG), digest_of(MANIFEST_BYTES)
BLOB_HEADERS = {"Docker-Content-Digest": BLOB, "Content-Length": str(len(LAYER))}
IMAGE_HEADERS = {"Docker-Content-Digest": IMAGE, "Content-Type": MANIFEST, "Content-Length": str(len(MANIFEST_BYTES))}
LOCATION = {"Location": r"(https?://[^/]+)?/v2/\S+"}
BEGUN = {**LOCATION, "Range": "0-0"}


def begin(repository="push"):
    return Row("an upload begins with 202 and a location", "POST", f"/v2/{repository}/blobs/uploads/", 202, LOCATION, keeps="upload")


def end(digest, body=None, **more):
    return Row("the upload is closed with 201 and where the blob is", "PUT", "{upload}?digest=" + digest, 201,
               {**LOCATION, "Docker-Content-Digest": digest}, body=body, sends=OCTETS, keeps="blob", **more)


def is_there(path, headers, body):
    return (Row("HEAD answers as GET does, without a body", "HEAD", path, 200, headers),
            Row("what was put is what comes", "GET", path, 200, {**headers, "=": body}))


def pages(answers):
    return lambda answer: answer.json["tags"] == answers


PULL = [
    Row("support of the specification is found at /v2/", "GET", "/v2/", 200),
    Row("a blob that is not there", "HEAD", f"/v2/pull/blobs/{NOWHERE}", 404),
    Row("a blob that is not there", "GET", f"/v2/pull/blobs/{NOWHERE}", 404, code="BLOB_UNKNOWN"),
    *is_there(f"/v2/pull/blobs/{BLOB}", BLOB_HEADERS, LAYER),
    Row("a part of a blob", "GET", f"/v2/pull/blobs/{BLOB}", 206, {"Content-Range": f"bytes 16-31/{len(LAYER)}", "=": LAYER[16:32]},
        sends={"Range": "bytes=16-31"}),
    Row("a part behind the end", "GET", f"/v2/pull/blobs/{BLOB}", 416, sends={"Range": f"bytes={len(LAYER)}-"}),
    Row("a manifest that is not there", "HEAD", f"/v2/pull/manifests/{NOWHERE}", 404),
    Row("a manifest that is not there", "GET", f"/v2/pull/manifests/{NOWHERE}", 404, code="MANIFEST_UNKNOWN"),
    Row("a tag that is not there", "HEAD", "/v2/pull/manifests/absent", 404),
    Row("a tag that is not there", "GET", "/v2/pull/manifests/absent", 404, code="MANIFEST_UNKNOWN"),
    Row("a repository that is not there", "GET", "/v2/never/pushed/manifests/v1", 404, code="(NAME|MANIFEST)_UNKNOWN"),
    *is_there("/v2/pull/manifests/v1", IMAGE_HEADERS, MANIFEST_BYTES),
    *is_there(f"/v2/pull/manifests/{IMAGE}", IMAGE_HEADERS, MANIFEST_BYTES),
    Row("a type that the client takes", "GET", "/v2/pull/manifests/v1", 200, IMAGE_HEADERS, sends={"Accept": f"{INDEX}, {MANIFEST}"}),
    Row("a name out of the grammar", "GET", "/v2/Pull/manifests/v1", 400, code="NAME_INVALID"),
    Row("a digest out of the grammar", "GET", "/v2/pull/blobs/sha256:abc", 400, code="DIGEST_INVALID"),
    Row("no such method", "PATCH", "/v2/pull/manifests/v1", 405, code="UNSUPPORTED"),
]

PUSH = [
    # in one piece, by POST and PUT
    begin(), end(BLOB, LAYER), *is_there("{blob}", BLOB_HEADERS, LAYER),
    # in one request
    Row("a blob in one request: 201 with its place", "POST", f"/v2/push/one/blobs/uploads/?digest={BLOB}", 201,
        {**LOCATION, "Docker-Content-Digest": BLOB}, body=LAYER, sends=OCTETS, keeps="blob"),
    *is_there("{blob}", BLOB_HEADERS, LAYER),
    # streamed, without saying where a part belongs
    begin("push/streamed"),
    Row("a stream is taken", "PATCH", "{upload}", 202, LOCATION, body=LAYER, sends=OCTETS, keeps="upload"),
    end(BLOB), *is_there("{blob}", BLOB_HEADERS, LAYER),
    # in chunks
    begin("push/chunks"),
    Row("an upload tells how far it is", "GET", "{upload}", 204, BEGUN, keeps="upload"),
    Row("a chunk out of order", "PATCH", "{upload}", 416, body=SECOND,
        sends={**OCTETS, "Content-Range": f"{len(FIRST)}-{len(LAYER) - 1}"}),
    Row("the first chunk", "PATCH", "{upload}", 202, {**LOCATION, "Range": f"0-{len(FIRST) - 1}"}, body=FIRST,
        sends={**OCTETS, "Content-Range": f"0-{len(FIRST) - 1}"}, keeps="upload"),
    Row("the first chunk again", "PATCH", "{upload}", 416, {"Range": f"0-{len(FIRST) - 1}"}, body=FIRST,
        sends={**OCTETS, "Content-Range": f"0-{len(FIRST) - 1}"}),
    Row("how far it is", "GET", "{upload}", 204, {**LOCATION, "Range": f"0-{len(FIRST) - 1}"}, keeps="upload"),
    Row("the second chunk", "PATCH", "{upload}", 202, {**LOCATION, "Range": f"0-{len(LAYER) - 1}"}, body=SECOND,
        sends={**OCTETS, "Content-Range": f"{len(FIRST)}-{len(LAYER) - 1}"}, keeps="upload"),
    end(BLOB), *is_there("{blob}", BLOB_HEADERS, LAYER),
    Row("a closed upload is gone", "GET", "{upload}", 404, code="BLOB_UPLOAD_UNKNOWN"),
    # the last chunk with the PUT
    begin("push/last"),
    Row("the first chunk", "PATCH", "{upload}", 202, LOCATION, body=FIRST, sends={**OCTETS, "Content-Range": f"0-{len(FIRST) - 1}"}, keeps="upload"),
    Row("the last chunk with the end", "PUT", "{upload}?digest=" + BLOB, 201, {**LOCATION, "Docker-Content-Digest": BLOB}, body=SECOND,
        sends={**OCTETS, "Content-Range": f"{len(FIRST)}-{len(LAYER) - 1}"}, keeps="blob"),
    *is_there("{blob}", BLOB_HEADERS, LAYER),
    # given up, or with another digest
    begin("push/never"),
    Row("an upload is cancelled", "DELETE", "{upload}", 204),
    Row("and is gone", "GET", "{upload}", 404, code="BLOB_UPLOAD_UNKNOWN"),
    begin("push/never"),
    Row("content that has another digest", "PUT", "{upload}?digest=" + NOWHERE, 400, code="DIGEST_INVALID", body=LAYER, sends=OCTETS),
    Row("and is not there", "HEAD", f"/v2/push/never/blobs/{NOWHERE}", 404),
    Row("nor is what was sent", "HEAD", f"/v2/push/never/blobs/{BLOB}", 404),
    # mounts
    Row("a blob is mounted", "POST", f"/v2/push/mounted/blobs/uploads/?mount={BLOB}&from=push", 201, LOCATION, keeps="blob"),
    *is_there("{blob}", BLOB_HEADERS, LAYER),
    Row("from where it is not: an upload", "POST", f"/v2/push/not-mounted/blobs/uploads/?mount={NOWHERE}&from=push", 202, LOCATION, keeps="upload"),
    end(CONFIG_BLOB, CONFIG),
    Row("mounted without saying from where", "POST", f"/v2/push/from-anywhere/blobs/uploads/?mount={BLOB}", 201, LOCATION),
    # manifests
    Row("the configuration", "POST", f"/v2/push/blobs/uploads/?digest={CONFIG_BLOB}", 201, body=CONFIG, sends=OCTETS),
    Row("a manifest whose blobs are missing", "PUT", "/v2/push/never/manifests/v1", 404, code="MANIFEST_BLOB_UNKNOWN", body=MANIFEST_BYTES, sends=JSON),
    Row("a manifest by its tag", "PUT", "/v2/push/manifests/v1", 201, {**LOCATION, "Docker-Content-Digest": IMAGE}, body=MANIFEST_BYTES, sends=JSON,
        keeps="manifest"),
    *is_there("{manifest}", IMAGE_HEADERS, MANIFEST_BYTES),
    Row("a manifest by its digest", "PUT", f"/v2/push/manifests/{IMAGE}", 201, {**LOCATION, "Docker-Content-Digest": IMAGE}, body=MANIFEST_BYTES,
        sends=JSON),
    Row("a manifest by another's digest", "PUT", f"/v2/push/manifests/{NOWHERE}", 400, code="DIGEST_INVALID", body=MANIFEST_BYTES, sends=JSON),
    Row("a manifest without layers", "PUT", "/v2/push/manifests/no-layers", 201, LOCATION, body=WITHOUT_LAYERS, sends=JSON),
    Row("no manifest at all", "PUT", "/v2/push/manifests/v2", 400, code="MANIFEST_INVALID", body=b"no", sends=JSON),
    Row("the longest tag", "PUT", "/v2/push/manifests/" + "t" * 128, 201, body=MANIFEST_BYTES, sends=JSON),
    Row("a longer one", "PUT", "/v2/push/manifests/" + "t" * 129, 400, body=MANIFEST_BYTES, sends=JSON),
    Row("a large manifest", "PUT", "/v2/push/manifests/large", 201, body=MANIFEST_BYTES + b" " * (4_000_000 - len(MANIFEST_BYTES)), sends=JSON),
    Row("one beyond the limit", "PUT", "/v2/push/manifests/larger", 413, body=MANIFEST_BYTES + b" " * 5_000_000, sends=JSON),
    # subjects
    Row("an empty descriptor's blob", "POST", f"/v2/push/blobs/uploads/?digest={digest_of(EMPTY)}", 201, body=EMPTY, sends=OCTETS),
    Row("a manifest with a subject: the answer names it", "PUT", f"/v2/push/manifests/{digest_of(BY_TYPE)}", 201, {"OCI-Subject": IMAGE}, body=BY_TYPE,
        sends=JSON),
    Row("an index with a subject", "PUT", f"/v2/push/manifests/{digest_of(LISTED)}", 201, {"OCI-Subject": IMAGE}, body=LISTED,
        sends={"Content-Type": INDEX}),
]


def refers(answer, *documents):
    listed = {one["digest"]: one for one in answer.json["manifests"]}
    return answer.json["schemaVersion"] == 2 and answer.json["mediaType"] == INDEX and set(listed) == {digest_of(one) for one in documents} \
        and all(listed[digest_of(one)]["size"] == len(one) for one in documents)


def types(answer):
    return sorted(one["artifactType"] for one in answer.json["manifests"]) == ["application/x.index", "application/x.sbom", "application/x.signature"] \
        and [one["annotations"] for one in answer.json["manifests"] if one["artifactType"] == "application/x.signature"] == [{"who": "me"}]


DISCOVERY = [
    Row("tags come sorted, 200", "GET", "/v2/find/tags/list", 200, {"?": pages(["v1", "v2", "v3", "v4"])}),
    Row("so many of them, and a link to the others", "GET", "/v2/find/tags/list?n=2", 200,
        {"?": pages(["v1", "v2"]), "Link": r'<[^>]*/v2/find/tags/list\?[^>]*>; *rel="next"'}),
    Row("those behind one", "GET", "/v2/find/tags/list?n=2&last=v2", 200, {"?": pages(["v3", "v4"])}),
    Row("those behind one that is no tag", "GET", "/v2/find/tags/list?last=v1x", 200, {"?": pages(["v2", "v3", "v4"])}),
    Row("none at all: an empty list and no link", "GET", "/v2/find/tags/list?n=0", 200, {"?": pages([]), "Link": None}),
    Row("tags of a repository that is not there", "GET", "/v2/nothing/here/tags/list", 404, code="NAME_UNKNOWN"),
    Row("what nothing refers to: an empty index, never 404", "GET", f"/v2/find/referrers/{NOWHERE}", 200,
        {"Content-Type": INDEX, "?": lambda answer: refers(answer)}),
    Row("what refers to an image", "GET", f"/v2/find/referrers/{IMAGE}", 200,
        {"Content-Type": INDEX, "?": lambda answer: refers(answer, BY_TYPE, BY_CONFIG, LISTED)}),
    Row("their types, also by their configuration, and their annotations", "GET", f"/v2/find/referrers/{IMAGE}", 200, {"?": types}),
    Row("of one type, and that this was looked at", "GET", f"/v2/find/referrers/{IMAGE}?artifactType=application/x.sbom", 200,
        {"?": lambda answer: refers(answer, BY_CONFIG), "OCI-Filters-Applied": "artifactType"}),
    Row("of a type that there is not", "GET", f"/v2/find/referrers/{IMAGE}?artifactType=x/none", 200,
        {"?": lambda answer: refers(answer), "OCI-Filters-Applied": "artifactType"}),
    Row("a digest out of the grammar", "GET", "/v2/find/referrers/v1", 400, code="DIGEST_INVALID"),
]

MANAGEMENT = [
    Row("a tag is deleted", "DELETE", "/v2/find/manifests/v4", 202),
    Row("and gone", "GET", "/v2/find/manifests/v4", 404, code="MANIFEST_UNKNOWN"),
    Row("and not listed", "GET", "/v2/find/tags/list", 200, {"?": pages(["v1", "v2", "v3"])}),
    Row("its manifest is there", "HEAD", f"/v2/find/manifests/{IMAGE}", 200, IMAGE_HEADERS),
    Row("a tag that is not there", "DELETE", "/v2/find/manifests/v4", 404, code="MANIFEST_UNKNOWN"),
    Row("what refers is deleted", "DELETE", f"/v2/find/manifests/{digest_of(BY_TYPE)}", 202),
    Row("and refers no more", "GET", f"/v2/find/referrers/{IMAGE}", 200, {"?": lambda answer: refers(answer, BY_CONFIG, LISTED)}),
    Row("an index is deleted before its parts", "DELETE", f"/v2/find/manifests/{digest_of(LISTED)}", 202),
    Row("a manifest is deleted", "DELETE", f"/v2/find/manifests/{IMAGE}", 202),
    Row("and gone", "GET", f"/v2/find/manifests/{IMAGE}", 404, code="MANIFEST_UNKNOWN"),
    Row("with its tags", "GET", "/v2/find/manifests/v1", 404, code="MANIFEST_UNKNOWN"),
    Row("a list without tags", "GET", "/v2/find/tags/list", 200, {"?": pages([])}),
    Row("a manifest that is not there", "DELETE", f"/v2/find/manifests/{IMAGE}", 404, code="MANIFEST_UNKNOWN"),
    Row("a blob is deleted", "DELETE", f"/v2/find/blobs/{BLOB}", 202),
    Row("and gone", "GET", f"/v2/find/blobs/{BLOB}", 404, code="BLOB_UNKNOWN"),
    Row("a blob that is not there", "DELETE", f"/v2/find/blobs/{BLOB}", 404, code="BLOB_UNKNOWN"),
    Row("others' blob of the same bytes stays", "HEAD", f"/v2/pull/blobs/{BLOB}", 200, BLOB_HEADERS),
]


def fill(registry, repository, *tags):
    for blob in (CONFIG, LAYER):
        registry.push_blob(repository, blob)
    for tag in tags:
        registry.push_manifest(repository, tag, MANIFEST_BYTES)


def problems(row, answer):
    """What is wrong with an answer."""
    if answer.status != row.status:
        yield f"status {answer.status}"
        return
    for name, wanted in row.headers.items():
        if name == "=" and answer.body != wanted:
            yield "other bytes"
        elif name == "?" and not wanted(answer):
            yield f"body {answer.body[:300]!r}"
        elif name not in "=?":
            found = answer.headers[name]
            if (found is None) != (wanted is None) or (found is not None and found != wanted and not re.fullmatch(wanted, found)):
                yield f"{name}: {found}"
    if answer.status >= 400 and row.method != "HEAD":
        errors = answer.json["errors"]
        if not errors or not all(re.fullmatch("[A-Z_]+", one["code"]) for one in errors) or (row.code and not re.fullmatch(row.code, answer.code)):
            yield f"errors {errors}"
    if row.method == "HEAD" and answer.body:
        yield "a body"


def tell(registry, rows):
    kept, wrong = {}, []
    for number, row in enumerate(rows):
        path = row.path.format_map(kept)
        if path.count("?") > 1:  # a location has a query of its own, which is kept
            path = "&".join(path.rsplit("?", 1))
        answer = registry.request(row.method, path, body=row.body, headers=row.sends)
        wrong += [f"row {number}: {row.says}: {row.method} {path}: {problem}" for problem in problems(row, answer)]
        if row.keeps and answer.headers["Location"]:
            kept[row.keeps] = re.sub("^https?://[^/]+", "", answer.headers["Location"])
    assert not wrong, "\n".join(wrong)


def test_pull(registry):
    fill(registry, "pull", "v1")
    tell(registry, PULL)


def test_push(registry):
    tell(registry, PUSH)


def test_content_discovery_and_management(registry):
    fill(registry, "pull", "v1")
    fill(registry, "find", "v3", "v1", "v4", "v2")
    registry.push_blob("find", EMPTY)
    for document, media_type in ((BY_TYPE, MANIFEST), (BY_CONFIG, MANIFEST), (LISTED, INDEX)):
        registry.push_manifest("find", None, document, media_type)
    tell(registry, DISCOVERY)
    tell(registry, MANAGEMENT)
