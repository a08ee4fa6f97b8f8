"""Journals: what clients, agents and receivers saw, one JSON object a line; and their dice."""

import asyncio
import hashlib
import json
import os
import sys


class Journal:
    """An append-only file on one asyncio loop. append() returns when its record is on disk; records
    that come while a sync runs share the next one."""

    def __init__(self, path):
        self.file = open(path, "ab", buffering=0)
        self.waiting = []
        self.syncing = None

    def note(self, record):
        """Writes without waiting for the disk."""
        self.file.write(json.dumps(record).encode() + b"\n")

    async def append(self, record):
        self.note(record)
        done = asyncio.get_running_loop().create_future()
        self.waiting.append(done)
        if self.syncing is None:
            self.syncing = asyncio.create_task(self.sync())
        await done

    async def sync(self):
        while self.waiting:
            batch, self.waiting = self.waiting, []
            await asyncio.to_thread(os.fdatasync, self.file.fileno())
            for done in batch:
                if not done.done():
                    done.set_result(None)
        self.syncing = None

    def close(self):
        self.file.close()


def read(path):
    if not os.path.exists(path):
        return []
    # The same few names and accounts a million times: one copy of each will do.
    def compact(pairs):
        return {sys.intern(name): sys.intern(value) if name in ("account", "chat") else value
                for name, value in pairs}

    with open(path, encoding="utf-8") as file:
        return [json.loads(line, object_pairs_hook=compact) for line in file]


def seq_of(text):
    """A message's number in its conversation. Its id, "http-p3-17", begins its text."""
    return int(text.split(" ", 1)[0].rsplit("-", 1)[1])


def dice(*what):
    """A number in [0, 1) that depends on nothing but what is named: the same seed gives everybody
    the same temper, however the calls interleave."""
    digest = hashlib.blake2b(repr(what).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64
