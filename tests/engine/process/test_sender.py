"""What is written to a socket from several threads arrives whole and in order, however slowly it is read."""

import asyncio
import socket
import threading
from collections.abc import AsyncIterator

import pytest

from bodhi_asgi.engine.process.sender import Sender

MIB = 1024 * 1024


@pytest.fixture
async def pair() -> AsyncIterator[tuple[Sender, socket.socket]]:
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    sender = Sender(ours)
    yield sender, theirs
    sender.close()
    ours.close()
    theirs.close()


async def read(theirs: socket.socket, size: int) -> bytes:
    loop, found = asyncio.get_running_loop(), bytearray()
    async with asyncio.timeout(30):
        while len(found) < size:
            found += await loop.sock_recv(theirs, min(65536, size - len(found)))
    return bytes(found)


async def test_more_than_the_kernel_takes_at_once_arrives_in_order(pair: tuple[Sender, socket.socket]) -> None:
    sender, theirs = pair
    data = b"".join(number.to_bytes(4) for number in range(MIB // 2))
    sender.write(data)
    sender.write(b"end")
    assert await read(theirs, len(data) + 3) == data + b"end"


async def test_writes_of_several_threads_are_never_mixed(pair: tuple[Sender, socket.socket]) -> None:
    sender, theirs = pair
    size, count = 50_000, 40

    def write(letter: bytes) -> None:
        for _ in range(count):
            sender.write(letter * size)

    threads = [threading.Thread(target=write, args=(letter,)) for letter in (b"a", b"b")]
    for thread in threads:
        thread.start()
    found = await read(theirs, 2 * size * count)
    for thread in threads:
        thread.join()
    pieces = [found[begin : begin + size] for begin in range(0, len(found), size)]
    assert all(len(set(piece)) == 1 for piece in pieces)
    assert [pieces.count(letter * size) for letter in (b"a", b"b")] == [count, count]


async def test_what_is_to_follow_follows_once_all_was_sent(pair: tuple[Sender, socket.socket]) -> None:
    sender, theirs = pair
    done = asyncio.Event()
    sender.when_empty(done.set)
    assert done.is_set()
    done.clear()
    sender.write(bytes(4 * MIB))
    sender.when_empty(done.set)
    sender.write(b"too late")
    assert not done.is_set()
    assert await read(theirs, 4 * MIB) == bytes(4 * MIB)
    async with asyncio.timeout(5):
        await done.wait()
    with pytest.raises(BlockingIOError):
        theirs.recv(1)


async def test_a_reader_who_has_gone_and_a_sender_that_is_closed_hurt_nobody(
    pair: tuple[Sender, socket.socket],
) -> None:
    sender, theirs = pair
    theirs.close()
    sender.write(b"nobody hears this")
    sender.close()
    sender.close()
    sender.write(b"nor this")


async def test_what_waits_is_given_up_when_the_sender_is_closed(pair: tuple[Sender, socket.socket]) -> None:
    sender, theirs = pair
    sender.write(bytes(4 * MIB))
    sender.close()
    await asyncio.sleep(0)
    received = 0
    while True:
        try:
            received += len(theirs.recv(65536))
        except BlockingIOError:
            break
    assert received < 4 * MIB
