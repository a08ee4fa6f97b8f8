"""What the package's postinst does at an upgrade: in a mount namespace of its own, with fakes in the
place of what it calls, but for the daemon and its command. scripts/package --test has the rest."""

import os
import shutil
import subprocess
import unittest

from daemon import BINARY, PATIENCE, SOURCE
from restarting import RestartCase, alive, holder, slow, status

# As if systemd ran here.
INSIDE = 'mount -t tmpfs none /run && mkdir -p /run/systemd/system && exec sh "$0" "$@"'


def may_mount():
    return shutil.which("unshare") and subprocess.run(
        ["unshare", "--mount", "true"], stderr=subprocess.DEVNULL, check=False).returncode == 0


@unittest.skipUnless(may_mount(), "needs a mount namespace")
class UpgradeTest(RestartCase):
    def setUp(self):
        super().setUp()
        self.tools = os.path.join(self.folder, "tools")
        self.calls = os.path.join(self.folder, "calls")
        os.mkdir(self.tools)
        for name in ("getent", "adduser", "install", "systemctl", "deb-systemd-helper",
                     "deb-systemd-invoke"):
            self.tool(name, 'echo "%s $*" >>%s\n' % (name, self.calls))

    def tool(self, name, text):
        path = os.path.join(self.tools, name)
        with open(path, "w") as file:
            file.write("#!/bin/sh\n" + text)
        os.chmod(path, 0o755)

    def upgrade(self, daemon):
        """dpkg's calls once the new files are there. Returns what the script has called."""
        paths = " ".join(daemon.paths())
        self.tool("sluice", 'exec %s "$@" %s\n' % (BINARY, paths))
        script = os.path.join(SOURCE, "packaging/debian/postinst")
        done = subprocess.run(
            ["unshare", "--mount", "sh", "-c", INSIDE, script, "configure", "0.0.9"],
            env={"PATH": self.tools + ":/usr/sbin:/usr/bin:/sbin:/bin", "HOME": self.folder},
            capture_output=True, text=True, timeout=PATIENCE)
        self.assertEqual(done.returncode, 0, done.stderr)
        with open(self.calls) as file:
            return file.read()

    def test_an_upgrade_under_load_hands_over_to_the_new_file_and_leaves_the_service_alone(self):
        daemon = self.installed(self.daemon(slow("0s"))).start()
        first = holder(daemon)
        with self.while_posting(daemon):
            self.install(daemon, self.newer())
            calls = self.upgrade(daemon)
            self.pids.add(holder(daemon))
        self.assertNotIn("deb-systemd-invoke", calls)
        self.assertEqual(self.ended(daemon, first), 0)
        self.assertEqual(status(daemon)["generation"], 2)
        # The new file, and not the one that the old process ran from.
        self.assertTrue(os.path.samefile("/proc/%d/exe" % holder(daemon), daemon.binary))

    def newer(self):
        path = os.path.join(self.folder, "newer")
        shutil.copy(BINARY, path)
        return path

    def test_a_new_file_that_does_not_start_leaves_it_to_systemd(self):
        daemon = self.installed(self.daemon(slow("0s"))).start()
        first = holder(daemon)
        self.install_script(daemon, "exit 1\n")
        self.assertIn("deb-systemd-invoke restart sluice.service", self.upgrade(daemon))
        self.assertTrue(alive(first))
        self.assertEqual(daemon.post("still here").status, 202)


if __name__ == "__main__":
    unittest.main()
