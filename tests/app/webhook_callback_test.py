"""Answers that come later: parked on disk, answered by a callback, once, by who was asked."""

import http.client
import json
import os
import re
import signal
import unittest

from daemon import PATIENCE, Case, until
from webhook_agent import CONFIG, Agent

LATER = (202, "application/json", "{}")
AT_ONCE = (200, "application/json", '{"text": "at once"}')


def fixed_port(daemon):
    """The configuration with the port that the daemon has now: callbacks name it across restarts."""
    with open(daemon.config) as file:
        text = file.read()
    daemon.write_config(text.replace("127.0.0.1:0", "127.0.0.1:%d" % daemon.base[2]))


class CallbackTest(Case):
    def daemon_for(self, agent, more=""):
        self.addCleanup(agent.close)
        daemon = self.daemon(CONFIG % (agent.port, "callbacks = true\n" + more)).start()
        fixed_port(daemon)
        return daemon

    def asked(self, agent, n=0):
        """The callback of the agent's n-th call, once it has been made."""
        return until(lambda: agent.turns()[n:])[0]["callback"]

    def asked_in(self, agent, text):
        """That of the call for a message; two conversations' calls come in any order."""
        return until(lambda: [t for t in agent.turns() if t["text"] == text])[0]["callback"]

    def call_back(self, *args, **more):
        """Sends it again while it is answered 503, as it asks for."""
        return until(lambda: (lambda status: status != 503 and status)(
            self.call_back_once(*args, **more)))

    def call_back_once(self, callback, said="It is four.", secret=None, path=None):
        """What a callback is answered; said: a text, or the JSON."""
        _, host, own_path = re.match(r"(http)://([^/]+)(/.*)", callback["url"]).groups()
        connection = http.client.HTTPConnection(host, timeout=PATIENCE)
        body = {"text": said} if isinstance(said, str) else said
        connection.request("POST", path or own_path, json.dumps(body), {
            "Content-Type": "application/json",
            "Authorization": "Bearer " + (secret or callback["secret"])})
        response = connection.getresponse()
        response.read()
        connection.close()
        return response.status

    def parked(self, daemon, number=1):
        """Until so many turns are parked on disk."""
        until(lambda: daemon.operate("GET", "/v1/admin/status").json()["parked"] == number)

    def test_an_answer_that_comes_later_is_the_reply(self):
        agent = Agent(LATER)
        daemon = self.daemon_for(agent)
        daemon.post("two and two?")
        self.assertEqual(self.call_back(self.asked(agent)), 200)
        until(lambda: ("agent", "It is four.") in daemon.history())
        self.assertEqual(len(agent.posts), 1)

    def test_it_survives_a_kill(self):
        agent = Agent(LATER)
        daemon = self.daemon_for(agent)
        daemon.post("two and two?")
        callback = self.asked(agent)
        self.parked(daemon)
        daemon.stop(signal.SIGKILL)
        daemon.start()
        self.parked(daemon)
        self.assertEqual(self.call_back(callback), 200)
        until(lambda: ("agent", "It is four.") in daemon.history())
        self.assertEqual(len(agent.posts), 1, "a parked turn is not run again")

    def test_it_survives_an_orderly_restart(self):
        agent = Agent(LATER)
        daemon = self.daemon_for(agent)
        daemon.post("two and two?")
        callback = self.asked(agent)
        self.parked(daemon)
        self.assertEqual(daemon.stop(), 0)
        daemon.start()
        self.assertEqual(self.call_back(callback), 200)
        until(lambda: ("agent", "It is four.") in daemon.history())

    def test_it_is_taken_once_and_only_once_also_after_a_kill(self):
        agent = Agent(LATER)
        daemon = self.daemon_for(agent)
        daemon.post("two and two?")
        callback = self.asked(agent)
        self.assertEqual(self.call_back(callback), 200)
        self.assertEqual(self.call_back(callback, "five"), 410)
        daemon.stop(signal.SIGKILL)
        daemon.start()
        self.assertEqual(self.call_back(callback, "six"), 410)
        until(lambda: ("agent", "It is four.") in daemon.history())
        self.assertEqual([text for kind, text in daemon.history() if kind == "agent"],
                         ["It is four."])

    def test_a_late_one_is_refused_and_the_person_was_told(self):
        agent = Agent(LATER)
        daemon = self.daemon_for(agent, 'callback_timeout = "1s"\n')
        daemon.post("two and two?")
        callback = self.asked(agent)
        until(lambda: any(kind == "notice" for kind, _ in daemon.history()))
        self.assertEqual(self.call_back(callback), 410)
        self.assertFalse(any(kind == "agent" for kind, _ in daemon.history()))

    def test_forged_ones_and_those_for_another_turn_are_refused(self):
        agent = Agent(LATER)
        daemon = self.daemon_for(agent)
        daemon.post("one?", chat="first")
        daemon.post("two?", chat="second")
        first, second = self.asked_in(agent, "one?"), self.asked_in(agent, "two?")
        path = re.sub(r"http://[^/]+", "", first["url"])
        other = re.sub(r"http://[^/]+", "", second["url"])
        self.assertEqual(self.call_back(first, secret="0" * 64), 401)
        self.assertEqual(self.call_back(first, secret=second["secret"]), 401)
        self.assertEqual(self.call_back(first, path=other), 401)
        self.assertEqual(self.call_back(first, path=path[:-1] + "2"), 401)
        self.assertEqual(self.call_back(first, path="/v1/callbacks/999999/1"), 401)
        self.assertEqual(self.call_back(first, {"txt": "four"}), 400)
        self.assertEqual(self.call_back(first, "to the first"), 200)
        self.assertEqual(self.call_back(second, "to the second"), 200)
        until(lambda: ("agent", "to the first") in daemon.history("first"))
        until(lambda: ("agent", "to the second") in daemon.history("second"))

    def test_after_a_stop_nothing_is_taken(self):
        agent = Agent(LATER, AT_ONCE)
        daemon = self.daemon_for(agent)
        daemon.post("two and two?")
        callback = self.asked(agent)
        self.parked(daemon)
        daemon.post("/stop")
        self.parked(daemon, 0)
        self.assertEqual(self.call_back(callback), 410)
        daemon.post("and now?")
        until(lambda: ("agent", "at once") in daemon.history())
        self.assertNotIn(("agent", "It is four."), daemon.history())

    def test_an_error_that_may_pass_makes_another_attempt_with_a_callback_of_its_own(self):
        agent = Agent(LATER)
        daemon = self.daemon_for(agent)
        daemon.post("two and two?")
        first = self.asked(agent)
        self.assertEqual(
            self.call_back(first, {"error": {"status": 503, "retry_after": 0}}), 200)
        second = self.asked(agent, 1)
        self.assertEqual(agent.turns()[1]["attempt"], 2)
        self.parked(daemon)
        self.assertEqual(self.call_back(first, "too late"), 409)
        self.assertEqual(self.call_back(second), 200)
        until(lambda: ("agent", "It is four.") in daemon.history())

    def test_a_fallback_agent_passes_it_through(self):
        agent = Agent(LATER)
        self.addCleanup(agent.close)
        config = CONFIG % (agent.port, "callbacks = true\n")
        config = config.replace('agent = "far"', 'agent = "main"')
        daemon = self.daemon(config + '[agents.main]\nkind = "fallback"\nagents = ["far"]\n').start()
        daemon.post("two and two?")
        self.assertEqual(self.call_back(self.asked(agent)), 200)
        until(lambda: ("agent", "It is four.") in daemon.history())

    def test_where_nothing_listens_callbacks_are_a_problem_of_the_configuration(self):
        path = os.path.join(self.folder, "wrong.toml")
        with open(path, "w") as file:
            file.write(CONFIG.replace('"127.0.0.1:0"', "") % (1, "callbacks = true"))
        checked = self.daemon().run("check-config", path)
        self.assertEqual(checked.returncode, 78)
        self.assertIn("callbacks: nothing listens", checked.stderr)


if __name__ == "__main__":
    unittest.main()
