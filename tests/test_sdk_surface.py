"""All that Docker's Python SDK can ask of containers, execs, images, networks, volumes, builds and the system, called at least once.

What is called is recorded; a method of the SDK that no test here calls fails the last one."""
import inspect
import io
import socket
import tarfile
import threading
import time

import pytest

import engine as engines
from engine import LIMIT_S
import registry as registries

pytestmark = pytest.mark.own

docker = pytest.importorskip("docker", reason="python3-docker is installed by tools/install-deps --test")
import docker.api.build  # noqa: E402
import docker.models.containers  # noqa: E402
import docker.models.images  # noqa: E402
import docker.models.networks  # noqa: E402
import docker.models.volumes  # noqa: E402

WATCHED = [docker.api.build.BuildApiMixin, docker.api.container.ContainerApiMixin, docker.api.daemon.DaemonApiMixin, docker.api.exec_api.ExecApiMixin,
           docker.api.image.ImageApiMixin, docker.api.network.NetworkApiMixin, docker.api.volume.VolumeApiMixin,
           docker.models.containers.Container, docker.models.containers.ContainerCollection, docker.models.images.Image,
           docker.models.images.ImageCollection, docker.models.images.RegistryData, docker.models.networks.Network,
           docker.models.networks.NetworkCollection, docker.models.volumes.Volume, docker.models.volumes.VolumeCollection]

NOT_CALLED = {"ImageApiMixin.import_image_from_image": "fromImage with the name of an image is a pull; the engine has no other answer",
              "ImageCollection.search": "asks Docker Hub", "ImageApiMixin.search": "asks Docker Hub"}


def methods(owner):
    return [name for name, value in vars(owner).items() if inspect.isfunction(value) and not name.startswith("_")]


@pytest.fixture(scope="module")
def called():
    """Names of methods as they are called."""
    names, kept = set(), []

    def watch(owner, name, method):
        def recorded(*arguments, **options):
            names.add(f"{owner.__name__}.{name}")
            return method(*arguments, **options)
        return recorded
    for owner in WATCHED:
        for name in methods(owner):
            kept.append((owner, name, vars(owner)[name]))
            setattr(owner, name, watch(owner, name, vars(owner)[name]))
    yield names
    for owner, name, method in kept:
        setattr(owner, name, method)


@pytest.fixture(scope="module")
def own(build, called):
    """An engine that may be pruned, with busybox in it."""
    engine = engines.Engine(build)
    engine.start()
    try:
        assert engine.docker("build", "-q", "-t", "busybox", engines.make_busybox_context(engine.directory / "context")).code == 0
        yield engine
    finally:
        engine.remove()


@pytest.fixture
def sdk(own):
    client = own.sdk()
    yield client
    client.close()


@pytest.fixture
def box(sdk):
    container = sdk.containers.run("busybox", ["sh", "-c", "echo said; trap 'exit 0' TERM; while :; do sleep 0.1; done"], detach=True, name="box", labels={"k": "v"},
                                   ports={"80/tcp": None}, stdin_open=True)
    yield container
    try:
        container.remove(force=True, v=True)
    except docker.errors.NotFound:
        pass


def test_container_of_the_models(sdk, box):
    assert (box.name, box.labels, box.status in ("created", "running")) == ("box", {"k": "v"}, True)
    assert "busybox:latest" in box.image.tags
    engines.wait_until(lambda: box.logs() == b"said\n", what="a line in the log")
    assert list(box.logs(stream=True, follow=False, tail=1, timestamps=False)) == [b"said\n"]
    box.reload()
    assert box.ports["80/tcp"][0]["HostPort"].isdigit()
    assert [c.name for c in sdk.containers.list(filters={"label": "k=v"})] == ["box"]
    assert box.exec_run(["sh", "-c", "echo $A; pwd"], environment={"A": "1"}, workdir="/tmp") == (0, b"1\n/tmp\n")
    assert box.top()["Titles"][-1] == "CMD"
    assert box.stats(stream=False)["memory_stats"]["usage"] > 0 and next(box.stats(decode=True))["name"] == "/box"
    assert next(box.attach(logs=True, stream=True)) == b"said\n"
    stream = box.attach_socket(params={"stdin": 1, "stream": 1})
    stream.close()
    box.exec_run(["touch", "/new"])
    assert {"Path": "/new", "Kind": 1} in box.diff()
    box.put_archive("/tmp", tar_of("in.txt", b"content"))
    chunks, stat = box.get_archive("/tmp/in.txt")
    assert stat["name"] == "in.txt" and tarfile.open(fileobj=io.BytesIO(b"".join(chunks))).extractfile("in.txt").read() == b"content"
    assert tarfile.open(fileobj=io.BytesIO(b"".join(box.export()))).getmember("tmp/in.txt").size == 7
    box.resize(20, 80)
    assert box.update(cpu_shares=200)["Warnings"] in (None, [])
    box.pause()
    box.reload()
    assert box.status == "paused"
    box.unpause()
    box.rename("boxed")
    assert sdk.containers.get("boxed").id == box.id
    image = box.commit(repository="committed", tag="one", message="m", author="a", changes=["LABEL from=sdk"])
    assert image.labels["from"] == "sdk" and sdk.images.get("committed:one").id == image.id
    box.restart(timeout=1)
    waited = {}
    waiter = threading.Thread(target=lambda: waited.update(box.wait()))
    waiter.start()
    time.sleep(0.3)
    box.kill(signal="SIGTERM")
    waiter.join(LIMIT_S)
    assert waited == {"StatusCode": 0}
    box.start()
    box.stop(timeout=0)
    box.remove()
    sdk.images.remove("committed:one")
    with pytest.raises(docker.errors.NotFound):
        sdk.containers.get("boxed")


def tar_of(name, content):
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        entry = tarfile.TarInfo(name)
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    return made.getvalue()


def test_container_of_the_api(sdk):
    api = sdk.api
    host = api.create_host_config(binds=["sdk-volume:/v"], mem_limit="64m", restart_policy={"Name": "no"}, cap_drop=["ALL"], tmpfs={"/t": "size=1m"},
                                  dns=["1.1.1.1"], extra_hosts={"a": "1.2.3.4"}, sysctls={"net.ipv4.ip_forward": "0"}, pids_limit=50, init=True, read_only=True)
    networking = api.create_networking_config({"bridge": api.create_endpoint_config()})
    made = api.create_container("busybox", ["cat"], name="api-box", hostname="h", user="1000", environment={"A": "b"}, volumes=["/v"], ports=[80],
                                stdin_open=True, host_config=host, networking_config=networking, labels={"l": "1"}, healthcheck=None, stop_signal="SIGTERM")
    assert made["Warnings"] == []
    try:
        config = api.create_container_config("busybox", ["true"], host_config=api.create_host_config())
        other = api.create_container_from_config(config, "api-other")
        api.remove_container(other["Id"], v=True, link=False, force=True)
        api.start(made["Id"])
        seen = api.inspect_container("api-box")
        assert (seen["HostConfig"]["Memory"], seen["HostConfig"]["PidsLimit"], seen["Config"]["Hostname"]) == (64 << 20, 50, "h")
        assert [c["Names"] for c in api.containers(filters={"name": "api-box"}, size=True)] == [["/api-box"]]
        assert api.port("api-box", 80) is None
        stdin = api.attach_socket("api-box", params={"stdin": 1, "stdout": 1, "stream": 1})
        stdin._sock.sendall(b"to cat\n")
        assert stdin.read(8 + 7)[8:] == b"to cat\n"
        stdin._sock.shutdown(socket.SHUT_WR)
        stdin.close()
        assert api.attach("api-box", stdout=True, stream=False, logs=True) == b"to cat\n"
        assert api.logs("api-box", tail=1) == b"to cat\n"
        assert api.wait("api-box")["StatusCode"] == 0  # whoever attached was the one to close its stdin
        api.start("api-box")
        assert {"Path": "/v", "Kind": 1} in api.diff("api-box")
        for call in (lambda: api.pause("api-box"), lambda: api.unpause("api-box"), lambda: api.resize("api-box", 10, 10), lambda: api.rename("api-box", "api-box2"),
                     lambda: api.rename("api-box2", "api-box"), lambda: api.restart("api-box", timeout=0), lambda: api.kill("api-box", "SIGCONT")):
            call()
        assert api.top("api-box", "-o pid,comm")["Titles"] == ["PID", "COMMAND"]
        assert api.stats("api-box", stream=False)["id"] == made["Id"]
        assert api.update_container("api-box", mem_limit="32m", memswap_limit="64m", restart_policy={"Name": "no"})["Warnings"] in (None, [])
        exec_id = api.exec_create("api-box", ["sh", "-c", "echo out; exit 3"], stdout=True, user="1000", environment=["E=1"])["Id"]
        assert api.exec_start(exec_id) == b"out\n"
        assert (api.exec_inspect(exec_id)["ExitCode"], api.exec_inspect(exec_id)["Running"]) == (3, False)
        tty = api.exec_create("api-box", ["sleep", "600"], tty=True, stdin=True)["Id"]
        opened = api.exec_start(tty, tty=True, socket=True)
        api.exec_resize(tty, 10, 20)
        opened.close()
        tar, stat = api.get_archive("api-box", "/etc/passwd")
        assert stat["size"] > 0 and b"root" in b"".join(tar)
        api.put_archive("api-box", "/t", tar_of("x", b"y"))
        assert b"bin/busybox" in b"".join(api.export("api-box"))
        assert api.commit("api-box", "api-committed")["Id"].startswith("sha256:")
        api.remove_image("api-committed")
        api.stop("api-box", timeout=0)
        assert api.wait("api-box")["StatusCode"] in (137, 143)
    finally:
        api.remove_container("api-box", v=True, force=True)
    assert api.prune_containers()["ContainersDeleted"] in (None, [])
    api.remove_volume("sdk-volume")


def test_images(sdk, tmp_path):
    api = sdk.api
    image = sdk.images.get("busybox")
    assert image.short_id.startswith("sha256:") and image.tags == ["busybox:latest"] and isinstance(image.labels, dict)
    assert image.tag("sdk/app", tag="v1") and api.tag("busybox", "sdk/app", "v2")
    assert {tag for i in sdk.images.list(name="sdk/app") for tag in i.tags} >= {"sdk/app:v1", "sdk/app:v2"}
    assert image.history()[0]["Id"] == image.id and api.history("busybox") == image.history()
    assert api.inspect_image("sdk/app:v1")["Id"] == image.id and [i["Id"] for i in api.images("sdk/app", quiet=False)] == [image.id]
    saved = b"".join(image.save(named=True))
    assert b"".join(api.get_image("sdk/app:v1")).count(b"manifest.json") >= 1
    sdk.images.remove("sdk/app:v1")
    api.remove_image("sdk/app:v2", force=True, noprune=False)
    assert [i.id for i in sdk.images.load(saved)] == [image.id]
    assert any("Loaded image" in line.get("stream", "") for line in api.load_image(saved, quiet=True))
    root = tar_of("etc/hello", b"hi")
    (tmp_path / "root.tar").write_bytes(root)
    api.import_image_from_data(root, repository="imported", tag="data")
    api.import_image_from_file(str(tmp_path / "root.tar"), repository="imported", tag="file")
    api.import_image_from_stream(iter([root[:700], root[700:]]), repository="imported", tag="stream", changes=["LABEL a=b"])
    api.import_image(src=str(tmp_path / "root.tar"), repository="imported", tag="any")
    with files_of(tmp_path) as url:
        api.import_image_from_url(f"{url}/root.tar", repository="imported", tag="url")
    assert {i.tags[0] for i in sdk.images.list(name="imported") if i.tags} and len([t for i in sdk.images.list(name="imported") for t in i.tags]) == 5
    for tag in ("data", "file", "stream", "any", "url"):
        sdk.images.remove(f"imported:{tag}")
    assert sdk.images.prune(filters={"dangling": True})["SpaceReclaimed"] >= 0 and api.prune_images()["SpaceReclaimed"] == 0


class files_of:
    """A directory over HTTP."""
    def __init__(self, directory):
        self.directory = directory

    def __enter__(self):
        import functools
        import http.server
        handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(self.directory))
        handler.log_message = lambda *_: None
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{self.server.server_port}"

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


def test_registry(sdk, build):
    api, registry = sdk.api, registries.Registry(build)
    registry.start()
    try:
        name = f"{registry.host}/sdk/app"
        assert sdk.images.get("busybox").tag(name, tag="v1")
        assert any("digest: sha256:" in line.get("status", "") for line in api.push(name, tag="v1", stream=True, decode=True))
        assert "v1: digest" in sdk.images.push(name, tag="v1")
        sdk.images.remove(f"{name}:v1")
        assert sdk.images.pull(name, tag="v1").tags == [f"{name}:v1"] or f"{name}:v1" in sdk.images.get("busybox").tags
        assert "Status: " in api.pull(name, tag="v1")
        data = sdk.images.get_registry_data(f"{name}:v1")
        assert data.id == api.inspect_distribution(f"{name}:v1")["Descriptor"]["digest"] and data.short_id
        data.reload()
        assert data.has_platform("linux/amd64") or not data.has_platform("linux/s390x")
        assert data.pull().id == sdk.images.get("busybox").id
        assert sdk.login("user", "password", registry=registry.host)["Status"] == "Login Succeeded"
        sdk.images.remove(f"{name}:v1", force=True)
    finally:
        registry.remove()


def test_builds(sdk, tmp_path):
    (tmp_path / "Dockerfile").write_text("FROM busybox\nARG A=1\nRUN echo built $A\nLABEL by=sdk\n")
    image, log = sdk.images.build(path=str(tmp_path), tag="sdk-built", buildargs={"A": "2"}, rm=True)
    assert image.labels["by"] == "sdk" and any("built 2" in line.get("stream", "") for line in log)
    assert any("Successfully built" in line.get("stream", "") for line in sdk.api.build(fileobj=io.BytesIO(b"FROM busybox\nENV A=b\n"), decode=True))
    with pytest.raises(docker.errors.BuildError) as failed:
        sdk.images.build(fileobj=io.BytesIO(b"FROM busybox\nRUN exit 7\n"))
    assert "non-zero code: 7" in str(failed.value)
    sdk.images.remove("sdk-built")
    assert sdk.images.prune_builds()["SpaceReclaimed"] >= 0 and sdk.api.prune_builds()["SpaceReclaimed"] == 0


def test_networks(sdk, box):
    api = sdk.api
    pool = docker.types.IPAMConfig(pool_configs=[docker.types.IPAMPool(subnet="10.214.0.0/24", gateway="10.214.0.1")])
    network = sdk.networks.create("sdk-net", driver="bridge", ipam=pool, labels={"a": "b"}, internal=True, check_duplicate=True)
    other = api.create_network("sdk-api-net", labels={"a": "c"})
    try:
        assert network.name == "sdk-net" and sdk.networks.get("sdk-net").id == network.id
        assert {n.name for n in sdk.networks.list(filters={"label": "a"})} == {"sdk-net", "sdk-api-net"}
        assert [n["Name"] for n in api.networks(names=["sdk-net"])] == ["sdk-net"] and api.inspect_network(other["Id"])["Labels"] == {"a": "c"}
        network.connect(box, aliases=["alias"], ipv4_address="10.214.0.9")
        network.reload()
        assert network.containers == [box]
        box.reload()
        assert box.attrs["NetworkSettings"]["Networks"]["sdk-net"]["IPAddress"] == "10.214.0.9"
        network.disconnect(box)
        api.connect_container_to_network(box.id, "sdk-api-net")
        api.disconnect_container_from_network(box.id, "sdk-api-net", force=True)
    finally:
        network.remove()
        api.remove_network("sdk-api-net")
    assert sdk.networks.prune()["NetworksDeleted"] is None and api.prune_networks()["NetworksDeleted"] is None


def test_volumes(sdk):
    api = sdk.api
    volume = sdk.volumes.create("sdk-vol", driver="local", labels={"a": "b"})
    made = api.create_volume("sdk-api-vol", labels={"a": "c"})
    assert volume.name == "sdk-vol" and made["Name"] == "sdk-api-vol" and sdk.volumes.get("sdk-vol").attrs["Labels"] == {"a": "b"}
    assert {v.name for v in sdk.volumes.list(filters={"label": "a"})} == {"sdk-vol", "sdk-api-vol"}
    assert api.inspect_volume("sdk-api-vol")["Mountpoint"].endswith("sdk-api-vol/_data") and len(api.volumes(filters={"name": "sdk-"})["Volumes"]) == 2
    volume.remove(force=True)
    api.remove_volume("sdk-api-vol")
    assert sdk.volumes.prune()["SpaceReclaimed"] == 0 and api.prune_volumes()["VolumesDeleted"] in (None, [])


def test_system(sdk):
    assert sdk.ping() and sdk.api.ping() and sdk.version()["ApiVersion"] == sdk.api.version()["ApiVersion"] == "1.51"
    assert sdk.info()["ID"] == sdk.api.info()["ID"]
    assert {"LayersSize", "Images", "Containers", "Volumes", "BuildCache"} <= set(sdk.df()) == set(sdk.api.df())
    begin = int(time.time())
    sdk.containers.run("busybox", ["true"], remove=True, name="seen")
    found = [e["Action"] for e in sdk.events(since=begin - 1, until=int(time.time()) + 1, filters={"container": "seen"}, decode=True)]
    assert found[0] == "create" and found[-1] == "destroy" and {"start", "die"} <= set(found)
    assert list(sdk.api.events(since=1, until=2, decode=True)) == []
    with pytest.raises(docker.errors.APIError):
        sdk.api.login("nobody", "wrong", registry="127.0.0.1:1")


def test_prune_of_containers(sdk):
    made = sdk.containers.create("busybox", ["true"], name="to-prune")
    assert sdk.containers.prune()["ContainersDeleted"] == [made.id]
    assert sdk.containers.list(all=True) == []


def test_errors_have_their_classes(sdk, box):
    with pytest.raises(docker.errors.NotFound):
        sdk.volumes.get("nope")
    with pytest.raises(docker.errors.NotFound):
        sdk.networks.get("nope")
    with pytest.raises(docker.errors.APIError) as conflict:
        sdk.containers.create("busybox", name="box")
    assert conflict.value.response.status_code == 409 and conflict.value.is_client_error()
    with pytest.raises(docker.errors.APIError) as running:
        box.remove()
    assert "container is running" in running.value.explanation


def test_everything_was_called(called):
    everything = {f"{owner.__name__}.{name}" for owner in WATCHED for name in methods(owner)}
    assert not sorted(everything - called - set(NOT_CALLED))
    assert not sorted(name for name in NOT_CALLED if name in called or name not in everything)
