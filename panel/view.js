// How lines, messages that wait, and the answer in the making look. Only the `html` of agents' words is
// ever HTML, made by the gateway from Markdown (src/text/markdown.h); all else is text.
import { imageUrl } from "/api.js";

const STATES = {
  sending: ["Sending…", "wait"],
  unsure: ["Not confirmed yet: trying again", "wait"],
  queued: ["Queued", "wait"],
  running: ["Being answered", ""],
  retrying: ["That did not work: trying again", "wait"],
  waiting: ["Waiting for an answer from outside", "wait"],
  asking: ["Interrupted by a restart: the question above waits for you", "wait"],
  refused: ["Not accepted", "bad"],
  failed: ["Failed", "bad"],
  dead: ["Failed for good", "bad"],
  expired: ["Expired: too old to be answered", "bad"],
  stopped: ["Stopped", ""],
  withdrawn: ["Withdrawn", ""],
  dropped: ["Given up", ""],
};
const ENDED = new Set(["failed", "dead", "expired", "stopped", "withdrawn", "dropped"]);

export function make(tag, className, text) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  return element;
}

export function button(text, action) {
  const made = make("button", "", text);
  made.type = "button";
  made.addEventListener("click", action);
  return made;
}

function time(at) {
  const date = new Date(at);
  const shown = make("time", "", date.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" }));
  shown.dateTime = date.toISOString();
  shown.title = date.toLocaleString();
  return shown;
}

async function copy(text, from) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Without TLS a page from another machine has no clipboard but this one.
    const area = make("textarea", "unseen");
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  from.textContent = "Copied";
  setTimeout(() => (from.textContent = "Copy"), 1500);
}

/** The gateway's HTML as nodes, with what a page adds to it. */
export function rendered(html) {
  const template = document.createElement("template");
  template.innerHTML = html;
  for (const code of template.content.querySelectorAll("pre > code")) {
    const pre = code.parentElement;
    const text = code.textContent;
    const press = button("Copy", () => copy(text, press));
    press.className = "copy";
    pre.append(press);
    code.tabIndex = 0; // it scrolls sideways
    code.setAttribute("role", "region");
    code.ariaLabel = "Code";
  }
  for (const table of template.content.querySelectorAll("table")) {
    const scroll = make("div", "scroll");
    table.replaceWith(scroll);
    scroll.append(table);
    scroll.tabIndex = 0;
    scroll.setAttribute("role", "region");
    scroll.ariaLabel = "Table";
  }
  for (const box of template.content.querySelectorAll("input")) box.ariaLabel = box.checked ? "done" : "open";
  return template.content;
}

function words(line) {
  const element = make("div", "words");
  if (line.html === undefined) {
    element.classList.add("plain-words");
    element.textContent = line.text;
  } else {
    element.append(rendered(line.html));
  }
  return element;
}

/** What a message carries; nothing if it carries nothing. */
function images(ids) {
  if (!ids?.length) return [];
  const row = make("div", "images");
  ids.forEach((id, i) => {
    const link = make("a");
    link.href = imageUrl(id);
    link.target = "_blank";
    link.rel = "noopener";
    const picture = make("img");
    picture.src = link.href;
    picture.alt = ids.length > 1 ? `Attached image ${i + 1} of ${ids.length}` : "Attached image";
    picture.loading = "lazy";
    picture.addEventListener("error", () => link.replaceWith(make("span", "note", "[image, no longer kept]")));
    link.append(picture);
    row.append(link);
  });
  return [row];
}

const WHO = { agent: "Agent", notice: "Sluice", answer: "Sluice", command: "You", person: "You" };

/**
 * One line of the log. actions.askAgain: only where there is something to ask again; actions.retry and
 * actions.drop: only on a question whether to.
 */
export function lineView(line, actions) {
  const item = make("li", line.kind);
  item.dataset.line = line.id;
  item.append(make("span", "unseen", `${WHO[line.kind] ?? line.kind}:`), ...images(line.meta?.attachments));
  if (line.text || !line.meta?.attachments) item.append(words(line));
  const failed = line.kind === "notice" && Boolean(line.meta?.error);
  if (failed) item.classList.add("failed");
  const note = make("div", "note");
  note.append(time(line.at));
  if (line.cut) note.append(" · stopped before it was finished");
  if (line.meta?.duration_ms !== undefined) note.append(` · ${(line.meta.duration_ms / 1000).toFixed(1)} s`);
  if (failed && actions.askAgain) {
    const bar = make("span", "actions");
    bar.append(button("Ask again", actions.askAgain));
    note.append(bar);
  }
  if (actions.retry) {
    item.dataset.asks = line.turn;
    const bar = make("span", "actions");
    bar.append(button("Retry", actions.retry), button("Give up", actions.drop));
    note.append(bar);
  } else if (line.message) {
    const bar = make("span", "actions");
    const press = button("Details", () => actions.details(line.message, note, press));
    bar.append(press);
    note.append(bar);
  }
  item.append(note);
  return item;
}

/** What the gateway tells about a message's life, in a few words. */
export function lifeText(told) {
  const said = [`Message ${told.message}: ${told.status}`];
  if (told.attempts > 1) said.push(`${told.attempts} attempts`);
  if (told.late) said.push("came late");
  if (told.reason) said.push(told.reason);
  for (const part of told.parts ?? []) {
    said.push(`part ${part.n + 1}: ${part.status}${part.possible_duplicate ? ", possibly duplicated" : ""}` +
      (part.reason ? ` (${part.reason})` : ""));
  }
  return said.join(" · ");
}

/** One message that the log does not show yet. */
export function pendingView(entry, actions) {
  const item = make("li", "person");
  item.dataset.entry = entry.id;
  item.append(make("span", "unseen", "You:"), ...images(entry.attachments));
  if (entry.text) item.append(make("div", "words plain-words", entry.text));
  const [text, colour] = STATES[entry.state] ?? [entry.state, ""];
  const note = make("div", `note ${colour}`, entry.why ? `${text}: ${entry.why}` : text);
  const bar = make("span", "actions");
  if (entry.state === "refused") {
    bar.append(button("Retry", () => actions.again(entry)), button("Discard", () => actions.forget(entry)));
  } else if (ENDED.has(entry.state)) {
    bar.append(button("Ask again", () => actions.askAgain(entry)), button("Hide", () => actions.forget(entry)));
  }
  if (bar.childElementCount > 0) note.append(bar);
  item.append(note);
  return item;
}

/** The answer in the making: keeps what is finished, replaces the rest. */
export class PreviewView {
  constructor() {
    this.item = make("li", "agent");
    this.item.append(make("span", "unseen", "Agent, still writing:"));
    this.words = make("div", "words growing");
    this.words.ariaBusy = "true";
    this.item.append(this.words);
    this.blocks = []; // nodes of each block
  }

  show(preview, from) {
    for (const nodes of this.blocks.splice(from)) for (const node of nodes) node.remove();
    for (const html of preview.blocks.slice(from)) {
      const content = rendered(html);
      const nodes = [...content.childNodes];
      this.blocks.push(nodes);
      this.words.append(content);
    }
  }
}
