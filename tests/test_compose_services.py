"""Compose: keys of services that lead to something in a real container."""
import pytest

from compose_project import project  # noqa: F401 (a fixture)

pytestmark = pytest.mark.own


def test_hooks(project, engine):
    """post_start before others that depend on it see it started, pre_stop before the end, with users, directories and variables."""
    project.write("""
services:
  a:
    image: busybox
    command: sh -c 'trap "cat /shared/told; exit 0" TERM; sleep 1000 & wait'
    volumes: [shared:/shared]
    post_start:
      - {command: sh -c 'echo post $$(id -g) $$PWD $$WORD >> /shared/told', user: "0:1000", working_dir: /tmp, environment: {WORD: said}}
      - {command: ["sh", "-c", "echo second > /shared/second"], privileged: true}
    pre_stop:
      - {command: sh -c 'echo pre >> /shared/told'}
    init: true
    tmpfs: /tmp
  b: {image: busybox, command: cat /shared/second, volumes: ["shared:/shared"], depends_on: [a]}
volumes: {shared: {}}
""")
    project.compose("up", "-d", check=True)
    project.compose("wait", "b")
    assert project.compose("logs", "--no-log-prefix", "b", check=True).out == "second\n"
    assert project.compose("exec", "-T", "a", "cat", "/shared/told", check=True).out == "post 1000 /tmp said\n"
    project.compose("stop", check=True)
    assert project.compose("logs", "--no-log-prefix", "a", check=True).out == "post 1000 /tmp said\npre\n"


def test_a_hook_that_fails_ends_up(project):
    project.write("services: {a: {image: busybox, command: sleep 1000, stop_grace_period: 0s, post_start: [{command: 'false'}]}, "
                  "b: {image: busybox, command: sleep 1000, stop_grace_period: 0s, pre_stop: [{command: 'false'}]}}")
    got = project.compose("up", "-d", "a")
    assert got.code == 1 and "hook exited with status code 1" in got.err
    project.compose("up", "-d", "b", check=True)
    project.compose("stop", "b", check=True)


def test_deploy(project, engine):
    """Resources, replicas and restart policy count; what only a swarm knows says nothing."""
    project.write("""
services:
  a:
    image: busybox
    command: sleep 1000
    stop_grace_period: 0s
    deploy:
      replicas: 2
      resources:
        limits: {cpus: "0.25", memory: 32M, pids: 50}
        reservations: {memory: 16M}
      restart_policy: {condition: on-failure, max_attempts: 3, delay: 1s, window: 2s}
      update_config: {parallelism: 1, delay: 1s}
      placement: {constraints: [node.role == manager]}
      labels: {only: for a service}
""")
    project.compose("up", "-d", check=True)
    for number in (1, 2):
        document = engine.inspect(f"{project.name}-a-{number}")
        host = document["HostConfig"]
        assert (host["NanoCpus"], host["Memory"], host["PidsLimit"], host["MemoryReservation"]) == (250000000, 32 << 20, 50, 16 << 20)
        assert host["RestartPolicy"] == {"Name": "on-failure", "MaximumRetryCount": 3}
        assert "only" not in document["Config"]["Labels"]


def test_secrets_and_configs_of_all_kinds(project):
    (project.directory / "file").write_text("of a file")
    project.write("""
services:
  a:
    image: busybox
    command: sleep 1000
    stop_grace_period: 0s
    user: "1000"
    secrets:
      - plain
      - {source: variable, target: renamed, uid: "1000", gid: "2000", mode: 0400}
      - {source: plain, target: /elsewhere/absolute, mode: "0444"}
    configs:
      - content
      - {source: variable, target: /etc/deep/er, uid: "1000", mode: 0640}
      - {source: file, target: /etc/file}
secrets: {plain: {file: ./file}, variable: {environment: VALUE}}
configs: {content: {content: "hello ${VALUE}"}, variable: {environment: VALUE}, file: {file: ./file}}
""")
    project.compose("up", "-d", env={"VALUE": "of a variable"}, check=True)
    seen = project.compose("exec", "-T", "a", "sh", "-c", "for f in /run/secrets/plain /run/secrets/renamed /elsewhere/absolute /content /etc/deep/er /etc/file; "
                           "do echo $(stat -c '%u:%g %a' $f) $(cat $f); done", check=True).out.splitlines()
    owners = [line.split(" ", 2) for line in seen]
    assert [row[2] for row in owners] == ["of a file", "of a variable", "of a file", "hello of a variable", "of a variable", "of a file"]
    assert [row[:2] for row in owners[1:5]] == [["1000:2000", "400"], ["0:0", "444"], ["0:0", "444"], ["1000:0", "640"]]
    lost = project.compose("up", "-d", "--force-recreate")
    assert lost.code == 1 and 'environment variable "VALUE" required by' in lost.err


def test_a_rolling_change_keeps_what_is_not_touched(project, engine):
    """Names, numbers and anonymous volumes stay with the containers of a service whose image changes."""
    project.write("services: {a: {image: busybox, command: sleep 1000, stop_grace_period: 0s, scale: 3, volumes: [/kept]}, "
                  "b: {image: busybox, command: sleep 1000, stop_grace_period: 0s}}")
    project.compose("up", "-d", check=True)
    for number in "123":
        project.compose("exec", "-T", "--index", number, "a", "sh", "-c", f"echo {number} > /kept/number", check=True)
    before = {name: row["ID"] for name, row in project.containers().items()}
    text = (project.directory / "compose.yaml").read_text()
    project.write(text.replace("scale: 3", "scale: 3, environment: {NEW: '1'}"))
    project.compose("up", "-d", check=True)
    after = {name: row["ID"] for name, row in project.containers().items()}
    assert set(before) == set(after) and {n for n in before if before[n] == after[n]} == {f"{project.name}-b-1"}
    for number in "123":
        assert project.compose("exec", "-T", "--index", number, "a", "cat", "/kept/number", check=True).out == f"{number}\n"


def test_restart_in_the_order_of_dependencies(project, engine):
    """Who asks for it is restarted with its dependency, and after it is healthy again; hooks run around it."""
    project.write(f"""
services:
  a:
    image: busybox
    command: sleep 1000
    stop_grace_period: 0s
    healthcheck: {{test: test -f /ready, interval: 100ms, retries: 100, start_interval: 100ms, start_period: 60s}}
    post_start: [{{command: [touch, /ready]}}]
    pre_stop: [{{command: [rm, /ready]}}]
  b: {{image: busybox, command: sleep 1000, stop_grace_period: 0s, depends_on: {{a: {{condition: service_healthy, restart: true}}}}}}
  c: {{image: busybox, command: sleep 1000, stop_grace_period: 0s, depends_on: [a]}}
  d: {{image: busybox, command: sleep 1000, stop_grace_period: 0s, depends_on: {{b: {{condition: service_started, restart: true}}}}}}
""")
    project.compose("up", "-d", check=True)

    def starts():
        return {service: engine.inspect(f"{project.name}-{service}-1")["State"]["StartedAt"] for service in "abcd"}

    before = starts()
    said = [line.split()[1:] for line in project.compose("restart", "a", check=True).err.splitlines()]
    a, b, d = (f"{project.name}-{service}-1" for service in "abd")
    assert said == [[a, "Restarting"], [a, "Started"], [a, "Waiting"], [a, "Healthy"], [b, "Restarting"], [b, "Started"], [d, "Restarting"], [d, "Started"]]
    after = starts()
    assert after["c"] == before["c"] and before["a"] < after["a"] < after["b"] < after["d"]
    project.compose("restart", "--no-deps", "a", check=True)
    assert {s for s in "abcd" if starts()[s] != after[s]} == {"a"}
    after = starts()
    # Without the file the labels know the same.
    said = project.engine.berth("compose", "-p", project.name, "restart", "b", check=True).err
    assert [line.split()[1] for line in said.splitlines()] == [b, b, d, d]
    assert {s for s in "abcd" if starts()[s] != after[s]} == {"b", "d"}
