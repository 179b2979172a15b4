"""The limit on descriptors is raised as far as it is allowed."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytest.importorskip("resource")
_RAISE = """
import resource
from vstore.fs.descriptors import raise_descriptor_limit
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 256))
for wanted in (32, 128, 1000):
    print(raise_descriptor_limit(wanted), *resource.getrlimit(resource.RLIMIT_NOFILE))
"""


def test_the_limit_is_raised_as_far_as_wanted_and_allowed() -> None:
    done = subprocess.run([sys.executable, "-c", _RAISE], check=True, stdout=subprocess.PIPE, text=True)
    assert done.stdout == "64 64 256\n128 128 256\n256 256 256\n"
