// The chat page in a real browser, with the real daemon behind it: scripts/interop runs it.
// With SLUICE_SCREENSHOTS=FOLDER it also leaves pictures of what it saw.
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { after, afterEach, before, beforeEach, test } from "node:test";
import { axeSource, chromium, Daemon } from "./daemon.mjs";

const shots = process.env.SLUICE_SCREENSHOTS;
let browser;
let daemon;
let context;
let problems;

before(async () => {
  browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox"] });
});
after(() => browser?.close());

beforeEach(async () => {
  daemon = await (await Daemon.make()).start();
  problems = [];
});
afterEach(async () => {
  await context?.close();
  await daemon.clean();
});

async function signedIn(options = {}) {
  context = await browser.newContext(options);
  context.setDefaultTimeout(20_000);
  const page = await context.newPage();
  watch(page);
  await page.goto(daemon.link);
  await page.waitForURL(`${daemon.url}/`);
  return page;
}

/** What must never happen: a script that fails, something refused by the policy, another host. */
function watch(page) {
  page.on("pageerror", (error) => problems.push(String(error)));
  page.on("console", (message) => {
    if (/Content Security Policy|Refused to/.test(message.text())) problems.push(message.text());
  });
  page.on("request", (request) => {
    if (!request.url().startsWith(daemon.url) && !/^(data|blob):/.test(request.url())) problems.push(request.url());
  });
}

async function say(page, text) {
  await page.fill("#write", text);
  await page.click("#send");
}

// Not innerText: what is far out of sight has none.
const texts = async (page) =>
  (await page.locator("#log > li .words").allTextContents()).map((text) => text.trim());
const answered = (page, text) => page.locator("#log > li.agent .words", { hasText: text }).last().waitFor();
const settled = (page) => page.waitForFunction(() => !document.querySelector("#pending > li"));
const growing = (page, text) => page.locator(".growing", { hasText: text }).waitFor();

async function audited(page, where) {
  // Not through the page's own policy: the test brings the script.
  const found = await page.evaluate(`${axeSource}; axe.run().then((r) => r.violations.map((v) =>
    v.id + ": " + v.nodes.map((n) => n.target.join(" ")).join(", ")))`);
  assert.deepEqual(found, [], where);
}

async function shoot(page, name) {
  if (shots) await page.screenshot({ path: `${shots}/${name}.png` });
}

test("a person signs in by the printed link, asks, and is answered", async () => {
  const page = await signedIn();
  await say(page, "Hello **there**");
  await answered(page, "Hello there");
  assert.deepEqual(await texts(page), ["Hello **there**", "Hello there"]);
  assert.equal(await page.locator("#log .agent strong").innerText(), "there");
  await settled(page);
  assert.deepEqual(problems, []);
});

test("without a session the page says so, and keeps what was written", async () => {
  context = await browser.newContext();
  const page = await context.newPage();
  await page.goto(daemon.url);
  await page.locator("#alert", { hasText: "not signed in" }).waitFor();
  await say(page, "Later, then");
  await page.locator("#pending .bad").waitFor();
  await page.reload();
  await page.locator("#pending", { hasText: "Later, then" }).waitFor();
});

test("an answer grows, and stop keeps what was seen", async () => {
  const page = await signedIn();
  await say(page, "!stream " + "word ".repeat(200));
  await growing(page, "word word word");
  await page.locator("#pending .person", { hasText: "Being answered" }).waitFor();
  await shoot(page, "chat-streaming");
  await page.click("#stop");
  await page.locator("#log .note", { hasText: "stopped before it was finished" }).waitFor();
  assert.equal(await page.locator(".growing").count(), 0);
  assert.equal(await page.locator("#stop").isVisible(), false);
});

test("a reload in the middle of an answer leaves neither a hole nor a repetition", async () => {
  const page = await signedIn();
  const words = Array.from({ length: 30 }, (_, i) => `w${i}`).join(" ");
  await say(page, "first");
  await answered(page, "first");
  await say(page, "!stream " + words);
  await growing(page, "w5");
  await page.reload();
  await growing(page, "w0 w1 w2");
  await answered(page, words);
  assert.deepEqual(await texts(page), ["first", "first", "!stream " + words, words]);
  await settled(page);
});

test("the daemon is killed in the middle of an answer and comes back", async () => {
  const page = await signedIn();
  const words = Array.from({ length: 30 }, (_, i) => `w${i}`).join(" ");
  await say(page, "!stream " + words);
  await growing(page, "w5");
  await daemon.end("SIGKILL");
  await page.locator("#connection", { hasText: "Connection lost" }).waitFor();
  await say(page, "said while it was away");
  await page.locator("#pending .wait", { hasText: "Not confirmed" }).waitFor();
  await shoot(page, "chat-away");
  const seen = page.evaluate(`new Promise((done) => {
    const list = [];
    const timer = setInterval(() => {
      const now = document.querySelector(".growing")?.innerText;
      if (now) list.push(now);
      if (document.querySelector("#log > li.agent")) { clearInterval(timer); done(list); }
    }, 20);
  })`);
  await daemon.start();
  await answered(page, words);
  for (const text of await seen) assert.ok(words.startsWith(text.trim()), `two attempts joined: ${text}`);
  await answered(page, "said while it was away");
  assert.deepEqual(await texts(page), [
    "!stream " + words, words, "said while it was away", "said while it was away"]);
  await settled(page);
  assert.deepEqual(problems, []);
});

test("an interrupted request that may not simply run again is asked about", async () => {
  await daemon.end("SIGTERM");
  daemon.configure("ask");
  await daemon.start();
  const page = await signedIn();
  await say(page, "!stream " + "word ".repeat(100));
  await growing(page, "word");
  await daemon.end("SIGKILL");
  await daemon.start();
  const question = page.locator("#log .notice", { hasText: "/retry" });
  await question.waitFor();
  await page.locator("#pending .wait", { hasText: "Interrupted" }).waitFor();
  await audited(page, "with a question");
  await shoot(page, "chat-question");
  await question.getByRole("button", { name: "Give up" }).click();
  await settled(page);
  assert.equal(await question.getByRole("button", { name: "Retry" }).count(), 0);
});

test("two pages of one conversation show the same", async () => {
  const page = await signedIn();
  const other = await context.newPage();
  watch(other);
  await other.goto(daemon.url);
  await say(page, "!slow 1s from the first");
  await other.locator("#pending", { hasText: "from the first" }).waitFor();
  await answered(other, "from the first");
  await say(other, "from the second");
  await answered(page, "from the second");
  assert.deepEqual(await texts(page), await texts(other));
  await settled(page);
  await settled(other);
});

test("a failure and its repetition are shown as what they are", async () => {
  const page = await signedIn();
  await say(page, "!throw");
  const failed = page.locator("#log .failed");
  await failed.waitFor();
  await shoot(page, "chat-failed");
  await failed.getByRole("button", { name: "Ask again" }).click();
  await page.waitForFunction(() => document.querySelectorAll("#log .failed").length === 2);
  await page.getByRole("button", { name: "Details" }).first().click();
  await page.locator("#log .note", { hasText: "failed" }).first().waitFor();
  await audited(page, "after failures");
});

test("what waits is shown as waiting", async () => {
  const page = await signedIn();
  await say(page, "!slow 2s one");
  await say(page, "two");
  await page.locator("#pending .person", { hasText: "Being answered" }).waitFor();
  await page.locator("#pending .person", { hasText: "Queued" }).waitFor();
  await answered(page, "two");
  assert.deepEqual(await texts(page), ["!slow 2s one", "one", "two", "two"]);
});

test("HTML and script in answers do nothing", async () => {
  const page = await signedIn();
  page.on("dialog", () => problems.push("a dialog"));
  await say(page, '<img src=x onerror=alert(1)><script>alert(2)</script> [x](javascript:alert(3)) ' +
    '![y](http://127.0.0.1:1/z.png) <b>bold</b>');
  await answered(page, "bold");
  assert.equal(await page.locator("#log img, #log script, #log b").count(), 0);
  assert.equal(await page.locator("#log a").count(), 1, "the image is a link");
  assert.equal(await page.locator("#log a").getAttribute("rel"), "noopener noreferrer nofollow");
  assert.deepEqual(problems, []);
});

test("code has a button that copies it", async () => {
  const page = await signedIn();
  await context.grantPermissions(["clipboard-read", "clipboard-write"]);
  await say(page, "```sh\necho 'a <b>'\n```\n\n| a | b |\n|---|---|\n| 1 | 2 |");
  await page.locator("#log .agent table").waitFor();
  await page.locator("#log .agent .copy").click();
  assert.equal(await page.evaluate("navigator.clipboard.readText()"), "echo 'a <b>'\n");
  await audited(page, "with code and a table");
});

const PNG = Buffer.from("iVBORw0KGgoAAAANSUhEUgAAAAIAAAACCAIAAAD91JpzAAAAEklEQVR4nGP4z8AARAwQCgAf7gP9i18U1AAAAABJRU5ErkJggg==",
  "base64");
const pictureFile = (name = "cat.png", buffer = PNG) => ({ name, mimeType: "image/png", buffer });
const uploaded = (page, count) => page.waitForFunction((n) =>
  [...document.querySelectorAll("#attached progress")].filter((bar) => bar.hidden).length === n, count);
/** How many images of the place are really there. */
const seen = (page, where, count) => page.waitForFunction(([selector, n]) =>
  [...document.querySelectorAll(`${selector} img`)].filter((img) => img.naturalWidth > 0).length === n, [where, count]);

test("an image is chosen, shown small, sent, and stays in the conversation", async () => {
  const page = await signedIn();
  const pictures = ["chat-light.png", "chat-phone.png"].map((name) =>
    fileURLToPath(new URL(`../../docs/images/${name}`, import.meta.url)));
  await page.setInputFiles("#files", pictures);
  await uploaded(page, 2);
  await seen(page, "#attached", 2);
  await audited(page, "with images to send");
  await say(page, "!slow 1s look at these");
  await seen(page, "#pending", 2);
  assert.equal(await page.locator("#attached").isVisible(), false);
  await answered(page, "look at these");
  await seen(page, "#log .person", 2);
  assert.deepEqual(await page.locator("#log img").evaluateAll((all) => all.map((img) => img.alt)),
    ["Attached image 1 of 2", "Attached image 2 of 2"]);
  await audited(page, "with images in the conversation");
  await page.setInputFiles("#files", pictures[1]);
  await uploaded(page, 1);
  await shoot(page, "chat-images");
  await settled(page);
  await page.reload();
  await seen(page, "#log .person", 2);
  await page.setViewportSize({ width: 360, height: 640 });
  assert.equal(await page.evaluate("document.documentElement.scrollWidth > innerWidth"), false, "it scrolls sideways");
  assert.deepEqual(problems, []);
});

test("an upload that is cut goes again by itself", async () => {
  const page = await signedIn();
  let cut = 0;
  await page.route("**/v1/media", (route) => (cut++ === 0 ? route.abort("connectionreset") : route.continue()));
  await page.setInputFiles("#files", pictureFile());
  await page.fill("#write", "look");
  await page.click("#send");
  await answered(page, "look");
  await seen(page, "#log .person", 1);
  assert.equal(cut, 2);
});

test("images are pasted and dropped, and one alone is enough of a message", async () => {
  const page = await signedIn();
  await page.evaluate((bytes) => {
    const transfer = () => {
      const made = new DataTransfer();
      made.items.add(new File([new Uint8Array(bytes)], "here.png", { type: "image/png" }));
      return made;
    };
    document.getElementById("write").dispatchEvent(
      new ClipboardEvent("paste", { clipboardData: transfer(), bubbles: true, cancelable: true }));
    const dropped = !document.querySelector("main").dispatchEvent(
      new DragEvent("drop", { dataTransfer: transfer(), bubbles: true, cancelable: true }));
    if (!dropped) throw new Error("the browser would have left the page");
  }, [...PNG]);
  await page.click("#send"); // perhaps before they are there: then it waits for them
  await page.locator("#log .agent").waitFor();
  await seen(page, "#log .person", 2);
  assert.equal(await page.locator("#log .person .words").count(), 0);
  await settled(page);
  assert.deepEqual(problems, []);
});

test("an image is removed by keyboard, and nothing of it is sent", async () => {
  const page = await signedIn();
  await page.setInputFiles("#files", pictureFile());
  await uploaded(page, 1);
  await page.focus("#attach");
  await page.keyboard.press("Shift+Tab");
  assert.equal(await page.evaluate("document.activeElement.ariaLabel"), "Remove cat.png");
  await page.keyboard.press("Enter");
  assert.equal(await page.evaluate("document.activeElement.id"), "write");
  assert.equal(await page.locator("#attached").isVisible(), false);
  await say(page, "without");
  await answered(page, "without");
  assert.equal(await page.locator("#log img").count(), 0);
});

test("what is no image is told, and keeps the message from going", async () => {
  const page = await signedIn();
  await page.setInputFiles("#files", { name: "notes.txt", mimeType: "text/plain", buffer: Buffer.from("x") });
  await page.locator("#alert", { hasText: "notes.txt is not a PNG" }).waitFor();
  assert.equal(await page.locator("#attached li").count(), 0);
  await page.setInputFiles("#files", pictureFile("lie.png", Buffer.from("<svg onload='alert(1)'/> and more of it")));
  await page.locator("#attached .bad", { hasText: "it is not image/png" }).waitFor();
  await audited(page, "with an image that was refused");
  await say(page, "look");
  await page.locator("#alert", { hasText: "try it again, or remove it" }).waitFor();
  assert.equal(await page.inputValue("#write"), "look");
  await page.click("#attached .remove");
  await page.click("#send");
  await answered(page, "look");
});

test("an image that is no longer kept leaves a word", async () => {
  const page = await signedIn();
  await page.setInputFiles("#files", pictureFile());
  await uploaded(page, 1);
  await say(page, "look");
  await answered(page, "look");
  await seen(page, "#log .person", 1);
  daemon.forgetImages();
  await page.reload();
  await page.locator("#log .person", { hasText: "[image, no longer kept]" }).waitFor();
});

test("conversations are apart, and ten thousand of them do not hang the page", async () => {
  const page = await signedIn();
  await say(page, "in main");
  await answered(page, "in main");
  await page.click("#new-chat");
  await say(page, "in another");
  await answered(page, "in another");
  assert.deepEqual(await texts(page), ["in another", "in another"]);
  await page.evaluate(() => {
    const chats = JSON.parse(localStorage.getItem("sluice.chats"));
    for (let i = 0; i < 10_000; ++i) chats.push({ name: `many-${i}`, title: `Conversation <i>${i}</i>` });
    localStorage.setItem("sluice.chats", JSON.stringify(chats));
  });
  await page.reload();
  await answered(page, "in another");
  assert.ok((await page.locator("#chat-list li").count()) < 100);
  const took = await page.evaluate(async () => {
    const frame = document.getElementById("chat-window");
    const began = performance.now();
    for (let i = 0; i < 50; ++i) {
      frame.scrollTop = (frame.scrollHeight / 50) * i;
      await new Promise(requestAnimationFrame);
    }
    return performance.now() - began;
  });
  assert.ok(took < 5_000, `50 jumps took ${took} ms`);
  await page.fill("#find-chat", "<i>9999");
  await page.locator("#chat-list button", { hasText: "<i>9999</i>" }).click();
  await page.locator("#title", { hasText: "<i>9999</i>" }).waitFor();
  assert.deepEqual(problems, []);
});

test("the list comes back from the gateway: storage cleared, another device, hundreds of them", async () => {
  const page = await signedIn();
  await say(page, "in main");
  await answered(page, "in main");
  await page.click("#new-chat");
  await say(page, "in <b>another</b>\nand more");
  await answered(page, "and more");
  await settled(page);
  await page.evaluate(async () => {
    for (let i = 0; i < 250; ++i) {
      await fetch(`/v1/conversations/old-${i}/messages`, {
        method: "POST", headers: { "Content-Type": "application/json" }, body: '{"id": "1", "text": "old"}' });
    }
    localStorage.clear();
  });
  await page.reload();
  await page.locator('#chat-list li[aria-setsize="252"]').first().waitFor();
  await page.locator("#title", { hasText: "in <b>another</b>" }).waitFor();
  const cookies = await context.cookies();
  await context.close();
  context = await browser.newContext();
  await context.addCookies(cookies);
  const device = await context.newPage();
  watch(device);
  await device.goto(daemon.url);
  await device.fill("#find-chat", "another");
  await device.locator("#chat-list button", { hasText: /^in <b>another<\/b>$/ }).click();
  await answered(device, "and more");
  assert.deepEqual(await texts(device), ["in <b>another</b>\nand more", "in <b>another</b>\nand more"]);
  assert.deepEqual(problems, []);
});

test("a conversation is hidden until something is said in it", async () => {
  const page = await signedIn();
  await page.click("#new-chat");
  await say(page, "out of sight");
  await answered(page, "out of sight");
  await settled(page);
  const chat = new URL(page.url()).hash;
  const listed = page.locator("#chat-list button", { hasText: "out of sight" });
  await listed.waitFor();
  await page.click("#hide-chat");
  await listed.waitFor({ state: "detached" });
  const fetched = page.waitForResponse(/v1\/conversations\?/);
  await page.reload();
  await (await fetched).finished();
  await page.locator("#chat-list button", { hasText: "Main" }).waitFor();
  assert.equal(await listed.count(), 0);
  await page.goto(`${daemon.url}/${chat}`);
  await say(page, "again");
  await answered(page, "again");
  await page.evaluate(() => (location.hash = ""));
  await listed.waitFor();
});

test("older lines come when they are asked for, each once", async () => {
  const page = await signedIn();
  await page.evaluate(async () => {
    for (let batch = 0; batch < 3; ++batch) {
      const messages = Array.from({ length: 50 }, (_, i) => ({ id: `b${batch * 50 + i}`, text: `t${batch * 50 + i}` }));
      await fetch("/v1/conversations/main/messages", {
        method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(messages) });
    }
  });
  await answered(page, "t149");
  await page.reload();
  await answered(page, "t149");
  assert.equal(await page.locator("#log > li").count(), 100);
  for (let pages = 0; pages < 4; ++pages) {
    const before = await page.locator("#log > li").count();
    await page.click("#earlier");
    await page.waitForFunction((n) => document.querySelectorAll("#log > li").length > n, before);
  }
  await page.locator("#earlier").waitFor({ state: "hidden" });
  assert.deepEqual(await texts(page), Array.from({ length: 300 }, (_, i) => `t${i >> 1}`));
});

test("it fits a phone, in the dark too, and is usable by keyboard", async () => {
  const page = await signedIn({
    viewport: { width: 360, height: 640 }, colorScheme: "dark", hasTouch: true, isMobile: true });
  await say(page, "# A title\n\nSome `code` and a list:\n\n- one\n- two\n\n```\n" + "long ".repeat(40) + "\n```");
  await page.locator("#log .agent h1").waitFor();
  const wider = await page.evaluate("document.documentElement.scrollWidth > innerWidth");
  assert.equal(wider, false, "it scrolls sideways");
  await audited(page, "phone, dark");
  await shoot(page, "chat-phone");
  await page.click("#open-chats");
  await page.locator("#new-chat").waitFor();
  assert.equal(await page.evaluate("document.activeElement.id"), "new-chat");
  await audited(page, "phone, dark, list open");
  await page.keyboard.press("Escape");
  assert.equal(await page.evaluate("document.activeElement.id"), "open-chats");
});

test("it is usable without a mouse, light and dark without findings", async () => {
  const page = await signedIn({ colorScheme: "light" });
  await page.keyboard.type("from the keyboard");
  await page.keyboard.press("Enter");
  await answered(page, "from the keyboard");
  await page.locator("#news", { hasText: "from the keyboard" }).waitFor({ state: "attached" });
  await audited(page, "light");
  await shoot(page, "chat-light");
  await page.click("#theme");
  await page.click("#theme");
  assert.equal(await page.evaluate("document.documentElement.dataset.theme"), "dark");
  await audited(page, "dark");
  await shoot(page, "chat-dark");
});

test("the first load is small and needs one round of requests", async () => {
  const page = await signedIn();
  await page.goto("about:blank");
  const sizes = [];
  const cdp = await context.newCDPSession(page);
  await cdp.send("Network.enable");
  await cdp.send("Network.setCacheDisabled", { cacheDisabled: true });
  cdp.on("Network.loadingFinished", (event) => sizes.push(event.encodedDataLength));
  await page.goto(daemon.url);
  await page.waitForLoadState("networkidle");
  const bytes = sizes.reduce((sum, size) => sum + size, 0);
  console.log(`page weight: ${(bytes / 1024).toFixed(1)} KiB in ${sizes.length} answers`);
  assert.ok(bytes <= 100 * 1024);
  // Every file is named by the page itself: none has to wait for what another one names.
  const late = await page.evaluate(() => {
    const named = [...document.querySelectorAll("link[href], script[src]")].map((node) => node.href || node.src);
    const files = performance.getEntriesByType("resource").map((r) => r.name);
    return files.filter((name) => /\.(js|css)$/.test(name) && !named.includes(name));
  });
  assert.deepEqual(late, []);
});
