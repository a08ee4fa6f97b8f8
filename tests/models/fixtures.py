"""What the mock answers. A scenario is chosen by a word of the last message; those that fail first and
answer then have one entry for each API, since the mock counts how often an entry was asked for."""

GREETING = "Hello from the mock: ä, ß and 😀."
STORY = "Once upon a time there was a gateway that never lost a message. " * 20
LINE = "All work and no play makes a model a dull box. "
ENDLESS = LINE * 100_000  # 4.7 MB: more than anybody waits for
USAGE = {"prompt_tokens": 21, "completion_tokens": 9, "total_tokens": 30}
CALL = {"name": "get_weather", "arguments": {"city": "Ulm"}}
KEY = "sk-right"


def error(status, kind):
    return {"error": {"message": "no", "type": kind}, "status": status}


def fixtures():
    entries = [
        ("who are you", {"content": "The shop's assistant."}, {}, {"systemMessage": "bicycle"}),
        ("and again", {"content": "Again, after your answer."}, {}, {"turnIndex": 1}),
        ("greet", {"content": GREETING, "usage": USAGE}, {}, {}),
        # With pauses, or what was written before the cut would not leave at all.
        ("broken", {"content": STORY}, {"truncateAfterChunks": 8, "latency": 20}, {}),
        ("stalled", {"content": STORY},
         {"recordedTimings": {"ttftMs": 0, "interChunkDelaysMs": [30, 30, 30, 30, 600_000],
                              "totalDurationMs": 600_000}}, {}),
        ("silent", {"content": STORY}, {"streamingProfile": {"ttft": 600_000}}, {}),
        ("endless", {"content": ENDLESS}, {"chunkSize": 2000}, {}),
        ("tool", {"content": "Let me look. ", "toolCalls": [CALL]}, {}, {}),
        ("cut short", {"content": "As I was saying", "finishReason": "length"}, {}, {}),
        ("think", {"content": "Four.", "reasoning": "Two and two. " * 20}, {}, {}),
        ("refused", error(400, "invalid_request_error"), {}, {}),
        ("malformed", {"content": GREETING}, {"chaos": {"malformedRate": 1}}, {}),
    ]
    for api in ("openai", "anthropic"):
        limit = {**error(429, "rate_limit_error"), "retryAfter": 1}
        full = error(529, "overloaded_error")
        for word, first in (("limited", limit), ("overloaded", full)):
            text = "%s %s" % (word, api)
            entries.append((text, first, {}, {"sequenceIndex": 0}))
            entries.append((text, {"content": GREETING}, {}, {"sequenceIndex": 1}))
    return {"fixtures": [{"match": {"userMessage": word, **more}, "response": response, **options}
                         for word, response, options, more in entries]}
