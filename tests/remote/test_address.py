from __future__ import annotations

from pathlib import Path

import pytest

from vstore.errors import UsageError
from vstore.remote import open_cache


@pytest.mark.parametrize("text", ["127.0.0.1:5917/team/cache", "localhost:5000/x", "localhost/x", "ghcr.io/team/cache"])
def test_a_registry_without_its_scheme_is_no_folder(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError) as caught:
        open_cache(text)
    assert caught.value.hint == f"write oci://{text} for a registry, ./{text} for a folder"
    for url in (f"oci://{text}", (tmp_path / text).as_uri()):
        assert open_cache(url).url == url
    (tmp_path / text).mkdir(parents=True)
    assert open_cache(text).url == open_cache(f"./{text}").url == (tmp_path / text).as_uri()


@pytest.mark.parametrize("text", ["./a.b/c", "../c", ".hidden/c", "a/b.c", "caches/c"])
def test_other_relative_paths_are_folders(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert open_cache(text).url.startswith("file://")
