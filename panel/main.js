// The chat page: one conversation at a time, chosen by the address's fragment (#chat=NAME).
import * as api from "/api.js";
import { Attachments } from "/attach.js";
import { Chats } from "/chats.js";
import { Conversation } from "/conversation.js";
import { Outbox } from "/outbox.js";
import { Socket } from "/socket.js";
import { lifeText, lineView, make, pendingView, PreviewView } from "/view.js";

const MOST_LINES = 600; // in the page; older ones are fetched again when asked for
const NEAR_END = 80; // px
const RECENT = 100; // lines that a first connection is given, if there are as many

const at = (id) => document.getElementById(id);
const log = at("log");
const frame = at("log-window");

/** The conversation that is shown, and everything that belongs to it. */
class Room {
  constructor(chat) {
    this.chat = chat;
    this.conversation = new Conversation();
    this.preview = null;
    log.replaceChildren();
    at("earlier").hidden = true;
    const known = (message) => this.conversation.stateOf(message);
    this.outbox = new Outbox(chat, () => this.drawPending(), known);
    this.socket = new Socket({
      url: () => api.socketUrl(chat, this.conversation.last),
      told: (events) => this.told(events),
      state: (state) => this.connection(state),
      failed: () => this.failed(),
    });
    this.drawPending();
  }

  close() {
    this.socket.close();
    this.outbox.close();
  }

  connection(state) {
    at("connection").textContent = state === "open" ? "" : state === "down" ? "Connection lost: trying again" : "";
    if (state === "open") this.outbox.hurry();
    else this.conversation.disconnected();
  }

  /** The socket could not be opened; browsers do not say why, but a request tells. */
  async failed() {
    try {
      await api.probe(this.chat);
    } catch (error) {
      if (error.status === 401 || error.status === 403) signedOut();
      else if (error.status === 429) alertWith("Too many pages are open for you: close some.");
    }
  }

  told(events) {
    const stuck = isAtEnd();
    const was = this.conversation.live;
    for (const event of events) {
      const change = this.conversation.take(event);
      if (change.rewind) log.replaceChildren();
      if (change.line) this.addLine(change.line, was);
      if (change.preview) this.drawPreview(change.preview.from);
      if (change.phase) this.outbox.phase(change.phase);
      if (change.phase || change.live) this.drawPending();
      if (change.live) {
        this.outbox.askAll();
        if (!this.began && this.conversation.lines.length >= RECENT) at("earlier").hidden = false;
        this.began = true;
      }
    }
    this.trim();
    if (stuck) toEnd();
    else at("to-end").hidden = isAtEnd();
  }

  addLine(line, isNews) {
    log.append(this.lineView(line));
    if (line.kind === "person") log.querySelector(`[data-asks="${line.turn}"] .actions`)?.remove();
    this.outbox.seen(line);
    if (isNews && line.kind !== "person" && line.kind !== "command") announce(line.text);
    at("empty").hidden = true;
  }

  lineView(line) {
    const asked = this.questionOf(line);
    const asks = this.conversation.isQuestion(line);
    return lineView(line, {
      retry: asks && (() => this.send("/retry")),
      drop: asks && (() => this.send("/drop")),
      askAgain: asked && (() => this.send(asked.text, asked.meta?.attachments)),
      details: (message, note, press) => this.details(message, note, press),
    });
  }

  /** What the person said that this line answers. */
  questionOf(line) {
    return this.conversation.lines.findLast((l) => l.kind === "person" && l.turn === line.turn);
  }

  async details(message, note, press) {
    press.disabled = true;
    try {
      note.append(make("div", "", lifeText(await api.life(message))));
      press.remove();
    } catch (error) {
      press.disabled = false;
      alertWith(error.message);
    }
  }

  async showEarlier() {
    const first = this.conversation.lines[0];
    if (!first) return;
    try {
      const page = await api.earlier(this.chat, first.id);
      const older = this.conversation.prepend(page.lines);
      const before = frame.scrollHeight - frame.scrollTop;
      log.prepend(...older.map((line) => this.lineView(line)));
      frame.scrollTop = frame.scrollHeight - before;
      at("earlier").hidden = page.before === null;
    } catch (error) {
      if (error.status === 404) at("earlier").hidden = true;
      else alertWith(error.message);
    }
  }

  /** The page stays quick however long it is open: what is far above goes, and can be fetched again. */
  trim() {
    const over = log.childElementCount - MOST_LINES;
    if (over <= 0 || !isAtEnd()) return;
    for (let i = 0; i < over; ++i) log.firstElementChild.remove();
    this.conversation.lines.splice(0, over);
    at("earlier").hidden = false;
  }

  drawPreview(from) {
    const preview = this.conversation.preview;
    if (preview === null || preview.blocks.length === 0) {
      this.preview = null;
    } else {
      if (this.preview === null) from = 0;
      this.preview ??= new PreviewView();
      this.preview.show(preview, from);
    }
    this.placePreview();
    this.drawStop();
  }

  /** The message that is being answered: the one whose turn runs, else the first that waits. */
  runningEntry() {
    const waits = this.outbox.entries.filter((e) => ["queued", "running", "retrying", "waiting"].includes(e.state));
    const turn = this.conversation.preview?.turn;
    return waits.find((e) => turn && this.conversation.phases.get(e.message)?.turn === turn) ??
      waits.find((e) => e.state === "running") ?? (this.conversation.preview ? waits[0] : undefined);
  }

  placePreview() {
    const pending = at("pending");
    const running = this.runningEntry();
    const after = running && pending.querySelector(`[data-entry="${running.id}"]`);
    pending.querySelectorAll(":scope > .agent").forEach((item) => {
      if (item !== this.preview?.item) item.remove();
    });
    if (this.preview === null) return;
    if (after) after.after(this.preview.item);
    else pending.prepend(this.preview.item);
  }

  drawPending() {
    if (!this.outbox) return; // while it is being made
    const stuck = isAtEnd();
    const running = this.runningEntry();
    const items = this.outbox.entries.map((entry) =>
      pendingView(entry === running && entry.state === "queued" ? { ...entry, state: "running" } : entry, {
        again: (e) => this.outbox.again(e.id),
        forget: (e) => this.outbox.forget(e.id),
        askAgain: (e) => {
          this.outbox.forget(e.id);
          this.send(e.text, e.attachments);
        },
      }),
    );
    at("pending").replaceChildren(...items);
    this.placePreview();
    this.drawStop();
    at("empty").hidden = log.childElementCount + items.length > 0 || this.preview !== null;
    if (stuck) toEnd();
  }

  drawStop() {
    at("stop").hidden = this.conversation.preview === null && this.runningEntry() === undefined;
  }

  send(text, attachments) {
    try {
      this.outbox.add(text, attachments);
      chats.touch(this.chat, text);
      showTitle();
      toEnd();
      return true;
    } catch (error) {
      alertWith(error.message);
      return false;
    }
  }

  async stop() {
    at("stop").disabled = true;
    try {
      await api.stop(this.chat);
    } catch (error) {
      alertWith(error.message);
    }
    at("stop").disabled = false;
  }
}

function isAtEnd() {
  return frame.scrollHeight - frame.scrollTop - frame.clientHeight < NEAR_END;
}

function toEnd() {
  frame.scrollTop = frame.scrollHeight;
  at("to-end").hidden = true;
}

function announce(text) {
  const news = at("news");
  news.append(make("p", "", text));
  while (news.childElementCount > 5) news.firstElementChild.remove();
}

let alertTimer;
function alertWith(text) {
  at("alert").textContent = text;
  at("alert").hidden = false;
  clearTimeout(alertTimer);
  alertTimer = setTimeout(() => (at("alert").hidden = true), 10_000);
}

function signedOut() {
  clearTimeout(alertTimer);
  at("alert").hidden = false;
  at("alert").textContent =
    "You are not signed in. Open the sign-in link that `sluice run` prints; what you wrote is kept here.";
}

let room = null;
const chats = new Chats({
  list: at("chat-list"),
  frame: at("chat-window"),
  find: at("find-chat"),
  open: (chat) => {
    location.hash = new URLSearchParams({ chat });
    showChats(false);
    at("write").focus();
  },
  named: showTitle,
});

function show() {
  const chat = new URLSearchParams(location.hash.slice(1)).get("chat") || "main";
  if (room?.chat === chat) return;
  room?.close();
  room = null;
  chats.select(chat);
  room = new Room(chat);
  showTitle();
}

function showTitle() {
  const title = chats.title(chats.current);
  at("title").textContent = title;
  document.title = `${title} · Sluice`;
}

function showChats(open) {
  at("chats").classList.toggle("open", open);
  at("open-chats").setAttribute("aria-expanded", String(open));
  if (open) at("new-chat").focus();
}

function fit() {
  const area = at("write");
  area.style.height = "auto";
  area.style.height = `${area.scrollHeight + 2}px`;
}

const attached = new Attachments(at("attached"), alertWith);

function submit() {
  const text = at("write").value;
  if (!text.trim() && attached.empty) return;
  if (!attached.ready(submit) || !room.send(text, attached.ids)) return;
  attached.clear();
  at("write").value = "";
  fit();
}

at("write-form").addEventListener("submit", (event) => {
  event.preventDefault();
  submit();
});
at("attach").addEventListener("click", () => at("files").click());
at("files").addEventListener("change", () => {
  attached.add(at("files").files);
  at("files").value = "";
  at("write").focus();
});
at("write").addEventListener("paste", (event) => {
  if (event.clipboardData.files.length === 0) return;
  event.preventDefault();
  attached.add(event.clipboardData.files);
});
for (const name of ["dragover", "drop"]) {
  document.querySelector("main").addEventListener(name, (event) => {
    if (!event.dataTransfer.types.includes("Files")) return;
    event.preventDefault(); // else the browser leaves the page for the file
    if (name === "drop") attached.add(event.dataTransfer.files);
  });
}
at("write").addEventListener("input", fit);
at("write").addEventListener("keydown", (event) => {
  // On a phone Enter is a new line: there is a button beside it.
  const sends = event.key === "Enter" && !event.shiftKey && !event.isComposing && matchMedia("(pointer: fine)").matches;
  if (!sends) return;
  event.preventDefault();
  at("write-form").requestSubmit();
});
at("stop").addEventListener("click", () => room.stop());
at("to-end").addEventListener("click", toEnd);
at("earlier").addEventListener("click", () => room.showEarlier());
frame.addEventListener("scroll", () => (at("to-end").hidden = isAtEnd()), { passive: true });

at("open-chats").addEventListener("click", () => showChats(!at("chats").classList.contains("open")));
at("chats").addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  showChats(false);
  at("open-chats").focus();
});
at("new-chat").addEventListener("click", () => chats.open(`chat-${api.randomId(6)}`));
at("hide-chat").addEventListener("click", () => {
  chats.hide(room.chat);
  location.hash = "";
});
at("sign-out").addEventListener("click", async () => {
  await api.signOut().catch(() => {});
  for (const key of Object.keys(localStorage)) if (key.startsWith("sluice.")) localStorage.removeItem(key);
  location.reload();
});

const THEMES = ["system", "light", "dark"];
function theme(name) {
  document.documentElement.dataset.theme = name;
  at("theme").ariaLabel = `Theme: ${name}`;
  at("theme").title = `Theme: ${name}`;
}
at("theme").addEventListener("click", () => {
  const next = THEMES[(THEMES.indexOf(document.documentElement.dataset.theme) + 1) % THEMES.length];
  localStorage.setItem("sluice.theme", next);
  theme(next);
});
theme(THEMES.includes(localStorage.getItem("sluice.theme")) ? localStorage.getItem("sluice.theme") : "system");

addEventListener("hashchange", show);
show();
chats.fetch();
at("write").focus();
