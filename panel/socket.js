// Following a conversation: a WebSocket that comes back by itself, behind the last line that was seen.

const SILENCE = 40_000; // the gateway beats every 15 s
const SHORTEST = 300;
const LONGEST = 10_000;

export class Socket {
  /**
   * url(): where to connect to now; it names the last line seen. told(events): what came.
   * state("open" | "waiting" | "down"): for people. failed(): it could not be opened; may find out why.
   */
  constructor({ url, told, state, failed }) {
    Object.assign(this, { url, told, state, failed });
    this.wait = SHORTEST;
    this.closed = false;
    this.hurry = () => {
      if (!document.hidden && !this.socket) this.connect();
    };
    addEventListener("online", this.hurry);
    document.addEventListener("visibilitychange", this.hurry);
    this.connect();
  }

  close() {
    this.closed = true;
    removeEventListener("online", this.hurry);
    document.removeEventListener("visibilitychange", this.hurry);
    clearTimeout(this.again);
    this.drop();
  }

  connect() {
    clearTimeout(this.again);
    if (this.closed || this.socket) return;
    this.state("waiting");
    const socket = new WebSocket(this.url());
    this.socket = socket;
    let opened = false;
    this.listen();
    socket.onopen = () => {
      opened = true;
      this.state("open");
    };
    socket.onmessage = (frame) => {
      if (this.socket !== socket) return;
      this.listen();
      this.wait = SHORTEST;
      this.told(JSON.parse(frame.data));
    };
    socket.onclose = (event) => {
      if (this.socket !== socket) return;
      this.drop();
      if (!opened) this.failed();
      this.later(hint(event.reason));
    };
  }

  /** Something was heard; silence from here on means that the connection is dead, whatever TCP thinks. */
  listen() {
    clearTimeout(this.silence);
    this.silence = setTimeout(() => {
      this.drop();
      this.later();
    }, SILENCE);
  }

  drop() {
    clearTimeout(this.silence);
    const socket = this.socket;
    this.socket = null;
    socket?.close();
  }

  later(asked) {
    if (this.closed) return;
    this.state("down");
    if (asked !== null && asked !== undefined) {
      // The gateway has spread us over the time after its stop.
      this.again = setTimeout(() => this.connect(), Math.min(asked, LONGEST));
      return;
    }
    // Many pages come back after a restart: not all at once.
    this.again = setTimeout(() => this.connect(), this.wait * (0.5 + Math.random() / 2));
    this.wait = Math.min(this.wait * 2, LONGEST);
  }
}

/** When to come back, in milliseconds, if the gateway said so in its goodbye. */
function hint(reason) {
  try {
    const asked = JSON.parse(reason).retry_ms;
    return Number.isFinite(asked) && asked >= 0 ? asked : null;
  } catch {
    return null;
  }
}
