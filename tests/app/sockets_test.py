"""Ten thousand clients that say nothing."""

import resource
import socket
import unittest

from daemon import Case, until


class SocketsTest(Case):
    def test_idle_sockets_are_cheap_and_hold_nobody_up(self):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        # The daemon inherits the same bound. One source address has enough ports for all.
        count = min(10_000, hard - 200)
        daemon = self.daemon().start()
        idle = []
        self.addCleanup(lambda: [s.close() for s in idle])
        before = memory(daemon)
        for _ in range(count):
            idle.append(socket.create_connection(daemon.base[1:], timeout=30))
        until(lambda: connections(daemon) >= count)
        each = (memory(daemon) - before) / count
        self.assertLess(each, 16 << 10, "bytes for one idle socket")
        self.assertEqual(daemon.post("hello").status, 202)
        until(lambda: ("agent", "hello") in daemon.history())
        for one in idle:
            one.close()
        idle.clear()
        until(lambda: connections(daemon) < 10)
        self.assertEqual(daemon.stop(), 0)


def memory(daemon):
    with open("/proc/%d/statm" % daemon.process.pid) as file:
        return int(file.read().split()[1]) * resource.getpagesize()


def connections(daemon):
    for line in daemon.request("GET", "/metrics").body.decode().splitlines():
        if line.startswith("sluice_http_connections "):
            return float(line.split()[1])
    return 0


if __name__ == "__main__":
    unittest.main(verbosity=2)
