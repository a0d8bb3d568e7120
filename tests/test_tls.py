"""The API over TCP with mutual TLS, driven by Docker's own command."""
import subprocess

import pytest

import engine as engines
from engine import LIMIT_S, run
from test_first_light import Terminal

pytestmark = pytest.mark.own


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    place = tmp_path_factory.mktemp("tls")

    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], cwd=place, check=True, capture_output=True)
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=test ca", "-keyout", "ca-key.pem", "-out", "ca.pem")
    for who, extension in (("server", "subjectAltName=IP:127.0.0.1,DNS:localhost"), ("client", "extendedKeyUsage=clientAuth")):
        (place / f"{who}.ext").write_text(extension)
        openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={who}", "-keyout", f"{who}-key.pem", "-out", f"{who}.csr")
        openssl("x509", "-req", "-in", f"{who}.csr", "-CA", "ca.pem", "-CAkey", "ca-key.pem", "-CAcreateserial", "-days", "2",
                "-extfile", f"{who}.ext", "-out", f"{who}.pem")
    config = place / "client"
    config.mkdir()
    for name, source in (("ca.pem", "ca.pem"), ("cert.pem", "client.pem"), ("key.pem", "client-key.pem")):
        (config / name).write_bytes((place / source).read_bytes())
    return place


@pytest.fixture(scope="module")
def tls_engine(build, certificates):
    port = engines.free_port()
    made = engines.Engine(build, extra=["-H", f"tcp://127.0.0.1:{port}", "--tlsverify", "--tlscacert", certificates / "ca.pem",
                                        "--tlscert", certificates / "server.pem", "--tlskey", certificates / "server-key.pem"])
    made.start()
    assert made.docker("build", "-q", "-t", "busybox", engines.make_busybox_context(made.directory / "context")).code == 0
    made.tls_environment = dict(made.environment, DOCKER_HOST=f"tcp://127.0.0.1:{port}", DOCKER_TLS_VERIFY="1",
                                DOCKER_CERT_PATH=str(certificates / "client"))
    made.port = port
    yield made
    made.remove()


@pytest.fixture(params=["docker", "berth"])
def over_tls(request, tls_engine, build):
    program = engines.docker_program() if request.param == "docker" else build / "berth"
    return lambda *arguments, **options: run([program, *arguments], env=tls_engine.tls_environment, **options)


def test_first_light(over_tls, tls_engine, tmp_path):
    (tmp_path / "Dockerfile").write_text("FROM busybox\nCMD [\"echo\", \"over tls\"]\n")
    assert over_tls("build", "-t", "tls-image", tmp_path, check=True)
    assert over_tls("run", "--rm", "tls-image", check=True).out == "over tls\n"
    assert over_tls("run", "--rm", "-i", "busybox", "cat", stdin="through\n" * 20000, check=True).out == "through\n" * 20000
    id = over_tls("run", "-d", "busybox", "sleep", "300", check=True).out.strip()
    assert over_tls("exec", id, "echo", "hello", check=True).out == "hello\n"
    assert over_tls("logs", id, check=True).out == ""
    assert over_tls("stop", "-t", "0", id, check=True).out.strip() == id
    over_tls("rm", id, check=True)


def test_terminal(tls_engine, build):
    for program in (engines.docker_program(), str(build / "berth")):
        terminal = Terminal([program, "run", "-it", "--rm", "busybox", "sh"], tls_engine.tls_environment)
        terminal.expect("# ")
        terminal.send("echo $((6*7))\r")
        terminal.expect("42")
        terminal.send("exit 4\r")
        assert terminal.end() == 4


def test_exit_code(over_tls):
    assert over_tls("run", "--rm", "busybox", "sh", "-c", "echo out; echo err >&2; exit 3").code == 3


def test_without_certificate_nobody_gets_in(tls_engine, certificates):
    environment = dict(tls_engine.tls_environment)
    place = certificates / "nobody"
    place.mkdir(exist_ok=True)
    (place / "ca.pem").write_bytes((certificates / "ca.pem").read_bytes())
    environment["DOCKER_CERT_PATH"] = str(place)
    got = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{tls_engine.port}", "-CAfile", str(certificates / "ca.pem")],
                         input=b"GET /_ping HTTP/1.1\r\nHost: x\r\n\r\n", capture_output=True, timeout=LIMIT_S)
    assert b"200 OK" not in got.stdout


def test_plain_tcp_is_refused_without_the_flag(build, tmp_path):
    got = run([build / "berthd", "--data-root", tmp_path / "d", "--exec-root", tmp_path / "r", "-H", "tcp://127.0.0.1:0"])
    assert got.code == 1 and "insecure" in got.err
