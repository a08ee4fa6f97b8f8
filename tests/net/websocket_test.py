"""Our WebSocket server against the client of PyPI's `websockets`, which nobody here wrote.

ECHO is the server's program, SLUICE_INTEROP where scripts/interop has put the client; without it the test
is skipped (exit code 77).
"""

import asyncio
import glob
import os
import ssl
import subprocess
import sys
import unittest

for folder in glob.glob(os.path.join(os.environ.get("SLUICE_INTEROP", "none"), "python/lib/python*/site-packages")):
    sys.path.insert(0, folder)
try:
    import websockets
    from websockets.asyncio.client import connect
except ImportError:
    print("skipped: scripts/interop installs what this needs")
    sys.exit(77)

CERTIFICATE = os.path.join(os.environ["SLUICE_SOURCE"], "tests/app/certificates/localhost.crt")
KEY = os.path.join(os.environ["SLUICE_SOURCE"], "tests/app/certificates/localhost.key")


class Echo:
    def __init__(self, *arguments):
        self.process = subprocess.Popen([os.environ["ECHO"], *arguments], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline())

    def stop(self):
        self.process.stdin.close()
        self.process.stdout.close()
        return self.process.wait(timeout=30)


class WebSocketTest(unittest.IsolatedAsyncioTestCase):
    def setUp(self):
        self.echo = Echo()
        self.addCleanup(lambda: self.assertEqual(self.echo.stop(), 0))

    def connect(self, **more):
        return connect("ws://127.0.0.1:%d/" % self.echo.port, max_size=None, **more)

    async def closed_with(self, socket):
        with self.assertRaises(websockets.ConnectionClosed):
            await asyncio.wait_for(socket.recv(), 20)
        return socket.close_code

    async def test_echoes_text_of_every_length(self):
        async with self.connect() as socket:
            for size in (0, 1, 125, 126, 127, 4095, 65535, 65536):
                text = ("aä🙂" * size)[:size]
                if len(text.encode()) > 65536:
                    text = text.encode()[:65536].decode(errors="ignore")
                await socket.send(text)
                self.assertEqual(await socket.recv(), text)

    async def test_keeps_the_order_of_a_pipeline(self):
        async with self.connect() as socket:
            for i in range(500):
                await socket.send("m%d" % i)
            self.assertEqual([await socket.recv() for _ in range(500)], ["m%d" % i for i in range(500)])

    async def test_joins_fragments(self):
        async with self.connect() as socket:
            await socket.send(["one ", "two ", "three"])
            self.assertEqual(await socket.recv(), "one two three")

    async def test_answers_pings_between_fragments(self):
        async with self.connect() as socket:
            async def pieces():
                yield "one "
                waiter = await socket.ping(b"between")
                await asyncio.wait_for(waiter, 20)
                yield "two"
            await socket.send(pieces())
            self.assertEqual(await socket.recv(), "one two")

    async def test_closes_when_asked_with_the_same_code(self):
        socket = await self.connect()
        await socket.close(4001, "enough")
        self.assertEqual(socket.close_code, 4001)

    async def test_closes_after_binary(self):
        async with self.connect() as socket:
            await socket.send(b"\x00\x01")
            self.assertEqual(await self.closed_with(socket), 1003)

    async def test_closes_after_a_message_that_is_too_large(self):
        async with self.connect() as socket:
            await socket.send("x" * 65537)
            self.assertEqual(await self.closed_with(socket), 1009)

    async def test_closes_after_fragments_that_are_too_large_together(self):
        async with self.connect() as socket:
            await socket.send(["x" * 40000, "y" * 40000])
            self.assertEqual(await self.closed_with(socket), 1009)

    async def test_closes_after_bytes_that_are_no_text(self):
        async with self.connect() as socket:
            await socket.send(b"\xff\xfe", text=True)
            self.assertEqual(await self.closed_with(socket), 1007)

    async def test_closes_after_a_reserved_bit(self):
        async with self.connect(compression=None) as socket:
            # The client would refuse to send it: by hand, masked with zeros.
            socket.transport.write(b"\xc1\x81\0\0\0\0x")
            self.assertEqual(await self.closed_with(socket), 1002)

    async def test_does_not_agree_to_compression(self):
        async with self.connect(compression="deflate") as socket:
            self.assertEqual(socket.protocol.extensions, [])
            await socket.send("plain")
            self.assertEqual(await socket.recv(), "plain")

    async def test_serves_many_at_once(self):
        sockets = await asyncio.gather(*(self.connect() for _ in range(200)))
        await asyncio.gather(*(s.send("n%d" % i) for i, s in enumerate(sockets)))
        self.assertEqual(await asyncio.gather(*(s.recv() for s in sockets)), ["n%d" % i for i in range(200)])
        await asyncio.gather(*(s.close() for s in sockets))

    async def test_a_client_that_vanishes_harms_nobody(self):
        async with self.connect() as socket:
            gone = await self.connect()
            gone.transport.abort()
            await socket.send("still here")
            self.assertEqual(await socket.recv(), "still here")


class TlsWebSocketTest(unittest.IsolatedAsyncioTestCase):
    def setUp(self):
        self.echo = Echo(CERTIFICATE, KEY)
        self.addCleanup(lambda: self.assertEqual(self.echo.stop(), 0))

    async def test_echoes_both_ways_at_once(self):
        context = ssl.create_default_context(cafile=CERTIFICATE)
        async with connect("wss://localhost:%d/" % self.echo.port, ssl=context, max_size=None) as socket:
            texts = ["%d " % i + "t" * 60000 for i in range(100)]

            async def send():
                for text in texts:
                    await socket.send(text)

            sending = asyncio.create_task(send())
            self.assertEqual([await socket.recv() for _ in texts], texts)
            await sending


unittest.main()
