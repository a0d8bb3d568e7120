"""Contexts: what one client writes, the other reads; and the ways by which an engine is found."""
import io
import json
import os
import pathlib
import shutil
import subprocess
import tarfile

import pytest

import engine as engines
from engine import LIMIT_S
from test_tls import certificates as tls_certificates

pytestmark = [pytest.mark.own, pytest.mark.current_client]


class Clients:
    """Both command lines over one directory of configuration."""

    def __init__(self, build, directory):
        self.directory = directory
        self.programs = {"berth": pathlib.Path(build) / "berth", "docker": engines.docker_program()}
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith("DOCKER_")}
        self.environment.update(DOCKER_CONFIG=str(directory / "config"), HOME=str(directory))

    def run(self, client, *arguments, env=None, **options):
        return engines.run([self.programs[client], *arguments], env={**self.environment, **(env or {})}, **options)

    def ok(self, client, *arguments, **options):
        return self.run(client, *arguments, check=True, **options).out

    def config(self):
        return json.loads((self.directory / "config/config.json").read_text())


@pytest.fixture
def clients(build, tmp_path):
    return Clients(build, tmp_path)


BOTH = [("berth", "docker"), ("docker", "berth")]


@pytest.fixture
def certificates(tls_certificates):
    return ",".join(f"{name}={tls_certificates}/client/{name}.pem" for name in ("ca", "cert", "key"))


@pytest.mark.parametrize("writer, reader", BOTH)
def test_the_other_client_reads_it(clients, certificates, writer, reader):
    assert clients.ok(writer, "context", "create", "far", "--description", "a <far> engine",
                      "--docker", f"host=tcp://1.2.3.4:2376,{certificates}") == "far\n"
    clients.ok(writer, "context", "create", "near", "--docker", "host=unix:///x.sock,skip-tls-verify=true")
    clients.ok(writer, "context", "create", "copy", "--from", "far")
    for arguments in (["ls"], ["ls", "-q"], ["ls", "--format", "json"], ["ls", "--format", "{{.Name}}|{{.Current}}|{{.Error}}"],
                      ["inspect", "far", "near", "copy"], ["inspect", "-f", "{{.Endpoints.docker.Host}}", "far"], ["show"]):
        ours, theirs = (clients.ok(client, "context", *arguments, env={"DOCKER_HOST": "unix:///same"}) for client in (writer, reader))
        assert ours.replace("\\u003c", "<").replace("\\u003e", ">") == theirs.replace("\\u003c", "<").replace("\\u003e", ">")
    assert clients.ok(writer, "context", "use", "near") == "near\n"
    assert clients.ok(reader, "context", "show") == "near\n"
    clients.ok(reader, "context", "update", "far", "--description", "nearer")
    clients.ok(reader, "context", "update", "copy", "--docker", "host=tcp://h:1")
    changed = json.loads(clients.ok(writer, "context", "inspect", "far", "copy"))
    assert [c["Metadata"].get("Description") for c in changed] == ["nearer", "a <far> engine"]
    assert [c["TLSMaterial"] for c in changed] == [{"docker": ["ca.pem", "cert.pem", "key.pem"]}, {}]
    assert clients.ok(reader, "context", "rm", "far", "copy") == "far\ncopy\n"
    assert clients.ok(writer, "context", "ls", "-q") == "default\nnear\n"
    clients.ok(writer, "context", "use", "default")
    assert "currentContext" not in clients.config()
    clients.ok(reader, "context", "rm", "near")
    assert not any((clients.directory / "config/contexts").rglob("*.*"))


@pytest.mark.parametrize("writer, reader", BOTH)
def test_export_is_the_other_s_import(clients, certificates, tls_certificates, tmp_path, writer, reader):
    clients.ok(writer, "context", "create", "far", "--description", "d", "--docker", f"host=tcp://1.2.3.4:2376,{certificates}")
    archive = tmp_path / "archive"
    assert f'Written file "{archive}"' in clients.run(writer, "context", "export", "far", archive, check=True).err
    assert archive.stat().st_mode & 0o777 == 0o600
    assert "file exists" in clients.run(writer, "context", "export", "far", archive).err
    assert clients.ok(reader, "context", "import", "again", archive) == "again\n"
    assert "already exists" in clients.run(reader, "context", "import", "again", archive).err
    first, second = json.loads(clients.ok(reader, "context", "inspect", "far", "again"))
    for key in ("Metadata", "Endpoints", "TLSMaterial"):
        assert first[key] == second[key]
    key = pathlib.Path(second["Storage"]["TLSPath"]) / "docker/key.pem"
    assert key.read_bytes() == (tls_certificates / "client/key.pem").read_bytes() and key.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("arguments", [
    ["create", "a"], ["create", "a/b"], ["create", "default"], ["create", "-x"], ["use", "nope"], ["rm", "nope"], ["rm", "default"],
    ["update", "nope", "--description", "x"], ["update", "default", "--description", "x"], ["export", "nope", "-"], ["inspect", "nope"],
    ["create", "xx", "--docker", "foo=bar"], ["create", "xx", "--docker", "host=zzz"], ["create", "xx", "--docker", "ca=/nope,host=tcp://h:1"],
    ["create", "xx", "--docker", "host=tcp://h,skip-tls-verify=zz"], ["create", "xx", "--from", "nope"], ["import", "xx", "/nope"],
    ["import", "xx"], ["use", "a"]])
def test_refusals(clients, arguments):
    ours, theirs = (clients.run(client, "context", *arguments) for client in ("berth", "docker"))
    assert ours.code == theirs.code and ours.code != 0
    assert not (clients.directory / "config/contexts/meta").exists()
    if arguments[0] in ("use", "rm", "create", "export") and "/nope" not in str(arguments) and not arguments[1].startswith("-"):
        assert ours.err == theirs.err.replace("docker:", "berth:")


def archive_of(*members):
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for name, data in members:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return made.getvalue()


META = ("meta.json", b'{"Name":"x","Metadata":{},"Endpoints":{"docker":{"Host":"tcp://h:1"}}}')


@pytest.mark.parametrize("data, said", [
    (b"", "no metadata"), (b"nonsense" * 256, "invalid tar header"), (archive_of(("meta.json", b"{")), "unexpected EOF"),
    (archive_of(("meta.json", b"[]")), "no object"), (archive_of(META, ("tls/docker/../../../escaped", b"x")), "unexpected context file"),
    (archive_of(META, ("../escaped", b"x")), "unexpected context file"), (archive_of(META, META), "unexpected context file"),
    (archive_of(META, ("tls/docker/ca.pem", bytes(11 << 20))), "too large"),
    (archive_of(META, ("tls/docker/ca.pem", b"x" * 600))[:2100], "not whole"), (archive_of(META, ("tls/docker/ca.pem", b"x" * 5000))[:2100], "EOF")],
    ids=["empty", "no tar", "cut", "no object", "dots", "outside", "twice", "large", "cut by little", "cut by much"])
def test_an_archive_that_is_none_leaves_nothing(clients, data, said):
    refused = clients.run("berth", "context", "import", "xx", "-", stdin=data)
    assert refused.code == 1 and said in refused.err
    assert not (clients.directory / "config/contexts").exists()


def test_further_members_are_kept(clients):
    clients.ok("berth", "context", "create", "xx", "--docker", "host=tcp://h:1")
    path = next((clients.directory / "config/contexts/meta").glob("*/meta.json"))
    document = json.loads(path.read_text())
    document["Metadata"]["StackOrchestrator"] = "swarm"
    document["Endpoints"]["kubernetes"] = {"Host": "https://k", "Nested": [1, {"a": None}]}
    path.write_text(json.dumps(document))
    clients.ok("berth", "context", "update", "xx", "--description", "new")
    document["Metadata"]["Description"] = "new"
    assert json.loads(path.read_text()) == document


def test_config_json_keeps_what_it_had(clients):
    path = clients.directory / "config/config.json"
    path.parent.mkdir()
    path.write_text('{"psFormat": "{{.ID}}", "auths": {"r": {"auth": "YTpi"}}, "other": [1, null]}')
    clients.ok("berth", "context", "create", "xx", "--docker", "host=tcp://h:1")
    clients.ok("berth", "context", "use", "xx")
    assert clients.config() == {"psFormat": "{{.ID}}", "auths": {"r": {"auth": "YTpi"}}, "other": [1, None], "currentContext": "xx"}
    path.write_text("{broken")
    refused = clients.run("berth", "context", "use", "default")
    assert refused.code == 1 and path.read_text() == "{broken" and "Error loading config file" in refused.err


def test_one_that_is_gone_is_listed_with_its_error(clients):
    for client in ("berth", "docker"):
        listed = clients.ok(client, "context", "ls", env={"DOCKER_CONTEXT": "gone"})
        assert listed.splitlines()[2].startswith("gone *") and 'context "gone": context not found' in listed
    assert "context not found" in clients.run("berth", "ps", env={"DOCKER_CONTEXT": "gone"}).err


def test_precedence(clients, engine):
    clients.ok("berth", "context", "create", "good", "--docker", f"host={engine.host}")
    clients.ok("berth", "context", "create", "bad", "--docker", "host=unix:///nowhere.sock")
    works = [(["-H", engine.host], {"DOCKER_HOST": "unix:///nowhere.sock"}), ([], {"DOCKER_HOST": engine.host, "DOCKER_CONTEXT": "bad"}),
             (["-c", "good"], {"DOCKER_HOST": "unix:///nowhere.sock"}), ([], {"DOCKER_CONTEXT": "good"}), (["--context", "good"], {"DOCKER_CONTEXT": "bad"})]
    for client in ("berth", "docker"):
        for arguments, environment in works:
            clients.ok(client, *arguments, "ps", "-q", env=environment)
        assert clients.run(client, "-c", "bad", "ps").code == 1
        assert "conflicting options" in clients.run(client, "-H", engine.host, "-c", "good", "ps").err
        clients.ok(client, "context", "use", "good")
        clients.ok(client, "ps", "-q")
        clients.ok(client, "context", "use", "bad")
        assert clients.run(client, "ps").code == 1
        clients.ok(client, "-c", "good", "ps", "-q")


def test_tls_material_of_a_context(clients, build, tls_certificates, certificates, free_port):
    """Through a context alone, without a flag or a variable, both clients are let in by certificate."""
    ours = tls_certificates
    flags = [f"--tlscacert={ours}/ca.pem", f"--tlscert={ours}/server.pem", f"--tlskey={ours}/server-key.pem"]
    own = engines.Engine(build, extra=["-H", f"tcp://127.0.0.1:{free_port}", "--tlsverify", *flags])
    own.start()
    try:
        clients.ok("berth", "context", "create", "tls", "--docker", f"host=tcp://127.0.0.1:{free_port},{certificates}")
        clients.ok("berth", "context", "create", "stranger", "--docker", f"host=tcp://127.0.0.1:{free_port},ca={ours}/ca.pem")
        for client in ("berth", "docker"):
            assert clients.ok(client, "-c", "tls", "version", "--format", "{{.Server.Os}}") == "linux\n"
            assert clients.run(client, "-c", "stranger", "ps").code == 1
    finally:
        own.remove()


# ---- ssh ----

FAKE_SSH = """#!/bin/sh
echo "$*" >>{log}
while [ "$1" != -- ] && [ $# -gt 0 ]; do case $1 in -l|-p|-o|-i) shift 2;; -*) shift;; *) break;; esac; done
[ "$1" = -- ] && shift
host=$1; shift
[ "$host" = there ] || {{ echo "no such host: $host" >&2; exit 255; }}
PATH={programs}:$PATH DOCKER_HOST={engine} exec sh -c "$*"
"""


@pytest.fixture
def fake_ssh(tmp_path, engine, build):
    """An ssh that runs the command here, where "docker" is our program and its engine the one under test."""
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "docker").symlink_to(pathlib.Path(build) / "berth")
    log = tmp_path / "ssh.log"
    (tmp_path / "bin").mkdir()
    script = tmp_path / "bin/ssh"
    script.write_text(FAKE_SSH.format(log=log, programs=programs, engine=engine.host))
    script.chmod(0o755)
    return {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"}, log


@pytest.mark.parametrize("client", ["berth", "docker"])
def test_ssh(clients, engine, fake_ssh, client):
    """Lists, streams with stdin and exit codes go through the program that ssh runs at the other end."""
    environment, log = fake_ssh
    clients.ok(client, "context", "create", "over-ssh", "--docker", "host=ssh://me@there:2222")
    assert clients.ok(client, "-c", "over-ssh", "version", "--format", "{{.Server.Os}}", env=environment) == "linux\n"
    assert clients.ok(client, "-c", "over-ssh", "run", "--rm", "-i", "busybox", "cat", env=environment, stdin="through\n" * 5000) == "through\n" * 5000
    assert clients.run(client, "-H", "ssh://there", "run", "--rm", "busybox", "sh", "-c", "exit 7", env=environment).code == 7
    calls = log.read_text().splitlines()
    assert all("dial-stdio" in call for call in calls) and any("2222" in call and "me" in call for call in calls)
    refused = clients.run(client, "-H", "ssh://elsewhere", "ps", env=environment)
    # Docker's own client may find ssh gone before it has heard why.
    assert refused.code == 1 and ("no such host: elsewhere" in refused.err or client == "docker" and "file already closed" in refused.err), refused


def sshd_program():
    """The server of this machine, or the one that tools/install-deps unpacked."""
    unpacked = pathlib.Path(__file__).resolve().parent.parent / "build-sshd/usr/sbin"
    return shutil.which("sshd", path=f"/usr/sbin:/usr/bin:{unpacked}")


@pytest.mark.skipif(not sshd_program() or not shutil.which("ssh"), reason="openssh is not here")
def test_ssh_for_real(clients, engine, build, tmp_path, free_port):
    """OpenSSH's own server on loopback, with keys of its own."""
    for key in ("host_key", "user_key"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / key], check=True)
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "docker").symlink_to(pathlib.Path(build) / "berth")
    (tmp_path / "authorized").write_text((tmp_path / "user_key.pub").read_text())
    (tmp_path / "sshd_config").write_text(
        f"Port {free_port}\nListenAddress 127.0.0.1\nHostKey {tmp_path}/host_key\nAuthorizedKeysFile {tmp_path}/authorized\nPidFile none\n"
        f"StrictModes no\nUsePAM no\nPasswordAuthentication no\nPermitRootLogin prohibit-password\n"
        f"SetEnv PATH={programs}:/usr/bin:/bin DOCKER_HOST={engine.host}\n")
    pathlib.Path("/run/sshd").mkdir(exist_ok=True)
    # It wants a user of its own, whom only it is to see.
    (tmp_path / "passwd").write_text(pathlib.Path("/etc/passwd").read_text() + "sshd:x:65533:65534::/run/sshd:/usr/sbin/nologin\n")
    start = f"mount --bind {tmp_path}/passwd /etc/passwd && exec {sshd_program()} -D -e -f {tmp_path}/sshd_config"
    server = subprocess.Popen(["unshare", "--mount", "sh", "-c", start], stderr=open(tmp_path / "sshd.log", "wb"))
    try:
        engines.wait_until(lambda: "Server listening" in (tmp_path / "sshd.log").read_text(), what="sshd listening")
        wrapper = tmp_path / "bin/ssh"
        wrapper.parent.mkdir()
        wrapper.write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -i {tmp_path}/user_key -o StrictHostKeyChecking=no '
                           f'-o UserKnownHostsFile={tmp_path}/known -o LogLevel=ERROR "$@"\n')
        wrapper.chmod(0o755)
        environment = {"PATH": f"{wrapper.parent}:{os.environ['PATH']}"}
        for client in ("berth", "docker"):
            host = f"ssh://root@127.0.0.1:{free_port}"
            assert clients.ok(client, "-H", host, "run", "--rm", "-i", "busybox", "cat", env=environment, stdin="real\n") == "real\n"
    finally:
        server.terminate()
        server.wait(LIMIT_S)
