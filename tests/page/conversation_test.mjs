// What the page keeps of a conversation, without a browser: node tests/page/conversation_test.mjs
import assert from "node:assert/strict";
import { test } from "node:test";
import { Conversation } from "../../panel/conversation.js";

const line = (id, turn = 0, kind = "agent") => ({
  event: "message", data: { id, kind, turn, message: 0, text: `line ${id}` } });
const html = (turn, attempt, from, ...blocks) => ({ event: "html", data: { turn, attempt, from, blocks } });
const reset = (turn, attempt) => ({ event: "reset", data: { turn, attempt } });
const live = { event: "live", data: { head: 0 } };

function taken(...events) {
  const conversation = new Conversation();
  for (const event of events) conversation.take(event);
  return conversation;
}

test("a line that comes again is not shown again", () => {
  const c = taken(line(4), line(6), line(6), line(4));
  assert.deepEqual(c.lines.map((l) => l.id), [4, 6]);
  assert.equal(c.last, 6);
});

test("blocks replace the end of what is there", () => {
  const c = taken(html(5, 1, 0, "a", "b"), html(5, 1, 1, "b2", "c"));
  assert.deepEqual(c.preview.blocks, ["a", "b2", "c"]);
});

test("the line of a turn takes the place of its preview", () => {
  const c = taken(html(5, 1, 0, "a"), line(9, 5));
  assert.equal(c.preview, null);
});

test("text of two attempts is never joined", () => {
  const c = taken(html(5, 1, 0, "first", "more"), reset(5, 2), html(5, 2, 0, "second"));
  assert.deepEqual(c.preview, { turn: 5, attempt: 2, blocks: ["second"] });
  c.take(html(5, 1, 1, "late"));
  assert.deepEqual(c.preview.blocks, ["second"]);
});

test("an attempt that was not seen to begin is not shown from its middle", () => {
  assert.equal(taken(html(5, 1, 3, "d")).preview, null);
});

test("an answer that did not go on while the connection was away is over", () => {
  const c = taken(live, html(5, 1, 0, "a"));
  c.disconnected();
  assert.notEqual(c.preview, null, "it stays on the screen until more is known");
  c.take(live);
  assert.equal(c.preview, null);
});

test("an answer that goes on comes whole", () => {
  const c = taken(live, html(5, 1, 0, "a", "b"));
  c.disconnected();
  for (const event of [live, reset(5, 1), html(5, 1, 0, "a", "b", "c")]) c.take(event);
  assert.deepEqual(c.preview.blocks, ["a", "b", "c"]);
});

test("a live that comes while connected, after a lag, ends nothing", () => {
  const c = taken(live, html(5, 1, 0, "a"), live);
  assert.deepEqual(c.preview.blocks, ["a"]);
});

test("a store that was restored is shown afresh", () => {
  const c = taken(line(4), line(6), { event: "rewind", data: { head: 2 } }, line(2));
  assert.deepEqual(c.lines.map((l) => l.id), [2]);
});

test("older lines are put before, each once", () => {
  const c = taken(line(10), line(12));
  assert.deepEqual(c.prepend([{ id: 6 }, { id: 8 }, { id: 10 }]).map((l) => l.id), [6, 8]);
  assert.deepEqual(c.lines.map((l) => l.id), [6, 8, 10, 12]);
});

test("events of a newer gateway are let be", () => {
  assert.deepEqual(taken().take({ event: "something", data: {} }), {});
});
