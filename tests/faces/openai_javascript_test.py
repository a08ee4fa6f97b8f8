"""The official OpenAI client for JavaScript, as it comes from npm, talks to our face."""

import json
import os
import shutil
import subprocess
import unittest

from face import INTEROP, SOURCE, FaceCase, skip

if not os.path.isdir(os.path.join(INTEROP, "node_modules/openai")):
    skip()


class JavaScriptClientTest(FaceCase):
    def test_the_client_gets_what_it_asks_for(self):
        # The client is found from where the script lies.
        script = shutil.copy(os.path.join(SOURCE, "tests/faces/openai_client.mjs"), INTEROP)
        url = self.url().removesuffix("/v1")
        asked = subprocess.run(["node", script, url, self.sluice.token], capture_output=True, text=True,
                               timeout=200)
        self.assertEqual(asked.returncode, 0, asked.stderr)
        lines = [json.loads(line) for line in asked.stdout.splitlines()]
        answers = {line["name"]: line["answer"] for line in lines}
        refused = {name: (answer["error"], answer["status"], answer["code"])
                   for name, answer in answers.items() if "error" in answer}
        self.assertEqual(answers["whole"]["message"]["content"], "hello")
        self.assertEqual(answers["whole"]["finish_reason"], "stop")
        stream = answers["stream"]
        self.assertEqual((stream["role"], "".join(stream["texts"]), stream["finish"]),
                         ("assistant", "one two three", "stop"))
        self.assertGreater(len(stream["texts"]), 1)
        self.assertIsNone(answers["usage"]["usage"])
        self.assertEqual(answers["helper"], {"content": "hello"})
        self.assertEqual(answers["image"], {"content": "look"})
        self.assertEqual(answers["models"], ["echo", "gpt-4o"])
        self.assertEqual(answers["repeat"], {"same": True, "content": "same"})
        self.assertEqual(answers["retries"], {"content": "late"})
        self.assertEqual(refused, {
            "withoutKey": ("InternalServerError", 503, "answer_pending"),
            "failed": ("InternalServerError", 500, "internal"),
            "tools": ("BadRequestError", 400, "unsupported_parameter"),
            "stranger": ("AuthenticationError", 401, "invalid_api_key"),
            "noImage": ("BadRequestError", 400, "unsupported_content"),
            "unknown": ("NotFoundError", 404, "model_not_found"),
        })
        self.assertEqual(answers["tools"]["param"], "tools")


if __name__ == "__main__":
    unittest.main(verbosity=2)
