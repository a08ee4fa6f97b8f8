"""The daemon under test: its configuration, its start, its death."""

import asyncio
import os
import random
import signal
import socket
import subprocess

HOOK_TOKEN = "crash-test-hook-token"
START_SECONDS = 20.0
STOP_SECONDS = 30.0

CONFIG = """\
shutdown_timeout = "20s"
rollback_window = "100ms"

[server]
listen = ["127.0.0.1:{port}"]
[store]
dir = "{folder}/data"
[log]
format = "json"
level = "info"
file = "{folder}/daemon.log"
[core]
# Crashes use up attempts; with the usual three many messages would end as dead letters.
max_turn_attempts = {attempts}
retry_backoff = "20ms"
retry_backoff_max = "200ms"
send_backoff = "20ms"
send_backoff_max = "200ms"
history_messages = 8
collect_quiet = "50ms"
collect_longest = "200ms"

[agents.steady]
kind = "webhook"
url = "http://127.0.0.1:{agents}/steady"
idempotent = true
on_interrupt = "rerun"
max_turns = 24
[agents.careful]
kind = "webhook"
url = "http://127.0.0.1:{agents}/careful"
on_interrupt = "ask"
[agents.frail]
kind = "webhook"
url = "http://127.0.0.1:{agents}/frail"
on_interrupt = "fail"

[channels.cli]
enabled = false
[channels.http]
agent = "steady"
[channels.gather]
kind = "http"
agent = "steady"
mode = "collect"
[channels.ask]
kind = "http"
agent = "careful"
[channels.desk]
kind = "hook"
agent = "steady"
token = {{ env = "CRASH_HOOK_TOKEN" }}
callback_allow = ["127.0.0.1:{receiver}"]
part_bytes_max = "256B"
[channels.keyed]
kind = "hook"
agent = "steady"
token = {{ env = "CRASH_HOOK_TOKEN" }}
callback = "http://127.0.0.1:{receiver}/keyed"
idempotency_window = "1h"
[channels.frail]
kind = "hook"
agent = "frail"
token = {{ env = "CRASH_HOOK_TOKEN" }}
callback = "http://127.0.0.1:{receiver}/frail"
"""

MAX_ATTEMPTS = 8


class Failed(Exception):
    """The daemon did what no kill explains: it did not start, or ended by itself."""


def free_port():
    """Outside the range from which the kernel takes ports for others, so that it stays free while
    the daemon is down."""
    chance = random.Random(os.getpid())
    for _ in range(200):
        port = chance.randrange(18000, 32000)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise Failed("no free port on the loopback interface")


class Daemon:
    """One after another, at the same port, on the same data. `up` is set while one is ready."""

    def __init__(self, binary, folder, agents_port, receiver_port):
        self.binary = binary
        self.folder = folder
        self.port = free_port()
        self.up = asyncio.Event()
        self.process = None
        self.pidfd = None
        self.control = os.path.join(folder, "data", "control.sock")
        self.config = os.path.join(folder, "sluice.toml")
        self.environment = dict(os.environ, CRASH_HOOK_TOKEN=HOOK_TOKEN)
        with open(self.config, "w", encoding="utf-8") as file:
            file.write(CONFIG.format(port=self.port, folder=folder, agents=agents_port,
                                     receiver=receiver_port, attempts=MAX_ATTEMPTS))

    async def spawn(self):
        with open(os.path.join(self.folder, "daemon.err"), "ab") as errors:
            self.process = await asyncio.create_subprocess_exec(
                self.binary, "run", "--config", self.config, stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE, stderr=errors, env=self.environment)
        if self.pidfd is not None:
            os.close(self.pidfd)
            self.pidfd = None
        try:
            self.pidfd = os.pidfd_open(self.process.pid)
        except ProcessLookupError as error:
            raise Failed(f"ended at its start with code {await self.reap()}") from error

    async def start(self):
        """Until it says that it is ready."""
        await self.spawn()
        try:
            async with asyncio.timeout(START_SECONDS):
                while line := await self.process.stdout.readline():
                    if b" is ready after " in line:
                        self.up.set()
                        return
        except TimeoutError as error:
            raise Failed(f"not ready after {START_SECONDS:.0f} s") from error
        raise Failed(f"ended at its start with code {await self.reap()}; see daemon.err")

    def kill_now(self):
        """Any thread. Through a descriptor: a number may already be somebody else's."""
        try:
            signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)
        except ProcessLookupError:
            pass  # it ended by itself; reap() tells how

    def ask_to_restart(self):
        """Any thread. It hands over to another process of its own, as at an upgrade."""
        try:
            signal.pidfd_send_signal(self.pidfd, signal.SIGUSR1)
        except ProcessLookupError:
            pass

    def family(self):
        """Any thread. The processes that run on these files: one, or during a hand-over two; the
        oldest first. One that is just being started may not have a command line yet: then it is ours,
        once its parent is dead (adopt_orphans in crash.py)."""
        found = []
        for name in os.listdir("/proc"):
            if not name.isdigit():
                continue
            try:
                with open(f"/proc/{name}/cmdline", "rb") as file:
                    words = file.read().split(b"\0")
                with open(f"/proc/{name}/stat", encoding="ascii", errors="replace") as file:
                    fields = file.read().rsplit(")", 1)[1].split()
            except OSError:
                continue  # it has ended
            state, parent = fields[0], int(fields[1])
            threads, started = int(fields[17]), int(fields[19])
            named = self.config.encode() in words and b"run" in words
            # A killed one is not gone while a thread of it is in a sync: it still has its files.
            alive = state != "Z" or threads > 1
            if alive and (named or parent == os.getpid()):
                found.append((started, int(name)))
        return [pid for _, pid in sorted(found)]

    def kill_family(self, which=slice(None)):
        """Any thread. Returns how many there were."""
        family = self.family()
        for pid in family[which]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        return len(family)

    async def bury_family(self):
        """Until none of them is left, also of those that were just being started."""
        try:
            async with asyncio.timeout(START_SECONDS):
                gone = 0  # looks in a row: one that is in the middle of its exec is seen as none
                while gone < 4:
                    gone = 0 if self.kill_family() else gone + 1
                    await asyncio.sleep(0.005)
        except TimeoutError:
            raise Failed("the daemon's processes do not die") from None
        code = await self.reap()
        # Those whose parents died are ours to bury (adopt_orphans).
        try:
            while os.waitpid(-1, os.WNOHANG)[0] != 0:
                pass
        except ChildProcessError:
            pass
        return code

    async def reap(self):
        code = await self.process.wait()
        self.up.clear()
        self.process = None
        return code

    async def stop(self):
        """The orderly way. Returns the exit code."""
        signal.pidfd_send_signal(self.pidfd, signal.SIGTERM)
        try:
            async with asyncio.timeout(STOP_SECONDS):
                return await self.reap()
        except TimeoutError:
            self.kill_now()
            await self.reap()
            raise Failed(f"did not stop within {STOP_SECONDS:.0f} s of SIGTERM") from None

    async def command(self, *arguments):
        """Runs `sluice ARGUMENTS`; returns its exit code and what it printed."""
        process = await asyncio.create_subprocess_exec(
            self.binary, *arguments, "--config", self.config, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=self.environment)
        try:
            async with asyncio.timeout(60):
                said, _ = await process.communicate()
        except TimeoutError:
            process.kill()
            await process.wait()
            raise Failed(f"sluice {arguments[0]} did not end within a minute") from None
        return process.returncode, said.decode(errors="replace")
