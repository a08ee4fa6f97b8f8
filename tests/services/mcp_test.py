"""Unmodified MCP servers as supervised services: one from npm, one from PyPI."""

import json
import os
import shutil
import signal
import subprocess
import sys
import unittest

INTEROP = os.environ.get("SLUICE_INTEROP")
if not INTEROP:
    print("SLUICE_INTEROP is not set: see scripts/interop")
    sys.exit(77)
sys.path.insert(0, os.path.join(os.environ["SLUICE_SOURCE"], "tests/app"))

from daemon import Case, until  # noqa: E402

EVERYTHING = os.path.join(
    INTEROP, "services/node_modules/@modelcontextprotocol/server-everything/dist/index.js")
TIME = os.path.join(INTEROP, "python/bin/mcp-server-time")
CONFIG = """
[server]
listen = ["127.0.0.1:0"]
[services.everything]
kind = "process"
command = "%s"
args = ["%s", "stdio"]
[services.time]
kind = "process"
command = "%s"
args = ["--local-timezone", "UTC"]
[agents.parrot]
kind = "service"
service = "everything"
tool = "echo"
argument = "message"
[agents.echo]
enabled = false
[channels.http]
agent = "parrot"
""" % (shutil.which("node"), EVERYTHING, TIME)


class McpTest(Case):
    def setUp(self):
        super().setUp()
        self.sluice = self.daemon(CONFIG).start()

    def show(self, name):
        return json.loads(self.sluice.client("services", "show", name, "--json").stdout)

    def call(self, name, tool, arguments):
        return self.sluice.client("services", "call", name, tool, json.dumps(arguments))

    def running(self, name):
        return until(lambda: (lambda s: s if s["status"] == "running" else None)(self.show(name)))

    def kill_in_mid_call(self, name, tool, arguments):
        """It is stopped before the call, so that it is certainly killed within it."""
        before = self.running(name)
        os.kill(before["process"], signal.SIGSTOP)
        caller = subprocess.Popen(
            [os.environ["SLUICE"], "services", "call", name, tool, json.dumps(arguments),
             *self.sluice.paths()],
            env=self.sluice.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        until(lambda: self.show(name)["calls"] == 1)
        os.kill(before["process"], signal.SIGKILL)
        _, errors = caller.communicate(timeout=60)
        self.assertEqual(caller.returncode, 1)
        self.assertIn("signal 9", errors)
        said = self.call(name, tool, arguments)
        self.assertEqual(said.returncode, 0, said.stderr)
        after = self.show(name)
        self.assertNotEqual(after["process"], before["process"])
        self.assertEqual(after["generation"], before["generation"] + 1)
        return said.stdout

    def test_one_from_npm(self):
        there = self.running("everything")
        self.assertIn("echo", [tool["name"] for tool in there["tools"]])
        said = self.call("everything", "echo", {"message": "hello"})
        self.assertEqual(said.stdout, "Echo: hello\n", said.stderr)
        self.assertIn("Echo: again", self.kill_in_mid_call("everything", "echo", {"message": "again"}))

    def test_one_from_pypi(self):
        there = self.running("time")
        self.assertEqual(there["server"]["name"], "mcp-time")
        said = self.kill_in_mid_call("time", "get_current_time", {"timezone": "UTC"})
        self.assertIn('"timezone"', said)

    def test_a_turn_is_answered_by_a_tool(self):
        self.running("everything")
        self.assertIn(self.sluice.post("hello").status, (200, 202))
        until(lambda: ("agent", "Echo: hello") in self.sluice.history())

    def test_they_end_by_themselves_when_the_daemon_stops(self):
        pids = [self.running(name)["process"] for name in ("everything", "time")]
        self.assertEqual(self.sluice.stop(), 0)
        for pid in pids:
            self.assertFalse(os.path.exists("/proc/%d" % pid))


if __name__ == "__main__":
    unittest.main()
