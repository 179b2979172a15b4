"""A cache whose records and archives are files: in a folder, behind a web server, in a bucket, or in a bundle."""

from vstore.remote.file_cache.cache import FileCache

__all__ = ["FileCache"]
