"""What tests of restarts share: which process holds the store, and none left behind."""

import contextlib
import os
import shutil
import signal
import threading

from daemon import BINARY, Case, until

# Top of the file: the old process stays no longer than its turns need.
BRIEF = 'rollback_window = "100ms"\n'
LISTEN = '[server]\nlisten = ["127.0.0.1:0"]\n'
OPENAI = '[channels.openai]\nkind = "openai"\n'


def slow(delay):
    """A configuration with an agent that takes its time."""
    return BRIEF + LISTEN + OPENAI + '[agents.echo]\ndelay = "%s"\n' % delay


def status(daemon):
    return daemon.operate("GET", "/v1/admin/status").json()


def holder(daemon):
    """The process that holds the store."""
    with open(os.path.join(daemon.data, "store.lock")) as file:
        return int(file.read() or 0)


def alive(pid):
    try:
        with open("/proc/%d/stat" % pid) as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


class RestartCase(Case):
    def setUp(self):
        super().setUp()
        self.pids = set()

    def clean_up(self):
        for daemon in self.daemons:
            if os.path.exists(os.path.join(daemon.data, "store.lock")):
                self.pids.add(holder(daemon))
        for pid in self.pids:
            if alive(pid):
                os.kill(pid, signal.SIGKILL)
                until(lambda: not alive(pid))
        super().clean_up()

    def installed(self, daemon):
        """Gives the daemon a program of its own, which can be replaced."""
        daemon.binary = os.path.join(self.folder, "sluice")
        self.install(daemon, BINARY)
        return daemon

    def install(self, daemon, program):
        """Puts it in the place of the daemon's program, as a package does: by another file."""
        new = daemon.binary + ".new"
        try:
            os.link(program, new)
        except OSError:  # of another file system
            shutil.copy(program, new)
        os.replace(new, daemon.binary)

    def install_script(self, daemon, text):
        """The same with what is no daemon at all."""
        script = os.path.join(self.folder, "script")
        with open(script, "w") as file:
            file.write("#!/bin/sh\n" + text)
        os.chmod(script, 0o755)
        self.install(daemon, script)
        os.unlink(script)

    def restart(self, daemon, *words):
        """Returns when the successor serves."""
        self.pids.add(holder(daemon))
        done = daemon.client("restart", *words)
        self.assertEqual(done.returncode, 0, done.stderr + daemon.said())
        self.assertIn("restarted: generation", done.stdout)
        self.pids.add(holder(daemon))
        return done

    @contextlib.contextmanager
    def while_posting(self, daemon):
        """Somebody posts before, meanwhile and after, and is never refused."""
        done, wrong, accepted = threading.Event(), [], []

        def talk():
            n = 0
            while not done.is_set():
                n += 1
                answer = daemon.post("m%d" % n, id="p%d" % n)
                (accepted if answer.status == 202 else wrong).append((n, answer.status))

        person = threading.Thread(target=talk)
        person.start()
        try:
            until(lambda: len(accepted) > 10)
            yield
            before = len(accepted)
            until(lambda: len(accepted) > before + 10)
        finally:
            done.set()
            person.join()
        self.assertEqual(wrong, [])

    def alone(self, daemon):
        """Until the one that holds the store has no predecessor any more."""
        until(lambda: sum(alive(pid) for pid in self.pids) == 1)

    def ended(self, daemon, pid):
        """The exit code of the process that the test started, once it has ended."""
        self.assertEqual(pid, daemon.process.pid)
        return daemon.wait()
