"""The official OpenAI client for Python, as it comes from PyPI, talks to our face."""

import base64
import http.server
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import unittest

from face import CONFIGURATION, SOURCE, FaceCase, skip

try:
    import openai
except ImportError:
    skip()


def say(text):
    return [{"role": "user", "content": text}]


def show(url):
    return [{"role": "user", "content": [{"type": "text", "text": "look"},
                                         {"type": "image_url", "image_url": {"url": url}}]}]


def picture():
    with open(os.path.join(SOURCE, "docs/images/chat-phone.png"), "rb") as file:
        return file.read()


def key(name):
    return {"Idempotency-Key": name}


MODEL = """
[agents.seer]
kind = "openai"
base_url = "http://127.0.0.1:%d/v1"
model = "m"
[channels.seeing]
kind = "openai"
agent = "seer"
[channels.http]
kind = "http"
agent = "echo"
[channels.cli]
kind = "cli"
agent = "echo"
"""


class Model(threading.Thread):
    """A model's API that says the same to everything, and keeps what it was asked."""

    def __init__(self):
        super().__init__(daemon=True)
        self.asked = []
        model = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                model.asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(200)
                self.send_header("Content-Type", "text/event-stream")
                self.end_headers()
                chunk = {"choices": [{"index": 0, "delta": {"content": "A page."}, "finish_reason": "stop"}]}
                self.wfile.write(b"data: %s\n\ndata: [DONE]\n\n" % json.dumps(chunk).encode())

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        self.start()

    def run(self):
        self.server.serve_forever()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class PythonClientTest(FaceCase):
    def client(self, account="openai", **more):
        made = openai.OpenAI(base_url=self.url(account), api_key=more.pop("api_key", self.sluice.token),
                             **more)
        self.addCleanup(made.close)
        return made

    def ask(self, text, client=None, **more):
        client = client or self.client()
        return client.chat.completions.create(model="echo", messages=say(text), **more)

    def content(self, text, client=None, **more):
        return self.ask(text, client, **more).choices[0].message.content

    def stream(self, text, client=None, **more):
        return "".join(chunk.choices[0].delta.content or ""
                       for chunk in self.ask(text, client, stream=True, **more) if chunk.choices)

    def test_an_answer_comes_in_one_piece(self):
        answer = self.ask("hello")
        self.assertEqual(answer.choices[0].message.content, "hello")
        self.assertEqual(answer.choices[0].message.role, "assistant")
        self.assertEqual(answer.choices[0].finish_reason, "stop")
        self.assertEqual(answer.model, "echo")
        self.assertIsNone(answer.usage)
        self.assertLess(abs(answer.created - time.time()), 600)

    def test_an_answer_streams(self):
        chunks = list(self.ask("!stream one two three", stream=True))
        self.assertEqual(chunks[0].choices[0].delta.role, "assistant")
        texts = [chunk.choices[0].delta.content for chunk in chunks[1:-1]]
        self.assertEqual("".join(texts), "one two three")
        self.assertGreater(len(texts), 1)
        self.assertEqual(chunks[-1].choices[0].finish_reason, "stop")

    def test_the_helper_for_streams_gathers_a_whole_completion(self):
        with self.client().chat.completions.stream(model="echo", messages=say("hello")) as stream:
            stream.until_done()
            self.assertEqual(stream.get_final_completion().choices[0].message.content, "hello")

    def test_usage_that_is_asked_for_is_unknown(self):
        last = list(self.ask("hello", stream=True, stream_options={"include_usage": True}))[-1]
        self.assertEqual(last.choices, [])
        self.assertIsNone(last.usage)

    def test_models_are_listed_and_found(self):
        client = self.client()
        self.assertEqual([model.id for model in client.models.list()], ["echo", "gpt-4o"])
        self.assertEqual(client.models.retrieve("gpt-4o").id, "gpt-4o")
        with self.assertRaises(openai.NotFoundError) as refused:
            client.models.retrieve("other")
        self.assertEqual(refused.exception.code, "model_not_found")

    def test_earlier_messages_are_folded_into_the_text(self):
        messages = [{"role": "system", "content": "Be brief."}, *say("Hello"),
                    {"role": "assistant", "content": "Hi!"}, *say("What did I say?")]
        answer = self.client().chat.completions.create(model="echo", messages=messages)
        with open(os.path.join(SOURCE, "docs/channels/openai.md")) as file:
            self.assertIn(answer.choices[0].message.content,
                          re.sub(r"(?m)^      ", "", file.read()))

    def test_with_a_user_the_last_message_is_what_is_new(self):
        messages = [{"role": "system", "content": "Be brief."}, *say("Hello")]
        answer = self.client().chat.completions.create(model="echo", messages=messages, user="ann")
        self.assertEqual(answer.choices[0].message.content, "Hello")

    def test_a_repeated_request_gets_the_same_answer_and_runs_no_second_turn(self):
        first = self.ask("hello", extra_headers=key("k1"))
        second = self.ask("hello", extra_headers=key("k1"))
        self.assertEqual(first, second)
        self.assertEqual(self.stream("hello", extra_headers=key("k1")), "hello")
        self.assertEqual(self.turns(), 1)

    def test_an_image_reaches_the_model_behind_as_it_was(self):
        model = Model()
        self.addCleanup(model.close)
        self.sluice.stop()
        self.sluice = self.daemon(CONFIGURATION + MODEL % model.port).start()
        url = "data:image/png;base64," + base64.b64encode(picture()).decode()
        for _ in range(2):
            answer = self.client("seeing").chat.completions.create(
                model="seer", messages=show(url), extra_headers=key("k1"))
            self.assertEqual(answer.choices[0].message.content, "A page.")
        self.assertEqual(len(model.asked), 1)
        parts = model.asked[0]["messages"][-1]["content"]
        self.assertEqual([part["image_url"]["url"] for part in parts if part["type"] == "image_url"],
                         [url])
        self.assertEqual([part["text"] for part in parts if part["type"] == "text"], ["look"])

    def test_an_image_that_is_none_is_refused_and_named(self):
        with self.assertRaises(openai.BadRequestError) as refused:
            self.client().chat.completions.create(
                model="echo", messages=show("data:image/png;base64,aGVsbG8="))
        self.assertEqual(refused.exception.param, "messages[0].content[1]")
        self.assertEqual(refused.exception.code, "unsupported_content")

    def test_a_key_used_with_another_text_is_refused(self):
        self.ask("hello", extra_headers=key("k1"))
        with self.assertRaises(openai.UnprocessableEntityError) as refused:
            self.ask("other", extra_headers=key("k1"))
        self.assertEqual(refused.exception.code, "idempotency_key_reused")

    def test_the_clients_own_retries_fetch_a_slow_answer_by_their_key(self):
        self.assertEqual(self.content("!slow 2s hello", self.client("hasty", max_retries=9),
                                      extra_headers=key("k1")), "hello")
        self.assertEqual(self.turns(), 1)

    def test_without_a_key_the_client_is_kept_from_asking_twice(self):
        with self.assertRaises(openai.InternalServerError) as late:
            self.content("!slow 2s hello", self.client("hasty", max_retries=9))
        self.assertEqual(late.exception.code, "answer_pending")
        ours = late.exception.response.headers["Idempotency-Key"]
        self.assertIn(ours, str(late.exception))
        self.assertEqual(self.content("!slow 2s hello", extra_headers=key(ours),
                                      client=self.client("hasty", max_retries=9)), "hello")
        self.assertEqual(self.turns(), 1)

    def test_an_answer_is_fetched_after_the_daemon_was_killed(self):
        stream = iter(self.ask("!stream one two three four five", stream=True, extra_headers=key("k1")))
        next(stream)
        next(stream)
        self.sluice.stop(signal.SIGKILL)
        with self.assertRaises(Exception):
            list(stream)
        self.sluice.start()
        self.assertEqual(self.content("!stream one two three four five", extra_headers=key("k1")),
                         "one two three four five")

    def test_a_failed_turn_is_an_error_and_not_repeated(self):
        with self.assertRaises(openai.InternalServerError) as failed:
            self.ask("!throw")
        self.assertEqual(failed.exception.status_code, 500)
        self.assertEqual(failed.exception.code, "internal")
        self.assertEqual(self.turns(), 1)

    def test_an_attempt_that_failed_is_not_noticed(self):
        self.assertEqual(self.content("!fail 2"), "!fail 2")

    def test_an_answer_that_was_cut_off_says_length(self):
        stream = self.ask("!stream " + "word " * 500, stream=True, user="ann")
        seen = next(stream), next(stream)
        self.assertEqual(self.content("/stop", user="ann"), "Stopping.")
        self.assertEqual([chunk for chunk in stream][-1].choices[0].finish_reason, "length")
        self.assertTrue(seen)

    def test_what_cannot_be_done_is_refused_and_named(self):
        tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
        image = show("http://127.0.0.1/cat.png")
        for param, more in {"tools": {"tools": [tool]}, "n": {"n": 2},
                            "logprobs": {"logprobs": True},
                            "response_format": {"response_format": {"type": "json_object"}},
                            "messages[0].content[1]": {"messages": image}}.items():
            with self.assertRaises(openai.BadRequestError) as refused:
                self.client().chat.completions.create(
                    **{"model": "echo", "messages": say("hello"), **more})
            self.assertEqual(refused.exception.param, param)

    def test_parameters_of_sampling_are_the_agents_own(self):
        self.assertEqual(self.content("hello", temperature=0.2, max_tokens=5, seed=1, stop=["x"]),
                         "hello")

    def test_a_wrong_key_is_refused(self):
        with self.assertRaises(openai.AuthenticationError) as refused:
            self.ask("hello", self.client(api_key="sk-wrong"))
        self.assertEqual(refused.exception.code, "invalid_api_key")

    def test_a_token_for_metrics_may_not_talk(self):
        made = self.sluice.client("token", "add", "probe", "--scope", "metrics")
        token = re.search(r"slt_\S+", made.stdout)[0]
        with self.assertRaises(openai.PermissionDeniedError):
            self.ask("hello", self.client(api_key=token))

    def test_an_unknown_model_is_404(self):
        with self.assertRaises(openai.NotFoundError) as refused:
            self.client().chat.completions.create(model="other", messages=say("hello"))
        self.assertEqual(refused.exception.param, "model")

    def test_a_body_too_large_is_413(self):
        with self.assertRaises(openai.APIStatusError) as refused:
            self.ask("x" * 5_000_000)
        self.assertEqual(refused.exception.status_code, 413)
        self.assertEqual(refused.exception.code, "body_too_large")

    def test_a_bounded_person_is_told_to_come_back_and_the_client_does(self):
        slow = threading.Thread(target=lambda: self.content(
            "!slow 2s hello", self.client("narrow")))
        slow.start()
        self.addCleanup(slow.join)
        with self.assertRaises(openai.RateLimitError) as refused:
            while slow.is_alive():
                self.ask("hello", self.client("narrow", max_retries=0))
        self.assertEqual(refused.exception.response.headers["Retry-After"], "1")
        self.assertEqual(self.content("patient", self.client("narrow", max_retries=9)), "patient")

    def test_a_cookie_is_not_taken(self):
        link = re.search(r"/login\?\S+", self.sluice.banner)[0]
        page = self.sluice.request("GET", link, token=None)
        sent = {"Authorization": openai.Omit(), "Origin": "%s://%s:%d" % self.sluice.base,
                "Cookie": page.headers["Set-Cookie"].split(";")[0]}
        with self.assertRaises(openai.AuthenticationError):
            self.ask("hello", extra_headers=sent)

    def test_the_guides_examples_run(self):
        with open(os.path.join(SOURCE, "docs/channels/openai.md")) as file:
            blocks = re.findall(r"(?m)(?:^    .*\n|^\n(?=    ))+", file.read())
        blocks = [re.sub(r"(?m)^    ", "", block).strip() for block in blocks]
        curl = [block for block in blocks if block.startswith("TOKEN=")][0]
        curl = curl.split("\n\n")[0].replace("http://127.0.0.1:8484/v1", self.url())
        token = self.sluice.client("token", "add", "example").stdout
        curl = curl.split("\n", 1)[1]
        ran = subprocess.run(["bash", "-c", curl], capture_output=True, text=True, timeout=60,
                             env={**os.environ, "TOKEN": re.search(r"slt_\S+", token)[0]})
        shape = re.compile(r'^\{"id":"chatcmpl-\d+","object":"chat.completion","created":\d+,')
        kept = [block for block in re.findall(r'\{"id":"chatcmpl.*', "\n".join(blocks))][0]
        self.assertEqual(shape.sub("", ran.stdout), shape.sub("", kept))
        python = [block for block in blocks if "from openai import" in block][0]
        python = python.replace("http://127.0.0.1:8484/v1", self.url())
        ran = subprocess.run([sys.executable, "-c", "import sys; sys.path[:0] = %r; TOKEN = %r\n%s" % (
            sys.path, self.sluice.token, python)], capture_output=True, text=True, timeout=60)
        self.assertEqual(ran.stdout, "hello", ran.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
