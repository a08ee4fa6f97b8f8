"""One agent that asks others, in the real daemon."""

import os
import re
import unittest

from daemon import Case, until

CONFIG = """
[server]
listen = ["127.0.0.1:0"]
[agents.first]
kind = "echo"
fail = "error"
[agents.second]
kind = "echo"
prefix = "second: "
[agents.main]
kind = "fallback"
agents = ["first", "second"]
failures = 2
[channels.http]
kind = "http"
agent = "main"
[channels.cli]
kind = "cli"
agent = "main"
"""


class FallbackTest(Case):
    def test_a_person_is_answered_by_the_next_agent_and_the_first_is_left_alone(self):
        daemon = self.daemon(CONFIG)
        daemon.start()
        for n in range(3):
            daemon.post("hello %d" % n)
            until(lambda: any("second: hello %d" % n in str(line) for line in daemon.history()))
        metrics = daemon.client("metrics").stdout
        open_now = re.search(
            r'sluice_agent_breaker_open\{agent="main",backend="first"\} (\d+)', metrics)
        self.assertTrue(open_now, metrics)
        self.assertEqual(open_now.group(1), "1", metrics)

    def test_an_agent_that_is_not_there_is_a_problem_with_its_line_and_the_nearest_name(self):
        path = os.path.join(self.folder, "wrong.toml")
        with open(path, "w") as file:
            file.write(CONFIG.replace('"second"]', '"secnod"]'))
        checked = self.daemon().run("check-config", path)
        self.assertEqual(checked.returncode, 78)
        self.assertIn("wrong.toml:10:1", checked.stderr)
        self.assertIn('did you mean "second"?', checked.stderr)


if __name__ == "__main__":
    unittest.main()
