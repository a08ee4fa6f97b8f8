// What is known of one conversation: the lines of its log, and the answer in the making. Events go in,
// whoever shows it is told what changed. No DOM, no network: `node --test` runs it as it is.

export class Conversation {
  constructor() {
    this.lines = []; // ascending ids, each once
    this.last = null; // the last line seen; null: none
    this.stale = false; // the preview is of an earlier connection
    this.live = false; // everything up to the log's end has come since the connection began
    this.preview = null; // {turn, attempt, blocks}: the answer in the making
    this.phases = new Map(); // message -> {turn, phase, attempt}
  }

  /**
   * Takes one event. Returns what changed: {line}, {rewind}, {preview: {from}}, {phase}, {live} or nothing.
   * A preview change says from which block on.
   */
  take({ event, data }) {
    switch (event) {
      case "message":
        return this.takeLine(data);
      case "html":
        return this.takeHtml(data);
      case "reset":
        this.preview = { turn: data.turn, attempt: data.attempt, blocks: [] };
        return { preview: { from: 0 } };
      case "phase":
        return this.takePhase(data);
      case "rewind": // the store was restored from a backup: what we have is of another past
        this.lines = [];
        this.last = null;
        this.preview = null;
        this.phases.clear();
        return { rewind: true };
      case "live": {
        this.live = true;
        // Of an answer that still runs all comes again behind this; one that does not is over.
        const over = this.stale && this.preview !== null;
        if (over) this.preview = null;
        this.stale = false;
        return { live: true, preview: over ? { from: 0 } : undefined };
      }
      default: // a newer gateway tells more
        return {};
    }
  }

  takeLine(line) {
    if (this.last !== null && line.id <= this.last) return {}; // never, but a repetition must not show
    this.lines.push(line);
    this.last = line.id;
    if (line.message) this.phases.delete(line.message);
    const ended = this.preview !== null && this.preview.turn === line.turn;
    if (ended) this.preview = null;
    return { line, preview: ended ? { from: 0 } : undefined };
  }

  takeHtml({ turn, attempt, from, blocks }) {
    const shown = this.preview;
    if (shown === null || shown.turn !== turn || shown.attempt !== attempt) {
      // Text of two attempts is never joined: an attempt that we did not see begin is told from 0.
      if (from !== 0) return {};
      this.preview = { turn, attempt, blocks: [] };
    }
    const list = this.preview.blocks;
    if (from > list.length) return {};
    list.length = from;
    list.push(...blocks);
    return { preview: { from } };
  }

  takePhase({ turn, message, phase }) {
    if (phase === "ended") this.phases.delete(message);
    else this.phases.set(message, { turn, phase });
    return { phase: { turn, message, phase } };
  }

  /** Lines of history, older than all that we have. */
  prepend(lines) {
    const first = this.lines.length > 0 ? this.lines[0].id : Infinity;
    const older = lines.filter((line) => line.id < first);
    this.lines.unshift(...older);
    return older;
  }

  /** The connection broke: what is not durable may be over when it comes back. */
  disconnected() {
    this.live = false;
    this.stale = true;
  }

  /** "logged", a phase, or nothing that we know of. */
  stateOf(message) {
    const isIt = (line) => line.message === message && line.kind !== "notice";
    return this.lines.some(isIt) ? "logged" : this.phases.get(message)?.phase;
  }

  /** A question whether to run an interrupted request again, which nobody has answered yet. */
  isQuestion(line) {
    const mine = (other) => other.kind === "person" && other.turn === line.turn;
    return line.kind === "notice" && line.message !== 0 && !this.lines.some(mine);
  }
}
