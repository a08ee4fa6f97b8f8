"""The daemon with an OpenAI face in front of an echo agent, and where scripts/interop has put the official
clients; without them a test is skipped (exit code 77)."""

import glob
import os
import sys

SOURCE = os.environ["SLUICE_SOURCE"]
INTEROP = os.environ.get("SLUICE_INTEROP", "none")
sys.path.insert(0, os.path.join(SOURCE, "tests/app"))
for found in glob.glob(os.path.join(INTEROP, "python/lib/python*/site-packages")):
    sys.path.insert(0, found)

from daemon import Case  # noqa: E402

CONFIGURATION = """
[server]
listen = ["127.0.0.1:0"]
[core]
retry_backoff = "10ms"
[agents.echo]
kind = "echo"
playground = true
[channels.openai]
kind = "openai"
agent = "echo"
models = ["gpt-4o"]
[channels.hasty]
kind = "openai"
agent = "echo"
answer_timeout = "1s"
[channels.narrow]
kind = "openai"
agent = "echo"
requests_per_person = 1
"""


def skip():
    print("skipped: scripts/interop installs what this needs")
    sys.exit(77)


class FaceCase(Case):
    def setUp(self):
        super().setUp()
        self.sluice = self.daemon(CONFIGURATION).start()

    def url(self, account="openai"):
        where = "/v1" if account == "openai" else "/accounts/%s/v1" % account
        return "%s://%s:%d%s" % (*self.sluice.base, where)

    def turns(self):
        """How many the daemon has ended."""
        lines = self.sluice.request("GET", "/metrics").body.decode().splitlines()
        return int([line for line in lines if line.startswith("sluice_turns_total")][0].split()[1])
