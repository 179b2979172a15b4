"""Pushes killed within a multipart upload: what is listed is whole, and the next push completes it."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import boto3
import pytest

from scripts.testing.trees import add
from scripts.testing.world import World
from tests.remote.buckets import SERVERS, Bucket
from vstore.store import Store

pytestmark = pytest.mark.slow

BIG_BYTES = 96 << 20  # six parts


def uploads(client: Any) -> list[str]:
    """The keys of uploads that have begun and not ended."""
    return [one["Key"] for one in client.list_multipart_uploads(Bucket="bucket").get("Uploads", ())]


def client_of(bucket: Bucket) -> Any:
    given = bucket.environment
    return boto3.client(
        "s3",
        endpoint_url=given["AWS_ENDPOINT_URL"],
        aws_access_key_id=given["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=given["AWS_SECRET_ACCESS_KEY"],
        region_name=given["AWS_REGION"],
    )


def machine(place: Path) -> World:
    world = World(place, place / "root")
    world.root.mkdir(parents=True)
    return world


@pytest.mark.parametrize("server", ["moto", "seaweedfs"])
def test_a_push_killed_within_an_upload_is_completed_by_the_next(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    builder = machine(tmp_path / "builder")
    with Store.open(builder.root) as store:
        path = str(add(store, "big", {"data": os.urandom(BIG_BYTES)}))
    with SERVERS[server](tmp_path / server) as bucket:
        for name, value in bucket.environment.items():
            monkeypatch.setenv(name, value)
        cache, client = f"{bucket.url}/killed", client_of(bucket)
        for kills in (1, 2):
            push = builder.start("push", cache, path)
            while len(uploads(client)) < kills:
                assert push.poll() is None, push.communicate()
                time.sleep(0.002)
            push.kill()
            push.communicate()
            assert builder.json("cache", "ls", cache)["objects"] == []
            assert builder.json("cache", "verify", cache)["problems"] == []
        done = builder.json("push", cache, path)
        assert done["pushed"] == [path]
        assert builder.json("cache", "verify", "--contents", cache)["problems"] == []
        assert len(uploads(client)) == 2, "they take room until the bucket's own rule ends them"
        other = machine(tmp_path / "other")
        other.json("pull", cache, path)
        assert other.json("verify", "--contents")["problems"] == []
