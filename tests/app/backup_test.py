"""Backup of a running daemon, and what a restored store does and does not do."""

import os
import unittest

from daemon import Case, Sink, until


class BackupTest(Case):
    def setUp(self):
        super().setUp()
        self.sink = Sink()
        self.addCleanup(self.sink.close)
        self.config = ('[server]\nlisten = ["127.0.0.1:0"]\n'
                       '[channels.shop]\nkind = "hook"\nagent = "echo"\ncallback = "%s"\n'
                       'token = { file = "%s/hook.token" }\n' % (self.sink.url, self.folder))
        with open(os.path.join(self.folder, "hook.token"), "w") as file:
            file.write("a-token-of-the-shop")
        os.chmod(os.path.join(self.folder, "hook.token"), 0o600)

    def hook(self, daemon, text, id):
        return daemon.request("POST", "/hook/shop", {"id": id, "chat": "c", "sender": "s",
                                                     "text": text}, token="a-token-of-the-shop")

    def sent(self):
        return [body["text"] for _, body in self.sink.got]

    def test_a_restored_store_holds_its_sends_until_the_operator_lets_them_go(self):
        daemon = self.daemon(self.config).start()
        token = daemon.client("token", "add", "guest").stdout.strip()
        # Something to send is on disk when the backup is made: it is being refused.
        self.sink.closed = True
        self.assertEqual(self.hook(daemon, "hello", "1").status, 202)
        until(lambda: self.sink.refused > 0)
        path = os.path.join(self.folder, "copy")
        made = daemon.client("backup", path)
        self.assertEqual(made.returncode, 0, made.stderr)
        self.assertEqual(os.stat(path).st_mode & 0o777, 0o600)
        self.assertNotEqual(daemon.client("backup", path).returncode, 0)  # never over another
        # Meanwhile the first goes on, and sends.
        self.sink.closed = False
        until(lambda: self.sent() == ["hello"])
        busy = daemon.client("restore", path)
        self.assertEqual(busy.returncode, 1, busy.stdout)
        self.assertEqual(daemon.stop(), 0)

        again = self.daemon(self.config, folder=os.path.join(self.folder, "b"))
        restored = again.client("restore", path)
        self.assertEqual(restored.returncode, 0, restored.stderr)
        again.start()
        states = {a["name"]: a["state"]
                  for a in again.operate("GET", "/v1/admin/status").json()["accounts"]}
        self.assertEqual(states["shop"], "held")
        self.assertEqual(self.sent(), ["hello"])
        # Tokens are part of it, the owner's file is made anew, and it knows what it had accepted.
        self.assertEqual(again.request("GET", "/v1/conversations/x/history", token=token).status
                         in (200, 404), True)
        self.assertEqual(self.hook(again, "hello", "1").json().get("duplicate"), True)
        self.assertEqual(again.client("resume", "shop").returncode, 0)
        until(lambda: self.sent() == ["hello", "hello"])
        self.assertEqual(again.stop(), 0)

    def test_a_restore_over_a_store_needs_to_be_asked_for_and_keeps_the_old_one(self):
        daemon = self.daemon(self.config).start()
        daemon.post("before")
        path = os.path.join(self.folder, "copy")
        self.assertEqual(daemon.client("backup", path).returncode, 0)
        daemon.post("after")
        until(lambda: ("agent", "after") in daemon.history())
        self.assertEqual(daemon.stop(), 0)
        self.assertEqual(daemon.client("restore", path).returncode, 1)
        self.assertEqual(daemon.client("restore", path, "--replace").returncode, 0)
        self.assertTrue([n for n in os.listdir(daemon.data) if "replaced" in n])
        daemon.start()
        texts = [text for _, text in daemon.history()]
        self.assertIn("before", texts)
        self.assertNotIn("after", texts)
        self.assertEqual(daemon.stop(), 0)


if __name__ == "__main__":
    unittest.main(verbosity=2)
