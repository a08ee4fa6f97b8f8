"""The mock is a model API as far as our scenarios go: the official clients pass them against it."""

import json
import os
import shutil
import subprocess
import tempfile
import unittest

from mock import HERE, INTEROP, Mock
from fixtures import GREETING, KEY, STORY


class SdkTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="models-")
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        mock = Mock(cls.folder)
        cls.addClassCleanup(mock.stop)
        # The clients are found from where the script lies.
        script = shutil.copy(os.path.join(HERE, "sdk.mjs"), INTEROP)
        asked = subprocess.run(["node", script, mock.url, KEY], capture_output=True, text=True,
                               timeout=200)
        assert asked.returncode == 0, asked.stderr
        lines = [json.loads(line) for line in asked.stdout.splitlines()]
        cls.answers = {(line["api"], line["text"].removesuffix(" " + line["api"])): line
                       for line in lines}

    def each(self, text):
        return [self.answers[api, text] for api in ("openai", "anthropic")]

    def test_an_answer_streams(self):
        for answer in self.each("greet"):
            self.assertEqual(answer["answer"], GREETING)
            self.assertGreater(answer["chunks"], 3)
            self.assertEqual(answer["usage"], 21)

    def test_the_system_prompt_is_seen(self):
        for answer in self.each("who are you"):
            self.assertEqual(answer["answer"], "The shop's assistant.")

    def test_what_was_limited_or_overloaded_is_asked_again(self):
        for text in ("limited", "overloaded"):
            for answer in self.each(text):
                self.assertEqual(answer["answer"], GREETING)

    def test_a_broken_stream_has_a_beginning_and_no_end(self):
        for answer in self.each("broken"):
            self.assertTrue(STORY.startswith(answer["answer"]) and answer["answer"])
            self.assertNotIn("finish", answer)

    def test_a_stalled_stream_has_a_beginning_and_then_nothing(self):
        for answer in self.each("stalled"):
            self.assertTrue(answer["stalled"])
            self.assertTrue(answer["answer"])

    def test_an_endless_stream_goes_on(self):
        for answer in self.each("endless"):
            self.assertTrue(answer["endless"])

    def test_a_tool_is_asked_for(self):
        for answer in self.each("tool"):
            self.assertEqual(answer["tool"], "get_weather")

    def test_a_limit_on_length_is_told(self):
        for answer in self.each("cut short"):
            self.assertIn(answer["finish"], ("length", "max_tokens"))

    def test_thinking_is_no_text(self):
        for answer in self.each("think"):
            self.assertEqual(answer["answer"], "Four.")

    def test_refusals_are_errors(self):
        for text, status in (("refused", 400), ("wrong key", 401)):
            for answer in self.each(text):
                self.assertEqual(answer["status"], status)

    def test_malformed_answers_are_errors(self):
        for answer in self.each("malformed"):
            self.assertEqual(answer["answer"], "")


if __name__ == "__main__":
    unittest.main(verbosity=2)
