"""Debian made with mmdebstrap, nginx and PostgreSQL from its packages, as people run them; a C program built in stages."""
import shutil
import subprocess
import urllib.request

import pytest

from engine import run, wait_until
from test_first_light import fetch

pytestmark = pytest.mark.debian

BUILD_LIMIT_S = 420


@pytest.fixture(scope="module")
def debian(engine, tmp_path_factory):
    """The image debian:12, imported from a tar that mmdebstrap made."""
    if engine.docker("image", "inspect", "debian:12").code == 0:
        yield "debian:12"
        return
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
    spread_over_two_by_name(engine, name, free_port, tmp_path)


def spread_over_two_by_name(engine, name, free_port, tmp_path):
    """nginx in front of two containers that it knows by their names on a network, and of one by a name that both have."""
    (tmp_path / "proxy.conf").write_text(
        "upstream both { server one:80; server two:80; }\n"
        "server { listen 80; location / { proxy_pass http://both; }\n"
        "  location /shared { resolver 127.0.0.11 valid=1s; set $who shared; proxy_pass http://$who/; } }\n")
    engine.docker("network", "create", "front", check=True)
    try:
        for app in ("one", "two"):
            engine.docker("run", "-d", "--name", app, "--network", "front", "--network-alias", "shared", "busybox", "sh", "-c",
                          f"echo {app} > /tmp/index.html; exec httpd -f -p 80 -h /tmp", check=True)
        engine.docker("rm", "-f", name, check=True)
        engine.docker("run", "-d", "--name", name, "--network", "front", "-p", f"{free_port}:80",
                      "-v", f"{tmp_path}/proxy.conf:/etc/nginx/sites-enabled/default:ro", "test-nginx", check=True)
        assert {fetch(free_port) for _ in range(6)} == {"one\n", "two\n"}
        engine.docker("rm", "-f", "one", check=True)
        wait_until(lambda: {fetch(free_port, "/shared") for _ in range(3)} == {"two\n"}, what="only the one that is left")
    finally:
        engine.docker("rm", "-f", name, "one", "two")
        engine.docker("network", "rm", "front", check=True)


def test_a_c_program_in_stages(engine, debian, tmp_path):
    """Compiler in one stage, tests in another beside the release, packages and objects in cache mounts, the result on nothing."""
    (tmp_path / "src").mkdir()
    (tmp_path / "src/sum.h").write_text("int sum(int count, char **words);\n")
    (tmp_path / "src/sum.c").write_text("#include <stdlib.h>\n#include \"sum.h\"\nint sum(int n, char **w) { int s = 0; while (n--) s += atoi(*w++); return s; }\n")
    (tmp_path / "src/main.c").write_text("#include <stdio.h>\n#include \"sum.h\"\nint main(int c, char **v) { printf(\"%d " + '" VERSION "' + "\\n\", sum(c - 1, v + 1)); }\n")
    (tmp_path / "src/Makefile").write_text(
        "CFLAGS += -O2 -DVERSION='\"$(VERSION)\"'\nprogram: main.o sum.o\n\t$(CC) -static -o $@ $^\n%.o: %.c sum.h\n\t$(CC) $(CFLAGS) -c -o $@ $<\n")
    (tmp_path / ".dockerignore").write_text("**/*.o\nDockerfile\n")
    (tmp_path / "Dockerfile").write_text(
        "FROM debian:12 AS tools\n"
        "RUN --mount=type=cache,target=/var/cache/apt,sharing=locked --mount=type=cache,target=/var/lib/apt,sharing=locked <<EOF\n"
        "set -e\nrm -f /etc/apt/apt.conf.d/docker-clean\napt-get update\napt-get install -y --no-install-recommends gcc libc6-dev make\nEOF\n"
        "FROM tools AS release\nARG VERSION=dev\nWORKDIR /build\n"
        "RUN --mount=source=src,target=.,rw make VERSION=$VERSION program && install -D program /out/program\n"
        "FROM tools AS checked\nCOPY --parents src/*.c src/*.h src/./Makefile /tree/\n"
        "RUN cd /tree/src && cc -DVERSION='\"t\"' -fsanitize=undefined -o /t *.c 2>/dev/null || cc -DVERSION='\"t\"' -o /t *.c; /t 1 2 3 | grep -q '6 t' && touch /passed\n"
        "FROM scratch\nCOPY --link --from=checked /passed /\nCOPY --link --from=release /out/ /\nENTRYPOINT [\"/program\"]\n")
    built = engine.docker("build", "-t", "sum", "--build-arg", "VERSION=1.2", tmp_path, limit_s=BUILD_LIMIT_S)
    assert built.code == 0, built
    assert engine.docker("run", "--rm", "sum", "20", "22", check=True).out == "42 1.2\n"
    (tmp_path / "src/main.c").write_text((tmp_path / "src/main.c").read_text().replace("%d", "=%d"))
    again = engine.docker("build", "-t", "sum", "--build-arg", "VERSION=1.2", tmp_path, limit_s=BUILD_LIMIT_S)
    assert engine.docker("run", "--rm", "sum", "1", check=True).out == "=1 1.2\n", again
    assert again.out.count("Using cache") == 4, again  # the tools, ARG, WORKDIR and what the tests leave


def build_postgres(engine, tag, directory):
    """An image with PostgreSQL that is begun by the script 'start' in the directory."""
    (directory / "start").chmod(0o755)
    (directory / "Dockerfile").write_text(
        "FROM debian:12\n"
        "RUN apt-get update && apt-get install -y --no-install-recommends postgresql-15 && rm -rf /var/lib/apt/lists/*\n"
        "COPY start /usr/local/bin/\nRUN mkdir /data && chown postgres:postgres /data\nVOLUME /data\nUSER postgres\nEXPOSE 5432\n"
        'CMD ["start"]\n')
    built = engine.docker("build", "-t", tag, directory, limit_s=BUILD_LIMIT_S)
    assert built.code == 0, built


def test_postgresql_keeps_its_data(engine, debian, name, tmp_path):
    (tmp_path / "start").write_text(
        "#!/bin/sh\nset -e\nbin=/usr/lib/postgresql/15/bin\n"
        "[ -s /data/PG_VERSION ] || $bin/initdb -D /data -A trust >/dev/null\n"
        "exec $bin/postgres -D /data -k /tmp -c listen_addresses='*'\n")
    build_postgres(engine, "test-postgres", tmp_path)

    def sql(text):
        return engine.docker("exec", name, "psql", "-h", "/tmp", "-tAc", text, "postgres")

    def run(image="test-postgres"):
        engine.docker("run", "-d", "--name", name, "--shm-size", "128m", "-v", "pgdata:/data", image, check=True)
        wait_until(lambda: sql("SELECT 1").out == "1\n", what="PostgreSQL answering")

    def count():
        return int(sql("SELECT count(*) FROM told").out)

    def committed():
        return len(engine.docker("exec", name, "cat", "/tmp/committed", check=True).out.split())
    try:
        run()
        assert sql("CREATE TABLE kept(n int); INSERT INTO kept SELECT generate_series(1, 1000)").code == 0
        engine.docker("stop", name, check=True)
        engine.docker("rm", name, check=True)
        run()
        assert sql("SELECT sum(n) FROM kept").out == "500500\n"

        # A client that is told of each commit, over the end of the engine, that of the database, and another image.
        assert sql("CREATE TABLE told(n int)").code == 0
        engine.docker("exec", "-d", name, "sh", "-c", "while n=$(psql -h /tmp -qtAc 'INSERT INTO told SELECT count(*) + 1 FROM told RETURNING n' postgres); do "
                      "echo $n >> /tmp/committed; done", check=True)
        wait_until(lambda: sql("SELECT count(*) > 5 FROM told").out == "t\n", what="the client committing")
        if engine.is_ours:
            pid = engine.inspect(name)["State"]["Pid"]
            engine.kill()
            engine.start()
            assert engine.inspect(name)["State"]["Pid"] == pid
        before = count()
        wait_until(lambda: count() > before + 5, what="the client committing on")
        told = committed()
        engine.docker("kill", name, check=True)
        engine.docker("rm", name, check=True)
        (tmp_path / "Dockerfile").write_text("FROM test-postgres\nUSER root\nRUN touch /upgraded\nUSER postgres\n")
        engine.docker("build", "-q", "-t", "test-postgres:next", tmp_path, check=True)
        run("test-postgres:next")
        engine.docker("exec", name, "test", "-f", "/upgraded", check=True)
        assert count() >= told > 5 and sql("SELECT sum(n) = count(*) * (count(*) + 1) / 2 FROM told").out == "t\n"
        assert sql("SELECT sum(n) FROM kept").out == "500500\n"
    finally:
        engine.docker("rm", "-f", name)
        engine.docker("volume", "rm", "pgdata")


def test_postgresql_replicates_to_another_container(engine, debian, name, tmp_path):
    """A standby that knows its primary by name only; it goes on when the primary comes back with another address."""
    (tmp_path / "start").write_text(
        "#!/bin/sh\nset -e\nbin=/usr/lib/postgresql/15/bin\n"
        "if [ ! -s /data/PG_VERSION ] && [ -n \"$PRIMARY\" ]; then\n"
        "  until $bin/pg_basebackup -h \"$PRIMARY\" -U postgres -D /data -R; do sleep 0.3; done\n"
        "elif [ ! -s /data/PG_VERSION ]; then\n"
        "  $bin/initdb -D /data -A trust >/dev/null\n"
        "  echo 'host all,replication all all trust' >> /data/pg_hba.conf\nfi\n"
        "chmod 700 /data\nexec $bin/postgres -D /data -k /tmp -c listen_addresses='*' -c wal_retrieve_retry_interval=200\n")
    build_postgres(engine, "test-postgres-pair", tmp_path)
    standby = name + "-standby"

    def sql(container, text):
        return engine.docker("exec", container, "psql", "-h", "/tmp", "-U", "postgres", "-tAc", text, "postgres").out

    def start_primary():
        engine.docker("run", "-d", "--name", name, "--network", "pair", "--network-alias", "primary", "-v", "pgpair:/data",
                      "test-postgres-pair", check=True)
        wait_until(lambda: sql(name, "SELECT 1") == "1\n", what="the primary answering")
    engine.docker("network", "create", "pair", check=True)
    try:
        start_primary()
        engine.docker("run", "-d", "--name", standby, "--network", "pair", "-e", "PRIMARY=primary", "test-postgres-pair", check=True)
        wait_until(lambda: sql(standby, "SELECT pg_is_in_recovery()") == "t\n", what="the standby answering")
        sql(name, "CREATE TABLE copied(n int); INSERT INTO copied SELECT generate_series(1, 1000)")
        wait_until(lambda: sql(standby, "SELECT sum(n) FROM copied") == "500500\n", what="the copy")
        seen = sql(name, "SELECT client_addr FROM pg_stat_replication").strip()
        assert seen == engine.inspect(standby)["NetworkSettings"]["Networks"]["pair"]["IPAddress"]
        engine.docker("rm", "-f", name, check=True)
        start_primary()
        sql(name, "INSERT INTO copied VALUES (1)")
        wait_until(lambda: sql(standby, "SELECT sum(n) FROM copied") == "500501\n", what="the copy of what came later")
    finally:
        engine.docker("rm", "-f", "-v", name, standby)
        engine.docker("network", "rm", "pair")
        engine.docker("volume", "rm", "pgpair")


def test_packages_are_fetched_from_inside(engine, debian, name):
    """By the name of their mirror, on a network whose containers have names of their own."""
    engine.docker("network", "create", name, check=True)
    try:
        got = engine.docker("run", "--rm", "--network", name, debian, "apt-get", "update", limit_s=BUILD_LIMIT_S)
        assert got.code == 0 and "Reading package lists" in got.out and "Err:" not in got.out, got
    finally:
        engine.docker("network", "rm", name, check=True)


COMPOSE_FILE = """
version: '3.8'
services:
  web:
    image: my-web-app:latest
    ports:
      - "8080:80"
    depends_on:
      - db

  db:
    image: postgres:latest
    environment:
      POSTGRES_USER: example
      POSTGRES_PASSWORD: example
"""


@pytest.fixture(scope="module")
def application(engine, debian, tmp_path_factory):
    """The images postgres:latest and my-web-app:latest: a page that writes a row to the database called db and shows it."""
    directory = tmp_path_factory.mktemp("postgres")
    (directory / "start").write_text(
        "#!/bin/sh\nset -e\nbin=/usr/lib/postgresql/15/bin\n"
        "if [ ! -s /data/PG_VERSION ]; then\n"
        "  echo \"$POSTGRES_PASSWORD\" >/tmp/password\n"
        "  $bin/initdb -D /data -U \"$POSTGRES_USER\" -A scram-sha-256 --pwfile=/tmp/password >/dev/null\n"
        "  echo 'host all all all scram-sha-256' >>/data/pg_hba.conf\nfi\n"
        "exec $bin/postgres -D /data -k /tmp -c listen_addresses='*'\n")
    build_postgres(engine, "postgres:latest", directory)
    directory = tmp_path_factory.mktemp("web")
    shutil.copy("/bin/busybox", directory / "busybox")
    (directory / "rows").write_text(
        "#!/bin/sh\necho 'Content-type: text/plain'; echo\n"
        "psql -qtA -c 'SET client_min_messages = warning; CREATE TABLE IF NOT EXISTS visits(n int)' -c 'INSERT INTO visits SELECT count(*) + 1 FROM visits' "
        "-c 'SELECT max(n) FROM visits' 2>&1\n")
    (directory / "rows").chmod(0o755)
    (directory / "Dockerfile").write_text(
        "FROM postgres:latest\nUSER root\n"
        "COPY busybox /usr/local/bin/\nCOPY rows /www/cgi-bin/\n"
        "ENV PGHOST=db PGUSER=example PGPASSWORD=example PGDATABASE=postgres\nEXPOSE 80\n"
        'CMD ["busybox", "httpd", "-f", "-p", "80", "-h", "/www"]\n')
    built = engine.docker("build", "-t", "my-web-app:latest", directory, limit_s=BUILD_LIMIT_S)
    assert built.code == 0, built


@pytest.mark.own
@pytest.mark.parametrize("is_checked", [False, True], ids=["started", "healthy"])
def test_compose_web_and_database(engine, application, tmp_path, free_port, is_checked):
    text = COMPOSE_FILE.replace("8080", str(free_port))
    if is_checked:
        text = text.replace("      - db\n", "      db: {condition: service_healthy}\n")
        text += "    healthcheck: {test: psql -h /tmp -U example -c 'SELECT 1' postgres, interval: 500ms, retries: 100}\n"
        text = text.replace("      POSTGRES_PASSWORD: example\n", "      POSTGRES_PASSWORD: example\n      PGPASSWORD: example\n")
    (tmp_path / "compose.yaml").write_text(text)
    command = tmp_path / "docker-compose"
    command.symlink_to(engine.build / "berth")

    def compose(*arguments):
        return run([command, "-f", tmp_path / "compose.yaml", "-p", "shop", *arguments], env=engine.environment, check=True)

    def rows():
        try:
            return urllib.request.urlopen(f"http://127.0.0.1:{free_port}/cgi-bin/rows", timeout=10).read().decode().strip()
        except OSError:
            return ""
    try:
        compose("up", "-d")
        if is_checked:
            assert wait_until(rows, what="the page answering") == "1"  # the database did not keep it waiting
        else:
            wait_until(lambda: rows().isdigit(), what="the page showing a row")
        first = int(rows())
        assert int(rows()) == first + 1
        assert "shop-db-1" in compose("ps").out and "shop-web-1" in compose("ps").out
        assert "ready to accept connections" in (logs := compose("logs", "db")).out + logs.err
    finally:
        compose("down", "-v")
    assert "shop" not in engine.docker("ps", "-a").out + engine.docker("network", "ls").out
