"""Pushes that are disturbed: by the registry, by the network, by files that changed."""
import gzip
import hashlib
import json
import socket

import pytest

from fake_registry import add_image
from registries import fake  # noqa: F401 (a fixture)
from test_registry import forget, mirror, place  # noqa: F401 (fixtures)
from test_save_load import layer

pytestmark = pytest.mark.own


def pushed(fake, repository, tag):
    """The layers of what is there, as (digest, plain bytes)."""
    document = json.loads(fake.manifests[repository, tag][1])
    return [(one["digest"], gzip.decompress(fake.blobs[one["digest"]])) for one in document["layers"]]


def patches(fake, repository):
    return [r for r in fake.asked("PATCH", f"/v2/{repository}/")]


def build(place, tmp_path, name, **files):
    for file, data in files.items():
        (tmp_path / file).write_bytes(data)
    (tmp_path / "Dockerfile").write_text("FROM scratch\n" + "".join(f"COPY {file} /\n" for file in files))
    place.docker("build", "-q", "-t", name, tmp_path, check=True)


def test_layers_are_sent_while_they_are_made(place, fake, tmp_path):
    """The registry learns size and digest at the end; another registry gets the same bytes."""
    names = [f"{fake.host}/made/{i}:1" for i in range(2)]
    build(place, tmp_path, names[0], small=b"few", large=b"".join(hashlib.sha256(bytes([i % 256, i // 256])).digest() * 9 for i in range(30000)))
    place.docker("tag", names[0], names[1], check=True)
    place.docker("push", names[0], check=True)
    diff_ids = place.inspect(names[0])["RootFS"]["Layers"]
    first = pushed(fake, "made/0", "1")
    assert ["sha256:" + hashlib.sha256(plain).hexdigest() for _, plain in first] == diff_ids
    assert all(r.headers["Transfer-Encoding"] == "chunked" and "Content-Length" not in r.headers for r in patches(fake, "made/0"))
    assert len(patches(fake, "made/0")) == 2
    fake.blobs.clear()
    place.docker("push", names[1], check=True)
    assert pushed(fake, "made/1", "1") == first and len(patches(fake, "made/1")) == 2
    forget(place, *names)


@pytest.mark.parametrize("how", ["cut", "503", "401"])
def test_a_layer_is_made_again_for_another_attempt(place, fake, tmp_path, how):
    name, state = f"{fake.host}/again/{how}:1", {"left": 1}
    build(place, tmp_path, name, file=how.encode() * 100000)

    def disturb(request, handler):
        if request.method != "PATCH" or not state["left"]:
            return False
        state["left"] -= 1
        if how == "cut":
            handler.connection.shutdown(socket.SHUT_RDWR)
            handler.close_connection = True
        elif how == "503":
            fake.refuse(handler, 503, "UNAVAILABLE", "not now")
        else:
            fake.users = {"": ""}  # who asks gets a token
            fake.challenge(handler)
        return True
    fake.hook = disturb
    try:
        place.docker("push", name, check=True)
    finally:
        fake.hook = fake.users = None
    (layer_pushed,) = pushed(fake, f"again/{how}", "1")
    assert "sha256:" + hashlib.sha256(layer_pushed[1]).hexdigest() == place.inspect(name)["RootFS"]["Layers"][0]
    assert len(patches(fake, f"again/{how}")) == 2 and state["left"] == 0
    forget(place, name)


def test_a_refusal_is_no_reason_for_another_manifest(place, fake):
    """An image that came from elsewhere leaves as it came, or not at all."""
    entry, document = add_image(fake, "from/others", "kept", [layer({"a": b"kept as it came" * 99})], gzip.compress)
    name, target = f"{fake.host}/from/others:kept", f"{fake.host}/refused:1"
    place.docker("pull", "-q", name, check=True)
    place.docker("tag", name, target, check=True)
    fake.blobs.pop(document["layers"][0]["digest"])

    def refuse(request, handler):
        if request.method != "POST":
            return False
        fake.refuse(handler, 404, "NAME_UNKNOWN", "repository name not known to registry")
        return True
    fake.hook = refuse
    try:
        said = place.docker("push", target)
    finally:
        fake.hook = None
    assert said.code == 1 and "not known to registry" in said.out + said.err and ("refused", "1") not in fake.manifests
    assert len(fake.asked("POST", "/v2/refused/blobs/uploads/")) <= 2, "a new manifest is not tried"
    place.docker("push", target, check=True)
    assert fake.manifests["refused", "1"][1] == fake.manifests["from/others", "kept"][1]
    forget(place, name, target)


@pytest.mark.parametrize("is_known", [False, True], ids=["first", "again"])
def test_a_layer_that_was_damaged_is_not_pushed(place, fake, tmp_path, is_known):
    repository = f"damaged/{is_known}".lower()
    name, before = f"{fake.host}/{repository}:1", set((place.data / "layers").iterdir())
    build(place, tmp_path, name, file=b"whole " * 1000 + repository.encode())
    (made,) = set((place.data / "layers").iterdir()) - before
    if is_known:
        place.docker("push", name, check=True)
        fake.blobs.clear()
        del fake.manifests[repository, "1"]
    with open(made / "diff/file", "r+b") as file:
        file.write(b"hole")
    said = place.docker("push", name)
    assert said.code == 1 and "changed or damaged" in said.out + said.err, said
    assert (repository, "1") not in fake.manifests and not fake.blobs
    forget(place, name)


@pytest.mark.parametrize("answer, said", [
    ((202, {"Location": "http://user:word@{host}/v2/odd/blobs/uploads/0"}), "invalid URL"), ((202, {"Location": "ftp://{host}/x"}), "invalid URL"),
    ((202, {"Location": "http://elsewhere.example/x"}), "is plain HTTP"), ((202, {}), "without a location"), ((200, {}), "unexpected HTTP status: 200")])
def test_uploads_go_where_they_may(place, fake, tmp_path, answer, said):
    status, headers = answer
    name = f"{fake.host}/odd/location:1"
    build(place, tmp_path, name, file=b"goes nowhere")

    def lead_astray(request, handler):
        if request.method != "POST":
            return False
        fake.say(handler, status, **{key: value.format(host=fake.host) for key, value in headers.items()})
        return True
    fake.hook = lead_astray
    try:
        refused = place.docker("push", name)
    finally:
        fake.hook = None
    assert refused.code == 1 and said in refused.out + refused.err, refused
    assert not patches(fake, "odd") and ("odd/location", "1") not in fake.manifests
    forget(place, name)
