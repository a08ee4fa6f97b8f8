"""HTTP/1.1 for the crash test: the least of a client and a server that can also misbehave.

The standard library's servers answer every request they read, and its clients hide whether a
request had left when the connection broke. Both are what this test is about, so it has its own. All
of it runs on one asyncio loop.
"""

import asyncio
import json

HEAD_BYTES = 64 << 10
BODY_BYTES = 8 << 20


class Broken(Exception):
    """No answer came; whether the request arrived is not known."""


class Refused(Broken):
    """No connection: the request cannot have arrived."""


async def read_head(reader):
    """The first line and the headers, by lower-case name; None at an orderly end."""
    try:
        raw = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise Broken("the connection ended within a head") from error
        return None
    except asyncio.LimitOverrunError as error:
        raise Broken("a head is too long") from error
    first, *lines = raw.decode("latin-1").rstrip("\r\n").split("\r\n")
    headers = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    return first, headers


async def read_exactly(reader, size):
    if size > BODY_BYTES:
        raise Broken("a body is too long")
    try:
        return await reader.readexactly(size)
    except asyncio.IncompleteReadError as error:
        raise Broken("the connection ended within a body") from error


async def chunks(reader):
    """The chunks of a chunked body, until its orderly end."""
    while True:
        line = await reader.readline()
        if not line.endswith(b"\n"):
            raise Broken("the connection ended within a stream")
        size = int(line.split(b";")[0], 16)
        data = await read_exactly(reader, size + 2)
        if size == 0:
            return
        yield data[:-2]


class Answer:
    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers
        self.body = body

    def json(self):
        return json.loads(self.body)


class Client:
    """One connection, opened when needed and again after it broke. One request at a time."""

    def __init__(self, address, headers=None, timeout=10.0):
        """address: a port on the loopback interface, or the path of a Unix socket."""
        self.address = address
        self.headers = headers if headers is not None else {}
        self.timeout = timeout
        self.reader = None
        self.writer = None

    def close(self):
        if self.writer is not None:
            self.writer.close()
        self.reader = self.writer = None

    async def connect(self):
        if self.writer is not None and not self.reader.at_eof():
            return
        self.close()
        try:
            if isinstance(self.address, int):
                opened = asyncio.open_connection("127.0.0.1", self.address, limit=HEAD_BYTES)
            else:
                opened = asyncio.open_unix_connection(self.address, limit=HEAD_BYTES)
            self.reader, self.writer = await opened
        except OSError as error:
            raise Refused(str(error)) from error

    async def send(self, method, path, body):
        lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1"]
        if isinstance(self.address, int):
            lines[1] += f":{self.address}"
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        data = b""
        if body is not None:
            data = json.dumps(body).encode()
            lines.append("Content-Type: application/json")
        if body is not None or method != "GET":
            lines.append(f"Content-Length: {len(data)}")
        self.writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + data)
        await self.writer.drain()

    async def head(self):
        got = await read_head(self.reader)
        if got is None:
            raise Broken("the connection ended before the answer")
        first, headers = got
        return int(first.split(" ")[1]), headers

    async def answer(self, method, path, body):
        await self.send(method, path, body)
        status, headers = await self.head()
        if headers.get("transfer-encoding", "").lower() == "chunked":
            data = b"".join([chunk async for chunk in chunks(self.reader)])
        else:
            data = await read_exactly(self.reader, int(headers.get("content-length", "0")))
        if headers.get("connection", "").lower() == "close":
            self.close()
        return Answer(status, headers, data)

    async def request(self, method, path, body=None):
        """Raises Broken, or Refused where nothing can have left."""
        try:
            async with asyncio.timeout(self.timeout):
                await self.connect()
                return await self.answer(method, path, body)
        except TimeoutError as error:
            self.close()
            raise Broken("no answer in time") from error
        except OSError as error:
            self.close()
            raise Broken(str(error)) from error
        except Broken:
            self.close()
            raise

    async def events(self, path, silence=60.0):
        """Server-sent events as (id or None, name, data), until the stream breaks or ends."""
        try:
            async with asyncio.timeout(self.timeout):
                await self.connect()
                await self.send("GET", path, None)
                status, headers = await self.head()
            if status != 200:
                raise Broken(f"the stream was answered with {status}")
            if headers.get("transfer-encoding", "").lower() != "chunked":
                raise Broken("the stream is not chunked")
            pending = b""
            stream = chunks(self.reader)
            while True:
                async with asyncio.timeout(silence):
                    chunk = await anext(stream, None)
                if chunk is None:
                    return
                pending += chunk
                *complete, pending = pending.split(b"\n\n")
                for block in complete:
                    event = parse_event(block)
                    if event is not None:
                        yield event
        except TimeoutError as error:
            raise Broken("the stream fell silent") from error
        except OSError as error:
            raise Broken(str(error)) from error
        finally:
            self.close()


def parse_event(block):
    """None for a comment."""
    number, name, data = None, "", None
    for line in block.decode().split("\n"):
        field, _, value = line.partition(": ")
        if field == "id":
            number = int(value)
        elif field == "event":
            name = value
        elif field == "data":
            data = value
    return None if data is None else (number, name, json.loads(data))


class Request:
    def __init__(self, path, headers, body):
        self.path = path
        self.headers = headers
        self.body = body

    def json(self):
        return json.loads(self.body)


class Server:
    """Calls handle(request) for each request; it returns (status, headers, JSON value or None), or
    None to close the connection without an answer. `open` counts requests read and not answered."""

    def __init__(self, handle):
        self.handle = handle
        self.open = 0
        self.port = 0
        self.server = None
        self.errors = []

    async def start(self):
        self.server = await asyncio.start_server(
            self.serve, "127.0.0.1", 0, limit=HEAD_BYTES, backlog=256)
        self.port = self.server.sockets[0].getsockname()[1]

    def stop(self):
        self.server.close()

    async def serve(self, reader, writer):
        try:
            while await self.serve_one(reader, writer):
                pass
        except (Broken, OSError):
            pass  # the daemon was killed
        except asyncio.CancelledError:
            pass
        except Exception as error:  # a bug of the test's own must not pass for one of the daemon
            self.errors.append(repr(error))
        finally:
            writer.close()

    async def serve_one(self, reader, writer):
        head = await read_head(reader)
        if head is None:
            return False
        first, headers = head
        body = await read_exactly(reader, int(headers.get("content-length", "0")))
        self.open += 1
        try:
            answer = await self.handle(Request(first.split(" ")[1], headers, body))
            if answer is None:
                return False
            status, more, value = answer
            data = b"" if value is None else json.dumps(value).encode()
            lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(data)}"]
            if value is not None:
                lines.append("Content-Type: application/json")
            lines += [f"{name}: {text}" for name, text in more.items()]
            writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + data)
            await writer.drain()
            return True
        finally:
            self.open -= 1
