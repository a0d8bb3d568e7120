"""Debian made with mmdebstrap, nginx and PostgreSQL from its packages, as people run them."""
import subprocess

import pytest

from engine import wait_until
from test_first_light import fetch

pytestmark = pytest.mark.debian

BUILD_LIMIT_S = 420


@pytest.fixture(scope="module")
def debian(engine, tmp_path_factory):
    """The image debian:12, imported from a tar that mmdebstrap made."""
    if engine.docker("image", "inspect", "debian:12").code == 0:
        return "debian:12"
    tar = tmp_path_factory.mktemp("debian") / "root.tar"
    subprocess.run(["mmdebstrap", "--quiet", "--variant=minbase", "bookworm", str(tar)], check=True, timeout=BUILD_LIMIT_S)
    engine.docker("import", tar, "debian:12", check=True, limit_s=BUILD_LIMIT_S)
    tar.unlink()
    yield "debian:12"


def test_debian_runs(engine, debian):
    got = engine.docker("run", "--rm", debian, "sh", "-c", ". /etc/os-release; echo $VERSION_CODENAME; id -un", check=True)
    assert got.out == "bookworm\nroot\n"


def test_nginx(engine, debian, name, free_port, tmp_path):
    (tmp_path / "index.html").write_text("served by nginx\n")
    (tmp_path / "Dockerfile").write_text(
        "FROM debian:12\n"
        "RUN apt-get update && apt-get install -y --no-install-recommends nginx-light && rm -rf /var/lib/apt/lists/*\n"
        "COPY index.html /var/www/html/\nEXPOSE 80\nSTOPSIGNAL SIGQUIT\n"
        'CMD ["nginx", "-g", "daemon off;"]\n')
    built = engine.docker("build", "-t", "test-nginx", tmp_path, limit_s=BUILD_LIMIT_S)
    assert built.code == 0, built
    engine.docker("run", "-d", "--name", name, "-p", f"{free_port}:80", "test-nginx", check=True)
    assert fetch(free_port) == "served by nginx\n"
    engine.docker("stop", name, check=True)
    assert engine.inspect(name)["State"]["ExitCode"] == 0


def test_postgresql_keeps_its_data(engine, debian, name, tmp_path):
    (tmp_path / "start").write_text(
        "#!/bin/sh\nset -e\nbin=/usr/lib/postgresql/15/bin\n"
        "[ -s /data/PG_VERSION ] || $bin/initdb -D /data -A trust >/dev/null\n"
        "exec $bin/postgres -D /data -k /tmp -c listen_addresses='*'\n")
    (tmp_path / "start").chmod(0o755)
    (tmp_path / "Dockerfile").write_text(
        "FROM debian:12\n"
        "RUN apt-get update && apt-get install -y --no-install-recommends postgresql-15 && rm -rf /var/lib/apt/lists/*\n"
        "COPY start /usr/local/bin/\nRUN mkdir /data && chown postgres:postgres /data\nVOLUME /data\nUSER postgres\nEXPOSE 5432\n"
        'CMD ["start"]\n')
    built = engine.docker("build", "-t", "test-postgres", tmp_path, limit_s=BUILD_LIMIT_S)
    assert built.code == 0, built

    def sql(text):
        return engine.docker("exec", name, "psql", "-h", "/tmp", "-tAc", text, "postgres")

    def run():
        engine.docker("run", "-d", "--name", name, "--shm-size", "128m", "-v", "pgdata:/data", "test-postgres", check=True)
        wait_until(lambda: sql("SELECT 1").out == "1\n", 60, what="PostgreSQL answering")
    try:
        run()
        assert sql("CREATE TABLE kept(n int); INSERT INTO kept SELECT generate_series(1, 1000)").code == 0
        engine.docker("stop", name, check=True)
        engine.docker("rm", name, check=True)
        run()
        assert sql("SELECT sum(n) FROM kept").out == "500500\n"
    finally:
        engine.docker("rm", "-f", name)
        engine.docker("volume", "rm", "pgdata")
