"""The world outside that the daemon calls: the agents and the callback receiver.

Both write down what reached them, and sync it, before they answer. Both have moods, thrown from the
seed: slow, unwilling, or silent after they have taken the request.
"""

import asyncio
import hashlib
import json

import journal
import wire

END = "[end]"  # the last word of every answer: a receiver knows by it that the reply is whole


def digest(value):
    return hashlib.blake2b(json.dumps(value).encode(), digest_size=8).hexdigest()


class Agents:
    """Three agents on one port: /steady may be called again for a turn, /careful and /frail not."""

    def __init__(self, seed, path):
        self.seed = seed
        self.journal = journal.Journal(path)
        self.server = wire.Server(self.handle)
        self.calm = False  # no moods: for the end, where everything is to drain

    async def handle(self, request):
        turn = request.json()
        agent = request.path.strip("/")
        number, attempt = turn["turn_id"], turn["attempt"]
        mood, delay = self.mood(agent, request.headers["idempotency-key"], attempt)
        text = self.text(agent, number, attempt, turn["text"])
        await self.journal.append({
            "agent": agent, "account": turn["account"], "chat": turn["chat"], "turn": number,
            "attempt": attempt, "key": request.headers["idempotency-key"],
            "events": [message["event"] for message in turn["messages"]],
            "messages": [message["id"] for message in turn["messages"]],
            "texts": digest([message["text"] for message in turn["messages"]]),
            "history": digest(turn["history"]),
            "said": [journal.seq_of(line["text"]) for line in turn["history"]
                     if line["role"] == "user"],
            "mood": mood, "answer": text})
        if delay > 0:
            await asyncio.sleep(delay)
        if mood == "silent":
            return None
        if mood == "busy":
            return 503, {}, {"error": "busy"}
        if mood == "unable":
            return 400, {}, {"error": "unable"}
        return 200, {}, {"text": text}

    def mood(self, agent, key, attempt):
        """What it does with this call, and after how many seconds."""
        if self.calm or attempt > 3:
            return "well", 0
        at = journal.dice(self.seed, "agent", key, attempt)
        how = journal.dice(self.seed, "delay", key, attempt)
        slow = 0.005 + 0.035 * how
        if at < 0.15:
            return "well", slow
        if at < 0.20:
            return "well", 0.05 + 0.4 * how
        if at < 0.24:
            return "busy", 0
        if at < 0.25:
            return "unable", slow
        if at < (0.28 if agent == "steady" else 0.255):
            return "silent", slow
        return "well", 0

    def text(self, agent, turn, attempt, asked):
        words = f"{agent} {turn} {attempt} heard {len(asked)} bytes"
        if journal.dice(self.seed, "long", turn) < 0.1:  # several parts, where parts are short
            words += "".join(f" {turn}w{n}" for n in range(60))
        return f"{words} {END}"


class Receiver:
    """The callback URL. `taken(account, chat, event, whole)` is told of each part that it keeps."""

    def __init__(self, seed, path, taken):
        self.seed = seed
        self.journal = journal.Journal(path)
        self.server = wire.Server(self.handle)
        self.taken = taken
        self.calm = False
        self.calls = 0

    async def handle(self, request):
        part = request.json()
        self.calls += 1
        mood, delay = self.mood(self.calls)
        await self.journal.append({
            "account": part["account"], "chat": part["chat"], "event": part["in_reply_to"],
            "turn": part["turn"], "kind": part["kind"], "n": part["n"], "text": part["text"],
            "key": request.headers["idempotency-key"], "key_in_body": part["idempotency_key"],
            "labelled": part["possible_duplicate"],
            "label_header": request.headers.get("x-sluice-possible-duplicate", ""), "mood": mood})
        if mood != "busy":
            whole = part["kind"] == "notice" or part["text"].endswith(END)
            self.taken(part["account"], part["chat"], part["in_reply_to"], whole)
        if delay > 0:
            await asyncio.sleep(delay)
        if mood == "silent":
            return None
        if mood == "busy":
            return 503, {}, None
        return 200, {}, {"id": f"got-{self.calls}"}

    def mood(self, call):
        if self.calm:
            return "well", 0
        at = journal.dice(self.seed, "receiver", call)
        how = journal.dice(self.seed, "delay", call)
        if at < 0.02:
            return "silent", 0.01 * how
        if at < 0.04:
            return "busy", 0
        if at < 0.14:
            return "well", 0.005 + 0.045 * how
        if at < 0.17:
            return "well", 0.05 + 0.25 * how
        return "well", 0
