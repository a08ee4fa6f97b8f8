// Images that the next message will carry: chosen, pasted or dropped, uploaded at once, shown small. They are
// this page's only until they are sent: a reload forgets them, and the gateway forgets their files.
import { upload } from "/api.js";
import { button, make } from "/view.js";

const TYPES = ["image/png", "image/jpeg", "image/gif", "image/webp"];
const MOST = 20; // of one message, as the gateway's core.attachments_max
const TRIES = 4; // of one upload: a restart of the gateway cuts it

export class Attachments {
  /** list: where they are shown. alert(text): something is wrong. */
  constructor(list, alert) {
    Object.assign(this, { list, alert });
    this.entries = [];
    this.whenReady = null;
  }

  get empty() {
    return this.entries.length === 0;
  }
  get ids() {
    return this.entries.map((entry) => entry.id);
  }

  /** True if all have arrived; else then() is called once they have, unless one of them fails. */
  ready(then) {
    if (this.entries.some((entry) => entry.failed)) {
      this.alert("An image could not be sent: try it again, or remove it.");
      return false;
    }
    const all = this.entries.every((entry) => entry.id);
    this.whenReady = all ? null : then;
    this.list.ariaBusy = String(!all);
    return all;
  }

  add(files) {
    for (const file of files) {
      if (!TYPES.includes(file.type)) {
        this.alert(`${file.name || "This"} is not a PNG, JPEG, GIF or WebP image.`);
      } else if (this.entries.length >= MOST) {
        this.alert(`A message can have ${MOST} images.`);
        break;
      } else {
        this.begin({ file, url: URL.createObjectURL(file) });
      }
    }
  }

  begin(entry) {
    const name = entry.file.name || "image";
    entry.item = make("li");
    const picture = make("img");
    picture.src = entry.url;
    picture.alt = name;
    entry.bar = make("progress");
    entry.bar.max = 1;
    entry.bar.ariaLabel = `Sending ${name}`;
    entry.note = make("span", "note bad");
    entry.retry = button("Retry", () => this.send(entry));
    const remove = button("×", () => this.remove(entry));
    remove.ariaLabel = `Remove ${name}`;
    remove.className = "remove";
    entry.item.append(picture, entry.bar, entry.note, entry.retry, remove);
    this.entries.push(entry);
    this.list.append(entry.item);
    this.list.hidden = false;
    this.send(entry);
  }

  async send(entry) {
    entry.failed = false;
    entry.bar.hidden = false;
    entry.retry.hidden = true;
    entry.note.textContent = "";
    try {
      entry.id = await this.upload(entry);
    } catch (error) {
      if (!this.entries.includes(entry)) return;
      entry.failed = true;
      entry.retry.hidden = false;
      entry.note.textContent = error.message;
      this.whenReady = null;
      this.alert(`An image could not be sent: ${error.message}`);
    }
    entry.bar.hidden = true;
    if (this.whenReady && this.entries.every((e) => e.id)) this.whenReady();
  }

  async upload(entry) {
    for (let tries = 1; ; ++tries) {
      const running = upload(entry.file, (share) => (entry.bar.value = share));
      entry.abort = running.abort;
      try {
        return await running.done;
      } catch (error) {
        if (!error.passing || tries === TRIES || !this.entries.includes(entry)) throw error;
        await new Promise((resolve) => setTimeout(resolve, tries * 1000));
        if (!this.entries.includes(entry)) throw error;
      }
    }
  }

  remove(entry) {
    const at = this.entries.indexOf(entry);
    if (at < 0) return;
    this.entries.splice(at, 1);
    entry.abort();
    this.drop(entry);
    const next = this.entries[Math.min(at, this.entries.length - 1)];
    (next ? next.item.querySelector(".remove") : document.getElementById("write")).focus();
  }

  /** They are a message's now. */
  clear() {
    for (const entry of this.entries.splice(0)) this.drop(entry);
    this.whenReady = null;
  }

  drop(entry) {
    URL.revokeObjectURL(entry.url);
    entry.item.remove();
    this.list.hidden = this.empty;
    this.list.ariaBusy = "false";
  }
}
