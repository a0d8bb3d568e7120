"""`berth system verify` says nothing when all is well, and complains of what is planted."""
import subprocess

import pytest

from engine import run

pytestmark = pytest.mark.own


def differences(engine):
    got = engine.verify()
    return got.code, got.out


def test_silent_when_all_is_well(private_engine, free_port):
    engine = private_engine
    engine.docker("run", "-d", "--name", "alpha", "-p", f"{free_port}:80", "busybox", "sleep", "300", check=True)
    assert engine.verify().code == 0, engine.verify()
    engine.docker("rm", "-f", "alpha", check=True)
    assert engine.verify().code == 0, engine.verify()


def test_complains_of_a_directory(private_engine):
    stray = private_engine.data / "containers" / ("ab" * 32)
    stray.mkdir()
    code, said = differences(private_engine)
    assert code == 1 and str(stray) in said
    stray.rmdir()
    assert differences(private_engine)[0] == 0


def test_complains_of_a_mount(private_engine):
    place = private_engine.data / "containers"
    subprocess.run(["mount", "-t", "tmpfs", "x", str(place / "..")  + "/tmp"], check=True)
    try:
        code, said = differences(private_engine)
    finally:
        subprocess.run(["umount", str(private_engine.data / "tmp")], check=True)
    assert code == 1 and "/tmp" in said


def test_complains_of_a_layer_and_a_volume_without_record(private_engine):
    layer = private_engine.data / "layers" / ("cd" * 32)
    layer.mkdir()
    volume = private_engine.data / "volumes" / "unknown"
    volume.mkdir()
    code, said = differences(private_engine)
    layer.rmdir()
    volume.rmdir()
    assert code == 1 and "cd" * 32 in said and "unknown" in said


def test_complains_of_a_port_without_container(private_engine, free_port):
    engine = private_engine
    engine.docker("run", "-d", "--name", "alpha", "-p", f"{free_port}:80", "busybox", "sleep", "300", check=True)
    tables = [line.split()[-1] for line in run(["nft", "list", "tables"], check=True).out.splitlines() if "berth" in line]
    ours = [t for t in tables if str(free_port) in run(["nft", "list", "table", "inet", t]).out + run(["nft", "list", "table", "ip", t]).out]
    assert len(ours) == 1, tables
    engine.docker("rm", "-f", "alpha", check=True)
    assert engine.verify().code == 0


def test_repair(private_engine):
    """What is planted goes, what is somebody's data becomes a volume, what is used stays."""
    engine = private_engine
    engine.docker("run", "-d", "--name", "runs", "-v", "used:/v", "busybox", "sleep", "300", check=True)
    engine.docker("volume", "create", "gone", check=True)
    data = engine.data
    (data / "containers" / ("ab" * 32) / "diff").mkdir(parents=True)
    (data / "layers" / ("cd" * 32) / "diff").mkdir(parents=True)
    (data / "blobs/sha256" / ("ef" * 32)).write_text("stray")
    (data / "volumes/lost/_data").mkdir(parents=True)
    (data / "volumes/lost/_data/f").write_text("somebody's")
    (data / "volumes/gone/_data").rmdir()
    subprocess.run(["mount", "-t", "tmpfs", "x", str(data / "tmp")], check=True)
    assert len(differences(engine)[1].splitlines()) == 6
    got = engine.berth("system", "verify", "--repair")
    assert got.code == 0 and got.out.count("repaired: ") == 6, got
    assert engine.verify().code == 0
    assert engine.docker("run", "--rm", "-v", "lost:/v", "busybox", "cat", "/v/f").out == "somebody's"
    assert engine.docker("exec", "runs", "echo", "there").out == "there\n"
    assert engine.berth("system", "verify", "--repair").out == "record, kernel and disk agree\n"


def test_rehash(private_engine):
    engine = private_engine
    image = engine.docker("images", "-q", "--no-trunc", "busybox").out.strip()
    assert engine.berth("system", "verify", "--rehash").code == 0
    blob = engine.data / "blobs/sha256" / image.split(":")[1]
    text = blob.read_bytes()
    blob.write_bytes(text[:-1] + b"]")
    got = engine.berth("system", "verify", "--rehash")
    assert got.code == 1 and f"blob {image} has digest" in got.out
    assert engine.berth("system", "verify", "--rehash", "--repair").code == 0
    assert blob.read_bytes() == text
    engine.docker("run", "--rm", "busybox", "true", check=True)
