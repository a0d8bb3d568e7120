"""Many containers on one network: addresses, names, and what the last one costs.

BERTH_ENDPOINTS: how many (default 40; 1000 is the long form, 1024 and more try what a full bridge does, too), BERTH_PAIRS: how many pairs of them ask for each other (default 2 a container)."""
import os
import random
import statistics
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from engine import wait_until
from names_client import ask_many

pytestmark = pytest.mark.own
COUNT = int(os.environ.get("BERTH_ENDPOINTS", "40"))
BRIDGE_PORTS = 1023  # the default bridge has them all, too
MANY = min(COUNT, BRIDGE_PORTS)
PAIRS = int(os.environ.get("BERTH_PAIRS", str(2 * COUNT)))


def test_many_containers_on_one_network(private_engine):
    """Each joins while it runs. What joining costs is printed: the first ones beside the last ones."""
    engine = private_engine
    engine.docker("network", "create", "many", check=True)
    api = engine.sdk().api
    ids = [api.create_container("busybox", ["sleep", "100000"], name=f"c{i}", host_config=api.create_host_config(network_mode="bridge"))["Id"]
           for i in range(MANY)]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda id_: engine.sdk().api.start(id_), ids))
    costs = []
    for id_ in ids:
        start = time.monotonic()
        api.connect_container_to_network(id_, "many")
        costs.append((time.monotonic() - start) * 1000)
    part = max(5, MANY // 40)
    first, last = statistics.median(costs[:part]), statistics.median(costs[-part:])
    print(f"\n{MANY} containers: joining costs the first {part} {first:.2f} ms, the last {part} {last:.2f} ms: {last / first:.2f} times")

    listed = api.inspect_network("many")["Containers"]
    addresses = {entry["Name"]: entry["IPv4Address"].split("/")[0] for entry in listed.values()}
    assert len(addresses) == MANY and len(set(addresses.values())) == MANY
    pick = random.Random(1)
    names = sorted(addresses)
    pairs = [(pick.choice(names), pick.choice(names)) for _ in range(PAIRS)]
    askers = {}
    for asker, asked in pairs:
        askers.setdefault(asker, []).append(asked)
    pids = {asker: api.inspect_container(asker)["State"]["Pid"] for asker in askers}

    def wrong(asker):
        answers = ask_many(pids[asker], [(asked, "A", False, 0) for asked in askers[asker]])
        return [(asker, asked, str(answer)) for asked, answer in zip(askers[asker], answers)
                if isinstance(answer, str) or answer.values != [addresses[asked]]]
    with ThreadPoolExecutor(3) as pool:
        assert sum(pool.map(wrong, askers), []) == []
    assert engine.verify().code == 0
    # Who was there stays when others leave, and nothing of those is found any more.
    for id_ in ids[: MANY // 2]:
        api.disconnect_container_from_network(id_, "many")
    gone, kept = "c0", f"c{MANY - 1}"
    answers = ask_many(api.inspect_container(kept)["State"]["Pid"], [(gone, "A", False, 0), (kept, "A", False, 0)])
    assert not getattr(answers[0], "values", []) and answers[1].values == [addresses[kept]]
    for id_ in ids:
        api.remove_container(id_, force=True)
    wait_until(lambda: engine.verify().code == 0, what="nothing left")


def test_more_ports_than_a_bridge_has(private_engine):
    """The kernel gives a bridge 1024 ports; what comes then is refused in words, and nothing of it is left. (BERTH_ENDPOINTS=1024 and more)"""
    if COUNT < 1024:
        pytest.skip("not run: needs BERTH_ENDPOINTS=1024 or more")
    engine = private_engine
    engine.docker("network", "create", "full", check=True)
    api = engine.sdk().api
    refused = None
    for i in range(COUNT + 1):
        made = api.create_container("busybox", ["sleep", "100000"], name=f"f{i}", host_config=api.create_host_config(network_mode="full"))
        try:
            api.start(made["Id"])
        except Exception as problem:  # noqa: BLE001  the client's own kinds of errors
            refused = str(problem)
            break
    assert refused and "1023 containers" in refused, refused
    assert engine.verify().code == 0
    engine.docker("rm", "-f", *engine.docker("ps", "-aq").out.split(), check=True)
