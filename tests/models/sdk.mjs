// The official clients ask the mock, streamed: sdk.mjs URL KEY. One line of JSON for each question.
import Anthropic from "@anthropic-ai/sdk";
import OpenAI from "openai";

const [url, key] = process.argv.slice(2);
const patience = 1000; // without a chunk: the stream has stalled
const enough = 200_000; // characters: it is endless

const openai = (apiKey) => new OpenAI({ baseURL: `${url}/v1`, apiKey });
const anthropic = (apiKey) => new Anthropic({ baseURL: url, apiKey });

async function* askOpenai(text, apiKey, signal) {
  const messages = [{ role: "system", content: "a bicycle shop" }, { role: "user", content: text }];
  const body = { model: "gpt-4o", messages, stream: true, stream_options: { include_usage: true } };
  for await (const chunk of await openai(apiKey).chat.completions.create(body, { signal })) {
    const choice = chunk.choices[0];
    yield {
      text: choice?.delta?.content ?? "",
      tool: choice?.delta?.tool_calls?.[0]?.function?.name,
      finish: choice?.finish_reason,
      usage: chunk.usage?.prompt_tokens,
    };
  }
}

async function* askAnthropic(text, apiKey, signal) {
  const body = {
    model: "claude-sonnet-4-5", max_tokens: 1000, system: "a bicycle shop",
    messages: [{ role: "user", content: text }], stream: true,
  };
  for await (const event of await anthropic(apiKey).messages.create(body, { signal })) {
    yield {
      text: event.delta?.type === "text_delta" ? event.delta.text : "",
      tool: event.content_block?.type === "tool_use" ? event.content_block.name : undefined,
      finish: event.delta?.stop_reason,
      usage: event.message?.usage?.input_tokens,
    };
  }
}

async function question(api, ask, text, apiKey = key) {
  const seen = { api, text, answer: "", chunks: 0 };
  const abort = new AbortController();
  const watch = () => setTimeout(() => { seen.stalled = true; abort.abort(); }, patience);
  let timer;
  try {
    for await (const piece of ask(text, apiKey, abort.signal)) {
      clearTimeout(timer);
      seen.answer += piece.text;
      seen.chunks += 1;
      if (piece.tool) seen.tool = piece.tool;
      if (piece.finish) seen.finish = piece.finish;
      if (piece.usage) seen.usage = piece.usage;
      if (seen.answer.length > enough) { seen.endless = true; seen.answer = ""; break; }
      timer = watch();
    }
  } catch (error) {
    seen.error = error.constructor.name;
    seen.status = error.status;
  }
  clearTimeout(timer);
  console.log(JSON.stringify(seen));
}

const words = ["greet", "who are you", "limited", "overloaded", "broken", "stalled", "endless", "tool",
  "cut short", "think", "refused", "malformed"];
for (const [api, ask] of [["openai", askOpenai], ["anthropic", askAnthropic]]) {
  for (const word of words) {
    await question(api, ask, ["limited", "overloaded"].includes(word) ? `${word} ${api}` : word);
  }
  await question(api, ask, "wrong key", "sk-wrong");
}
