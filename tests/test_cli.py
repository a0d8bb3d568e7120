"""Our own command line, held against Docker's."""
import json
import re

import pytest

from engine import wait_until

pytestmark = pytest.mark.own


def test_run_and_exit_codes(engine):
    assert engine.berth("run", "--rm", "busybox", "echo", "hi", check=True).out == "hi\n"
    for command, code in ((["false"], 1), (["nope"], 127), (["/etc"], 126)):
        assert engine.berth("run", "--rm", "busybox", *command).code == code
    assert engine.berth("run", "--nope", "busybox").code == 125
    assert engine.berth("run").code == 1


@pytest.mark.current_client
def test_a_refused_create_is_told_as_docker_tells_it(engine, name):
    """Words that cannot be understood are 125, what the engine does not want is 1."""
    engine.docker("create", "--name", name, "busybox", check=True)
    for words in (("--name", name, "busybox"), ("--restart", "bad", "busybox"), ("-v", "bad:", "busybox"), ("--env-file", "/nope", "busybox")):
        ours, theirs = engine.berth("create", *words), engine.docker("create", *words)
        assert ours.code == theirs.code and ours.err == theirs.err.replace("docker: ", "berth: ").replace("'docker ", "'berth "), words


def test_stdin(engine):
    assert engine.berth("run", "--rm", "-i", "busybox", "cat", stdin="x\n" * 1000, check=True).out == "x\n" * 1000


@pytest.mark.parametrize("arguments", [
    ("ps", "-a", "--no-trunc", "--format", "{{.ID}} {{.Image}} {{.Names}} {{.Ports}} {{.State}} {{.Label \"k\"}} {{.Networks}}"),
    ("ps", "-aq"), ("images", "--format", "{{.Repository}}:{{.Tag}} {{.ID}} {{.Size}}"), ("images", "-q"),
    ("volume", "ls"), ("network", "ls", "--format", "table {{.Name}}\t{{.Driver}}"),
    ("inspect", "-f", "{{.Name}} {{.State.Running}} {{json .Config.Cmd}}", "held"),
    ("inspect", "-f", "{{range $k, $v := .Config.Labels}}{{$k}}={{$v}};{{end}}{{if .State.Running}}up{{else}}down{{end}}", "held"),
    ("inspect", "-f", "{{.ID}} {{.HostConfig.NanoCPUs}} {{.HostConfig.CPUShares}} {{json .HostConfig.DNS}}", "held"),
    ("version", "-f", "{{.Server.APIVersion}} {{.Server.MinAPIVersion}} {{.Client.Context}}"),
    ("ps", "-a", "--format", "raw"), ("ps", "-as", "--format", "raw"), ("volume", "ls", "--format", "raw"), ("images", "--digests", "--format", "raw"),
    ("ps", "--filter", "label=k=v", "--format", "{{.Names}}"), ("logs", "held"), ("history", "-q", "busybox")])
def test_prints_what_docker_prints(engine, arguments):
    engine.docker("rm", "-f", "held")
    engine.docker("tag", "busybox", "busybox:again", check=True)  # an image of two names is listed twice
    engine.docker("run", "-d", "--name", "held", "--label", "k=v", "-p", "127.0.0.1:0:80", "busybox", "sh", "-c", "echo logged; sleep 300", check=True)
    try:
        wait_until(lambda: engine.docker("logs", "held").out, what="a line in the log")
        ours, theirs = engine.berth(*arguments, check=True).out, engine.docker(*arguments, check=True).out
        if arguments[0] == "images":  # Docker's client shows the names of one image in the order of a hash
            ours, theirs = sorted(ours.splitlines()), sorted(theirs.splitlines())
        assert ours == theirs, (set(ours) ^ set(theirs), engine.docker("images", "-a", "--digests").out)
    finally:
        engine.docker("rm", "-f", "held")
        engine.docker("rmi", "busybox:again")


@pytest.mark.current_client
@pytest.mark.parametrize("arguments", [
    ("network", "ls"), ("network", "ls", "--format", "json"), ("volume", "ls", "--format", "json"), ("system", "df", "--format", "json"),
    ("ps", "-a", "--format", 'table {{.Names}}\\t{{.Label "k"}}'), ("start", "nope"), ("attach", "nope"), ("tag", "busybox", "UPPER"), ("network", "rm", "nope"),
    ("rm", "nope"), ("ps", "foo"), ("logs", "one", "two"), ("volume", "ls", "x"), ("inspect", "nope"), ("network", "inspect", "nope"), ("ps", "--nope"),
    ("cp", "nope:/x", "."), ("exec", "nope", "true"), ("update", "nope"), ("volume", "create", "_"), ("network", "create", "bridge"),
    ("container", "prune", "-f", "--filter", "zz=x"), ("ps", "--filter", "zz=x"), ("save", "nope"), ("run",), ("network", "connect", "nope", "nope"),
    ("images", "--filter", "zz"), ("ps", "--filter", "zz"), ("volume", "ls", "--filter", "zz"), ("network", "ls", "--filter", "zz"),
    ("image", "prune", "-f", "--filter", "zz"), ("events", "--filter", "zz"), ("images", "--filter", "zz=x"), ("images", "--filter", ""),
    ("ps", "-aq", "--format", "raw"), ("ps", "-aq", "--format", "{{.Names}}"), ("network", "ls", "-q", "--format", "raw"), ("volume", "ls", "-q", "--format", "raw"),
    ("images", "-q", "--format", "raw"), ("system", "df", "--format", "raw"), ("login", "-u", "a", "127.0.0.1:1"), ("login", "-p", "b", "127.0.0.1:1"),
    ("login", "-u", "a", "--password-stdin", "127.0.0.1:1"), ("login", "--password-stdin", "127.0.0.1:1"), ("logout", "127.0.0.1:1")])
def test_says_what_docker_says(engine, arguments):
    ours, theirs = engine.berth(*arguments), engine.docker(*arguments)
    said = re.sub(r"\bberth(?= |:|\b: )", "docker", ours.err)
    assert (ours.code, ours.out, said) == (theirs.code, theirs.out, theirs.err)


@pytest.mark.parametrize("given, said", [(("-u", "", "-p", "b"), "username is empty"), (("-u", "a", "-p", ""), "password is empty")])
def test_login_wants_what_is_given_to_be_something(engine, given, said):
    refused = engine.berth("login", *given, "127.0.0.1:1")
    assert (refused.code, refused.out, refused.err) == (1, "", f"{said}\n")


def test_table_layout_is_docker_s(engine):
    ours, theirs = (e("ps", "-a", check=True).out.splitlines()[0] for e in (engine.berth, engine.docker))
    assert ours.split() == theirs.split()


def test_inspect_is_json(engine):
    ours = json.loads(engine.berth("image", "inspect", "busybox", check=True).out)
    theirs = json.loads(engine.docker("image", "inspect", "busybox", check=True).out)
    # An older client asks in its own API version, which has keys besides.
    shared = set(ours[0]) & set(theirs[0]) - {"Config"}
    assert len(shared) > 10 and {k: ours[0][k] for k in shared} == {k: theirs[0][k] for k in shared}
    assert ours[0]["Config"]["Cmd"] == theirs[0]["Config"]["Cmd"]
    missing = engine.berth("inspect", "no-such-thing")
    assert missing.code == 1 and missing.out.strip() == "[]" and "No such object: no-such-thing" in missing.err


def test_build_run_reach_remove(engine, tmp_path, free_port):
    from test_first_light import fetch
    (tmp_path / "index.html").write_text("own\n")
    (tmp_path / "Dockerfile").write_text("FROM busybox\nCOPY index.html /www/\nCMD httpd -f -p 80 -h /www\n")
    assert "Successfully built" in engine.berth("build", "-t", "own-image", tmp_path, check=True).out
    id = engine.berth("run", "-d", "-p", f"{free_port}:80", "own-image", check=True).out.strip()
    assert fetch(free_port) == "own\n"
    assert engine.berth("exec", id, "echo", "inside", check=True).out == "inside\n"
    assert engine.berth("stop", "-t", "0", id, check=True).out.strip() == id
    assert engine.berth("wait", id, check=True).out.strip() == "137"
    assert engine.berth("rm", id, check=True).out.strip() == id
    assert "Untagged: own-image:latest" in engine.berth("rmi", "own-image", check=True).out


def test_messages(engine):
    assert "did you mean" in engine.berth("pss").err.lower()
    assert engine.berth("rm", "no-such").err == "Error response from daemon: No such container: no-such\n"
    assert engine.berth("rm", "-f", "no-such").code == 0
    assert re.match(r"Usage:  berth ps", engine.berth("ps", "--help", check=True).out)
    nobody = engine.berth("-H", "unix:///nowhere.sock", "ps")
    assert nobody.code == 1 and "Cannot connect" in nobody.err


def test_events_and_info(engine):
    assert "Storage Driver" in engine.berth("info", check=True).out
    assert engine.berth("version", "--format", "{{.Server.ApiVersion}}", check=True).out.strip() == "1.51"
