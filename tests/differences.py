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
    'POST /networks/create {"Name":"x","ConfigFrom":{"Network":"nope"}}':
        (501, 'ConfigOnly, ConfigFrom and Ingress are not supported by berth yet',
         "configuration networks are not supported yet"),
    'POST /networks/create {"Name":"x","ConfigOnly":true,"Internal":true}':
        (501, 'ConfigOnly, ConfigFrom and Ingress are not supported by berth yet',
         "configuration networks are not supported yet"),
    'POST /build?platform=foo':
        (501, 'building for platform foo is not supported: this machine is linux/amd64',
         "one architecture is built for: the machine's"),
}

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
    ("POST /build/cancel[?]id=x", "*", "a build ends when its client goes away"),
    ("GET /containers/c1/attach/ws*", "*", "an error has the headers and the form that all errors have"),
    ("POST /images/create junk*", "*", BAD_REQUEST),
    ("POST /build junk*", "*", BAD_REQUEST),
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
