"""The daemon's model agents pass the scenarios that the official clients pass (sdk_test.py), seen over
its HTTP API. The examples of the guides are what runs here, but for base_url and shorter waits."""

import base64
import json
import os
import re
import shutil
import tempfile
import time
import unittest
import urllib.parse

from mock import Mock
from fixtures import GREETING, KEY, LINE, STORY
from daemon import SOURCE, Daemon, until


AGENTS = {"openai": "gpt", "anthropic": "claude"}  # as the guides name them


def example(kind):
    """The first TOML block of the kind's guide."""
    with open(os.path.join(SOURCE, "docs/agents/%s.md" % kind)) as file:
        block = re.search(r"(?m)(?:^    .*\n|^\n)+", file.read().split("\n\n", 2)[2])[0]
    return re.sub(r"(?m)^    ", "", block)


def configuration(mock):
    bases = {"openai": mock.url + "/v1", "anthropic": mock.url}
    text = """
        [server]
        listen = ["127.0.0.1:0"]
        [core]
        reply_bytes_max = "64KiB"
        retry_backoff = "100ms"
        [agents.none]
        kind = "openai"
        base_url = "http://127.0.0.1:1/v1"
        model = "x"
        [channels.http]
        agent = "none"
        [channels.cli]
        agent = "none"
        """
    for kind, base in bases.items():
        made = example(kind).replace("[channels.http]", '[channels.%s]\nkind = "http"' % kind)
        made = re.sub(r"(?m)^\[channels.cli\]\nagent = .*\n", "", made)
        made = made.replace("kind = \"%s\"\n" % kind, """kind = "%s"
            base_url = "%s"
            first_token_timeout = "2s"
            gap_timeout = "1s"
            """ % (kind, base), 1)
        text += made + """
            [agents.wrong-%s]
            kind = "%s"
            base_url = "%s"
            model = "x"
            api_key = { env = "WRONG_KEY" }
            [channels.wrong-%s]
            kind = "http"
            agent = "wrong-%s"
            """ % (kind, kind, base, kind, kind)
    return text


def prefix(account):
    return "/v1" if account == "http" else "/accounts/%s/v1" % account


class AgentsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="sluice-", dir="/tmp")
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        cls.mock = Mock(cls.folder)
        cls.addClassCleanup(cls.mock.stop)
        os.environ.update(OPENAI_API_KEY=KEY, ANTHROPIC_API_KEY=KEY, WRONG_KEY="sk-wrong")
        cls.daemon = Daemon(cls.folder, configuration(cls.mock)).start()
        cls.addClassCleanup(cls.daemon.stop)

    def post(self, account, chat, text, **more):
        path = "%s/conversations/%s/messages" % (prefix(account), chat)
        message = {"id": "%s-%f" % (chat, time.monotonic()), "text": text, **more}
        answer = self.daemon.request("POST", path, message)
        self.assertEqual(answer.status, 202, answer.body)
        return answer.json()["message"]

    def lines(self, account, chat):
        path = "%s/conversations/%s/history" % (prefix(account), chat)
        return sorted(self.daemon.request("GET", path).json()["lines"], key=lambda line: line["id"])

    def life(self, account, message):
        return self.daemon.request("GET", "%s/messages/%d" % (prefix(account), message)).json()

    def ask(self, account, text, chat=None, **more):
        """Returns the answer's lines, without the person's, and the message's life."""
        chat = chat or urllib.parse.quote(text, safe="")
        message = self.post(account, chat, text, **more)
        until(lambda: self.life(account, message)["status"] != "pending")
        life = self.life(account, message)
        lines = [line for line in self.lines(account, chat)
                 if line["turn"] == life["turn"] and line["kind"] != "person"]
        return lines, life

    def answered(self, kind, text, chat=None, **more):
        lines, life = self.ask(kind, text, chat, **more)
        self.assertEqual((life["status"], [l["kind"] for l in lines]), ("answered", ["agent"]), lines)
        return lines[0]["text"], life

    def failed(self, kind, text):
        lines, life = self.ask(kind, text)
        self.assertIn(life["status"], ("failed", "dead"))
        self.assertEqual(lines[-1]["kind"], "notice")
        return lines, life

    def tokens(self, agent, kind):
        page = self.daemon.request("GET", "/metrics").body.decode()
        name = 'sluice_model_tokens_total{agent="%s",kind="%s"}' % (agent, kind)
        return int(re.search(re.escape(name) + r" (\d+)", page)[1])

    def both(self, check):
        for kind in ("openai", "anthropic"):
            with self.subTest(kind):
                check(kind)

    def test_an_answer_streams_and_its_tokens_are_counted(self):
        def check(kind):
            before = self.tokens(AGENTS[kind], "prompt")
            text, life = self.answered(kind, "greet")
            self.assertEqual(text, GREETING)
            self.assertEqual(life["attempts"], 1)
            self.assertEqual(self.tokens(AGENTS[kind], "prompt") - before, 21)
        self.both(check)

    def test_the_examples_of_the_guides_are_right_as_they_are(self):
        def check(kind):
            path = os.path.join(self.folder, kind + ".toml")
            with open(path, "w") as file:
                file.write(example(kind))
            checked = self.daemon.run("check-config", path)
            self.assertEqual(checked.returncode, 0, checked.stdout + checked.stderr)
        self.both(check)

    def test_deltas_come_before_the_end(self):
        def check(kind):
            connection = self.daemon.connection()
            connection.request("GET", prefix(kind) + "/conversations/follow/events?after=0",
                               headers={"Authorization": "Bearer " + self.daemon.token})
            stream = connection.getresponse()
            self.post(kind, "follow", "stalled")
            events, event, offset = [], None, 0
            while not any(name == "message" and data["kind"] == "notice" for name, data in events):
                line = stream.readline().decode().rstrip("\n")
                if line.startswith("event: "):
                    event = line[7:]
                elif line.startswith("data: "):
                    events.append((event or "message", json.loads(line[6:])))
                elif not line:
                    event = None
            connection.close()
            deltas = [data for name, data in events if name == "delta"]
            self.assertGreater(len(deltas), 1)
            for delta in deltas:
                self.assertEqual(delta["offset"], offset)
                offset += len(delta["text"].encode())
            kept = [data for name, data in events if name == "message" and data["kind"] == "agent"]
            self.assertEqual(kept[0]["text"], "".join(delta["text"] for delta in deltas))
            self.assertTrue(kept[0]["cut"])
        self.both(check)

    def test_the_system_prompt_is_sent(self):
        self.both(lambda kind: self.assertEqual(
            self.answered(kind, "who are you")[0], "The shop's assistant."))

    def test_the_conversation_is_sent(self):
        def check(kind):
            self.answered(kind, "greet", "long")
            self.assertEqual(self.answered(kind, "and again", "long")[0],
                             "Again, after your answer.")
        self.both(check)

    def test_an_image_is_sent_as_the_api_takes_it(self):
        image = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJ"
                                 "RU5ErkJggg==")

        def check(kind):
            sent = self.daemon.request("POST", prefix(kind) + "/media", image, headers={"Content-Type": "image/png"})
            self.assertEqual(sent.status, 201, sent.body)
            self.assertEqual(self.answered(kind, "greet", "images", attachments=[sent.json()["id"]])[0], GREETING)
            asked = self.mock.journal()[-1]
            encoded = base64.b64encode(image).decode()
            if kind == "openai":
                self.assertIn("data:image/png;base64," + encoded, json.dumps(asked["body"]))
            else:  # the mock takes it, but does not keep it: the shape is AnthropicAgentTest's
                self.assertGreater(int(asked["headers"]["content-length"]), 200 + len(encoded))
        self.both(check)

    def test_a_limit_is_waited_for(self):
        def check(kind):
            began = time.monotonic()
            text, life = self.answered(kind, "limited " + kind)
            self.assertEqual((text, life["attempts"]), (GREETING, 2))
            self.assertGreaterEqual(time.monotonic() - began, 1)  # Retry-After: 1
        self.both(check)

    def test_an_overload_is_tried_again(self):
        def check(kind):
            text, life = self.answered(kind, "overloaded " + kind)
            self.assertEqual((text, life["attempts"]), (GREETING, 2))
        self.both(check)

    def test_a_broken_stream_keeps_what_came_and_is_not_asked_again(self):
        def check(kind):
            lines, life = self.failed(kind, "broken")
            self.assertEqual([l["kind"] for l in lines], ["agent", "notice"])
            self.assertTrue(lines[0]["cut"] and STORY.startswith(lines[0]["text"]))
            self.assertEqual(lines[0]["meta"]["error"], "execution_failed")
            self.assertEqual(life["attempts"], 1)
        self.both(check)

    def test_a_stalled_stream_times_out_and_keeps_what_came(self):
        def check(kind):
            lines, life = self.failed(kind, "stalled")
            self.assertTrue(lines[0]["cut"] and STORY.startswith(lines[0]["text"]))
            self.assertIn("gap_timeout", life["reason"])
        self.both(check)

    def test_a_silent_model_is_asked_three_times(self):
        def check(kind):
            lines, life = self.failed(kind, "silent")
            self.assertEqual((life["status"], life["attempts"]), ("dead", 3))
            self.assertEqual(lines[0]["meta"]["error"], "timeout")
        self.both(check)

    def test_an_endless_stream_is_cut_at_the_bound(self):
        def check(kind):
            lines, life = self.ask(kind, "endless")
            self.assertEqual([l["kind"] for l in lines], ["agent", "notice"])
            self.assertEqual(len(lines[0]["text"]), 64 * 1024)
            self.assertTrue(lines[0]["cut"] and lines[0]["text"].startswith(LINE))
            self.assertIn("too long", lines[1]["text"])
        self.both(check)

    def test_a_tool_call_is_told(self):
        def check(kind):
            text, _ = self.answered(kind, "tool")
            self.assertTrue(text.startswith("Let me look."))
            self.assertTrue(text.endswith("[The model asked for a tool: get_weather. "
                                          "Tools can't be used here.]"))
        self.both(check)

    def test_a_cut_at_the_length_limit_is_told(self):
        self.both(lambda kind: self.assertEqual(
            self.answered(kind, "cut short")[0],
            "As I was saying\n\n[The answer was cut off at its length limit.]"))

    def test_thinking_is_not_shown(self):
        self.both(lambda kind: self.assertEqual(self.answered(kind, "think")[0], "Four."))

    def test_a_refused_request_is_not_made_again(self):
        def check(kind):
            lines, life = self.failed(kind, "refused")
            self.assertEqual((life["attempts"], lines[0]["meta"]["error"]), (1, "validation_error"))
        self.both(check)

    def test_a_wrong_key_is_told_as_the_operators_matter(self):
        def check(kind):
            lines, life = self.failed("wrong-" + kind, "greet")
            self.assertEqual((life["attempts"], lines[0]["meta"]["error"]), (1, "api_key_missing"))
            self.assertNotIn("sk-wrong", self.daemon.said())
        self.both(check)

    def test_a_malformed_answer_is_an_error(self):
        self.both(lambda kind: self.assertIn("answered application/json",
                                             self.failed(kind, "malformed")[1]["reason"]))

    def test_a_server_that_is_not_there_is_tried_again(self):
        lines, life = self.failed("http", "greet")
        self.assertEqual((life["status"], life["attempts"]), ("dead", 3))
        self.assertEqual(lines[0]["meta"]["error"], "provider_error")


if __name__ == "__main__":
    unittest.main(verbosity=2)
