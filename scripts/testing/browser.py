"""A real browser without a window, for HTML files: pictures, messages of its console, and findings of axe-core."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

_PATIENCE_SECONDS = 180
_RUN_AXE = """
<script>
axe.run({resultTypes: ["violations"]}).then(found => {
  const texts = found.violations.map(one => one.id + ": " + one.nodes.map(node => node.html.slice(0, 200)).join(" | "));
  const place = document.createElement("pre");
  place.id = "axe";
  place.textContent = JSON.stringify(texts);
  document.body.append(place);
});
</script>
"""


def chromium() -> str:
    """Return the path of Chromium; skip the test without one."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("needs Chromium")
    return found


def axe_core() -> str:
    """Return the source of axe-core, the checker of accessibility; skip the test if npm has not installed it."""
    if shutil.which("npm") is None:
        pytest.skip("needs npm")
    folder = subprocess.check_output(["npm", "root", "--global"], text=True).strip()
    file = Path(folder, "axe-core/axe.min.js")
    if not file.exists():
        pytest.skip("needs axe-core: npm install --global axe-core")
    return file.read_text("utf-8")


def take_picture(page: Path, picture: Path, *, width: int, height: int) -> list[str]:
    """Write a PNG of a page, and return the messages that the browser's console got."""
    _, messages = _run(page, f"--window-size={width},{height}", f"--screenshot={picture}", "--hide-scrollbars")
    return messages


def accessibility_findings(page: Path, copy: Path, *, dark: bool = False) -> list[str]:
    """Return what axe-core finds wrong on a page: a rule with the elements that break it. `copy` is written."""
    html = page.read_text("utf-8")
    html = re.sub(r"<meta http-equiv=\"Content-Security-Policy\"[^>]*>", "", html)  # it forbids our script
    copy.write_text(html.replace("</body>", f"<script>{axe_core()}</script>{_RUN_AXE}</body>"), "utf-8")
    colours = ["--blink-settings=preferredColorScheme=0"] if dark else []
    document, _ = _run(copy, "--dump-dom", "--virtual-time-budget=60000", *colours)
    found = re.search(r"<pre id=\"axe\">(.*?)</pre>", document, re.DOTALL)
    assert found, document[-2000:]
    texts: list[str] = json.loads(found[1].replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))
    return texts


def _run(page: Path, *options: str) -> tuple[str, list[str]]:
    with tempfile.TemporaryDirectory() as profile:
        command = [chromium(), "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--v=0"]
        done = subprocess.run(
            [*command, f"--user-data-dir={profile}", *options, page.as_uri()],
            capture_output=True,
            text=True,
            timeout=_PATIENCE_SECONDS,
            check=True,
        )
    return done.stdout, re.findall(r"CONSOLE[^\n]*", done.stderr)
