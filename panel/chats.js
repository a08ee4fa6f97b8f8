// The list of conversations: the gateway's, and what this browser knows before the gateway does. It may be
// long: only the rows in sight exist.
import { conversations } from "./api.js";

const KEY = "sluice.chats";
const ROW = 44; // px, as in style.css
const BEYOND = 10; // rows kept above and below what is seen
const MOST = 20_000;

const titleOf = (text) => text.trim().split("\n")[0].slice(0, 80);

export class Chats {
  /** open(name): show that one. named(): titles may have changed. */
  constructor({ list, frame, find, open, named }) {
    Object.assign(this, { list, frame, find, open, named });
    this.current = null;
    this.load();
    this.shown = this.all;
    frame.addEventListener("scroll", () => this.draw(), { passive: true });
    find.addEventListener("input", () => this.filter());
    new ResizeObserver(() => this.draw()).observe(frame);
    addEventListener("storage", (event) => {
      if (event.key !== KEY) return;
      this.load();
      this.select(this.current);
    });
    document.addEventListener("visibilitychange", () => document.hidden || this.fetch());
    list.addEventListener("click", (event) => {
      const row = event.target.closest("button");
      if (row) open(row.dataset.chat);
    });
    list.addEventListener("keydown", (event) => this.move(event));
  }

  // Each is {name, title, at: when something was said last, hidden: since when}.
  load() {
    try {
      this.all = JSON.parse(localStorage.getItem(KEY)) ?? [];
    } catch {
      this.all = [];
    }
    if (!this.all.some((chat) => chat.name === "main")) this.all.push({ name: "main", title: "Main", at: 0 });
  }

  /** Asks the gateway for all that this person has, page by page. */
  async fetch() {
    if (this.fetching) return;
    this.fetching = true;
    try {
      for (let before = null, seen = 0; seen < MOST; ) {
        const page = await conversations(before);
        this.take(page.conversations);
        seen += page.conversations.length;
        before = page.before;
        if (before === null) break;
      }
    } catch {
      // Asked again when the page is looked at again; who is not signed in is told elsewhere.
    }
    this.fetching = false;
  }

  take(rows) {
    const known = new Map(this.all.map((chat) => [chat.name, chat]));
    for (const { chat: name, title, begun_at, last } of rows) {
      const chat = known.get(name) ?? { name, title: "", at: 0 };
      if (!known.has(name)) this.all.push(chat);
      chat.title ||= titleOf(title) || titleOf(last?.text ?? "");
      chat.at = Math.max(chat.at ?? 0, last?.at ?? begun_at);
      if (chat.hidden < chat.at) delete chat.hidden;
    }
    this.all.sort((a, b) => (b.at ?? 0) - (a.at ?? 0));
    this.all.length = Math.min(this.all.length, MOST);
    this.save();
    this.filter();
    this.named();
  }

  save() {
    try {
      localStorage.setItem(KEY, JSON.stringify(this.all));
    } catch {
      // Full or forbidden: then the list lives as long as this page.
    }
  }

  title(name) {
    return this.all.find((chat) => chat.name === name)?.title || name;
  }

  select(name) {
    this.current = name;
    if (!this.all.some((chat) => chat.name === name)) this.all.unshift({ name, title: "", at: Date.now() });
    this.filter();
    const at = this.shown.findIndex((chat) => chat.name === name);
    const top = at * ROW;
    if (at >= 0 && (top < this.frame.scrollTop || top + ROW > this.frame.scrollTop + this.frame.clientHeight)) {
      this.frame.scrollTop = top;
    }
  }

  /** Something was written in it: it goes to the top, and is named after its first message. */
  touch(name, text) {
    const at = this.all.findIndex((chat) => chat.name === name);
    const [chat] = at < 0 ? [{ name, title: "" }] : this.all.splice(at, 1);
    chat.title ||= titleOf(text);
    chat.at = Date.now();
    delete chat.hidden;
    this.all.unshift(chat);
    this.all.length = Math.min(this.all.length, MOST);
    this.save();
    this.filter();
  }

  /** Until something is said in it. The gateway keeps it. */
  hide(name) {
    const chat = this.all.find((chat) => chat.name === name);
    if (!chat) return;
    chat.hidden = Math.max(Date.now(), chat.at ?? 0); // the gateway's clock may be ahead
    this.save();
    this.filter();
  }

  filter() {
    const words = this.find.value.trim().toLowerCase();
    this.shown = this.all.filter((chat) =>
      (!chat.hidden || chat.name === this.current) &&
      (!words || (chat.title || chat.name).toLowerCase().includes(words)));
    this.draw();
  }

  draw() {
    this.list.style.setProperty("height", `${this.shown.length * ROW}px`);
    const first = Math.max(0, Math.floor(this.frame.scrollTop / ROW) - BEYOND);
    const last = Math.min(
      this.shown.length,
      Math.ceil((this.frame.scrollTop + this.frame.clientHeight) / ROW) + BEYOND,
    );
    const focused = this.list.contains(document.activeElement) ? document.activeElement.dataset.chat : null;
    const rows = [];
    for (let i = first; i < last; ++i) rows.push(this.row(this.shown[i], i));
    this.list.replaceChildren(...rows);
    if (focused !== null) this.button(focused)?.focus({ preventScroll: true });
  }

  row(chat, at) {
    const item = document.createElement("li");
    item.style.top = `${at * ROW}px`;
    item.ariaSetSize = this.shown.length;
    item.ariaPosInSet = at + 1;
    const button = document.createElement("button");
    button.type = "button";
    button.dataset.chat = chat.name;
    button.dataset.at = at;
    button.textContent = chat.title || chat.name;
    if (chat.name === this.current) button.setAttribute("aria-current", "true");
    item.append(button);
    return item;
  }

  button(name) {
    return [...this.list.querySelectorAll("button")].find((b) => b.dataset.chat === name);
  }

  move(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const from = Number(document.activeElement?.dataset.at);
    const to = this.shown[from + step];
    if (!step || !to) return;
    event.preventDefault();
    const top = (from + step) * ROW;
    if (top < this.frame.scrollTop) this.frame.scrollTop = top;
    if (top + ROW > this.frame.scrollTop + this.frame.clientHeight) {
      this.frame.scrollTop = top + ROW - this.frame.clientHeight;
    }
    this.draw();
    this.button(to.name)?.focus({ preventScroll: true });
  }
}
