"""Registries that lie, loop and send elsewhere: the right bytes, a miss or an error in one line, within bounds."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from scripts.testing.registries import PASSWORD, USER
from tests.flows.private_index import make_certificate
from tests.remote.hostile import RIGHT, WRONG, hostile, wrong_answers
from tests.remote.transport.registry.scripted import ScriptedRequest, scripted
from tests.remote.transport.registry.test_transport import BLOB, DATA, manifest_of, open_repository
from vstore.cancel import Cancelled, CancelToken
from vstore.oci import EMPTY_BLOB, Sha256
from vstore.remote.transport.protocol import (
    AccessDeniedError,
    RequestLimits,
    ThrottledError,
    TransportError,
)
from vstore.remote.transport.registry import RegistryRefusalError, RegistryTransport
from vstore.remote.transport.retry import RetryingTransport

MEBIBYTES = 200
MANIFEST = manifest_of(DATA)

# Asks registries of the modes, eight at a time; the arguments are a file of what to ask and a folder to write to.
_CLIENT = """
import json, sys, threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from scripts.testing.memory import peak_mebibytes
from vstore.cancel import CancelToken
from vstore.errors import CacheError
from vstore.remote.transport.protocol import RequestLimits
from vstore.remote.transport.registry import RegistryTransport
task, folder = json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2])
limits = RequestLimits(stall_seconds=1, record_seconds=2, range_seconds=2)

def ask(question, again=True):
    try:
        answer = question()
    except CacheError as error:
        if again and error.message.endswith("connection closed by the server"):  # one that was kept open: see retry.py
            return ask(question, again=False)
        assert error.message and "\\n" not in error.message, error
        return f"error: {error.message}"
    return "none" if answer is None else answer

def one(item):
    number, (mode, host) = item
    registry = RegistryTransport(f"oci://{host}/x", {}, limits, CancelToken())
    def manifest():
        found = registry.get(task["manifest"], limit=4 << 20)
        return None if found is None else found.hex()
    def whole():
        size = registry.download(task["blob"], folder / str(number), limit=task["size"])
        return None if size is None else (folder / str(number)).read_bytes().hex()
    def part():
        found = registry.get_ranges(task["blob"], [(5, 2000), (3000, 3001)])
        return None if found is None else b"".join(found).hex()
    def size():
        found = registry.head(task["blob"])
        return None if found is None else found.size_bytes
    def tags():
        return list(registry.tags())
    return mode, {question.__name__: ask(question) for question in (manifest, whole, part, size, tags)}

threading.excepthook = lambda failure: None
with ThreadPoolExecutor(8) as pool:
    answers = dict(pool.map(one, enumerate(task["hosts"].items())))
print(json.dumps({"answers": answers, "peak": peak_mebibytes()}))
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the peak of memory from /proc")
def test_an_answer_is_right_or_an_error(tmp_path: Path) -> None:
    """The peak of memory is that of all modes, eight of them at a time, each with all its requests."""
    manifest = f"manifests/{Sha256.of(MANIFEST)}"
    right = {
        "manifest": MANIFEST.hex(),
        "whole": DATA.hex(),
        "part": (DATA[5:2000] + DATA[3000:3001]).hex(),
        "size": len(DATA),
        "tags": ["a", "b"],
    }
    place = tmp_path / "registry/v2/x"
    tags = json.dumps({"name": "x", "tags": right["tags"]}).encode()
    for key, content in ((manifest, MANIFEST), (BLOB, DATA), ("tags/list?n=1000", tags)):
        (place / key).parent.mkdir(parents=True, exist_ok=True)
        (place / key).write_bytes(content)
    with hostile(tmp_path / "registry") as server:
        hosts = {mode: server.url(mode).removeprefix("http://") for mode in (*RIGHT, *WRONG)}
        task = {"hosts": hosts, "manifest": manifest, "blob": BLOB, "size": len(DATA)}
        for mode, question, answer in wrong_answers(_CLIENT, task, tmp_path, right=right, mebibytes=MEBIBYTES):
            if question in ("manifest", "whole"):
                assert answer == right[question], (mode, question)
            elif question == "part":  # verified by who asked for it
                assert len(answer) == 2 * 1996, (mode, question)


def answering(status: int, body: bytes = b"", **headers: str) -> Callable[[ScriptedRequest], None]:
    return lambda request: request.reply(status, body, headers)


def challenged(challenge: str) -> Callable[[ScriptedRequest], None]:
    """Refuse every request with this challenge; the token server at HOST gives a token."""

    def script(request: ScriptedRequest) -> None:
        if request.path.startswith("/token"):
            request.reply(200, b'{"token": "secret-token"}')
        else:
            request.reply(401, WWW_Authenticate=challenge.replace("HOST", request.server.host))

    return script


@pytest.mark.parametrize(
    ("challenge", "most"),
    [
        ('Bearer realm="http://HOST/token",service="x"', 4),
        ('Bearer realm="http://HOST/token", Basic realm="x"', 4),
        ('Basic realm="x"', 2),
        ('Digest realm="x"', 1),
        ("", 1),
        (",,, basic,bearer=" * 100, 4),
        ('Bearer realm="http://HOST/x"', 3),
    ],
)
def test_a_registry_that_refuses_for_ever_is_asked_a_few_times(challenge: str, most: int) -> None:
    with scripted(challenged(challenge)) as server:
        repository = open_repository(f"oci://{server.host}/x", username=USER, password=PASSWORD)
        with pytest.raises(TransportError) as error:
            repository.get(BLOB, limit=len(DATA))
        assert len(server.asked) <= most
    assert PASSWORD not in str(error.value) and "secret-token" not in str(error.value)


@pytest.mark.parametrize("realm", ["file:///etc/passwd", "ftp://127.0.0.1/x", "http://[::bad", "", "http://", "x"])
def test_a_token_server_that_is_none_is_an_error(realm: str) -> None:
    with scripted(challenged(f'Bearer realm="{realm}",service="x"')) as server:
        with pytest.raises(TransportError, match="token server"):
            open_repository(f"oci://{server.host}/x", username=USER, password=PASSWORD).head(BLOB)
        assert len(server.asked) == 1


def test_a_login_is_not_sent_where_a_token_server_redirects() -> None:
    with scripted(answering(200, b'{"token": "x"}')) as thief:

        def script(request: ScriptedRequest) -> None:
            if request.path.startswith("/token"):
                request.reply(302, Location=f"http://{thief.host}/token")
            else:
                challenged('Bearer realm="http://HOST/token"')(request)

        with scripted(script) as server, pytest.raises(TransportError, match="redirects to another server"):
            open_repository(f"oci://{server.host}/x", username=USER, password=PASSWORD).head(BLOB)
        assert thief.asked == []


@pytest.mark.parametrize(("content", "expected"), [(DATA, DATA), (DATA[::-1], None), (DATA[:-1], None)])
def test_a_blob_may_lie_elsewhere(content: bytes, expected: bytes | None, tmp_path: Path) -> None:
    """It is compared with its digest, and the other server does not get the login."""

    def script(request: ScriptedRequest) -> None:
        if request.headers.get("Authorization") is None:
            request.reply(401, WWW_Authenticate='Basic realm="x"')
        else:
            request.reply(307, Location=f"http://{storage.host}/signed?signature=x")

    with scripted(answering(200, content)) as storage, scripted(script) as server:
        repository = open_repository(f"oci://{server.host}/x", username=USER, password=PASSWORD)

        def downloaded() -> bytes:
            repository.download(BLOB, tmp_path / "blob", limit=len(DATA))
            return (tmp_path / "blob").read_bytes()

        questions: list[Callable[[], bytes | None]] = [lambda: repository.get(BLOB, limit=len(DATA)), downloaded]
        for question in questions:
            if expected:
                assert question() == expected
            else:
                with pytest.raises(TransportError, match="the content has another digest"):
                    question()
        assert not any("Authorization" in headers for _, _, headers in storage.asked)


def test_no_redirect_and_no_token_server_leads_from_tls_into_the_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, authority = make_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority))
    with scripted(answering(200, DATA)) as other:
        scripts: list[tuple[Callable[[ScriptedRequest], None], str]] = [
            (answering(302, Location=f"http://{other.host}/x"), "redirects from https to http"),
            (answering(401, WWW_Authenticate=f'Bearer realm="http://{other.host}/"'), "no token server with https"),
            (answering(200, DATA), ""),
        ]
        for script, reason in scripts:
            with scripted(script, context) as server:
                repository = open_repository(f"oci://{server.host}/x", plain_http="false")
                if reason:
                    with pytest.raises(TransportError, match=reason):
                        repository.get(BLOB, limit=len(DATA))
                else:
                    assert repository.get(BLOB, limit=len(DATA)) == DATA
        assert other.asked == []


@pytest.mark.parametrize(
    "page", [b"", b"{}", b"[]", b'{"tags": 1}', b'{"tags": {"a": 1}}', b"[" * 100_000, b'{"tags": [' + b'"a",' * 9]
)
def test_what_is_no_list_of_tags_is_an_error(page: bytes) -> None:
    with scripted(answering(200, page)) as server, pytest.raises(TransportError, match="not a list of tags"):
        list(open_repository(f"oci://{server.host}/x").tags())


@pytest.mark.parametrize("page", [b'{"tags": null}', b'{"tags": []}'])
def test_a_repository_may_have_no_tags(page: bytes) -> None:
    with scripted(answering(200, page)) as server:
        assert list(open_repository(f"oci://{server.host}/x").tags()) == []


def test_only_tags_are_listed() -> None:
    page = json.dumps({"tags": ["a", "../b", 3, None, "", "c" * 129, "ok-1.2_x"]}).encode()
    with scripted(answering(200, page)) as server:
        assert list(open_repository(f"oci://{server.host}/x").tags()) == ["a", "ok-1.2_x"]


def test_tags_come_in_pages() -> None:
    def script(request: ScriptedRequest) -> None:
        number = int(request.path.partition("last=")[2] or "0")
        tags = json.dumps({"tags": [f"t{number}"]}).encode()
        more = {"Link": f'</v2/x/tags/list?last={number + 1}>; rel="next"'} if number < 3 else {}
        request.reply(200, tags, more)

    with scripted(script) as server:
        assert list(open_repository(f"oci://{server.host}/x").tags()) == ["t0", "t1", "t2", "t3"]


@pytest.mark.parametrize("link", ["http://127.0.0.1:9/x", "ftp://x", "//127.0.0.1:9/v2/x/tags/list", ""])
def test_a_list_of_tags_goes_on_at_the_registry(link: str) -> None:
    def script(request: ScriptedRequest) -> None:
        request.reply(200, b'{"tags": ["a"]}', Link=f'<{link or request.path}>; rel="next"')

    with scripted(script) as server, pytest.raises(TransportError, match="does not continue"):
        list(open_repository(f"oci://{server.host}/x").tags())


@pytest.mark.slow
@pytest.mark.parametrize("count", [0, 1000])
def test_an_endless_list_of_tags_ends(count: int) -> None:
    tags = ",".join(f'"{number}"' for number in range(count)).encode()

    def script(request: ScriptedRequest) -> None:
        number = int(request.path.partition("last=")[2] or "0")
        request.reply(200, b'{"tags": [%s]}' % tags, Link=f'</v2/x/tags/list?last={number + 1}>; rel="next"')

    with scripted(script) as server, pytest.raises(TransportError, match="lists more than"):
        sum(1 for _ in open_repository(f"oci://{server.host}/x").tags())


def uploading(
    location: str | None = "/up", status: int = 201, body: bytes = b"", **headers: str
) -> Callable[[ScriptedRequest], None]:
    """Nothing is there yet; an upload goes to `location`, and what is put there is answered with `status`."""

    def script(request: ScriptedRequest) -> None:
        if request.command in ("GET", "HEAD"):
            request.reply(404)
        elif request.command == "POST":
            request.reply(202, headers={"Location": location} if location is not None else {})
        else:
            request.reply(status, body, headers)

    return script


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (uploading(None), "has no address to upload"),
        (uploading("http://127.0.0.1:9/x"), "redirects an upload to another server"),
        (uploading("https://127.0.0.1:9/x"), "redirects an upload to another server"),
        (uploading("file:///tmp/x"), "redirects an upload to another server"),
        (uploading("http://[::bad"), "127.0.0.1"),
        (uploading(status=413), "refuses to take"),
        (uploading(status=404), "there is no such repository"),
        (uploading(status=403), "is refused: HTTP status 403"),
        (uploading(status=307, Location="/x"), "redirects a request that writes"),
    ],
)
def test_an_upload_that_leads_nowhere_is_an_error(script: Callable[[ScriptedRequest], None], reason: str) -> None:
    content = b"x" * 100_000
    with scripted(script) as server:
        repository = open_repository(f"oci://{server.host}/x")
        with pytest.raises(TransportError, match=reason) as error:
            repository.put(f"blobs/{Sha256.of(content)}", content)
    assert "\n" not in error.value.message


def test_an_upload_goes_elsewhere_only_where_that_is_allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate, authority = make_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority))
    with (
        scripted(answering(201), context) as storage,
        scripted(uploading(f"https://{storage.host}/up?state=1")) as server,
    ):
        repository = open_repository(f"oci://{server.host}/x", redirects="anywhere", username=USER, password=PASSWORD)
        repository.put(BLOB, DATA)
    [(method, path, headers)] = storage.asked
    assert (method, path.partition("&")[0], "Authorization" in headers) == ("PUT", "/up?state=1", False)


@pytest.mark.parametrize(
    ("status", "body", "hint"),
    [
        (400, b'{"errors": [{"code": "MANIFEST_INVALID", "message": "x\\ny"}]}', "layers in zstd"),
        (415, b"Unsupported Media Type", "layers in zstd"),
        (405, b'{"errors": [{"code": "UNSUPPORTED"}]}', None),
    ],
)
def test_a_registry_that_refuses_zstd_is_told_as_such(status: int, body: bytes, hint: str | None) -> None:
    script, said = uploading(status=status, body=body), f"refuses to take manifests/x: HTTP status {status}"
    with scripted(script) as server, pytest.raises(RegistryRefusalError, match=said) as error:
        open_repository(f"oci://{server.host}/x").put("manifests/x", MANIFEST)
    assert "\n" not in error.value.message and (hint or "") in (error.value.hint or "") and not error.value.transient


def test_a_registry_that_deletes_nothing_is_told_as_such() -> None:
    script, said = answering(405, b'{"errors": [{"code": "UNSUPPORTED"}]}'), "refuses to delete .*UNSUPPORTED"
    with scripted(script) as server, pytest.raises(RegistryRefusalError, match=said) as error:
        open_repository(f"oci://{server.host}/x").delete([f"manifests/{Sha256.of(b'')}"])
    assert "storage.delete.enabled" in (error.value.hint or "")


def test_statuses_are_told_apart() -> None:
    for status, kind in ((401, AccessDeniedError), (403, AccessDeniedError), (429, ThrottledError)):
        with scripted(answering(status, Retry_After="7")) as server, pytest.raises(kind) as error:
            open_repository(f"oci://{server.host}/x").head(BLOB)
        assert getattr(error.value, "wait_seconds", 7.0) == 7.0
    with scripted(answering(404)) as server:
        assert open_repository(f"oci://{server.host}/x").get(BLOB, limit=len(DATA)) is None
        assert list(open_repository(f"oci://{server.host}/x").tags()) == []
    with scripted(answering(500)) as server, pytest.raises(RegistryRefusalError) as refusal:
        open_repository(f"oci://{server.host}/x").head(BLOB)
    assert refusal.value.transient


def test_an_upload_that_failed_is_sent_again() -> None:
    taken: list[bytes] = []

    def script(request: ScriptedRequest) -> None:
        if request.command == "PUT":
            taken.append(request.content)
            request.reply(201 if len(taken) > 2 else 500)
        else:
            uploading()(request)

    limits = RequestLimits(first_pause_seconds=0.01)
    with scripted(script) as server:
        repository = open_repository(f"oci://{server.host}/x")
        RetryingTransport(repository, limits).put(f"blobs/{Sha256.of(EMPTY_BLOB)}", EMPTY_BLOB)
    assert taken == [EMPTY_BLOB] * 3


def test_a_manifest_of_a_hundred_megabytes_is_not_read() -> None:
    with scripted(answering(200, bytes(100 << 20))) as server:
        repository: RegistryTransport = open_repository(f"oci://{server.host}/x")
        with pytest.raises(TransportError, match="larger than the limit of 4194304 bytes"):
            repository.get("manifests/x", limit=1 << 30)


@pytest.mark.parametrize("ended_by", ["a stop", "its deadline"])
def test_an_upload_to_a_registry_that_reads_nothing_ends(ended_by: str, tmp_path: Path) -> None:
    over, asked = threading.Event(), threading.Event()

    def script(request: ScriptedRequest) -> None:
        if request.command == "PUT":
            asked.set()
            over.wait(60)
        else:
            uploading()(request)

    with (tmp_path / "blob").open("wb") as blob:
        blob.truncate(64 << 20)
    cancel = CancelToken()
    limits = RequestLimits(range_seconds=60 if ended_by == "a stop" else 0.1)
    with scripted(script) as server, ThreadPoolExecutor(1) as pool:
        repository = RegistryTransport(f"oci://{server.host}/x", {}, limits, cancel)
        repository.head(BLOB)  # the upload is not the first request of its connection
        done = pool.submit(repository.put, f"blobs/{Sha256.of(b'')}", tmp_path / "blob")
        assert asked.wait(30)
        if ended_by == "a stop":
            cancel.set()
            with pytest.raises(Cancelled):
                done.result(30)
        else:
            with pytest.raises(TransportError, match="no whole answer within"):
                done.result(30)
        over.set()
