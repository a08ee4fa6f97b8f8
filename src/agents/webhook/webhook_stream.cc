#include "agents/webhook/webhook_stream.h"

#include <boost/json.hpp>

#include "agents/model/model_error.h"
#include "agents/webhook/webhook_json.h"

namespace sluice {

Result<void> WebhookDecoder::take(const net::SseEvent& event, ModelStream& stream) {
  if (event.event == "done" || event.event == "error") return take_end(event, stream);
  if (event.event == "working") ++stream.progress;
  if (event.event != "message") return {};
  const auto told_data = parse_event(event.data, {});
  if (!told_data) return told_data.error();
  const boost::json::value* delta = told_data->if_contains("delta");
  if (delta == nullptr) return {};
  if (!delta->is_string()) return bad_answer("a \"delta\" is not a text");
  stream.add_text(delta->get_string());
  return {};
}

Result<void> WebhookDecoder::take_end(const net::SseEvent& event, ModelStream& stream) {
  auto said = read_webhook_said(event.data);
  if (!said) return said.error();
  if (said->error) {
    told = true;
    return *said->error;
  }
  if (event.event == "error") return bad_answer("an \"error\" event without an error");
  reply = std::move(said->reply);
  // The person has seen the beginning already.
  if (!reply.text.empty() && !reply.text.starts_with(stream.text)) {
    return bad_answer("the text of \"done\" does not begin with what was streamed");
  }
  if (!reply.text.empty()) stream.add_text(reply.text.substr(stream.text.size()));
  reply.text.clear();
  stream.finish_by(Finish::kStop);
  stream.ended = true;
  return {};
}

}  // namespace sluice
