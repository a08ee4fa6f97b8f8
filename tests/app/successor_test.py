"""Successors that are no good, and when they are given up. The daemon runs from a program of its own
here, which is replaced before the restart, as an installation does."""

import os
import signal
import time
import unittest

from daemon import PATIENCE, until
from restarting import LISTEN, RestartCase, alive, holder, slow, status


class SuccessorTest(RestartCase):
    def refused(self, daemon, why, seconds=60):
        """The restart comes to nothing: the old process says why, and serves on."""
        first = holder(daemon)
        began = time.monotonic()
        done = daemon.client("restart")
        took = time.monotonic() - began
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertIn("nothing has changed", done.stderr)
        self.assertIn(why, done.stderr)
        self.assertLess(took, seconds)
        self.assertEqual(holder(daemon), first)
        self.assertEqual(daemon.post("still here").status, 202)
        self.assertEqual(status(daemon)["phase"], "ready")
        return took

    def test_item_62_a_successor_that_says_nothing_is_killed_after_the_upgrade_timeout(self):
        daemon = self.installed(self.daemon('upgrade_timeout = "500ms"\n' + slow("0s"))).start()
        mark = os.path.join(self.folder, "pid")
        self.install_script(daemon, "echo $$ >%s\nexec sleep 600\n" % mark)
        took = self.refused(daemon, "says nothing")
        self.assertGreaterEqual(took, 0.5)
        with open(mark) as file:
            self.assertFalse(alive(int(file.read())))

    def test_item_62_one_that_is_not_ready_until_a_stop_begins_is_killed(self):
        daemon = self.installed(self.daemon(slow("0s"))).start()
        mark = os.path.join(self.folder, "pid")
        self.install_script(daemon, "echo $$ >%s.new\nmv %s.new %s\nexec sleep 600\n" % (mark, mark, mark))
        os.kill(holder(daemon), signal.SIGUSR1)
        until(lambda: os.path.exists(mark))
        self.assertEqual(daemon.stop(), 0)
        with open(mark) as file:
            pid = int(file.read())
        until(lambda: not alive(pid))

    def test_item_63_one_that_exits_that_garbles_and_that_speaks_another_protocol_cost_nothing(self):
        daemon = self.installed(self.daemon(slow("0s"))).start()
        # A frame: its length, its type (1: hello), no descriptors, and what it says.
        another = "printf '\\014\\000\\000\\000\\001\\0009999 9.9.9' >&3\nexec sleep 600\n"
        for script, why in (("exit 7\n", "exited with 7"),
                            ("kill -9 $$\n", "died of signal 9"),
                            ("head -c 4096 /dev/zero >&3\nexec sleep 600\n", "no frame"),
                            (another, "speaks another protocol: 9999 9.9.9")):
            with self.subTest(why):
                self.install_script(daemon, script)
                self.refused(daemon, why)
        self.install(daemon, os.environ["SLUICE"])
        self.restart(daemon)

    def test_item_73_a_restart_that_queues_behind_another_goes_on_in_the_successor(self):
        daemon = self.installed(self.daemon(slow("0s"))).start()
        self.pids.add(holder(daemon))
        go = os.path.join(self.folder, "go")
        self.install_script(daemon, 'until [ -e %s ]; do sleep 0.05; done\nexec %s "$@"\n' %
                            (go, os.environ["SLUICE"]))
        one = daemon.later("restart")
        until(lambda: "restart_begins" in daemon.said())
        refused = daemon.client("restart")
        self.assertEqual(refused.returncode, 1)
        self.assertIn("under way", refused.stderr)
        two = daemon.later("restart", "--queue", "--wait")
        until(lambda: status(daemon)["under_way"]["request"] == 2)
        open(go, "w").close()
        out, err = one.communicate(timeout=PATIENCE)
        self.assertEqual(one.returncode, 0, err)
        self.assertIn("restarted: generation 2", out)
        self.pids.add(holder(daemon))
        out, err = two.communicate(timeout=PATIENCE)
        self.assertEqual(two.returncode, 0, err)
        self.assertIn("restarted: generation 3; the earlier process has ended", out)

    def test_item_63_a_program_that_is_gone_costs_nothing(self):
        daemon = self.installed(self.daemon(slow("0s"))).start()
        os.unlink(daemon.binary)
        self.refused(daemon, "can't be started")

    def test_item_62_the_old_process_stays_for_the_rollback_window(self):
        window = 2
        daemon = self.daemon('rollback_window = "%ds"\n' % window + LISTEN).start()
        first = holder(daemon)
        began = time.monotonic()
        self.restart(daemon)
        second = holder(daemon)
        os.kill(second, signal.SIGKILL)
        until(lambda: holder(daemon) not in (0, first, second))
        self.pids.add(holder(daemon))
        self.assertEqual(daemon.post("still here").status, 202)
        self.assertEqual(self.ended(daemon, first), 0)
        self.assertGreaterEqual(time.monotonic() - began, window)

    def test_item_62_both_times_can_be_changed_by_a_reload(self):
        daemon = self.daemon('rollback_window = "600s"\n' + LISTEN).start()
        first = holder(daemon)
        daemon.write_config('rollback_window = "0s"\nupgrade_timeout = "20s"\n' + LISTEN)
        changed = daemon.client("reload").stdout
        self.assertIn("changed: rollback_window", changed)
        self.assertIn("changed: upgrade_timeout", changed)
        self.assertNotIn("restart", changed)
        self.restart(daemon)
        self.assertEqual(self.ended(daemon, first), 0)


if __name__ == "__main__":
    unittest.main()
