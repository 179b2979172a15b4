"""Build layers and interpreters: from a lock to a tree, without running any package's code."""

BUILDER = 9  # to be raised whenever the same recipe would give other bytes
