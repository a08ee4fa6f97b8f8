"""The daemon under test: a process of its own in a folder of its own, and a client for it.

Nothing here sleeps for luck: the start is over when the banner is there, the end when the process is
gone, and what happens in between is polled against a deadline.
"""

import http.client
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
import time
import unittest

BINARY = os.environ["SLUICE"]
SOURCE = os.environ["SLUICE_SOURCE"]
PATIENCE = 60  # seconds: for a machine that does other things too


class Answer:
    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers
        self.body = body

    def json(self):
        return json.loads(self.body)


def until(what, seconds=PATIENCE):
    """Asks what() until it says yes, and returns what it said."""
    deadline = time.monotonic() + seconds
    while True:
        said = what()
        if said:
            return said
        if time.monotonic() > deadline:
            raise AssertionError("in vain: waited %d s" % seconds)
        time.sleep(0.01)


class Daemon:
    """`sluice run` in a folder. Start, speak, stop, start again."""

    def __init__(self, folder, config=None):
        self.folder = folder
        self.data = os.path.join(folder, "data")
        self.binary = BINARY
        self.config = None
        self.process = None
        self.base = None
        self.banner = ""
        self.errors = os.path.join(folder, "stderr")
        self.more_environment = {}
        if config is not None:
            self.write_config(config)

    def write_config(self, text):
        self.config = os.path.join(self.folder, "sluice.toml")
        with open(self.config, "w") as file:
            file.write(text)

    def environment(self):
        env = {k: v for k, v in os.environ.items() if not k.startswith(("XDG_", "SLUICE"))}
        env["HOME"] = self.folder
        env["XDG_CONFIG_HOME"] = os.path.join(self.folder, "config")
        env["XDG_DATA_HOME"] = os.path.join(self.folder, "share")
        env.update(self.more_environment)
        return env

    def paths(self):
        if self.config is None:
            return []
        return ["--config", self.config, "--data", self.data]

    def run(self, *words, **more):
        """Another command of the binary, to its end."""
        return subprocess.run([BINARY, *words], env=self.environment(), capture_output=True,
                              text=True, timeout=PATIENCE, **more)

    def client(self, *words, **more):
        return self.run(*words, *self.paths(), **more)

    def later(self, *words):
        """The same, while it still runs."""
        return subprocess.Popen([BINARY, *words, *self.paths()], env=self.environment(), text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def spawn(self, prepare=None):
        with open(self.errors, "a") as errors:
            self.process = subprocess.Popen(
                [self.binary, "run", *self.paths()], env=self.environment(), text=True,
                stdout=subprocess.PIPE, stderr=errors, preexec_fn=prepare)

    def start(self, prepare=None):
        """Returns when it is ready; fails with what it said if it ends instead."""
        self.spawn(prepare)
        lines = []
        for line in self.process.stdout:
            lines.append(line)
            if line.startswith("  control"):
                break
        else:
            raise AssertionError("did not start: %s\n%s" % (self.process.wait(), self.said()))
        self.banner = "".join(lines)
        found = re.search(r"(https?)://([^:]+):(\d+)/v1", self.banner)
        if found:
            self.base = (found[1], found[2], int(found[3]))
            with open(re.search(r"cat ([^)]+)\)", self.banner)[1]) as file:
                self.token = file.read().strip()
        self.socket = re.search(r"control +(\S+)", self.banner)[1]
        return self

    def fails(self, prepare=None):
        """Starts it, and returns its exit code and what it said: it must not become ready."""
        self.spawn(prepare)
        out, _ = self.process.communicate(timeout=PATIENCE)
        code = self.process.returncode
        self.process = None
        if "is ready" in out:
            raise AssertionError("it started")
        return code, self.said()

    def said(self):
        """What it wrote to standard error, in all its starts."""
        with open(self.errors) as file:
            return file.read()

    def wait(self):
        code = self.process.wait(timeout=PATIENCE)
        self.process.stdout.close()
        self.process = None
        return code

    def stop(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        return self.wait()

    def request(self, method, path, body=None, headers=None, token="own", host=None):
        """One request on a connection of its own. token: "own", None or a text."""
        connection = self.connection()
        sent = dict(headers or {})
        if token is not None:
            sent["Authorization"] = "Bearer " + (self.token if token == "own" else token)
        if body is not None and not isinstance(body, (bytes, str)):
            body = json.dumps(body)
        if body is not None:
            sent.setdefault("Content-Type", "application/json")
        connection.putrequest(method, path, skip_host=host is not None)
        if host is not None and host != "":
            connection.putheader("Host", host)
        if body is not None:
            body = body.encode() if isinstance(body, str) else body
            connection.putheader("Content-Length", str(len(body)))
        for name, value in sent.items():
            connection.putheader(name, value)
        connection.endheaders(body)
        response = connection.getresponse()
        answer = Answer(response.status, response.headers, response.read())
        connection.close()
        return answer

    def connection(self):
        scheme, host, port = self.base
        if scheme == "https":
            context = ssl.create_default_context(cafile=certificate("localhost.crt"))
            return http.client.HTTPSConnection(host, port, timeout=PATIENCE, context=context)
        return http.client.HTTPConnection(host, port, timeout=PATIENCE)

    def operate(self, method, path, body=None):
        """A request on the control socket."""
        connection = http.client.HTTPConnection("localhost", timeout=PATIENCE)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(PATIENCE)
        connection.sock.connect(self.socket)
        headers = {"Content-Type": "application/json"} if body is not None else {}
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        response = connection.getresponse()
        answer = Answer(response.status, response.headers, response.read())
        connection.close()
        return answer

    def post(self, text, chat="main", id=None, **fields):
        self.ids = getattr(self, "ids", 0) + 1
        message = {"id": id or "m%d" % self.ids, "text": text, **fields}
        return self.request("POST", "/v1/conversations/%s/messages" % chat, message)

    def history(self, chat="main"):
        """(kind, text) of each line, oldest first."""
        answer = self.request("GET", "/v1/conversations/%s/history?limit=100" % chat)
        if answer.status == 404:
            return []
        lines = answer.json()
        lines = lines.get("lines") or lines.get("history") or lines.get("messages")
        return [(line["kind"], line["text"]) for line in sorted(lines or [], key=lambda l: l["id"])]


def certificate(name):
    return os.path.join(SOURCE, "tests/app/certificates", name)


class Case(unittest.TestCase):
    """A folder, daemons in it, and none of them left behind."""

    maxDiff = None

    def setUp(self):
        # Short: a control socket's path has at most 107 bytes.
        self.folder = tempfile.mkdtemp(prefix="sluice-", dir="/tmp")
        self.daemons = []
        self.addCleanup(self.clean_up)

    def clean_up(self):
        for daemon in self.daemons:
            if daemon.process is not None:
                daemon.process.kill()
                daemon.process.wait()
                daemon.process.stdout.close()
        subprocess.run(["chmod", "-R", "u+rwx", self.folder], check=False)
        shutil.rmtree(self.folder, ignore_errors=True)

    def daemon(self, config='[server]\nlisten = ["127.0.0.1:0"]\n', folder=None):
        where = folder or self.folder
        os.makedirs(where, exist_ok=True)
        made = Daemon(where, config)
        self.daemons.append(made)
        return made


class Sink(threading.Thread):
    """An HTTP server of somebody else: keeps what is posted to it and answers 200 with `answer`,
    or refuses with 503 while it is `closed`."""

    def __init__(self, answer=b"{}"):
        super().__init__(daemon=True)
        import http.server

        sink = self
        self.got = []
        self.refused = 0
        self.closed = False
        self.answer = answer

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if sink.closed:
                    sink.refused += 1
                else:
                    sink.got.append((dict(self.headers), json.loads(body)))
                self.send_response(503 if sink.closed else 200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(sink.answer)))
                self.end_headers()
                self.wfile.write(sink.answer)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        self.url = "http://127.0.0.1:%d/callback" % self.port
        self.start()

    def run(self):
        self.server.serve_forever()

    def close(self):
        self.server.shutdown()
        self.server.server_close()
