"""File locks on Windows, shared and exclusive, with `LockFileEx`."""

from __future__ import annotations

import sys

if sys.platform == "win32":
    import ctypes
    import msvcrt
    from ctypes import wintypes

    _EXCLUSIVE, _AT_ONCE = 2, 1
    _HELD = 33  # ERROR_LOCK_VIOLATION
    _kernel = ctypes.WinDLL("kernel32", use_last_error=True)

    class _Place(ctypes.Structure):
        """OVERLAPPED."""

        _fields_ = (
            ("Internal", ctypes.c_void_p),
            ("InternalHigh", ctypes.c_void_p),
            ("Offset", wintypes.DWORD),
            ("OffsetHigh", wintypes.DWORD),
            ("hEvent", wintypes.HANDLE),
        )

    def lock(handle: int, *, shared: bool, blocking: bool) -> bool:
        """Lock an open file until it is closed. Return False if another process holds it and `blocking` is False.

        Locks on Windows forbid reading, so the one locked byte lies far beyond any content.
        """
        flags = (0 if shared else _EXCLUSIVE) | (0 if blocking else _AT_ONCE)
        place = _Place(Offset=0, OffsetHigh=1 << 30)
        file = wintypes.HANDLE(msvcrt.get_osfhandle(handle))
        if _kernel.LockFileEx(file, flags, 0, 1, 0, ctypes.byref(place)):
            return True
        code = ctypes.get_last_error()
        if code == _HELD and not blocking:
            return False
        raise ctypes.WinError(code)
