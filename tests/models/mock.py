"""The mock server under its own command line, in a folder of its own."""

import http.client
import json
import os
import re
import socket
import subprocess
import sys
import threading

from fixtures import KEY, fixtures

INTEROP = os.environ.get("SLUICE_INTEROP")
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../app"))
if INTEROP is None:
    print("skipped: scripts/interop installs what this needs")
    sys.exit(77)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Mock:
    def __init__(self, folder):
        self.port = free_port()
        self.url = "http://127.0.0.1:%d" % self.port
        path = os.path.join(folder, "fixtures.json")
        with open(path, "w") as file:
            json.dump(fixtures(), file)
        self.process = subprocess.Popen(
            [os.path.join(INTEROP, "node_modules/.bin/llmock"), "-p", str(self.port), "-f", path,
             "-c", "10", "--strict"],
            env={**os.environ, "AIMOCK_API_KEYS": KEY}, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True)
        said = []
        for line in self.process.stdout:
            said.append(line)
            if re.search(r"listening", line):
                break
        else:
            raise AssertionError("the mock did not start:\n" + "".join(said))
        self.reader = threading.Thread(target=self.process.stdout.read, daemon=True)
        self.reader.start()

    def journal(self):
        """Every request that it got, oldest first."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        connection.request("GET", "/__aimock/journal?limit=1000", headers={"x-api-key": KEY})
        entries = json.loads(connection.getresponse().read())
        connection.close()
        return entries

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.reader.join()
        self.process.stdout.close()
