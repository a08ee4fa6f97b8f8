"""Kills the real daemon at random instants under load, N times, and compares what everybody saw.

    crash.py N --binary PATH [--seed S] [--keep]

The clients, the agents and the callback receiver live in this process, which outlives every daemon.
The last line is: N kills, A accepted, L lost, D duplicated unlabelled, R reordered. Exit code 1 if
any of these is not 0, if anything else is wrong, or if a phase was never hit; then the folder with
the journals is kept and named. The seed fixes the plan and everybody's moods, not the machine's
timing: it makes a run alike, not identical.
"""

import argparse
import asyncio
import collections
import ctypes
import os
import random
import shutil
import signal
import sys
import tempfile
import threading
import time

import clients
import daemon
import journal
import judge
import outside
import wire

MESSAGES_PER_ROUND = 200
ROUND_SECONDS = 2.0
IDLE_MESSAGES = 220  # of a round that is to be killed when all is quiet
SPARE_ROUNDS = 5  # that may miss the 200 messages, besides half of N: the machine may be busy
DRAIN_SECONDS = 120.0
STALL_SECONDS = 20.0  # without any progress: what is open will not come

# What the gateway is in the middle of when it dies.
PHASES = ("idle", "accepting", "running", "delivering")
# Who dies first in a round in which it hands over to a successor: one of them and later all, or all.
RESTARTS = ("old", "new", "all")
KILLS_FOR_ALL_PHASES = 10  # fewer may miss one by chance
READ_AGAIN = 20  # times, what a busy machine did not let the daemon read in time


class Failed(Exception):
    """The run cannot go on; the text says why."""


class Restart:
    """In the killer's thread: at its instant the daemon is asked to hand over, and at another one of
    the two dies."""

    def __init__(self, process, first, asked_at, dies_at):
        self.process = process
        self.first = first
        self.asked_at = asked_at
        self.dies_at = dies_at
        self.asked = self.died = False
        self.both = 0  # kills that found two processes

    def go_on(self, now):
        if not self.asked and now >= self.asked_at:
            self.asked = True
            self.process.ask_to_restart()
        if self.first != "all" and not self.died and now >= self.dies_at:
            family = self.process.family()
            self.died = True
            if len(family) > 1:
                self.both += 1
                self.process.kill_family(slice(0, 1) if self.first == "old" else slice(1, None))


class Killer(threading.Thread):
    """Kills at the planned instant, from a thread of its own: the loop's own turns must not decide
    where in its work the daemon is. It waits for the round's messages and for the phase that the
    round aims at, but no longer than the round may take."""

    def __init__(self, process, snapshot, ready, after, aim, restart):
        super().__init__(daemon=True)
        self.process = process
        self.snapshot = snapshot
        self.earliest = ready + after
        self.latest = ready + ROUND_SECONDS
        self.aim = aim
        self.restart = restart
        self.found = None  # the snapshot at the kill
        self.took = 0.0

    def run(self):
        while True:
            now = time.monotonic()
            if self.restart is not None:
                self.restart.go_on(now)
            found = self.snapshot()
            enough = found["accepted"] >= MESSAGES_PER_ROUND and found[self.aim]
            if now >= self.latest or (now >= self.earliest and enough):
                if self.restart is None:
                    self.process.kill_now()
                else:
                    self.restart.both += self.process.kill_family() > 1
                self.found = found
                self.took = now
                return
            time.sleep(0.0005)


class Run:
    def __init__(self, arguments, folder):
        self.kills = arguments.kills
        self.chance = random.Random(arguments.seed)
        self.folder = folder
        self.agents = outside.Agents(arguments.seed, self.path("agents.jsonl"))
        self.receiver = outside.Receiver(arguments.seed, self.path("receiver.jsonl"),
                                         lambda *part: self.world.taken(*part))
        self.binary = arguments.binary
        self.seed = arguments.seed
        self.phases = collections.Counter()
        self.restarts = collections.Counter()  # that were hit while there were two processes
        self.started = self.short = self.fewest = 0
        self.slowest = 0.0
        self.start_took = 0.1  # seconds, of the newest start
        self.exits = []

    def path(self, name):
        return os.path.join(self.folder, name)

    async def bounded(self):
        """Ends the daemon in any case: after the longest time it may take, and on SIGTERM."""
        work = asyncio.current_task()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, work.cancel)
        try:
            async with asyncio.timeout(DRAIN_SECONDS + 120.0 + 10.0 * self.kills):
                await self.run()
        except TimeoutError as error:
            raise Failed("the run took too long") from error

    async def run(self):
        await self.agents.server.start()
        await self.receiver.server.start()
        self.process = daemon.Daemon(self.binary, self.folder, self.agents.server.port,
                                     self.receiver.server.port)
        self.world = clients.World(self.seed, self.process, self.receiver,
                                   {"clients": self.path("clients.jsonl"),
                                    "lines": self.path("lines.jsonl")})
        try:
            await self.make_token()
            self.world.start()
            await self.rounds()
            await self.drain()
        finally:
            if self.process.process is not None:
                self.process.kill_now()
                await self.process.reap()
            await self.world.close()
            self.agents.server.stop()
            self.receiver.server.stop()

    async def make_token(self):
        await self.process.start()
        code, said = await self.process.command("token", "add", "crash", "--scope", "chat",
                                                "--scope", "all")
        tokens = [word for word in said.split() if word.startswith("slt_")]
        if code != 0 or not tokens:
            raise Failed(f"sluice token add: {said}")
        self.world.headers["Authorization"] = f"Bearer {tokens[0]}"
        await self.stop_cleanly()

    async def stop_cleanly(self):
        code = await self.process.stop()
        if code != 0:
            self.exits.append(f"the daemon ended with code {code} after SIGTERM")

    # ---- kills

    async def rounds(self):
        done = 0
        while done < self.kills:
            if self.chance.random() < 0.2:
                await self.kill_while_starting()
            # Every third round aims at what was hit least; the others take what they find.
            rarest = min(PHASES, key=lambda phase: self.phases[phase])
            aim = rarest if done % 3 == 0 else "anything"
            if await self.round(aim):
                done += 1
                if done % 10 == 0:
                    print(f"{done} kills, {self.world.ledger.accepted} accepted", flush=True)
            else:
                self.short += 1
                if self.short > SPARE_ROUNDS + self.kills // 2:
                    raise Failed(f"{self.short} rounds accepted less than {MESSAGES_PER_ROUND} "
                                 f"messages in {ROUND_SECONDS:.0f} s: the machine is too busy")
            if self.world.ledger.faults:
                return

    async def kill_while_starting(self):
        await self.process.spawn()
        await asyncio.sleep(self.chance.random() * self.start_took)
        self.process.kill_now()
        await self.reap_the_killed()
        self.started += 1

    async def reap_the_killed(self):
        code = await self.process.reap()
        if code != -9:
            raise Failed(f"the daemon ended by itself with code {code}; see daemon.log")

    def plan_restart(self, ready, after):
        """Two processes overlap for a few hundred milliseconds: most instants are among those."""
        asked = ready + self.chance.random() * max(after - 0.3, 0.05)
        first = min(RESTARTS, key=lambda who: (self.restarts[who], self.chance.random()))
        return Restart(self.process, first, asked, asked + self.chance.random() * 0.4)

    async def bury(self, killer):
        """The one that was started may have ended well: its successor is killed in its place."""
        while killer.is_alive():
            await asyncio.sleep(0.002)
        code = await self.process.bury_family()
        if code not in (0, -9):
            raise Failed(f"the daemon ended by itself with code {code}; see daemon.log")

    async def round(self, aim):
        """One life of the daemon. False if it was too short to count."""
        began = self.world.ledger.accepted
        spawned = time.monotonic()
        await self.process.start()
        ready = time.monotonic()
        self.start_took = ready - spawned
        self.agents.calm = self.receiver.calm = aim == "idle"
        self.world.load.open(IDLE_MESSAGES if aim == "idle" else 1 << 30)
        after = self.chance.random() * (ROUND_SECONDS - 0.1)
        restart = self.plan_restart(ready, after) if aim == "anything" else None
        killer = Killer(self.process, lambda: self.snapshot(began), ready, after, aim, restart)
        killer.start()
        if restart is None:
            await self.reap_the_killed()
        else:
            await self.bury(killer)
        self.world.load.close()
        while killer.is_alive():
            await asyncio.sleep(0.001)
        if restart is not None:
            self.restarts[restart.first] += restart.both > 0
        if killer.found is None:
            raise Failed("the daemon died before it was killed; see daemon.log")
        accepted = killer.found["accepted"]
        if accepted < MESSAGES_PER_ROUND:
            return False
        for phase in (*PHASES, "waiting"):
            self.phases[phase] += bool(killer.found[phase])
        self.fewest = min(self.fewest or accepted, accepted)
        self.slowest = max(self.slowest, killer.took - ready)
        return True

    def snapshot(self, began):
        """Called from the killer's thread: reads plain numbers only."""
        found = {"accepting": self.world.ledger.asking, "running": self.agents.server.open,
                 "delivering": self.receiver.server.open, "waiting": self.world.ledger.waiting(),
                 "accepted": self.world.ledger.accepted - began, "anything": 1}
        found["idle"] = not any(found[phase] for phase in
                                ("accepting", "running", "delivering", "waiting"))
        return found

    # ---- the end

    async def drain(self):
        """Lets everything end undisturbed, and writes down what is left to see."""
        self.agents.calm = self.receiver.calm = True
        await self.process.start()
        # Senders that were cut off while they asked still have to be told.
        ledger = self.world.ledger
        end = time.monotonic() + DRAIN_SECONDS
        progress, since = -1, 0.0
        while ledger.open or ledger.posting:
            now = time.monotonic()
            if progress != ledger.progress:
                progress, since = ledger.progress, now
            if now > end or now - since > STALL_SECONDS:
                break
            await asyncio.sleep(0.02)
        await asyncio.sleep(0.3)  # for what should not come: a second answer
        await self.collect()
        await self.stop_cleanly()
        code, said = await self.process.command("doctor")
        if code != 0:
            self.exits.append(f"sluice doctor ended with code {code}:\n{said}")

    async def collect(self):
        out = journal.Journal(self.path("final.jsonl"))
        client = wire.Client(self.process.port, self.world.headers)
        for chat in self.world.chats.values():
            if chat.account in clients.PULL:
                out.note({"account": chat.account, "chat": chat.name,
                          "log": await self.whole_log(client, chat.path)})
        control = wire.Client(self.process.control)
        wanted = judge.unexplained(judge.load(self.folder, daemon.MAX_ATTEMPTS))
        wanted += [message.number for message in self.world.ledger.open.values()]
        for number in sorted(set(wanted)):
            out.note({"life": await clients.life_of(control, number)
                      or {"id": number, "pending": True, "parts": []}})
        out.close()
        client.close()
        control.close()

    async def whole_log(self, client, path):
        lines, before = [], None
        while True:
            page = f"{path}/history?limit=200" + (f"&before={before}" if before else "")
            answer = await client.request("GET", page)
            for _ in range(READ_AGAIN):
                if answer.status != 503:
                    break
                await asyncio.sleep(0.5)
                answer = await client.request("GET", page)
            if answer.status != 200:
                raise Failed(f"GET {page} was answered {answer.status}")
            value = answer.json()
            lines = value["lines"] + lines
            before = value["before"]
            if before is None:
                return lines


def say(run, verdict):
    counts = verdict.counts
    print("phases hit: " + ", ".join(f"{phase} {run.phases[phase]}"
                                      for phase in (*PHASES, "waiting"))
          + f"; besides {run.started} kills while starting")
    print("killed with a successor beside it: "
          + ", ".join(f"{who} {run.restarts[who]}" for who in RESTARTS))
    print(f"at least {run.fewest} messages a round, killed at most {run.slowest:.2f} s after ready"
          + (f"; {run.short} rounds were too slow to count" if run.short else ""))
    print(", ".join(f"{name} {counts[name]}" for name in sorted(counts)))


def last_line(run, verdict):
    print(f"{run.kills} kills, {run.world.ledger.accepted} accepted, {len(verdict.lost)} lost, "
          f"{len(verdict.duplicated)} duplicated unlabelled, {len(verdict.reordered)} reordered",
          flush=True)


def finish(run):
    """Prints the verdict. True if all is well."""
    verdict = judge.judge(judge.load(run.folder, daemon.MAX_ATTEMPTS))
    verdict.other += run.world.ledger.faults + run.exits
    verdict.other += run.agents.server.errors + run.receiver.server.errors
    if run.kills >= KILLS_FOR_ALL_PHASES:
        verdict.other += [f"no kill hit the phase \"{phase}\"" for phase in PHASES
                          if not run.phases[phase]]
        if not sum(run.restarts.values()):
            verdict.other.append("no kill hit a hand-over")
    say(run, verdict)
    for finding in verdict.findings():
        print(finding)
    if not verdict.clean():
        print(f"seed {run.seed}; what everybody saw is in {run.folder}")
    last_line(run, verdict)
    return verdict.clean()


def parse():
    parser = argparse.ArgumentParser(prog="crash")
    parser.add_argument("kills", type=int)
    parser.add_argument("--binary", required=True)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--keep", action="store_true", help="keep the folder in any case")
    arguments = parser.parse_args()
    if arguments.kills < 1:
        parser.error("at least one kill")
    arguments.binary = os.path.abspath(arguments.binary)
    if arguments.seed is None:
        arguments.seed = random.SystemRandom().randrange(1 << 32)
    return arguments


def adopt_orphans():
    """prctl(2), PR_SET_CHILD_SUBREAPER: successors become ours when their parents die."""
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)


def main():
    arguments = parse()
    adopt_orphans()
    sys.setswitchinterval(0.0005)  # the killer is not to wait for the loop
    folder = tempfile.mkdtemp(prefix="sluice-crash-")
    print(f"seed {arguments.seed}, {arguments.kills} kills of {arguments.binary}", flush=True)
    run = Run(arguments, folder)
    good = False
    try:
        asyncio.run(run.bounded())
        good = finish(run)
    except (KeyboardInterrupt, asyncio.CancelledError):
        print(f"crash: interrupted; what everybody saw is in {folder}", file=sys.stderr)
    except (Failed, daemon.Failed, wire.Broken) as error:
        print(f"crash: {error}\nseed {arguments.seed}; what everybody saw is in {folder}",
              file=sys.stderr)
    if good and not arguments.keep:
        shutil.rmtree(folder)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
