"""Configs of images."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vstore.oci import ContainerDefaults, HistoryEntry, ImageConfig, ImagePlatform, Sha256

LAYER = Sha256.of(b"tar")
CONFIG = ImageConfig(
    platform=ImagePlatform(os="linux", architecture="arm64", variant="v8"),
    created="1980-01-02T00:00:00Z",
    diff_ids=(LAYER,),
    history=(HistoryEntry(created_by="vstore …", created="1980-01-02T00:00:00Z"), HistoryEntry(empty_layer=True)),
    defaults=ContainerDefaults(
        entrypoint=("/python", "-P"),
        command=("x",),
        environment={"PATH": "/bin", "EMPTY": "", "EQUALS": "a=b"},
        user="1:2",
        working_directory="/work",
        labels={"a": "b"},
        exposed_ports=("80/tcp",),
        volumes=("/data",),
        stop_signal="SIGINT",
    ),
)


def test_a_config_is_read_back() -> None:
    assert ImageConfig.decode(CONFIG.encode()) == CONFIG
    document = json.loads(CONFIG.encode())
    assert document["config"]["Env"] == ["PATH=/bin", "EMPTY=", "EQUALS=a=b"]
    assert document["config"]["ExposedPorts"] == {"80/tcp": {}}
    assert document["rootfs"] == {"type": "layers", "diff_ids": [str(LAYER)]}


def test_what_is_not_set_is_left_out() -> None:
    bare = ImageConfig(platform=ImagePlatform(os="linux", architecture="amd64"), diff_ids=())
    assert json.loads(bare.encode()) == {
        "architecture": "amd64",
        "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": []},
    }
    assert ImageConfig.decode(bare.encode()) == bare


def test_configs_of_docker_are_read() -> None:
    """They have null for what is empty, and fields that OCI does not know."""
    document = {
        "architecture": "amd64",
        "os": "linux",
        "docker_version": "20.10",
        "config": {"Hostname": "", "Env": ["PATH=/bin"], "Cmd": None, "Labels": None, "Volumes": None, "OnBuild": None},
        "container_config": {"Env": None},
        "history": None,
        "rootfs": {"type": "layers", "diff_ids": [str(LAYER)]},
    }
    found = ImageConfig.decode(json.dumps(document).encode())
    assert found.defaults == ContainerDefaults(environment={"PATH": "/bin"})
    assert found.history == () and found.diff_ids == (LAYER,)


def _changed(**changes: Any) -> bytes:
    return json.dumps(json.loads(CONFIG.encode()) | changes).encode()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        _changed(os=1),
        _changed(rootfs={}),
        _changed(rootfs={"type": "tree", "diff_ids": []}),
        _changed(rootfs={"type": "layers", "diff_ids": ["sha256:0"]}),
        _changed(rootfs={"type": "layers", "diff_ids": "x"}),
        _changed(config=[]),
        _changed(config={"Env": "PATH=/bin"}),
        _changed(config={"Labels": {"a": 1}}),
        _changed(config={"User": 1}),
        _changed(history={"a": 1}),
        b" " * (4 << 20) + CONFIG.encode(),
    ],
)
def test_malformed_configs_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        ImageConfig.decode(data)


@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_but_a_value_error(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        ImageConfig.decode(data)
