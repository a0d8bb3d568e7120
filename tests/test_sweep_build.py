"""kill -9 of the engine at each of its calls through a build with several stages: nothing is left, and the next build uses what was whole."""
import json

import pytest

from archives import TAR, tar_of
from sweep import Story, sweep

pytestmark = pytest.mark.own

DOCKERFILE = """
FROM busybox AS one
RUN echo 1 > /one
COPY file /file
FROM busybox AS two
ENV A=b
RUN --mount=type=cache,target=/cache echo x > /cache/y && echo 2 > /two
RUN mkdir -p /deep/er && ln -s ../two /deep/link && echo 3 > /deep/er/three
FROM busybox
WORKDIR /w
COPY --from=one /one /file ./
COPY --from=two /deep ./deep
RUN cat one deep/er/three > both && rm one
LABEL built=yes
CMD ["cat", "/w/both"]
"""


class Builds(Story):
    steps = ("build", "build_cached", "change_and_build", "run_it", "remove_it", "build_cached")

    def make(self, tag, content, is_cached=False):
        self.doubt(tag)
        answer = self.call("POST", f"/build?t={tag}&rm=1", text=tar_of(Dockerfile=DOCKERFILE.encode(), file=content), content_type=TAR)
        messages = [json.loads(line) for line in answer.data.splitlines() if line.strip()]
        failed = [message["error"] for message in messages if "error" in message]
        assert not failed, failed
        said = "".join(message.get("stream", "") for message in messages)
        ran = said.count("Running in")
        assert not is_cached or ran == 0, f"{ran} steps were done again: {said}"
        self.acknowledged[tag] = True

    def build(self):
        self.make("built", b"content")
        self.make("built", b"content", is_cached=True)

    def build_cached(self):
        self.make("built", b"content", is_cached=not self.is_repeat)

    def change_and_build(self):
        self.make("changed", b"other content")

    def run_it(self):
        self.call("POST", "/containers/create?name=ran", {"Image": "built", "HostConfig": {"NetworkMode": "none"}}, again=(409,))
        self.call("POST", "/containers/ran/start", again=(304,))
        assert self.call("POST", "/containers/ran/wait").json["StatusCode"] == 0
        assert self.call("GET", "/containers/ran/logs?stdout=1").data.endswith(b"3\n")

    def remove_it(self):
        self.doubt("built", "changed")
        self.call("DELETE", "/containers/ran", again=(404,))
        self.call("DELETE", "/images/built", again=(404,))
        self.call("DELETE", "/images/changed", again=(404,))
        self.acknowledged.update(built=False, changed=False)

    def check(self):
        for tag, wanted in self.acknowledged.items():
            assert (self.api.call("GET", f"/images/{tag}/json").status == 200) == wanted, f"image {tag}: {wanted=}"
        listed = self.api.do("GET", "/containers/json?all=1")
        assert [row["Names"] for row in listed if row["Names"] != ["/ran"]] == [], "steps are no containers"

    def clean(self):
        self.is_repeat = True
        self.remove_it()
        self.call("POST", "/build/prune?all=1")
        self.call("POST", '/images/prune?filters={"dangling":["true"]}')


def test_kill_9_at_every_call(build, docker_client, preload):
    sweep(build, preload, Builds)
