#include "ctl/chat_log.h"

#include <algorithm>

#include <boost/json.hpp>

#include "ctl/fields.h"

namespace sluice::ctl {

namespace json = boost::json;

namespace {

/// A terminal shows no images, but that there was one.
void add_marks(const json::value& line, std::string& text) {
  const json::value* meta = line.as_object().if_contains("meta");
  const json::object* o = meta == nullptr ? nullptr : meta->if_object();
  const json::value* list = o == nullptr ? nullptr : o->if_contains("attachments");
  const json::array* images = list == nullptr ? nullptr : list->if_array();
  for (std::size_t i = 0; images != nullptr && i < images->size(); ++i) {
    text += text.empty() ? "[image]" : " [image]";
  }
}

}  // namespace

Result<void> ChatLog::put(const net::SseEvent& event, std::vector<ChatEvent>& out) {
  boost::system::error_code no_json;
  const json::value data = json::parse(event.data, no_json);
  if (no_json || !data.is_object()) {
    return Error(ErrorKind::kBadResponse, "an event that is no JSON object", ErrorSource::kPeer);
  }
  const std::int64_t turn = number_of(data, "turn");
  if (event.event == "message") {
    ChatLine line;
    line.id = number_of(data, "id");
    line.kind = text_of(data, "kind");
    if (line.id <= 0 || line.kind.empty()) {
      return Error(ErrorKind::kBadResponse, "a line without id or kind", ErrorSource::kPeer);
    }
    line.message = number_of(data, "message");
    line.turn = turn;
    line.cut = flag_of(data, "cut");
    line.at = number_of(data, "at");
    line.author = text_of(data, "author");
    line.text = text_of(data, "text");
    add_marks(data, line.text);
    put_line(std::move(line), out);
  } else if (event.event == "delta") {
    const auto offset = static_cast<std::uint64_t>(number_of(data, "offset"));
    put_delta(turn, number_of(data, "attempt"), offset, text_of(data, "text"), out);
  } else if (event.event == "reset") {
    // Of the attempt that we are reading: it is told again from offset 0, and compared.
    turn_to(turn, number_of(data, "attempt"), out);
  } else if (event.event == "phase") {
    out.push_back(ChatPhase{turn, number_of(data, "message"), text_of(data, "phase")});
  } else if (event.event == "rewind") {
    // The daemon's store is older than what we have seen: it was restored from a backup.
    turn_to(0, 0, out);
    last_ = std::min(last_, number_of(data, "head"));
  }
  return {};
}

void ChatLog::turn_to(std::int64_t turn, std::int64_t attempt, std::vector<ChatEvent>& out) {
  if (preview_.turn == turn && preview_.attempt == attempt) return;
  if (!preview_.given.empty()) out.push_back(ChatVoid{preview_.turn, preview_.attempt});
  preview_ = Preview{turn, attempt, {}};
}

void ChatLog::put_line(ChatLine line, std::vector<ChatEvent>& out) {
  if (line.id <= last_) return;
  last_ = line.id;
  const bool ends_preview = line.turn != 0 && line.turn == preview_.turn &&
                            (line.kind == "agent" || line.kind == "notice");
  if (ends_preview) {
    const bool continues = line.kind == "agent" && line.text.starts_with(preview_.given);
    if (continues) line.given = preview_.given.size();
    if (continues) preview_.given.clear();  // it has become the line
    turn_to(0, 0, out);
  }
  out.push_back(std::move(line));
}

void ChatLog::put_delta(std::int64_t turn, std::int64_t attempt, std::uint64_t offset,
                        std::string_view text, std::vector<ChatEvent>& out) {
  turn_to(turn, attempt, out);
  std::string& given = preview_.given;
  if (offset > given.size()) return;  // a hole: the line will bring it all
  const std::size_t known = std::min<std::size_t>(given.size() - offset, text.size());
  if (std::string_view(given).substr(offset, known) != text.substr(0, known)) {
    out.push_back(ChatVoid{turn, attempt});
    given.clear();
    if (offset != 0) return;
  } else {
    text.remove_prefix(known);
  }
  if (text.empty() || given.size() + text.size() > kPreviewBytes) return;
  given += text;
  out.push_back(ChatPiece{turn, attempt, std::string(text)});
}

}  // namespace sluice::ctl
