"""One daemon hands over to the next. Tests are named after the items of docs/lifecycle-checklist.md."""

import hashlib
import hmac
import http.client
import http.server
import json
import os
import re
import signal
import sqlite3
import threading
import time
import unittest

from daemon import PATIENCE, until
from restarting import BRIEF, LISTEN, OPENAI, RestartCase, alive, holder, slow, status


SIGNED = "[channels.desk]\nkind = \"hook\"\nagent = \"echo\"\nreceive_secret = \"key\"\n"


def signature(body):
    seconds = str(int(time.time()))
    mac = hmac.new(b"key", seconds.encode() + b"." + body, hashlib.sha256).hexdigest()
    return "t=%s,v1=%s" % (seconds, mac)


def belongings(pid):
    """What would grow from one process to the next if it were passed on by mistake."""
    where = "/proc/%d/" % pid
    kinds = {}
    for name in os.listdir(where + "fd"):
        try:
            kind = os.readlink(where + "fd/" + name).split(":")[0]
        except OSError:
            continue
        kinds[kind] = kinds.get(kind, 0) + 1
    with open(where + "environ") as file:
        environment = sorted(file.read().split("\0"))
    with open(where + "task/%d/children" % pid) as file:
        children = len(file.read().split())
    return {"fd": sum(kinds.values()), "kinds": kinds, "environment": environment,
            "children": children, "threads": len(os.listdir(where + "task"))}


class RestartTest(RestartCase):
    def test_item_17_sigusr1_begins_a_restart(self):
        daemon = self.daemon(slow("0s")).start()
        first = holder(daemon)
        os.kill(first, signal.SIGUSR1)
        until(lambda: holder(daemon) not in (0, first))
        until(lambda: status(daemon)["phase"] == "ready")
        self.assertIn("sigusr1-received", daemon.said())
        self.assertEqual(self.ended(daemon, first), 0)

    def test_item_20_and_61_nobody_is_refused_while_one_takes_over_from_the_other(self):
        daemon = self.daemon(slow("0s")).start()
        done, wrong, accepted = threading.Event(), [], []

        def talk(who):
            n = 0
            while not done.is_set():
                n += 1
                id = "%d-%d" % (who, n)
                try:
                    answer = daemon.request("POST", "/v1/conversations/c%d/messages" % who,
                                            {"id": id, "text": id})
                except (OSError, http.client.HTTPException) as error:
                    wrong.append((id, repr(error)))
                    continue
                (accepted if answer.status == 202 else wrong).append((id, answer.status))

        people = [threading.Thread(target=talk, args=(who,)) for who in range(4)]
        for person in people:
            person.start()
        for n in range(3):
            before = len(accepted)
            until(lambda: len(accepted) > before + 20)
            self.restart(daemon)
            until(lambda: not status(daemon)["calls_elsewhere"])
            self.alone(daemon)
        done.set()
        for person in people:
            person.join()
        self.assertEqual(wrong, [])
        for who in range(4):
            path = "/v1/conversations/c%d/history?limit=1" % who
            until(lambda: daemon.request("GET", path).status == 200)
        until(lambda: status(daemon)["pending"] == 0)
        found = []
        for who in range(4):
            before = None
            while True:
                path = "/v1/conversations/c%d/history?limit=100" % who
                page = daemon.request("GET", path + ("&before=%d" % before if before else ""))
                lines = page.json()
                lines = lines.get("lines") or lines.get("history") or lines.get("messages") or []
                found += [line["text"] for line in lines if line["kind"] == "person"]
                if not lines:
                    break
                before = min(line["id"] for line in lines)
        self.assertEqual(sorted(found), sorted(id for id, _ in accepted))

    def test_a_request_that_waits_for_its_turn_is_answered_through_the_successor(self):
        daemon = self.daemon(slow("3s")).start()
        answers = []

        def ask(stream):
            body = {"model": "echo", "messages": [{"role": "user", "content": "still here"}]}
            answers.append(daemon.request("POST", "/v1/chat/completions", dict(body, **stream)))

        asks = threading.Thread(target=ask, args=({},))
        asks.start()
        until(lambda: status(daemon)["running"])
        self.restart(daemon)
        asks.join()
        self.assertEqual([answer.status for answer in answers], [200], answers[0].body)
        said = answers[0].json()["choices"][0]["message"]["content"]
        self.assertIn("still here", said)

    def test_an_answer_that_streams_goes_on_from_the_successor_without_a_hole_or_a_repetition(self):
        words = ["w%d" % n for n in range(30)]
        daemon = self.daemon(BRIEF + LISTEN + OPENAI + """
[agents.echo]
prefix = "Said: "
stream = true
delay_per_word = "100ms"
""").start()
        begun, events = threading.Event(), []

        def read(connection):
            # As long as a client's whole conversation may be: the successor needs none of it.
            body = {"model": "echo", "stream": True, "user": "ann",
                    "messages": [{"role": "user", "content": "before " * 100_000},
                                 {"role": "user", "content": " ".join(words)}]}
            connection.request("POST", "/v1/chat/completions", json.dumps(body), {
                "Authorization": "Bearer " + daemon.token, "Content-Type": "application/json"})
            with connection.getresponse() as response:
                for line in response:
                    if line.startswith(b"data: "):
                        events.append(line[6:].decode().strip())
                        if len(events) == 5:
                            begun.set()
            connection.close()

        reader = threading.Thread(target=read, args=(daemon.connection(),))
        reader.start()
        self.assertTrue(begun.wait(30))
        self.restart(daemon)
        self.assertTrue(reader.is_alive(), "the answer had ended before the restart")
        reader.join()
        self.assertEqual(events.pop(), "[DONE]")
        chunks = [json.loads(event) for event in events]
        self.assertEqual({(c["id"], c["created"]) for c in chunks},
                         {(chunks[0]["id"], chunks[0]["created"])})
        deltas = [c["choices"][0]["delta"] for c in chunks]
        self.assertEqual([d["role"] for d in deltas if "role" in d], ["assistant"])
        self.assertEqual("".join(d.get("content", "") for d in deltas), "Said: " + " ".join(words))
        self.assertEqual(chunks[-1]["choices"][0]["finish_reason"], "stop")
        self.assertGreater(sum("content" in d for d in deltas), 10, "it came in one piece")

    def test_a_send_under_way_holds_up_nobody_and_is_not_repeated(self):
        got, began = [], threading.Event()

        class Receiver(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                began.set()
                time.sleep(2)
                self.send_response(204)
                self.end_headers()

            def log_message(self, *words):
                pass

        receiver = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
        self.addCleanup(receiver.server_close)
        self.addCleanup(receiver.shutdown)
        threading.Thread(target=receiver.serve_forever, daemon=True).start()
        callback = 'callback = "http://127.0.0.1:%d/"\n' % receiver.server_port
        daemon = self.daemon(slow("0s") + SIGNED + callback).start()
        body = json.dumps({"id": "1", "chat": "c", "sender": "ann", "text": "hello"}).encode()
        signed = {"X-Sluice-Signature": signature(body), "Content-Type": "application/json"}
        posted = daemon.request("POST", "/hook/desk", body, token=None, headers=signed)
        self.assertEqual(posted.status, 202, posted.body)
        self.assertTrue(began.wait(PATIENCE))
        restarting = threading.Thread(target=self.restart, args=(daemon,))
        restarting.start()
        longest = 0
        while restarting.is_alive():
            before = time.monotonic()
            self.assertEqual(daemon.post("meanwhile").status, 202)
            longest = max(longest, time.monotonic() - before)
        self.assertLess(longest, 1)
        until(lambda: not status(daemon)["outbox"])
        self.assertEqual([one["text"] for one in got], ["hello"])

    def test_a_terminal_that_nobody_reads_holds_up_no_successor(self):
        daemon = self.daemon(slow("0s")).start()
        with open("/proc/%d/fd/1" % daemon.process.pid, "wb", buffering=0,
                  opener=lambda path, flags: os.open(path, flags | os.O_NONBLOCK)) as pipe:
            while pipe.write(b"x" * 4096):
                pass
        self.restart(daemon)
        self.assertEqual(daemon.post("hello").status, 202)

    def test_requests_on_kept_connections_are_served_through_the_successor(self):
        daemon = self.daemon(slow("0s")).start()
        done, wrong, accepted = threading.Event(), [], []

        def talk():
            connection, n = daemon.connection(), 0
            while not done.is_set():
                n += 1
                body = json.dumps({"id": "k%d" % n, "text": "k%d" % n})
                connection.request("POST", "/v1/conversations/main/messages", body,
                                   {"Authorization": "Bearer " + daemon.token,
                                    "Content-Type": "application/json"})
                answer = connection.getresponse()
                answer.read()
                (accepted if answer.status == 202 else wrong).append((n, answer.status))
                if answer.headers.get("Connection") == "close":
                    connection.close()
                    connection = daemon.connection()
            connection.close()

        person = threading.Thread(target=talk)
        person.start()
        until(lambda: len(accepted) > 20)
        self.restart(daemon)
        before = len(accepted)
        until(lambda: len(accepted) > before + 20)
        done.set()
        person.join()
        self.assertEqual(wrong, [])

    def test_item_20_and_73_a_turn_runs_on_and_another_restart_is_refused(self):
        daemon = self.daemon(slow("4s")).start()
        self.assertEqual(daemon.post("take your time").status, 202)
        until(lambda: status(daemon)["running"])
        first = holder(daemon)
        self.restart(daemon)
        self.assertEqual(status(daemon)["calls_elsewhere"], 1)
        self.assertTrue(alive(first))
        refused = daemon.client("restart")
        self.assertNotEqual(refused.returncode, 0)
        self.assertIn("has not ended yet", refused.stderr)
        until(lambda: any(kind == "agent" for kind, _ in daemon.history()))
        self.assertEqual(len([1 for kind, _ in daemon.history() if kind == "agent"]), 1)
        self.assertEqual(self.ended(daemon, first), 0)

    def test_item_73_a_restart_that_queues_begins_when_the_predecessor_has_ended(self):
        daemon = self.daemon(slow("3s")).start()
        self.assertEqual(daemon.post("take your time").status, 202)
        until(lambda: status(daemon)["running"])
        first = holder(daemon)
        self.restart(daemon)
        self.assertTrue(status(daemon)["predecessor"])
        done = self.restart(daemon, "--queue")
        self.assertIn("generation 3", done.stdout)
        self.assertEqual(self.ended(daemon, first), 0)
        self.assertEqual(len([1 for kind, _ in daemon.history() if kind == "agent"]), 1)

    def test_item_73_the_newest_of_several_that_queue_wins(self):
        daemon = self.daemon(slow("1h")).start()
        daemon.post("take your time")
        until(lambda: status(daemon)["running"])
        self.restart(daemon)
        one = daemon.later("restart", "--queue")
        until(lambda: status(daemon)["under_way"]["request"] == 2)
        two = daemon.later("restart", "--queue", "--wait")
        out, err = one.communicate(timeout=PATIENCE)
        self.assertEqual((one.returncode, out), (1, ""))
        self.assertIn("a newer restart that waits has taken its place", err)
        # One that was given up is none any more.
        gone = daemon.later("restart", "--queue")
        out, err = two.communicate(timeout=PATIENCE)
        self.assertEqual(two.returncode, 1)
        until(lambda: status(daemon)["under_way"]["request"] == 2)
        gone.kill()
        gone.communicate()
        until(lambda: status(daemon)["under_way"]["request"] == 1)
        daemon.post("/stop")
        until(lambda: not status(daemon)["predecessor"])
        self.assertEqual(status(daemon)["generation"], 2)

    def test_a_restart_that_waits_tells_what_came_of_it(self):
        daemon = self.daemon(slow("0s")).start()
        first = holder(daemon)
        done = daemon.client("restart", "--wait")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("restarted: generation 2; the earlier process has ended", done.stdout)
        self.assertEqual(self.ended(daemon, first), 0)

    def test_a_restart_that_waits_tells_that_the_new_process_died(self):
        daemon = self.daemon('rollback_window = "3s"\n' + LISTEN).start()
        first = holder(daemon)
        asked = daemon.later("restart", "--wait")
        until(lambda: holder(daemon) not in (0, first))
        second = holder(daemon)
        until(lambda: status(daemon)["predecessor"])
        os.kill(second, signal.SIGKILL)
        _, err = asked.communicate(timeout=PATIENCE)
        self.assertEqual(asked.returncode, 1)
        self.assertIn("generation 3 serves instead of 2: the new process died", err)

    def test_a_restart_that_queues_is_refused_when_a_stop_begins(self):
        daemon = self.daemon(slow("1h")).start()
        daemon.post("take your time")
        until(lambda: status(daemon)["running"])
        self.restart(daemon)
        asked = daemon.later("restart", "--queue")
        until(lambda: status(daemon)["under_way"]["request"] == 2)
        os.kill(holder(daemon), signal.SIGTERM)
        _, err = asked.communicate(timeout=PATIENCE)
        self.assertEqual(asked.returncode, 1)
        self.assertIn("stopping", err)

    def test_a_turn_of_the_earlier_process_can_be_stopped(self):
        daemon = self.daemon(slow("1h")).start()
        daemon.post("take your time")
        until(lambda: status(daemon)["running"])
        first = holder(daemon)
        self.restart(daemon)
        self.assertEqual(daemon.post("/stop").status, 202)
        until(lambda: not status(daemon)["running"])
        self.assertEqual(self.ended(daemon, first), 0)

    def test_item_63_a_successor_that_does_not_start_costs_nothing(self):
        daemon = self.daemon(slow("0s")).start()
        first = holder(daemon)
        daemon.write_config(slow("0s") + "nonsense = 1\n")
        done = daemon.client("restart")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("nothing has changed", done.stderr)
        self.assertIn("exited with 78", done.stderr)
        self.assertEqual(daemon.post("hello").status, 202)
        self.assertEqual(holder(daemon), first)
        daemon.write_config(slow("0s"))
        self.restart(daemon)

    def test_item_63_a_successor_that_is_killed_is_replaced_and_the_turn_ends_once(self):
        daemon = self.daemon(slow("4s")).start()
        daemon.post("take your time")
        until(lambda: status(daemon)["running"])
        self.restart(daemon)
        second = holder(daemon)
        os.kill(second, signal.SIGKILL)
        until(lambda: holder(daemon) not in (0, second))
        self.pids.add(holder(daemon))
        until(lambda: any(kind == "agent" for kind, _ in daemon.history()))
        self.assertEqual(len([1 for kind, _ in daemon.history() if kind == "agent"]), 1)

    def test_a_turn_whose_process_is_killed_is_interrupted(self):
        daemon = self.daemon(slow("1h")).start()
        daemon.post("take your time")
        until(lambda: status(daemon)["running"])
        first = holder(daemon)
        self.restart(daemon)
        daemon.process.kill()
        daemon.wait()
        until(lambda: "turn_interrupted" in daemon.said())
        until(lambda: not status(daemon)["calls_elsewhere"])

    def test_item_64_and_75_one_writes_at_a_time_and_the_generation_only_grows(self):
        daemon = self.daemon(slow("0s")).start()
        seen = [status(daemon)["generation"]]
        for _ in range(3):
            self.restart(daemon)
            intruder = daemon.run("run", *daemon.paths())
            self.assertEqual(intruder.returncode, 1)
            self.assertIn("another daemon (process %d)" % holder(daemon), intruder.stderr)
            seen.append(status(daemon)["generation"])
            self.alone(daemon)
        self.assertEqual(seen, sorted(set(seen)))
        with sqlite3.connect("file:%s/sluice.db?mode=ro" % daemon.data, uri=True) as store:
            self.assertEqual(store.execute("PRAGMA integrity_check").fetchall(), [("ok",)])

    def test_item_74_restarts_leave_no_descriptors_no_children_and_no_environment_behind(self):
        daemon = self.daemon(slow("0s")).start()
        self.restart(daemon)
        self.alone(daemon)
        before = belongings(holder(daemon))
        for n in range(10):
            self.assertEqual(daemon.post("hello", chat="c%d" % n).status, 202)
            self.restart(daemon)
            self.alone(daemon)
        until(lambda: status(daemon)["pending"] == 0)
        after = holder(daemon)
        # Connections of ours may be closed a moment later.
        until(lambda: belongings(after)["fd"] <= before["fd"])
        self.assertEqual(belongings(after), before)

    def test_item_65_a_printed_link_and_a_used_signature_outlive_a_restart(self):
        daemon = self.daemon(slow("0s") + SIGNED).start()
        link = re.search(r"/login\S+", daemon.banner).group()
        signed = {"X-Sluice-Signature": signature(b"{}"), "Content-Type": "application/json"}
        first = daemon.request("POST", "/hook/desk", b"{}", token=None, headers=signed)
        self.assertNotIn(first.status, (401, 409))
        self.restart(daemon)
        again = daemon.request("POST", "/hook/desk", b"{}", token=None, headers=signed)
        self.assertEqual(again.status, 409, again.body)
        self.assertEqual(daemon.request("GET", link, token=None).status, 200)
        self.assertEqual(daemon.request("GET", link, token=None).status, 401)

    def test_a_stop_of_the_successor_ends_both(self):
        daemon = self.daemon("shutdown_timeout = \"6s\"\ndrain_timeout = \"1s\"\n" +
                             slow("1h")).start()
        daemon.post("take your time")
        until(lambda: status(daemon)["running"])
        first = holder(daemon)
        self.restart(daemon)
        second = holder(daemon)
        os.kill(second, signal.SIGTERM)
        until(lambda: not alive(second))
        until(lambda: daemon.process.poll() is not None)


if __name__ == "__main__":
    unittest.main()
