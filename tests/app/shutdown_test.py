"""How the daemon stops. Tests are named after the items of docs/lifecycle-checklist.md."""

import base64
import hashlib
import hmac
import http.client
import json
import os
import signal
import socket
import sqlite3
import struct
import threading
import time
import unittest

from daemon import Case, Sink, until

CLEAN, FORCED, ABORTED = 0, 3, 130

LISTEN = '[server]\nlisten = ["127.0.0.1:0"]\n'
OPENAI = '[channels.openai]\nkind = "openai"\n'


def slow(delay, top=""):
    return top + LISTEN + OPENAI + '[agents.echo]\ndelay = "%s"\n' % delay


class ShutdownTest(Case):
    def running(self, delay="1h", top="", more=""):
        """A daemon with one turn that runs."""
        daemon = self.daemon(slow(delay, top) + more).start()
        self.assertEqual(daemon.post("take your time").status, 202)
        until(lambda: status(daemon)["running"])
        return daemon

    def stopping(self, daemon):
        daemon.process.send_signal(signal.SIGTERM)
        until(lambda: "drain_start" in daemon.said())

    def test_item_21_after_the_drain_it_ends_with_exit_code_0(self):
        daemon = self.running("500ms")
        self.assertEqual(daemon.stop(), CLEAN)
        self.assertIn("drain_complete", daemon.said())

    def test_item_22_and_23_both_signals_stop_it(self):
        for how in (signal.SIGINT, signal.SIGTERM):
            daemon = self.daemon().start()
            self.assertEqual(daemon.stop(how), CLEAN)
            self.assertRegex(daemon.said(), "signal .*%s" % how.name)

    def test_item_25_a_request_under_way_gets_its_answer(self):
        daemon = self.daemon(slow("2s")).start()
        answers = []
        body = {"model": "echo", "messages": [{"role": "user", "content": "still here"}]}
        asks = threading.Thread(target=lambda: answers.append(
            daemon.request("POST", "/v1/chat/completions", body)))
        asks.start()
        until(lambda: status(daemon)["running"])
        self.assertEqual(daemon.stop(), CLEAN)
        asks.join()
        self.assertEqual(answers[0].status, 200, answers[0].body)
        self.assertIn("still here", answers[0].body.decode())
        self.assertEqual(answers[0].headers["Connection"], "close")

    def test_item_26_a_websocket_is_closed_with_a_goodbye_after_the_answer(self):
        daemon = self.daemon(slow("1s")).start()
        daemon.post("hello")
        reader = Follower(daemon, "/v1/conversations/main/socket?after=0")
        until(lambda: status(daemon)["running"])
        daemon.process.send_signal(signal.SIGTERM)
        text, code, reason = reader.until_closed()
        self.assertEqual(daemon.wait(), CLEAN)
        self.assertIn('"kind":"agent"', text, "the answer was told before the goodbye")
        self.assertEqual(code, 1001)
        self.assertIn(json.loads(reason)["retry_ms"], range(1000, 5001))

    def test_item_27_readers_that_do_not_go_are_counted_and_told(self):
        daemon = self.daemon('shutdown_timeout = "4s"\n' + slow("1h")).start()
        daemon.post("hello")
        until(lambda: status(daemon)["running"])
        reader = Follower(daemon, "/v1/conversations/main/socket")
        until(lambda: in_flight(daemon, "socket") == 1)
        began = time.monotonic()
        self.assertEqual(daemon.stop(), FORCED)
        self.assertGreaterEqual(time.monotonic() - began, 1)
        self.assertRegex(daemon.said(), r"drain_progress .*sockets.?=1")
        self.assertRegex(daemon.said(), r"request_force_terminated .*socket")
        reader.close()

    def test_item_70_a_request_that_waits_for_its_turn_is_answered_before_the_drain_is_over(self):
        daemon = self.daemon(slow("1h", 'drain_timeout = "1s"\n')).start()
        answers = []

        def ask():
            body = {"model": "echo", "messages": [{"role": "user", "content": "take your time"}]}
            answers.append(daemon.request("POST", "/v1/chat/completions", body))

        asks = threading.Thread(target=ask)
        asks.start()
        until(lambda: status(daemon)["running"])
        began = time.monotonic()
        self.assertEqual(daemon.stop(), FORCED)
        asks.join()
        self.assertLess(time.monotonic() - began, 15)
        self.assertEqual([answer.status for answer in answers], [503])
        self.assertIn("Retry-After", answers[0].headers)
        self.assertTrue(answers[0].json()["error"]["message"])

    def test_item_28_the_store_is_closed_properly(self):
        daemon = self.daemon().start()
        daemon.post("hello")
        until(lambda: ("agent", "hello") in daemon.history())
        self.assertEqual(daemon.stop(), CLEAN)
        path = os.path.join(daemon.data, "sluice.db")
        self.assertEqual(os.path.getsize(path + "-wal"), 0, "everything is in the file itself")
        with sqlite3.connect(path) as db:
            self.assertEqual(db.execute("PRAGMA integrity_check").fetchone(), ("ok",))
        db.close()

    def test_item_31_services_are_told_that_we_are_gone_and_the_metrics_are_kept(self):
        services = [Sink(), Sink()]
        for service in services:
            self.addCleanup(service.close)
        secret = os.path.join(self.folder, "secret")
        with open(os.open(secret, os.O_CREAT | os.O_WRONLY, 0o600), "w") as file:
            file.write("a secret of ours")
        daemon = self.daemon(LISTEN + '[shutdown]\nnotify = %s\nsecret = { file = "%s" }\n' % (
            json.dumps([s.url for s in services]), secret)).start()
        daemon.post("hello")
        until(lambda: ("agent", "hello") in daemon.history())
        self.assertEqual(daemon.stop(), CLEAN)
        for service in services:
            (headers, body), = service.got
            self.assertEqual((body["event"], body["restart"]), ("stopping", False))
            stamp, mac = headers["X-Sluice-Signature"].split(",v1=")
            said = json.dumps(body, separators=(",", ":"))
            signed = "%s.%s" % (stamp[2:], said)
            self.assertEqual(mac, hmac.new(b"a secret of ours", signed.encode(),
                                           hashlib.sha256).hexdigest())
        with open(os.path.join(daemon.data, "last.metrics")) as file:
            self.assertIn('sluice_messages_accepted_total{account="http"} 1', file.read())
        hooks = [l.split("hook=")[1].split()[0] for l in daemon.said().splitlines()
                 if "shutdown_hook" in l]
        self.assertEqual(hooks, ["stop_services", "flush_metrics", "save_state", "clear_cache",
                                 "notify_services"])

    def test_item_30_a_service_that_is_not_there_holds_up_nothing(self):
        with socket.create_server(("127.0.0.1", 0)) as deaf:
            daemon = self.daemon(LISTEN + '[shutdown]\nnotify = ["http://127.0.0.1:%d/gone"]\n' %
                                 deaf.getsockname()[1]).start()
            self.assertEqual(daemon.stop(), CLEAN)
        self.assertRegex(daemon.said(), "shutdown_hook_failed .*notify_services")

    def test_item_32_a_stop_ends_within_its_timeout_and_the_hooks_run(self):
        daemon = self.running(top='shutdown_timeout = "3s"\n')
        began = time.monotonic()
        self.assertEqual(daemon.stop(), FORCED)
        took = time.monotonic() - began
        self.assertTrue(1 < took < 4, took)
        self.assertIn("hook=save_state", daemon.said())
        self.assertEqual(os.path.getsize(os.path.join(daemon.data, "sluice.db-wal")), 0)

    def test_item_16_what_was_forced_is_told_by_its_own_id_and_age(self):
        daemon = self.daemon('drain_timeout = "500ms"\n' + slow("1h")).start()
        daemon.request("POST", "/v1/conversations/main/messages",
                       {"id": "a", "text": "hello", "request_id": "req-4711"})
        until(lambda: status(daemon)["running"])
        self.assertEqual(daemon.stop(), FORCED)
        said = daemon.said()
        self.assertRegex(said, r"force_terminate .*remaining=1")
        self.assertRegex(said, r"request_force_terminated .*request_id=req-4711.*work=turn")

    def test_item_33_and_69_signals_escalate(self):
        daemon = self.running()
        self.stopping(daemon)
        self.assertEqual(daemon.stop(), FORCED)
        self.assertEqual(daemon.said().count(" stopping "), 1)

    def test_item_72_sigquit_ends_it_where_it_is_and_loses_nothing(self):
        daemon = self.running()
        self.assertEqual(daemon.stop(signal.SIGQUIT), ABORTED)
        daemon.write_config(LISTEN)
        daemon.start()
        until(lambda: ("agent", "take your time") in daemon.history())
        self.assertEqual(daemon.stop(), CLEAN)

    def test_item_66_new_requests_are_told_when_to_come_back(self):
        daemon = self.running("4s")
        kept = daemon.connection()
        kept.request("GET", "/health/live")
        kept.getresponse().read()
        self.stopping(daemon)
        late = daemon.post("too late")
        self.assertEqual(late.status, 503)
        self.assertEqual(late.headers["Content-Type"], "application/problem+json")
        self.assertEqual(late.json()["type"], "urn:sluice:problem:stopping")
        self.assertIn(int(late.headers["Retry-After"]), range(1, 31))
        self.assertEqual(late.headers["Connection"], "close")
        kept.request("GET", "/health/live")  # a connection from before
        answer = kept.getresponse()
        self.assertEqual((answer.status, answer.headers["Connection"]), (200, "close"))
        answer.read()
        kept.close()
        self.assertEqual(daemon.wait(), CLEAN)

    def test_item_66_a_stream_says_when_to_come_back(self):
        daemon = self.daemon().start()
        daemon.post("hello")
        until(lambda: ("agent", "hello") in daemon.history())
        connection = daemon.connection()
        connection.request("GET", "/v1/conversations/main/events?after=0",
                           headers={"Authorization": "Bearer " + daemon.token})
        stream = connection.getresponse()
        until(lambda: in_flight(daemon, "socket") == 1)
        daemon.process.send_signal(signal.SIGTERM)
        told = stream.read().decode()  # to its end, which is well formed
        connection.close()
        self.assertEqual(daemon.wait(), CLEAN)
        last = [l for l in told.splitlines() if l.startswith("retry: ")][-1]
        self.assertIn(int(last.split()[1]), range(1000, 5001))

    def test_item_10_an_idle_daemon_stops_at_once(self):
        daemon = self.daemon().start()
        idle = socket.create_connection(daemon.base[1:])
        daemon.process.send_signal(signal.SIGTERM)
        daemon.wait()
        idle.close()
        took = [l for l in daemon.said().splitlines() if " stopped " in l][-1]
        self.assertLess(int(took.split("ms=")[1].split()[0]), 1000, took)

    def test_item_6_and_39_what_is_in_flight_is_told_and_counted_alike(self):
        daemon = self.running("3s")
        reader = Follower(daemon, "/v1/conversations/main/socket")
        until(lambda: in_flight(daemon, "socket") == 1)
        self.stopping(daemon)
        told = status(daemon)
        self.assertEqual(told["phase"], "draining")
        by_work = {}
        for one in told["in_flight"]:
            by_work[one["work"]] = by_work.get(one["work"], 0) + 1
            self.assertGreaterEqual(one["age_ms"], 0)
        for work in ("turn", "socket"):
            self.assertEqual((by_work.get(work), in_flight(daemon, work)), (1, 1))
        reader.until_closed()
        self.assertEqual(daemon.wait(), CLEAN)

    def test_readiness_has_its_reasons_and_liveness_none(self):
        daemon = self.running("2s")
        ready = daemon.request("GET", "/health/ready", token=None)
        self.assertEqual(ready.status, 200)
        self.assertEqual(ready.json()["channels"], {"active": 3})
        self.assertTrue(ready.json()["append"] and ready.json()["claim"])
        self.assertEqual(daemon.request("GET", "/health/startup", token=None).status, 200)
        self.stopping(daemon)
        unready = daemon.request("GET", "/health/ready", token=None)
        self.assertEqual((unready.status, unready.json()["reasons"]), (503, ["stopping"]))
        self.assertFalse(unready.json()["append"])
        self.assertEqual(daemon.request("GET", "/health/live", token=None).status, 200)
        self.assertEqual(daemon.wait(), CLEAN)

    def test_before_it_stops_it_serves_for_the_delay_that_was_asked_for(self):
        daemon = self.daemon('pre_stop_delay = "2s"\n' + LISTEN).start()
        daemon.process.send_signal(signal.SIGTERM)
        until(lambda: daemon.request("GET", "/health/ready", token=None).status == 503)
        self.assertEqual(daemon.post("in time").status, 202)
        self.assertEqual(daemon.wait(), CLEAN)

    def test_item_68_systemd_is_told_in_its_own_words(self):
        path = os.path.join(self.folder, "notify")
        manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(manager.close)
        manager.bind(path)
        manager.settimeout(30)
        daemon = self.daemon(slow("1s"))
        daemon.more_environment = {"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "200000"}
        daemon.start()
        daemon.post("hello")
        until(lambda: status(daemon)["running"])
        told = ""
        while told.count("WATCHDOG=1") < 3 or "READY=1" not in told:
            told += manager.recv(4096).decode() + "\n"
        self.assertIn("MAINPID=%d" % daemon.process.pid, told)
        self.assertNotIn("STOPPING=1", told)
        self.assertEqual(daemon.stop(), CLEAN)
        while "EXTEND_TIMEOUT_USEC=" not in told:
            told += manager.recv(4096).decode() + "\n"
        self.assertIn("STOPPING=1", told)

    def test_a_signal_during_the_start_stops_it(self):
        daemon = self.daemon()
        daemon.spawn()
        # As early as the daemon can hear it: the signal set is there before the store is opened.
        until(lambda: os.path.exists(os.path.join(daemon.data, "sluice.db")))
        daemon.process.send_signal(signal.SIGTERM)
        self.assertEqual(daemon.wait(), CLEAN)

    def test_a_drained_daemon_accepts_nothing_and_stays(self):
        daemon = self.running("2s")
        said = daemon.client("drain")
        self.assertEqual((said.returncode, said.stderr), (0, ""))
        refused = daemon.post("not now")
        self.assertEqual(refused.status, 503)
        self.assertIn("Retry-After", refused.headers)
        ready = daemon.request("GET", "/health/ready", token=None)
        self.assertEqual((ready.status, ready.json()["reasons"]), (503, ["drained by an operator"]))
        self.assertTrue(status(daemon)["drained"])
        until(lambda: ("agent", "take your time") in daemon.history())
        self.assertEqual(json.loads(daemon.client("drain", "--undo", "--json").stdout),
                         {"drained": False})
        self.assertEqual(daemon.request("GET", "/health/ready", token=None).status, 200)
        self.assertEqual(daemon.post("now").status, 202)
        until(lambda: ("agent", "now") in daemon.history())
        self.assertEqual(daemon.stop(), CLEAN)

    def test_an_operator_can_stop_it(self):
        daemon = self.running("1s")
        page = daemon.client("status").stdout
        self.assertRegex(page, r"phase +ready")
        self.assertRegex(page, r"IN FLIGHT[^\n]*\n(request|turn)")
        self.assertEqual(daemon.client("shutdown").returncode, 0)
        self.assertEqual(daemon.wait(), CLEAN)

    def test_an_address_for_goodbyes_that_is_none_is_refused(self):
        daemon = self.daemon(LISTEN + '[shutdown]\nnotify = ["ftp://example.org"]\n')
        code, said = daemon.fails()
        self.assertEqual(code, 78)
        self.assertIn("notify", said)

    def test_check_config_says_what_the_timeouts_come_to(self):
        daemon = self.daemon('shutdown_timeout = "20s"\ndrain_timeout = "30s"\n' + LISTEN)
        checked = daemon.run("check-config", daemon.config)
        self.assertIn("20 s at most: 13 s for what is under way", checked.stdout)


def status(daemon):
    return daemon.operate("GET", "/v1/admin/status").json()


def in_flight(daemon, work):
    for line in daemon.request("GET", "/metrics").body.decode().splitlines():
        if line.startswith('sluice_in_flight{work="%s"}' % work):
            return int(float(line.split()[1]))
    return None


class Follower:
    """A WebSocket that reads (RFC 6455), and answers a goodbye."""

    def __init__(self, daemon, path):
        host, port = daemon.base[1:]
        self.socket = socket.create_connection((host, port), timeout=30)
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall(("GET %s HTTP/1.1\r\nHost: %s:%d\r\nAuthorization: Bearer %s\r\n"
                             "Connection: Upgrade\r\nUpgrade: websocket\r\n"
                             "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n\r\n" %
                             (path, host, port, daemon.token, key)).encode())
        self.file = self.socket.makefile("rb")
        assert b"101" in self.file.readline()
        while self.file.readline() != b"\r\n":
            pass

    def frame(self):
        first, length = self.file.read(2)
        if length == 126:
            length, = struct.unpack(">H", self.file.read(2))
        elif length == 127:
            length, = struct.unpack(">Q", self.file.read(8))
        return first & 15, self.file.read(length)

    def until_told(self, *words):
        """The first frame with all of them."""
        while True:
            kind, payload = self.frame()
            assert kind == 1, payload
            if all(word in payload.decode() for word in words):
                return payload.decode()

    def until_closed(self):
        """All that was told, the close code, and the reason."""
        text = ""
        while True:
            kind, payload = self.frame()
            if kind == 8:
                self.socket.sendall(b"\x88\x82\0\0\0\0" + payload[:2])
                self.close()
                return text, struct.unpack(">H", payload[:2])[0], payload[2:].decode()
            text += payload.decode()

    def close(self):
        self.file.close()
        self.socket.close()


if __name__ == "__main__":
    unittest.main(verbosity=2)
