"""Dockerfiles as people write them, on a Debian base: built, run, and reached from outside. They take minutes and need Debian's mirror (and npm's):
BERTH_REAL_BUILDS=1 runs them."""
import json
import os

import pytest

from engine import wait_until
from test_first_light import fetch
from test_real_software import BUILD_LIMIT_S, debian  # noqa: F401 (a fixture)

pytestmark = [pytest.mark.debian,
              pytest.mark.skipif("BERTH_REAL_BUILDS" not in os.environ, reason="the long form: BERTH_REAL_BUILDS=1")]

APT = "RUN --mount=type=cache,target=/var/cache/apt,sharing=locked --mount=type=cache,target=/var/lib/apt,sharing=locked " \
      "rm -f /etc/apt/apt.conf.d/docker-clean && apt-get update && apt-get install -y --no-install-recommends "
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"  # of this host: whoever looks into connections here is trusted there


def write(directory, **files):
    for name, text in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def build(engine, directory, tag, *options):
    done = engine.berth("build", "--progress=plain", "-t", tag, *options, str(directory), limit_s=BUILD_LIMIT_S)
    assert done.code == 0, done
    return done


def served(engine, name, port, path="/"):
    """The page, once it is there."""
    try:
        return fetch(port, path)
    except AssertionError as error:
        raise AssertionError(f"{error}: {engine.berth('logs', name)}") from None


def test_a_c_program_is_tested_and_runs_on_nothing(engine, debian, tmp_path):  # noqa: F811
    write(tmp_path, Dockerfile=f"""# syntax=docker/dockerfile:1
FROM debian:12 AS build
{APT}gcc libc6-dev make
WORKDIR /src
COPY Makefile *.c ./
ARG VERSION=dev
RUN make VERSION=$VERSION
FROM build AS test
RUN test "$(./hello world)" = "hello world $(./hello --version)" && touch /passed
FROM scratch
COPY --from=test /passed /passed
COPY --from=build /src/hello /hello
ENTRYPOINT ["/hello"]
""", Makefile="hello: hello.c\n\t$(CC) -O2 -static -DVERSION='\"$(VERSION)\"' -o $@ $<\n")
    write(tmp_path, **{"hello.c": '#include <stdio.h>\n#include <string.h>\nint main(int c, char **v) {\n'
                                  ' if (c > 1 && !strcmp(v[1], "--version")) puts(VERSION); else printf("hello %s %s\\n", c > 1 ? v[1] : "", VERSION);\n}\n'})
    build(engine, tmp_path, "real-c", "--build-arg", "VERSION=3.1")
    assert engine.berth("run", "--rm", "real-c", "there", check=True).out == "hello there 3.1\n"
    assert engine.inspect("real-c")["Size"] < 5_000_000


def test_a_node_app_with_npm_ci(engine, debian, name, free_port, tmp_path):  # noqa: F811
    dependency = {"is-number": "7.0.0"}
    lock = {"name": "app", "version": "1.0.0", "lockfileVersion": 3, "requires": True,
            "packages": {"": {"name": "app", "version": "1.0.0", "dependencies": dependency}, "node_modules/is-number": {"version": "7.0.0"}}}
    write(tmp_path, **{
        "package.json": json.dumps({"name": "app", "version": "1.0.0", "dependencies": dependency}), "package-lock.json": json.dumps(lock),
        ".dockerignore": "node_modules\n", "node_modules/junk.js": "not sent\n",
        "server.js": "const n = require('is-number');\n"
                     "require('http').createServer((q, r) => r.end(`${q.url.slice(1)} ${n(q.url.slice(1)) ? 'is' : 'is not'} a number\\n`)).listen(3000);\n",
        "Dockerfile": f"""FROM debian:12 AS base
{APT}nodejs npm ca-certificates
WORKDIR /app
FROM base AS dependencies
COPY package.json package-lock.json ./
RUN --mount=type=cache,target=/root/.npm --mount=type=secret,id=ca,target=/ca.pem NODE_EXTRA_CA_CERTS=/ca.pem npm ci --omit=dev --no-audit --no-fund
FROM base
ENV NODE_ENV=production
COPY --from=dependencies /app/node_modules ./node_modules
COPY . .
USER nobody
EXPOSE 3000
CMD ["node", "server.js"]
"""})
    options = ("--secret", f"id=ca,src={CERTIFICATES}")
    base = build(engine, tmp_path, "real-node-base", "--target", "base")
    assert "node_modules" not in base.out
    asked = engine.berth("run", "--rm", "-v", f"{CERTIFICATES}:/ca.pem:ro", "-e", "NODE_EXTRA_CA_CERTS=/ca.pem", "real-node-base", "npm", "ping", limit_s=120)
    if asked.code != 0:
        pytest.skip(f"not run: npm's registry cannot be reached from a container: {asked.err[-300:]}")
    build(engine, tmp_path, "real-node", *options)
    engine.berth("run", "-d", "--name", name, "-p", f"{free_port}:3000", "real-node", check=True)
    assert served(engine, name, free_port, "/42") == "42 is a number\n" and served(engine, name, free_port, "/x") == "x is not a number\n"
    assert engine.berth("exec", name, "ls", "node_modules", check=True).out == "is-number\n", "what .dockerignore excludes did not come"
    (tmp_path / "server.js").write_text((tmp_path / "server.js").read_text().replace("a number", "one"))
    again = build(engine, tmp_path, "real-node", *options)
    assert again.out.count("CACHED") >= 4, "npm ci is not done again for a change of the program"


def test_a_python_app(engine, debian, name, free_port, tmp_path):  # noqa: F811
    write(tmp_path, **{
        "app/__init__.py": "", "app/__main__.py": "import http.server, os, sys\nfrom app.words import greet\n"
        "class Page(http.server.BaseHTTPRequestHandler):\n    def do_GET(self):\n        self.send_response(200)\n        self.end_headers()\n"
        "        self.wfile.write(greet(os.environ['WHO']).encode())\n"
        "http.server.HTTPServer(('', 8000), Page).serve_forever()\n",
        "app/words.py": "def greet(who):\n    return f'hello {who}\\n'\n",
        "pyproject.toml": "[build-system]\nrequires = ['setuptools']\nbuild-backend = 'setuptools.build_meta'\n[project]\nname = 'app'\nversion = '1.0'\n"
                          "[tool.setuptools]\npackages = ['app']\n",
        "Dockerfile": f"""FROM debian:12 AS build
{APT}python3 python3-venv python3-pip python3-setuptools python3-wheel
WORKDIR /src
RUN python3 -m venv --system-site-packages /venv
COPY pyproject.toml ./
COPY app ./app
RUN --mount=type=cache,target=/root/.cache/pip /venv/bin/pip install --no-build-isolation --no-index .
FROM debian:12
{APT}python3
RUN useradd --system app
COPY --from=build /venv /venv
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 WHO=nobody
USER app
EXPOSE 8000
HEALTHCHECK --interval=500ms --retries=40 CMD ["python3", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000')"]
CMD ["python", "-m", "app"]
"""})
    build(engine, tmp_path, "real-python")
    engine.berth("run", "-d", "--name", name, "-e", "WHO=python", "-p", f"{free_port}:8000", "real-python", check=True)
    assert served(engine, name, free_port) == "hello python\n"
    wait_until(lambda: engine.inspect(name)["State"]["Health"]["Status"] == "healthy", 60, what="the health check passing")
    assert engine.berth("exec", name, "id", "-un", check=True).out == "app\n"


def test_nginx_with_templates(engine, debian, name, free_port, tmp_path):  # noqa: F811
    write(tmp_path, **{
        "templates/default.conf.template": "server { listen ${PORT}; location / { return 200 \"$uri for ${NAME}\\n\"; } }\n",
        "docker-entrypoint.sh": "#!/bin/sh\nset -e\nfor template in /etc/nginx/templates/*.template; do\n"
                                "  envsubst '$PORT $NAME' < \"$template\" > \"/etc/nginx/conf.d/$(basename \"$template\" .template)\"\ndone\nexec \"$@\"\n",
        "Dockerfile": f"""FROM debian:12
{APT}nginx-light gettext-base
RUN rm -f /etc/nginx/sites-enabled/default && ln -sf /dev/stdout /var/log/nginx/access.log && ln -sf /dev/stderr /var/log/nginx/error.log
COPY --chmod=755 docker-entrypoint.sh /
COPY templates /etc/nginx/templates
ENV PORT=80 NAME=nobody
EXPOSE 80
STOPSIGNAL SIGQUIT
ENTRYPOINT ["/docker-entrypoint.sh"]
CMD ["nginx", "-g", "daemon off;"]
"""})
    build(engine, tmp_path, "real-nginx")
    engine.berth("run", "-d", "--name", name, "-e", "PORT=8080", "-e", "NAME=somebody", "-p", f"{free_port}:8080", "real-nginx", check=True)
    assert served(engine, name, free_port, "/page") == "/page for somebody\n"
    wait_until(lambda: "GET /page" in engine.berth("logs", name).out, what="the request in the log")
    engine.berth("stop", name, check=True)
    assert engine.inspect(name)["State"]["ExitCode"] == 0


def test_postgresql_with_an_entrypoint(engine, debian, name, tmp_path):  # noqa: F811
    write(tmp_path, **{
        "docker-entrypoint.sh": """#!/bin/bash
set -Eeo pipefail
if [ "$1" = postgres ] && [ "$(id -u)" = 0 ]; then
    mkdir -p "$PGDATA"
    chown -R postgres "$PGDATA"
    exec setpriv --reuid=postgres --regid=postgres --init-groups "$BASH_SOURCE" "$@"
fi
if [ "$1" = postgres ] && [ ! -s "$PGDATA/PG_VERSION" ]; then
    initdb --username=postgres --pwfile=<(printf '%s\\n' "${POSTGRES_PASSWORD:?is needed}") -A scram-sha-256 >/dev/null
    echo 'host all all all scram-sha-256' >> "$PGDATA/pg_hba.conf"
    export PGPASSWORD="$POSTGRES_PASSWORD"
    pg_ctl -o "-c listen_addresses='' -k /tmp" -w start >/dev/null
    for script in /docker-entrypoint-initdb.d/*.sql; do psql -v ON_ERROR_STOP=1 -h /tmp -U postgres -f "$script"; done
    pg_ctl -m fast -w stop >/dev/null
fi
exec "$@"
""",
        "init.sql": "CREATE TABLE made (n int);\nINSERT INTO made SELECT generate_series(1, 10);\n",
        "Dockerfile": f"""FROM debian:12
ARG VERSION=15
{APT}postgresql-$VERSION
ENV PATH=/usr/lib/postgresql/$VERSION/bin:$PATH PGDATA=/var/lib/postgresql/data/pgdata
COPY --chmod=755 docker-entrypoint.sh /usr/local/bin/
COPY init.sql /docker-entrypoint-initdb.d/
VOLUME /var/lib/postgresql/data
STOPSIGNAL SIGINT
EXPOSE 5432
ENTRYPOINT ["docker-entrypoint.sh"]
CMD ["postgres", "-c", "listen_addresses=*", "-k", "/tmp"]
"""})
    build(engine, tmp_path, "real-postgres")
    refused = engine.berth("run", "--rm", "real-postgres")
    assert refused.code != 0 and "POSTGRES_PASSWORD: is needed" in refused.err

    def ask(text):  # from another container, over the network
        return engine.berth("run", "--rm", "--network", f"container:{name}", "-e", "PGPASSWORD=secret", "--entrypoint", "psql", "real-postgres",
                            "-h", "127.0.0.1", "-U", "postgres", "-tAc", text)
    engine.berth("run", "-d", "--name", name, "-e", "POSTGRES_PASSWORD=secret", "-v", f"{name}:/var/lib/postgresql/data", "--shm-size", "128m",
                 "real-postgres", check=True)
    try:
        wait_until(lambda: ask("SELECT 1").out == "1\n", 120, what="PostgreSQL answering")
        assert ask("SELECT sum(n) FROM made").out == "55\n"
        assert ask("INSERT INTO made VALUES (100)").code == 0
        engine.berth("restart", name, check=True)
        wait_until(lambda: ask("SELECT sum(n) FROM made").out == "155\n", 120, what="the rows after a restart")
    finally:
        engine.berth("rm", "-f", "-v", name)
        engine.berth("volume", "rm", name)
