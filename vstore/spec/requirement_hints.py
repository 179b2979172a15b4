"""Hints for requirements that are written as for pip: options, paths, repositories, and frequent syntax mistakes."""

from __future__ import annotations

import re
import shlex
from typing import NamedTuple
from urllib.parse import unquote, urlparse

from vstore.credentials import redact

_ARCHIVES = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".zip", ".whl")
_PLACE = (
    r"(?:\.{1,2}(?:$|\[|[ ;#])|\.{0,2}[/\\]|~[/\\]|\$|file:|[A-Za-z]:[/\\]|git@[\w.-]+:"
    r"|(?:git|hg|svn|bzr)\+|[a-z]+://)"
)
_FOLDER = r"[\w.-]+[/\\][\w./\\-]*(?:\[[\w., -]*\])?\s*(?:[;#].*)?$"
_HOSTS = r"(?:www\.)?(?:github\.com|gitlab\.com|bitbucket\.org|codeberg\.org)/"
_VERSION = r"[0-9][0-9A-Za-z.*+!-]*"
_CHECKOUT = {"git": "git clone", "hg": "hg clone", "svn": "svn checkout", "bzr": "bzr branch"}
_UV_SETTINGS = {  # options of pip, and the field of [tool.uv] to use instead
    ("-c", "--constraint"): "write its lines as `constraint-dependencies = [...]` in [tool.uv]",
    ("-i", "--index-url", "--default-index"): 'write `index = [{{ url = "{value}", default = true }}]` in [tool.uv]',
    ("--extra-index-url", "--index"): 'write `index = [{{ url = "{value}" }}]` in [tool.uv]',
    ("-f", "--find-links"): 'write `find-links = ["{value}"]` in [tool.uv]',
    ("--pre",): 'write `prerelease = "allow"` in [tool.uv]',
    ("--trusted-host",): 'write `allow-insecure-host = ["{value}"]` in [tool.uv]',
    ("--no-binary", "--only-binary", "--prefer-binary"): "leave it out, as only wheels are used",
    ("--require-hashes", "--hash"): "leave it out, as a lock has the hash of each wheel",
}


class Misuse(NamedTuple):
    """A text that is not a requirement: the problem in one line, and a hint."""

    problem: str
    hint: str


class _Source(NamedTuple):
    """A path or URL with its extras, its marker, and the values of its fragment (``egg``, ``subdirectory``)."""

    place: str
    extras: str
    marker: str
    fragment: dict[str, str]

    @property
    def name(self) -> str:
        """The requirement by name; ``NAME`` if the text does not contain the name."""
        file = re.search(r"([A-Za-z0-9][\w.-]*?)-\d[^/\\]*$", self.place)
        known = self.fragment.get("egg") or (file[1] if file else "NAME")
        return known + ("" if "[" in known else self.extras) + (f" ; {self.marker}" if self.marker else "")


def find_misuse(text: str, spec: str) -> Misuse | None:
    """Recognise a text that is meant as something else than a requirement. Return None if there is no sign of that.

    `spec` is the name of the file, for commands in hints.
    """
    if not text:
        return Misuse("an empty requirement", "remove it, or write the name of a package")
    if text.startswith("#"):
        return Misuse(f"a comment, not a requirement: {text}", "write it outside of the quotes: TOML knows `#`")
    if text.startswith("-"):
        return _option(text, spec)
    if found := re.match(r"(?P<rest>[\w.-]+[^@;#/\\]*?)\s+(?P<option>--?[A-Za-z].*)$", text):
        wrong = _option(found["option"], spec)
        return Misuse(f"an option behind a requirement: {text}", f"write `{found['rest']}`, and {wrong.hint}")
    if re.match(r"[^ @;]+\.txt$", text):
        return _file_of_requirements(text, text, spec)
    if re.match(_PLACE, text) or re.match(_FOLDER, text) or _is_archive(text):
        return _place(text, spec)
    if found := re.match(rf"(?P<name>[\w.-]+(?:\[.*?\])?)\s*@\s*(?P<version>{_VERSION}|latest)$", text):
        return _respelled(text, found["name"], found["version"], spec)
    if re.match(r"python\s*(?:$|[<>=!~])", text, re.IGNORECASE):
        way = 'set `python_implementation = "cpython@X.Y"` of the runtime'
        return Misuse(f"Python is not a package: {text}", way)
    return None


def syntax_hint(text: str) -> str:
    """Return a hint for a text that does not have the syntax of a requirement."""
    if " #" in text:
        return "write the comment outside of the quotes: TOML knows `#`"
    if text.endswith("\\"):
        return "leave out `\\`, and hashes: a lock has the hash of each wheel"
    if found := re.match(rf"(?P<name>[\w.-]+)\s*(?:=|\s)\s*[\"']?(?P<version>{_VERSION})[\"']?$", text):
        return f"write `{found['name']}=={found['version']}`"
    if found := re.match(rf"(?P<name>[\w.-]+)\s*(?:=>|≥|=<|≤)\s*(?P<version>{_VERSION})$", text):
        sign = "<=" if re.search("=<|≤", text) else ">="
        return f"write `{found['name']}{sign}{found['version']}`"
    if found := re.match(rf"(?P<name>[\w.-]+)[\s=]*[\"']?\^(?P<version>{_VERSION})[\"']?$", text):
        return f"write `{found['name']}>={found['version']},<{_next(found['version'])}`"
    words = re.sub(r"^(?:(?:uv )?(?:pip3? )?(?:install|add)|import)\s+", "", text)
    if words != text or re.fullmatch(r"[\w.-]+(?:[\s,]+[\w.-]+)+", text):
        several = ", ".join(f'"{word}"' for word in re.split(r"[\s,]+", words) if word)
        return f"write `requirements = [{several}]`"
    if corrected := _corrected(text):
        return f"write `{corrected}`"
    return "a requirement is NAME, NAME==1.0 or NAME[EXTRA]>=1,<2, with ` ; MARKER` behind it if need be"


def _corrected(text: str) -> str | None:
    """Return the text with marker values quoted and a second number after `~=`; None if that is no requirement."""
    from packaging.requirements import InvalidRequirement, Requirement

    wanted, _, marker = text.partition(";")
    wanted = re.sub(r"~=\s*(\d+)(?=\s*(?:,|$))", r"~=\1.0", wanted).strip()
    marker = re.sub(r"([=!<>~]=?)\s*([\w.]+)(?=\s|\)|$)", r"\1 '\2'", marker).strip()
    marker = marker.replace("&&", "and").replace("||", "or")
    corrected = f"{wanted} ; {marker}" if marker else wanted
    try:
        Requirement(corrected)
    except InvalidRequirement:
        return None
    return corrected


def wheel_hint(source: str, spec: str, name: str = "") -> str:
    """Return the commands that build a wheel from a folder, an archive or a repository, and lock a spec with it.

    `name` is the requirement without the path or URL, if there is one.
    """
    found = _source(redact(source))
    step = _checkout(found) or _download(found) or f"run `uv build --wheel -o wheels {_quoted(_path(found.place))}`"
    lock = f"vstore lock --local-wheels wheels {_quoted(spec)}"
    return f"{step}, require it by its name (`{name or found.name}`), and run `{lock}`"


def _option(text: str, spec: str) -> Misuse:
    match = re.match(r"(?P<option>--[\w-]+|-\w)[\s=]*(?P<value>.*)", text, re.DOTALL)
    option, value = (match["option"], match["value"].strip()) if match else (text, "")
    if option in ("-e", "--editable"):
        return Misuse(
            f"editable requirements are not supported, as layers are read-only: {text}", wheel_hint(value, spec)
        )
    if option in ("-r", "--requirement", "--requirements"):
        return _file_of_requirements(text, value, spec)
    if option in ("--no-index", "-U", "--upgrade"):
        wanted = "--no-index" if option == "--no-index" else "--upgrade"
        return Misuse(f"an option, not a requirement: {text}", f"run `vstore lock {wanted} {_quoted(spec)}`")
    for options, way in _UV_SETTINGS.items():
        if option in options:
            return Misuse(
                f"an option, not a requirement: {text}",
                f"{way.format(value=value)}, and run `vstore lock {_quoted(spec)}`",
            )
    return Misuse(f"an option, not a requirement: {text}", "settings for resolving go into [tool.uv]")


def _file_of_requirements(text: str, file: str, spec: str) -> Misuse:
    way = f"write the lines of {file} as `requirements`, each in quotes, and run `vstore lock {_quoted(spec)}`"
    return Misuse(f"a file, not a requirement: {text}", f"{way}; settings in it go into [tool.uv]")


def _respelled(text: str, name: str, version: str, spec: str) -> Misuse:
    problem = f"@ is for a URL: {text}"
    if version == "latest":
        return Misuse(problem, f"write `{name}`, and run `vstore lock --upgrade-package {name} {_quoted(spec)}`")
    return Misuse(problem, f"write `{name}=={version}`")


def _is_archive(text: str) -> bool:
    """Return whether the text is the name of an archive, which may also be the name of a package."""
    return re.match(r"[^\s;@]+\s*(?:[;#]|$)", text) is not None and _source(text).place.lower().endswith(_ARCHIVES)


def _place(text: str, spec: str) -> Misuse:
    found = _source(text)
    if found.place.endswith(".whl"):
        name = unquote(re.split(r"[/\\]", found.place)[-1]).partition("-")[0]
        required = f"{name}{found.extras}" + (f" ; {found.marker}" if found.marker else "")
        return Misuse(f"a wheel without its name: {text}", wheel_by_name(found.place, required, spec))
    return Misuse(f"source code, and only wheels are used: {text}", wheel_hint(text, spec))


def wheel_by_name(place: str, required: str, spec: str) -> str:
    """Return how to require the wheel at `place`, a URL or a path."""
    if urlparse(place).scheme in ("http", "https"):
        return f"write `{required.partition(' ;')[0]} @ {place}`, which is NAME @ URL"
    path = _path(place)
    folder = re.split(r"[/\\][^/\\]*$", path)[0] or "/" if re.search(r"[/\\]", path) else "."
    way = (
        f"require it by its name (`{required}`), and run `vstore lock --local-wheels {_quoted(folder)} {_quoted(spec)}`"
    )
    return f"{way}; NAME @ URL is for a wheel on a server"


def _source(text: str) -> _Source:
    text, _, marker = re.sub(r"\s#.*", "", text).partition(";")
    place, _, fragment = text.strip().partition("#")
    match = re.fullmatch(r"(?P<place>.*[^\s\[])\s*(?P<extras>\[[\w., -]*\])", place)
    known = dict(pair.split("=", 1) for pair in fragment.split("&") if "=" in pair)
    place, extras = (match["place"], match["extras"]) if match else (place, "")
    return _Source(place.strip(), extras, marker.strip(), known)


def _checkout(source: _Source) -> str:
    """Return the commands for a repository, ``""`` for anything else."""
    place = source.place
    system, plus, url = place.partition("+")
    page = urlparse(place).scheme in ("http", "https") and not urlparse(place).path.lower().endswith(_ARCHIVES)
    if page or re.match(r"git@|(?:git|ssh)://", place):
        system, url = "git", place
    elif re.match(_HOSTS, place):
        system, url = "git", f"https://{place}"
    elif not plus or system not in _CHECKOUT:
        return ""
    head, at, revision = url.rpartition("@")
    if not at or "/" in revision or ":" in revision or not re.search(r"[\w]/", head):
        head, revision = url, ""
    folder = head.rstrip("/").removesuffix(".git").rpartition("/")[2].rpartition(":")[2] or "source"
    steps = [f"{_CHECKOUT[system]} {_quoted(head)} {_quoted(folder)}"]
    if revision and system == "git":
        steps.append(f"git -C {_quoted(folder)} checkout {_quoted(revision)}")
    below = source.fragment.get("subdirectory")
    steps.append(f"uv build --wheel -o wheels {_quoted(f'{folder}/{below}' if below else folder)}")
    return f"check {url} out and build it: `{' && '.join(steps)}`"


def _download(source: _Source) -> str:
    if urlparse(source.place).scheme not in ("http", "https", "ftp"):
        return ""
    file = unquote(urlparse(source.place).path.rpartition("/")[2])
    build = f"curl -fL -o {_quoted(file)} {_quoted(source.place)} && uv build --wheel -o wheels {_quoted(file)}"
    return f"download {source.place} and build it: `{build}`"


def _path(place: str) -> str:
    """Return the path in a ``file:`` URL; another path as it is."""
    if not place.startswith("file:"):
        return place
    return unquote(re.sub(r"^file:(?://(?:localhost)?(?=/|$)|//)?", "", place))


def _quoted(word: str) -> str:
    """Quote a word for a shell, which still expands a leading ``~`` and a variable."""
    if word.startswith("$"):
        return word
    return f"~/{shlex.quote(word[2:])}" if word.startswith("~/") and word != "~/" else shlex.quote(word)


def _next(version: str) -> str:
    """Return the upper limit of ``^version``: one more in the first number that is not 0."""
    numbers = version.split(".")
    for number, part in enumerate(numbers):
        if part != "0" and part.isdigit():
            return ".".join([*numbers[:number], str(int(part) + 1)])
    return "1"
