"""Services that ask back while they work for somebody."""

import json
import unittest

from daemon import until
from registry_test import Rpc, free_port
from restarting import RestartCase
from services_test import process

OWN = ("--protocol", "sluice", "--framing", "content_length")
HELPER = '[agents.echo]\nenabled = true\n[agents.asker]\nkind = "service"\nservice = "%s"\ntool = "%s"\n'
CHANNEL = '[channels.http]\nkind = "http"\nagent = "asker"\n[channels.cli]\nkind = "cli"\nagent = "asker"\n'


class CallbackTest(RestartCase):
    def begin(self, tool, rules='agent = "echo"\nservices = ["files"]\n'):
        self.port = free_port()
        self.running = self.daemon(
            '[server]\nlisten = ["127.0.0.1:0"]\n[service_callbacks]\nport = %d\n' % self.port +
            process("tools", *OWN, more='protocol = "sluice"\n[services.tools.callbacks]\n' + rules) +
            process("files") + HELPER % ("tools", tool) + CHANNEL)
        self.running.start()
        for name in ("tools", "files"):
            until(lambda: json.loads(self.running.client(
                "services", "show", name, "--json").stdout)["status"] == "running")

    def answer(self, text):
        """The agent's answer to it."""
        before = len(self.running.history())
        self.running.post(text)
        def look():
            new = [said for who, said in self.running.history()[before:] if who == "agent"]
            return new[0] if new else None
        return until(look)

    def test_an_agent_answers_on_the_connection_of_the_service(self):
        self.begin("ask_ai")
        self.assertEqual(self.answer("hello"), '{"text":"hello"}')

    def test_an_agent_is_asked_through_a_successor_too(self):
        self.begin("ask_ai_late")
        self.running.post("hello")
        until(lambda: json.loads(self.running.client("status", "--json").stdout)["running"])
        self.restart(self.running)
        until(lambda: ("agent", '{"text":"hello"}') in self.running.history())

    def test_another_services_tool_is_called(self):
        self.begin("ask_tool")
        self.assertIn('"text":"5"', self.answer("hello"))

    def test_what_is_not_granted_is_refused(self):
        self.begin("ask_ai", 'services = ["files"]\n')
        self.assertIn("-32006", self.answer("hello"))

    def test_what_is_not_there_is_no_method(self):
        self.begin("ask_context")
        self.assertIn("-32601", self.answer("hello"))

    def test_the_port_takes_tokens_of_requests_under_way_and_no_others(self):
        self.begin("tell_token")
        rpc = Rpc(self.port)
        self.addCleanup(rpc.close)
        token = json.loads(self.answer(str(self.port)))
        # While it worked it asked by the port, on a connection of its own.
        self.assertEqual(token["said"], {"text": "by the port"})
        del token["said"]
        named = {key: token[key] for key in ("token", "request_id", "service_id")}
        self.assertEqual(rpc.ask("callback.ai", prompt="x", **named)["code"], -32006)
        self.assertEqual(rpc.ask("callback.ai", prompt="x")["code"], -32006)
        self.assertEqual(rpc.ask("node.execute", **named)["code"], -32601)

    def test_wrong_names_are_found_before_the_start(self):
        broken = self.daemon('[agents.echo]\n' + process(
            "tools", *OWN, more='protocol = "sluice"\n[services.tools.callbacks]\nagent = "ecko"\n'
                                'services = ["tool"]\n'))
        said = broken.fails()[1]
        self.assertIn('there is no enabled agent "ecko"; did you mean "echo"?', said)
        self.assertIn('there is no enabled service "tool"; did you mean "tools"?', said)
        broken.write_config(process("mcp", more='[services.mcp.callbacks]\nservices = ["mcp"]\n'))
        self.assertIn('callbacks need protocol = "sluice"', broken.fails()[1])


if __name__ == "__main__":
    unittest.main()
