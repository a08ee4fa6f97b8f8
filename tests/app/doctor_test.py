"""`sluice doctor`, with a daemon and without one."""

import json
import os
import socket
import unittest

from daemon import Case

AGENT = '[agents.far]\nkind = "webhook"\nurl = "http://127.0.0.1:%d/turn"\n[channels.%s]\nagent = "echo"\n'


class DoctorTest(Case):
    def doctor(self, daemon, *words):
        done = daemon.client("doctor", "--json", *words)
        checks = {check["name"]: check for check in json.loads(done.stdout)["checks"]}
        return done.returncode, checks

    def test_it_asks_the_running_daemon(self):
        daemon = self.daemon().start()
        code, checks = self.doctor(daemon, "--deep")
        self.assertEqual(code, 0)
        for name in ("store", "intake", "clock", "file system", "disk", "store file", "listener",
                     "account http", "agent echo"):
            self.assertEqual(checks[name]["state"], "ok", name)
        self.assertEqual(daemon.stop(), 0)

    def test_without_a_daemon_it_looks_for_itself(self):
        daemon = self.daemon().start()
        self.assertEqual(daemon.stop(), 0)
        before = sorted(os.listdir(daemon.data))
        code, checks = self.doctor(daemon)
        self.assertEqual(code, 0)
        for name in ("configuration", "data directory", "file system", "disk", "store file",
                     "clock", "listener", "agent echo"):
            self.assertEqual(checks[name]["state"], "ok", name)
        self.assertEqual([n for n in sorted(os.listdir(daemon.data)) if n not in before], [])

    def test_it_finds_a_port_in_use_and_an_agent_that_is_not_there(self):
        with socket.create_server(("127.0.0.1", 0)) as taken, socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = taken.getsockname()[1]
            config = '[server]\nlisten = ["127.0.0.1:%d"]\n' % port
            config += AGENT % (free.getsockname()[1], "http") + '[channels.cli]\nagent = "far"\n'
            code, checks = self.doctor(self.daemon(config))
            self.assertEqual(code, 1)
            self.assertEqual(checks["listener"]["state"], "failed")
            self.assertEqual(checks["agent far"]["state"], "warning")

    def test_it_finds_a_corrupted_store_and_a_lost_key(self):
        daemon = self.daemon().start()
        self.assertEqual(daemon.stop(), 0)
        os.unlink(os.path.join(daemon.data, "hash.key"))
        with open(os.path.join(daemon.data, "sluice.db"), "r+b") as file:
            file.write(b"not a database, surely not")
        code, checks = self.doctor(daemon)
        self.assertEqual(code, 1)
        self.assertEqual(checks["hash key"]["state"], "failed")
        self.assertEqual(checks["store file"]["state"], "failed")

    def test_it_finds_a_bad_configuration(self):
        code, checks = self.doctor(self.daemon("nonsense = 1\n"))
        self.assertEqual(code, 1)
        self.assertEqual(checks["configuration"]["state"], "failed")


if __name__ == "__main__":
    unittest.main(verbosity=2)
