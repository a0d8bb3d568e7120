"""Compose: what files mean, and projects that come, change and go. The canonical forms and the words of errors are those of Docker's
compose 2.40 (tests/compose/)."""
import json
import os
import pathlib
import pty
import re
import select
import signal
import subprocess
import tempfile

import pytest

from compose_project import project  # noqa: F401 (a fixture)
from engine import LIMIT_S, run, wait_until

pytestmark = pytest.mark.own

CASES = pathlib.Path(__file__).parent / "compose"


# ---- what files mean ----

def test_everything_in_its_canonical_form(project):
    project.write((CASES / "everything.yaml").read_text())
    wanted = (CASES / "everything.canonical.yaml").read_text()
    wanted = wanted.replace("<project>", str(project.directory)).replace("<home>", str(project.engine.directory))
    got = project.compose("config", env={"COMPOSE_PROJECT_NAME": "p"}, check=True)
    (project.directory / "compose.yaml").unlink()
    assert got.out == wanted
    assert got.err == ""


@pytest.mark.parametrize("text,hash", [
    ("services: {a: {image: busybox, command: sleep 100}}", "32a54e5939835da9c769b5bf44c1e1eb1cdaf8d31b2a579efd4c28849dce2610"),
    ("services: {a: {image: busybox, command: [sleep, '100'], scale: 2, pull_policy: never, profiles: []}}",
     "32a54e5939835da9c769b5bf44c1e1eb1cdaf8d31b2a579efd4c28849dce2610"),
    ("services: {a: {image: busybox, command: sleep 100, labels: {a: b}}}", "71eb7a77a6317f9fef496e50d30873c73b00942bc666de45f579b2c80a649932"),
    ("services: {a: {image: busybox, command: sleep 100, deploy: {replicas: 2}}}", "f997f0d66b243ebadd2187a2ecf9995a04b0b6fa3c85eb2166a9773b2e4f2ace"),
])
def test_hash_is_that_of_dockers_compose(project, text, hash):
    project.write(text)
    assert project.compose("config", "--hash", "a", check=True).out == f"a {hash}\n"
    (project.directory / "compose.yaml").unlink()


def test_no_file(project):
    got = project.compose("config", "-q")
    assert (got.code, got.err) == (1, "no configuration file provided: not found\n")


def test_files_variables_and_merging(project):
    """Several files, .env, env files, extends, include, profiles, !reset and !override, seen in the canonical form."""
    directory = project.directory
    (directory / ".env").write_text('TAG=1.2\nEXPANDED="${TAG}-x"\nQUOTED=\'$TAG\'\n# comment\nexport OTHER=o # end\n')
    (directory / "a.env").write_text("A=from file\nB=from file\n")
    (directory / "base.yaml").write_text("services: {base: {image: 'base:${TAG}', environment: {BASE: 1, A: base}, volumes: ['./data:/data']}}\n")
    (directory / "part").mkdir()
    (directory / "part" / ".env").write_text("PART=part-value\n")
    (directory / "part" / "compose.yaml").write_text("services: {part: {image: 'p:${PART}', volumes: ['./x:/x']}}\n")
    project.write("""
include: [part/compose.yaml]
services:
  web:
    extends: {file: base.yaml, service: base}
    env_file: a.env
    environment: [B=ours, Q=$QUOTED, E=$EXPANDED, O=$OTHER, "D=${UNSET:-default}", DOLLAR=$$x]
    ports: ["80:80"]
    labels: {gone: yes, kept: "1"}
    dns: 1.1.1.1
    command: [one]
  extra: {image: extra, profiles: [more]}
""")
    project.write("services: {web: {ports: ['80:80', '81:81'], labels: {gone: !reset null}, dns: !override [2.2.2.2], command: [two]}}", "override.yaml")
    files = ("-f", directory / "compose.yaml", "-f", directory / "override.yaml")
    model = json.loads(project.compose(*files, "config", "--format", "json", check=True).out)
    web = model["services"]["web"]
    assert web["image"] == "base:1.2"
    assert web["environment"] == {"A": "base", "B": "ours", "BASE": "1", "Q": "$$TAG", "E": "1.2-x", "O": "o", "D": "default", "DOLLAR": "$$x"}
    assert [p["target"] for p in web["ports"]] == [80, 81]
    assert web["labels"] == {"kept": "1"} and web["dns"] == ["2.2.2.2"] and web["command"] == ["two"]
    assert web["volumes"][0]["source"] == str(directory / "data")
    assert model["services"]["part"]["image"] == "p:part-value"
    assert model["services"]["part"]["volumes"][0]["source"] == str(directory / "part" / "x")
    assert "extra" not in model["services"]
    assert project.compose(*files, "--profile", "more", "config", "--services", check=True).out == "extra\npart\nweb\n"
    assert project.compose(*files, "config", "--services", check=True, env={"COMPOSE_PROFILES": "*"}).out == "extra\npart\nweb\n"
    assert project.compose(*files, "config", "--no-interpolate", check=True).out.count("${UNSET:-default}") == 1


# ---- projects that come, change and go ----

STACK = """
version: '3.8'
x-common: &common {labels: {l: v}}
services:
  db:
    <<: *common
    image: busybox
    command: sleep 1000
    healthcheck: {test: "test -e /ok || (touch /ok; exit 1)", interval: 200ms, timeout: 2s, retries: 20}
    volumes: [data:/data, ./conf:/conf:ro, /anonymous]
    stop_grace_period: 0s
  init: {image: busybox, command: ["sh", "-c", "exit 0"]}
  web:
    build: .
    command: sleep 1000
    depends_on: {db: {condition: service_healthy}, init: {condition: service_completed_successfully}}
    deploy: {replicas: 2, resources: {limits: {cpus: "0.5", memory: 64M}}}
    environment: {A: "1", C: "$$x"}
    networks: {back: {}, default: {aliases: [www]}}
    ports: ["127.0.0.1::81/udp"]
    secrets: [file, {source: value, target: named, uid: "1000", gid: "1000", mode: 0400}]
    configs: [{source: greeting, target: /etc/greeting}]
    stop_grace_period: 0s
networks: {back: {internal: true}}
volumes: {data: }
secrets: {file: {file: ./sec}, value: {environment: SECRET}}
configs: {greeting: {content: "hello ${WHO:-you}"}}
"""


@pytest.fixture
def stack(project):
    (project.directory / "conf").mkdir()
    (project.directory / "sec").write_text("from a file")
    (project.directory / "Dockerfile").write_text("FROM busybox\nRUN touch /built\n")
    (project.directory / ".env").write_text("SECRET=from the environment\n")
    return project.write(STACK)


def test_stack(stack, engine):
    n = stack.name
    up = stack.compose("up", "-d", check=True)
    assert "the attribute `version` is obsolete" in up.err
    told = [line.strip() for line in up.err.splitlines()]
    order = [told.index(f"Container {n}-db-1  Healthy"), told.index(f"Container {n}-init-1  Exited"), told.index(f"Container {n}-web-1  Starting")]
    assert max(order[:2]) < order[2]
    shown = stack.containers()
    assert {name: row["State"] for name, row in shown.items()} == {
        f"{n}-db-1": "running", f"{n}-init-1": "exited", f"{n}-web-1": "running", f"{n}-web-2": "running"}
    ids = {name: row["ID"] for name, row in shown.items()}

    # What is inside.
    seen = stack.compose("exec", "-T", "web", "sh", "-c",
                         "cat /run/secrets/file /run/secrets/named /etc/greeting; stat -c ' %u:%g %a' /run/secrets/named; echo $A $C; ls /built", check=True)
    assert seen.out == "from a filefrom the environmenthello you 1000:1000 400\n1 $x\n/built\n"
    looked = stack.compose("exec", "-T", "--index", "2", "web", "nslookup", "db", check=True)
    assert "Name:\tdb" in looked.out
    inspected = engine.inspect(f"{n}-web-1")
    assert inspected["HostConfig"]["Memory"] == 64 << 20 and inspected["HostConfig"]["NanoCpus"] == 500000000
    assert inspected["Config"]["Labels"]["com.docker.compose.depends_on"] == "db:service_healthy:false,init:service_completed_successfully:false"
    assert set(inspected["NetworkSettings"]["Networks"]) == {f"{n}_back", f"{n}_default"}

    # Nothing changed: nothing is made anew, and one-shots run again.
    again = stack.compose("up", "-d", check=True)
    assert f"Container {n}-web-2  Running" in again.err and "Recreate" not in again.err and "Creating" not in again.err
    assert {name: row["ID"] for name, row in stack.containers().items()} == ids

    # One service changes; its volumes stay.
    stack.compose("exec", "-T", "db", "sh", "-c", "echo kept > /data/x; echo too > /anonymous/x", check=True)
    stack.write(STACK.replace("labels: {l: v}", "labels: {l: w}"))
    changed = stack.compose("up", "-d", check=True)
    assert f"Container {n}-db-1  Recreated" in changed.err and f"Container {n}-web-1  Running" in changed.err
    assert stack.compose("exec", "-T", "db", "cat", "/data/x", "/anonymous/x", check=True).out == "kept\ntoo\n"
    now = {name: row["ID"] for name, row in stack.containers().items()}
    assert now[f"{n}-db-1"] != ids[f"{n}-db-1"] and now[f"{n}-web-1"] == ids[f"{n}-web-1"]

    # Scale, and what the commands say.
    stack.compose("up", "-d", "--scale", "web=1", check=True)
    assert f"{n}-web-2" not in stack.containers()
    assert stack.compose("port", "--protocol", "udp", "web", "81", check=True).out.startswith("127.0.0.1:")
    assert stack.compose("ls", check=True).out.split("\n")[1].split()[:2] == [n, "running(2)"]
    assert stack.compose("ps", "--services", check=True).out == "db\nweb\n"
    assert stack.compose("exec", "-T", "web", "sh", "-c", "exit 7").code == 7
    assert stack.compose("exec", "-T", "nobody", "true").err.endswith('service "nobody" is not running\n')
    assert stack.compose("run", "--rm", "--no-deps", "-T", "web", "cat", stdin="through\n", check=True).out == "through\n"
    assert stack.compose("run", "--rm", "--no-deps", "-T", "-e", "A=2", "web", "sh", "-c", "echo $A; exit 3").code == 3
    stack.compose("stop", check=True)
    assert {row["State"] for row in stack.containers().values()} == {"exited"}
    stack.compose("start", check=True)
    assert stack.compose("kill", "web", check=True).err.count("Killed") == 1
    assert stack.compose("rm", "-f", check=True).out == f"Going to remove {n}-init-1, {n}-web-1\n"

    # Down takes dependants first, and everything with -v.
    stack.compose("up", "-d", check=True)
    down = stack.compose("down", check=True).err
    assert down.index(f"{n}-web-1  Removed") < down.index(f"{n}-db-1  Stopping")
    assert f"{n}_data" in engine.docker("volume", "ls").out
    assert "Remov" not in stack.compose("down", check=True).err


def test_orphans_and_names(project, engine):
    project.write("services: {a: {image: busybox, command: sleep 1000, stop_grace_period: 0s}, b: {image: busybox, command: sleep 1000, stop_grace_period: 0s}}")
    project.compose("up", "-d", check=True)
    project.write("services: {a: {image: busybox, command: sleep 1000, stop_grace_period: 0s}}")
    warned = project.compose("up", "-d", check=True).err
    assert f"Found orphan containers ([{project.name}-b-1]) for this project." in warned
    project.compose("up", "-d", "--remove-orphans", check=True)
    assert list(project.containers()) == [f"{project.name}-a-1"]
    assert project.compose("up", "-d", "nobody").err == "no such service: nobody\n"
    # Without its file a project is known by its name.
    (project.directory / "compose.yaml").rename(project.directory / "elsewhere")
    down = project.compose("-p", project.name, "down", "-t", "0", check=True)
    assert f"{project.name}-a-1  Removed" in down.err
    (project.directory / "elsewhere").rename(project.directory / "compose.yaml")


@pytest.mark.parametrize("first,condition,words", [
    ("command: sh -c 'echo words of it; sleep 1000', healthcheck: {test: 'echo not well; false', interval: 100ms, retries: 5}", "service_healthy", "dependency failed to start: container {n}-a-1 is unhealthy"),
    ("command: sh -c 'echo words of it; sleep 1000'", "service_healthy", "dependency failed to start: container {n}-a-1 has no healthcheck configured"),
    ("command: sh -c 'echo words of it >&2; exit 1'", "service_completed_successfully", 'service "a" didn\'t complete successfully: exit 1'),
])
def test_dependencies_that_fail(project, first, condition, words):
    project.write(f"services: {{a: {{image: busybox, stop_grace_period: 0s, {first}}}, "
                  f"b: {{image: busybox, command: sleep 1000, depends_on: {{a: {{condition: {condition}}}}}}}}}")
    got = project.compose("up", "-d")
    assert got.code == 1 and got.err.splitlines()[-1] == words.format(n=project.name)
    assert (f"Last lines of {project.name}-a-1:\na-1  | words of it\n" in got.err) == ("configured" not in words)
    assert ("Its health check said: not well" in got.err) == ("unhealthy" in words)
    assert project.containers()[f"{project.name}-b-1"]["State"] == "created"


def test_external_things_must_be_there(project, engine):
    project.write("services: {a: {image: busybox, command: sleep 1000}}\nnetworks: {default: {external: true, name: nope}}")
    got = project.compose("up", "-d")
    assert (got.code, got.err) == (1, "network nope declared as external, but could not be found\n")
    project.write("services: {a: {image: nosuchimage, pull_policy: never}}")
    assert "No such image: nosuchimage" in project.compose("up", "-d").err


def test_foreground(project):
    project.write("services: {a: {image: busybox, command: sh -c 'echo out; echo err >&2; sleep 1; exit 3'}, "
                  "other: {image: busybox, command: sh -c 'echo x; sleep 1000', stop_grace_period: 0s}}")
    got = project.compose("up", "--abort-on-container-exit")
    assert got.code == 3
    lines = got.out.splitlines()
    assert lines[0] == "Attaching to a-1, other-1"
    assert any(line.startswith("a-1 ") and line.endswith("| out") for line in lines)
    assert any(line.startswith("other-1 ") and line.endswith("| x") for line in lines)
    assert "a-1 exited with code 3" in lines
    assert any(line.startswith("a-1 ") and line.endswith("| err") for line in got.err.splitlines())
    assert "Created\n" in got.err and "Started\n" not in got.err
    assert "Aborting on container exit..." in got.err
    logs = project.compose("logs", "--no-log-prefix", "a", check=True)
    assert (sorted(logs.out.split()), logs.err) == (["err", "out"], "")  # one stream, as for Docker's compose
    assert project.compose("logs", "other", check=True).out == "other-1  | x\n"


def test_interrupt_stops_gently(project):
    project.write("services: {a: {image: busybox, command: sh -c 'trap \"seq 50000; echo bye; exit 0\" TERM; echo up; while :; do sleep 0.1; done', stop_grace_period: 100s}}")
    started = subprocess.Popen([project.engine.build / "berth", "compose", "-p", project.name, "--project-directory", project.directory, "up"],
                               env=project.engine.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        wait_until(lambda: "up" in project.compose("logs").out, what="the container running")
        started.send_signal(signal.SIGINT)
        out, err = started.communicate(timeout=LIMIT_S)
    finally:
        started.kill()
    assert started.returncode == 130
    assert "a-1  | 50000\na-1  | bye\n" in out and f"Container {project.name}-a-1  Stopped" in err


def test_an_interrupt_stops_dependants_first(project):
    """The database hears of the end when nobody uses it any more."""
    said = "sh -c 'trap \"sleep 1; echo $$$$; echo {0} ends; exit 0\" TERM; echo {0} is up; while :; do sleep 0.1; done'"
    project.write(f"services:\n  web: {{image: busybox, depends_on: [db], command: {json.dumps(said.format('web'))}}}\n"
                  f"  db: {{image: busybox, command: {json.dumps(said.format('db'))}}}\n")
    started = subprocess.Popen([project.engine.build / "berth", "compose", "-p", project.name, "--project-directory", project.directory, "up"],
                               env=project.engine.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        wait_until(lambda: "web is up" in project.compose("logs").out, what="the containers running")
        started.send_signal(signal.SIGINT)
        out, err = started.communicate(timeout=LIMIT_S)
    finally:
        started.kill()
    told = [line.strip() for line in err.splitlines()]
    assert told.index(f"Container {project.name}-web-1  Stopped") < told.index(f"Container {project.name}-db-1  Stopping")
    assert "web ends" in out and "db ends" in out and started.returncode == 130


def test_a_second_interrupt_kills(project):
    project.write("services: {a: {image: busybox, command: sh -c 'trap \"echo no\" TERM; echo up; while :; do sleep 0.1; done', stop_grace_period: 100s}}")
    started = subprocess.Popen([project.engine.build / "berth", "compose", "-p", project.name, "--project-directory", project.directory, "up"],
                               env=project.engine.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        wait_until(lambda: "up" in project.compose("logs").out, what="the container running")
        started.send_signal(signal.SIGINT)
        wait_until(lambda: "no" in project.compose("logs").out, what="the gentle stop")
        started.send_signal(signal.SIGINT)
        out, err = started.communicate(timeout=LIMIT_S)
    finally:
        started.kill()
    assert started.returncode == 130 and f"Container {project.name}-a-1  Killed" in err
    assert project.containers()[f"{project.name}-a-1"]["ExitCode"] == 137


def test_a_tree_on_a_terminal(project):
    """A row for each thing, drawn over itself; plain lines are what test_stack sees."""
    project.write("services: {a: {image: busybox, command: sleep 1000, stop_grace_period: 0s}}")
    master, slave = pty.openpty()
    try:
        done = subprocess.Popen([project.engine.build / "berth", "compose", "-p", project.name, "--project-directory", project.directory, "up", "-d"],
                                env=project.engine.environment, stdout=slave, stderr=slave, stdin=slave)
        assert done.wait(LIMIT_S) == 0
        os.close(slave)
        text = b""
        try:
            while block := os.read(master, 65536):
                text += block
        except OSError:
            pass  # the end of a terminal
    finally:
        os.close(master)
    last = text.decode().split("[+] ")[-1]
    assert last.startswith("Running 2/2")
    assert re.search(rf"✔.* Container {project.name}-a-1 .*Started", last) and f"Network {project.name}_default" in last
    assert "\x1b[" in last


def test_a_terminal_in_the_foreground(project):
    """What is made is a tree; then the containers have the screen, and what stops or kills them is told in lines between theirs."""
    project.write("services: {a: {image: busybox, command: sh -c 'trap \"echo no\" TERM; echo up; while :; do sleep 0.1; done', stop_grace_period: 100s}}")
    master, slave = pty.openpty()
    text = b""

    def read_until(word):
        """None: until nobody has the terminal any more."""
        nonlocal text
        while word is None or word not in text:
            assert select.select([master], [], [], LIMIT_S)[0], text
            try:
                text += os.read(master, 65536)
            except OSError:
                assert word is None, text
                break
    try:
        started = subprocess.Popen([project.engine.build / "berth", "compose", "-p", project.name, "--project-directory", project.directory, "up",
                                    "--no-color"], env=project.engine.environment, stdout=slave, stderr=slave, stdin=slave)
        os.close(slave)
        read_until(b"| up")
        started.send_signal(signal.SIGINT)
        read_until(b"| no")
        started.send_signal(signal.SIGINT)
        read_until(None)
        assert started.wait(LIMIT_S) == 130
    finally:
        started.kill()
        started.wait()
        os.close(master)
    tree, _, lines = text.decode().replace("\r\n", "\n").partition("Attaching to a-1\n")
    assert "[+] Running 2/2" in tree and re.search(rf"Container {project.name}-a-1 .*Created", tree) and "Started" not in tree
    for word in ("Stopping", "Killing", "Killed", "Stopped"):
        assert f" Container {project.name}-a-1  {word}\n" in lines
    assert "a-1 exited with code 137\n" in lines
    assert "\rGracefully Stopping... press Ctrl+C again to force\n" in lines and "[+]" not in lines and "\x1b[1A" not in lines


def interrupted_up(project, is_time):
    """`up` in the foreground, sent SIGINT when is_time() is true; its exit code and what it wrote."""
    with tempfile.TemporaryFile() as written:
        started = subprocess.Popen([project.engine.build / "berth", "compose", "-p", project.name, "--project-directory", project.directory, "up"],
                                   env=project.engine.environment, stdout=written, stderr=written, stdin=subprocess.DEVNULL)
        try:
            wait_until(is_time)
            started.send_signal(signal.SIGINT)
            code = started.wait(LIMIT_S)
        finally:
            started.kill()
            started.wait()
        written.seek(0)
        return code, written.read().decode()


def test_an_interrupt_while_a_dependency_is_waited_for(project):
    """What was started is stopped, what was not is left: nobody waits for a health that never comes."""
    project.write("services: {a: {image: busybox, command: sleep 1000, stop_grace_period: 0s, healthcheck: {test: 'false', interval: 1h}}, "
                  "b: {image: busybox, command: sleep 1000, depends_on: {a: {condition: service_healthy}}}}")

    def states():
        return {row["Service"]: row["State"] for row in map(json.loads, project.compose("ps", "-a", "--format", "json").out.splitlines())}
    code, said = interrupted_up(project, lambda: states() == {"a": "running", "b": "created"})
    assert code == 130 and "Gracefully Stopping... press Ctrl+C again to force" in said, said
    assert states() == {"a": "exited", "b": "created"}


def is_there(command_line):
    """Has any process these words?"""
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if pathlib.Path(f"/proc/{pid}/cmdline").read_bytes() == command_line:
                return True
        except OSError:
            pass
    return False


def test_an_interrupt_while_an_image_is_built(project):
    """Nothing runs yet: the command ends, and the engine gives the build up."""
    seconds = 100000 + os.getpid()
    project.write("services: {a: {build: {context: ., dockerfile_inline: \"FROM busybox\\nRUN exec sleep %d\"}}}" % seconds)
    code, said = interrupted_up(project, lambda: is_there(b"sleep\0%d\0" % seconds))
    assert code == 130, said
    wait_until(lambda: not is_there(b"sleep\0%d\0" % seconds), what="the build being given up")
    assert project.containers() == {}


def test_dry_run_changes_nothing(project):
    project.write("services: {a: {image: busybox, command: sleep 1000}}")
    got = project.compose("--dry-run", "up", "-d", check=True)
    assert f"DRY-RUN MODE -  Container {project.name}-a-1  Created" in got.err
    assert project.containers() == {}


def test_waiting_has_a_limit_and_old_names(project):
    project.write("services: {a: {image: busybox, command: sleep 1000, stop_grace_period: 0s, "
                  "healthcheck: {test: 'false', interval: 100ms, retries: 10000}}}\nvolumes: {spare: {}}")
    got = project.compose("--compatibility", "up", "-d", "--wait", "--wait-timeout", "1")
    assert got.code == 1 and got.err.splitlines()[-1] == "application not healthy after 1s"
    assert f"Last lines of {project.name}_a_1:" in got.err
    assert list(project.containers()) == [f"{project.name}_a_1"]
    assert project.compose("config", "--volumes", check=True).out == ""
    assert project.compose("--all-resources", "config", "--volumes", check=True).out == "spare\n"


def test_called_docker_compose(project, tmp_path_factory):
    link = tmp_path_factory.mktemp("bin") / "docker-compose"
    os.symlink(project.engine.build / "berth", link)
    project.write("services: {a: {image: busybox, command: sleep 1000}}")
    got = run([link, "-f", project.directory / "compose.yaml", "config", "--services"], env=project.engine.environment, check=True)
    assert got.out == "a\n"
