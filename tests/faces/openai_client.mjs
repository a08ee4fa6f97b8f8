// The official OpenAI client for JavaScript asks our face: openai_client.mjs URL KEY. One line of JSON for
// each question, by its name.
import OpenAI from "openai";

const [url, apiKey] = process.argv.slice(2);
const client = (path = "/v1", more = {}) => new OpenAI({ baseURL: url + path, apiKey, ...more });
const say = (content) => [{ role: "user", content }];
const ask = (text, more = {}, options = {}, by = client()) =>
  by.chat.completions.create({ model: "echo", messages: say(text), ...more }, options);
const key = (name) => ({ headers: { "Idempotency-Key": name } });

async function streamed(text, more = {}, options = {}) {
  const chunks = [];
  for await (const chunk of await ask(text, { stream: true, ...more }, options)) chunks.push(chunk);
  return {
    role: chunks[0].choices[0].delta.role,
    texts: chunks.map((chunk) => chunk.choices[0]?.delta.content).filter((text) => text),
    finish: chunks.map((chunk) => chunk.choices[0]?.finish_reason).find((reason) => reason),
    usage: chunks.at(-1).usage,
  };
}

// A picture of one pixel.
const pixel =
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
const show = (data) => ask([
  { type: "text", text: "look" },
  { type: "image_url", image_url: { url: "data:image/png;base64," + data } },
]);

const questions = {
  image: async () => ({ content: (await show(pixel)).choices[0].message.content }),
  noImage: () => show("aGVsbG8="),
  whole: async () => (await ask("hello")).choices[0],
  stream: () => streamed("!stream one two three"),
  usage: () => streamed("hello", { stream_options: { include_usage: true } }),
  helper: async () => {
    const runner = client().chat.completions.stream({ model: "echo", messages: say("hello") });
    return { content: await runner.finalContent() };
  },
  models: async () => {
    const names = [];
    for await (const model of client().models.list()) names.push(model.id);
    return names;
  },
  repeat: async () => {
    const first = await ask("same", {}, key("k1"));
    const second = await ask("same", {}, key("k1"));
    return { same: first.id === second.id, content: second.choices[0].message.content };
  },
  retries: async () => {
    const hasty = client("/accounts/hasty/v1", { maxRetries: 9 });
    return { content: (await ask("!slow 2s late", {}, key("k2"), hasty)).choices[0].message.content };
  },
  withoutKey: () => ask("!slow 2s late", {}, {}, client("/accounts/hasty/v1", { maxRetries: 9 })),
  failed: () => ask("!throw"),
  tools: () => ask("hello", { tools: [{ type: "function", function: { name: "f" } }] }),
  stranger: () => ask("hello", {}, {}, client("/v1", { apiKey: "sk-wrong" })),
  unknown: () => ask("hello", { model: "other" }),
};

for (const [name, question] of Object.entries(questions)) {
  let answer;
  try {
    answer = await question();
  } catch (error) {
    answer = {
      error: error.constructor.name, status: error.status, code: error.code, param: error.param,
    };
  }
  console.log(JSON.stringify({ name, answer }));
}
