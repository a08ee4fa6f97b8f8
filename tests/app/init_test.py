"""`sluice init`: what it asks, what it tries, and what it writes."""

import http.server
import json
import os
import pty
import select
import socket
import stat
import subprocess
import threading
import time
import unittest

from daemon import BINARY, PATIENCE, Case, until

CLEAN, FAILED, USAGE, BAD_CONFIG = 0, 1, 2, 78
KEY = "sk-good-0123456789"


class Model:
    """A model server of OpenAI's and Anthropic's kind, with what the tests need of them."""

    def __init__(self, models=("tiny", "large"), key=None, answer="ready"):
        model = self
        self.asked = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def refuse(self, status, message):
                self.reply(status, {"error": {"type": "some_error", "message": message}})

            def reply(self, status, value, kind="application/json"):
                body = value if isinstance(value, bytes) else json.dumps(value).encode()
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                if 300 <= status < 400:
                    self.send_header("Location", "https://elsewhere.example/login")
                self.end_headers()
                self.wfile.write(body)

            def wrong_key(self):
                given = self.headers.get("x-api-key") or self.headers.get("Authorization", "")[7:]
                if key is None or given == key:
                    return False
                self.refuse(401, "Incorrect API key provided\x1b[2J.")
                return True

            def do_GET(self):
                if self.path == "/v1/models":
                    self.wrong_key() or self.reply(200, {"data": [{"id": m} for m in models]})
                elif self.path.startswith("/moved"):
                    self.reply(302, b"")
                else:
                    self.reply(404, b"<html>no</html>", "text/html")

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if self.path.startswith("/page"):
                    return self.reply(200, b"<html>hello</html>", "text/html")
                if self.path.startswith("/moved"):
                    return self.reply(302, b"")
                if self.path not in ("/v1/chat/completions", "/v1/messages"):
                    return self.reply(404, b"<html>no</html>", "text/html")
                if self.wrong_key():
                    return
                if body["model"] not in models:
                    return self.refuse(404, "The model `%s` does not exist" % body["model"])
                model.asked.append((self.path, body))
                self.reply(200, stream(self.path, answer), "text/event-stream")

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        self.root = "http://127.0.0.1:%d" % self.port
        self.url = self.root + "/v1"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def stream(path, answer):
    if path == "/v1/messages":
        events = [
            {"type": "message_start", "message": {"usage": {"input_tokens": 1}}},
            {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
            {"type": "content_block_delta", "index": 0,
             "delta": {"type": "text_delta", "text": answer}},
            {"type": "message_delta", "delta": {"stop_reason": "end_turn"}},
            {"type": "message_stop"}]
        return "".join("event: %s\ndata: %s\n\n" % (e["type"], json.dumps(e))
                       for e in events).encode()
    events = [{"choices": [{"index": 0, "delta": {"content": answer}}]},
              {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}]
    return ("".join("data: %s\n\n" % json.dumps(e) for e in events) + "data: [DONE]\n\n").encode()


class Person:
    """Somebody at a terminal."""

    def __init__(self, words, env):
        self.master, slave = pty.openpty()
        self.process = subprocess.Popen([BINARY, *words], stdin=slave, stdout=slave, stderr=slave,
                                        env=env, start_new_session=True,
                                        preexec_fn=lambda: take_terminal(slave))
        os.close(slave)
        self.seen = ""
        self.read_to = 0

    def expect(self, words):
        """Reads until the words are there, behind those that were expected before."""
        deadline = time.monotonic() + PATIENCE
        while words not in self.seen[self.read_to:]:
            if not self.more(deadline):
                raise AssertionError("no %r in: %s" % (words, self.seen))
        self.read_to = self.seen.index(words, self.read_to) + len(words)

    def more(self, deadline):
        if not select.select([self.master], [], [], max(0, deadline - time.monotonic()))[0]:
            return False
        try:
            got = os.read(self.master, 4096)
        except OSError:  # the other side is closed
            return False
        self.seen += got.decode()
        return bool(got)

    def type(self, line):
        os.write(self.master, line.encode() + b"\n")

    def end(self):
        deadline = time.monotonic() + PATIENCE
        while self.more(deadline):
            pass
        return self.process.wait(timeout=PATIENCE)

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.master)


def take_terminal(slave):
    import fcntl
    import termios

    fcntl.ioctl(slave, termios.TIOCSCTTY, 0)


class InitTest(Case):
    def setUp(self):
        super().setUp()
        self.config = os.path.join(self.folder, "config/sluice/sluice.toml")
        self.own = self.daemon(config=None)
        self.env = self.own.environment()
        for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY"):
            self.env.pop(name, None)

    def model(self, **more):
        made = Model(**more)
        self.addCleanup(made.close)
        return made

    def init(self, *words, code=CLEAN, env=None):
        ran = subprocess.run([BINARY, "init", *words], env={**self.env, **(env or {})}, text=True,
                             stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE)
        self.assertEqual(ran.returncode, code, ran.stdout + ran.stderr)
        return ran.stdout + ran.stderr

    def person(self, *words, ports=None, env=None):
        ports = ports or [closed_port()]
        named = [word for port in ports for word in ("--port", str(port))]
        made = Person(["init", *words, *named], {**self.env, **(env or {})})
        self.addCleanup(made.close)
        return made

    def text(self, path=None):
        with open(path or self.config) as file:
            return file.read()

    def write(self, text):
        os.makedirs(os.path.dirname(self.config), exist_ok=True)
        with open(self.config, "w") as file:
            file.write(text)

    def valid(self, env=None):
        ran = subprocess.run([BINARY, "check-config", self.config], env={**self.env, **(env or {})},
                             text=True, capture_output=True, timeout=PATIENCE)
        self.assertEqual((ran.returncode, ran.stderr), (CLEAN, ""))

    # ---- without questions

    def test_without_a_terminal_it_takes_echo_and_writes_a_commented_file(self):
        said = self.init()
        self.assertIn("(new)", said)
        self.assertIn("#listen = ", self.text())
        self.assertEqual(stat.S_IMODE(os.stat(self.config).st_mode), 0o600)
        self.valid()

    def test_a_model_is_asked_and_then_answers_in_the_daemon(self):
        model = self.model()
        said = self.init("--agent", "openai", "--base-url", model.url, "--model", "tiny")
        self.assertRegex(said, r"answered within \d+\.\d s: ready")
        self.assertIn("[agents.local]", self.text())
        self.write(self.text().replace('#listen = ["127.0.0.1:8484"]', 'listen = ["127.0.0.1:0"]'))
        self.own.start()
        self.own.post("hello")
        until(lambda: ("agent", "ready") in self.own.history())
        self.assertEqual(self.own.stop(), CLEAN)

    def test_the_only_model_of_a_server_needs_no_name(self):
        model = self.model(models=["solo"])
        self.init("--base-url", model.url)
        self.assertIn('model = "solo"', self.text())

    def test_several_models_are_told_and_none_is_guessed(self):
        said = self.init("--base-url", self.model().url, code=USAGE)
        self.assertIn("tiny", said)
        self.assertIn("--model", said)
        self.assertFalse(os.path.exists(self.config))

    def test_anthropic_is_asked_its_own_way(self):
        model = self.model(key=KEY)
        self.init("--agent", "anthropic", "--base-url", model.root, "--model", "tiny",
                  "--key-env", "MY_KEY", env={"MY_KEY": KEY})
        self.assertEqual(model.asked[0][0], "/v1/messages")
        self.assertIn('api_key = { env = "MY_KEY" }', self.text())
        self.assertNotIn(KEY, self.text())
        self.valid({"MY_KEY": KEY})

    def test_a_key_in_a_file_is_named_not_copied(self):
        path = os.path.join(self.folder, "my.key")
        with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
            file.write(KEY + "\n")
        self.init("--base-url", self.model(key=KEY).url, "--model", "tiny", "--key-file", path)
        self.assertIn('api_key = { file = "%s" }' % path, self.text())
        self.valid()

    def test_a_wrong_key_is_told_in_the_apis_words_and_nothing_is_written(self):
        said = self.init("--base-url", self.model(key=KEY).url, "--model", "tiny", "--key-env", "K",
                         env={"K": "sk-bad"}, code=FAILED)
        self.assertIn("401: Incorrect API key provided", said)
        self.assertIn("The key seems to be wrong", said)
        self.assertNotIn("sk-bad", said)
        self.assertNotIn("\x1b", said)
        self.assertFalse(os.path.exists(self.config))

    def test_a_key_that_is_missing_is_told(self):
        said = self.init("--base-url", self.model(key=KEY).url, "--model", "tiny", code=FAILED)
        self.assertIn("A key seems to be needed", said)
        said = self.init("--agent", "openai", "--model", "m", code=USAGE)
        self.assertIn("--key-env", said)
        said = self.init("--agent", "openai", "--model", "m", "--key-env", "NOT_SET", code=USAGE)
        self.assertIn("$NOT_SET is not set", said)

    def test_an_unreachable_server_is_told(self):
        port = closed_port()
        said = self.init("--base-url", "http://127.0.0.1:%d/v1" % port, "--model", "m", code=FAILED)
        self.assertIn("127.0.0.1:%d can't be reached" % port, said)

    def test_a_wrong_url_is_told_with_what_may_be_wrong(self):
        model = self.model()
        for path, words in (("", "usually ends with /v1"), ("/page", "answered text/html"),
                            ("/moved", "redirects to https://elsewhere.example")):
            said = self.init("--base-url", model.root + path, "--model", "tiny", code=FAILED)
            self.assertIn(words, said)
        self.assertIn("--base-url", self.init("--base-url", "nonsense", code=USAGE))
        self.assertFalse(os.path.exists(self.config))

    def test_an_unknown_model_is_told(self):
        said = self.init("--base-url", self.model().url, "--model", "huge", code=FAILED)
        self.assertIn("The model `huge` does not exist", said)

    def test_echo_takes_no_url(self):
        self.assertIn("echo has no URL", self.init("--agent", "echo", "--model", "m", code=USAGE))

    def test_no_check_writes_without_a_call(self):
        model = self.model()
        self.init("--base-url", model.url, "--model", "huge", "--no-check")
        self.assertEqual(model.asked, [])
        self.assertIn('model = "huge"', self.text())

    # ---- what is there already

    def test_running_it_again_changes_only_what_was_asked(self):
        model = self.model()
        mine = ('# my gateway\n[server]\nlisten = ["127.0.0.1:0"]  # any port\n\n'
                '[channels.http]\nmode = "collect"\n\n'
                '[channels.shop]\nkind = "hook"\ncallback = "http://127.0.0.1:9/x"\n'
                'token = { env = "SHOP_TOKEN" }\n')
        self.write(mine)
        first = self.init("--base-url", model.url, "--model", "tiny")
        self.assertIn(self.config + ".bak", first)
        self.assertEqual(self.text(self.config + ".bak"), mine)
        once = self.text()
        for line in mine.splitlines():
            self.assertIn(line + "\n", once)
        # The hook had echo without a word, as there was nothing else; it keeps it.
        self.assertRegex(once, r'\[channels\.shop\]\nagent = "echo"\n')
        self.assertRegex(once, r'\[channels\.http\]\nagent = "local"\n')
        self.valid({"SHOP_TOKEN": "0123456789abcdef0123456789abcdef"})

        again = self.init("--base-url", model.url, "--model", "tiny")
        self.assertIn("says so already", again)
        self.assertEqual(self.text(), once)
        self.assertFalse(os.path.exists(self.config + ".bak2"))

        self.init("--base-url", model.url, "--model", "large")
        self.assertEqual(self.text(), once.replace('model = "tiny"', 'model = "large"'))
        self.assertEqual(self.text(self.config + ".bak2"), once)

        self.init("--agent", "echo")
        back = self.text()
        self.assertRegex(back, r'\[channels\.http\]\nagent = "echo"\n')
        self.assertIn("[agents.local]", back)

    def test_another_server_never_gets_the_key_of_the_first(self):
        first, second = self.model(key=KEY), self.model()
        self.init("--base-url", first.url, "--model", "tiny", "--key-env", "K", env={"K": KEY})
        self.init("--base-url", second.url, "--model", "tiny")
        self.assertRegex(self.text(), r'\[agents\.local_2\]\nkind = "openai"\n'
                                      r'base_url = "%s"\nmodel = "tiny"\n$' % second.url)
        self.assertIn('base_url = "%s"' % first.url, self.text())

    def test_a_link_stays_a_link_and_a_mode_a_mode(self):
        self.write("")
        real = os.path.join(self.folder, "real.toml")
        os.rename(self.config, real)
        os.chmod(real, 0o640)
        os.symlink(real, self.config)
        self.init("--base-url", self.model().url, "--model", "tiny")
        self.assertTrue(os.path.islink(self.config))
        self.assertIn("[agents.local]", self.text(real))
        self.assertEqual(stat.S_IMODE(os.stat(real).st_mode), 0o640)

    def test_a_file_that_does_not_load_is_left_alone(self):
        self.write("[server]\nlistne = 1\n")
        said = self.init("--agent", "echo", code=BAD_CONFIG)
        self.assertIn("listne", said)
        self.assertEqual(self.text(), "[server]\nlistne = 1\n")

    def test_a_file_that_can_not_be_edited_is_left_alone_and_the_lines_are_told(self):
        mine = 'channels = { http = { agent = "echo" } }\n'
        self.write(mine)
        said = self.init("--base-url", self.model().url, "--model", "tiny", code=FAILED)
        self.assertIn("by hand", said)
        self.assertIn('[channels.http]\nagent = "local"', said)
        self.assertEqual(self.text(), mine)

    def test_if_new_leaves_what_is_there(self):
        self.write("# mine\n")
        self.assertEqual(self.init("--if-new", "--agent", "echo"), "")
        self.assertEqual(self.text(), "# mine\n")

    def test_a_running_daemon_is_told_of(self):
        self.write('[server]\nlisten = ["127.0.0.1:0"]\n')
        self.own.start()
        said = self.init("--base-url", self.model().url, "--model", "tiny")
        self.assertIn("when it is started again", said)
        self.assertEqual(self.own.stop(), CLEAN)

    # ---- at a terminal

    def test_a_server_of_this_machine_is_found_and_three_answers_are_enough(self):
        model = self.model()
        person = self.person(ports=[closed_port(), model.port])
        person.expect("the model server of this machine at %s, with 2 models" % model.url)
        person.expect("Number [1]: ")
        person.type("")
        person.expect("Model [tiny]: ")
        person.type("large")
        person.expect("it answered within")
        self.assertEqual(person.end(), CLEAN)
        self.assertIn('model = "large"', self.text())
        self.valid()

    def test_a_typed_key_is_not_shown_and_kept_in_a_file_of_its_own(self):
        model = self.model(key=KEY)
        person = self.person()
        person.expect("Number [3]: ")
        person.type("9")
        person.expect("a number from 1 to 3, please")
        person.type("1")
        person.expect("Base URL [https://api.openai.com/v1]: ")
        person.type("htp:/wrong")
        person.expect("Base URL")
        person.type(model.url)
        person.expect("empty if it needs none): ")
        person.type(KEY)
        person.expect("Model [tiny]: ")
        person.type("")
        person.expect("it answered within")
        self.assertEqual(person.end(), CLEAN)
        self.assertNotIn(KEY, person.seen)
        path = os.path.join(os.path.dirname(self.config), "local.key")
        self.assertEqual(self.text(path), KEY + "\n")
        self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o600)
        self.assertIn('api_key = { file = "local.key" }', self.text())
        self.assertNotIn(KEY, self.text())
        self.valid()

    def test_a_typed_key_lies_where_the_daemon_looks_for_it_and_an_older_one_is_kept(self):
        self.write("# mine\n")
        real = os.path.join(self.folder, "real.toml")
        os.rename(self.config, real)
        os.symlink(real, self.config)
        path = os.path.join(os.path.dirname(self.config), "local.key")
        with open(path, "w") as file:
            file.write("sk-older\n")
        model = self.model(key=KEY)
        person = self.person()
        person.expect("Number [3]: ")
        person.type("1")
        person.expect("Base URL")
        person.type(model.url)
        person.expect("needs none): ")
        person.type(KEY)
        person.expect("Model [tiny]: ")
        person.type("")
        self.assertEqual(person.end(), CLEAN)
        self.assertEqual(self.text(path), KEY + "\n")
        self.assertEqual(self.text(path + ".bak"), "sk-older\n")
        self.valid()

    def test_after_a_wrong_key_another_may_be_typed(self):
        model = self.model(key=KEY)
        person = self.person()
        for key, code in (("sk-wrong", None), (KEY, CLEAN)):
            person.expect("Number [3]: ")
            person.type("1")
            person.expect("Base URL")
            person.type(model.url)
            person.expect("needs none): ")
            person.type(key)
            if code is None:
                person.expect("No list of models: it answered 401")
            person.expect("Model")
            person.type("tiny")
            if code is None:
                person.expect("Try again (t)")
                person.type("t")
        self.assertEqual(person.end(), CLEAN)
        self.assertIn("[agents.local]", self.text())

    def test_a_key_of_the_environment_is_offered(self):
        model = self.model(key=KEY)
        person = self.person(env={"ANTHROPIC_API_KEY": KEY})
        person.expect("Number [3]: ")
        person.type("2")
        person.expect("Base URL")
        person.type(model.root)
        person.expect("Use the key in $ANTHROPIC_API_KEY?")
        person.type("")
        person.expect("Model [tiny]: ")
        person.type("")
        self.assertEqual(person.end(), CLEAN)
        self.assertIn('api_key = { env = "ANTHROPIC_API_KEY" }', self.text())

    def test_who_gives_up_leaves_nothing_behind(self):
        person = self.person()
        person.expect("Number [3]: ")
        person.type("1")
        person.expect("Base URL")
        person.type("http://127.0.0.1:%d/v1" % closed_port())
        person.expect("needs none): ")
        os.write(person.master, b"\x03")  # ^C, where nothing is shown
        self.assertEqual(person.end(), FAILED)
        self.assertIn("nothing was written", person.seen)
        self.assertFalse(os.path.exists(self.config))

    def test_the_terminal_shows_again_what_is_typed_after_an_interrupt(self):
        import termios

        person = self.person()
        person.expect("Number [3]: ")
        before = termios.tcgetattr(person.master)[3]
        person.type("1")
        person.expect("Base URL")
        person.type("http://127.0.0.1:%d/v1" % closed_port())
        person.expect("needs none): ")
        self.assertEqual(termios.tcgetattr(person.master)[3] & termios.ECHO, 0)
        os.write(person.master, b"\x03")
        person.end()
        self.assertEqual(termios.tcgetattr(person.master)[3], before)


def closed_port():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


if __name__ == "__main__":
    unittest.main(verbosity=2)
