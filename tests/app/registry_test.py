"""Services that register themselves at run time, over the port for that."""

import json
import os
import signal
import socket
import struct
import subprocess
import sys
import unittest

from daemon import Case, until
from restart_test import alive, holder

PEER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "service_peer.py")
TOKEN = "sesame, sesame, sesame"


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


class Rpc:
    """One connection to a port of the daemon."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.last = 0

    def send(self, body):
        self.socket.sendall(struct.pack(">I", len(body)) + body)

    def receive(self):
        """The next message; None at the end."""
        head = self.take(4)
        return head and json.loads(self.take(struct.unpack(">I", head)[0]))

    def take(self, size):
        out = b""
        while len(out) < size:
            try:
                piece = self.socket.recv(size - len(out))
            except ConnectionResetError:
                return None
            if not piece:
                return None
            out += piece
        return out

    def ask(self, method, **params):
        self.last += 1
        self.send(json.dumps({"jsonrpc": "2.0", "id": self.last, "method": method,
                              "params": params}).encode())
        said = self.receive()
        if said is None:
            raise ConnectionError("it hung up")
        assert said["id"] == self.last
        return said.get("result") if "result" in said else said["error"]

    def close(self):
        self.socket.close()


class RegistryTest(Case):
    def begin(self, more=""):
        self.port = free_port()
        with open(os.path.join(self.folder, "token"), "w") as file:
            os.fchmod(file.fileno(), 0o600)
            file.write(TOKEN)
        self.settings = ('[server]\nlisten = ["127.0.0.1:0"]\n[service_registry]\n'
                         'token = { file = "token" }\nport = %d\n' % self.port)
        self.running = self.daemon(self.settings + more, folder=self.folder)
        return self.running.start()

    def kill_successor(self):
        pid = holder(self.running)
        if alive(pid):
            os.kill(pid, signal.SIGKILL)
            until(lambda: not alive(pid))

    def rpc(self):
        rpc = Rpc(self.port)
        self.addCleanup(rpc.close)
        return rpc

    def listen(self):
        """A peer that listens: its port."""
        peer = subprocess.Popen([sys.executable, PEER, "--protocol", "sluice", "--framing",
                                 "length_prefix", "--listen", "tcp"], stdout=subprocess.PIPE,
                                stderr=subprocess.DEVNULL, text=True)
        self.addCleanup(lambda: (peer.kill(), peer.communicate()))
        return int(peer.stdout.readline())

    def register(self, name="tools", port=None, **more):
        return self.rpc().ask("service.register", token=TOKEN, name=name,
                              transport={"type": "tcp", "port": port or self.listen()}, **more)

    def list(self, *words):
        said = self.running.client("services", "list", "--json", *words)
        self.assertEqual(said.returncode, 0, said.stderr)
        return {one["name"]: one for one in json.loads(said.stdout)["services"]}

    def until_running(self, name="tools"):
        return until(lambda: self.list().get(name, {}).get("status") == "running")

    def add(self, name="tools"):
        return self.running.client("services", "call", name, "add", '{"a": 1, "b": 2}').stdout

    def test_a_service_registers_is_found_called_moved_and_forgotten(self):
        self.begin()
        id = self.register(capabilities=["sums"])["service_id"]
        self.until_running()
        self.assertEqual(self.add(), "3\n")
        self.assertEqual(list(self.list("--capability", "sums")), ["tools"])
        self.assertEqual(list(self.list("--capability", "songs")), [])
        self.assertRegex(self.running.client("services", "list").stdout,
                         r"tools +tcp +registered +running")
        rpc = self.rpc()
        self.assertEqual(rpc.ask("service.heartbeat", token=TOKEN, service_id=id), {})
        moved = rpc.ask("service.update", token=TOKEN, service_id=id,
                        transport={"type": "tcp", "port": self.listen()})
        self.assertEqual(moved, {"service_id": id})
        self.until_running()
        self.assertEqual(self.add(), "3\n")
        self.assertEqual(rpc.ask("service.unregister", token=TOKEN, service_id=id), {})
        self.assertEqual(self.list(), {})
        self.assertEqual(rpc.ask("service.heartbeat", token=TOKEN, service_id=id)["code"], -32004)

    def test_it_outlives_a_reload_a_restart_and_a_crash(self):
        self.begin()
        self.register()
        self.until_running()
        self.assertEqual(self.running.client("reload").returncode, 0)
        self.assertEqual(self.list()["tools"]["generation"], 1)
        said = self.running.client("restart")
        self.assertEqual(said.returncode, 0, said.stderr)
        self.addCleanup(self.kill_successor)
        self.until_running()
        self.assertEqual(self.add(), "3\n")
        self.register("more")  # the port was handed over
        self.until_running("more")
        self.running.wait()
        self.kill_successor()
        self.running.start()
        self.until_running()
        self.until_running("more")
        self.assertEqual(self.add("more"), "3\n")

    def test_the_port_is_closed_without_a_token(self):
        self.begin()
        self.rpc().close()
        self.running.write_config('[server]\nlisten = ["127.0.0.1:0"]\n[service_registry]\n'
                                  'port = %d\n' % self.port)
        self.assertEqual(self.running.client("reload").returncode, 0)
        with self.assertRaises(ConnectionRefusedError):
            self.rpc()

    def test_a_token_that_is_too_short_is_no_token(self):
        broken = self.daemon('[service_registry]\ntoken = { env = "SHORT" }\n')
        broken.more_environment["SHORT"] = "fifteen bytes.."
        code, said = broken.fails()
        self.assertEqual(code, 78)
        self.assertIn("16 bytes or more", said)

    def test_a_port_in_use_is_named(self):
        self.begin()
        there = json.dumps(os.path.join(self.folder, "token"))
        other = self.daemon(self.settings.replace('"token"', there),
                            os.path.join(self.folder, "other"))
        self.assertIn("[service_registry]", other.fails()[1])

    def test_wrong_tokens_and_programs_are_refused(self):
        self.begin('[services.mine]\nkind = "tcp"\nport = 1\nmax_attempts = 0\n')
        rpc = self.rpc()
        self.assertEqual(rpc.ask("service.register", token="guess", name="a")["code"], -32006)
        self.assertEqual(rpc.ask("service.unregister")["code"], -32006)
        spawn = rpc.ask("service.register", token=TOKEN, name="a",
                        transport={"type": "process", "command": "/bin/sh"})
        self.assertEqual(spawn["code"], -32006)
        self.assertIn("configuration only", spawn["message"])
        taken = rpc.ask("service.register", token=TOKEN, name="mine",
                        transport={"type": "tcp", "port": 1})
        self.assertEqual(taken["code"], -32005)
        self.assertEqual(rpc.ask("node.execute", token=TOKEN)["code"], -32601)
        self.assertEqual(list(self.list()), ["mine"])

    def test_garbage_and_oversize_end_their_connection_alone(self):
        self.begin()
        good = self.rpc()
        for bad in (b"GET / HTTP/1.1\r\n\r\n", struct.pack(">I", (1 << 20) + 1),
                    struct.pack(">I", 0), struct.pack(">I", 3) + b"{{{"):
            rpc = self.rpc()
            rpc.socket.sendall(bad)
            self.assertIsNone(rpc.receive())
        self.assertEqual(good.ask("service.heartbeat", token=TOKEN, service_id="x")["code"], -32004)

    def test_more_connections_than_there_may_be_are_closed(self):
        self.begin()
        first = [self.rpc() for _ in range(64)]
        for rpc in first:
            self.assertEqual(rpc.ask("service.heartbeat")["code"], -32006)
        self.assertIsNone(self.rpc().receive())
        first[0].close()
        def again():
            rpc = Rpc(self.port)
            try:
                return rpc.ask("service.heartbeat")["code"] == -32006
            except ConnectionError:
                return False
            finally:
                rpc.close()
        until(again)

    def test_the_configuration_takes_its_name_back(self):
        self.begin()
        self.register()
        self.until_running()
        self.running.write_config(self.settings + '[services.tools]\nkind = "tcp"\nport = %d\n'
                                  'protocol = "sluice"\n' % self.listen())
        said = self.running.client("reload")
        self.assertEqual(said.returncode, 0, said.stderr)
        self.until_running()
        self.assertEqual(self.list()["tools"]["from"], "configuration")


if __name__ == "__main__":
    unittest.main()
