"""Logins in URLs: found, to refuse them where they would be recorded, and hidden wherever text is shown.

Every error, message, log line and traceback passes `redact`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

HIDDEN = "***"
_END = r"/?#\s\"'`<>"  # these characters end the host of a URL
_BEFORE = (  # uv and browsers accept any number of slashes, and a URL without its scheme
    r"(\bhttps?:[/\\\t]{0,9}|://|(?<![^\s\"'`=<(\[])//)"
)
_USERINFO = (
    rf"{_BEFORE}(?!git@)(?:"
    rf"[^/?#\s\"`<>]{{1,500}}@(?=[^{_END}@])"
    rf"|[^{_END}:@[]{{0,200}}:(?!\d*(?:[{_END}]|$))[^\s\"'`<>]{{0,500}}@"  # a password in which / ? # are not encoded
    rf"|[^{_END}:@[]{{0,200}}:(?!\s|\d*(?:[{_END}:,;)]|$))[^\n]{{0,500}}?@(?![^\s/]{{0,500}}@)"  # nor spaces and quotes
    r")"
)
_NAMES = (
    r"token|secret|passw|pwd|signature|credential|auth(?!or)|session|jwt|bearer"
    r"|(?:api|access|private|subscription|shared|account)[-_]?key"
)
_QUERY = (
    rf"(?<=[?&#;])([^=&#;\s\"'`]{{0,100}}(?:{_NAMES})[^=&#;\s\"'`]{{0,100}}|(?:x-[a-z-]+-)?(?:sig|key|pass|pw|code|hmac))"
    r"=[^&#\s\"'`<>]+"
)
_PARAMETERS = r"\bhttps?://[^\s\"'`<>?#]{1,500}\?[^\s\"'`<>#]+"  # a URL up to its fragment
_VALUE = r"([?&;](?!(?:branch|name|ref|rev|subdirectory|tag)=)[^=&;?]*=)[^&;]+"
_FRAGMENT = r"(://[^\s#]*#)(?!(?:egg|md5|sha\d+|subdirectory)=).+"
_LONG = r"(?<=[?&])((?:[^=&#;\s\"'`]{1,200}=)?)(?=[^&#\s\"'`<>]{0,500}\d)[\w.~%+/=-]{20,}"  # whatever it is called
_HEADER = (
    r"(\b(?:proxy-)?authorization|\b(?:x-amz-security-token|x-api-key|(?:set-)?cookie))"
    r"([\"']?\s*[:=]\s*[\"']?)(?:(?:basic|bearer|token|digest)\s+)?[^\s\"',]+"
)


_SECRET_NAME = (
    r"\.options\.|(?<![a-z])(?:secrets?|tokens?|password|passwd|passphrase|(?:access|account|api|private|sas)[-_]?key)"
    r"(?![a-z])"
)


def hide_secrets(arguments: Iterable[str]) -> list[str]:
    """Return the arguments of a command line with ``***`` in place of values that may be secret.

    These are the values of the options of caches, of program options with a name such as token or password, and the
    fragments of URLs that are neither a hash nor a place in an archive.
    """
    shown: list[str] = []
    values, plain = 0.0, False  # the number of values to hide; whether `--` was read
    for argument in arguments:
        name, equals, _ = argument.partition("=")
        plain = plain or argument == "--"
        if values and argument != "--" and (plain or not argument.startswith("-")):
            values -= 1
            argument = HIDDEN
        elif name.startswith(("-", "caches.")) and re.search(_SECRET_NAME, name, re.IGNORECASE):
            values = 0 if equals else float("inf") if ".options." in name else 1
            argument = f"{name}={HIDDEN}" if equals else argument
        shown.append(re.sub(_FRAGMENT, rf"\1{HIDDEN}", argument))
    return shown


def has_credentials(url: str) -> bool:
    """Return whether a URL has a login: a user or password before the host, or a token in its parameters."""
    return re.search(_USERINFO, url) is not None or re.search(_QUERY, url, re.IGNORECASE) is not None


def redact(text: str) -> str:
    """Return the text with ``***`` in place of each login in a URL or a header.

    In an http(s) URL, the value of every parameter may be one, except a name and a place in a repository.
    """
    if "@" in text:
        text = re.sub(_USERINFO, rf"\1{HIDDEN}@", text)
    if "=" in text:
        text = re.sub(_QUERY, rf"\1={HIDDEN}", text, flags=re.IGNORECASE)
    if "?" in text:
        text = re.sub(_PARAMETERS, lambda url: re.sub(_VALUE, rf"\1{HIDDEN}", url[0]), text)
    if "?" in text or "&" in text:
        text = re.sub(_LONG, rf"\1{HIDDEN}", text)
    if ":" in text or "=" in text:
        text = re.sub(_HEADER, rf"\1\2{HIDDEN}", text, flags=re.IGNORECASE)
    return text


def without_userinfo(url: str) -> str:
    """Return the URL without user and password, with its parameters, for a request."""
    return re.sub(_USERINFO, r"\1", url)


def without_login(url: str) -> str:
    """Return the URL without user, password, and parameters with a login, for a record."""
    found = re.sub(_QUERY, "", without_userinfo(url), flags=re.IGNORECASE)
    return found if found == url else re.sub(r"[?&]+(?=#|$)", "", re.sub(r"([?&])&+", r"\1", found)).removesuffix("#")


def public_url(url: str) -> str:
    """Return the URL that identifies a cache: without user, password, parameters and a trailing slash."""
    from urllib.parse import urlsplit, urlunsplit  # not needed by most commands

    parts = urlsplit(without_userinfo(url))
    return urlunsplit((parts.scheme, parts.netloc, parts.path.rstrip("/"), "", ""))
