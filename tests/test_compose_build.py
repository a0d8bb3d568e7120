"""Compose and images: builds with all that a build section may say, pulls and pushes with the user's credentials."""
import json
import pathlib
import platform
import subprocess
import time

import pytest

from compose_project import project  # noqa: F401 (a fixture)
from engine import run
from registry import Registry
from test_build_secrets import TALK, agent, asking  # noqa: F401 (fixtures)

pytestmark = pytest.mark.own

# bcrypt with the least cost, of "secret"
USERS = "alice:$2y$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW\n"


@pytest.fixture(scope="module")
def secured(build, tmp_path_factory):
    """A registry that wants to know who asks."""
    users = tmp_path_factory.mktemp("users") / "htpasswd"
    users.write_text(USERS)
    made = Registry(build, "--htpasswd", users).start()
    yield made
    made.remove()


def test_push_and_pull_with_credentials(project, engine, secured):
    image, second = f"{secured.host}/app:1", f"{secured.host}/app:second"
    (project.directory / "Dockerfile").write_text("FROM busybox\nRUN echo pushed > /told\n")
    project.write(f"services: {{a: {{image: '{image}', build: {{context: ., tags: ['{second}']}}, command: cat /told}}, "
                  f"b: {{image: '{image}', command: cat /told}}, own: {{build: .}}}}")
    project.compose("build", check=True)
    refused = project.compose("push")
    assert refused.code == 1 and "no basic auth credentials" in refused.err
    engine.berth("login", "-u", "alice", "--password-stdin", secured.host, stdin="secret\n", check=True)
    try:
        pushed = project.compose("push", check=True)
        assert "Service a  Pushed" in pushed.err and "Service own  Skipped" in pushed.err and "Service b" not in pushed.err
        forget(engine, image, second)
        pulled = project.compose("pull", "--ignore-buildable", check=True)
        assert "Service b  Pulled" in pulled.err and "Service a" not in pulled.err
        # Both want one image: one pull serves both.
        forget(engine, image)
        up = project.compose("up", "-d", "--no-build", "a", "b", check=True)
        assert "Service a  Pulled" in up.err and "Service b  Pulled" in up.err
        assert said_by(project, "b") == ["pushed"]
        assert second.rsplit(":", 1)[1] in json.loads(secured.request("GET", "/v2/app/tags/list", headers=basic()).body)["tags"]
    finally:
        engine.berth("logout", secured.host, check=True)
    forget(engine, image)
    lost = project.compose("pull")
    assert lost.code == 1 and "no basic auth credentials" in lost.err
    assert project.compose("pull", "--ignore-pull-failures").code == 0
    project.write("services: {a: {image: busybox}}")
    assert project.compose("pull", "--policy", "sometimes").err == '--policy must be "always" or "missing", not "sometimes"\n'


def said_by(project, service):
    """What a service that ends had to say."""
    project.compose("wait", service)
    return project.compose("logs", "--no-log-prefix", service, check=True).out.splitlines()


def basic():
    return {"Authorization": "Basic YWxpY2U6c2VjcmV0"}


def forget(engine, *images):
    for image in images:
        engine.docker("rmi", "-f", image)


def test_policies_that_pull_now_and_then(project, engine, build):
    """An image that is younger than its limit stays; an older one is pulled."""
    registry = Registry(build).start()
    image = f"{registry.host}/sometimes:1"
    try:
        engine.docker("tag", "busybox", image, check=True)
        engine.docker("push", image, check=True)
        for policy, pulls in (("daily", False), ("every_2h", False), ("every_1s", True), ("refresh, pull_refresh_after: 1s", True)):
            project.write(f"services: {{a: {{image: '{image}', command: 'true', pull_policy: {policy}}}}}")
            if pulls:
                time.sleep(1.1)
            assert ("Pulled" in project.compose("create", check=True).err) == pulls, policy
    finally:
        forget(engine, image)
        registry.remove()


def test_a_build_section(project, engine):
    """Contexts from other services, values, tags, a Dockerfile in the file, one from outside of the context."""
    (project.directory / "context").mkdir()
    (project.directory / "context/file").write_text("from the context\n")
    (project.directory / "more").mkdir()
    (project.directory / "more/file").write_text("from more\n")
    (project.directory / "outside.Dockerfile").write_text("FROM busybox AS one\nRUN echo one > /stage\nFROM busybox AS two\nRUN echo two > /stage\n")
    (project.directory / "token.txt").write_text("a token\n")
    (project.directory / ".env").write_text("WORD='a word\n'\n")
    project.write("""
services:
  app:
    build:
      context: ./context
      additional_contexts: {base: "service:base", more: ./more}
      args: {GIVEN: from file, TAKEN: }
      extra_hosts: ["elsewhere:10.1.2.3"]
      labels: {own.label: x}
      shm_size: 8m
      secrets: [token, {source: word, target: given_word}]
      tags: ["NAME/extra:1"]
      no_cache_filter: late
      dockerfile_inline: |
        FROM base
        ARG GIVEN TAKEN
        RUN --mount=type=secret,id=token cat /run/secrets/token > /secrets
        RUN --mount=type=secret,id=given_word cat /run/secrets/given_word >> /secrets
        COPY file /file
        COPY --from=more file /more
        RUN cat /base /file /more /secrets > /all; echo "$$GIVEN $$TAKEN" >> /all; grep elsewhere /etc/hosts >> /all
    command: cat /all
  base:
    build: {context: ., dockerfile_inline: "FROM busybox\\nRUN echo from base > /base"}
    profiles: [only-for-builds]
  stage:
    build: {context: ./context, dockerfile: ../outside.Dockerfile, target: one}
    command: cat /stage
secrets: {token: {file: ./token.txt}, word: {environment: WORD}}
""".replace("NAME", project.name))
    try:
        up = project.compose("up", "-d", env={"TAKEN": "taken"}, check=True)
        assert up.err.index("Service base  Built") < up.err.index("Service app  Building")
        assert said_by(project, "app") == [
            "from base", "from the context", "from more", "a token", "a word", "from file taken", "10.1.2.3\telsewhere"]
        assert said_by(project, "stage") == ["one"]
        labels = engine.inspect(f"{project.name}/extra:1")["Config"]["Labels"]
        assert labels["own.label"] == "x" and labels["com.docker.compose.image.builder"] == "classic"
        quiet = project.compose("build", "-q", "stage", check=True)
        assert quiet.out == "" and "Service stage  Built" in quiet.err
    finally:
        forget(engine, f"{project.name}/extra:1", f"{project.name}-base")


@pytest.mark.parametrize("section,words", [
    ("{context: ., isolation: hyperv}", 'service "a": build: isolation is not supported'),
    ("{context: ., dockerfile: nowhere}", "failed to read dockerfile: open {directory}/nowhere: no such file or directory"),
    ("{context: ., dockerfile_inline: 'FROM self', additional_contexts: {self: 'service:a'}}",
     'service "a": its build takes files from itself by additional_contexts'),
])
def test_builds_that_cannot_be(project, section, words):
    (project.directory / "Dockerfile").write_text("FROM busybox\n")
    project.write(f"services: {{a: {{build: {section}}}}}")
    got = project.compose("build")
    assert got.code == 1 and got.err.splitlines()[-1] == words.format(directory=project.directory)


def test_a_dockerfile_of_the_compose_file_leaves_nothing(engine, project):
    """However its build ends: one that is wrong, and one whose command is killed."""
    inline = "services: {{a: {{build: {{context: ., dockerfile_inline: \"FROM busybox\\n{}\"}}}}}}"
    project.write(inline.format("RUNN true"))
    got = project.compose("build")
    assert got.code == 1 and "\nDockerfile:2\n" in got.err
    mark = f"echo {project.name} && sleep 60"
    project.write(inline.format(f"RUN {mark}"))
    words = [engine.build / "berth", "compose", "--project-directory", project.directory, "build"]
    with subprocess.Popen(words, env=engine.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as command:
        assert any("Running in" in line for line in command.stdout)
        command.kill()
    assert not [path for path in pathlib.Path("/tmp").iterdir() if path.is_file() and mark.encode() in path.read_bytes()]


def test_builders_that_are_not_there(project):
    (project.directory / "Dockerfile").write_text("FROM busybox\n")
    project.write("services: {a: {build: .}}")
    got = project.compose("build", "--builder=other")
    assert (got.code, got.err) == (1, "--builder=other is not supported\n")
    project.compose("build", "-q", "--builder=default", "--provenance=false", "--check", check=True)


def test_events_take_times_as_people_write_them(project):
    project.write("services: {a: {image: busybox, command: 'true'}}")
    project.compose("up", check=True)
    said = project.compose("events", "--since", "10m", "--until", "0s", "--json", check=True).out
    assert [json.loads(line)["action"] for line in said.splitlines()][:2] == ["create", "start"]
    assert project.compose("events", "--since", "yesterday").code == 1


@pytest.mark.parametrize("section, flags, there", [("provenance: mode=max, sbom: true", [], {"provenance.json", "sbom.spdx.json"}),
                                                   ("sbom: true", ["--sbom=false"], set()), ("provenance: false", ["--provenance=true"], {"provenance.json"})])
def test_attestations(project, engine, section, flags, there):
    project.write(f"services: {{a: {{build: {{context: ., dockerfile_inline: 'FROM busybox', {section}}}}}}}")
    project.compose("build", *flags, check=True)
    name = f"{project.name}-a"
    written = project.directory / "image.tar"
    engine.berth("save", "-o", written, name, check=True)
    text = run(["tar", "-xOf", written, "--wildcards", "blobs/sha256/*"], check=True).out
    assert ("slsa.dev/provenance" in text) == ("provenance.json" in there)
    assert ("spdx.dev/Document" in text) == ("sbom.spdx.json" in there)


def test_agents_of_builds(project, agent, asking):
    """By the build section, as a list and as a mapping, and by the command line."""
    inline = "FROM asking\\nRUN --mount=type=ssh,id={id},required " + TALK.format("word", "WORD").replace('"', '\\"')
    for section, id, flags in ((f", ssh: ['mine={agent.path}']", "mine", []), (f", ssh: {{mine: '{agent.path}'}}", "mine", []),
                               (", ssh: [default]", "default", []), ("", "default", ["--ssh", "default"])):
        project.write(f'services: {{a: {{build: {{context: ., no_cache: true, dockerfile_inline: "{inline.format(id=id)}"{section}}}}}}}')
        seen = len(agent.seen)
        done = project.compose("build", *flags, env={"SSH_AUTH_SOCK": agent.path})
        assert done.code == 0 and len(agent.seen) == seen + 1, done
    project.write(f'services: {{a: {{build: {{context: ., no_cache: true, dockerfile_inline: "{inline.format(id="mine")}"}}}}}}')
    assert "ssh mine: not found" in project.compose("build").err


def test_steps_come_from_a_cache_elsewhere(project, engine, build):
    registry = Registry(build).start()
    place = f"type=registry,ref={registry.host}/cache:1"
    try:
        project.write(f"""
services:
  a:
    build:
      context: .
      dockerfile_inline: "FROM busybox\\nRUN cat /proc/sys/kernel/random/uuid > /once"
      cache_from: ["{place}"]
      cache_to: ["{place},mode=max"]
    command: cat /once
""")
        project.compose("up", "--build", check=True)
        first = said_by(project, "a")
        project.compose("down", "--rmi", "local", check=True)
        engine.berth("builder", "prune", "-af", check=True)
        project.compose("up", "--build", check=True)
        assert said_by(project, "a") == first
    finally:
        registry.remove()


def test_services_are_built_side_by_side(project, engine):
    """Each build waits for the other one: one after the other they would never end. Whose line is whose can be told."""
    for name, other in (("one", "three"), ("three", "one")):
        (project.directory / f"{name}.Dockerfile").write_text(
            f"FROM busybox\nRUN --mount=type=cache,id={project.name},target=/met touch /met/{name}; n=0; "
            f"until test -e /met/{other}; do n=$((n+1)); test $n -lt 1000 || exit 7; sleep 0.1; done; echo {name} is here\n")
    project.write("""
services:
  one: {build: {context: ., dockerfile: one.Dockerfile}}
  two: {build: {context: ., dockerfile_inline: "FROM one\\nRUN echo two is here", additional_contexts: {one: "service:one"}}}
  three: {build: {context: ., dockerfile: three.Dockerfile}}
""")
    built = project.compose("build", check=True)
    lines = built.out.splitlines()
    last_alone = [line for line in lines if not line.startswith(("one    | ", "three  | "))]
    assert last_alone == lines[-len(last_alone):] and last_alone[0].endswith("FROM one") and "two is here" in last_alone
    assert {"one    | one is here", "three  | three is here"} < set(lines)
    for name in ("one", "three"):
        assert any(line.startswith(f"{name:5}  | Successfully built ") for line in lines)
    told = [line.strip() for line in built.err.splitlines()]
    assert max(told.index("Service one  Built"), told.index("Service three  Built")) < told.index("Service two  Building")
    quiet = project.compose("build", "-q", "--no-cache", "one", "three", check=True)
    assert "is here" not in quiet.out


def test_a_build_that_fails_among_others_is_named(project, engine):
    project.write("""
services:
  bad: {build: {context: ., dockerfile_inline: "FROM busybox\\nRUN exit 9"}}
  good: {build: {context: ., dockerfile_inline: "FROM busybox\\nRUN true"}}
""")
    said = project.compose("build")
    assert said.code == 9 and 'service "bad": build: ' in said.err and "Service good  Built" in said.err
    assert "Service bad  Error" in said.err


def test_platforms(project, engine):
    """What this machine runs is built for it alone; several have no place here, and steps of another one no emulator."""
    own = {"x86_64": "linux/amd64", "aarch64": "linux/arm64"}[platform.machine()]
    other = "linux/s390x"
    (project.directory / "Dockerfile").write_text("FROM busybox AS linux-" + own.split("/")[1] + "\nFROM scratch AS linux-s390x\nFROM linux-$TARGETARCH\nARG TARGETPLATFORM\n"
                                                  "RUN echo $TARGETPLATFORM > /p\nCMD sleep 1000\n")
    place = f"({project.directory}/compose.yaml:%d: services.a.%s)\n"
    refused = f'RUN echo $TARGETPLATFORM > /p: this machine ({own}) cannot run programs for %s: no emulator is registered for them with binfmt_misc (flag F)\n'

    def write(keys):
        project.write(f"services:\n  a:\n    stop_grace_period: 0s\n    {keys}\n")
    write(f"build: {{context: ., platforms: [{own}]}}")
    project.compose("build", check=True)
    write(f"build:\n      context: .\n      platforms: [{other}, {own}]")
    assert project.compose("build").err.endswith(f'service "a": build: building for several platforms ({other},{own}) needs an output: --push, or one of type oci, local or tar '
                                                 + place % (6, "build.platforms"))
    # What is to run is built for the one that it runs on.
    project.compose("up", "-d", "--build", check=True)
    assert project.compose("exec", "-T", "a", "cat", "/p", check=True).out == f"{own}\n"
    got = project.compose("up", "-d", "--build", env={"DOCKER_DEFAULT_PLATFORM": "linux/ppc64le"})
    assert got.err.endswith('service "a" build.platforms does not support value set by DOCKER_DEFAULT_PLATFORM: linux/ppc64le ' + place % (6, "build.platforms"))
    assert project.compose("run", "--rm", "a", "cat", "/p", check=True, env={"DOCKER_DEFAULT_PLATFORM": own}).out == f"{own}\n"
    write(f"build: {{context: ., platforms: [{other}]}}")
    assert project.compose("up", "-d", "--build").err.endswith(refused % other)
    # An image for another platform is as good as none: it is built, or pulled.
    write(f"build: .\n    platform: {other}")
    assert project.compose("up", "-d").err.endswith(refused % other)
    write(f"build: .\n    platform: {own}")
    project.compose("up", "-d", check=True)
    write(f"image: busybox\n    command: sleep 1000\n    platform: {own}")
    project.compose("up", "-d", check=True)
    write(f"image: busybox\n    pull_policy: never\n    platform: {other}")
    assert project.compose("up", "-d").err == (f'service "a": image busybox is for {own}, and may be neither pulled nor built ' + place % (6, "platform"))
    write("image: busybox\n    platform: x/y/z/q")
    assert project.compose("up", "-d").err == ('service "a": "x/y/z/q": cannot parse platform specifier: invalid argument ' + place % (5, "platform"))
    assert engine.inspect(f"{project.name}-a-1")["State"]["Running"]
