"""Resources as text."""

from __future__ import annotations

import pytest

from vstore.cluster.resources import RELEASE_RESOURCE, parse_resources
from vstore.errors import UsageError
from vstore.target import Target

OTHER = str(Target.LINUX_AARCH64 if Target.host() == Target.LINUX_X86_64 else Target.LINUX_X86_64)


def test_resources_are_names_and_numbers() -> None:
    assert parse_resources("") == {}
    assert parse_resources("memory=16, gpu=0.5") == {"memory": 16.0, "gpu": 0.5}


@pytest.mark.parametrize(
    "text",
    [
        *("memory", "memory=much", "=1", "memory=-1", "memory=nan", "memory=inf", "memory=1e999", "my memory=1"),
        *(" =1", "memory = 1", "memory=", f"{RELEASE_RESOURCE}=1", "vstore-0-0=1", "key:k=1", f"{OTHER}=1"),
    ],
)
def test_a_malformed_resource_and_one_that_workers_have_anyway_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"not a resource|offer this resource themselves") as caught:
        parse_resources(text)
    assert caught.value.hint
