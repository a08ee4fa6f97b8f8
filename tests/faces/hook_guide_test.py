"""The examples of the hook channel's guide run as they are written, with curl and openssl."""

import json
import os
import re
import shutil
import subprocess
import unittest

from face import SOURCE, skip
from daemon import Case, Sink, until

if not (shutil.which("curl") and shutil.which("openssl")):
    skip()


class HookGuideTest(Case):
    def setUp(self):
        super().setUp()
        self.sink = Sink()
        self.addCleanup(self.sink.close)
        self.sluice = self.daemon("""
            [server]
            listen = ["127.0.0.1:0"]
            [agents.echo]
            kind = "echo"
            [channels.desk]
            kind = "hook"
            agent = "echo"
            token = { file = "%s" }
            receive_secret = { file = "%s" }
            callback_allow = ["127.0.0.1:%d"]
            """ % (self.secret("token"), self.secret("secret"), self.sink.port)).start()

    def secret(self, text):
        path = os.path.join(self.folder, text)
        with open(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600), "w") as file:
            file.write(text)
        return path

    def example(self, holds):
        with open(os.path.join(SOURCE, "docs/channels/hook.md")) as file:
            blocks = re.findall(r"(?m)(?:^    .*\n)+", file.read())
        return re.sub(r"(?m)^    ", "", [block for block in blocks if holds in block][0])

    def run_example(self, holds):
        script = self.example(holds).replace("http://127.0.0.1:8484", "%s://%s:%d" % self.sluice.base)
        script = script.replace("python3 receiver.py &", "").replace("9100", str(self.sink.port))
        ran = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=60,
                             env={**os.environ, "DESK_TOKEN": "token", "DESK_SECRET": "secret"})
        return json.loads(ran.stdout)

    def test_a_post_is_accepted_and_answered_at_the_callback(self):
        self.assertEqual(self.run_example("python3 receiver.py &")["status"], "accepted")
        until(lambda: self.sink.got)
        self.assertEqual(self.sink.got[0][1]["text"], "hello")

    def test_a_signed_post_is_accepted(self):
        self.assertEqual(self.run_example("openssl dgst")["status"], "accepted")

    def test_a_post_that_waits_gets_what_the_guide_shows(self):
        answer = self.run_example('"answer": "wait"}')
        shown = json.loads(self.example('"status":"answered","text":"hello","cut":false}'))
        self.assertEqual({**answer, "message": 8}, shown)


if __name__ == "__main__":
    unittest.main(verbosity=2)
