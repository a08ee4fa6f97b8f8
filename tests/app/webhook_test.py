"""The webhook agent in the real daemon: signed requests, streamed answers."""

import hashlib
import hmac
import os
import time
import unittest

from daemon import Case, until
from webhook_agent import CONFIG, Agent

SECRET = b"a secret between us"


def stream(text):
    return (200, "text/event-stream", text)


class WebhookTest(Case):
    def daemon_for(self, agent):
        secret = os.path.join(self.folder, "secret")
        with open(os.open(secret, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as file:
            file.write(SECRET)
        self.addCleanup(agent.close)
        signed = 'signing_secret = { file = "%s" }' % secret
        return self.daemon(CONFIG % (agent.port, signed)).start()

    def test_a_signed_turn_is_answered_by_a_stream(self):
        agent = Agent(stream('data: {"delta": "It is "}\n\ndata: {"delta": "four."}\n\n'
                             'event: done\ndata: {}\n\n'))
        daemon = self.daemon_for(agent)
        daemon.post("two and two?")
        until(lambda: ("agent", "It is four.") in daemon.history())
        self.assertEqual(agent.turns()[0]["text"], "two and two?")
        headers, body = agent.posts[0]
        signature = dict(field.split("=", 1)
                         for field in headers["X-Sluice-Signature"].split(","))
        mac = hmac.new(SECRET, signature["t"].encode() + b"." + body, hashlib.sha256)
        self.assertEqual(signature["v1"], mac.hexdigest())
        self.assertLess(abs(time.time() - int(signature["t"])), 300)

    def test_of_a_stream_that_breaks_off_the_person_keeps_what_was_seen(self):
        agent = Agent(stream('data: {"delta": "It is "}\n\n'))
        daemon = self.daemon_for(agent)
        daemon.post("two and two?")
        lines = until(lambda: (lambda all: all if len(all) > 2 else None)(daemon.history()))
        self.assertEqual(lines[1], ("agent", "It is "))
        self.assertEqual(lines[2][0], "notice")
        self.assertEqual(len(agent.posts), 1)


if __name__ == "__main__":
    unittest.main()
