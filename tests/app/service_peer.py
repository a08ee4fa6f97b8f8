"""An extension service for tests: speaks MCP or the gateway's own protocol, and misbehaves on demand.

    service_peer.py [--protocol mcp|sluice] [--framing newline|content_length|length_prefix]
                    [--listen unix:PATH | tcp] [MODE]

Modes: "" (well-behaved), "mute" (never answers initialize), "stubborn" (ignores SIGTERM and the end of
its input), "family" (forks children that stay), "flood" (sends
notifications without an end), "split" (sends byte by byte), "oversize" (announces 17 MiB), "wrong_ids"
(answers calls with ids of its own), "noise" (prints lines for people between messages), "escape" (has a
child in a session of its own, whose parent is gone, and which ignores SIGTERM).
"""

import argparse
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

parser = argparse.ArgumentParser()
parser.add_argument("--protocol", default="mcp")
parser.add_argument("--framing", default="newline")
parser.add_argument("--listen")
parser.add_argument("mode", nargs="?", default="")
given = parser.parse_args()

TOOLS = [
    {"name": "add", "description": "Adds two numbers.",
     "inputSchema": {"type": "object", "properties": {"a": {"type": "number"}, "b": {"type": "number"}}}},
    {"name": "say", "description": "Says it again."},
    {"name": "sleep", "description": "Takes its time."},
    {"name": "die", "description": "Kills the service in mid-call."},
    {"name": "environment", "description": "What it got from who started it."},
    {"name": "fail", "description": "Refuses."},
    {"name": "ask_ai", "description": "Asks an agent back."},
    {"name": "ask_ai_late", "description": "Asks an agent back after a while."},
    {"name": "ask_tool", "description": "Asks for a tool of another service."},
    {"name": "ask_context", "description": "Asks for what there is not."},
    {"name": "tell_token", "description": "Asks by the port that it is told, and tells its token."},
]


class Peer:
    def __init__(self, read, write):
        self.read = read
        self.write = write
        self.lock = threading.Lock()
        self.waiting = {}  # id of a request of ours: where its answer goes

    def frames(self):
        while True:
            if given.framing == "newline":
                line = self.read.readline()
                if not line:
                    return
                yield line
            elif given.framing == "content_length":
                length = 0
                while True:
                    line = self.read.readline()
                    if not line:
                        return
                    if line in (b"\r\n", b"\n"):
                        break
                    if line.lower().startswith(b"content-length:"):
                        length = int(line.split(b":")[1])
                yield self.read.read(length)
            else:
                head = self.read.read(4)
                if len(head) < 4:
                    return
                yield self.read.read(struct.unpack(">I", head)[0])

    def send(self, message):
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        if given.framing == "newline":
            out = body + b"\n"
        elif given.framing == "content_length":
            out = b"Content-Length: %d\r\n\r\n" % len(body) + body
        else:
            out = struct.pack(">I", len(body)) + body
        with self.lock:
            if given.mode == "noise":
                out = b"about to say something\n" + out
            if given.mode == "split":
                for i in range(len(out)):
                    self.write.write(out[i:i + 1])
                    self.write.flush()
            else:
                self.write.write(out)
                self.write.flush()

    def greet(self, params):
        if given.protocol == "mcp":
            return {"protocolVersion": params["protocolVersion"], "capabilities": {"tools": {}},
                    "serverInfo": {"name": "peer", "version": "1.2"}}
        return {"name": "peer", "version": "1.2", "capabilities": [
            {"name": "tools", "version": "1", "config": {"tools": [
                {"name": t["name"], "description": t["description"]} for t in TOOLS]}}]}

    def ask(self, method, **params):
        """A request of ours: its result, or its error."""
        answered = threading.Event()
        with self.lock:
            id = "ours-%d" % len(self.waiting)
            self.waiting[id] = answered
        self.send({"id": id, "method": method, "params": params})
        answered.wait()
        return answered.said.get("result") if "result" in answered.said else answered.said["error"]

    def ask_by_port(self, port, method, **params):
        with socket.create_connection(("127.0.0.1", port)) as connection:
            stream = connection.makefile("rwb")
            body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
            stream.write(struct.pack(">I", len(body)) + body)
            stream.flush()
            said = json.loads(stream.read(struct.unpack(">I", stream.read(4))[0]))
            return said["result"] if "result" in said else said["error"]

    def ask_back(self, name, arguments, callback):
        named = {key: callback[key] for key in ("token", "request_id", "service_id")}
        if name == "ask_ai":
            said = self.ask("callback.ai", prompt=arguments["text"], **named)
        elif name == "ask_tool":
            said = self.ask("callback.tool", tool_name="add", params={"a": 2, "b": 3}, **named)
        elif name == "ask_context":
            said = self.ask("callback.context", operation="get", **named)
        else:
            said = self.ask_by_port(int(arguments["text"]), "callback.ai", prompt="by the port", **named)
            said = {**callback, "said": said}
        return json.dumps(said, separators=(",", ":"))

    def run_tool(self, name, arguments, callback):
        """The value, or an exception."""
        if name == "ask_ai_late":
            time.sleep(2)
            name = "ask_ai"
        if name in ("ask_ai", "ask_tool", "ask_context", "tell_token"):
            return self.ask_back(name, arguments, callback)
        if name == "add":
            return arguments["a"] + arguments["b"]
        if name == "say":
            return arguments["text"]
        if name == "sleep":
            time.sleep(arguments["seconds"])
            return "slept"
        if name == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if name == "environment":
            return json.dumps({"env": dict(os.environ), "cwd": os.getcwd(), "pid": os.getpid(),
                               "fds": sorted(int(fd) for fd in os.listdir("/proc/self/fd"))})
        raise ValueError("it does not want to")

    def answer(self, id, method, params):
        if method == "initialize":
            if given.mode == "mute":
                return
            if given.mode == "oversize":
                with self.lock:
                    self.write.write(struct.pack(">I", 17 << 20) if given.framing == "length_prefix"
                                     else b"Content-Length: 17825792\r\n\r\n")
                    self.write.flush()
                return
            self.send({"id": id, "result": self.greet(params)})
            if given.mode == "flood":
                threading.Thread(target=self.flood, daemon=True).start()
        elif method == "tools/list":
            self.send({"id": id, "result": {"tools": TOOLS}})
        elif method == "ping":
            self.send({"id": id, "result": {}})
        elif method == "shutdown":
            print("told to shut down", file=sys.stderr, flush=True)
            self.send({"id": id, "result": None})
        elif method in ("tools/call", "tool.execute"):
            mcp = method == "tools/call"
            name = params["name" if mcp else "tool_name"]
            arguments = params["arguments" if mcp else "params"]
            try:
                value = self.run_tool(name, arguments, params.get("callback"))
                result = {"content": [{"type": "text", "text": str(value)}]} if mcp else value
                if given.mode == "wrong_ids":
                    id = "made up" if isinstance(id, int) else 1
                self.send({"id": id, "result": result})
            except ValueError as error:
                if mcp:
                    self.send({"id": id, "result": {"isError": True, "content": [
                        {"type": "text", "text": str(error)}]}})
                else:
                    self.send({"id": id, "error": {"code": -32006, "message": str(error)}})
        else:
            self.send({"id": id, "error": {"code": -32601, "message": "no such method"}})

    def flood(self):
        while True:
            self.send({"method": "notifications/message", "params": {"data": "x" * 200}})

    def serve(self):
        for frame in self.frames():
            message = json.loads(frame)
            method = message.get("method")
            if method == "exit":
                return
            if method in ("notifications/cancelled", "request.cancel"):
                print("called off", file=sys.stderr, flush=True)
            elif message.get("id") in self.waiting:
                answered = self.waiting[message["id"]]
                answered.said = message
                answered.set()
            elif "id" in message and method:
                threading.Thread(target=self.answer, daemon=True,
                                 args=(message["id"], method, message.get("params"))).start()


print("peer %d is up" % os.getpid(), file=sys.stderr, flush=True)
if given.mode == "stubborn":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
if given.mode == "family":
    children = [subprocess.Popen(["sleep", "1000"]) for _ in range(3)]
    print("children " + " ".join(str(c.pid) for c in children), file=sys.stderr, flush=True)
if given.mode == "escape":
    subprocess.run([sys.executable, "-c",
                    "import os, signal, time\n"
                    "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
                    "if os.fork() == 0:\n"
                    "    os.setsid()\n"
                    "    if os.fork() == 0:\n"
                    "        os.write(2, b'escaped %d\\n' % os.getpid())\n"
                    "        [os.close(fd) for fd in range(3)]\n"
                    "        time.sleep(1000)\n"])
if given.listen:
    if given.listen == "tcp":
        listener = socket.create_server(("127.0.0.1", 0))
        print(listener.getsockname()[1], flush=True)
    else:
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(given.listen.removeprefix("unix:"))
        listener.listen()
        print("listening", flush=True)
    while True:
        connection, _ = listener.accept()
        peer = Peer(connection.makefile("rb"), connection.makefile("wb"))
        threading.Thread(target=peer.serve, daemon=True).start()
Peer(sys.stdin.buffer, sys.stdout.buffer).serve()
while given.mode == "stubborn":
    time.sleep(1000)
