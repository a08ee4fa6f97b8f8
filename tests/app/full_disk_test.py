"""A disk that is really full: a small tmpfs, in a mount namespace of this process's own, so that nothing of it
is left behind however the test ends. Where mounting is not allowed the tests are skipped, and say so.
"""

import json
import os
import subprocess
import sys
import unittest

from daemon import Case, until

NAMESPACE = ["unshare", "--mount"] + ([] if os.geteuid() == 0 else ["--map-root-user"])
INSIDE = "SLUICE_TEST_MOUNTS"
DISK = 16 << 20
SLACK = 64 << 10  # of the filling, at the end: so small that no batch fits beside it
LISTEN = '[server]\nlisten = ["127.0.0.1:0"]\n'


def may_mount():
    try:
        return subprocess.run([*NAMESPACE, "mount", "-t", "tmpfs", "none", "/mnt"],
                              stderr=subprocess.DEVNULL, check=False).returncode == 0
    except FileNotFoundError:
        return False


@unittest.skipUnless(os.environ.get(INSIDE), "a mount namespace is not allowed here: no full disk can be made")
class FullDiskTest(Case):
    def setUp(self):
        super().setUp()
        self.disk = os.path.join(self.folder, "disk")
        os.mkdir(self.disk)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=%d,mode=0700" % DISK, "none", self.disk], check=True)
        self.ballast = os.path.join(self.disk, "ballast")

    def clean_up(self):
        for daemon in self.daemons:
            if daemon.process is not None:
                daemon.process.kill()
                daemon.process.wait()
        subprocess.run(["umount", "--lazy", self.disk], check=False)
        super().clean_up()

    def start(self, options=""):
        made = self.daemon(LISTEN + options)
        made.data = os.path.join(self.disk, "data")
        return made.start()

    def fill(self, leave=0):
        """Takes what is free but for `leave` bytes."""
        with open(self.ballast, "ab", buffering=0) as file:
            while self.free() > leave:
                try:
                    file.write(b"x" * min(SLACK, self.free() - leave))
                except OSError:  # ENOSPC
                    break

    def make_room(self):
        os.unlink(self.ballast)

    def free(self):
        told = os.statvfs(self.disk)
        return told.f_bavail * told.f_frsize

    def accepted(self, daemon, count, size=4000, first=0):
        """Posts messages one after the other until one is refused. Their texts, and the refusal."""
        texts = []
        for i in range(first, first + count):
            text = "%d " % i + "x" * size
            answer = daemon.post(text, id="n%d" % i)
            if answer.status != 202:
                return texts, answer
            texts.append(text)
        return texts, None

    def refused(self, answer):
        self.assertEqual(answer.status, 503)
        self.assertEqual(answer.headers["Content-Type"], "application/problem+json")
        self.assertEqual(answer.json()["type"], "urn:sluice:problem:disk-full")
        self.assertGreater(int(answer.headers["Retry-After"]), 0)

    def daemon_at_the_end_of_its_disk(self):
        """Without a low-water mark, so that the store itself meets the end, and with turns that run then. Returns
        the texts that were accepted, too."""
        daemon = self.start('[core]\ndisk_low_bytes = "0B"\n[agents.echo]\ndelay = "20ms"\n')
        before, refusal = self.accepted(daemon, 20)
        self.assertIsNone(refusal)
        self.fill(leave=256 << 10)
        more, refusal = self.accepted(daemon, 2000, first=20)
        self.refused(refusal)
        self.assertTrue(more)
        return daemon, before + more

    def answered(self, daemon, texts):
        """Each text once as a question and once as echo's answer, in order, and nothing else."""
        lines = []
        before = None
        while True:
            page = daemon.request("GET", "/v1/conversations/main/history?limit=100" +
                                  ("&before=%d" % before if before else "")).json()
            lines += page["lines"]
            before = page["before"]
            if before is None:
                break
        lines = [(line["kind"], line["text"]) for line in sorted(lines, key=lambda l: l["id"])]
        for kind in ("person", "agent"):
            got = [text for k, text in lines if k == kind]
            if got != texts[:len(got)]:
                self.fail("%s lines out of order or twice" % kind)
            if len(got) < len(texts):
                return False
        return len(lines) == 2 * len(texts)

    def test_a_full_disk_refuses_loses_nothing_and_goes_on_when_there_is_room(self):
        daemon, texts = self.daemon_at_the_end_of_its_disk()
        self.assertIsNone(daemon.process.poll(), daemon.said())
        self.assertEqual(daemon.request("GET", "/healthz", token=None).status, 200)
        self.make_room()
        last = len(texts)
        until(lambda: daemon.post("%d again" % last, id="again").status in (200, 202))
        until(lambda: self.answered(daemon, texts + ["%d again" % last]))
        self.assertEqual(daemon.stop(), 0)

    def test_what_was_accepted_before_the_disk_was_full_survives_a_kill_there(self):
        daemon, texts = self.daemon_at_the_end_of_its_disk()
        daemon.process.kill()
        daemon.wait()
        self.make_room()
        daemon.start()
        until(lambda: self.answered(daemon, texts))
        self.assertEqual(daemon.stop(), 0)

    def test_an_image_that_finds_no_room_is_refused_and_leaves_none_of_itself(self):
        daemon = self.start('[core]\ndisk_low_bytes = "0B"\n')
        image = b"\x89PNG\r\n\x1a\n" + b"p" * (2 << 20)

        def upload():
            return daemon.request("POST", "/v1/media", image, headers={"Content-Type": "image/png"})

        self.fill(leave=1 << 20)
        self.refused(upload())
        self.make_room()
        self.fill(leave=3 << 20)
        # The disk fills up while it comes.
        connection = daemon.connection()
        connection.putrequest("POST", "/v1/media")
        for name, value in (("Content-Type", "image/png"), ("Content-Length", str(len(image))),
                            ("Authorization", "Bearer " + daemon.token)):
            connection.putheader(name, value)
        connection.endheaders()
        connection.send(image[:1500 << 10])
        until(lambda: self.free() < 2 << 20)
        self.fill()
        connection.send(image[1500 << 10:])
        answer = connection.getresponse()
        self.assertEqual((answer.status, json.load(answer)["type"]), (503, "urn:sluice:problem:disk-full"))
        connection.close()
        until(lambda: self.free() >= 1 << 20)  # what had come of it has gone
        partial = os.path.join(daemon.data, "media", "partial")
        self.assertEqual(os.listdir(partial), [])
        self.make_room()
        self.assertEqual(upload().status, 201)
        self.assertEqual(daemon.stop(), 0)

    def test_below_the_mark_intake_closes_and_what_runs_still_ends(self):
        daemon = self.start('[core]\ndisk_low_bytes = "4MiB"\n[agents.echo]\ndelay = "300ms"\n')
        before, refusal = self.accepted(daemon, 10)
        self.assertIsNone(refusal)
        self.fill(leave=3 << 20)
        until(lambda: daemon.request("GET", "/readyz", token=None).status == 503)
        self.refused(daemon.post("late"))
        until(lambda: self.answered(daemon, before))
        self.make_room()
        until(lambda: daemon.request("GET", "/readyz", token=None).status == 200)
        self.assertEqual(daemon.post("late").status, 202)
        until(lambda: self.answered(daemon, before + ["late"]))
        self.assertEqual(daemon.stop(), 0)


if __name__ == "__main__":
    if INSIDE not in os.environ and may_mount():
        os.environ[INSIDE] = "1"
        os.execvp(NAMESPACE[0], [*NAMESPACE, sys.executable, "-B", *sys.argv])
    unittest.main(verbosity=2)
