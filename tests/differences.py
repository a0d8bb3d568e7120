"""Every difference between our answers and Docker's that is meant, with its reason. Tests fail on differences that are not here,
and on those that are here and gone."""

RUNTIME = "the runtime is our own: its name is berth, and neither runc nor containerd is behind it"
BUILDER = "images have no record of the container they were built in; Docker dropped these fields with API 1.45"

# What the Server header begins with. Docker says "Docker/28.5.2 (linux)"; ours names the program that answers.
SERVER = "berth/"

# (name of the answer or event in tests/shapes/, with * and ?; the difference; why)
SHAPES = [
    ("info", "answer: lacks Containerd", RUNTIME),
    ("info", "Runtimes: lacks io.containerd.runc.v2", RUNTIME),
    ("info", "Runtimes: lacks runc", RUNTIME),
    ("info", "Runtimes: has berth", RUNTIME),
    ("version", 'Components: lacks an element {"Name": "string", "Version": "string", "Details": {"GitCommit": "string"}}', RUNTIME),
    ("image inspect, 1.43", "answer: lacks Container", BUILDER),
    ("system df", "answer: has DataRoot", "what the directories of the data root hold, which together is what du says of it"),
    ("image inspect, 1.43", "ContainerConfig: lacks ExposedPorts", BUILDER),
    ("image inspect, 1.43", "ContainerConfig: lacks Healthcheck", BUILDER),
    ("image inspect, 1.43", 'ContainerConfig.Env: null instead of ["string"]', BUILDER),
    ("image inspect, 1.43", 'ContainerConfig.Cmd: null instead of ["string"]', BUILDER),
    ("image inspect, 1.43", 'ContainerConfig.Volumes: null instead of {"/v": {}}', BUILDER),
    ("image inspect, 1.43", 'ContainerConfig.Entrypoint: null instead of ["string"]', BUILDER),
    ("image inspect, 1.43", 'ContainerConfig.Labels: null instead of {"a": "string", "z": "string"}', BUILDER),
]

# name of the case in tests/shapes/errors.json: (our status, our message, why)
ERRORS = {
    'POST /images/create?fromSrc=-&repo=x notatar':
        (400, 'unpack layer: unexpected EOF',
         "a broken archive is the client's fault; the text says what was done with it"),
    'PUT /containers/c1/archive?path=/tmp garbage [c1 running]':
        (400, 'unexpected EOF',
         "a broken archive is the client's fault"),
    'POST /images/create':
        (400, 'neither fromImage nor fromSrc is given',
         "a text that says what is missing"),
    'POST /containers/create {"Sysctls":{"net.ipv4.conf.eth0.x":"1"}}':
        (201, None,
         "a setting of one interface is written like any other of the network namespace"),
    'POST /containers/create {"StorageOpt":{"size":"1G"}}':
        (201, None,
         "a size is kept on every file system: by project quotas, or by a file that is mounted"),
    'POST /containers/f5/start {"NetworkMode":"container:nope"}':
        (400, 'No such container: nope',
         "a container to join is looked for when it is named, at creation"),
    'POST /containers/f10/start {"SecurityOpt":["seccomp={\\"a\\""]}':
        (500, 'Decoding seccomp profile failed: unexpected EOF',
         "the words of our JSON reader"),
    'POST /networks/create {"Name":"x","Options":{"com.docker.network.bridge.name":"waytoolongbridgename"}}':
        (400, 'invalid bridge name: waytoolongbridgename',
         "the name is checked before the kernel is asked"),
}

CLASSIC = "Docker's classic builder knows only the oldest part of the language, builds one step after the other, and gives each image a time"
KINDER = "the mistake is the client's, and told as such"

# Tests (file::name, with * and ?) that are not run against other engines, and why: what they ask for is berth's own way.
TESTS = [
    ("test_build.py::test_*", CLASSIC),
    ("test_build_secrets.py::test_*", CLASSIC),
    ("test_archive.py::test_archives_in", "Docker calls the program xz, which its host may lack"),
    ("test_archive.py::test_kinds_stay_or_give_way", KINDER),
    ("test_archive.py::test_refusals", "Docker accepts what is copied to where the kernel's file systems are and nobody will see it"),
    ("test_archive.py::test_volumes_and_binds", "Docker does not see the tmpfs mounts of a container that runs"),
    ("test_archive.py::test_a_start_in_the_middle_of_a_copy", "Docker holds a start until the copy is done"),
    ("test_archive.py::test_changes", "the same changes in another order: Docker's is that of a hash"),
    ("test_archive.py::test_commit_holds_a_running_container", "Docker says commit while the container is still held"),
    ("test_attach.py::test_websocket_*", "Docker does not answer pings and large messages, and ends the connection under the client"),
    ("test_exec.py::test_leaving_by_keys_leaves_the_process", "Docker ends the process with its client, or tells no exec_detach"),
    ("test_health.py::test_timeout_kills_the_probe_and_its_children", "children of a probe are still there long after its timeout"),
    ("test_logs.py::test_until_ends_a_follower", "Docker goes on to follow after the time that was asked for"),
    ("test_mounts.py::test_nothing_is_left_of_what_was_refused", "Docker leaves the volumes of a creation that it refuses"),
    ("test_mounts.py::test_contradictions_of_binds", "Docker leaves these to its client"),
    ("test_mounts.py::test_subpath", "Docker refuses a link that leads out, here it leads nowhere"),
    ("test_mounts.py::test_image_mount", "Docker calls them experimental, in a warning"),
    ("test_mounts.py::test_image_mount_keeps_the_layers", "Docker refuses to remove a name of an image that is mounted"),
    ("test_options.py::test_other_security_options", "Docker takes a profile of AppArmor where there is none, and label options without SELinux"),
]

# (method and path with * and ?, why): answered with 501 so far
NOT_SERVED = [
]

NO_SWARM = "this engine is no part of a swarm and says so before it looks at anything else"
NO_PLUGINS = "plugins of Docker's kind are not there yet"
BAD_REQUEST = "what is wrong is the request, and the text says so"

# Routes (tests/shapes/routes.json): (name of the case with * and ?, the difference with * and ?, why)
ROUTES = [
    ("GET /version", "Components: lacks an element *", RUNTIME),
    ("GET /info", "answer: lacks Containerd", RUNTIME),
    ("GET /info", "Runtimes: *", RUNTIME),
    ("GET /system/df*", "answer: has DataRoot", "ours: what is left on the disk below the data root"),
    ("POST /auth junk*", "status: 400 instead of 500", BAD_REQUEST),
    ("POST /auth junk*", "message: *", BAD_REQUEST),
    ("GET /containers/c1/attach/ws*", "*", "an error has the headers and the form that all errors have"),
    ("POST /images/create junk*", "*", BAD_REQUEST),
    ("POST /build junk*", "*", BAD_REQUEST),
    ("POST /build/cancel[?]id=x", "Content-Type: None instead of application/json", "an answer of no bytes has no type"),
    ("POST /networks/nope/connect*", "*", "a network that is not there is told at once, not when the container starts"),
    ("POST /networks/nope/disconnect*", "message: *", "the network is looked for first"),
    ("POST /networks/rnet/disconnect*", "message: *", "one text for containers that run and those that do not"),
    ("GET /plugins/privileges", "*", NO_PLUGINS),
    ("POST /plugins/*", "*", NO_PLUGINS),
    ("* /swarm/*", "*", NO_SWARM),
    *[(f"POST /{kind}/x/update*", "*", NO_SWARM) for kind in ("nodes", "services", "secrets", "configs")],
    ("GET */x/logs", "*", NO_SWARM),
]

# Answers to older versions: the same
VERSIONS = [
    ("GET /info", "*order of keys", "the order of keys says nothing"),
    ("GET /info", "*: lacks: answer: lacks Containerd", RUNTIME),
    ("GET /info", "*: lacks: Runtimes.*", RUNTIME),
    ("GET /info", "*: lacks: RuncCommit: has Expected", RUNTIME),
]
