"""Lists of images for several platforms: made, annotated and pushed by `berth manifest`, and by the real `docker manifest`, to our registry and to
Debian's."""
import json
import shutil

import pytest

import engine as engines
from engine import run
from registries import registry  # noqa: F401 (a fixture)
from registry import DOCKER_LIST, DOCKER_MANIFEST, INDEX, MANIFEST, Registry
from test_save_load import archive, docker_archive, layer, load

pytestmark = pytest.mark.own
PLATFORMS = ("amd64", "arm64")


@pytest.fixture(scope="module")
def place(build, docker_client):
    made = engines.Engine(build).start()
    yield made
    made.remove()


@pytest.fixture(scope="module")
def images(place, registry):
    """One image a platform, in two repositories of the registry: architecture → reference."""
    made = {}
    for architecture in PLATFORMS:
        name = f"{registry.host}/{architecture}/app:1"
        done = load(place, archive(docker_archive([layer({"arch": architecture.encode()})], [name], architecture=architecture)))
        assert done.code == 0, done
        place.berth("push", "-q", name, check=True)
        made[architecture] = name
    return made


@pytest.fixture
def lists(place):
    """Where lists are while they are made."""
    directory = place.directory / "config/manifests"
    shutil.rmtree(directory, ignore_errors=True)
    return directory


def manifests(place, client, *arguments, **options):
    return getattr(place, client)("manifest", *arguments, **options)


def left(lists):
    return sorted(path.name for path in lists.glob("*"))


def seen(reference, *flags):
    return json.loads(run(["skopeo", "inspect", "--tls-verify=false", *flags, f"docker://{reference}"], check=True).out)


@pytest.mark.current_client
@pytest.mark.parametrize("client", ["berth", "docker"])
def test_a_list_is_made_and_pushed(place, registry, images, client, lists):
    ids = {architecture: seen(name, "--raw")["config"]["digest"] for architecture, name in images.items()}
    target = f"{registry.host}/{client}/list:1"
    created = manifests(place, client, "create", "--insecure", target, *images.values(), check=True)
    assert created.out == f"Created manifest list {target}\n"
    again = manifests(place, client, "create", "--insecure", target, images["amd64"])
    assert again.code == 1 and "refusing to amend an existing manifest list with no --amend flag" in again.err
    manifests(place, client, "create", "--insecure", "--amend", target, images["arm64"], check=True)
    manifests(place, client, "annotate", target, images["arm64"], "--variant", "v8", "--os-version", "1.2", check=True)
    shown = json.loads(manifests(place, client, "inspect", target, check=True).out)
    assert shown["mediaType"] == DOCKER_LIST and len(shown["manifests"]) == 2
    assert shown["manifests"][1]["platform"] == {"architecture": "arm64", "os": "linux", "variant": "v8", "os.version": "1.2"}
    one = json.loads(manifests(place, client, "inspect", target, images["arm64"], check=True).out)
    assert one["mediaType"] == DOCKER_MANIFEST and one["layers"]
    pushed = manifests(place, client, "push", "--insecure", "--purge", target, check=True)
    digest = pushed.out.splitlines()[-1]
    raw = seen(target, "--raw")
    assert [entry["platform"]["architecture"] for entry in raw["manifests"]] == list(PLATFORMS) and digest.startswith("sha256:")
    for entry in raw["manifests"]:  # brought along, with all their blobs
        assert seen(f"{registry.host}/{client}/list@{entry['digest']}", "--raw")["config"]["digest"] == ids[entry["platform"]["architecture"]]
    assert not left(lists)
    # It is what it is for an engine: each gets its own.
    place.berth("rmi", "-f", *images.values())
    place.berth("pull", "-q", target, check=True)
    assert place.inspect(target)["Architecture"] == "amd64"
    place.berth("pull", "-q", "--platform", "linux/arm64", target, check=True)
    assert place.inspect(target)["Architecture"] == "arm64"
    place.berth("rmi", "-f", target)
    # And as others see it: the same document by both commands.
    views = [json.loads(manifests(place, other, "inspect", "--insecure", target, check=True).out) for other in ("berth", "docker")]
    assert views[0] == views[1] and len(views[0]["manifests"]) == 2
    details = [json.loads(manifests(place, other, "inspect", "--insecure", "-v", target, check=True).out) for other in ("berth", "docker")]
    for ours, docker in zip(*details, strict=True):
        assert ours["Ref"] == docker["Ref"] and ours["Descriptor"] == docker["Descriptor"]
        assert ours["SchemaV2Manifest"] == docker["SchemaV2Manifest"]


def test_what_docker_began_goes_on_here(place, registry, images, lists):
    """Both keep lists in the same files."""
    target = f"{registry.host}/mixed/list:1"
    manifests(place, "docker", "create", "--insecure", target, images["amd64"], check=True)
    manifests(place, "berth", "create", "--insecure", "-a", target, images["arm64"], check=True)
    manifests(place, "docker", "annotate", target, images["arm64"], "--os-features", "one,two", check=True)
    views = [json.loads(manifests(place, other, "inspect", target, check=True).out) for other in ("berth", "docker")]
    assert views[0] == views[1] and views[0]["manifests"][1]["platform"]["os.features"] == ["one", "two"]
    manifests(place, "berth", "rm", target, check=True)
    gone = manifests(place, "berth", "rm", target)
    assert gone.code == 1 and gone.err == f"No such manifest: {target}\n"


def test_what_is_refused(place, registry, images, lists):
    target = f"{registry.host}/refused/list:1"
    cases = {
        ("inspect", f"{registry.host}/none:1"): f"no such manifest: {registry.host}/none:1",
        ("create", target, f"{registry.host}/none:1"): f"no such manifest: {registry.host}/none:1",
        ("annotate", target, images["amd64"], "--os", "linux"): f"manifest for image {images['amd64']} does not exist in {target}",
        ("push", target): f"No such manifest: {target}",
        ("inspect", "UPPER"): "repository name (library/UPPER) must be lowercase",
        ("create", target): "requires at least 2 arguments",
    }
    for words, text in cases.items():
        said = manifests(place, "berth", *words)
        assert said.code != 0 and text in said.err, (words, said)
    assert not left(lists)
    manifests(place, "berth", "create", target, images["amd64"], check=True)
    wrong = manifests(place, "berth", "annotate", target, images["amd64"], "--os", "nothing", "--arch", "neither")
    assert wrong.code == 1 and "unsupported os/arch combination: nothing/neither" in wrong.err
    other = f"localhost:{registry.host.split(':')[1]}/refused/list:1"
    manifests(place, "berth", "create", other, images["amd64"], check=True)
    far = manifests(place, "berth", "push", other)
    assert far.code == 1 and "cannot use source images from a different registry than the target image" in far.err


def test_oci_images_make_an_index(place, registry, lists):
    if not isinstance(registry, Registry):
        pytest.skip("one registry is enough")
    registry.push_image("oci/app", "1", b"not unpacked")
    target = f"{registry.host}/oci/app:list"
    manifests(place, "berth", "create", target, f"{registry.host}/oci/app:1", check=True)
    manifests(place, "berth", "push", target, check=True)
    answer = registry.get("/v2/oci/app/manifests/list")
    assert answer.headers["Content-Type"] == INDEX and answer.json["manifests"][0]["mediaType"] == MANIFEST
