"""Compose: what files mean, case by case, as Docker's compose 2.40 sees them (tests/compose/canonical.txt), and which files are refused with
which words (tests/compose/refused.txt). The answers were recorded; nothing but berth is needed."""
import pathlib
import re
import subprocess

import pytest

pytestmark = pytest.mark.own

CASES = pathlib.Path(__file__).parent / "compose"


def read_cases():
    for block in re.split(r"^=== ", (CASES / "canonical.txt").read_text(), flags=re.M)[1:]:
        title, _, body = block.partition("\n")
        case = {"title": title, "arguments": ["config"], "variables": {}, "files": {}, "answers": {}, "reason": None, "unordered": False}
        while body[:2] in ("! ", "$ ", "% ", "* "):
            line, _, body = body.partition("\n")
            if line[0] == "!":
                case["reason"] = line[2:]
            elif line[0] == "$":
                case["arguments"] = line[2:].split()
            elif line[0] == "*":
                case["unordered"] = True
            else:
                name, _, value = line[2:].partition("=")
                case["variables"][name] = value
        first, *parts = re.split(r"^(--- \S+|>>> \w+)\n", body, flags=re.M)
        if first.strip():
            case["files"]["compose.yaml"] = first
        for head, text in zip(parts[::2], parts[1::2]):
            case["files" if head[0] == "-" else "answers"][head[4:]] = text
        yield case


def read_refusals():
    found = []
    for line in (CASES / "refused.txt").read_text().split("\n\n", 1)[1].splitlines():
        word, _, text = line.strip().partition(": ")
        if line.startswith("    "):
            found[-1][word] = text.replace("\\n", "\n")
        else:
            found.append({"yaml": line.replace("\\n", "\n")})
    return found


def run(build, directory, arguments, variables):
    environment = {"PATH": "/usr/bin:/bin", "HOME": "/home/user", **variables}
    done = subprocess.run([f"{build}/berth", "compose", *arguments], cwd=directory, env=environment, stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=60)
    texts = (text.replace(str(directory), "<project>").replace(str(directory.parent), "<parent>") for text in (done.stdout, done.stderr))
    return done.returncode, *texts


@pytest.fixture
def directory(tmp_path):
    made = tmp_path / "project"
    made.mkdir()
    return made


@pytest.mark.parametrize("case", read_cases(), ids=lambda case: case["title"])
def test_meaning(build, directory, case):
    for name, text in case["files"].items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(text)
    code, out, err = run(build, directory, case["arguments"], case["variables"])
    got = out if code == 0 else "refused: " + err.replace("\n", " ").strip()
    wanted = case["answers"].get("berth", case["answers"]["docker"])
    assert ("berth" in case["answers"]) == bool(case["reason"])
    got, wanted = got.splitlines(), wanted.splitlines()
    if case["unordered"]:
        got, wanted = sorted(got), sorted(wanted)
    assert got == wanted
    assert code in (0, 1)


@pytest.mark.parametrize("case", read_refusals(), ids=lambda case: case["yaml"])
def test_refusal(build, directory, case):
    (directory / "compose.yaml").write_text(case["yaml"])
    code, out, err = run(build, directory, ["config"], {})
    assert (code, out) == (1, "")
    assert case.get("berth", case["docker"]) in err
    if err.startswith("validating"):
        assert re.match(r"validating <project>/compose\.yaml: .* \(line \d+\)$", err, flags=re.S), err
