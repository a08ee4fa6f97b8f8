"""`sluice run --take-over`: a process that an operator started takes over from the daemon that runs."""

import os
import signal
import socket
import stat
import struct
import subprocess
import unittest

from daemon import BINARY, PATIENCE, until
from restarting import BRIEF, LISTEN, RestartCase, alive, holder, slow, status


def frame(kind, said):
    return struct.pack("<IBB", len(said) + 2, kind, 0) + said


HELLO, READY, COMMIT, REFUSED = 1, 2, 3, 7


class TakeoverTest(RestartCase):
    def door(self, daemon):
        return os.path.join(daemon.data, "control.handover")

    def take_over(self, daemon, *words):
        # No pipe: its own successor would keep it open.
        self.errors = os.path.join(self.folder, "newcomer")
        with open(self.errors, "w") as errors:
            newcomer = subprocess.Popen(
                [BINARY, "run", "--take-over", *(words or daemon.paths())],
                env=daemon.environment(), stdout=subprocess.DEVNULL, stderr=errors)
        self.addCleanup(newcomer.wait)
        self.addCleanup(newcomer.kill)
        return newcomer

    def refused(self, newcomer, why):
        code = newcomer.wait(timeout=PATIENCE)
        with open(self.errors) as file:
            self.assertIn(why, file.read())
        self.assertEqual(code, 1)

    def knock(self, daemon):
        visitor = socket.socket(socket.AF_UNIX)
        visitor.connect(self.door(daemon))
        visitor.settimeout(PATIENCE)
        self.addCleanup(visitor.close)
        return visitor

    def said_to(self, visitor):
        said = b""
        while piece := visitor.recv(4096):
            said += piece
            if len(said) >= 6 and len(said) >= 4 + struct.unpack("<I", said[:4])[0]:
                break
        return said[4], said[6:].decode()

    def serves_on(self, daemon, pid):
        self.assertEqual(holder(daemon), pid)
        self.assertEqual(daemon.post("still here").status, 202)
        self.assertEqual(status(daemon)["phase"], "ready")

    def test_nobody_is_refused_while_an_operators_process_takes_over(self):
        daemon = self.daemon(slow("0s")).start()
        first = holder(daemon)
        with self.while_posting(daemon):
            newcomer = self.take_over(daemon)
            self.assertEqual(self.ended(daemon, first), 0)
        self.assertEqual(holder(daemon), newcomer.pid)
        self.assertEqual(status(daemon)["generation"], 2)
        # And the next one is spawned by it, as ever.
        self.restart(daemon)
        self.assertEqual(newcomer.wait(timeout=PATIENCE), 0)

    def test_a_turn_runs_on_and_an_operators_process_that_is_killed_is_replaced(self):
        daemon = self.daemon(slow("4s")).start()
        daemon.post("take your time")
        until(lambda: status(daemon)["running"])
        newcomer = self.take_over(daemon)
        until(lambda: holder(daemon) == newcomer.pid)
        until(lambda: status(daemon)["calls_elsewhere"] == 1)
        newcomer.kill()
        newcomer.wait()
        until(lambda: holder(daemon) not in (0, newcomer.pid))
        until(lambda: any(kind == "agent" for kind, _ in daemon.history()))
        self.assertEqual(len([1 for kind, _ in daemon.history() if kind == "agent"]), 1)

    def test_it_is_refused_where_no_daemon_runs(self):
        daemon = self.daemon(slow("0s"))
        self.refused(self.take_over(daemon), "there is no daemon to take over from")

    def test_it_is_refused_while_a_predecessor_drains(self):
        daemon = self.daemon(slow("1h")).start()
        daemon.post("take your time")
        until(lambda: status(daemon)["running"])
        self.restart(daemon)
        self.refused(self.take_over(daemon), "has not ended yet")
        self.serves_on(daemon, holder(daemon))

    def test_it_is_refused_with_another_data_directory(self):
        socket_line = 'control_socket = "%s/control.sock"\n' % self.folder
        daemon = self.daemon(BRIEF + LISTEN + socket_line).start()
        elsewhere = os.path.join(self.folder, "elsewhere")
        os.mkdir(elsewhere, 0o700)
        newcomer = self.take_over(daemon, "--config", daemon.config, "--data", elsewhere)
        self.refused(newcomer, "another data directory than " + daemon.data)
        self.serves_on(daemon, daemon.process.pid)
        self.assertEqual(os.listdir(elsewhere), [])

    def test_a_spawned_successor_with_another_data_directory_is_refused(self):
        here = BRIEF + LISTEN + '[store]\ndir = "%s"\n'
        daemon = self.daemon(here % os.path.join(self.folder, "one"))
        daemon.data = os.path.join(self.folder, "one")
        paths = daemon.paths
        daemon.paths = lambda: ["--config", daemon.config]
        daemon.start()
        daemon.paths = paths
        daemon.write_config(here % os.path.join(self.folder, "two"))
        done = daemon.client("restart")
        self.assertEqual(done.returncode, 1)
        self.assertIn("another data directory", done.stderr)
        self.serves_on(daemon, daemon.process.pid)

    def test_the_door_is_the_daemons_own_users(self):
        daemon = self.daemon(slow("0s")).start()
        mode = os.stat(self.door(daemon)).st_mode
        self.assertTrue(stat.S_ISSOCK(mode))
        self.assertEqual(stat.S_IMODE(mode), 0o600)
        self.assertEqual(daemon.stop(), 0)
        self.assertFalse(os.path.exists(self.door(daemon)))

    @unittest.skipUnless(os.geteuid() == 0, "only root can be another user")
    def test_another_user_is_refused(self):
        socket_line = 'control_socket = "%s/run/control.sock"\n' % self.folder
        os.mkdir(os.path.join(self.folder, "run"), 0o700)
        daemon = self.daemon(BRIEF + LISTEN + socket_line).start()
        os.chmod(self.folder, 0o755)
        os.chmod(os.path.join(self.folder, "run"), 0o755)
        door = os.path.join(self.folder, "run/control.handover")
        os.chmod(door, 0o666)
        ask = ("import os, socket; os.setgid(65534); os.setuid(65534); s = socket.socket(socket.AF_UNIX); "
               "s.connect(%r); print(s.recv(4096)[6:].decode())" % door)
        said = subprocess.run(["python3", "-c", ask], capture_output=True, text=True,
                              timeout=PATIENCE)
        self.assertIn("only the user who runs the daemon", said.stdout, said.stderr)
        self.serves_on(daemon, daemon.process.pid)

    def test_another_protocol_is_refused_by_name(self):
        daemon = self.daemon(slow("0s")).start()
        visitor = self.knock(daemon)
        visitor.sendall(frame(HELLO, b"999 9.9.9 1:1") + frame(READY, b""))
        self.assertEqual(self.said_to(visitor),
                         (REFUSED, "the successor speaks another protocol: 999 9.9.9 1:1"))
        self.serves_on(daemon, daemon.process.pid)

    def test_garbage_is_refused_and_costs_nothing(self):
        daemon = self.daemon(slow("0s")).start()
        for garbage in (b"GET / HTTP/1.1\r\n\r\n", b"\0" * 64, b"\xff" * 64, frame(READY, b""),
                        frame(COMMIT, b"good\nlock\n"), frame(HELLO, b""), frame(9, b"")):
            visitor = self.knock(daemon)
            visitor.sendall(garbage)
            kind, why = self.said_to(visitor)
            self.assertEqual(kind, REFUSED)
            self.assertIn("protocol", why)
        self.serves_on(daemon, daemon.process.pid)

    def test_clients_that_hang_there_hold_up_neither_a_restart_nor_a_stop(self):
        daemon = self.daemon(slow("0s")).start()
        first = holder(daemon)
        visitors = [self.knock(daemon) for _ in range(20)]
        visitors[0].sendall(frame(HELLO, b"1")[:5])
        self.restart(daemon)
        self.assertEqual(self.ended(daemon, first), 0)
        visitors += [self.knock(daemon) for _ in range(20)]
        second = holder(daemon)
        os.kill(second, signal.SIGTERM)
        until(lambda: not alive(second))

    def test_a_client_that_hangs_is_told_so_after_the_upgrade_timeout(self):
        daemon = self.daemon('upgrade_timeout = "300ms"\n' + slow("0s")).start()
        visitor = self.knock(daemon)
        self.assertEqual(self.said_to(visitor), (REFUSED, "the successor says nothing"))
        self.serves_on(daemon, daemon.process.pid)


if __name__ == "__main__":
    unittest.main()
