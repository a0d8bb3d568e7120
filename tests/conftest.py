"""What the end-to-end tests share: one private engine for the session, a small image in it, and a look for leftovers at the end."""
import fnmatch
import pathlib
import signal

import pytest

import differences
import engine as engines
import registry as registries
import sweep


CURRENT_CLIENT = 28


def pytest_addoption(parser):
    parser.addoption("--engine", default="berth", help="berth: a private one is started; else where another engine listens")
    parser.addoption("--build", default=str(pathlib.Path(__file__).parent.parent / "build"), help="build folder with the programs")


def pytest_configure(config):
    # A shell starts what it puts in the background with ^C ignored, and so would be every program that is interrupted here.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    config.addinivalue_line("markers", "own: about something only berth has; not run against other engines")
    config.addinivalue_line("markers", "debian: needs Debian's package mirror")
    config.addinivalue_line("markers", f"current_client: about words or flags that only docker clients from version {CURRENT_CLIENT} on have")


def skip_for_old_client(items):
    """Debian's own docker client is some years old: tests about newer words and flags of the client are reported as not run."""
    major = engines.docker_major()
    if major is None or major >= CURRENT_CLIENT:
        return
    for item in items:
        drives_ours = getattr(item, "callspec", None) and item.callspec.params.get("client") == "berth"
        if item.get_closest_marker("current_client") and not drives_ours:
            item.add_marker(pytest.mark.skip(reason=f"not run: needs a docker client of version {CURRENT_CLIENT}, this one is {major}"))


def is_different(item):
    name = f"{item.path.name}::{getattr(item, 'originalname', item.name)}"
    return any(fnmatch.fnmatch(name, pattern) for pattern, _ in differences.TESTS)


def pytest_collection_modifyitems(config, items):
    skip_for_old_client(items)
    if config.getoption("--engine") == "berth":
        return
    kept = [item for item in items if not item.get_closest_marker("own") and not is_different(item)]
    config.hook.pytest_deselected(items=[item for item in items if item not in kept])
    items[:] = kept


def pytest_report_header(config):
    docker = engines.docker_program()
    return f"engine under test: {config.getoption('--engine')}; docker client: {docker or 'none found'}"


first_failures = []


def pytest_runtest_logreport(report):
    if report.outcome == "rerun":
        first_failures.append((report.nodeid, report.longreprtext))


def pytest_terminal_summary(terminalreporter):
    """A test that passes when it is run again is not well: its first failure is shown in full."""
    for name, text in first_failures:
        terminalreporter.section(f"failed the first time: {name}")
        terminalreporter.write_line(text)


@pytest.fixture(scope="session")
def build(request):
    return pathlib.Path(request.config.getoption("--build"))


@pytest.fixture(scope="session")
def docker_client():
    """The real docker command; without it the tests that need it fail rather than vanish."""
    program = engines.docker_program()
    assert program, "no docker client: run tools/install-deps --test, or name one in $DOCKER"
    return program


@pytest.fixture(scope="session")
def engine(request, build, docker_client):
    wanted = request.config.getoption("--engine")
    made = engines.Engine(build, host=None if wanted == "berth" else wanted)
    made.start()
    context = engines.make_busybox_context(made.directory / "busybox-context")
    built = made.docker("build", "-q", "-t", "busybox", context)
    assert built.code == 0, built
    yield made
    if not made.is_ours:
        return
    try:
        ids = made.docker("ps", "-aq", "--no-trunc").out.split()
        if ids:
            made.docker("rm", "-f", "-v", *ids)
        left = made.verify()
        assert left.code == 0, f"after all tests something is left: {left}"
    finally:
        made.remove()


@pytest.fixture
def private_engine(build, docker_client, request):
    """An engine of the test's own, for tests that kill it."""
    made = engines.Engine(build)
    made.start()
    context = engines.make_busybox_context(made.directory / "busybox-context")
    assert made.docker("build", "-q", "-t", "busybox", context).code == 0
    yield made
    made.remove()


@pytest.fixture(scope="module")
def registry(build):
    """A berth-registry for the tests of a module."""
    made = registries.Registry(build).start()
    yield made
    made.remove()


@pytest.fixture(scope="session")
def preload(tmp_path_factory):
    """The library that ends a program at one of its calls (sweep.py)."""
    return sweep.build_preload(tmp_path_factory.mktemp("crash"))


@pytest.fixture(scope="module")
def swept(build, docker_client, preload):
    """An engine that a test can have killed at a chosen call."""
    made = sweep.SweptEngine(build, preload).prepare()
    yield made
    made.remove()


@pytest.fixture
def name(request):
    """A container name of this test; whatever has it is removed afterwards."""
    text = "t-" + "".join(c if c.isalnum() else "-" for c in request.node.name)[:50].strip("-")
    yield text
    for fixture in ("engine", "private_engine", "foreign"):
        if fixture in request.fixturenames:
            made = request.getfixturevalue(fixture)
            if not made.is_ours or made.process:
                made.docker("rm", "-f", "-v", text)


@pytest.fixture
def free_port():
    return engines.free_port()
