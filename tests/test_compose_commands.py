"""Compose: commands beside up and down, and their flags."""
import io
import json
import pathlib
import re
import subprocess
import tarfile

import pytest

from compose_project import project  # noqa: F401 (a fixture)
from engine import run, wait_until
from registry import Registry

pytestmark = pytest.mark.own

IDLE = "image: busybox, command: sleep 1000, stop_grace_period: 0s"


def test_commit_and_export(project, engine):
    project.write(f"services: {{a: {{{IDLE}, scale: 2}}}}")
    project.compose("up", "-d", check=True)
    project.compose("exec", "-T", "--index", "2", "a", "sh", "-c", "echo second > /mark", check=True)
    image = f"{project.name}/committed:1"
    try:
        said = project.compose("commit", "--index", "2", "-m", "words", "-a", "who", "-c", "ENV A=b", "a", image, check=True).out
        document = engine.inspect(image)
        assert said.strip() == document["Id"] and document["Comment"] == "words" and document["Author"] == "who"
        assert "A=b" in document["Config"]["Env"]
        assert engine.docker("run", "--rm", image, "cat", "/mark", check=True).out == "second\n"
    finally:
        engine.docker("rmi", "-f", image)
    written = project.directory / "files.tar"
    project.compose("export", "--index", "2", "-o", written, "a", check=True)
    with tarfile.open(fileobj=io.BytesIO(written.read_bytes())) as archive:
        assert archive.extractfile("mark").read() == b"second\n"
    assert project.compose("export", "--index", "3", "-o", written, "a").err == 'service "a" has no container #3\n'
    assert project.compose("commit", "nobody").err == "no such service: nobody\n"


def test_copies_reach_every_container(project):
    project.write(f"services: {{a: {{{IDLE}, scale: 2}}}}")
    project.compose("up", "-d", check=True)
    (project.directory / "file").write_text("copied\n")
    project.compose("cp", project.directory / "file", "a:/file", check=True)
    for index in ("1", "2"):
        assert project.compose("exec", "-T", "--index", index, "a", "cat", "/file", check=True).out == "copied\n"
    project.compose("cp", "--index", "2", project.directory / "file", "a:/only", check=True)
    assert project.compose("exec", "-T", "--index", "1", "a", "cat", "/only").code == 1
    project.compose("cp", "--index", "2", "a:/only", project.directory / "back", check=True)
    assert (project.directory / "back").read_text() == "copied\n"
    project.compose("run", "-d", "--name", f"{project.name}-side", "a", check=True)
    project.compose("cp", "--all", project.directory / "file", "a:/all", check=True)
    assert project.engine.docker("exec", f"{project.name}-side", "cat", "/all", check=True).out == "copied\n"
    assert "cannot use the --all flag" in project.compose("cp", "--all", "a:/all", project.directory / "x").err
    assert project.compose("cp", "a:/x", "a:/y").err == "copying between services is not supported\n"
    assert project.compose("cp", "./x", "./y").err == "unknown copy direction\n"


def test_environment_from_files(project):
    project.write("services: {a: {image: busybox, environment: {A: service, B: service, C: service}}}")
    (project.directory / "given.env").write_text("# words\nA=file\nB='file'\nD=${HERE}\n")
    shown = project.compose("run", "--rm", "-T", "--env-from-file", project.directory / "given.env", "-e", "B=flag", "a", "sh", "-c",
                            "echo $A $B $C $D", env={"HERE": "ours"}, check=True)
    assert shown.out == "file flag service ours\n"
    assert "nowhere" in project.compose("run", "--rm", "--env-from-file", "nowhere", "a").err


def test_wait_for_ends(project):
    project.write("services: {a: {image: busybox, command: sh -c 'sleep 0.3; exit 4'}, b: {image: busybox, command: sh -c 'sleep 1; exit 6'}, "
                  f"c: {{{IDLE}}}}}")
    project.compose("up", "-d", check=True)
    got = project.compose("wait", "a", "b")
    assert got.code == 6 and got.out.count("exited with status code") == 2
    project.compose("up", "-d", check=True)
    down = project.compose("wait", "--down-project", "a", "c")
    assert down.code == 4 and project.containers() == {}
    assert project.compose("wait", "a").err == f'no containers for project "{project.name}"\n'


def test_start_waits_and_kill_takes_orphans(project):
    project.write(f"services: {{a: {{{IDLE}, healthcheck: {{test: 'true', interval: 100ms}}}}, b: {{{IDLE}}}}}")
    project.compose("create", check=True)
    started = project.compose("start", "--wait", "--wait-timeout", "30", check=True)
    assert f"Container {project.name}-a-1  Healthy" in started.err
    project.write(f"services: {{a: {{{IDLE}}}}}")
    project.compose("kill", "--remove-orphans", check=True)
    assert {name: row["State"] for name, row in project.containers().items()} == {f"{project.name}-a-1": "exited"}


def test_attach_shows_what_comes(project):
    project.write("services: {a: {image: busybox, command: sh -c 'sleep 0.5; while :; do echo beat; sleep 0.1; done', stop_grace_period: 0s}}")
    project.compose("up", "-d", check=True)
    attached = subprocess.Popen([project.engine.build / "berth", "compose", "-p", project.name, "--project-directory", project.directory,
                                 "attach", "--no-stdin", "a"], env=project.engine.environment, stdout=subprocess.PIPE)
    try:
        assert attached.stdout.readline() == b"beat\n"
    finally:
        attached.kill()
        attached.wait()


def test_what_is_not_there_is_refused(project):
    remote = "https://example.org/compose.yaml"
    assert project.compose("-f", remote, "config").err == ("compose files are read from here, from git repositories and from registries (oci://): "
                                                           f"fetch {remote}, and name the file that is then here\n")
    project.write(f"services: {{a: {{{IDLE}}}}}")
    assert project.compose("up", "--menu").err == "--menu is not supported: the keyboard is the terminal's own; `watch` and `up -d` do what its keys would\n"
    project.compose("up", "--menu=false", "-d", check=True)
    for words, key in (("provider: {type: model}", "provider"), ("image: busybox, models: {m: {}}", "models"),
                       ("image: busybox, credential_spec: {file: ./x}", "credential_spec")):
        project.write(f"services: {{b: {{{words}}}}}\nmodels: {{m: {{model: x}}}}")
        got = project.compose("up", "-d", "b")
        assert got.code == 1 and f'service "b": `{key}` is not supported' in got.err, got
    project.write("services: {a: {image: busybox, command: sleep 1000}}")


def test_a_trial_may_be_asked_for_behind_the_command(project, engine):
    project.write(f"services: {{a: {{{IDLE}}}}}")
    tried = project.compose("up", "-d", "--dry-run", check=True)
    assert "DRY-RUN MODE" in tried.err and not project.containers()
    project.compose("up", "-d", check=True)
    for words in (["stop"], ["kill"], ["restart"], ["pause"], ["rm", "-fs"], ["down", "-t", "0"], ["up", "-d", "--force-recreate"], ["scale", "a=0"]):
        before = {name: (row["ID"], row["State"]) for name, row in project.containers().items()}
        project.compose(*words, "--dry-run", check=True)
        assert {name: (row["ID"], row["State"]) for name, row in project.containers().items()} == before
    for words in (["exec", "a", "true"], ["run", "a", "true"], ["cp", "a:/etc/passwd", "x"], ["commit", "a"], ["export", "a"], ["watch"],
                  ["attach", "a"], ["wait", "a"]):
        said = project.compose(words[0], "--dry-run", *words[1:])
        assert (said.code, said.err) == (1, f"--dry-run is not supported by compose {words[0]}\n")
    assert project.compose("exec", "-T", "a", "echo", "--dry-run", check=True).out == "--dry-run\n"


def test_version_of_the_group(project):
    said = project.compose("version", check=True).out
    assert project.compose("-v", check=True).out == project.compose("--version", check=True).out == said


def test_images_by_their_digests(project, build):
    registry = Registry(build).start()
    image = f"{registry.host}/team/app:1"
    try:
        project.engine.docker("tag", "busybox", image, check=True)
        pushed = project.engine.docker("push", image, check=True).out
        digest = re.search(r"sha256:[0-9a-f]{64}", pushed)[0]
        project.write(f"services: {{a: {{image: '{image}'}}, b: {{image: '{image}@{digest}'}}, c: {{build: .}}}}")
        model = json.loads(project.compose("config", "--resolve-image-digests", "--format", "json", check=True).out)
        assert model["services"]["a"]["image"] == model["services"]["b"]["image"] == f"{image}@{digest}"
        locked = project.compose("config", "--lock-image-digests", check=True).out
        assert locked == f"services:\n  a:\n    image: {image}@{digest}\n  b:\n    image: {image}@{digest}\n"
        project.write(f"services: {{a: {{image: '{registry.host}/nobody:1'}}}}")
        refused = project.compose("config", "--resolve-image-digests")
        assert refused.code == 1 and f"digest of {registry.host}/nobody:1: " in refused.err
    finally:
        project.engine.docker("rmi", "-f", image)
        registry.remove()


def test_volumes_of_services(project):
    project.write(f"services: {{a: {{{IDLE}, volumes: ['one:/x']}}, b: {{{IDLE}, volumes: ['two:/x']}}}}\nvolumes: {{one: {{}}, two: {{}}}}")
    project.compose("up", "-d", check=True)
    one, two = f"{project.name}_one", f"{project.name}_two"
    assert project.compose("volumes", "-q", check=True).out == f"{one}\n{two}\n"
    assert project.compose("volumes", "--format", "{{.Name}} {{.Driver}}", "b", check=True).out == f"{two} local\n"
    assert project.compose("volumes", "a", check=True).out.split() == ["DRIVER", "VOLUME", "NAME", "local", one]
    assert json.loads(project.compose("volumes", "--format", "json", "a", check=True).out)["Name"] == one


def test_lists_are_as_wide_as_what_is_in_them(project, engine):
    """Names and states of any length, and no less room than Docker's compose gives."""
    long = "a-service-with-a-name-of-some-length"
    project.write(f"services:\n  {long}: {{{IDLE}, ports: ['127.0.0.1::80'], volumes: ['data:/data', '/anonymous', './:/here']}}\n"
                  "  ends: {image: busybox, command: 'true'}\n  b: {image: busybox, command: 'true', network_mode: none}\nvolumes: {data: }")
    project.compose("up", "-d", check=True)
    name = f"{project.name}-{long}-1"
    wait_until(lambda: [row["State"] for row in project.containers().values()].count("exited") == 2, what="the ends")
    head, row = project.compose("ls", "-a", "--filter", f"name={project.name}", check=True).out.splitlines()
    width = max(20, len(project.name) + 3)
    assert head == f"{'NAME':{width}}{'STATUS':24}CONFIG FILES" and row == f"{project.name:{width}}{'exited(2), running(1)':24}{project.directory}/compose.yaml"
    lines = project.compose("images", check=True).out.splitlines()
    assert lines[0].startswith(f"{'CONTAINER':{len(name) + 3}}{'REPOSITORY':20}{'TAG':20}") and [line for line in lines if line.startswith(f"{name}   busybox")]
    assert len(project.compose("images", "-q", check=True).out.split()) == 1
    top = project.compose("top", check=True).out.splitlines()
    assert top[0].startswith(f"{'SERVICE':{len(long) + 2}}#   UID") and top[1].startswith(f"{long}  1   ")
    listed = {row["Service"]: row for row in project.containers().values()}
    assert (listed[long]["LocalVolumes"], listed[long]["Networks"]) == ("2", f"{project.name}_default") and f"{project.name}_data" in listed[long]["Mounts"]
    assert (listed["b"]["LocalVolumes"], listed["b"]["Mounts"], listed["b"]["Networks"], listed["b"]["Size"]) == ("0", "", "none", "0B")
    published = project.compose("port", long, "80", check=True).out.rpartition(":")[2].strip()
    assert project.compose("port", long, "81").err == f"no port 81/tcp for container {name}: {published}/tcp\n"


def test_what_scripts_compare(project, build, tmp_path):
    """By Docker's names the version is the one that we are like; a wrong flag ends with 1, as Docker's compose does."""
    for called, words, number, line in (("docker-compose", [], "2.40.3", "Docker Compose version 2.40.3 (berth "), ("docker", ["compose"], "2.40.3", "Docker Compose version 2.40.3 (berth "),
                                        ("berth", ["compose"], "0.", "berth compose version 0.")):
        program = tmp_path / called
        program.symlink_to(pathlib.Path(build) / "berth")

        def ask(*arguments):
            return run([program, *words, *arguments], check=True).out
        assert ask("version", "--short").startswith(number) and ask("version").startswith(line)
        assert json.loads(ask("version", "-f", "json"))["version"].startswith(number)
        assert run([program, *words, "up", "--nope"]).code == 1
    gone = project.engine.berth("compose", "-p", "nobody", "down", check=True)
    assert 'level=warning msg="Warning: No resource found to remove for project \\"nobody\\"."' in gone.err


def test_a_project_by_its_name_whatever_file_is_here(project, engine, tmp_path_factory):
    """-p without -f goes by the labels: another project's file that lies in the directory means nothing, as for Docker's compose."""
    (project.directory / "Dockerfile").write_text("FROM busybox\nCMD sleep 1000\n")
    project.write(f"services: {{a: {{{IDLE}, depends_on: [b]}}, b: {{build: ., stop_grace_period: 0s}}}}")
    project.compose("up", "-d", check=True)
    other = tmp_path_factory.mktemp("other")
    (other / "compose.yaml").write_text(f"services: {{x: {{{IDLE}}}, broken: {{image: [}}")

    def there(*arguments, **options):
        return run(["env", "-C", other, engine.build / "berth", "compose", "-p", project.name, *arguments], env=engine.environment, **options)
    assert len(there("ps", "-q", check=True).out.split()) == 2
    said = there("stop", check=True).err.splitlines()
    assert said[:2] == [f" Container {project.name}-a-1  Stopping", f" Container {project.name}-a-1  Stopped"]
    there("start", check=True)
    there("kill", "--remove-orphans", "b", check=True)
    assert set(project.containers()) == {f"{project.name}-a-1", f"{project.name}-b-1"}
    refused = there("-f", other / "compose.yaml", "ps")
    assert refused.code == 1 and refused.err.startswith("yaml: ")
    gone = there("down", "--rmi", "local", check=True).err
    assert f" Image {project.name}-b:latest  Removed\n" in gone and f" Network {project.name}_default  Removed\n" in gone and "busybox" not in gone
    assert not project.containers() and engine.docker("image", "inspect", "busybox").code == 0
