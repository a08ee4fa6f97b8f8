"""Images that people send: kept, given back, attached, forgotten, erased, exported, backed up."""

import base64
import glob
import json
import os
import socket
import unittest

from daemon import Case, until

PNG = b"\x89PNG\r\n\x1a\n" + b"p" * 300_000


class MediaTest(Case):
    def upload(self, daemon, body=PNG, type="image/png", **more):
        return daemon.request("POST", "/v1/media", body, headers={"Content-Type": type}, **more)

    def uploaded(self, daemon, body=PNG):
        answer = self.upload(daemon, body)
        self.assertEqual(answer.status, 201, answer.body)
        return answer.json()["id"]

    def fetch(self, daemon, id, **more):
        return daemon.request("GET", "/v1/media/" + id, **more)

    def files(self, daemon, name="media"):
        return sorted(path for path in glob.glob(os.path.join(daemon.data, name, "*", "*"))
                      if os.path.isfile(path))

    def test_an_image_goes_with_its_message_and_survives_a_kill(self):
        daemon = self.daemon().start()
        id = self.uploaded(daemon)
        self.assertEqual(daemon.post("look", attachments=[id]).status, 202)
        until(lambda: ("agent", "look") in daemon.history())
        daemon.process.kill()
        daemon.wait()
        daemon.start()
        self.assertEqual(self.fetch(daemon, id).body, PNG)
        self.assertEqual(self.fetch(daemon, id, token=None).status, 401)
        guest = daemon.client("token", "add", "guest").stdout.strip()
        self.assertEqual(self.fetch(daemon, id, token=guest).status, 404)
        self.assertEqual(daemon.post("mine?", attachments=[id[:-5] + "x.png"]).status, 422)
        self.assertEqual(daemon.stop(), 0)

    def test_files_are_closed_to_others_and_partial_ones_go_at_the_start(self):
        daemon = self.daemon().start()
        self.uploaded(daemon)
        (path,) = self.files(daemon)
        self.assertEqual(os.stat(path).st_mode & 0o777, 0o600)
        self.assertEqual(os.stat(os.path.dirname(path)).st_mode & 0o777, 0o700)
        # A kill in the middle of an upload.
        with socket.create_connection(daemon.base[1:]) as cut:
            head = ("POST /v1/media HTTP/1.1\r\nHost: %s:%d\r\nAuthorization: Bearer %s\r\n"
                    "Content-Type: image/png\r\nContent-Length: 9000000\r\n\r\n")
            cut.sendall((head % (*daemon.base[1:], daemon.token)).encode() + PNG * 2)
            partial = os.path.join(daemon.data, "media", "partial")
            until(lambda: os.listdir(partial) != [])
            daemon.process.kill()
            daemon.wait()
        self.assertNotEqual(os.listdir(partial), [])
        daemon.start()
        self.assertEqual(os.listdir(partial), [])
        self.assertEqual(self.files(daemon), [path])
        self.assertEqual(daemon.stop(), 0)

    def test_the_bounds_of_the_configuration_hold(self):
        config = ('[server]\nlisten = ["127.0.0.1:0"]\n[limits]\nbody_timeout = "300ms"\n'
                  '[media]\nfile_max = "512KiB"\nfiles_per_person = 2\n')
        daemon = self.daemon(config).start()
        self.assertEqual(self.upload(daemon, PNG * 2).status, 413)
        self.assertEqual(self.upload(daemon, b"GIF89a" + PNG).status, 415)
        self.assertEqual(self.upload(daemon, PNG, "image/svg+xml").status, 415)
        self.uploaded(daemon)
        self.uploaded(daemon)
        full = self.upload(daemon)
        self.assertEqual(full.status, 403)
        self.assertIn("as much as may be", full.json()["detail"])
        # One that comes slower than the server waits.
        guest = daemon.client("token", "add", "guest").stdout.strip()
        with socket.create_connection(daemon.base[1:], timeout=20) as slow:
            head = ("POST /v1/media HTTP/1.1\r\nHost: %s:%d\r\nAuthorization: Bearer %s\r\n"
                    "Content-Type: image/png\r\nContent-Length: 1000\r\n\r\n")
            slow.sendall((head % (*daemon.base[1:], guest)).encode() + PNG[:100])
            self.assertEqual(slow.makefile("rb").readline().split()[1], b"408")
        until(lambda: len(self.files(daemon)) == 2)
        metrics = daemon.operate("GET", "/v1/admin/metrics").body.decode()
        self.assertIn("sluice_media_uploads_total 2", metrics)
        self.assertEqual(daemon.stop(), 0)

    def test_what_is_older_than_the_retention_goes(self):
        daemon = self.daemon('[server]\nlisten = ["127.0.0.1:0"]\n[store]\nretention = "1h"\n').start()
        old, young = self.uploaded(daemon), self.uploaded(daemon)
        (path,) = [path for path in self.files(daemon) if path.endswith(old.split("-")[1])]
        self.assertEqual(daemon.stop(), 0)
        before = os.stat(path).st_mtime - 2 * 3600
        os.utime(path, (before, before))
        daemon.start()
        until(lambda: self.fetch(daemon, old).status == 404)
        self.assertEqual(self.fetch(daemon, young).status, 200)
        self.assertEqual(daemon.post("x", attachments=[old]).status, 422)
        self.assertEqual(daemon.stop(), 0)

    def test_an_erasure_removes_a_persons_images_and_nobody_elses(self):
        daemon = self.daemon().start()
        mine = self.uploaded(daemon)
        guest = daemon.client("token", "add", "guest").stdout.strip()
        other = self.upload(daemon, token=guest).json()["id"]
        exported = daemon.client("export", "--account", "http", "--person", "owner")
        lines = [json.loads(line) for line in exported.stdout.splitlines()]
        (image,) = [line for line in lines if line["in"] == "media"]
        self.assertEqual(image["id"], mine)
        self.assertEqual(image["type"], "image/png")
        self.assertEqual(base64.b64decode(image["base64"]), PNG)
        erased = daemon.client("erase", "--account", "http", "--person", "owner", "--yes")
        self.assertEqual(erased.returncode, 0, erased.stderr)
        self.assertIn("images 1", erased.stdout)
        self.assertEqual(self.fetch(daemon, mine).status, 404)
        self.assertEqual(self.fetch(daemon, other, token=guest).body, PNG)
        self.assertEqual(len(self.files(daemon)), 1)
        self.assertEqual(daemon.stop(), 0)

    def test_a_backup_holds_the_images_and_a_restore_puts_them_back(self):
        daemon = self.daemon().start()
        id = self.uploaded(daemon)
        self.assertEqual(daemon.post("look", attachments=[id]).status, 202)
        path = os.path.join(self.folder, "copy")
        made = daemon.client("backup", path)
        self.assertEqual(made.returncode, 0, made.stderr)
        self.assertIn(path + ".media", made.stdout)
        self.assertEqual(os.stat(path + ".media").st_mode & 0o777, 0o700)
        os.unlink(path)
        self.assertNotEqual(daemon.client("backup", path).returncode, 0)  # never over other images
        self.assertFalse(os.path.exists(path))
        os.rename(path + ".media", path + ".first")
        self.assertEqual(daemon.client("backup", path).returncode, 0)
        later = self.uploaded(daemon)
        self.assertNotEqual(daemon.client("restore", "--replace", path).returncode, 0)  # it runs
        self.assertEqual(daemon.stop(), 0)
        restored = daemon.client("restore", "--replace", path)
        self.assertEqual(restored.returncode, 0, restored.stderr)
        daemon.start()
        self.assertEqual(self.fetch(daemon, id).body, PNG)
        self.assertEqual(self.fetch(daemon, later).status, 404)
        self.assertEqual(len(self.files(daemon, "media.replaced-1")), 2)
        self.assertEqual(daemon.stop(), 0)

    def test_doctor_looks_at_the_directory(self):
        daemon = self.daemon().start()
        self.uploaded(daemon)
        for _ in ("with a daemon", "without one"):
            checks = {c["name"]: c for c in json.loads(daemon.client("doctor", "--json").stdout)["checks"]}
            self.assertEqual(checks["attachments"]["state"], "ok")
            self.assertIn("1 images", checks["attachments"]["detail"])
            if daemon.process is not None:
                self.assertEqual(daemon.stop(), 0)
        os.chmod(os.path.join(daemon.data, "media"), 0o755)
        checks = {c["name"]: c for c in json.loads(daemon.client("doctor", "--json").stdout)["checks"]}
        self.assertEqual(checks["attachments"]["state"], "failed")


if __name__ == "__main__":
    unittest.main(verbosity=2)
