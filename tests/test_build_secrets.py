"""What a build may use and not keep: secrets and agents, lent by `berth build`."""
import json
import os
import socket
import threading
import urllib.parse

import pytest

from engine import run
from raw_api import Api, UnixConnection
from test_build import context

VALUE = "open-sesame-4711"
OTHER = "winter-is-warm-0815"


@pytest.fixture
def project(tmp_path):
    (tmp_path / "value").write_text(VALUE + "\n")
    (tmp_path / "project").mkdir()

    def write(text):
        (tmp_path / "project/Dockerfile").write_text(text)
        return str(tmp_path / "project")
    write.value = str(tmp_path / "value")
    return write


def places_of(root, words):
    """Files below a directory (and their names) in which one of these words is found."""
    found = []
    for directory, _, names in os.walk(root):
        for name in names:
            path = os.path.join(directory, name)
            if os.path.islink(path) or not os.path.isfile(path):
                continue
            data = open(path, "rb").read()
            found += [path for word in words if word.encode() in data or word in name]
    return found


def build_with(engine, path, *options, env=None, **more):
    """A build of berth's, with variables of ours besides the engine's (None: not set)."""
    environment = {key: value for key, value in {**engine.environment, **(env or {})}.items() if value is not None}
    return run([engine.build / "berth", "build", "--progress=plain", "-t", "secretive", *options, path], env=environment, **more)


def test_a_secret_is_a_file_of_the_step(engine, project):
    path = project("FROM busybox\n"
                   "RUN --mount=type=secret,id=one cat /run/secrets/one | wc -c > /size && stat -c '%a %u %g' /run/secrets/one >> /size\n"
                   "RUN --mount=type=secret,id=one,target=/etc/key,mode=0440,uid=5,gid=6 stat -c '%a %u %g' /etc/key >> /size\n"
                   "WORKDIR /job\n"
                   "RUN --mount=type=secret,id=one,target=key test -s /job/key && ! echo x 2>/dev/null >> /job/key\n"
                   "RUN test ! -e /run/secrets -a ! -e /etc/key -a ! -e /job/key && cat /size\n")
    build_with(engine, path, "--secret", f"id=one,src={project.value}", check=True)
    shown = engine.berth("run", "--rm", "secretive", "cat", "/size", check=True).out
    assert shown.split("\n")[:3] == [str(len(VALUE) + 1), "400 0 0", "440 5 6"]


def test_a_secret_is_a_variable_of_the_step(engine, project):
    path = project("FROM busybox\n"
                   "RUN --mount=type=secret,id=one,env=ONE test \"$ONE\" = " + "".join(f"{c}''" for c in OTHER) + " && test ! -e /run/secrets/one\n"
                   "RUN --mount=type=secret,id=one,env=ONE,target=/key test \"$ONE\" = \"$(cat /key)\"\n"
                   "RUN test -z \"$ONE\"\n")
    done = build_with(engine, path, "--secret", "id=one,env=OF_MINE", env={"OF_MINE": OTHER})
    assert done.code == 0, done
    image = engine.inspect("secretive")
    assert not any(entry.startswith("ONE=") for entry in image["Config"]["Env"])


@pytest.mark.parametrize("option", ["id=one", "type=env,id=one", "id=one,type=env,src=one"])
def test_the_variable_of_the_same_name(engine, project, option):
    path = project("FROM busybox\nRUN --mount=type=secret,id=one,required test \"$(cat /run/secrets/one)\" = of-the-environment\n")
    done = build_with(engine, path, "--no-cache", "--secret", option, env={"one": "of-the-environment"})
    assert done.code == 0, done


def test_a_secret_is_nowhere_afterwards(engine, project):
    path = project("FROM busybox\n"
                   "RUN --mount=type=secret,id=one --mount=type=secret,id=two,env=TWO cat /run/secrets/one > /dev/null; echo $TWO > /dev/null\n"
                   "RUN --mount=type=secret,id=one cat /run/secrets/one > /dev/null; false\n")
    done = build_with(engine, path, "--secret", f"id=one,src={project.value}", "--secret", "id=two,env=TWO",
                      env={"TWO": OTHER})
    assert done.code != 0
    assert VALUE not in done.out + done.err and OTHER not in done.out + done.err
    path = project("FROM busybox\nRUN --mount=type=secret,id=one --mount=type=secret,id=two,env=TWO test -s /run/secrets/one -a -n \"$TWO\"\n")
    build_with(engine, path, "--secret", f"id=one,src={project.value}", "--secret", "id=two,env=TWO",
               env={"TWO": OTHER}, check=True)
    assert VALUE not in json.dumps(engine.inspect("secretive"))
    assert VALUE not in engine.berth("history", "--no-trunc", "secretive", check=True).out
    assert places_of(engine.directory, [VALUE, OTHER]) == []


def test_the_value_does_not_count_for_the_cache(engine, project, tmp_path):
    path = project("FROM busybox\nRUN --mount=type=secret,id=one cp /run/secrets/one /dev/null; date +%N > /when\n")
    (tmp_path / "other").write_text(OTHER)
    seen = []
    for source in (project.value, tmp_path / "other"):
        build_with(engine, path, "--secret", f"id=one,src={source}", check=True)
        seen.append(engine.inspect("secretive")["Id"])
    assert seen[0] == seen[1]


def test_a_required_secret_that_nobody_gives(engine, project):
    path = project("FROM busybox\nRUN --mount=type=secret,id=gone,required=true echo here; date\n")
    for options in ((), ("--secret", f"id=one,src={project.value}")):
        done = build_with(engine, path, *options)
        assert done.code != 0 and "secret gone: not found" in done.err and "--secret id=gone" in done.err, done
        assert ">>> RUN --mount" in done.out + done.err, done


@pytest.mark.parametrize("option, text", [
    ("src=/etc/hostname", "needs an id"), ("id=a,src=/nope/x", "/nope/x"), ("id=a,env=NOT_SET_ANYWHERE", "NOT_SET_ANYWHERE is not set"),
    ("id=a,src=/x,env=B", "either src or env"), ("id=a,colour=red", "colour=red"), ("id=a,type=odd,src=/x", "odd"),
    ("id=a,src=/dev/zero", "a"),
])
def test_wrong_secrets(engine, project, option, text):
    done = build_with(engine, project("FROM busybox\n"), "--secret", option)
    assert done.code != 0 and text in done.err, done


def test_lenders_are_known_by_their_id_only(engine):
    query = urllib.parse.urlencode({"lender": "0" * 64, "dockerfile": "D"})
    answer = Api(engine.socket).call("POST", "/build?" + query, text=context(D="FROM busybox\n"), content_type="application/x-tar")
    assert answer.status == 404 and b"lends" in answer.data
    for body in ('{"Secrets":{"a":"not base64!"}}', '{"Secrets":'):
        connection = UnixConnection(engine.socket)
        connection.request("POST", "/build/lenders", body, {"Connection": "Upgrade", "Upgrade": "tcp", "Content-Type": "application/json"})
        assert connection.getresponse().status == 400, body
    assert Api(engine.socket).call("POST", "/build/lenders", text="{}").status == 400


class Agent:
    """Answers each line with the same in capitals."""

    def __init__(self, path):
        self.path, self.seen = str(path), []
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen(8)
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        with connection, connection.makefile("rwb", buffering=0) as stream:
            for line in stream:
                self.seen.append(line)
                stream.write(line.upper())


@pytest.fixture
def agent(tmp_path):
    agent = Agent(tmp_path / "agent.sock")
    yield agent
    agent.listener.close()


ASK = r"""
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
int main(int count, char **words)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    char block[100];
    long size;
    strncpy(address.sun_path, getenv("SSH_AUTH_SOCK"), sizeof(address.sun_path) - 1);
    if (connect(fd, (void *)&address, sizeof(address)) < 0 || (count > 1 && write(fd, words[1], strlen(words[1])) < 0))
        return 1;
    while ((count > 1 && write(fd, "\n", 1), size = read(fd, block, sizeof(block))) > 0) {
        write(1, block, size);
        if (block[size - 1] == '\n') {
            count = 1;
            shutdown(fd, SHUT_WR);
        }
    }
    return size < 0;
}
"""
TALK = "test \"$(/bin/ask {0})\" = {1}"


@pytest.fixture(scope="module")
def asking(engine, tmp_path_factory):
    """An image with a program that says a word to the agent and prints the answer, up to its end."""
    path = tmp_path_factory.mktemp("asking")
    (path / "ask.c").write_text(ASK)
    run(["cc", "-static", "-O1", "-w", "-o", path / "ask", path / "ask.c"], check=True)
    (path / "Dockerfile").write_text("FROM busybox\nCOPY ask /bin/ask\n")
    engine.berth("build", "-q", "-t", "asking", str(path), check=True)
    yield
    engine.berth("rmi", "-f", "asking")


def test_a_step_talks_to_an_agent(engine, project, agent, asking):
    path = project("FROM asking\n"
                   "RUN --mount=type=ssh test $SSH_AUTH_SOCK = /run/buildkit/ssh_agent.0 && " + TALK.format("one", "ONE") +
                   " && " + TALK.format("again", "AGAIN") + " && stat -c %a $SSH_AUTH_SOCK > /mode\n"
                   "RUN --mount=type=ssh,id=default,target=/agent,mode=0666,uid=7 test $SSH_AUTH_SOCK = /agent && "
                   "stat -c '%a %u' /agent >> /mode && " + TALK.format("two", "TWO") + "\n"
                   "RUN test -z \"$SSH_AUTH_SOCK\" -a ! -e /run/buildkit -a ! -e /agent\n")
    done = build_with(engine, path, "--no-cache", "--ssh", "default", env={"SSH_AUTH_SOCK": agent.path})
    assert done.code == 0, done
    assert agent.seen == [b"one\n", b"again\n", b"two\n"]
    assert engine.berth("run", "--rm", "secretive", "cat", "/mode").out == "600\n666 7\n"


def test_agents_by_name(engine, project, agent, asking):
    path = project("FROM asking\nRUN --mount=type=ssh,id=mine,required " + TALK.format("three", "THREE") + "\n")
    done = build_with(engine, path, "--no-cache", "--ssh", f"mine={agent.path}")
    assert done.code == 0 and agent.seen == [b"three\n"], done
    done = build_with(engine, path, "--no-cache", "--ssh", f"other={agent.path}")
    assert done.code != 0 and "ssh mine: not found" in done.err and "--ssh mine" in done.err, done


def test_wrong_agents(engine, project, tmp_path):
    (tmp_path / "id_key").write_text("key")
    for option, text in (("default", "SSH_AUTH_SOCK is not set"), (f"a={tmp_path}/id_key", "ssh-add"), ("a=/nope", "/nope"), ("=x", "invalid")):
        done = build_with(engine, project("FROM busybox\n"), "--ssh", option, env={"SSH_AUTH_SOCK": None})
        assert done.code != 0 and text in done.err, done


def test_an_agent_that_hangs_does_not_hold_the_build(engine, project, tmp_path, asking):
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "mute.sock"))
    listener.listen(4)
    path = project("FROM asking\nRUN --mount=type=ssh ask hello & sleep 1; exit 3\n")
    done = build_with(engine, path, "--no-cache", "--ssh", f"default={tmp_path}/mute.sock")
    assert done.code == 3, done
    listener.close()
