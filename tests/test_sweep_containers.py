"""kill -9 of the engine at each of its calls through the life of containers, volumes and networks."""
import json

import pytest

from archives import TAR, tar_of
from sweep import Story, sweep

pytestmark = pytest.mark.own


class ContainerStory(Story):
    """Steps that Docker's users know, by their API calls; the model is the state that each container was last told to be in."""

    def create(self, name, body, state="created"):
        self.doubt(name)
        answer = self.call("POST", f"/containers/create?name={name}", body, again=(409,))
        self.acknowledged[name] = state
        return answer

    def start(self, name, state="running"):
        self.doubt(name)
        self.call("POST", f"/containers/{name}/start", again=(304,))
        self.acknowledged[name] = state

    def remove(self, name, flags="?v=1&force=1"):
        self.doubt(name)
        self.call("DELETE", f"/containers/{name}{flags}", again=(404,))
        self.acknowledged[name] = None

    def execute(self, name, *words):
        answer = self.call("POST", f"/containers/{name}/exec", {"Cmd": words, "AttachStdout": True, "AttachStderr": True})
        made = answer.json["Id"]
        output = self.call("POST", f"/exec/{made}/start", {"Detach": False}).data
        state = self.call("GET", f"/exec/{made}/json").json
        assert state["ExitCode"] == 0 and not state["Running"], (words, output, state)
        return output

    def listed(self):
        return {row["Names"][0][1:]: row for row in self.api.do("GET", "/containers/json?all=1")}

    def check(self):
        listed = self.listed()
        for name, state in self.acknowledged.items():
            if state is None:
                assert name not in listed, f"{name} was removed, and is there"
            elif isinstance(state, str):
                assert name in listed, f"{name} is lost"
                assert listed[name]["State"] == state, f"{name} is {listed[name]['State']}, not {state}"
        for name, row in listed.items():
            told = self.api.do("GET", f"/containers/{row['Id']}/json?size=1")
            assert told["State"]["Status"] == row["State"] and told["State"]["Status"] not in ("removing", "dead"), told["State"]

    def clean(self):
        for row in self.listed().values():
            self.call("DELETE", f"/containers/{row['Id']}?force=1&v=1")
        self.call("POST", '/volumes/prune?filters={"all":["true"]}')
        self.call("POST", "/networks/prune")
        for image in self.api.do("GET", "/images/json"):
            if "busybox:latest" not in (image["RepoTags"] or []):
                self.call("DELETE", f"/images/{image['Id']}?force=1")
        self.call("POST", '/images/prune?filters={"dangling":["true"]}')


class Life(ContainerStory):
    """create, start, exec, cp, rename, update, pause, commit, restart, kill, rm."""
    steps = ("create_it", "start_it", "execute_in_it", "copy_in", "rename_it", "update_it", "pause_it", "unpause_it", "execute_in_it", "commit_it",
             "run_the_commit", "restart_it", "stop_it", "start_it_again", "fail_to_start", "kill_it", "remove_failed", "remove_it", "remove_commit")

    def create_it(self):
        self.create("one", {"Image": "busybox", "Cmd": ["sleep", "1000"], "Volumes": {"/anonymous": {}}, "ExposedPorts": {"80/tcp": {}},
                            "Labels": {"a": "b"}, "HostConfig": {"Binds": ["named:/named"], "PortBindings": {"80/tcp": [{"HostPort": "0"}]}}})

    def start_it(self):
        self.start("one")

    def execute_in_it(self):
        name = "renamed" if "renamed" in self.listed() else "one"
        assert b"said" in self.execute(name, "sh", "-c", "echo said; echo kept > /kept")

    def copy_in(self):
        self.call("PUT", "/containers/one/archive?path=/", text=tar_of(copied=b"x" * 5000), content_type=TAR)

    def rename_it(self):
        self.doubt("one", "renamed")
        self.call("POST", "/containers/one/rename?name=renamed", again=(404,))
        self.acknowledged.update(one=None, renamed="running")

    def update_it(self):
        self.call("POST", "/containers/renamed/update", {"RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 3}, "PidsLimit": 77})

    def pause_it(self):
        self.doubt("renamed")
        self.call("POST", "/containers/renamed/pause", again=(409,))
        self.acknowledged["renamed"] = "paused"

    def unpause_it(self):
        self.doubt("renamed")
        self.call("POST", "/containers/renamed/unpause", again=(409, 500))
        self.acknowledged["renamed"] = "running"

    def commit_it(self):
        self.call("POST", "/commit?container=renamed&repo=committed&tag=v1")
        self.acknowledged["image"] = True

    def run_the_commit(self):
        self.doubt("two")
        self.call("POST", "/containers/create?name=two", {"Image": "committed:v1", "Cmd": ["sh", "-c", "test -f /copied && exit 3"],
                                                          "HostConfig": {"AutoRemove": True, "NetworkMode": "none"}}, again=(409,))
        self.call("POST", "/containers/two/start", again=(304, 404, 409))
        answer = self.call("POST", "/containers/two/wait?condition=removed", ok=(200, 404))  # it is quick
        assert answer.status == 404 or self.is_repeat or answer.json["StatusCode"] == 3, answer
        self.acknowledged["two"] = None

    def restart_it(self):
        self.doubt("renamed")
        self.call("POST", "/containers/renamed/restart?t=0")
        self.acknowledged["renamed"] = "running"

    def stop_it(self):
        self.doubt("renamed")
        self.call("POST", "/containers/renamed/stop?t=0", again=(304,))
        self.acknowledged["renamed"] = "exited"

    def start_it_again(self):
        self.start("renamed")

    def fail_to_start(self):
        self.create("wrong", {"Image": "busybox", "Cmd": ["/no/such/command"]})
        self.doubt("wrong")
        answer = self.api.call("POST", "/containers/wrong/start")
        assert answer.status == 400, answer
        self.acknowledged["wrong"] = "created"

    def kill_it(self):
        self.doubt("renamed")
        self.call("POST", "/containers/renamed/kill", again=(409,))
        answer = self.call("POST", "/containers/renamed/wait")
        assert answer.json["StatusCode"] in (137,) or self.is_repeat, answer
        self.acknowledged["renamed"] = "exited"

    def remove_failed(self):
        self.remove("wrong")

    def remove_it(self):
        self.remove("renamed")

    def remove_commit(self):
        self.doubt("image")
        self.call("DELETE", "/images/committed:v1", again=(404,))
        self.acknowledged["image"] = False

    def check(self):
        super().check()
        if "image" in self.acknowledged:
            assert (self.api.call("GET", "/images/committed:v1/json").status == 200) == self.acknowledged["image"], "the committed image"
        name = next((n for n in ("one", "renamed") if self.acknowledged.get(n) == "running"), None)
        if name:
            self.execute(name, "true")
            ports = self.api.do("GET", f"/containers/{name}/json")["NetworkSettings"]["Ports"]["80/tcp"]
            assert ports and int(ports[0]["HostPort"]) > 0, ports


class Volumes(ContainerStory):
    """create, copy-up, use, label, prune and rm of volumes."""
    steps = ("create_volume", "create_tmpfs", "use_with_copy_up", "start_user", "start_on_tmpfs", "remove_user", "remove_tmpfs_user", "prune_some",
             "remove_volume", "create_again", "remove_volume")

    def volume(self, body):
        self.doubt(("volume", body["Name"]))
        self.call("POST", "/volumes/create", body)
        self.acknowledged["volume", body["Name"]] = True

    def create_volume(self):
        self.volume({"Name": "kept", "Labels": {"keep": "yes"}})

    def create_tmpfs(self):
        self.volume({"Name": "memory", "DriverOpts": {"type": "tmpfs", "device": "tmpfs", "o": "size=1m"}})

    def use_with_copy_up(self):
        self.doubt(("volume", "filled"))
        self.create("user", {"Image": "busybox", "Cmd": ["sleep", "1000"], "HostConfig": {"NetworkMode": "none", "Binds": ["filled:/etc", "kept:/kept"]}})
        self.acknowledged["volume", "filled"] = True

    def start_user(self):
        self.start("user")
        self.execute("user", "sh", "-c", "test -s /etc/passwd && echo kept > /kept/file")
        self.acknowledged["written"] = True

    def start_on_tmpfs(self):
        self.create("on-tmpfs", {"Image": "busybox", "Cmd": ["sleep", "1000"], "HostConfig": {"NetworkMode": "none", "Binds": ["memory:/m"]}})
        self.start("on-tmpfs")
        self.execute("on-tmpfs", "sh", "-c", "echo x > /m/x")

    def remove_user(self):
        self.remove("user")

    def remove_tmpfs_user(self):
        self.remove("on-tmpfs")

    def prune_some(self):
        self.doubt(("volume", "memory"), ("volume", "filled"))
        self.call("POST", '/volumes/prune?filters={"all":["true"],"label!":["keep"]}')
        self.acknowledged.update({("volume", "memory"): False, ("volume", "filled"): False})

    def create_again(self):
        self.create_volume()

    def remove_volume(self):
        self.doubt(("volume", "kept"), "written")
        self.call("DELETE", "/volumes/kept", again=(404,))
        self.acknowledged["volume", "kept"] = False

    def check(self):
        super().check()
        listed = {volume["Name"]: volume for volume in self.api.do("GET", "/volumes")["Volumes"] or []}
        for what, wanted in self.acknowledged.items():
            if isinstance(what, tuple):
                assert (what[1] in listed) == wanted, f"volume {what[1]}: {wanted=}"
        if self.acknowledged.get("written"):
            assert (self.engine.data / "volumes/kept/_data/file").read_text() == "kept\n"
        for name, volume in listed.items():
            assert name != "kept" or volume["Labels"] == {"keep": "yes"}, volume
            # Copy-up is whole or has not begun.
            inside = {path.name for path in (self.engine.data / "volumes" / name / "_data").iterdir()}
            assert name != "filled" or not inside or inside >= {"group", "passwd"}, inside


class Networks(ContainerStory):
    """create, connect, disconnect, publish, prune and rm of networks."""
    steps = ("create_network", "create_second", "create_members", "start_members", "look_up", "connect", "disconnect", "connect", "stop_member",
             "start_members", "remove_members", "remove_network", "prune", "create_network")

    def network(self, body):
        name = body["Name"]
        self.doubt(("network", name))
        answer = self.call("POST", "/networks/create", body, again=(409,))
        self.engine.network_ids.add(answer.json["Id"] if answer.status == 201 else self.api.do("GET", f"/networks/{name}")["Id"])
        self.acknowledged["network", name] = True

    def create_network(self):
        self.network({"Name": "front", "CheckDuplicate": True, "Labels": {"a": "b"}})

    def create_second(self):
        self.network({"Name": "back", "Internal": True, "EnableIPv6": True, "IPAM": {"Config": [{"Subnet": "fd00:77::/64"}]}})

    def create_members(self):
        for name in ("web", "db"):
            self.create(name, {"Image": "busybox", "Cmd": ["sleep", "1000"], "ExposedPorts": {"80/tcp": {}},
                               "HostConfig": {"NetworkMode": "front", "PortBindings": {"80/tcp": [{"HostPort": "0"}]}},
                               "NetworkingConfig": {"EndpointsConfig": {"front": {"Aliases": [f"{name}-alias"]}}}})

    def start_members(self):
        for name in ("web", "db"):
            self.doubt(name)
            self.call("POST", f"/containers/{name}/start", ok=(204, 304))
            self.acknowledged[name] = "running"

    def look_up(self):
        self.execute("web", "ping", "-c", "1", "-W", "5", "db-alias")

    def connect(self):
        self.doubt("connected")
        self.call("POST", "/networks/back/connect", {"Container": "web", "EndpointConfig": {"Aliases": ["inner"]}}, again=(403, 409))
        self.acknowledged["connected"] = True

    def disconnect(self):
        self.doubt("connected")
        self.call("POST", "/networks/back/disconnect", {"Container": "web"}, again=(403, 404, 409, 500))
        self.acknowledged["connected"] = False

    def stop_member(self):
        self.doubt("web")
        self.call("POST", "/containers/web/stop?t=0", again=(304,))
        self.acknowledged["web"] = "exited"

    def remove_members(self):
        self.doubt("connected")
        for name in ("web", "db"):
            self.remove(name)

    def remove_network(self):
        self.doubt(("network", "front"))
        self.call("DELETE", "/networks/front", again=(404,))
        self.acknowledged["network", "front"] = False

    def prune(self):
        self.doubt(("network", "back"))
        self.call("POST", "/networks/prune")
        self.acknowledged["network", "back"] = False

    def check(self):
        super().check()
        listed = {network["Name"]: network for network in self.api.do("GET", "/networks")}
        self.engine.network_ids.update(network["Id"] for network in listed.values())
        for what, wanted in self.acknowledged.items():
            if isinstance(what, tuple):
                assert (what[1] in listed) == wanted, f"network {what[1]}: {wanted=}"
        if "connected" in self.acknowledged:
            has = "back" in self.api.do("GET", "/containers/web/json")["NetworkSettings"]["Networks"]
            assert has == self.acknowledged["connected"], "connected: " + json.dumps(self.acknowledged["connected"])
        if self.acknowledged.get("web") == self.acknowledged.get("db") == "running":
            self.look_up()


@pytest.mark.parametrize("story", [Life, Volumes, Networks])
def test_kill_9_at_every_call(build, docker_client, preload, story):
    sweep(build, preload, story)
