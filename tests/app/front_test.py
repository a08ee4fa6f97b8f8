"""Who gets in, and what everybody may see."""

import json
import socket
import time
import unittest

from daemon import Case, until

POST = "/v1/conversations/main/messages"


class FrontTest(Case):
    def setUp(self):
        super().setUp()
        self.at = self.daemon().start()
        self.own = "%s:%d" % self.at.base[1:]
        self.addCleanup(lambda: self.assertEqual(self.at.stop(), 0))

    def sent(self, **more):
        return self.at.request("POST", POST, {"id": "a", "text": "hello"}, **more)

    def refused(self, answer, status):
        self.assertEqual(answer.status, status, answer.body)
        self.assertEqual(answer.headers["Content-Type"], "application/problem+json")
        self.assertEqual(answer.json()["status"], status)
        return answer

    def sign_in(self):
        path = self.at.banner.split(self.own, 4)
        code = next(part for part in path if part.startswith("/login")).split()[0]
        return self.at.request("GET", code, token=None), code

    def test_a_missing_token_is_refused(self):
        answer = self.refused(self.sent(token=None), 401)
        self.assertIn("Bearer", answer.headers.get("WWW-Authenticate", "Bearer"))

    def test_a_wrong_token_is_refused_before_the_body(self):
        # The body never comes: an answer can only be made of the head.
        with socket.create_connection(self.at.base[1:], timeout=30) as raw:
            raw.sendall(("POST %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer nonsense\r\n"
                         "Content-Type: application/json\r\nContent-Length: 100000\r\n\r\n"
                         % (POST, self.own)).encode())
            self.assertIn(b" 401 ", raw.recv(4096).split(b"\r\n")[0])

    def test_a_token_without_the_scope_is_forbidden(self):
        made = self.at.client("token", "add", "meter", "--scope", "metrics").stdout.strip()
        self.refused(self.sent(token=made), 403)
        self.assertEqual(self.at.request("GET", "/metrics", token=made).status, 200)
        chatty = self.at.client("token", "add", "chatty", "--scope", "chat").stdout.strip()
        self.refused(self.at.request("GET", "/metrics", token=chatty), 403)
        self.refused(self.at.request("GET", "/metrics", token=None), 401)

    def test_a_revoked_token_is_refused_at_once_and_after_a_restart(self):
        made = self.at.client("token", "add", "guest").stdout.strip()
        self.assertEqual(self.sent(token=made).status, 202)
        self.assertEqual(self.at.client("token", "revoke", "guest").returncode, 0)
        self.refused(self.sent(token=made), 401)
        self.assertEqual(self.at.stop(), 0)
        self.at.start()
        self.own = "%s:%d" % self.at.base[1:]
        self.refused(self.sent(token=made), 401)

    def test_a_token_works_after_a_restart(self):
        made = self.at.client("token", "add", "guest").stdout.strip()
        self.assertEqual(self.at.stop(), 0)
        self.at.start()
        self.assertEqual(self.sent(token=made).status, 202)

    def test_operations_need_the_admin_right(self):
        status = ("GET", "/v1/admin/status")
        self.refused(self.at.request(*status, token=None), 401)
        for scope in ("chat", "all", "metrics"):
            made = self.at.client("token", "add", scope, "--scope", scope).stdout.strip()
            answer = self.refused(self.at.request(*status, token=made), 403)
            self.assertEqual(answer.json()["type"], "urn:sluice:problem:forbidden")
            self.assertIn('"admin"', answer.json()["detail"])
        signed_in = {"Cookie": self.sign_in()[0].headers["Set-Cookie"].split(";")[0]}
        self.refused(self.at.request(*status, token=None, headers=signed_in), 403)
        made = self.at.client("token", "add", "ops", "--admin").stdout.strip()
        self.assertEqual(self.at.request(*status, token=made).json()["data_directory"], self.at.data)
        self.refused(self.at.request(*status, token=made, host="evil.example"), 403)
        self.refused(self.sent(token=made), 403)

    def test_an_operator_over_the_network_has_the_list_of_the_control_socket(self):
        made = self.at.client("token", "add", "ops", "--admin").stdout.strip()
        here = self.at.operate("GET", "/v1/admin/operations").json()["operations"]
        there = self.at.request("GET", "/v1/admin/operations", token=made).json()["operations"]
        self.assertEqual(here, there)
        paused = self.at.request("POST", "/v1/admin/accounts/http/pause", {"reason": "tea"}, token=made)
        self.assertEqual(paused.json()["state"], "paused")
        self.assertRegex(self.at.said(), r"operator_request.*account\.pause.*ops \(")
        # Only these stay away: they name files of the machine.
        local = [o["path"] for o in here if o["local_only"]]
        self.assertEqual(sorted(local), ["/v1/admin/backup", "/v1/admin/link"])
        self.refused(self.at.request("POST", local[0], {"path": self.folder + "/b"}, token=made), 404)

    def last_use(self, name):
        listed = json.loads(self.at.client("token", "list", "--json").stdout)
        return next(t["last_used_at"] for t in listed["tokens"] if t["name"] == name)

    def test_the_last_use_of_a_token_is_told_and_survives_a_restart(self):
        made = self.at.client("token", "add", "guest").stdout.strip()
        self.assertIsNone(self.last_use("guest"))
        self.assertEqual(self.sent(token=made).status, 202)
        used = self.last_use("guest")
        self.assertLess(abs(used / 1000 - time.time()), 60)
        self.assertEqual(self.at.stop(), 0)
        self.at.start()
        self.assertEqual(self.last_use("guest"), used)

    def test_people_do_not_see_each_other(self):
        told = self.sent().json()["message"]
        made = self.at.client("token", "add", "guest").stdout.strip()
        self.refused(self.at.request("GET", "/v1/messages/%d" % told, token=made), 404)

    def test_foreign_hosts_are_forbidden(self):
        for host in ("evil.example", "evil.example:%d" % self.at.base[2], "localhost:1"):
            self.refused(self.sent(host=host), 403)
            self.refused(self.at.request("GET", "/healthz", host=host), 403)
        self.assertEqual(self.sent(host="localhost:%d" % self.at.base[2]).status, 202)

    def test_foreign_origins_are_forbidden(self):
        for origin in ("https://evil.example", "null", "http://localhost:1"):
            self.refused(self.sent(headers={"Origin": origin}), 403)
        self.assertEqual(self.sent(headers={"Origin": "http://" + self.own}).status, 202)

    def test_the_printed_link_signs_a_browser_in_once(self):
        answer, code = self.sign_in()
        self.assertEqual(answer.status, 200)
        cookie = answer.headers["Set-Cookie"]
        for word in ("HttpOnly", "SameSite=Strict", "Path=/"):
            self.assertIn(word, cookie)
        self.refused(self.at.request("GET", code, token=None), 401)
        jar = {"Cookie": cookie.split(";")[0]}
        origin = {"Origin": "http://" + self.own}
        self.assertEqual(self.sent(token=None, headers={**jar, **origin}).status, 202)
        # Without an Origin it may be a form of another site.
        self.refused(self.sent(token=None, headers=jar), 403)
        self.refused(self.sent(token=None, headers={**jar, "Origin": "https://evil.example"}), 403)
        out = self.at.request("POST", "/logout", token=None, headers={**jar, **origin})
        self.assertEqual(out.status, 204)
        self.refused(self.sent(token=None, headers={**jar, **origin}), 401)

    def test_health_needs_no_token(self):
        for path in ("/healthz", "/readyz"):
            self.assertEqual(self.at.request("GET", path, token=None).status, 200)

    def test_metrics_count_what_happened(self):
        self.assertEqual(self.sent().status, 202)
        self.sent(token=None)
        until(lambda: self.metric('sluice_messages_accepted_total{account="http"}') == 1)
        self.assertGreaterEqual(self.metric('sluice_http_refused_total{reason="credentials"}'), 1)
        self.assertEqual(self.metric('sluice_build_info{version="0.1.0"}'), 1)

    def metric(self, name):
        for line in self.at.request("GET", "/metrics").body.decode().splitlines():
            if line.startswith(name + " "):
                return float(line.split(" ")[1])
        return None

    def test_neither_logs_nor_metrics_hold_a_text_or_a_token(self):
        secret = "the quick brown fox"
        self.at.post(secret, id="s1")
        until(lambda: ("agent", secret) in self.at.history())
        seen = self.at.said() + self.at.request("GET", "/metrics").body.decode()
        self.assertNotIn(secret, seen)
        self.assertNotIn(self.at.token, seen)

    def test_unknown_paths_and_methods_are_problems_too(self):
        self.refused(self.at.request("GET", "/nothing"), 404)
        self.assertIn("POST", self.refused(self.at.request("PUT", POST, {}), 405).headers["Allow"])

    def test_malformed_bodies_are_refused_and_named(self):
        for body, status, word in (
                ("{", 400, ""), ('{"id":"a","text":"b","txt":1}', 400, "txt"),
                (b'{"id":"a","text":"\xff"}', 400, ""), (json.dumps({"id": "a", "text": "x" * (2 << 20)}), 413, "")):
            answer = self.refused(self.at.request("POST", POST, body), status)
            self.assertIn(word, answer.body.decode())
        wrong = self.at.request("POST", POST, "hi", headers={"Content-Type": "text/plain"})
        self.refused(wrong, 415)

    def test_a_reused_id_with_another_text_is_refused(self):
        self.assertEqual(self.sent().status, 202)
        again = self.sent()
        self.assertEqual((again.status, again.json()["duplicate"]), (200, True))
        self.refused(self.at.request("POST", POST, {"id": "a", "text": "other"}), 422)


if __name__ == "__main__":
    unittest.main(verbosity=2)
