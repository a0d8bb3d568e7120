"""POST /build with version=2: the form in which docker clients before 23.0, and compose before 2.0, ask for BuildKit."""
import base64
import io
import json
import secrets
import tarfile
import threading
import urllib.parse

import pytest

from buildkit_client import Session, fields
from engine import docker_major, docker_program, run
from raw_api import Api

pytestmark = pytest.mark.own


@pytest.fixture
def api(engine):
    return Api(engine.host.removeprefix("unix://"))


@pytest.fixture
def context(tmp_path):
    directory = tmp_path / "context"
    directory.mkdir()
    return directory


@pytest.fixture
def session(engine, context):
    made = Session(engine, {"context": context, "dockerfile": context}, secrets_of={"s": b"lent"})
    yield made
    made.close()


def query(session, parameters):
    given = {"version": "2", "remote": "client-session", "session": session.id, "rm": "1", **parameters}
    return "/build?" + urllib.parse.urlencode(given, doseq=True)


def build(api, session, **parameters):
    """The answer's messages by their id, and what the steps said."""
    answer = api.call("POST", query(session, parameters))
    assert answer.status == 200, answer
    messages, said = {}, b""
    for line in answer.data.decode().splitlines():
        message = json.loads(line)
        messages.setdefault(message.get("id", next(iter(message))), []).append(message)
    for trace in messages.get("moby.buildkit.trace", []):
        for log in map(fields, fields(base64.b64decode(trace["aux"])).get(3, [])):
            said += log[4][0]
    return messages, said.decode()


def test_a_build(engine, api, session, context):
    (context / "Dockerfile.web").write_text("FROM busybox AS base\nARG WORD\nCOPY file /file\nRUN --mount=type=secret,id=s cat /run/secrets/s; echo $WORD; "
                                            "grep there /etc/hosts; ulimit -n\nFROM base AS other\nRUN false\n")
    (context / "file").write_text("content\n")
    messages, said = build(api, session, dockerfile="Dockerfile.web", target="base", t=["old:1", "old:2"], buildargs=json.dumps({"WORD": "spoken"}),
                           labels=json.dumps({"a": "b"}), extrahosts=["there:192.0.2.7"], ulimits=json.dumps([{"Name": "nofile", "Soft": 100, "Hard": 200}]),
                           nocache="1", q="1")
    assert said.startswith("lentspoken\n192.0.2.7\tthere\n") and said.endswith("100\n")
    id = messages["moby.image.id"][0]["aux"]["ID"]
    assert messages["stream"] == [{"stream": id + "\n"}]
    image = api.do("GET", "/images/old:2/json")
    assert image["Id"] == id and image["Config"]["Labels"] == {"a": "b"} and sorted(image["RepoTags"]) == ["old:1", "old:2"]
    assert engine.docker("run", "--rm", "old:1", "cat", "/file", check=True).out == "content\n"
    engine.docker("rmi", "old:1", "old:2", check=True)


def test_a_file_that_was_left_out(api, session, context):
    (context / "Dockerfile").write_text("FROM scratch\nCOPY secret.key /\n")
    (context / ".dockerignore").write_text("*\n!other\n")
    messages, _ = build(api, session)
    assert messages["errorDetail"][0]["error"].endswith("stat secret.key: file does not exist (.dockerignore leaves it out: *)")


def test_a_step_fails(api, session, context):
    (context / "Dockerfile").write_text("FROM busybox\nRUN echo heard; exit 3\n")
    messages, said = build(api, session)
    assert said == "heard\n" and "moby.image.id" not in messages
    assert messages["errorDetail"][0]["error"] == 'process "/bin/sh -c echo heard; exit 3" did not complete successfully: exit code: 3'


@pytest.mark.parametrize("parameters, status, said", [
    ({"memory": "52428800"}, 501, "DOCKER_BUILDKIT=0"), ({"networkmode": "br"}, 400, 'network mode "br" not supported'), ({"squash": "1"}, 400, "squash"),
    ({"outputs": '[{"Type":"local"},{"Type":"tar"}]'}, 400, "multiple outputs"), ({"outputs": "["}, 400, "outputs"), ({"session": ""}, 400, "session"),
    ({"remote": "upload-request"}, 400, "build id"), ({"version": "3"}, 400, "version"),
])
def test_refusals(api, session, context, parameters, status, said):
    (context / "Dockerfile").write_text("FROM scratch\n")
    answer = api.call("POST", query(session, parameters))
    assert answer.status == status and said in answer.json["message"], answer


def test_outputs_go_to_the_client(api, session, context):
    (context / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /copy\n")
    messages, _ = build(api, session, outputs=json.dumps([{"Type": "tar", "Attrs": {"dest": "place.tar"}}]))
    assert "moby.image.id" not in messages and "errorDetail" not in messages
    (received,) = session.received.values()
    assert tarfile.open(fileobj=io.BytesIO(received)).getnames() == ["copy"]


def upload(api, ref, archive, answers):
    answers.append(api.call("POST", f"/build?version=2&buildid=upload-request:{ref}", text=archive, content_type="application/x-tar"))


def test_a_context_by_a_request_of_its_own(api, session):
    archive, ref, answers = io.BytesIO(), secrets.token_hex(16), []
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for name, text in (("Dockerfile", b"FROM busybox\nCOPY file /file\nRUN cat /file\n"), ("file", b"from the archive\n")):
            entry = tarfile.TarInfo(name)
            entry.size = len(text)
            tar.addfile(entry, io.BytesIO(text))
    other = threading.Thread(target=upload, args=(api, ref, archive.getvalue(), answers))
    other.start()
    messages, said = build(api, session, remote="upload-request", buildid=ref, nocache="1")
    other.join()
    assert said == "from the archive\n" and answers[0].status == 200, answers
    api.do("DELETE", "/images/" + messages["moby.image.id"][0]["aux"]["ID"])


def test_a_context_that_nobody_wants(api):
    answers = []
    upload(api, secrets.token_hex(16), b"", answers)
    assert answers[0].status == 404 and "no build asks" in answers[0].json["message"]


def test_a_build_is_called_off(api, session, context):
    (context / "Dockerfile").write_text("FROM busybox\nRUN echo up; sleep 600\n")
    ref = secrets.token_hex(16)
    connection, response = api.begin("POST", query(session, {"buildid": ref, "nocache": "1"}))
    seen = ""
    while "up\n" not in seen:
        line = json.loads(response.readline())
        seen += "".join(fields(log)[4][0].decode() for log in fields(base64.b64decode(line["aux"])).get(3, []))
    assert api.call("POST", f"/build/cancel?id={ref}").status == 200
    assert "errorDetail" in json.loads(response.read().decode().splitlines()[-1])
    connection.close()


@pytest.mark.skipif((docker_major() or 99) >= 23, reason="not run: needs a docker client before 23.0")
def test_an_old_client(engine, context):
    (context / "Dockerfile").write_text("FROM busybox\nRUN echo done > /done\n")
    environment = {**engine.environment, "DOCKER_BUILDKIT": "1"}
    for arguments in (["-q", context], ["-m", "50m", context]):
        built = run([docker_program(), "build", *arguments], env=environment)
        assert built.out.startswith("sha256:") if "-q" in arguments else "limits of memory" in built.err, built
