"""Docker's compose and ours take turns on one project; reported as not run where Docker's is not there (engine.docker_compose)."""
import subprocess

import pytest

from compose_project import project  # noqa: F401 (a fixture)
from engine import docker_compose, run
from test_compose_config import directory, read_cases  # noqa: F401 (a fixture)

pytestmark = pytest.mark.own

FILE = """
services:
  a: {image: busybox, command: sleep 1000, stop_grace_period: 0s, env_file: one.env, volumes: [/anonymous], ipc: shareable}
  b: {image: busybox, command: sleep 1000, stop_grace_period: 0s, env_file: [one.env, {path: raw.env, format: raw}], environment: {ONE: mine, X: "a<b>&c$$"}}
  c:
    image: busybox
    command: sleep 1000
    stop_grace_period: 0s
    volumes: ["DIRECTORY/conf//:/unclean", "./conf:/conf:ro", "data:/data", "/anonymous", {type: tmpfs, target: /t, tmpfs: {size: 1m}}]
  d:
    image: busybox
    command: sleep 1000
    stop_grace_period: 0s
    scale: 2
    networks: {back: {aliases: [dd]}, default: }
    secrets: [s, {source: s, target: other, mode: 0400}]
    configs: [{source: g, target: /g}]
    ports: ["127.0.0.1::80"]
    depends_on: {a: {condition: service_started, restart: true}}
    healthcheck: {test: "true", interval: 1s}
    deploy: {resources: {limits: {cpus: "0.5", memory: 64M}}, labels: {x: y}}
    labels: {x: y}
    ulimits: {nofile: {soft: 100, hard: 200}}
    extra_hosts: ["h:1.2.3.4"]
    logging: {driver: json-file, options: {max-size: 1m}}
  e: {image: busybox, command: sleep 1000, stop_grace_period: 0s, network_mode: "service:a", pid: "service:a", ipc: "service:a", init: true, cap_add: [NET_ADMIN]}
  f: {image: busybox, command: sleep 1000, stop_grace_period: 0s, volumes_from: ["a:ro"], links: ["b:bee"]}
  g:
    image: busybox
    command: sleep 1000
    stop_grace_period: 0s
    profiles: [extra]
    networks: {front: {ipv4_address: 10.213.8.9, mac_address: "02:42:0a:d5:08:09", priority: 5, gw_priority: 1}, back: {link_local_ips: [169.254.8.8]}}
    volumes: ["kept:/kept:ro,nocopy", {type: volume, source: sized, target: /sized, volume: {subpath: ""}}]
    secrets: [{source: s, target: /etc/s, uid: "7", gid: "8", mode: 0440}, from_environment]
    configs: [{source: g, target: /etc/g, uid: "7", mode: 0555}, from_file]
    tmpfs: [/run:size=1m]
    sysctls: {net.ipv4.ip_unprivileged_port_start: 80}
    depends_on: [h]
  h: {image: busybox, command: sleep 1000, stop_grace_period: 0s, profiles: [extra], deploy: {mode: replicated, replicas: 2}, network_mode: none, read_only: true}
networks:
  front: {driver: bridge, attachable: true, driver_opts: {com.docker.network.driver.mtu: "1400"}, labels: [l=v], ipam: {config: [{subnet: 10.213.8.0/24, gateway: 10.213.8.1, ip_range: 10.213.8.128/25, aux_addresses: {host: 10.213.8.5}}]}}
  back: {internal: true, ipam: {config: [{subnet: 10.213.7.0/24}]}}
volumes: {data: {labels: {k: v}}, kept: {external: true, name: KEPT}, sized: {name: NAMED, driver: local, driver_opts: {type: tmpfs, device: tmpfs, o: size=1m}}}
secrets: {s: {file: ./secret}, from_environment: {environment: HOME}}
configs: {g: {content: hello}, from_file: {file: ./secret}}
"""


@pytest.fixture(scope="module")
def theirs():
    words = docker_compose()
    if not words:
        pytest.skip("not run: Docker's compose is not there ($DOCKER_COMPOSE names it)")
    return words


@pytest.fixture
def both(project, theirs, engine):
    (project.directory / "conf").mkdir()
    (project.directory / "secret").write_text("s")
    (project.directory / "one.env").write_text('ONE=1\nEMPTY=\nTAKEN\nQUOTED="a b"\n')
    (project.directory / "raw.env").write_text('RAW="a b" # c\n')
    project.write(FILE.replace("DIRECTORY", str(project.directory)).replace("KEPT", f"kept-{project.name}").replace("NAMED", f"sized-{project.name}"))

    def call(words):
        def compose(*arguments):
            return run([*words, "-p", project.name, "--project-directory", project.directory, "-f", project.directory / "compose.yaml", *arguments],
                       env=engine.environment, check=True)
        return compose
    return {"berth": call([engine.build / "berth", "compose"]), "docker": call(theirs)}


@pytest.mark.parametrize("first,second", [("berth", "docker"), ("docker", "berth")])
def test_turns(project, both, engine, first, second):
    def things():
        return ({name: row["ID"] for name, row in project.containers().items()}, sorted(engine.docker("network", "ls", "-q").out.split()),
                sorted(engine.docker("volume", "ls", "-q").out.split()))

    one, other = both[first], both[second]
    one("up", "-d")
    made = things()
    assert len(made[0]) == 7
    for compose in (other, one, other):
        said = compose("up", "-d").err
        assert "Recreate" not in said and things() == made, said

    # What one changes the other takes as it is; a link is by name and stays good.
    text = (project.directory / "compose.yaml").read_text()
    project.write(text.replace("ONE: mine", "ONE: yours"))
    assert f"{project.name}-b-1  Recreated" in other("up", "-d").err
    changed = things()
    assert {name for name in made[0] if made[0][name] != changed[0][name]} == {f"{project.name}-b-1"}
    assert project.compose("exec", "-T", "f", "ping", "-c", "1", "bee").code == 0
    assert "Recreate" not in one("up", "-d").err and things() == changed
    other("up", "-d", "--scale", "d=3")
    assert f"{project.name}-d-3" in things()[0]
    one("up", "-d")
    assert things() == changed

    # A container that others lean on is made anew: they are, too, and then all is at rest.
    project.write(text.replace("ipc: shareable", "ipc: shareable, labels: {n: e}"))
    other("up", "-d")
    leaned = things()
    for name in ("a", "e", "f"):
        assert leaned[0][f"{project.name}-{name}-1"] != changed[0][f"{project.name}-{name}-1"]
    assert "Recreate" not in one("up", "-d").err and things() == leaned

    one("stop", "d")
    other("start", "d")
    assert {row["State"] for row in project.containers().values()} == {"running"}
    other("down", "-v", "-t", "0")
    assert things()[0] == {} and project.name not in engine.docker("network", "ls").out + engine.docker("volume", "ls").out


@pytest.mark.parametrize("first,second", [("berth", "docker"), ("docker", "berth")])
def test_turns_with_a_profile(project, both, engine, first, second):
    """Networks with options and addresses, a volume from elsewhere, secrets and configs with modes, scale by the command line."""
    kept = f"kept-{project.name}"
    engine.docker("volume", "create", kept, check=True)

    def things():
        rows = engine.docker("ps", "-a", "--filter", f"label=com.docker.compose.project={project.name}", "--format", "{{.Names}} {{.ID}}", check=True)
        return sorted(rows.out.splitlines()), sorted(engine.docker("network", "ls", "-q").out.split()), sorted(engine.docker("volume", "ls", "-q").out.split())

    one, other = both[first], both[second]
    extra = ("--profile", "extra")
    try:
        one(*extra, "up", "-d", "--scale", "h=3")
        made = things()
        assert len(made[0]) == 11
        for compose in (other, one, other):
            said = compose(*extra, "up", "-d", "--scale", "h=3").err
            assert "Recreate" not in said and things() == made, said
        other("up", "-d")  # without the profile its services are left alone
        assert things() == made
        other(*extra, "up", "-d")
        assert len(things()[0]) == 10
        one(*extra, "stop", "g")
        other(*extra, "up", "-d")
        assert set(things()[0]) < set(made[0])
        one(*extra, "down", "-v", "-t", "0")
        assert things()[0] == [] and kept in things()[2] and project.name not in " ".join(name for name in things()[2] if name != kept)
    finally:
        engine.docker("volume", "rm", kept)


@pytest.mark.parametrize("case", [c for c in read_cases() if c["arguments"][-1:] == ["config"] and not c["reason"]], ids=lambda case: case["title"])
def test_hashes_are_the_same(build, theirs, directory, case):
    """Where files of variables are, Docker's compose prints another hash than it puts on containers: test_turns has those."""
    for name, text in case["files"].items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(text)
    if any("env_file" in text for name, text in case["files"].items() if name.endswith("yaml")):
        pytest.skip("has a file of variables")
    environment = {"PATH": "/usr/bin:/bin", "HOME": "/home/user", **case["variables"]}
    answers = []
    for words in ([build / "berth", "compose"], theirs):
        done = subprocess.run([*words, *case["arguments"], "--hash", "*"], cwd=directory, env=environment, stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=60)
        answers.append((done.returncode, sorted(done.stdout.splitlines())))
    assert answers[0] == answers[1] or answers[0][0] == answers[1][0] == 1


@pytest.mark.parametrize("case", list(read_cases()), ids=lambda case: case["title"])
def test_what_is_recorded_is_dockers_answer(theirs, directory, case):
    """tests/compose/canonical.txt says what Docker's compose prints."""
    for name, text in case["files"].items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(text)
    environment = {"PATH": "/usr/bin:/bin", "HOME": "/home/user", **case["variables"]}
    done = subprocess.run([*theirs, *case["arguments"]], cwd=directory, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=60)
    got, wanted = (text.replace(str(directory), "<project>").replace(str(directory.parent), "<parent>").splitlines()
                   for text in (done.stdout, case["answers"]["docker"]))
    if wanted[:1] and wanted[0].startswith("refused"):
        assert done.returncode != 0
    elif case["unordered"]:
        assert sorted(got) == sorted(wanted)
    else:
        assert got == wanted
