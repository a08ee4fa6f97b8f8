// Requests to the gateway (docs/http-api.md). The session is an HttpOnly cookie: scripts never see it.

/** What the gateway answered when it did not do what was asked; status 0: nobody knows what it did. */
export class ApiError extends Error {
  constructor(status, detail, retryAfter) {
    super(detail);
    this.status = status;
    this.retryAfter = retryAfter; // seconds
  }
  /** Sending it again, as it is, can help. */
  get passing() {
    return this.status === 0 || this.status === 408 || this.status === 429 || this.status >= 500;
  }
}

const TIMEOUT = 20_000;

async function call(method, path, body) {
  let response;
  try {
    response = await fetch(path, {
      method,
      headers: body === undefined ? {} : { "Content-Type": "application/json" },
      body: body === undefined ? undefined : JSON.stringify(body),
      signal: AbortSignal.timeout(TIMEOUT),
    });
  } catch {
    throw new ApiError(0, "no answer");
  }
  const answer = await response.json().catch(() => ({}));
  if (response.ok) return answer;
  const retryAfter = Number(response.headers.get("Retry-After")) || 0;
  throw new ApiError(response.status, answer.detail || answer.title || `error ${response.status}`, retryAfter);
}

const base = (chat) => `/v1/conversations/${encodeURIComponent(chat)}`;

// Where sessions begin anew each day, it is this person's day.
const time_zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
export const post = (chat, id, text, attachments) =>
  call("POST", `${base(chat)}/messages`, { id, text, time_zone, ...(attachments?.length ? { attachments } : {}) });
export const stop = (chat) => call("POST", `${base(chat)}/stop`);
export const life = (message) => call("GET", `/v1/messages/${message}`);
export const earlier = (chat, before) => call("GET", `${base(chat)}/history?html=1&limit=50&before=${before}`);
/** A page of the list: the newest begun first, behind `before` if that is not null. */
export const conversations = (before) => call("GET", `/v1/conversations?limit=200${before ? `&before=${before}` : ""}`);
/** Only to learn whether the session is still good. */
export const probe = (chat) => call("GET", `${base(chat)}/history?limit=1`);
export const signOut = () => fetch("/logout", { method: "POST" });

export const imageUrl = (id) => `/v1/media/${encodeURIComponent(id)}`;

/** Sends a file; progress(share) tells how far it is. {done: promise of its id, abort()}. */
export function upload(file, progress) {
  const request = new XMLHttpRequest(); // fetch does not tell how much has been sent
  const done = new Promise((resolve, reject) => {
    request.open("POST", "/v1/media");
    request.setRequestHeader("Content-Type", file.type);
    request.responseType = "json";
    request.upload.onprogress = (event) => event.lengthComputable && progress(event.loaded / event.total);
    request.onload = () => {
      const answer = request.response ?? {};
      if (request.status === 201) resolve(answer.id);
      else reject(new ApiError(request.status, answer.detail || answer.title || `error ${request.status}`, 0));
    };
    request.onerror = () => reject(new ApiError(0, "no answer"));
    request.onabort = () => reject(new ApiError(0, "removed"));
  });
  request.send(file);
  return { done, abort: () => request.abort() };
}

export function socketUrl(chat, after) {
  const url = new URL(`${base(chat)}/socket`, location.href);
  url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  url.search = new URLSearchParams({ html: "1", after: after === null ? "recent" : String(after) });
  return url;
}

/** Not crypto.randomUUID: that one is missing where a page came over plain HTTP from another machine. */
export function randomId(bytes = 12) {
  return Array.from(crypto.getRandomValues(new Uint8Array(bytes)), (b) => b.toString(16).padStart(2, "0")).join("");
}
