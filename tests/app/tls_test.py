"""TLS on the HTTP listener."""

import socket
import ssl
import unittest

from daemon import Case, certificate


def config(key="localhost.key", least="1.2"):
    return ('[server]\nlisten = ["127.0.0.1:0"]\npublic_hosts = ["localhost"]\n[server.tls]\n'
            'certificate = "%s"\nkey = "%s"\nmin_version = "%s"\n'
            % (certificate("localhost.crt"), certificate(key), least))


class TlsTest(Case):
    def test_it_speaks_https_and_nothing_else(self):
        daemon = self.daemon(config()).start()
        self.assertEqual(daemon.base[:2], ("https", "localhost"))
        self.assertEqual(daemon.post("hello").status, 202)
        with socket.create_connection(("127.0.0.1", daemon.base[2]), timeout=30) as plain:
            plain.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            try:
                self.assertNotIn(b"HTTP", plain.recv(4096))
            except ConnectionResetError:
                pass
        self.assertEqual(daemon.stop(), 0)

    def test_the_cookie_is_for_tls_alone(self):
        daemon = self.daemon(config()).start()
        link = daemon.banner.split("/login")[1].split()[0]
        cookie = daemon.request("GET", "/login" + link, token=None).headers["Set-Cookie"]
        self.assertTrue(cookie.startswith("__Host-"), cookie)
        self.assertIn("Secure", cookie)
        self.assertEqual(daemon.stop(), 0)

    def test_older_versions_than_the_least_are_refused(self):
        daemon = self.daemon(config(least="1.3")).start()
        context = ssl.create_default_context(cafile=certificate("localhost.crt"))
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        with socket.create_connection(("127.0.0.1", daemon.base[2]), timeout=30) as plain:
            with self.assertRaises(ssl.SSLError):
                context.wrap_socket(plain, server_hostname="localhost")
        self.assertEqual(daemon.request("GET", "/healthz").status, 200)
        self.assertEqual(daemon.stop(), 0)

    def test_a_key_that_does_not_match_is_refused_at_the_start(self):
        code, said = self.daemon(config(key="other.key")).fails()
        self.assertEqual(code, 1)
        self.assertIn("key", said)

    def test_a_certificate_without_its_key_is_a_bad_configuration(self):
        text = config().replace("key =", "#key =")
        self.assertEqual(self.daemon(text).fails()[0], 78)


if __name__ == "__main__":
    unittest.main(verbosity=2)
