"""Reading the configuration again while the daemon runs. Named after docs/lifecycle-checklist.md."""

import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import unittest

from daemon import BINARY, PATIENCE, Case, Sink, certificate, until
from shutdown_test import Follower, status
from webhook_agent import CONFIG, Agent

CLEAN = 0
LISTEN = '[server]\nlisten = ["127.0.0.1:0"]\n'


def reloads(daemon):
    return daemon.said().count(" reloaded ")


class ReloadTest(Case):
    def reload(self, daemon, text=None):
        if text is not None:
            daemon.write_config(text)
        return json.loads(daemon.client("reload", "--json").stdout)

    def applied(self, daemon, text=None):
        said = self.reload(daemon, text)
        self.assertTrue(said["applied"], said)
        self.assertEqual(said["failed"], [])
        return said

    def refused(self, daemon, text, *words):
        said = self.reload(daemon, text)
        self.assertFalse(said["applied"], said)
        for word in words:
            self.assertIn(word, "\n".join(said["problems"]))
        self.assertEqual(daemon.post("still there").status, 202)
        return said

    def test_item_24_sighup_reloads_and_does_not_stop_and_may_be_repeated(self):
        daemon = self.daemon(LISTEN).start()
        for level in ("debug", "info", "debug"):
            daemon.write_config(LISTEN + '[log]\nlevel = "%s"\n' % level)
            before = reloads(daemon)
            daemon.process.send_signal(signal.SIGHUP)
            until(lambda: reloads(daemon) > before)
        self.assertEqual(daemon.post("hello").status, 202)
        until(lambda: "http_request" in daemon.said())  # told at the new level
        self.assertEqual(daemon.stop(), CLEAN)

    def test_nothing_changed_touches_nothing(self):
        daemon = self.daemon(LISTEN).start()
        self.assertEqual(self.applied(daemon), {"applied": True, "problems": [], "changed": [],
                                                "needs_restart": [], "failed": []})
        self.assertNotIn("channel_unregistered", daemon.said())
        self.assertEqual(daemon.stop(), CLEAN)

    def test_an_agent_is_put_in_the_place_of_another_and_a_running_turn_keeps_its_own(self):
        daemon = self.daemon(LISTEN + '[agents.echo]\ndelay = "2s"\n').start()
        daemon.post("slow one")
        until(lambda: status(daemon)["running"])
        said = self.applied(daemon, LISTEN + '[agents.echo]\ndelay = "0s"\n')
        self.assertEqual(said["changed"], ["agents.echo.delay"])
        daemon.post("quick one", chat="second")
        until(lambda: ("agent", "quick one") in daemon.history("second"))
        self.assertEqual(daemon.history(), [], "the other is still slow")
        until(lambda: ("agent", "slow one") in daemon.history())
        self.assertEqual(daemon.stop(), CLEAN)

    def test_an_agent_comes_and_goes_with_its_channel(self):
        daemon = self.daemon(LISTEN).start()
        said = self.applied(daemon, LISTEN + '[agents.second]\nkind = "echo"\n'
                            '[channels.http]\nagent = "echo"\n[channels.cli]\nagent = "second"\n')
        self.assertIn("agents.second", said["changed"])
        self.assertEqual(agents(daemon), ["echo", "second"])
        self.applied(daemon, LISTEN)
        self.assertEqual(agents(daemon), ["echo"])
        self.assertEqual(daemon.post("hello").status, 202)
        until(lambda: ("agent", "hello") in daemon.history())
        self.assertEqual(daemon.stop(), CLEAN)

    def test_a_changed_channel_is_restarted_alone_and_loses_nothing(self):
        shop = '[channels.shop]\nkind = "http"\n'
        daemon = self.daemon(LISTEN + shop + '[agents.echo]\ndelay = "1s"\n').start()
        daemon.post("hello")
        reader = Follower(daemon, "/v1/conversations/main/socket?after=0")
        path = "/accounts/shop/v1/conversations/main/messages"
        told = daemon.request("POST", path, {"id": "a", "text": "over the change"})
        self.assertEqual(told.status, 202)
        said = self.applied(daemon, LISTEN + shop + 'streams_max = 7\n[agents.echo]\ndelay = "1s"\n')
        self.assertEqual(said["changed"], ["channels.shop.streams_max"])
        self.assertEqual(stopped(daemon), ["shop"])
        reader.until_told("hello", "agent")  # it noticed nothing
        reader.close()
        message = "/accounts/shop/v1/messages/%d" % told.json()["message"]
        until(lambda: daemon.request("GET", message).json()["status"] == "answered")
        self.applied(daemon, LISTEN)  # it goes
        self.assertEqual(daemon.request("POST", path, {"id": "b", "text": "x"}).status, 503)
        self.applied(daemon, LISTEN + shop)  # and comes back to the same place
        self.assertEqual(daemon.request("POST", path, {"id": "c", "text": "x"}).status, 202)
        self.assertEqual(daemon.stop(), CLEAN)

    def test_listeners_move_and_connections_of_before_go_on(self):
        first, second = free_port(), free_port()
        daemon = self.daemon(listening(first)).start()
        old = daemon.connection()
        self.addCleanup(old.close)
        old.request("GET", "/health/live")
        self.assertEqual(old.getresponse().read(), b'{"status":"alive"}')
        said = self.applied(daemon, listening(second))
        self.assertEqual(said["changed"], ["server.listen"])
        with self.assertRaises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", first))
        daemon.base = ("http", "127.0.0.1", second)
        self.assertEqual(daemon.post("at the new place").status, 202)
        old.request("GET", "/health/live", headers={"Host": "127.0.0.1:%d" % second})
        self.assertEqual(old.getresponse().status, 200)
        self.assertEqual(daemon.stop(), CLEAN)

    def test_a_port_in_use_changes_nothing(self):
        daemon = self.daemon(LISTEN).start()
        with socket.create_server(("127.0.0.1", 0)) as taken:
            free = free_port()
            self.refused(daemon, '[server]\nlisten = ["127.0.0.1:%d", "127.0.0.1:%d"]\n'
                         '[agents.echo]\ndelay = "1h"\n' % (free, taken.getsockname()[1]),
                         str(taken.getsockname()[1]))
        with self.assertRaises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", free))
        until(lambda: ("agent", "still there") in daemon.history())
        self.assertEqual(daemon.stop(), CLEAN)

    def test_what_is_not_valid_changes_nothing_and_says_where(self):
        daemon = self.daemon(LISTEN).start()
        said = self.refused(daemon, LISTEN + '[agents.echo]\ndelya = "1s"\n',
                            'sluice.toml:4:1: unknown key "delya"')
        self.assertEqual(said["changed"], [])
        command = daemon.client("reload")
        self.assertEqual(command.returncode, 1)
        self.assertRegex(command.stdout, r'sluice.toml:4:1: unknown key "delya".*did you mean "delay"')
        self.assertIn("nothing was changed", command.stdout)
        self.assertIn("delya", daemon.said())
        self.refused(daemon, LISTEN + '[channels.http]\nagent = "ech"\n', "sluice.toml:3:1: ",
                     'did you mean "echo"')
        self.refused(daemon, LISTEN[:-5], "sluice.toml:2:")  # half written
        self.refused(daemon, "", "the file is empty")
        os.unlink(daemon.config)
        self.refused(daemon, None, "sluice.toml")
        self.assertEqual(reloads(daemon), 0)
        self.assertEqual(stopped(daemon), [])
        self.applied(daemon, LISTEN)
        self.assertEqual(daemon.stop(), CLEAN)

    def test_a_key_that_needs_a_restart_says_so_until_there_was_one(self):
        daemon = self.daemon(LISTEN).start()
        said = self.applied(daemon, LISTEN + "[core]\nmax_concurrent_turns = 5\n")
        self.assertEqual((said["changed"], said["needs_restart"]),
                         ([], ["core.max_concurrent_turns"]))
        self.assertEqual(self.applied(daemon)["needs_restart"], ["core.max_concurrent_turns"])
        self.assertIn("needs a restart: core.max_concurrent_turns", daemon.client("reload").stdout)
        self.assertRegex(daemon.said(), "needs_restart .*core.max_concurrent_turns")
        self.assertRegex(daemon.client("status").stdout, "needs restart +core.max_concurrent_turns")
        self.assertEqual(daemon.stop(), CLEAN)
        daemon.start()
        self.assertEqual(self.applied(daemon)["needs_restart"], [])
        self.assertEqual(daemon.stop(), CLEAN)

    def test_certificates_are_read_again(self):
        here = {}
        for name in ("localhost.crt", "localhost.key"):
            here[name] = os.path.join(self.folder, name)
            shutil.copy(certificate(name), here[name])
        port = free_port()
        config = listening(port) + '[server.tls]\ncertificate = "%s"\nkey = "%s"\n' % (
            here["localhost.crt"], here["localhost.key"])
        daemon = self.daemon(config).start()
        before = ssl.get_server_certificate(("127.0.0.1", port))
        new = new_certificate(self.folder)
        for name, path in new.items():
            os.replace(path, here[name])
        said = self.applied(daemon)
        self.assertEqual(said["changed"], [], "no key has changed, the files have")
        self.assertNotEqual(ssl.get_server_certificate(("127.0.0.1", port)), before)
        with open(here["localhost.key"], "w") as file:
            file.write("no key at all")
        said = self.reload(daemon)
        self.assertFalse(said["applied"])
        self.assertIn("server.tls", said["problems"][0])
        self.assertEqual(daemon.stop(), CLEAN)

    def test_secrets_are_read_again(self):
        secret = self.secret("first-secret-of-the-hook")
        sink = Sink()
        self.addCleanup(sink.close)
        daemon = self.daemon(LISTEN + '[channels.shop]\nkind = "hook"\ncallback = "%s"\n'
                             'token = { file = "%s" }\n' % (sink.url, secret)).start()

        def posted(token):
            message = {"id": "a", "text": "x", "chat": "c", "sender": "ann"}
            return daemon.request("POST", "/hook/shop", message, token=token).status

        self.assertEqual(posted("second-secret-of-the-hook"), 401)
        self.secret("second-secret-of-the-hook")
        self.assertEqual(self.applied(daemon)["changed"], ["channels.shop.token"])
        self.assertEqual(posted("first-secret-of-the-hook"), 401)
        self.assertEqual(posted("second-secret-of-the-hook"), 202)
        self.assertEqual(daemon.stop(), CLEAN)

    def test_a_file_that_is_watched_is_reloaded_and_quick_edits_end_in_the_last(self):
        watched = "watch = true\n" + LISTEN
        daemon = self.daemon(watched).start()
        for delay in range(20):
            daemon.write_config(watched + '[agents.echo]\ndelay = "%dms"\n' % delay)
        daemon.write_config(watched + '[agents.late]\nkind = "echo"\n'
                            '[channels.http]\nagent = "late"\n[channels.cli]\nagent = "late"\n')
        until(lambda: agents(daemon) == ["echo", "late"])
        self.assertLess(reloads(daemon), 20)
        os.replace(self.written(LISTEN + "nonsense"), daemon.config)  # as editors do it
        until(lambda: "reload_refused" in daemon.said())
        self.assertEqual(agents(daemon), ["echo", "late"])
        self.assertEqual(daemon.stop(), CLEAN)

    def secret(self, text):
        path = os.path.join(self.folder, "secret")
        with open(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w") as file:
            file.write(text)
        return path

    def written(self, text):
        path = os.path.join(self.folder, "new.toml")
        with open(path, "w") as file:
            file.write(text)
        return path

    def test_other_options_of_an_account_are_put_under_a_running_channel(self):
        daemon = self.daemon(LISTEN).start()
        daemon.post("hello")
        reader = Follower(daemon, "/v1/conversations/main/socket?after=0")
        reader.until_told("hello", "agent")
        said = self.applied(daemon, LISTEN + '[channels.http]\nturns_per_day = 1\n'
                            '[channels.http.session]\ntime_zone = "UTC"\n')
        self.assertEqual(said["changed"],
                         ["channels.http.session.time_zone", "channels.http.turns_per_day"])
        daemon.post("one")
        daemon.post("two")
        reader.until_told("Today's limit", "notice")
        reader.close()
        self.assertEqual(stopped(daemon), [])
        self.assertEqual(daemon.stop(), CLEAN)

    def test_the_order_of_routes_is_a_change(self):
        two = LISTEN + '[agents.second]\nkind = "echo"\nprefix = "second: "\n' \
            '[channels.http]\nagent = "echo"\n[channels.cli]\nagent = "echo"\n'
        first = '[routes.first]\nagent = "echo"\n'
        second = '[routes.second]\nagent = "second"\n'
        daemon = self.daemon(two + first + second).start()
        self.assertEqual(routed(daemon), "echo")
        self.assertEqual(self.applied(daemon, two + second + first)["changed"], ["routes"])
        self.assertEqual(routed(daemon), "second")
        self.assertEqual(self.applied(daemon, two + first)["changed"], ["routes.second"])
        self.assertEqual(routed(daemon), "echo")
        self.assertEqual(stopped(daemon), [])
        self.assertEqual(daemon.stop(), CLEAN)

    def test_a_parked_turn_goes_on_with_another_agent_of_its_name(self):
        agent = Agent((202, "application/json", "{}"))
        self.addCleanup(agent.close)
        config = CONFIG % (agent.port, "callbacks = true\n%s")
        daemon = self.daemon(config % "").start()
        daemon.post("two and two?")
        callback = until(lambda: agent.turns())[0]["callback"]
        until(lambda: status(daemon)["parked"] == 1)
        said = self.applied(daemon, config % "max_turns = 3")
        self.assertEqual(said["changed"], ["agents.far.max_turns"])
        self.assertEqual(status(daemon)["parked"], 1)
        path = re.sub("^http://[^/]+", "", callback["url"])
        self.assertEqual(daemon.request("POST", path, {"text": "It is four."},
                                        token=callback["secret"]).status, 200)
        until(lambda: ("agent", "It is four.") in daemon.history())
        self.assertEqual(len(agent.posts), 1)
        self.assertEqual(daemon.stop(), CLEAN)

    def test_answers_of_a_channel_that_goes_wait_for_it(self):
        sink = Sink()
        self.addCleanup(sink.close)
        sink.closed = True
        secret = self.secret("token-of-the-shop")
        shop = '[channels.shop]\nkind = "hook"\ncallback = "%s"\n' \
            'token = { file = "%s" }\n' % (sink.url, secret)
        daemon = self.daemon(LISTEN + shop).start()
        message = {"id": "a", "text": "hello", "chat": "c", "sender": "ann"}
        self.assertEqual(daemon.request("POST", "/hook/shop", message,
                                        token="token-of-the-shop").status, 202)
        until(lambda: sink.refused)
        self.assertEqual(self.applied(daemon, LISTEN)["changed"], ["channels.shop"])
        self.assertEqual(status(daemon)["outbox"], 1)
        self.assertEqual(daemon.request("POST", "/hook/shop", message, token=None).status, 404)
        sink.closed = False
        self.applied(daemon, LISTEN + shop)
        until(lambda: sink.got)
        self.assertEqual(sink.got[0][1]["text"], "hello")
        self.assertEqual(daemon.stop(), CLEAN)

    def test_an_address_gives_way_to_all_addresses_on_its_port(self):
        port = free_port()
        daemon = self.daemon(listening(port)).start()
        for host in ("0.0.0.0", "127.0.0.1"):
            said = self.applied(daemon, '[server]\nlisten = ["%s:%d"]\n' % (host, port))
            self.assertEqual(said["changed"], ["server.listen"])
            self.assertIn("listening address=%s:%d" % (host, port), daemon.said())
            self.assertEqual(daemon.post("at %s" % host).status, 202)
        said = self.applied(daemon, '[server]\nlisten = ["localhost:%d"]\n' % port)
        self.assertEqual(daemon.post("the same by another name").status, 202)
        self.assertEqual(daemon.said().count(" listening "), 3)
        with self.assertRaises(OSError):
            socket.create_server(("127.0.0.1", port))
        self.assertEqual(daemon.stop(), CLEAN)

    def test_status_says_when_it_was_read_and_what_was_wrong_last(self):
        daemon = self.daemon(LISTEN).start()
        begun = status(daemon)["config"]
        self.assertEqual(begun["path"], daemon.config)
        self.assertIsNone(begun["refused_at"])
        self.refused(daemon, LISTEN + "nonsense = 1\n", "nonsense")
        refused = status(daemon)["config"]
        self.assertEqual(refused["read_at"], begun["read_at"])
        self.assertGreater(refused["refused_at"], begun["read_at"])
        self.assertIn("nonsense", refused["problems"][0])
        page = daemon.client("status").stdout
        self.assertRegex(page, r"config +%s, read \d{4}-" % daemon.config)
        self.assertRegex(page, r"reload refused +\d{4}-")
        self.applied(daemon, LISTEN)
        good = status(daemon)["config"]
        self.assertGreater(good["read_at"], begun["read_at"])
        self.assertEqual((good["refused_at"], good["problems"]), (None, []))
        self.assertEqual(daemon.stop(), CLEAN)

    def test_systemd_is_told_of_every_reload(self):
        path = os.path.join(self.folder, "notify")
        manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(manager.close)
        manager.bind(path)
        manager.settimeout(PATIENCE)
        daemon = self.daemon(LISTEN)
        daemon.more_environment = {"NOTIFY_SOCKET": path}
        daemon.start()
        self.assertIn("READY=1", manager.recv(4096).decode())
        daemon.process.send_signal(signal.SIGHUP)
        self.told_of_a_reload(manager)
        self.applied(daemon)
        self.told_of_a_reload(manager)
        self.refused(daemon, "nonsense = 1", "nonsense")
        self.told_of_a_reload(manager)
        self.assertEqual(daemon.stop(), CLEAN)

    def told_of_a_reload(self, manager):
        self.assertRegex(manager.recv(4096).decode(), r"^RELOADING=1\nMONOTONIC_USEC=\d+\n")
        self.assertRegex(manager.recv(4096).decode(), r"^READY=1\n")

    def test_a_sighup_during_the_start_is_served_after_it(self):
        def pending():
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
            os.kill(os.getpid(), signal.SIGHUP)

        daemon = self.daemon(LISTEN).start(pending)
        until(lambda: reloads(daemon) == 1)
        said = daemon.said()
        self.assertLess(said.index(" ready "), said.index(" reloaded "))
        self.assertEqual(daemon.stop(), CLEAN)

    def test_a_drained_daemon_reloads_and_stays_drained(self):
        daemon = self.daemon(LISTEN).start()
        self.assertEqual(daemon.client("drain").returncode, 0)
        self.applied(daemon, LISTEN + '[channels.shop]\nkind = "http"\n')
        self.assertEqual(daemon.post("not now").status, 503)
        self.assertTrue(status(daemon)["drained"])
        self.assertEqual(daemon.client("drain", "--undo").returncode, 0)
        self.assertEqual(daemon.post("now").status, 202)
        self.assertEqual(daemon.stop(), CLEAN)

    def test_what_a_new_agent_is_asked_for_is_not_what_the_old_one_had_room_for(self):
        one = LISTEN + '[agents.echo]\ndelay = "%s"\nmax_turns = %d\n'
        daemon = self.daemon(one % ("1h", 1)).start()
        daemon.post("takes the one place", chat="first")
        until(lambda: status(daemon)["running"])
        daemon.post("waits for a place", chat="second")
        self.assertEqual(self.applied(daemon, one % ("0s", 2))["changed"],
                         ["agents.echo.delay", "agents.echo.max_turns"])
        until(lambda: ("agent", "waits for a place") in daemon.history("second"))
        self.assertEqual(len(status(daemon)["running"]), 1)
        daemon.process.kill()
        daemon.wait()

    def test_a_storm_of_sighups_ends_in_the_last_configuration(self):
        daemon = self.daemon(LISTEN).start()
        for _ in range(100):
            daemon.process.send_signal(signal.SIGHUP)
        daemon.write_config(LISTEN + '[agents.last]\nkind = "echo"\n'
                            '[channels.http]\nagent = "last"\n[channels.cli]\nagent = "last"\n')
        daemon.process.send_signal(signal.SIGHUP)
        until(lambda: agents(daemon) == ["echo", "last"])
        self.assertEqual(daemon.stop(), CLEAN)

    def test_a_stop_that_comes_in_the_middle_of_a_reload_ends_both(self):
        silent = socket.create_server(("127.0.0.1", 0))  # takes connections and never answers
        self.addCleanup(silent.close)
        secret = self.secret("token-of-the-shop")
        shop = LISTEN + '[core]\nchannel_stop_timeout = "1m"\n[channels.shop]\nkind = "hook"\n' \
            'callback = "http://127.0.0.1:%d/"\ntoken = { file = "%s" }\n' % (
                silent.getsockname()[1], secret)
        daemon = self.daemon(shop).start()
        message = {"id": "a", "text": "hello", "chat": "c", "sender": "ann"}
        daemon.request("POST", "/hook/shop", message, token="token-of-the-shop")
        connection, _ = silent.accept()
        daemon.write_config(shop + "waits_max = 7\n")
        reload = subprocess.Popen([BINARY, "reload", "--json", *daemon.paths()],
                                  env=daemon.environment(), stdout=subprocess.PIPE, text=True)
        # It waits for the send that is on its way.
        until(lambda: "channel shop is not connected" in
              daemon.request("GET", "/health/ready", token=None).body.decode())
        daemon.process.send_signal(signal.SIGTERM)
        until(lambda: "drain_start" in daemon.said())
        connection.close()
        said = json.loads(reload.communicate(timeout=PATIENCE)[0])
        self.assertTrue(said["applied"])
        self.assertEqual(said["failed"], ["[channels.shop]: the daemon is stopping"])
        self.assertEqual(reload.returncode, 1)
        self.assertEqual(daemon.wait(), CLEAN)

    def test_a_reload_during_a_stop_is_refused(self):
        daemon = self.daemon(LISTEN + '[agents.echo]\ndelay = "2s"\n').start()
        daemon.post("hello")
        until(lambda: status(daemon)["running"])
        daemon.process.send_signal(signal.SIGTERM)
        until(lambda: "drain_start" in daemon.said())
        daemon.process.send_signal(signal.SIGHUP)
        said = self.reload(daemon)
        self.assertFalse(said["applied"])
        self.assertIn("stopping", said["problems"][0])
        self.assertEqual(daemon.wait(), CLEAN)


def stopped(daemon):
    """The channels that were stopped, in their order."""
    return re.findall(r"channel_unregistered .*account=(\w+)", daemon.said())


def agents(daemon):
    return [agent["name"] for agent in status(daemon)["agents"]]


def routed(daemon):
    return daemon.client("route", "hello").stdout.strip()


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


def listening(port):
    return '[server]\nlisten = ["127.0.0.1:%d"]\n' % port


def new_certificate(folder):
    """A key and a certificate of its own for localhost."""
    key, crt = os.path.join(folder, "new.key"), os.path.join(folder, "new.crt")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                    "-nodes", "-keyout", key, "-out", crt, "-days", "2", "-subj", "/CN=localhost"],
                   check=True, capture_output=True)
    return {"localhost.crt": crt, "localhost.key": key}


if __name__ == "__main__":
    unittest.main(verbosity=2)
