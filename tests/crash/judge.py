"""The verdict: what clients were told against what agents, readers and receivers saw.

Pure functions over the journals' records, so that judge_test.py can show that each kind of fault is
found. `judge.py FOLDER` judges a kept run again.

    told       clients.jsonl   {account, chat, seq, event, message, duplicate}: acknowledged
    calls      agents.jsonl    {agent, account, chat, turn, attempt, key, events, messages, …}
    parts      receiver.jsonl  {account, chat, event, turn, kind, n, text, key, labelled, mood, …}
    seen       lines.jsonl     {account, chat, line}: what readers were sent, in order
    logs       final.jsonl     {account, chat, log: [line, …]}: the whole log at the end
    lives      final.jsonl     {life: {…}}: the operator's view of messages without a visible reply
"""

import collections
import os
import sys

import journal
from journal import seq_of

KEYED = ("keyed",)  # accounts whose receiver promised to know a repeated key
COLLECTING = ("gather",)
SHOWN = 40  # findings of a kind that are printed


class Verdict:
    def __init__(self):
        self.lost = []
        self.duplicated = []
        self.reordered = []
        self.other = []
        self.hints = []  # about findings; none by itself
        self.counts = collections.Counter()

    def findings(self):
        for name in ("lost", "duplicated", "reordered", "other", "hints"):
            found = getattr(self, name)
            for text in found[:SHOWN]:
                yield f"{name}: {text}"
            if len(found) > SHOWN:
                yield f"{name}: and {len(found) - SHOWN} more"

    def clean(self):
        return not (self.lost or self.duplicated or self.reordered or self.other)


class Facts:
    def __init__(self, told, calls, parts, seen, logs, lives, max_attempts):
        self.told = told
        self.calls = calls
        self.parts = parts
        self.seen = seen
        self.logs = logs
        self.lives = lives
        self.max_attempts = max_attempts


def load(folder, max_attempts):
    def records(name):
        return journal.read(os.path.join(folder, name))

    final = records("final.jsonl")
    return Facts(told=records("clients.jsonl"), calls=records("agents.jsonl"),
                 parts=records("receiver.jsonl"), seen=records("lines.jsonl"),
                 logs=[record for record in final if "log" in record],
                 lives={record["life"]["id"]: record["life"] for record in final
                        if "life" in record},
                 max_attempts=max_attempts)


def judge(facts):
    verdict = Verdict()
    judge_acknowledgements(facts, verdict)
    judge_calls(facts, verdict)
    judge_repetitions(facts, verdict)
    judge_order_of_calls(facts, verdict)
    judge_logs(facts, verdict)
    judge_readers(facts, verdict)
    judge_parts(facts, verdict)
    judge_pushed(facts, verdict)
    return verdict


def by_chat(records):
    groups = collections.defaultdict(list)
    for record in records:
        groups[record["account"], record["chat"]].append(record)
    return groups


class Questions:
    """Turns that a crash interrupted and that the person was asked about. They run again when the
    person says so, and what was sent meanwhile does not wait for that: they have no place in the
    order."""

    def __init__(self, facts):
        self.turns = set()
        self.seqs = collections.defaultdict(set)
        number = {t["message"]: t["seq"] for t in facts.told}
        for record in facts.seen:
            if "line" in record and is_question(record["line"]):
                chat = (record["account"], record["chat"])
                self.turns.add((*chat, record["line"]["turn"]))
                self.seqs[chat].add(number.get(record["line"]["message"]))


def is_question(line):
    return line["kind"] == "notice" and "/retry" in line["text"]


def disagreeing(records, key, value):
    """Keys for which the records disagree about the value."""
    values = collections.defaultdict(set)
    for record in records:
        values[key(record)].add(value(record))
    return {k: v for k, v in values.items() if len(v) > 1}


def judge_acknowledgements(facts, verdict):
    """One event, one message (C3)."""
    for number, count in collections.Counter(t["message"] for t in facts.told).items():
        if count > 1:
            verdict.lost.append(f"message {number} was told to {count} different messages")


def judge_calls(facts, verdict):
    """One turn for a message; each attempt once, each with the same history (C3, C11, C12)."""
    verdict.counts["turns"] = len({c["turn"] for c in facts.calls})
    verdict.counts["calls"] = len(facts.calls)
    attempts = collections.Counter((c["turn"], c["attempt"]) for c in facts.calls)
    for (turn, attempt), count in attempts.items():
        if count > 1:
            verdict.duplicated.append(f"turn {turn} attempt {attempt} called {count} times")
        if attempt > facts.max_attempts:
            verdict.other.append(f"turn {turn} was given attempt {attempt}")
    turns = collections.defaultdict(set)
    for call in facts.calls:
        for event in call["events"]:
            turns[call["account"], call["chat"], event].add(call["turn"])
    for (_, _, event), of_event in turns.items():
        if len(of_event) > 1:
            verdict.duplicated.append(f"{event} was in the turns {sorted(of_event)}")
    for what in ("key", "history", "texts", "chat", "account"):
        differing = disagreeing(facts.calls, lambda c: c["turn"], lambda c: c[what])
        for turn, values in differing.items():
            verdict.other.append(f"attempts of turn {turn} differ in their {what}: {values}")


def judge_repetitions(facts, verdict):
    """An agent that is not to be called twice was called again only where it had said that it had
    not done its work, or the person had asked for it (C13)."""
    asked = collections.Counter((r["account"], r["chat"]) for r in facts.seen if "retry" in r)
    again = collections.Counter()
    turns = collections.defaultdict(list)
    for call in facts.calls:
        if call["agent"] != "steady":
            turns[call["turn"]].append(call)
    for turn, calls in turns.items():
        calls.sort(key=lambda c: c["attempt"])
        for before in calls[:-1]:
            if before["mood"] == "busy":
                continue
            again[before["account"], before["chat"]] += 1
            if before["agent"] == "frail":
                verdict.duplicated.append(f"turn {turn} of an agent that was to fail was repeated")
    for chat, count in again.items():
        verdict.counts["repeated on request"] += count
        if count > asked[chat] and chat[0] != "frail":
            verdict.duplicated.append(f"{chat}: {count} turns repeated, {asked[chat]} asked for")


def judge_order_of_calls(facts, verdict):
    """A conversation's turns begin in the order of its messages, and know what was before (C5)."""
    questions = Questions(facts)
    for chat, calls in by_chat(facts.calls).items():
        aside = questions.seqs[chat]
        newest = 0
        for call in calls:
            seqs = [seq_of(event) for event in call["events"]]
            if (*chat, call["turn"]) in questions.turns and call["attempt"] > 1:
                continue
            if seqs != sorted(seqs) or (seqs[0] < newest and call["attempt"] == 1):
                verdict.reordered.append(f"{chat}: the agent got {seqs} after {newest}")
            newest = max(newest, seqs[-1])
            said = [seq for seq in call["said"] if seq not in aside]
            want = range(said[0], seqs[0]) if said else []
            if said != [seq for seq in want if seq not in aside]:
                verdict.reordered.append(f"{chat}: turn {call['turn']} for {seqs} had the history "
                                         f"{said}")


def judge_logs(facts, verdict):
    """Each acknowledged message is once in its log, in order, with an answer (C12, C17)."""
    logs = {(r["account"], r["chat"]): r["log"] for r in facts.logs}
    answers = collections.defaultdict(set)
    for call in facts.calls:
        answers[call["turn"]].add(call["answer"])
    told = by_chat(facts.told)
    questions = Questions(facts)
    for chat, log in logs.items():
        judge_log(chat, log, told.get(chat, []), answers, questions, verdict)
    explain_pending(logs, facts, verdict)


def judge_log(chat, log, told, answers, questions, verdict):
    if [line["id"] for line in log] != sorted({line["id"] for line in log}):
        verdict.reordered.append(f"{chat}: the log's ids do not ascend")
    persons = [line for line in log if line["kind"] == "person"]
    order = [seq_of(line["text"]) for line in persons
             if (*chat, line["turn"]) not in questions.turns]
    if order != sorted(order):
        verdict.reordered.append(f"{chat}: the log has the order {out_of_order(order)}")
    numbers = collections.Counter(line["message"] for line in persons)
    words = collections.defaultdict(list)
    for line in log:
        if line["kind"] == "agent" or (line["kind"] == "notice" and not is_question(line)):
            words[line["turn"]].append(line)
    turn_of = {line["message"]: line["turn"] for line in persons}
    for message in told:
        count = numbers[message["message"]]
        if count == 0:
            verdict.lost.append(f"{message['event']} (message {message['message']}) is not in the "
                                f"log of {chat}")
        elif count > 1:
            verdict.duplicated.append(f"{message['event']} is {count} times in the log of {chat}")
        elif turn_of[message["message"]] not in words:
            verdict.lost.append(f"{message['event']} has no answer in the log of {chat}")
    stray = set(numbers) - {message["message"] for message in told}
    if stray:
        verdict.other.append(f"{chat}: the log has messages that nobody was told of: {stray}")
    for turn, lines in words.items():
        if len(lines) > 1:
            verdict.duplicated.append(f"{chat}: turn {turn} ended {len(lines)} times in the log")
        line = lines[0]
        verdict.counts["answered" if line["kind"] == "agent" else "told of a failure"] += 1
        if line["kind"] == "agent" and line["text"] not in answers[turn]:
            verdict.other.append(f"{chat}: turn {turn} has words that no agent said: "
                                 f"{line['text'][:80]!r}")
    judge_answers_follow(chat, log, verdict)


def explain_pending(logs, facts, verdict):
    """Of a message that waits for ever after a question, says that the person had answered it."""
    decided = {record["decided"] for record in facts.seen if "decided" in record}
    for chat, log in logs.items():
        for line in log:
            life = facts.lives.get(line["message"])
            if is_question(line) and life and life["pending"] and line["id"] in decided:
                verdict.hints.append(f"{chat}: message {line['message']} is pending; /retry, the "
                                     f"answer to line {line['id']}, had been acknowledged")


def judge_answers_follow(chat, log, verdict):
    """The answers come in the order of what they answer."""
    asked = []
    for line in log:
        if line["kind"] == "person":
            if not asked or asked[-1] != line["turn"]:
                asked.append(line["turn"])
        elif line["kind"] == "agent" and (not asked or asked[-1] != line["turn"]):
            verdict.reordered.append(f"{chat}: the answer of turn {line['turn']} does not follow "
                                     f"its question")


def out_of_order(order):
    for before, after in zip(order, order[1:]):
        if after < before:
            return f"… {before}, {after} …"
    return "?"


def judge_readers(facts, verdict):
    """Over all crashes a reader was sent exactly the log: each line once, in order, unchanged."""
    seen = by_chat([record for record in facts.seen if "line" in record])
    for log in facts.logs:
        chat = (log["account"], log["chat"])
        lines = [record["line"] for record in seen.get(chat, [])]
        verdict.counts["lines read"] += len(lines)
        ids = [line["id"] for line in lines]
        for number, count in collections.Counter(ids).items():
            if count > 1:
                verdict.duplicated.append(f"{chat}: the reader was sent line {number} {count} "
                                          f"times")
        if ids != sorted(ids):
            verdict.reordered.append(f"{chat}: the reader was sent {out_of_order(ids)}")
        final = {line["id"]: line for line in log["log"]}
        for line in lines:
            if line["id"] not in final:
                verdict.lost.append(f"{chat}: line {line['id']}, which a reader saw, is gone")
            elif line != final[line["id"]]:
                verdict.other.append(f"{chat}: line {line['id']} has changed")
        for number in set(final) - set(ids):
            verdict.lost.append(f"{chat}: the reader was never sent line {number}")


def judge_parts(facts, verdict):
    """A part comes again only labelled, or under the promise of its account, or because the
    receiver had said no; and nothing comes after its successor (C18 to C21)."""
    by_key = collections.defaultdict(list)
    for part in facts.parts:
        by_key[part["key"]].append(part)
        if part["key"] != part["key_in_body"]:
            verdict.other.append(f"part {part['key']} has another key in its body")
        if part["labelled"] != (part["label_header"] == "true"):
            verdict.other.append(f"part {part['key']} is labelled in only one place")
    for key, posts in by_key.items():
        for index, post in enumerate(posts[1:], 1):
            if all(earlier["mood"] == "busy" for earlier in posts[:index]):
                continue
            verdict.counts["labelled repeats" if post["labelled"] else "repeats by key"] += 1
            if not post["labelled"] and post["account"] not in KEYED:
                verdict.duplicated.append(f"part {key} of {post['event']} came again unlabelled")
        if len({(p["event"], p["kind"], p["n"], p["text"]) for p in posts}) > 1:
            verdict.other.append(f"part {key} changed between two posts")
    keys = collections.defaultdict(set)
    for part in facts.parts:
        keys[part["account"], part["chat"], part["event"], part["kind"], part["n"]].add(part["key"])
    for what, of_part in keys.items():
        if len(of_part) > 1:
            verdict.duplicated.append(f"{what} came under {len(of_part)} keys")
    for chat, parts in by_chat([p for p in facts.parts if p["kind"] == "reply"]).items():
        places = [(seq_of(part["event"]), part["n"]) for part in parts]
        if places != sorted(places):
            verdict.reordered.append(f"{chat}: parts came in the order {out_of_order(places)}")


def squeezed(text):
    return "".join(text.split())


class Replies:
    """What came back to the senders of pushed messages."""

    def __init__(self, facts):
        logged = {(r["account"], r["chat"]) for r in facts.logs}
        self.messages = [t for t in facts.told if (t["account"], t["chat"]) not in logged]
        self.answers = collections.defaultdict(set)
        for call in facts.calls:
            for event in call["events"]:
                where = (call["account"], call["chat"], event)
                self.answers[where].add(squeezed(call["answer"]))
        self.parts = collections.defaultdict(list)
        for part in facts.parts:
            if part["mood"] != "busy":
                self.parts[part["account"], part["chat"], part["event"]].append(part)

    def of(self, message):
        """The parts of its reply by number, its notices, and whether the reply is whole."""
        where = (message["account"], message["chat"], message["event"])
        replies = {p["n"]: p for p in self.parts[where] if p["kind"] == "reply"}
        notices = [p for p in self.parts[where] if p["kind"] == "notice"]
        numbers = sorted(replies)
        text = squeezed("".join(replies[n]["text"] for n in numbers))
        whole = numbers == list(range(len(numbers))) and text in self.answers[where]
        return replies, notices, whole


def unexplained(facts):
    """The numbers of messages about which the operator's view has to be asked: neither a whole
    reply came nor only a failure."""
    replies = Replies(facts)
    numbers = []
    for message in replies.messages:
        parts, notices, whole = replies.of(message)
        if (whole and notices) or not (whole or (notices and not parts)):
            numbers.append(message["message"])
    return numbers


def judge_pushed(facts, verdict):
    """Each acknowledged message got its whole reply, or a notice, or is in the dead letters."""
    replies = Replies(facts)
    for message in replies.messages:
        judge_reply(message, *replies.of(message), facts, verdict)


def judge_reply(message, replies, notices, whole, facts, verdict):
    event = message["event"]
    if len({part["turn"] for part in replies.values()}) > 1:
        verdict.duplicated.append(f"{event} was answered by several turns")
    life = facts.lives.get(message["message"])
    died = [part for part in life["parts"] if part["outcome"] == "dead"] if life else []
    for part in died:
        if not part["reason"].startswith("outcome unknown twice"):
            verdict.other.append(f"a part of {event} died: {part['reason']}")
    if whole:
        verdict.counts["answered"] += 1
        if notices and not died:
            verdict.duplicated.append(f"{event} got its reply and a failure")
    elif died and not life["pending"]:
        verdict.counts["in the dead letters"] += 1
    elif notices and not replies:
        verdict.counts["told of a failure"] += 1
    else:
        verdict.lost.append(f"{event} (message {message['message']}): {len(replies)} parts and "
                            f"{len(notices)} notices came; its life is {life}")


def main():
    verdict = judge(load(sys.argv[1], max_attempts=8))
    for finding in verdict.findings():
        print(finding)
    print(dict(verdict.counts))
    sys.exit(0 if verdict.clean() else 1)


if __name__ == "__main__":
    main()
