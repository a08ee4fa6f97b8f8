"""Signals of all kinds, faster than anything they ask for can be done."""

import os
import random
import signal
import sqlite3
import time
import unittest

from daemon import until
from restarting import RestartCase, alive, holder, slow


SECONDS = int(os.environ.get("SLUICE_STORM", "4"))


class StormTest(RestartCase):
    def test_a_storm_of_signals_ends_in_a_clean_stop(self):
        daemon = self.daemon(slow("20ms")).start()
        chance = random.Random(12)
        first = daemon.process.pid
        sent, posted, ends = 0, 0, time.monotonic() + SECONDS
        while time.monotonic() < ends:
            pid = holder(daemon)
            if pid and alive(pid):
                self.pids.add(pid)
                # One that was hit in mid-flight of its exit is gone: the next one is asked.
                try:
                    os.kill(pid, chance.choice((signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)))
                    sent += 1
                except ProcessLookupError:
                    pass
            # A signal that missed leaves `sent` as it was: a message once more would be a repeat.
            if sent >= 20 * posted:
                self.assertEqual(daemon.post("m%d" % posted, id="s%d" % posted).status, 202)
                posted += 1
            time.sleep(0.005)
        self.assertGreater(sent, 100)
        self.assertGreater(len(self.pids), 1)
        # Whoever serves is told to stop, until nobody does.
        until(lambda: self.stopped(daemon))
        if daemon.process.pid == first:
            self.assertIn(daemon.wait(), (0, 3))
        said = daemon.said()
        for bad in ("Sanitizer", "runtime error", "assertion", "garbage", "storage_failed"):
            self.assertNotIn(bad, said)
        path = os.path.join(daemon.data, "sluice.db")
        with sqlite3.connect("file:%s?mode=ro" % path, uri=True) as store:
            self.assertEqual(store.execute("PRAGMA integrity_check").fetchall(), [("ok",)])

    def stopped(self, daemon):
        self.pids.add(holder(daemon))
        living = [pid for pid in self.pids if pid and alive(pid)]
        for pid in living:
            os.kill(pid, signal.SIGTERM)
        until(lambda: not any(alive(pid) for pid in living))
        return not alive(holder(daemon))


if __name__ == "__main__":
    unittest.main()
