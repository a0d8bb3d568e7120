"""Compose: what files mean, case by case, as Docker's compose 2.40 sees them (tests/compose/canonical.txt). The answers were recorded;
nothing but berth is needed."""
import pathlib
import re

import pytest

from compose_project import config, directory  # noqa: F401 (a fixture)

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


@pytest.mark.parametrize("case", read_cases(), ids=lambda case: case["title"])
def test_meaning(build, directory, case):
    for name, text in case["files"].items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(text)
    code, out, err = config(build, directory, case["arguments"], case["variables"])
    got = out if code == 0 else "refused: " + err.replace("\n", " ").strip()
    wanted = case["answers"].get("berth", case["answers"]["docker"])
    assert ("berth" in case["answers"]) == bool(case["reason"])
    got, wanted = got.splitlines(), wanted.splitlines()
    if case["unordered"]:
        got, wanted = sorted(got), sorted(wanted)
    assert got == wanted
    assert code in (0, 1)
