// The list of conversations of this browser. It may be long: only the rows in sight exist.
const KEY = "sluice.chats";
const ROW = 44; // px, as in style.css
const BEYOND = 10; // rows kept above and below what is seen
const MOST = 20_000;

export class Chats {
  constructor({ list, frame, find, open }) {
    Object.assign(this, { list, frame, find, open });
    this.current = null;
    this.load();
    this.shown = this.all;
    frame.addEventListener("scroll", () => this.draw(), { passive: true });
    find.addEventListener("input", () => this.filter());
    new ResizeObserver(() => this.draw()).observe(frame);
    addEventListener("storage", (event) => {
      if (event.key !== KEY) return;
      this.load();
      this.filter();
    });
    list.addEventListener("click", (event) => {
      const row = event.target.closest("button");
      if (row) open(row.dataset.chat);
    });
    list.addEventListener("keydown", (event) => this.move(event));
  }

  load() {
    try {
      this.all = JSON.parse(localStorage.getItem(KEY)) ?? [];
    } catch {
      this.all = [];
    }
    if (!this.all.some((chat) => chat.name === "main")) this.all.push({ name: "main", title: "Main" });
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
    if (!this.all.some((chat) => chat.name === name)) this.all.unshift({ name, title: "" });
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
    chat.title ||= text.trim().split("\n")[0].slice(0, 80);
    this.all.unshift(chat);
    this.all.length = Math.min(this.all.length, MOST);
    this.save();
    this.filter();
  }

  forget(name) {
    this.all = this.all.filter((chat) => chat.name !== name);
    this.save();
    this.load();
    this.filter();
  }

  filter() {
    const words = this.find.value.trim().toLowerCase();
    this.shown = words
      ? this.all.filter((chat) => (chat.title || chat.name).toLowerCase().includes(words))
      : this.all;
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
