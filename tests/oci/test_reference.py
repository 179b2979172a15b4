"""References to images."""

from __future__ import annotations

import pytest

from vstore.errors import UsageError
from vstore.oci import Reference, Sha256

DIGEST = Sha256.of(b"manifest")


@pytest.mark.parametrize(
    "text",
    [
        "ghcr.io/team/app:1.2",
        f"ghcr.io/team/app@{DIGEST}",
        f"ghcr.io/team/app:1.2@{DIGEST}",
        "localhost/app",
        "localhost:5000/app",
        "127.0.0.1:5000/a/b__c/d-e.f:v_1.0-x",
        "[::1]:5000/app",
        "Registry.Example.com/app",
    ],
)
def test_a_reference_prints_as_it_was_written(text: str) -> None:
    assert str(Reference.parse(text)) == text


def test_the_parts_of_a_reference() -> None:
    found = Reference.parse(f"host:5000/team/app:1.2@{DIGEST}")
    assert (found.host, found.repository, found.tag, found.digest) == ("host:5000", "team/app", "1.2", DIGEST)
    assert found.name == "host:5000/team/app"
    assert found.version == str(DIGEST)
    assert [Reference.parse(f"a.b/c{tag}").version for tag in (":1", "")] == ["1", "latest"]


def test_docker_hub_has_official_images_and_another_host_for_requests() -> None:
    found = Reference.parse("docker.io/python:3.12")
    assert str(found) == "docker.io/library/python:3.12"
    assert found.api_host == "registry-1.docker.io"
    assert Reference.parse("docker.io/team/app").repository == "team/app"
    assert Reference.parse("ghcr.io/app").api_host == "ghcr.io"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "python",
        "python:3.12",
        "team/app",
        "ghcr.io/",
        "ghcr.io/Team/app",
        "ghcr.io//app",
        "ghcr.io/app:",
        "ghcr.io/app:-x",
        f"ghcr.io/app:{'x' * 129}",
        f"ghcr.io/{'x' * 250}",
        "ghcr.io/app@sha256:12",
        "ghcr.io/app@sha512:" + "0" * 128,
        "https://ghcr.io/app",
        "ghcr.io/a\nb",
        "ghcr.io/app:1\n",
        "ghcr.io:99x/app",
        "-x.io/app",
    ],
)
def test_what_is_no_reference_is_one_line_with_a_hint(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        Reference.parse(text)
    assert caught.value.message.startswith("not an image reference")
    assert "\n" not in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("oci://ghcr.io/app:1", "leave out `oci://`"),
        ("localhost:5000", "name a repository of the registry, such as localhost:5000/team/app"),
        ("python:3.12", "begin with the host of the registry, such as docker.io/library/python:3.12"),
    ],
)
def test_the_hint_names_what_is_too_much_or_missing(text: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        Reference.parse(text)
    assert caught.value.hint == hint


def test_an_error_does_not_repeat_a_login() -> None:
    for text in ("user:hunter2@ghcr.io/app", f"user:hunter2@ghcr.io/app@{DIGEST}", "https://user:hunter2@ghcr.io/app"):
        with pytest.raises(UsageError) as caught:
            Reference.parse(text)
        assert "hunter2" not in str(caught.value)
