"""How the daemon starts, and why it does not."""

import os
import re
import signal
import socket
import sqlite3
import stat
import unittest

from daemon import Case, until

CLEAN, START_FAILED, USAGE, FORCED, STORE_FAILED, BAD_CONFIG = 0, 1, 2, 3, 4, 78


class StartTest(Case):
    def refused(self, daemon, code, *words, prepare=None):
        got, said = daemon.fails(prepare)
        self.assertEqual(got, code, said)
        for word in words:
            self.assertIn(word, said)

    def test_without_a_configuration_it_writes_one_and_runs(self):
        if port_is_taken(8484):
            self.skipTest("another gateway runs on this machine")
        daemon = self.daemon(config=None).start()
        config = os.path.join(self.folder, "config/sluice/sluice.toml")
        self.assertIn(config + "  (new)", daemon.banner)
        self.assertIn("127.0.0.1:8484", daemon.banner)
        self.assertEqual(daemon.post("hello").status, 202)
        until(lambda: ("agent", "hello") in daemon.history())
        self.assertEqual(daemon.stop(), CLEAN)
        checked = daemon.run("check-config", config)
        self.assertEqual((checked.returncode, checked.stderr), (CLEAN, ""))
        daemon.start()
        self.assertNotIn("(new)", daemon.banner)
        self.assertEqual(daemon.stop(), CLEAN)

    def test_the_files_are_closed_to_others(self):
        daemon = self.daemon().start()
        self.assertEqual(stat.S_IMODE(os.stat(daemon.data).st_mode), 0o700)
        for name in os.listdir(daemon.data):
            mode = stat.S_IMODE(os.stat(os.path.join(daemon.data, name)).st_mode)
            self.assertEqual(mode, 0o700 if name == "media" else 0o600, name)
        self.assertEqual(daemon.stop(), CLEAN)

    def test_sigterm_and_sigint_stop_it_cleanly(self):
        for how in (signal.SIGTERM, signal.SIGINT):
            daemon = self.daemon().start()
            self.assertEqual(daemon.request("GET", "/readyz", token=None).status, 200)
            self.assertEqual(daemon.stop(how), CLEAN)

    def test_a_second_signal_forces(self):
        daemon = self.daemon(SLOW).start()
        daemon.post("take your time")
        until(lambda: daemon.operate("GET", "/v1/admin/status").json()["running"])
        daemon.process.send_signal(signal.SIGTERM)
        until(lambda: "stopping" in daemon.said())
        self.assertEqual(daemon.stop(), FORCED)

    def test_a_turn_that_outlives_the_stop_is_left_to_the_next_start(self):
        daemon = self.daemon(SLOW).start()
        daemon.post("take your time")
        until(lambda: daemon.operate("GET", "/v1/admin/status").json()["running"])
        self.assertEqual(daemon.stop(), FORCED)
        daemon.write_config(LISTEN)  # and an agent that is not slow
        daemon.start()
        until(lambda: ("agent", "take your time") in daemon.history())
        self.assertEqual(daemon.stop(), CLEAN)

    def test_while_it_stops_requests_are_answered_503(self):
        daemon = self.daemon(SLOW.replace("3s", "20s").replace("1h", "5s")).start()
        daemon.post("take your time")
        until(lambda: daemon.operate("GET", "/v1/admin/status").json()["running"])
        daemon.process.send_signal(signal.SIGTERM)
        until(lambda: "stopping" in daemon.said())
        late = daemon.post("too late")
        self.assertEqual(late.status, 503)
        self.assertIn("Retry-After", late.headers)
        self.assertEqual(daemon.request("GET", "/readyz", token=None).status, 503)
        self.assertEqual(daemon.wait(), CLEAN)

    def test_all_problems_of_a_configuration_are_told_with_their_places(self):
        daemon = self.daemon('[server]\nlistne = []\n[core]\nturn_timeout = "ages"\n')
        self.refused(daemon, BAD_CONFIG, 'sluice.toml:2:1: unknown key "listne"', '"listen"',
                     "sluice.toml:4:")
        checked = daemon.run("check-config", daemon.config)
        self.assertEqual(checked.returncode, BAD_CONFIG)
        self.assertIn('did you mean "listen"', checked.stderr)

    def test_a_channel_of_an_unknown_agent_is_a_bad_configuration(self):
        daemon = self.daemon('[agents.ecko]\nkind = "echo"\n[channels.http]\nagent = "ekco"\n')
        self.refused(daemon, BAD_CONFIG, "sluice.toml:3:", 'did you mean "ecko"')

    def test_a_secret_that_is_not_there_is_a_bad_configuration(self):
        daemon = self.daemon('[channels.shop]\nkind = "hook"\nagent = "echo"\n'
                             'token = { env = "SURELY_NOT_SET" }\n')
        self.refused(daemon, BAD_CONFIG, "sluice.toml:4:", "SURELY_NOT_SET")

    def test_a_configuration_that_is_named_must_exist(self):
        daemon = self.daemon()
        os.unlink(daemon.config)
        self.refused(daemon, BAD_CONFIG, daemon.config)

    def test_a_port_in_use_is_named(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            address = "127.0.0.1:%d" % taken.getsockname()[1]
            self.refused(self.daemon('[server]\nlisten = ["%s"]\n' % address), START_FAILED, address)

    def test_a_directory_that_can_not_be_written_is_named(self):
        if os.geteuid() == 0:
            # Root may write everywhere but where there is no directory to be made.
            daemon = self.daemon()
            daemon.data = "/proc/sluice"
        else:
            daemon = self.daemon()
            os.mkdir(daemon.data, 0o500)
        self.refused(daemon, START_FAILED, daemon.data)

    def test_a_second_daemon_on_the_same_store_is_refused_and_the_first_goes_on(self):
        first = self.daemon().start()
        second = self.daemon()
        self.refused(second, START_FAILED, str(first.process.pid))
        self.assertEqual(first.post("still there").status, 202)
        self.assertEqual(first.stop(), CLEAN)

    def test_a_store_without_its_hash_key_is_refused(self):
        daemon = self.daemon().start()
        self.assertEqual(daemon.stop(), CLEAN)
        os.unlink(os.path.join(daemon.data, "hash.key"))
        self.refused(daemon, START_FAILED, "hash.key")

    def test_a_store_of_a_newer_version_is_refused_and_left_alone(self):
        daemon = self.daemon().start()
        self.assertEqual(daemon.stop(), CLEAN)
        path = os.path.join(daemon.data, "sluice.db")
        with sqlite3.connect(path) as db:
            db.execute("PRAGMA user_version=999")
        db.close()
        self.refused(daemon, START_FAILED, "999")

    def test_a_corrupted_store_is_refused(self):
        daemon = self.daemon().start()
        daemon.post("hello")
        self.assertEqual(daemon.stop(), CLEAN)
        path = os.path.join(daemon.data, "sluice.db")
        with open(path, "r+b") as file:
            file.write(b"not a database, surely not")
        self.refused(daemon, START_FAILED, "sluice.db")

    def test_a_failed_write_ends_the_process_and_loses_nothing_acknowledged(self):
        daemon = self.daemon().start(prepare=files_of_at_most(2 << 20))
        told = []
        text = "x" * 8000
        while len(told) < 1000:
            try:
                answer = daemon.post(text, id="m%d" % len(told))
            except OSError:
                break
            if answer.status != 202:
                break
            told.append(answer.json()["message"])
        self.assertEqual(daemon.wait(), STORE_FAILED)
        self.assertIn("storage_failed", daemon.said())
        self.assertGreater(len(told), 10)
        daemon.start()
        for message in told:
            self.assertEqual(daemon.request("GET", "/v1/messages/%d" % message).status, 200)
        self.assertEqual(daemon.stop(), CLEAN)

    def test_a_disk_that_runs_low_closes_intake_and_says_so(self):
        daemon = self.daemon(LISTEN + '[core]\ndisk_low_bytes = "900GiB"\n').start()
        until(lambda: daemon.request("GET", "/readyz", token=None).status == 503)
        refused = daemon.post("hello")
        self.assertEqual(refused.status, 503)
        self.assertIn("Retry-After", refused.headers)
        self.assertEqual(daemon.request("GET", "/healthz", token=None).status, 200)
        self.assertEqual(daemon.stop(), CLEAN)

    def test_a_wrong_command_line_is_a_usage_error(self):
        daemon = self.daemon()
        for words in ([], ["walk"], ["run", "--fast"]):
            self.assertEqual(daemon.run(*words).returncode, USAGE, words)

    def test_an_unknown_command_or_option_is_named_with_the_nearest_one(self):
        daemon = self.daemon()
        for words, said in (
            (["statu"], 'no command "statu"; did you mean "status"?'),
            (["messages", "shw", "3"], 'no command "shw"; did you mean "show"?'),
            (["run", "--confg", "x"], 'no option "--confg"; did you mean "--config"?'),
            (["zzzzzz"], 'no command "zzzzzz"\n'),
        ):
            self.assertIn(said, daemon.run(*words).stderr)

    def test_version_tells_the_version(self):
        self.assertRegex(self.daemon().run("version").stdout, r"^sluice \d+\.\d+\.\d+\n$")

    def test_memory_is_not_dumped_and_the_limit_of_descriptors_is_raised(self):
        daemon = self.daemon().start()
        with open("/proc/%d/limits" % daemon.process.pid) as file:
            limits = file.read()
        self.assertRegex(limits, r"Max core file size +0 +0 ")
        soft, hard = re.search(r"Max open files +(\d+) +(\d+) ", limits).groups()
        self.assertEqual(soft, hard)
        self.assertEqual(daemon.stop(), CLEAN)


LISTEN = '[server]\nlisten = ["127.0.0.1:0"]\n'
# The stop is shorter than the turn.
SLOW = 'shutdown_timeout = "3s"\n' + LISTEN + '[agents.echo]\ndelay = "1h"\n'


def port_is_taken(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def files_of_at_most(size):
    """Every write behind this place in a file fails, as on a disk that fails."""
    import resource

    def prepare():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    return prepare


if __name__ == "__main__":
    unittest.main(verbosity=2)
