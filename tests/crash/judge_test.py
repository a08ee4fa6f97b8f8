"""Shows that the judge finds each kind of fault, and none where there is none.

Run by scripts/crash before the first kill: python3 -m unittest -q judge_test
"""

import copy
import unittest

import judge

PULL = {"account": "http", "chat": "p0/main"}
PUSH = {"account": "desk", "chat": "desk-0"}


def call(place, turn, seqs, said=(), attempt=1, agent="steady", mood="well"):
    events = [f"{place['account']}-p0-{seq}" for seq in seqs]
    return {**place, "agent": agent, "turn": turn, "attempt": attempt, "key": f"key-{turn}",
            "events": events, "messages": [turn - 100 for _ in seqs], "texts": "same",
            "history": "same", "said": list(said),
            "mood": mood, "answer": f"answer {turn} {attempt} [end]"}


def told(place, seq, number):
    return {**place, "seq": seq, "event": f"{place['account']}-p0-{seq}", "message": number,
            "duplicate": False}


def line(number, kind, turn, text, message=0):
    return {"id": number, "kind": kind, "message": message, "turn": turn, "n": 0, "at": 1,
            "author": "", "text": text, "cut": False}


def part(seq, turn, n=0, text=None, **more):
    record = {**PUSH, "event": f"desk-p0-{seq}", "turn": turn, "kind": "reply", "n": n,
              "text": text or f"answer {turn} 1 [end]", "key": f"part-{seq}-{n}",
              "key_in_body": f"part-{seq}-{n}", "labelled": False, "label_header": "",
              "mood": "well"}
    return {**record, **more}


def good():
    """Two messages each on a pulled and on a pushed conversation, all answered."""
    log = [line(11, "person", 101, "http-p0-1 says", 1),
           line(12, "agent", 101, "answer 101 1 [end]"),
           line(13, "person", 102, "http-p0-2 says", 2),
           line(14, "agent", 102, "answer 102 1 [end]")]
    return judge.Facts(
        told=[told(PULL, 1, 1), told(PULL, 2, 2), told(PUSH, 1, 3), told(PUSH, 2, 4)],
        calls=[call(PULL, 101, [1]), call(PULL, 102, [2], said=[1]), call(PUSH, 103, [1]),
               call(PUSH, 104, [2], said=[1])],
        parts=[part(1, 103), part(2, 104)],
        seen=[{**PULL, "line": copy.deepcopy(each)} for each in log],
        logs=[{**PULL, "log": log}], lives={}, max_attempts=8)


class JudgeTest(unittest.TestCase):
    def setUp(self):
        self.facts = good()

    def found(self):
        verdict = judge.judge(self.facts)
        return tuple(bool(kind) for kind in
                     (verdict.lost, verdict.duplicated, verdict.reordered, verdict.other))

    def expect(self, *names):
        kinds = ("lost", "duplicated", "reordered", "other")
        self.assertEqual({kind for kind, found in zip(kinds, self.found()) if found}, set(names),
                         list(judge.judge(self.facts).findings()))

    def test_finds_nothing_where_all_was_answered(self):
        self.expect()
        self.assertEqual(judge.judge(self.facts).counts["answered"], 4)

    def test_finds_a_message_that_is_not_in_its_log(self):
        self.facts.told.append(told(PULL, 3, 9))
        self.expect("lost")

    def test_finds_a_message_without_an_answer_in_its_log(self):
        del self.facts.logs[0]["log"][3], self.facts.seen[3]
        self.expect("lost")

    def test_finds_a_line_that_a_reader_saw_and_that_is_gone(self):
        self.facts.seen.append({**PULL, "line": line(15, "notice", 105, "gone")})
        self.expect("lost")

    def test_finds_a_line_that_a_reader_was_never_sent(self):
        del self.facts.seen[3]
        self.expect("lost")

    def test_finds_a_line_that_a_reader_was_sent_twice(self):
        self.facts.seen.insert(1, self.facts.seen[1])
        self.expect("duplicated")

    def test_finds_a_log_that_changed(self):
        self.facts.seen[1]["line"]["text"] = "other words"
        self.expect("other")

    def test_finds_words_that_no_agent_said(self):
        for lines in (self.facts.logs[0]["log"], [record["line"] for record in self.facts.seen]):
            lines[1]["text"] = "answer 101 2 [end]"
        self.expect("other")

    def test_finds_a_reply_that_never_came(self):
        del self.facts.parts[1]
        self.expect("lost")
        self.assertEqual(judge.unexplained(self.facts), [4])

    def test_finds_a_reply_without_its_second_part(self):
        self.facts.calls[2]["answer"] = "answer 103 1 [end] more [end]"
        self.expect("lost")

    def test_takes_a_dead_letter_for_an_outcome(self):
        del self.facts.parts[1]
        self.facts.lives[4] = {"id": 4, "pending": False, "parts": [
            {"outcome": "dead", "reason": "outcome unknown twice: reset"}]}
        self.expect()

    def test_takes_a_notice_for_an_outcome(self):
        self.facts.parts[1].update(kind="notice", n=500000, text="It failed.")
        self.expect()

    def test_finds_a_reply_and_a_failure_of_one_message(self):
        self.facts.parts.append(part(2, 104, 500000, "It failed.", kind="notice"))
        self.expect("duplicated")

    def test_finds_a_part_that_came_again_unlabelled(self):
        self.facts.parts.append(part(2, 104))
        self.expect("duplicated")

    def test_allows_a_part_that_came_again_labelled(self):
        self.facts.parts.append(part(2, 104, labelled=True, label_header="true"))
        self.expect()

    def test_allows_a_part_that_came_again_because_it_had_been_refused(self):
        self.facts.parts.insert(1, part(2, 104, mood="busy"))
        self.expect()

    def test_finds_a_label_that_is_in_one_place_only(self):
        self.facts.parts.append(part(2, 104, labelled=True))
        self.expect("other")

    def test_finds_a_part_under_two_keys(self):
        self.facts.parts.append(part(2, 104, key="new", key_in_body="new"))
        self.expect("duplicated")

    def test_finds_replies_in_another_order(self):
        self.facts.parts.reverse()
        self.expect("reordered")

    def test_finds_an_attempt_that_was_called_twice(self):
        self.facts.calls.append(call(PUSH, 104, [2], said=[1]))
        self.expect("duplicated")

    def test_finds_a_second_turn_for_a_message(self):
        self.facts.calls.append(call(PUSH, 105, [2], said=[1]))
        self.expect("duplicated")

    def test_finds_an_attempt_with_another_history(self):
        self.facts.calls.append({**call(PUSH, 104, [2], said=[1], attempt=2), "history": "other"})
        self.expect("other")

    def test_finds_turns_in_another_order(self):
        self.facts.calls[2], self.facts.calls[3] = self.facts.calls[3], self.facts.calls[2]
        self.expect("reordered")

    def test_finds_a_history_with_a_gap(self):
        self.facts.calls.append(call(PUSH, 105, [5], said=[1, 2, 4]))
        self.expect("reordered")

    def test_finds_one_number_told_to_two_messages(self):
        self.facts.told.append(told(PUSH, 2, 3))
        self.assertTrue(judge.judge(self.facts).lost)

    def test_finds_an_agent_that_was_called_again_unasked(self):
        self.facts.calls[2] = call(PUSH, 103, [1], agent="careful")
        self.facts.calls.insert(3, call(PUSH, 103, [1], agent="careful", attempt=2))
        self.expect("duplicated")

    def test_allows_an_agent_to_be_called_again_when_the_person_asked_for_it(self):
        self.facts.calls[2] = call(PUSH, 103, [1], agent="careful")
        self.facts.calls.insert(3, call(PUSH, 103, [1], agent="careful", attempt=2))
        self.facts.seen.append({**PUSH, "retry": 7})
        self.expect()

    def test_finds_too_many_attempts(self):
        self.facts.calls.append(call(PUSH, 104, [2], said=[1], attempt=9))
        self.expect("other")


if __name__ == "__main__":
    unittest.main()
