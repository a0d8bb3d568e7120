"""Compose: files that are wrong, or meant to do harm. Each is refused within bounds, with file, line and key; tests/compose/refused.txt has
most of them, with Docker's words. Nothing but berth is needed."""
import os
import pathlib
import re
import resource

import pytest

from compose_project import config, directory  # noqa: F401 (a fixture)

pytestmark = pytest.mark.own

CASES = pathlib.Path(__file__).parent / "compose"


def read_refusals():
    found = []
    for line in (CASES / "refused.txt").read_text().split("\n\n", 1)[1].splitlines():
        word, _, text = line.strip().partition(": ")
        if line.startswith("    "):
            found[-1][word] = text.replace("\\n", "\n")
        else:
            found.append({"yaml": line.replace("\\n", "\n")})
    return found


WRONG = [
    ("services: {a: {image: busybox, depends_on: [b]}}", 'service "a" depends on undefined service "b": invalid compose project'),
    ("services: {a: {image: busybox, depends_on: [b]}, b: {image: x, depends_on: [a]}}", "dependency cycle detected: a -> b -> a"),
    ("services:\n  a:\n    image: busybox\n    foo: 1\n", "services.a additional properties 'foo' not allowed (line 4)"),
    ("services: {a: {image: busybox, comand: x}}", "additional properties 'comand' not allowed, did you mean 'command'?"),
    ("services: {a: {image: busybox, networks: [n]}}", 'service "a" refers to undefined network n: invalid compose project'),
    ("services: {a: {image: busybox, volumes: ['vol:/x']}}", 'service "a" refers to undefined volume vol: invalid compose project'),
    ("services: {a: {image: busybox, secrets: [s]}}", 'service "a" refers to undefined secret s: invalid compose project'),
    ("services: {a: {image: busybox, configs: [s]}}", 'service "a" refers to undefined config s: invalid compose project'),
    ("services: {a: {command: x}}", 'service "a" has neither an image nor a build context specified: invalid compose project'),
    ("services:\n a:\n  image: b\n bad\n", "yaml: line 4: could not find expected ':'"),
    ("services:\n a:\n  image: b\n  image: c\n", 'line 4: mapping key "image" already defined at line 3'),
    ("services: {a: {image: busybox, cpus: x}}",
     'error while interpolating services.a.cpus: failed to cast to expected type: strconv.ParseFloat: parsing "x": invalid syntax'),
    ("services: {a: {image: 'busybox:${TAG?need tag}'}}",
     "error while interpolating services.a.image: required variable TAG is missing a value: need tag"),
    ("services: {a: {image: 'busybox:${TAG'}}",
     "invalid interpolation format for services.a.image.\nYou may need to escape any $ with another $.\nbusybox:${TAG"),
    ("services: {a: {image: busybox, ports: ['99999:1']}}", "Invalid hostPort: 99999"),
    ("services: {a: {image: busybox, ports: ['80-81:90-92']}}", "Invalid ranges specified for container and host Ports: 90-92 and 80-81"),
    ("services: {a: {image: busybox, ports: ['80/foo']}}", "Invalid proto: foo"),
    ("", "empty compose file"),
    ("x: 1", "additional properties 'x' not allowed"),
    ("services: {a: {image: busybox, network_mode: host, networks: [x]}}\nnetworks: {x: {}}",
     "service a declares mutually exclusive `network_mode` and `networks`: invalid compose project"),
    ("services: {a: {image: busybox, container_name: zz, deploy: {replicas: 2}}}",
     "services.deploy.replicas: can't set container_name and a as container name must be unique: invalid compose project"),
    ("services: {a: {image: busybox, env_file: .e}}", "not found: stat "),
    ("services: {a: {image: [x]}}", "services.a.image must be a string"),
    ("services: {a: {image: busybox, environment: 5}}", "services.a.environment must be a mapping or a list"),
    ("services: {a: {image: busybox, tty: maybe}}", "error while interpolating services.a.tty: failed to cast to expected type: invalid boolean: maybe"),
    ("services: {a: {image: busybox, mem_limit: lots}}", "services.a.mem_limit invalid size: 'lots'"),
    ("services: {a: {image: busybox, stop_grace_period: 5}}", 'time: missing unit in duration "5"'),
    ("services: {a: {image: busybox, healthcheck: {test: [FOO, x]}}}", 'must start either by "CMD", "CMD-SHELL" or "NONE"'),
    ("services: {a: {image: busybox, depends_on: {b: {condition: soon}}}, b: {image: x}}", "services.a.depends_on.b.condition must be one of"),
    ("services: {a: {image: busybox, volumes: [{type: bind, target: /x}]}}", "type is bind, but there is no source"),
    ("services: {a: {image: busybox, volumes: ['a:b:c:d']}}", "too many colons"),
    ("services: {a: {extends: b}}", 'service "b" not found'),
    ("services: {a: {extends: {service: a}}}", "circular reference"),
    ("services: {a: {image: b, command: \"echo 'open\"}}", "a quote stays open"),
    ("services: {a: {image: b, cpus: 1, deploy: {resources: {limits: {cpus: '2'}}}}}", "can't set distinct values on 'cpus'"),
    ("services: {a: {image: b}}\nsecrets: {s: {}}", 'secrets.s: one of file|environment must be set'),
    ("services: {a: {image: b, scale: 10001}}", "services.a.scale must be less than or equal to 10000"),
    ("- a\n- b\n", "top-level object must be a mapping"),
    ("include: nowhere.yaml", "nowhere.yaml: no such file or directory"),
    ("services: {a: !what {image: b}}", "unknown tag !what"),
]


def place(err):
    """Line and key that a message names; the key is None where the file is no tree yet, or the whole of it is meant."""
    words = " ".join(err.split())
    found = re.fullmatch(r"validating <project>/compose\.yaml: (\S+) .* \(line (\d+)\)", words)
    if found:
        return int(found[2]), None if found[1] == "additional" else found[1]
    found = re.search(r"\(<project>/compose\.yaml:(\d+)(?:: ([^;)]+))?(?:; [^()]+)?\)$", words)
    assert found, err
    inside = re.search(r"error while interpolating (\S+):|invalid interpolation format for (\S+)\. ", words)
    return int(found[1]), found[2] or (inside and (inside[1] or inside[2]))


def check(yaml, err):
    """The key is one of the file, on that line or, in a tree of one line, anywhere."""
    line, key = place(err)
    assert 1 <= line <= len(yaml.splitlines()) + 1
    if key is None:
        assert re.match(r"yaml: |validating \S+ additional|failed to parse|empty compose file|.*top-level object|.*services must be a mapping", err), err
    else:
        parts = [part for part in key.split(".")[:2] if not part.isdigit()]
        assert all(part in yaml for part in parts), err


@pytest.mark.parametrize("case", read_refusals(), ids=lambda case: case["yaml"])
def test_refusal(build, directory, case):
    (directory / "compose.yaml").write_text(case["yaml"])
    code, out, err = config(build, directory)
    assert (code, out) == (1, "")
    assert case.get("berth", case["docker"]) in err
    check(case["yaml"], err)


@pytest.mark.parametrize("text,words", WRONG, ids=range(len(WRONG)))
def test_wrong_files_are_told(build, directory, text, words):
    (directory / "compose.yaml").write_text(text)
    code, out, err = config(build, directory)
    assert (code, out) == (1, "") and words in err
    check(text, err)


# ---- files that are meant to do harm ----

S = "services: {a: {image: b}}\n"


def many(form, count, joint=","):
    return joint.join(form.format(i, i + 1) for i in range(count))


HOSTILE = {
    "aliases of aliases": ("x-0: &a0 [x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"x-{i}: &a{i} [{','.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 10)) + S, "excessive aliasing"),
    "merges of merges": ("x-0: &a0 {" + many("k{0}: v", 100) + "}\n" + "".join(
        f"x-{i}: &a{i} {{{','.join(f'k{j}: *a{i - 1}' for j in range(9))}}}\n" for i in range(1, 9)) + S, "excessive aliasing"),
    "an anchor at each depth": ("x-a: " + many("&n{0} [", 98, "") + ",".join(["[" + ",".join("x" * 2000) + "]"] * 70) + "]" * 98 + "\n" + S,
                                "nested too deeply"),
    "a deep list": ("x-a: " + "[" * 100000 + "\n" + S, "nested too deeply"),
    "a deep mapping": ("x-a: " + "{a: " * 50000 + "\n" + S, "nested too deeply"),
    "a deep block": ("x-a:\n" + "".join(" " * i + "- \n" for i in range(1, 2000)) + S, "nested too deeply"),
    "a huge key": ("services: {a: {image: b, ? %s : 1}}\n" % ("k" * 500000), "additional properties 'kkkk"),
    "a long key": ("services:\n  a:\n    image: b\n    %s: 1\n" % ("k" * 1000), "additional properties 'kkkk"),
    "a huge number": ("services: {a: {image: b, cpus: %s}}\n" % ("9x" * 1000000), "failed to cast"),
    "many keys": ("services: {a: {image: b, environment: {" + many("K{0}: v", 20000) + "}}}\n", "too many keys"),
    "many items": ("services: {a: {image: b, environment: [" + many("K{0}=v", 20000) + "]}}\n", "too many items"),
    "a ring of many": ("services:\n" + many("  s{0}: {{image: b, depends_on: [s{1}]}}\n", 2000, "") + "  s2000: {image: b, depends_on: [s0]}\n",
                       "dependency cycle detected: s0 -> s1"),
    "a ring of two": ("services:\n  a: {image: b, depends_on: [c]}\n  c: {image: b, links: [a]}\n", "dependency cycle detected: a -> c -> a"),
    "all ports, and one": ("services: {a: {image: b, ports: ['1-65535', '1-65535:1-65535/udp']}}\n", "more than the 65536"),
    "a range beyond ports": ("services: {a: {image: b, ports: ['1-99999999999:1-99999999999']}}\n", "Invalid containerPort"),
    "a range that goes down": ("services: {a: {image: b, ports: ['9-1:9-1']}}\n", "Invalid containerPort"),
    "negative ports": ("services: {a: {image: b, ports: ['-5:-6']}}\n", "Invalid containerPort"),
    "an escaped NUL": ('services: {a: {image: "b\\0c"}}\n', "a NUL in it"),
    "a NUL": ("services: {a: {image: b\0c}}\n", "control characters are not allowed"),
    "a NUL in a key": ('services: {"a\\0b": {image: b}}\n', "a NUL in it"),
    "no UTF-8": (b"services: {a: {image: \xff\xfe}}\n", "invalid leading UTF-8 octet"),
    "half a character": (b"services:\n  a: {image: '\xc3\x28'}\n", "invalid trailing UTF-8 octet"),
    "a bell": ("services: {a: {image: 'b\a'}}\n", "control characters are not allowed"),
    "a tab": ("services:\n\ta: {image: b}\n", "cannot start any token"),
    "a tag before all": ("!reset {services: {a: {image: b}}}\n", "a tag before the whole document"),
    "a tag before a key": ("services: {a: {image: b, !reset ports: ['80:80']}}\n", "put it before the value"),
    "an image that is reset": ("services: {a: {image: !reset b}}\n", "neither an image nor a build context"),
    "a tag of others": ("services: {a: {image: !!python/object:os.system b}}\n", "unknown tag"),
    "a binary": ("services: {a: {image: !!binary AAAA}}\n", "unknown tag"),
    "a tag with another name": ("%TAG ! tag:evil,2000:\n---\nservices: {a: !x {image: b}}\n", "unknown tag tag:evil,2000:x"),
    "a version of YAML": ("%YAML 9.9\n---\n" + S, "incompatible YAML document"),
    "an anchor in itself": ("services: &s {a: {image: b, x-s: *s}}\n", "unknown anchor 's'"),
    "a merge of itself": ("services: {a: &a {image: b, <<: *a}}\n", "unknown anchor 'a'"),
    "a merge of a list": ("services: {a: {image: b, <<: [1]}}\n", "map merge requires"),
    "a merge of nothing": ("services: {a: {image: b, <<: null}}\n", "map merge requires"),
    "two merges": ("x-a: &a {image: b}\nservices: {a: {<<: *a, <<: *a}}\n", 'mapping key "<<" already defined'),
    "a key twice": ("services:\n  a: {image: b}\n  a: {image: c}\n", 'mapping key "a" already defined at line 2'),
    "a deep key twice": ("services: {a: {image: b, labels: {x: 1, x: 2}}}\n", 'mapping key "x" already defined'),
    "null twice": ("services: {a: {image: b, labels: {null: 1, ~: 2}}}\n", 'mapping key "null" already defined'),
    "a key that is a list": ("services: {[a]: {image: b}}\n", "a key that is no text"),
    "a directory of variables": ("services: {a: {image: b, env_file: .}}\n", "is a directory"),
    "endless variables": ("services: {a: {image: b, env_file: /dev/zero}}\n", "larger than"),
    "variables of the parent": ("services: {a: {image: b, env_file: ../../../nowhere/x}}\n", "not found"),
    "a file of itself": ("include: compose.yaml\n" + S, "include cycle detected"),
    "a file of itself, often": ("include: [" + ",".join(["compose.yaml"] * 10) + "]\n" + S, "include cycle detected"),
    "an endless file": ("include: /dev/zero\n" + S, "larger than"),
    "a service of itself": ("services: {a: {extends: {file: compose.yaml, service: a}}}\n", "circular reference"),
    "a service of nobody": ("services: {a: {extends: {file: compose.yaml, service: z}}}\n", "service not found"),
    "a service of a directory": ("services: {a: {extends: {file: ., service: z}}}\n", "is a directory"),
    "nested variables": ("services: {a: {image: '" + "${A:-" * 5000 + "x" + "}" * 5000 + "'}}\n", "nested more than 50 deep"),
    "a variable, often": ("services: {a: {image: '" + "$PATH" * 300000 + "'}}\n", "grows too large"),
    "many with variables": ("services: {a: {image: b, command: [" + ",".join(["'" + "$PATH" * 10000 + "'"] * 150) + "]}}\n", "grows too large"),
    "a name without letters": ("name: '$$$$'\n" + S, "project name must not be empty"),
    "an integer beyond": ("services: {a: {image: b, scale: 99999999999999999999999}}\n", "must be a integer"),
    "many containers": ("services: {a: {image: b, scale: 2147483647}}\n", "must be less than or equal to 10000"),
    "not a number": ("services: {a: {image: b, cpus: .nan}}\n", "must be a number"),
    "infinitely many": ("services: {a: {image: b, cpus: .inf}}\n", "must be a number"),
    "a number beyond": ("services: {a: {image: b, cpus: 1e400}}\n", "must be a number"),
    "a size beyond": ("services: {a: {image: b, mem_limit: 99999999999999999999g}}\n", "invalid size"),
    "a time beyond": ("services: {a: {image: b, stop_grace_period: 9999999999999h}}\n", "invalid duration"),
    "a second document": (S + "---\n- x\n", "top-level object must be a mapping"),
    "a text that stays open": ("services: {a: {image: 'b\n", "unexpected end of stream"),
    "a mark and nothing": ("\ufeff", "empty compose file"),
    "an empty key": ("services: {a: {image: b, '': x}}\n", "additional properties '' not allowed"),
    "an empty service": ("services: {'': {image: b}}\n", "additional properties '' not allowed"),
    "a service with a path": ("services: {'../a': {image: b}}\n", "additional properties '../a' not allowed"),
}


def bounded():
    resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_file(build, directory, name):
    """Refused with a place, in bounded memory; a file that took its time for ever would meet the limit of the run."""
    text, words = HOSTILE[name]
    (directory / "compose.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
    code, out, err = config(build, directory, preexec_fn=None if "asan" in str(build) else bounded)
    assert (code, out) == (1, "") and words in err
    check(text if isinstance(text, str) else text.decode(errors="replace"), err)
    assert len(err) < 1200


def test_a_place_is_told_in_included_and_base_files(build, directory):
    (directory / "compose.yaml").write_text("include: [part.yaml]\nservices: {a: {extends: {file: base.yaml, service: b}}}\n")
    (directory / "base.yaml").write_text("services:\n  b:\n    image: x\n    networks: [gone]\n")
    (directory / "part.yaml").write_text("services:\n  c:\n    image: x\n")
    _, _, err = config(build, directory)
    assert "(<project>/base.yaml:4: services.a.networks.gone; " in err
    (directory / "part.yaml").write_text("services:\n  c:\n    image: x\n    volumes:\n      - ./a:/b\n      - data:/x\n")
    (directory / "base.yaml").write_text("services: {b: {image: x}}")
    _, _, err = config(build, directory)
    assert "(<project>/part.yaml:6: services.c.volumes.1; " in err
    (directory / "part.yaml").write_text("services:\n  a:\n    image: y\n")
    _, _, err = config(build, directory)
    assert "services.a conflicts with imported resource (<project>/part.yaml:3; <project>/base.yaml:1 has another one)" in err
    (directory / "part.yaml").unlink()
    os.mkdir(directory / "part.yaml")
    _, _, err = config(build, directory)
    assert "is a directory (<project>/compose.yaml:1: include)" in err


@pytest.mark.parametrize("text", ["A=" + "x" * 100000 + "\nB=" + "$A" * 1000 + "\n", "A=" + "x" * 100000 + "\n" + "".join(f"B{i}=$A$A$A$A\n" for i in range(60))])
def test_variables_of_variables(build, directory, text):
    (directory / "compose.yaml").write_text(S)
    (directory / ".env").write_text(text)
    code, out, err = config(build, directory)
    assert (code, out) == (1, "")
    assert re.match(r"failed to read <project>/\.env: line \d+: .*grow", err)
