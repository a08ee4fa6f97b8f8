#include "channels/http/events.h"

#include <iterator>

#include <fmt/format.h>

#include "channels/http/render.h"

namespace sluice::http {

StreamEvent line_event(const HistoryRow& line, bool html) {
  return {"message", line.id, line_json(line, html)};
}

StreamEvent delta_event(const FeedDelta& delta) {
  std::string data =
      fmt::format("{{\"turn\":{},\"attempt\":{},\"offset\":{},\"text\":", delta.turn.value,
                  delta.attempt, delta.offset);
  append_json(data, delta.text);
  data += '}';
  return {"delta", {}, std::move(data)};
}

StreamEvent html_event(TurnId turn, std::uint32_t attempt,
                       const text::LiveMarkdown::Change& change) {
  std::string data = fmt::format("{{\"turn\":{},\"attempt\":{},\"from\":{},\"blocks\":[",
                                 turn.value, attempt, change.from);
  for (const std::string& block : change.blocks) {
    if (&block != &change.blocks.front()) data += ',';
    append_json(data, block);
  }
  data += "]}";
  return {"html", {}, std::move(data)};
}

StreamEvent reset_event(TurnId turn, std::uint32_t attempt) {
  return {"reset", {}, fmt::format("{{\"turn\":{},\"attempt\":{}}}", turn.value, attempt)};
}

StreamEvent phase_event(const FeedPhase& phase) {
  return {"phase",
          {},
          fmt::format("{{\"turn\":{},\"message\":{},\"phase\":\"{}\"}}", phase.turn.value,
                      phase.message.value, to_string(phase.phase))};
}

StreamEvent live_event(HistoryId head) {
  return {"live", {}, fmt::format("{{\"head\":{}}}", head.value)};
}

StreamEvent rewind_event(HistoryId head) {
  return {"rewind", {}, fmt::format("{{\"head\":{}}}", head.value)};
}

std::string to_sse(std::span<const StreamEvent> events) {
  std::string out;
  for (const StreamEvent& event : events) {
    // JSON has no line breaks of its own, and "message" is what an event without a name is.
    if (event.id) fmt::format_to(std::back_inserter(out), "id: {}\n", event.id.value);
    if (event.name != "message") out.append("event: ").append(event.name).append("\n");
    out.append("data: ").append(event.data).append("\n\n");
  }
  return out;
}

std::string to_frame(std::span<const StreamEvent> events) {
  std::string out = "[";
  for (const StreamEvent& event : events) {
    if (&event != &events.front()) out += ',';
    out.append("{\"event\":\"").append(event.name).append("\",\"data\":");
    out.append(event.data).append("}");
  }
  out += ']';
  return out;
}

}  // namespace sluice::http
