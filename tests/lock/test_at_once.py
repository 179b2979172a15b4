"""Two processes that lock one spec at once write the same files: each goes on, and the result is whole."""

from __future__ import annotations

import threading
from pathlib import Path

from vstore.lock.paths import write_changed


def test_files_of_a_lock_are_written_by_several_at_once(tmp_path: Path) -> None:
    failures: list[BaseException] = []
    file = tmp_path / "requirements" / "layer" / "packages-layer.txt"

    def write(number: int) -> None:
        try:
            for turn in range(50):
                write_changed(file, f"# Package summary for {number} {turn}\n".encode())
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert file.read_text().startswith("# Package summary for ")
    assert list(file.parent.iterdir()) == [file]
