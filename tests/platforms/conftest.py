from __future__ import annotations

import pytest

from scripts.testing.platforms import FOREIGN, Realised, make_platforms


@pytest.fixture(scope="session")
def realised(tmp_path_factory: pytest.TempPathFactory) -> Realised:
    """All foreign platforms in one call."""
    world = make_platforms(tmp_path_factory.mktemp("platforms"))
    options = [word for target in FOREIGN for word in ("--platform", str(target))]
    documents = world.realise(*options)
    return world, {document["target"]: document for document in documents}
