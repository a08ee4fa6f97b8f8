"""How processes of services end: one at a time across a restart, and what left its session too."""

import json
import os
import signal
import sys
import unittest

from daemon import Case, until
from restart_test import alive, holder
from services_test import PEER, process


class ExclusiveTest(Case):
    def test_the_old_one_has_ended_before_the_new_one_begins(self):
        seen = os.path.join(self.folder, "seen")
        script = ("import os, sys, time\nopen(%r, 'a').write('begin %%d\\n' %% os.getpid())\n"
                  "sys.argv = ['peer']\nexec(open(%r).read())\ntime.sleep(0.3)\n"
                  "open(%r, 'a').write('end %%d\\n' %% os.getpid())\n" % (
                      seen, PEER, seen))
        self.running = self.daemon(
            '[server]\nlisten = ["127.0.0.1:0"]\n[services.one]\nkind = "process"\nexclusive = true\n'
            'command = "%s"\nargs = ["-c", %s]\n' % (sys.executable, json.dumps(script)))
        self.running.start()
        self.addCleanup(self.kill_successor)
        def running():
            shown = json.loads(self.running.client("services", "show", "one", "--json").stdout)
            return shown["status"] == "running" and shown["process"]
        first = until(running)
        said = self.running.client("restart")
        self.assertEqual(said.returncode, 0, said.stderr)
        second = until(running)
        with open(seen) as file:
            self.assertEqual(file.read().split("\n")[:3],
                             ["begin %d" % first, "end %d" % first, "begin %d" % second])

    def kill_successor(self):
        pid = holder(self.running)
        if alive(pid):
            os.kill(pid, signal.SIGKILL)
            until(lambda: not alive(pid))


class EscapeTest(Case):
    def begin(self):
        self.running = self.daemon('[server]\nlisten = ["127.0.0.1:0"]\n' +
                                   process("runaway", "escape") + process("tools"))
        self.running.start()
        def escaped():
            said = self.running.client("services", "logs", "runaway", "--json")
            lines = [line["text"] for line in json.loads(said.stdout)["lines"]]
            return [int(line.split()[1]) for line in lines if line.startswith("escaped")]
        return until(escaped)[0]

    def test_a_child_that_left_its_session_is_killed_when_the_service_ends(self):
        runaway = self.begin()
        self.assertTrue(alive(runaway))
        other = json.loads(self.running.client("services", "show", "tools", "--json").stdout)
        said = self.running.client("services", "stop", "runaway")
        self.assertEqual(said.returncode, 0, said.stderr)
        until(lambda: not alive(runaway))
        self.assertTrue(alive(other["process"]))

    def test_a_child_that_left_its_session_is_killed_with_the_daemon(self):
        runaway = self.begin()
        self.running.stop(signal.SIGKILL)
        until(lambda: not alive(runaway))


if __name__ == "__main__":
    unittest.main()
