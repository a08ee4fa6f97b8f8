"""A webhook agent of somebody else, for tests, and a configuration that asks it."""

import http.server
import json
import threading

CONFIG = """
[server]
listen = ["127.0.0.1:0"]
[agents.far]
kind = "webhook"
url = "http://127.0.0.1:%d/turn"
%s
[channels.http]
kind = "http"
agent = "far"
[channels.cli]
kind = "cli"
agent = "far"
"""


class Agent(threading.Thread):
    """Keeps each turn that is posted to it, and answers (status, content type, body): the next of
    `answers`, or the last one again."""

    def __init__(self, *answers):
        super().__init__(daemon=True)
        self.posts = []  # (headers, body)
        agent = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status, kind, answer = answers[min(len(agent.posts), len(answers) - 1)]
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.end_headers()
                self.wfile.write(answer.encode())
                agent.posts.append((self.headers, body))

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        self.start()

    def run(self):
        self.server.serve_forever()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def turns(self):
        return [json.loads(body) for _, body in list(self.posts)]
