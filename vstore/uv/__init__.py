"""uv: running its executable, and its settings for access to indexes."""

from vstore.uv.access import open_url
from vstore.uv.process import Uv, UvError

__all__ = ["Uv", "UvError", "open_url"]
