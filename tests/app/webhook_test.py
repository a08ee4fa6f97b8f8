"""The webhook agent in the real daemon: signed requests, streamed answers."""

import hashlib
import hmac
import http.server
import json
import os
import threading
import time
import unittest

from daemon import Case, until

CONFIG = """
[server]
listen = ["127.0.0.1:0"]
[agents.far]
kind = "webhook"
url = "http://127.0.0.1:%d/turn"
signing_secret = { file = "%s" }
[channels.http]
kind = "http"
agent = "far"
[channels.cli]
kind = "cli"
agent = "far"
"""
SECRET = b"a secret between us"


class Agent(threading.Thread):
    """An agent of somebody else: answers each turn with the next of its streams."""

    def __init__(self, streams):
        super().__init__(daemon=True)
        self.turns = []
        agent = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                agent.turns.append((self.headers, body))
                self.send_response(200)
                self.send_header("Content-Type", "text/event-stream")
                self.end_headers()
                self.wfile.write(streams[len(agent.turns) - 1].encode())

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        self.start()

    def run(self):
        self.server.serve_forever()


class WebhookTest(Case):
    def daemon_for(self, agent):
        secret = os.path.join(self.folder, "secret")
        with open(os.open(secret, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as file:
            file.write(SECRET)
        self.addCleanup(agent.server.server_close)
        self.addCleanup(agent.server.shutdown)
        return self.daemon(CONFIG % (agent.port, secret)).start()

    def test_a_signed_turn_is_answered_by_a_stream(self):
        agent = Agent(['data: {"delta": "It is "}\n\ndata: {"delta": "four."}\n\n'
                       'event: done\ndata: {}\n\n'])
        daemon = self.daemon_for(agent)
        daemon.post("two and two?")
        until(lambda: ("agent", "It is four.") in daemon.history())
        headers, body = agent.turns[0]
        self.assertEqual(json.loads(body)["text"], "two and two?")
        signature = dict(field.split("=", 1)
                         for field in headers["X-Sluice-Signature"].split(","))
        mac = hmac.new(SECRET, signature["t"].encode() + b"." + body, hashlib.sha256)
        self.assertEqual(signature["v1"], mac.hexdigest())
        self.assertLess(abs(time.time() - int(signature["t"])), 300)

    def test_of_a_stream_that_breaks_off_the_person_keeps_what_was_seen(self):
        agent = Agent(['data: {"delta": "It is "}\n\n'])
        daemon = self.daemon_for(agent)
        daemon.post("two and two?")
        lines = until(lambda: (lambda all: all if len(all) > 2 else None)(daemon.history()))
        self.assertEqual(lines[1], ("agent", "It is "))
        self.assertEqual(lines[2][0], "notice")
        self.assertEqual(len(agent.turns), 1)


if __name__ == "__main__":
    unittest.main()
