"""Waiting for a network ends when it is cancelled, however long the answer takes."""

from __future__ import annotations

import asyncio
from threading import Thread

import pytest

from vstore.cancel import Cancelled, CancelToken
from vstore.remote.transport.event_loop import wait_for


def test_the_result_of_a_coroutine_is_returned() -> None:
    assert wait_for(lambda: asyncio.sleep(0, "answer"), CancelToken()) == "answer"


def test_what_waits_ends_when_it_is_cancelled() -> None:
    cancel, waits = CancelToken(), asyncio.Event()
    raised: list[Cancelled] = []

    async def endless() -> None:
        waits.set()
        await asyncio.get_running_loop().create_future()

    def wait() -> None:
        try:
            wait_for(endless, cancel)
        except Cancelled as error:
            raised.append(error)

    waiting = Thread(target=wait, daemon=True)
    waiting.start()
    while not waits.is_set():
        assert waiting.is_alive()
    cancel.set()
    waiting.join(60)
    assert raised


def test_nothing_is_begun_once_it_is_cancelled() -> None:
    cancel = CancelToken()
    cancel.set()
    with pytest.raises(Cancelled):
        wait_for(lambda: pytest.fail("it is begun"), cancel)
