"""Logins in texts: hidden wherever they stand, and nothing else is."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vstore.credentials import has_credentials, hide_secrets, public_url, redact, without_login, without_userinfo
from vstore.errors import UsageError

SECRET = "hunter2"


@pytest.mark.parametrize(
    "text",
    [
        f"https://me:{SECRET}@a.org/x",
        f"https://{SECRET}@a.org/x",
        f"https://me:{SECRET}@{SECRET}@a.org/x",
        f"https://me:{SECRET}/{SECRET}@a.org/x",
        f"https://me:{SECRET}?{SECRET}@a.org/x",
        f"https://me:{SECRET}#{SECRET}@a.org",
        f"http://me:{SECRET}@[::1]:80/x",
        f"git+https://me:{SECRET}@a.org/x.git@main",
        f"ssh://me:{SECRET}@a.org/x",
        f"--find-links //me:{SECRET}@a.org/x",
        f"socks5://me:{SECRET}@a.org:1080",
        f"two: https://me:{SECRET}@a.org, https://you:{SECRET}@b.org",
        f"`https://me:{SECRET}@a.org`",
        f"<https://me:{SECRET}@a.org>",
        *(f"https://me:a{character}{SECRET}@a.org/x" for character in " '\"`<>\\^{|}\t"),
        f"https://me:{SECRET} {SECRET}@{SECRET}@a.org/x",
        f"two: https://me:a {SECRET}@a.org, https://you:{SECRET}@b.org",
        *(f"http{slashes}me:{SECRET}@a.org/x" for slashes in (":", ":/", ":///", ":\\\\", "s:/")),
        *(
            f"https://a.org/x?a=1&{name}={SECRET}&b=2"
            for name in (
                *("token", "private_token", "access-token", "X-Amz-Signature", "X-Amz-Credential"),
                *("X-Amz-Security-Token", "X-Goog-Signature", "sig", "key", "api_key", "apiKey", "Signature"),
                *("password", "pwd", "auth", "jwt", "SECRET", "subscription-key", "client_secret", "session_id"),
            )
        ),
        f"https://a.org/x?whatever={SECRET}{SECRET}{SECRET}",
        f"https://a.org/x#token={SECRET}",
        f"https://a.org/x?{SECRET}{SECRET}{SECRET}",
        f"Max retries exceeded with url: /x?token={SECRET} (Caused by",
        f"Authorization: Basic {SECRET}",
        f"{{'Authorization': 'Bearer {SECRET}', 'Accept': '*'}}",
        f"Proxy-Authorization: {SECRET}",
        f"x-amz-security-token: {SECRET}",
        f"Cookie: session={SECRET}",
    ],
)
def test_a_login_is_hidden(text: str) -> None:
    hidden = redact(text)
    assert SECRET not in hidden and "***" in hidden
    assert redact(hidden) == hidden
    error = UsageError(text, details=[text], hint=text)
    assert SECRET not in str(error) and SECRET not in repr(error)
    assert SECRET not in without_login(text) or "://" not in text or text.count(SECRET) == 3


@pytest.mark.parametrize(
    "text",
    [
        "https://a.org/simple/@scope/x",
        "https://a.org:8080/a@b?ref=d#sha256=00",
        "http://[::1]:80/x@y",
        "file:///home/me@work/x",
        "git+ssh://git@a.org/x",
        "https://a.org/x?name=token&tag=me",
        "see https://a.org/x: a@b.c",
        "https://a.org: a@b.c",
        "https://a.org:80: a@b.c",
        "https://a.org:80 a@b.c",
        "file:///me@work/x",
        "no https: a@b.c",
        "layer `a`: requires b=1; c==2",
        "/srv/a=b/c",
    ],
)
def test_nothing_else_is(text: str) -> None:
    assert redact(text) == without_login(text) == text
    assert not has_credentials(text)


@pytest.mark.parametrize("url", ["https://a.org/x?t={}", "http://a.org/x/?c=d&author={}&ref=main#sha256=00"])
def test_any_parameter_may_hold_a_login_but_is_recorded(url: str) -> None:
    assert redact(f"index `{url.format(SECRET)}`") == f"index `{url.replace('c=d', 'c=***').format('***')}`"
    assert without_login(url.format(SECRET)) == url.format(SECRET)


def test_urls_to_ask_for_to_write_down_and_to_know_a_cache_by() -> None:
    url = f"https://me:{SECRET}@a.org/x/?a=1&token={SECRET}&b=2#sha256=00"
    assert without_userinfo(url) == f"https://a.org/x/?a=1&token={SECRET}&b=2#sha256=00"
    assert without_login(url) == "https://a.org/x/?a=1&b=2#sha256=00"
    assert without_login(f"https://a.org/x?token={SECRET}#sha256=00") == "https://a.org/x#sha256=00"
    assert without_login(f"https://a.org/x?token={SECRET}") == "https://a.org/x"
    assert public_url(url) == "https://a.org/x"


@given(st.text(string.ascii_letters + string.digits + "-._~!$&'()*+,;=%", min_size=1))
def test_any_password_that_a_url_can_hold_is_hidden(password: str) -> None:
    secret = f"{SECRET}{password}"
    assert SECRET not in redact(f"https://me:{secret}@a.org/x")


@pytest.mark.parametrize("unit", ["https://a?", "://a:b", "http:a:b", "://a@@ ", "://a:b c", "?a=", "x"])
def test_a_stranger_makes_no_long_error(unit: str) -> None:
    """Nor one that takes long: patterns look no further than 500 characters."""
    text = (unit * 50_000)[:50_000] + f"://me:{SECRET}@a.org @"
    assert len(UsageError(text, details=[text], hint=text).message) <= 5000
    assert SECRET not in redact(text)
    assert SECRET not in str(UsageError("x" * 3990 + f"://me:{SECRET}{SECRET}@a.org"))


def test_values_of_secret_options_are_hidden() -> None:
    given = [
        "exec",
        "x",
        "train",
        "--api-key",
        "hunter2",
        "--password=hunter2",
        "--tokenizer",
        "plain",
        "file.token",
        "a",
    ]
    shown = hide_secrets(given)
    assert shown == [
        "exec",
        "x",
        "train",
        "--api-key",
        "***",
        "--password=***",
        "--tokenizer",
        "plain",
        "file.token",
        "a",
    ]


def test_fragments_of_urls_on_a_command_line_are_hidden() -> None:
    kept = ["a#b", "x @ https://a.org/x.whl#sha256=00", "git+https://a.org/x@main#egg=x", "http://a.org#md5=0"]
    assert hide_secrets(kept) == kept
    given = [f"http://a.org/x#{SECRET}", f"--to=http://me#{SECRET}@a.org/x", f"http://a.org#password={SECRET}"]
    assert hide_secrets(given) == ["http://a.org/x#***", "--to=http://me#***", "http://a.org#***"]
