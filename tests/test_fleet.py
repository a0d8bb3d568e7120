"""Many containers on one engine: all run, are listed, outlive a restart of the engine, and go without leaving anything.

BERTH_FLEET says how many. Times are printed, not judged; tests/bench compares them.
"""
import concurrent.futures
import os
import statistics
import time

import pytest

pytestmark = pytest.mark.own
FLEET = int(os.environ.get("BERTH_FLEET", "24"))
AT_ONCE = 8


def start_one(api, number):
    body = {"Image": "busybox", "Cmd": ["sleep", "100000"], "ExposedPorts": {"80/tcp": {}}, "HostConfig": {"PortBindings": {"80/tcp": [{"HostPort": "0"}]}}}
    api.do("POST", f"/containers/create?name=c{number}", body)
    began = time.perf_counter()
    api.do("POST", f"/containers/c{number}/start")
    return time.perf_counter() - began


@pytest.mark.parametrize("at_once", [1, AT_ONCE])
def test_started_listed_taken_over_and_removed(swept, at_once):
    api = swept.api
    with concurrent.futures.ThreadPoolExecutor(at_once) as pool:
        times = list(pool.map(lambda number: start_one(api, number), range(FLEET)))
    began = time.perf_counter()
    listed = api.do("GET", "/containers/json")
    listing = time.perf_counter() - began
    assert {row["Names"][0] for row in listed} == {f"/c{number}" for number in range(FLEET)}
    ports = [port["PublicPort"] for row in listed for port in row["Ports"] if port["IP"] == "0.0.0.0"]
    addresses = {row["NetworkSettings"]["Networks"]["bridge"]["IPAddress"] for row in listed}
    assert len(set(ports)) == len(ports) == FLEET == len(addresses), "each has a port and an address of its own"
    assert swept.differences() == []
    pids = {number: api.do("GET", f"/containers/c{number}/json")["State"]["Pid"] for number in range(FLEET)}
    swept.kill()
    began = time.perf_counter()
    swept.start()
    gap = time.perf_counter() - began
    assert {number: api.do("GET", f"/containers/c{number}/json")["State"]["Pid"] for number in range(FLEET)} == pids
    assert swept.differences() == []
    with concurrent.futures.ThreadPoolExecutor(at_once) as pool:
        list(pool.map(lambda number: api.do("DELETE", f"/containers/c{number}?force=1&v=1"), range(FLEET)))
    assert api.do("GET", "/containers/json?all=1") == []
    assert swept.differences() == []
    swept.check_empty()
    tenth = max(1, FLEET // 10)
    first, last = statistics.median(times[:tenth]), statistics.median(times[-tenth:])
    print(f"{FLEET} containers, {at_once} at a time: start {first * 1e3:.1f} ms at first, {last * 1e3:.1f} ms at last ({last / first:.2f} times); "
          f"list {listing * 1e3:.1f} ms; restart of the engine {gap * 1e3:.0f} ms")
