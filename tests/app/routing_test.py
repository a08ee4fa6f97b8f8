"""Who answers, in the real daemon: routes, what people choose, sessions and budgets of a person."""

import os
import unittest

from daemon import Case, until

CONFIG = """
[server]
listen = ["127.0.0.1:0"]
[agents.echo]
kind = "echo"
[agents.painter]
kind = "echo"
prefix = "painted: "
[channels.http]
agent = "echo"
choose_agents = ["painter"]
[channels.http.session]
idle = "8h"
daily = "04:00"
time_zone = "Europe/Berlin"
[channels.cli]
agent = "echo"
turns_per_day = 1
[routes.drawings]
command = "/draw"
agent = "painter"
"""


class RoutingTest(Case):
    def answered(self, daemon, chat, text):
        until(lambda: any(text in str(line) for line in daemon.history(chat)))

    def test_a_message_goes_to_the_agent_of_its_route(self):
        daemon = self.daemon(CONFIG)
        daemon.start()
        daemon.post("/draw a cat", time_zone="Asia/Tokyo")
        self.answered(daemon, "main", "painted: /draw a cat")
        daemon.post("hello", chat="other")
        self.answered(daemon, "other", "hello")
        self.assertNotIn("painted", str(daemon.history("other")))

    def test_route_explain_shows_every_rule_and_why(self):
        daemon = self.daemon(CONFIG)
        daemon.start()
        page = daemon.client("route", "--explain", "--person", "ann", "draw a cat").stdout
        self.assertIn('the text does not begin with "/draw"', page)
        self.assertRegex(page, r"answers +echo")
        page = daemon.client("route", "--explain", "/draw a cat").stdout
        self.assertRegex(page, r"drawings +taken +command holds")
        self.assertEqual(daemon.client("route", "/draw").stdout, "painter\n")
        self.assertIn("no account named", daemon.client("route", "--account", "nowhere", "x").stderr)

    def test_a_choice_outlives_sigkill(self):
        daemon = self.daemon(CONFIG)
        daemon.start()
        daemon.post("/agent painter")
        self.answered(daemon, "main", "From here on painter answers")
        daemon.stop(9)
        daemon.start()
        daemon.post("hello")
        self.answered(daemon, "main", "painted: hello")

    def test_who_has_used_up_the_day_is_told(self):
        daemon = self.daemon(CONFIG)
        daemon.start()
        self.assertIn("one", daemon.client("chat", input="one\n").stdout)
        told = daemon.client("chat", input="two\n")
        self.assertIn("limit of turns", told.stdout + told.stderr)

    def test_wrong_routes_are_told_with_line_and_nearest_name(self):
        for before, after, words in (
                ('agent = "painter"', 'agent = "paniter"', 'did you mean "painter"?'),
                ('command = "/draw"', 'text = "("', "missing )"),
                ('command = "/draw"', 'account = ["htp"]', 'did you mean "http"?'),
                ('daily = "04:00"', 'daily = "4am"', "04:00"),
                ("Europe/Berlin", "Europe/Belrin", "no such time zone")):
            path = os.path.join(self.folder, "wrong.toml")
            with open(path, "w") as file:
                file.write(CONFIG.replace(before, after))
            checked = self.daemon().run("check-config", path)
            self.assertEqual(checked.returncode, 78, after)
            self.assertIn(words, checked.stderr)
            self.assertRegex(checked.stderr, r"wrong.toml:\d+:\d+")

    def test_a_link_signs_a_browser_in_once(self):
        daemon = self.daemon(CONFIG)
        daemon.start()
        url = daemon.client("link").stdout.strip()
        path = url[url.index("/login"):]
        first = daemon.request("GET", path, token=None)
        self.assertIn(first.status, (200, 302, 303))
        self.assertIn("set-cookie", {name.lower() for name, _ in first.headers.items()})
        second = daemon.request("GET", path, token=None)
        self.assertNotIn("set-cookie", {name.lower() for name, _ in second.headers.items()})


if __name__ == "__main__":
    unittest.main()
