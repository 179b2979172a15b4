"""Make the picture of a report in docs/report.md: `.venv/bin/python -m scripts.report_picture`.

It is a page about a real store: the README's example, realised, with another package added in a second generation.
It needs the package registry, and Chromium.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PICTURE = ROOT / "docs" / "pictures" / "report.png"
_WIDTH, _HEIGHT = 1280, 1500


def main() -> None:
    """Realise the example twice in a temporary store, write its report, and photograph it."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        raise SystemExit("needs Chromium")
    with tempfile.TemporaryDirectory(prefix="vstore-") as work:
        project, root, page = Path(work, "sklearn"), Path(work, "store"), Path(work, "report.html")
        shutil.copytree(ROOT / "examples" / "sklearn", project)
        vstore = [sys.executable, "-m", "vstore", "--root", str(root), "-q"]
        subprocess.run([*vstore, "realise", str(project)], check=True, cwd=ROOT)
        spec = project / "spec.toml"
        changed = spec.read_text("utf-8").replace('"scikit-learn', '"humanize", "scikit-learn', 1)
        spec.write_text(changed, "utf-8")
        subprocess.run([*vstore, "realise", str(project)], check=True, cwd=ROOT)
        subprocess.run([*vstore, "report", "-o", str(page)], check=True, cwd=ROOT)
        page.write_text(page.read_text("utf-8").replace(str(root), "/srv/vstore"), "utf-8")
        options = ["--headless", "--no-sandbox", "--hide-scrollbars", f"--window-size={_WIDTH},{_HEIGHT}"]
        subprocess.run([browser, *options, f"--screenshot={PICTURE}", page.as_uri()], check=True, capture_output=True)
    print(f"wrote {PICTURE.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
