"""Steps of builds made elsewhere: --cache-from and --cache-to by way of images, and where images go."""
import concurrent.futures
import json
import os

import pytest

from buildkit_client import Client
from raw_api import Api
from test_build import build, context

pytestmark = pytest.mark.own


@pytest.fixture
def project(tmp_path):
    path = tmp_path / "project"
    path.mkdir()
    (path / "file").write_text("one\n")
    (path / "Dockerfile").write_text("FROM busybox\nENV A=1\nCOPY file /file\nRUN --mount=type=cache,target=/c date +%s%N > /when\nWORKDIR /made\nLABEL x=y\n")
    return path


def forget(engine, *names):
    """The engine is as good as another one: it knows neither image nor steps."""
    for name in names:
        engine.berth("rmi", "-f", name)
    engine.berth("builder", "prune", "-a", "-f", check=True)


def build_it(engine, project, *options):
    done = engine.berth("build", "--progress=plain", "-t", "again", *options, str(project))
    assert done.code == 0, done
    return done, engine.inspect("again")["Id"]


def test_an_image_of_a_registry_is_a_cache(engine, registry, project):
    name = f"localhost:{registry.port}/cached:1"
    _, first = build_it(engine, project, "--cache-to", f"type=registry,ref={name},mode=min", "--cache-to", "type=inline")
    forget(engine, "again", name)
    done, second = build_it(engine, project, "--cache-from", name)
    assert done.out.count("CACHED") == 5 and second == first, done
    forget(engine, "again", name)
    (project / "file").write_text("two\n")
    done, third = build_it(engine, project, "--cache-from", f"type=registry,ref={name}")
    assert done.out.count("CACHED") == 1 and third != first, done
    assert engine.berth("run", "--rm", "again", "cat", "/file", check=True).out == "two\n"


def test_a_directory_is_a_cache(engine, project, tmp_path):
    _, first = build_it(engine, project, "--cache-to", f"type=local,dest={tmp_path}/cache")
    assert json.loads((tmp_path / "cache/index.json").read_text())["manifests"]
    forget(engine, "again")
    done, second = build_it(engine, project, "--cache-from", f"type=local,src={tmp_path}/cache")
    assert done.out.count("CACHED") == 5 and second == first, done


def test_a_cache_leaves_no_images(engine, project, stages, tmp_path):
    """What was brought from a directory is there for the build alone; what is the same as an image that was there, or is made by the build, stays."""
    for number, directory in enumerate((project, stages)):
        build_it(engine, directory, "--cache-to", f"type=local,dest={tmp_path}/cache-{number},mode=max")
        engine.berth("build", "-t", "named", "-o", f"type=oci,tar=false,dest={tmp_path}/min-{number}", str(directory), check=True)
        engine.berth("rmi", "named", check=True)
    assert "named" in (tmp_path / "min-0/index.json").read_text(), "the directory names its image"
    engine.berth("tag", "again", "kept", check=True)
    before = set(engine.berth("images", "-aq", "--no-trunc", check=True).out.split())
    (project / "file").write_text("three\n")
    done, third = build_it(engine, project, *(f"--cache-from=type=local,src={tmp_path}/{place}-{number}" for place in ("cache", "min") for number in range(2)))
    assert "CACHED" in done.out and engine.inspect("again")["Id"] == third
    assert set(engine.berth("images", "-aq", "--no-trunc", check=True).out.split()) - {third} <= before
    assert engine.inspect("kept")["Id"] in before and engine.berth("inspect", "named").code == 1
    engine.berth("rmi", "kept", check=True)
    # Without a name it is the build's own, though the cache brought the same before.
    forget(engine, "again")
    done = engine.berth("build", "-q", f"--cache-from=type=local,src={tmp_path}/cache-1", str(stages), check=True)
    assert done.out.strip() in engine.berth("images", "-aq", "--no-trunc", check=True).out.split()
    engine.berth("rmi", done.out.strip(), check=True)
    assert engine.verify().code == 0


def test_the_api_has_it_too(engine, registry, project):
    name = f"localhost:{registry.port}/cached:api"
    tar = context(D="FROM busybox\nRUN date +%s%N > /when\nENV A=1\n")
    api = Api(engine.socket)
    first = build(api, tar, "D", t=name)
    engine.berth("push", "-q", name, check=True)
    forget(engine, name)
    second = build(api, tar, "D", cachefrom=[name])
    assert second.id == first.id and second.out.count("Using cache") == 2, second
    forget(engine, name)
    without = build(api, tar, "D", cachefrom=[f"localhost:{registry.port}/gone:1"])
    assert without.id and without.id != first.id and "[Warning] cache-from" in without.out, without


def test_what_a_history_does_not_tell_is_done_anew(engine, project):
    """Steps that look alike in a history and are not."""
    (project / "Dockerfile").write_text("FROM busybox\nRUN --mount=source=file,target=/f cat /f > /copy\n")
    build_it(engine, project)
    engine.berth("tag", "again", "kept:bind", check=True)
    engine.berth("builder", "prune", "-a", "-f", check=True)
    (project / "file").write_text("other\n")
    done, _ = build_it(engine, project, "--cache-from", "kept:bind")
    assert "CACHED" not in done.out and engine.berth("run", "--rm", "again", "cat", "/copy").out == "other\n"
    (project / "Dockerfile").write_text("FROM busybox\nRUN ip link > /links\n")
    build_it(engine, project)
    engine.berth("tag", "again", "kept:net", check=True)
    engine.berth("builder", "prune", "-a", "-f", check=True)
    done, _ = build_it(engine, project, "--cache-from", "kept:net", "--network", "none")
    assert "CACHED" not in done.out
    done, _ = build_it(engine, project, "--cache-from", "kept:net", "--no-cache")
    assert "CACHED" not in done.out


@pytest.mark.parametrize("options, text", [
    (["--cache-from", "type=gha"], "cache type gha"), (["--cache-from", "type=inline"], "cache type inline"), (["--cache-to", "type=s3"], "cache type s3"),
    (["--cache-to", "type=registry,ref=x,mode=mid"], "mode=mid"), (["--cache-to", "type=inline,mode=max"], "mode=max needs"), (["--cache-to", "type=registry"], "needs ref="), (["--cache-to", "type=local"], "needs dest="),
    (["--cache-from", "type=local"], "needs src="), (["--cache-from", "UPPER"], "UPPER"), (["--cache-to", "type=local,colour=red"], "colour=red"),
    (["--push"], "needs a name"), (["-o", "type=oci,tar=false"], "dest is required"),
    (["-o", "type=local,dest=x,push=true"], "are for images"), (["-o", "type=image,push=odd"], "odd"),
])
def test_wrong_words(engine, project, options, text):
    done = engine.berth("build", *options, str(project))
    assert done.code != 0 and text in done.err, done


def test_a_cache_that_cannot_be_had(engine, registry, project, tmp_path):
    done, _ = build_it(engine, project, "--cache-from", f"localhost:{registry.port}/gone:1", "--cache-from", f"type=local,src={tmp_path}/gone")
    assert "cache-from" in done.err


def test_where_images_go(engine, registry, project, tmp_path):
    names = [f"localhost:{registry.port}/out:{i}" for i in range(3)]
    done = engine.berth("build", "-q", "--push", "-t", names[0], "-t", names[1], "--provenance=false", "--sbom=false", "--metadata-file", str(tmp_path / "metadata"), str(project))
    assert done.code == 0, done
    assert json.loads((tmp_path / "metadata").read_text())["image.name"] == ",".join(names[:2])
    engine.berth("build", "-q", "-o", f"type=registry,name={names[2]}", str(project), check=True)
    first = engine.inspect(names[0])["Id"]
    forget(engine, *names)
    for name in names:
        engine.berth("pull", "-q", name, check=True)
        assert engine.inspect(name)["Id"] == first
    engine.berth("build", "-q", "-o", f"type=oci,tar=false,dest={tmp_path}/layout", str(project), check=True)
    assert os.path.exists(tmp_path / "layout/oci-layout") and os.listdir(tmp_path / "layout/blobs/sha256")


STAGES = """FROM busybox AS tools
RUN date +%s%N > /tool
FROM tools AS part
COPY --link file /linked
RUN --mount=type=bind,source=file,target=/m date +%s%N > /made && cat /m >> /made
FROM busybox
ENV A=1
COPY --from=part /made /linked /tool /all/
RUN --network=none date +%s%N > /when
"""


@pytest.fixture
def stages(project):
    (project / "Dockerfile").write_text(STAGES)
    return project


@pytest.mark.parametrize("kind", ["registry", "local"])
def test_the_same_cache_by_several_builds_at_once(engine, registry, stages, tmp_path, kind):
    """Each has images of its own, which go when it is done with them."""
    build_it(engine, stages)
    images = set(engine.berth("images", "-aq", check=True).out.split())

    def place(number):
        return f"ref=localhost:{registry.port}/cached:at-once-{number}" if kind == "registry" else f"dest={tmp_path}/cache-{number}"

    def one(number):
        return engine.berth("build", "-q", "-t", f"again-{number}", "--cache-to", f"type={kind},{place(number)},mode=max", str(stages))

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for done in pool.map(one, range(12)):
            assert done.code == 0, done
    assert set(engine.berth("images", "-aq", check=True).out.split()) == images
    forget(engine, "again", *(f"again-{i}" for i in range(12)))
    done, _ = build_it(engine, stages, "--cache-from", f"type={kind},{place(11).replace('dest=', 'src=')}")
    assert done.out.count("CACHED") == 6, done


@pytest.mark.parametrize("kind", ["registry", "local"])
def test_steps_of_all_stages(engine, registry, stages, tmp_path, kind):
    name = f"localhost:{registry.port}/cached:{kind}-max"
    place = {"registry": (f"ref={name}", f"ref={name}"), "local": (f"dest={tmp_path}/max", f"src={tmp_path}/max")}[kind]
    before = engine.berth("images", "-aq", check=True).out.split()
    _, first = build_it(engine, stages, "--cache-to", f"type={kind},{place[0]},mode=max")
    left = set(engine.berth("images", "-aq", check=True).out.split()) - set(before)
    assert {image[:12] for image in left} <= {first.split(":")[1][:12]}, "images of the cache alone do not stay"
    forget(engine, "again", name)
    done, second = build_it(engine, stages, "--cache-from", f"type={kind},{place[1]}")
    assert done.out.count("CACHED") == 6 and second == first, done
    forget(engine, "again", name)
    (stages / "file").write_text("two\n")
    done, third = build_it(engine, stages, "--cache-from", f"type={kind},{place[1]}")
    assert done.out.count("CACHED") == 2 and third != first, done  # the tools, and ENV
    assert engine.berth("run", "--rm", "again", "cat", "/all/linked", check=True).out == "two\n"
    forget(engine, "again", name)
    for image in engine.berth("images", "-aq", "--filter", "dangling=true", check=True).out.split():
        engine.berth("rmi", "-f", image)


def test_steps_of_all_stages_by_buildkits_protocol(engine, registry, stages):
    name = f"localhost:{registry.port}/cached:kit"
    client, directories = Client(engine), {"context": stages, "dockerfile": stages}
    try:
        build = lambda attributes, **options: client.build(client.session(directories), attributes, [("moby", {"name": "again"})], **options)
        build({}, caches=[("registry", {"ref": name, "mode": "max"}), ("inline", {})])
        first = engine.inspect("again")["Id"]
        forget(engine, "again", name)
        _, progress = build({"cache-imports": json.dumps([{"Type": "registry", "Attrs": {"ref": name}}])})
        assert engine.inspect("again")["Id"] == first and progress.find("--network=none").get(4) == [1]
        for caches, said in ((("gha", {}), "type=gha"), (("registry", {}), "needs ref"), (("registry", {"ref": name, "compression": "zstd"}), "the option compression"),
                             (("registry", {"ref": name, "mode": "odd"}), "invalid mode odd")):
            _, call = client.begin(client.session(directories), {}, caches=[caches])
            assert said in call.exception().details()
    finally:
        client.close()
        forget(engine, "again", name)
