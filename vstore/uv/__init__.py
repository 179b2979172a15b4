"""uv: the only door to its executable, and the settings that say how it reaches places."""

from vstore.uv.access import open_url
from vstore.uv.bars import OnBytes
from vstore.uv.process import Uv, UvFailed

__all__ = ["OnBytes", "Uv", "UvFailed", "open_url"]
