"""Extension services: supervised, called through the command line, and misbehaving."""

import json
import os
import signal
import subprocess
import sys
import unittest

from daemon import Case, until

PEER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "service_peer.py")


def alive(pid):
    """A zombie is gone: whose child it is, is not ours to say."""
    try:
        with open("/proc/%d/stat" % pid) as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def process(name, *words, more=""):
    args = json.dumps([PEER, *words])
    return '[services.%s]\nkind = "process"\ncommand = "%s"\nargs = %s\n%s\n' % (
        name, sys.executable, args, more)


class ServicesTest(Case):
    def begin(self, config):
        self.running = self.daemon('[server]\nlisten = ["127.0.0.1:0"]\n' + config)
        return self.running.start()

    def listen(self, *words):
        """Starts a peer that listens, and returns what it says first."""
        peer = subprocess.Popen([sys.executable, PEER, *words], stdout=subprocess.PIPE,
                                stderr=subprocess.DEVNULL, text=True)
        self.addCleanup(lambda: (peer.kill(), peer.communicate()))
        return peer.stdout.readline().strip()

    def show(self, name):
        said = self.running.client("services", "show", name, "--json")
        self.assertEqual(said.returncode, 0, said.stderr)
        return json.loads(said.stdout)

    def until_status(self, name, status, generation=1):
        def look():
            now = self.show(name)
            return now if now["status"] == status and now["generation"] >= generation else None
        return until(look)

    def call(self, name, tool, arguments=None, *more):
        return self.running.client("services", "call", name, tool, json.dumps(arguments or {}), *more)

    def lines(self, name):
        said = self.running.client("services", "logs", name, "--json")
        return [line["text"] for line in json.loads(said.stdout)["lines"]]

    def test_a_process_is_started_and_called(self):
        self.begin(process("tools"))
        running = self.until_status("tools", "running")
        self.assertEqual(running["server"]["name"], "peer")
        self.assertIn("add", [tool["name"] for tool in running["tools"]])
        said = self.call("tools", "add", {"a": 1, "b": 2})
        self.assertEqual((said.returncode, said.stdout), (0, "3\n"), said.stderr)
        table = self.running.client("services", "list").stdout
        self.assertRegex(table, r"tools +process +configuration +running")
        self.assertIn("peer %d is up" % running["process"], self.lines("tools"))
        metrics = self.running.client("metrics").stdout
        self.assertIn('sluice_service_up{service="tools"} 1', metrics)
        self.assertIn('sluice_service_calls_total{outcome="answered",service="tools"} 1', metrics)

    def test_errors_of_tools_reach_the_caller(self):
        self.begin(process("mcp") + process("own", "--protocol", "sluice", "--framing",
                                            "content_length", more='protocol = "sluice"'))
        said = self.call("mcp", "fail")
        self.assertEqual((said.returncode, said.stdout), (1, "it does not want to\n"))
        said = self.call("own", "fail")
        self.assertEqual(said.returncode, 1)
        self.assertIn("it does not want to", said.stderr)
        self.assertIn("no tool of that name", self.call("mcp", "nothing").stderr)
        self.assertIn("no service", self.call("nobody", "add").stderr)
        said = self.running.client("services", "call", "mcp", "add", "[1]")
        self.assertEqual(said.returncode, 2)

    def test_every_way_to_a_service_works(self):
        port = self.listen("--protocol", "sluice", "--framing", "length_prefix", "--listen", "tcp")
        self.begin(
            process("stdio", "--protocol", "sluice", "--framing", "content_length",
                    more='protocol = "sluice"') +
            process("lines", "--protocol", "sluice", more='protocol = "sluice"\nframing = "newline"') +
            '[services.tcp]\nkind = "tcp"\nport = %s\nprotocol = "sluice"\n' % port)
        for name in ("stdio", "lines", "tcp"):
            said = self.call(name, "say", {"text": "hello"})
            self.assertEqual(json.loads(said.stdout), "hello", said.stderr)

    def test_a_unix_socket_that_comes_later_is_found(self):
        path = os.path.join(self.folder, "peer.sock")
        self.begin('[services.later]\nkind = "unix"\npath = "%s"\nprotocol = "sluice"\n'
                   'reconnect_delay = "20ms"\nreconnect_delay_max = "50ms"\nmax_attempts = 0\n' % path)
        self.until_status("later", "reconnecting", 0)
        self.listen("--protocol", "sluice", "--framing", "length_prefix", "--listen", "unix:" + path)
        said = self.call("later", "add", {"a": 2, "b": 2})
        self.assertEqual(said.stdout, "4\n", said.stderr)

    def test_killed_in_mid_call_the_caller_gets_an_error_and_the_next_call_works(self):
        self.begin(process("tools"))
        before = self.until_status("tools", "running")
        said = self.call("tools", "die")
        self.assertEqual(said.returncode, 1)
        self.assertIn("signal 9", said.stderr)
        said = self.call("tools", "add", {"a": 1, "b": 1})
        self.assertEqual(said.stdout, "2\n", said.stderr)
        after = self.show("tools")
        self.assertEqual((after["generation"], after["losses"]), (2, 1))
        self.assertNotEqual(after["process"], before["process"])

    def test_it_gets_what_is_listed_and_nothing_else(self):
        daemon = self.begin(
            '[services.tools]\nkind = "process"\ncommand = "%s"\nargs = ["%s"]\ncwd = "/usr"\n'
            'env = ["A=b", "HOME", "NOT_SET_AT_ALL"]\n' % (sys.executable, PEER))
        got = json.loads(self.call("tools", "environment").stdout)
        got["env"].pop("LC_CTYPE", None)  # Python's own
        self.assertEqual(got["env"], {"A": "b", "HOME": daemon.folder})
        self.assertEqual(got["cwd"], "/usr")
        self.assertEqual(got["fds"][:3], [0, 1, 2])
        self.assertEqual(len(got["fds"]), 4)  # and that of the listing itself

    def test_a_call_that_takes_too_long_is_called_off(self):
        self.begin(process("tools"))
        self.until_status("tools", "running")
        said = self.call("tools", "sleep", {"seconds": 1000}, "--timeout", "200ms")
        self.assertEqual(said.returncode, 1)
        self.assertIn("no answer", said.stderr)
        until(lambda: "called off" in self.lines("tools"))
        self.assertEqual(self.call("tools", "add", {"a": 1, "b": 1}).stdout, "2\n")

    def test_stop_and_start(self):
        self.begin(process("tools", "--protocol", "sluice", "--framing", "content_length",
                           more='protocol = "sluice"'))
        pid = self.until_status("tools", "running")["process"]
        self.assertEqual(self.running.client("services", "start", "tools").returncode, 1)
        self.assertEqual(self.running.client("services", "stop", "tools").returncode, 0)
        self.assertFalse(alive(pid))
        self.assertIn("told to shut down", self.lines("tools"))
        self.assertEqual(self.show("tools")["status"], "stopped")
        self.assertEqual(self.call("tools", "add", {"a": 1, "b": 1}).returncode, 1)
        self.assertEqual(self.running.client("services", "start", "tools").returncode, 0)
        self.assertEqual(self.call("tools", "add", {"a": 1, "b": 1}).stdout, "2\n")

    def test_one_that_ignores_termination_and_its_children_are_killed(self):
        self.begin(process("stubborn", "stubborn", more='stop_timeout = "500ms"') +
                   process("family", "family"))
        stubborn = self.until_status("stubborn", "running")["process"]
        family = self.until_status("family", "running")["process"]
        children = [int(pid) for line in self.lines("family") if line.startswith("children")
                    for pid in line.split()[1:]]
        self.assertEqual(len(children), 3)
        self.assertEqual(self.running.client("services", "stop", "stubborn").returncode, 0)
        self.assertFalse(alive(stubborn))
        os.kill(family, signal.SIGKILL)
        for child in children:
            until(lambda: not alive(child))

    def test_a_stop_of_the_daemon_ends_them(self):
        self.begin(process("tools") + process("stubborn", "stubborn") + process("family", "family"))
        pids = [self.until_status(name, "running")["process"]
                for name in ("tools", "stubborn", "family")]
        self.assertEqual(self.running.stop(), 0)
        for pid in pids:
            self.assertFalse(alive(pid))

    def test_killing_the_daemon_kills_them_and_their_children(self):
        self.begin(process("stubborn", "stubborn") + process("family", "family"))
        pids = [self.until_status(name, "running")["process"] for name in ("stubborn", "family")]
        pids += [int(pid) for line in self.lines("family") if line.startswith("children")
                 for pid in line.split()[1:]]
        self.assertEqual(len(pids), 5)
        self.running.stop(signal.SIGKILL)
        for pid in pids:
            until(lambda: not alive(pid))

    def test_one_that_dies_again_and_again_is_given_up(self):
        # A shell: it has to die five times within a minute on a busy machine too.
        script = ("read hello; echo '{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":"
                  "{\"protocolVersion\":\"2025-06-18\",\"capabilities\":{}}}'; read greeted; exit 7")
        self.begin('[services.crash]\nkind = "process"\ncommand = "sh"\nargs = ["-c", %s]\n'
                   'reconnect_delay = "10ms"\nreconnect_delay_max = "10ms"\n' % json.dumps(script))
        given_up = self.until_status("crash", "error")
        self.assertLessEqual(given_up["generation"], 7)
        self.assertIn("exit code 7", given_up["last_error"])

    def test_one_that_never_answers_is_given_up(self):
        self.begin(process("mute", "mute", more='timeout = "100ms"\nreconnect_delay = "10ms"\n'
                                                'reconnect_delay_max = "10ms"\nmax_attempts = 2'))
        self.assertEqual(self.until_status("mute", "error")["generation"], 3)

    def test_one_that_floods_holds_up_nobody(self):
        self.begin(process("flood", "flood") + process("tools"))
        self.until_status("flood", "running")
        self.assertEqual(self.call("flood", "add", {"a": 1, "b": 1}).stdout, "2\n")
        self.assertEqual(self.call("tools", "add", {"a": 1, "b": 1}).stdout, "2\n")
        self.assertEqual(self.running.stop(), 0)

    def test_frames_of_single_bytes_and_lines_for_people_are_read(self):
        self.begin(process("split", "split") + process("noise", "noise"))
        for name in ("split", "noise"):
            self.assertEqual(self.call(name, "add", {"a": 1, "b": 1}).stdout, "2\n")
        self.assertGreater(self.show("noise")["strays"], 0)

    def test_an_oversize_frame_ends_the_connection(self):
        self.begin(process("own", "--protocol", "sluice", "--framing", "length_prefix", "oversize",
                           more='protocol = "sluice"\nframing = "length_prefix"\n'
                                'auto_reconnect = false'))
        self.assertIn("16777216", self.until_status("own", "error")["last_error"])

    def test_wrong_ids_answer_nobody(self):
        self.begin(process("wrong", "wrong_ids"))
        self.until_status("wrong", "running")
        said = self.call("wrong", "add", {"a": 1, "b": 1}, "--timeout", "1s")
        self.assertIn("no answer", said.stderr)
        self.assertEqual(self.show("wrong")["strays"], 1)

    def test_only_a_critical_service_makes_it_unready(self):
        broken = '[services.%s]\nkind = "process"\ncommand = "/no/such/program"\n'
        daemon = self.begin(broken % "extra")
        self.assertEqual(daemon.request("GET", "/health/ready").status, 200)
        daemon.stop()
        daemon.write_config('[server]\nlisten = ["127.0.0.1:0"]\n' + broken % "vital" +
                            "critical = true\n")
        daemon.start()
        answer = daemon.request("GET", "/health/ready")
        self.assertEqual(answer.status, 503)
        self.assertIn("service vital is not running", answer.body.decode())
        doctor = daemon.client("doctor")
        self.assertIn("service vital", doctor.stdout)

    def test_a_reload_restarts_what_changed_and_nothing_else(self):
        self.begin(process("same") + process("changed") + process("gone"))
        before = {name: self.until_status(name, "running")["process"]
                  for name in ("same", "changed", "gone")}
        with open(self.running.config, "w") as file:
            file.write('[server]\nlisten = ["127.0.0.1:0"]\n' + process("same") +
                       process("changed", more='env = ["A=b"]') + process("new"))
        said = self.running.client("reload")
        self.assertEqual(said.returncode, 0, said.stderr)
        self.assertEqual(self.until_status("same", "running")["process"], before["same"])
        self.assertNotEqual(self.until_status("changed", "running")["process"], before["changed"])
        self.until_status("new", "running")
        self.assertFalse(alive(before["gone"]))
        self.assertEqual(self.running.client("services", "show", "gone").returncode, 1)
        self.assertEqual(json.loads(self.call("changed", "environment").stdout)["env"]["A"], "b")

    def test_an_agent_answers_by_a_tool_and_goes_on_when_the_service_comes_back(self):
        daemon = self.begin(
            process("tools") + '[agents.echo]\nenabled = false\n[agents.helper]\nkind = "service"\n'
            'service = "tools"\ntool = "say"\n')
        daemon.post("one")
        until(lambda: ("agent", "one") in daemon.history())
        first = self.show("tools")["process"]
        os.kill(first, signal.SIGKILL)
        # A call that went to the dying process may have been worked on: it fails in the open.
        until(lambda: self.show("tools")["process"] != first)
        daemon.post("two")
        until(lambda: ("agent", "two") in daemon.history())

    def test_an_agent_whose_service_is_not_there_is_named(self):
        broken = self.daemon('[agents.echo]\nenabled = false\n[agents.helper]\nkind = "service"\n'
                             'service = "tols"\ntool = "say"\n' + process("tools"))
        self.assertIn('there is no enabled service "tols"; did you mean "tools"?', broken.fails()[1])

    def test_a_wrong_configuration_is_named(self):
        broken = self.daemon('[service_defaults]\nheartbeat_interval = "100s"\n' +
                             process("tools") + '[services.other]\nkind = "tcp"\n')
        code, said = broken.fails()
        self.assertEqual(code, 78)
        self.assertIn("port", said)
        broken.write_config('[service_defaults]\nheartbeat_interval = "100s"\n' +
                                 process("tools", more='env = ["A B=c"]'))
        self.assertIn("neither NAME nor NAME=value", broken.fails()[1])
        broken.write_config('[service_defaults]\nheartbeat_interval = "100s"\n' +
                                 process("tools"))
        self.assertIn("heartbeat_timeout must be longer", broken.fails()[1])


if __name__ == "__main__":
    unittest.main()
