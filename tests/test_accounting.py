"""What system df says is what du says; and it goes on being so while things change."""
import json
import os
import subprocess

import pytest

from engine import wait_until

pytestmark = pytest.mark.own

# Containers and small files: 1,000 and 250,000 (1 GB) in the long form.
CONTAINERS = int(os.environ.get("BERTH_TEST_DF_CONTAINERS", "20"))
FILES = int(os.environ.get("BERTH_TEST_DF_FILES", "2000"))


def usage(engine):
    client = engine.sdk()
    try:
        return client.df()
    finally:
        client.close()


def du(engine):
    return int(subprocess.run(["du", "-sx", "-B1", engine.data], capture_output=True, text=True, check=True).stdout.split()[0])


def agrees(engine):
    """Within 0.1 %, or a few blocks where little is there; the record's own log may grow meanwhile."""
    ours, theirs = usage(engine)["DataRoot"]["Total"], du(engine)
    return abs(ours - theirs) <= max(theirs / 1000, 256 * 1024)


def check(engine):
    wait_until(lambda: agrees(engine), what=f"df ({usage(engine)['DataRoot']}) agreeing with du ({du(engine)})")
    said = usage(engine)["DataRoot"]
    assert said["Total"] == sum(value for key, value in said.items() if key != "Total")


def test_adds_up_to_du(private_engine):
    engine = private_engine
    check(engine)
    engine.docker("run", "--name", "fills", "-v", "small:/v", "busybox", "sh", "-c",
                  f"i=0; while [ $i -lt {FILES} ]; do echo 0123456789 > /v/$i; i=$((i+1)); done; dd if=/dev/zero of=/root/big bs=64k count=64", limit_s=600, check=True)
    for number in range(CONTAINERS):
        engine.docker("create", "--name", f"c-{number}", "busybox", "true", check=True)
    check(engine)
    before = usage(engine)
    assert before["Volumes"][0]["UsageData"] == {"RefCount": 1, "Size": 11 * FILES}
    assert next(c["SizeRw"] for c in before["Containers"] if c["Names"] == ["/fills"]) == 4 << 20
    # What changes is seen: by a run, by files copied in, by a running container.
    engine.docker("run", "-d", "--name", "runs", "-v", "small:/v", "busybox", "sh", "-c", "rm /v/1; echo more > /v/more; dd if=/dev/zero of=/root/x bs=64k count=32; sleep 300",
                  check=True)
    wait_until(lambda: engine.docker("exec", "runs", "stat", "-c", "%s", "/root/x").out == f"{2 << 20}\n", what="the file")
    archive = subprocess.run(["tar", "-C", "/bin", "-c", "busybox"], capture_output=True, check=True).stdout
    engine.docker("cp", "-", "fills:/root", stdin=archive, check=True)
    wait_until(lambda: usage(engine)["Volumes"][0]["UsageData"]["Size"] == 11 * FILES - 11 + 5, what="the volume's size following")
    now = {c["Names"][0]: c.get("SizeRw", 0) for c in usage(engine)["Containers"]}
    assert now["/runs"] == 2 << 20 and now["/fills"] == (4 << 20) + os.path.getsize("/bin/busybox")
    check(engine)
    engine.docker("rm", "-f", "runs", "fills", check=True)
    engine.docker("volume", "rm", "small", check=True)
    check(engine)


def test_shared_and_unique_bytes(private_engine, tmp_path):
    engine = private_engine
    (tmp_path / "Dockerfile").write_text("FROM busybox\nRUN dd if=/dev/zero of=/own bs=1k count=100\n")
    engine.docker("build", "-q", "-t", "above", tmp_path, check=True)
    images = {image["RepoTags"][0]: image for image in usage(engine)["Images"] if image["RepoTags"]}
    base, above = images["busybox:latest"], images["above:latest"]
    assert above["Size"] - above["SharedSize"] == 100 * 1024 and above["SharedSize"] == base["SharedSize"] == base["Size"]
    assert usage(engine)["LayersSize"] == above["Size"]
