#include "agents/model/conversation.h"

#include <algorithm>
#include <utility>

#include "gateway/message_json.h"

namespace sluice {
namespace {

bool is_blank(const std::string& text) {
  return text.find_first_not_of(" \t\r\n\f\v") == std::string::npos;
}

void append_line(std::string& text, std::string_view more) {
  if (!text.empty()) text += '\n';
  text += more;
}

/// False if it says nothing.
bool add(std::vector<Speech>& all, bool person, const std::string& text,
         std::vector<Picture> pictures) {
  const bool blank = is_blank(text);
  // A window into the history may begin with an answer.
  if ((blank && pictures.empty()) || (all.empty() && !person)) return false;
  if (all.empty() || all.back().person != person) all.push_back({person, ""});
  if (!blank) append_line(all.back().text, text);
  std::move(pictures.begin(), pictures.end(), std::back_inserter(all.back().pictures));
  return true;
}

/// Of a message's extra or a line's meta, which name them alike.
std::vector<Picture> pictures_of(std::string_view json, bool in_history) {
  std::vector<Picture> pictures;
  for (std::string& id : parse_extra(json).attachments) {
    pictures.push_back({std::move(id), in_history});
  }
  return pictures;
}

}  // namespace

std::vector<Speech> conversation_of(const TurnRequest& request) {
  std::vector<Speech> all;
  all.reserve(request.history.size() + 1);
  for (const HistoryRow& line : request.history) {
    if (line.kind == HistoryKind::kPerson) {
      add(all, true, line.text, pictures_of(line.meta, true));
    } else if (line.kind == HistoryKind::kAgent) {
      add(all, false, line.text, {});
    }
  }
  bool asked = false;
  for (const auto& message : request.messages) {
    const bool said = add(all, true, message->text, pictures_of(message->extra, false));
    asked = asked || said;
  }
  if (!asked) add(all, true, "(no text)", {});
  return all;
}

void filter_pictures(std::vector<Speech>& conversation, const std::function<bool(Picture&)>& keep) {
  for (auto speech = conversation.rbegin(); speech != conversation.rend(); ++speech) {
    std::vector<Picture> kept;
    for (auto picture = speech->pictures.rbegin(); picture != speech->pictures.rend(); ++picture) {
      if (keep(*picture)) {
        kept.push_back(std::move(*picture));
      } else {
        append_line(speech->text, kPictureMarker);
      }
    }
    std::reverse(kept.begin(), kept.end());
    speech->pictures = std::move(kept);
  }
}

bool any_picture(const std::vector<Speech>& conversation,
                 const std::function<bool(const Picture&)>& which) {
  return std::any_of(conversation.begin(), conversation.end(), [&](const Speech& speech) {
    return std::any_of(speech.pictures.begin(), speech.pictures.end(), which);
  });
}

}  // namespace sluice
