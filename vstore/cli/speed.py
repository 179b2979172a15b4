"""The speed of work, and the time that is left."""

from __future__ import annotations

from collections import deque

_WINDOW_SECONDS = 8.0
_SAMPLE_SECONDS = 0.1  # between samples that are kept
_LEAST_SECONDS = 0.5  # before a speed is known
_LEAST_SECONDS_TO_FORESEE = 2.0  # before the time left is known, as work begins slowly


class Meter:
    """Measures the speed of one subject over the last seconds."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int]] = deque()
        self._begun = 0.0

    def add(self, now: float, done: int) -> None:
        """Note that `done` units of work are complete at a time of `time.monotonic`."""
        if self._samples and done < self._samples[-1][1]:  # the work began again
            self._samples.clear()
        if not self._samples:
            self._begun = now
        if len(self._samples) > 1 and now - self._samples[-2][0] < _SAMPLE_SECONDS:
            self._samples.pop()
        self._samples.append((now, done))
        while len(self._samples) > 2 and self._samples[1][0] < now - _WINDOW_SECONDS:
            self._samples.popleft()

    def per_second(self, now: float) -> float | None:
        """Return the units per second. Return None if too little is known."""
        if len(self._samples) < 2:
            return None
        (start, first), (_, last) = self._samples[0], self._samples[-1]
        return (last - first) / (now - start) if now - start >= _LEAST_SECONDS else None

    def seconds_left(self, now: float, total: int) -> float | None:
        """Return the time until `total` is reached, in seconds. Return None if it is not known."""
        speed = self.per_second(now)
        if not speed or not total or now - self._begun < _LEAST_SECONDS_TO_FORESEE:
            return None
        return max(total - self._samples[-1][1], 0) / speed


def span(seconds: float) -> str:
    """Return a time as text: ``8 s``, ``3 min 20 s``, ``2 h 5 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"
