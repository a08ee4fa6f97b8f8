// The daemon under test and a browser in front of it. What is installed for this is in SLUICE_INTEROP/page
// (scripts/interop); the browser is Debian's chromium.
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { createServer } from "node:net";
import { join } from "node:path";

const installed = process.env.SLUICE_INTEROP && join(process.env.SLUICE_INTEROP, "page");
if (!installed || !existsSync(join(installed, "node_modules")) || !existsSync("/usr/bin/chromium")) {
  console.log("skipped: scripts/interop installs what this needs");
  process.exit(77);
}
const require = createRequire(join(installed, "package.json"));
export const { chromium } = require("playwright-core");
export const axeSource = require("axe-core").source;

const config = (port, onInterrupt) => `
[server]
listen = ["127.0.0.1:${port}"]
[agents.echo]
playground = true
on_interrupt = "${onInterrupt}"
`;

function freePort() {
  return new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

/** `sluice run` in a folder of its own, on a port that it keeps. */
export class Daemon {
  static async make() {
    const daemon = new Daemon();
    daemon.folder = mkdtempSync("/tmp/sluice-page-");
    daemon.port = await freePort();
    daemon.url = `http://127.0.0.1:${daemon.port}`;
    daemon.configure("rerun");
    return daemon;
  }

  configure(onInterrupt) {
    writeFileSync(join(this.folder, "sluice.toml"), config(this.port, onInterrupt));
  }

  start() {
    const files = ["--config", join(this.folder, "sluice.toml"), "--data", join(this.folder, "data")];
    this.process = spawn(process.env.SLUICE, ["run", ...files], { stdio: ["ignore", "pipe", "pipe"] });
    let said = "";
    this.process.stderr.on("data", (bytes) => (said += bytes));
    return new Promise((resolve, reject) => {
      let banner = "";
      this.process.on("exit", (code) => reject(new Error(`sluice ended with ${code}: ${banner}${said}`)));
      this.process.stdout.on("data", (bytes) => {
        banner += bytes;
        const link = /https?:\S+\/login\S+/.exec(banner);
        if (link && /^ {2}control/m.test(banner)) {
          this.link = link[0];
          resolve(this);
        }
      });
    });
  }

  /** What retention does, at once. */
  forgetImages() {
    const media = join(this.folder, "data", "media");
    for (const owner of readdirSync(media)) {
      for (const file of readdirSync(join(media, owner))) rmSync(join(media, owner, file));
    }
  }

  end(signal) {
    return new Promise((resolve) => {
      this.process.removeAllListeners("exit");
      this.process.on("exit", resolve);
      this.process.kill(signal);
    });
  }

  async clean() {
    if (this.process?.exitCode === null && this.process.signalCode === null) await this.end("SIGKILL");
    rmSync(this.folder, { recursive: true, force: true });
  }
}
