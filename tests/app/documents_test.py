"""Documents that are made from the code are as the code makes them."""

import os
import re
import unittest

from daemon import SOURCE, Case

EVERY_KIND = """
[server]
listen = ["127.0.0.1:0"]
[agents.echo]
kind = "echo"
[agents.gpt]
kind = "openai"
base_url = "http://127.0.0.1:1/v1"
model = "m"
[agents.all]
kind = "fallback"
agents = ["gpt", "echo"]
[channels.http]
kind = "http"
agent = "all"
[channels.cli]
kind = "cli"
agent = "all"
[channels.openai]
kind = "openai"
agent = "all"
"""


class DocumentsTest(Case):
    def test_the_configuration_page_is_current(self):
        made = self.daemon().run("check-config", "--reference").stdout
        with open(os.path.join(SOURCE, "docs/configuration.md")) as file:
            kept = file.read()
        self.assertEqual(kept, made, "sluice check-config --reference > docs/configuration.md")

    def test_operations_names_every_metric_of_an_idle_daemon(self):
        daemon = self.daemon(EVERY_KIND).start()
        lines = daemon.request("GET", "/metrics").body.decode().splitlines()
        self.assertEqual(daemon.stop(), 0)
        with open(os.path.join(SOURCE, "docs/operations.md")) as file:
            page = file.read()
        names = {line.split()[2] for line in lines if line.startswith("# TYPE ")}
        told = set(re.findall(r"`(\w+)(?:\{[\w,]+\})?`", page))
        self.assertEqual(sorted(names - told), [])


if __name__ == "__main__":
    unittest.main(verbosity=2)
