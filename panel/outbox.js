// What this browser has sent and the log does not show yet. Kept in localStorage until then, so that a
// reload or a crash of the browser loses nothing; the id makes sending again harmless.
import { post, life, randomId } from "./api.js";

const PREFIX = "sluice.outbox.";
const MOST = 100; // messages that wait, a conversation
const LONGEST_WAIT = 30_000;

/** States: sending, unsure, queued, running, retrying, asking, refused, or how it ended. */
export class Outbox {
  /** changed(): redraw. known(message): what the log and the phases say, which may be ahead of a POST's answer. */
  constructor(chat, changed, known) {
    Object.assign(this, { chat, changed, known });
    this.timers = new Map();
    this.load();
    // Another tab of this browser sends too, or has seen one of ours answered.
    this.onStorage = (event) => {
      if (event.key !== PREFIX + chat) return;
      this.load();
      this.changed();
    };
    addEventListener("storage", this.onStorage);
    for (const entry of this.entries) if (!entry.message && entry.state !== "refused") this.send(entry.id);
  }

  close() {
    removeEventListener("storage", this.onStorage);
    for (const timer of this.timers.values()) clearTimeout(timer);
  }

  load() {
    try {
      this.entries = JSON.parse(localStorage.getItem(PREFIX + this.chat)) ?? [];
    } catch {
      this.entries = [];
    }
  }

  /** Changes the entry, in the store and here; false if it is there no more. */
  update(id, change) {
    this.load(); // what another tab wrote stays
    const at = this.entries.findIndex((entry) => entry.id === id);
    if (at < 0) return false;
    if (change === null) this.entries.splice(at, 1);
    else Object.assign(this.entries[at], change);
    this.save();
    return true;
  }

  save() {
    try {
      if (this.entries.length > 0) localStorage.setItem(PREFIX + this.chat, JSON.stringify(this.entries));
      else localStorage.removeItem(PREFIX + this.chat);
    } catch {
      // Full or forbidden: then it lives as long as this page.
    }
    this.changed();
  }

  add(text, attachments = []) {
    this.load();
    if (this.entries.length >= MOST) throw new Error("too many messages wait for an answer");
    const entry = { id: "page-" + randomId(), text, attachments, at: Date.now(), state: "sending", tries: 0 };
    this.entries.push(entry);
    this.save();
    this.send(entry.id);
  }

  async send(id) {
    const entry = this.entries.find((e) => e.id === id);
    if (!entry) return;
    try {
      const answer = await post(this.chat, id, entry.text, entry.attachments);
      const known = this.known(answer.message);
      if (known === "logged") {
        this.update(id, null);
        return;
      }
      this.update(id, { message: answer.message, state: known ?? "queued" });
      if (answer.duplicate) this.ask(id, answer.message); // it may have been answered before we came back
    } catch (error) {
      if (error.status === 401 || !error.passing) {
        this.update(id, { state: "refused", why: error.message });
        return;
      }
      const tries = (entry.tries ?? 0) + 1;
      if (!this.update(id, { state: "unsure", tries, why: error.status ? error.message : "" })) return;
      const wait = Math.max(error.retryAfter * 1000, Math.min(500 * 2 ** tries, LONGEST_WAIT));
      this.timers.set(id, setTimeout(() => this.send(id), wait * (0.75 + Math.random() / 2)));
    }
  }

  /** Tries at once what waits for a better moment: the connection is back. */
  hurry() {
    for (const entry of this.entries) {
      if (entry.state !== "unsure" || !this.timers.has(entry.id)) continue;
      clearTimeout(this.timers.get(entry.id));
      this.timers.delete(entry.id);
      this.send(entry.id);
    }
  }

  /** Sends again what was refused. */
  again(id) {
    if (this.update(id, { state: "sending", tries: 0 })) this.send(id);
  }

  forget(id) {
    this.update(id, null);
  }

  /** A line that is the message: it is in the log from here on. A notice about it: a question. */
  seen(line) {
    const entry = line.message && this.entries.find((e) => e.message === line.message);
    if (entry) this.update(entry.id, line.kind === "notice" ? { state: "asking" } : null);
  }

  phase({ message, phase }) {
    const entry = this.entries.find((e) => e.message === message);
    if (!entry) return;
    if (phase === "ended") this.ask(entry.id, message);
    else this.update(entry.id, { state: phase });
  }

  /** What became of what the log does not show: some ends have no line (expired, withdrawn). */
  async ask(id, message) {
    try {
      const told = await life(message);
      // With a line it goes when the line comes, or it came before we knew the number.
      if (told.status === "pending") return;
      if (told.line || ["handled", "replaced"].includes(told.status)) this.update(id, null);
      else this.update(id, { state: told.status, why: told.reason });
    } catch {
      // Asked again when the connection comes back.
    }
  }

  askAll() {
    for (const entry of this.entries) if (entry.message) this.ask(entry.id, entry.message);
  }
}
