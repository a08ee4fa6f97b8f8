#include "ctl/chat_printer.h"

#include <boost/json.hpp>

namespace sluice::ctl {

namespace json = boost::json;

namespace {

// All as wide as the prompt, so that what comes while somebody types writes over it.
constexpr std::string_view kPrompt = "you> ";
constexpr std::string_view kAnswerLabel = "bot> ";
constexpr std::string_view kNoticeLabel = "  !  ";
constexpr std::string_view kOwnLabel = "  *  ";

std::string_view label_of(const ChatLine& line) {
  if (line.kind == "agent") return kAnswerLabel;
  if (line.kind == "person" || line.kind == "command") return kPrompt;
  return line.kind == "notice" ? kNoticeLabel : kOwnLabel;
}

json::object json_of(const ChatEvent& event) {
  if (const auto* line = std::get_if<ChatLine>(&event)) {
    return {{"event", "line"},          {"id", line->id},     {"kind", line->kind},
            {"message", line->message}, {"turn", line->turn}, {"at", line->at},
            {"author", line->author},   {"text", line->text}, {"cut", line->cut}};
  }
  if (const auto* piece = std::get_if<ChatPiece>(&event)) {
    return {{"event", "piece"},
            {"turn", piece->turn},
            {"attempt", piece->attempt},
            {"text", piece->text}};
  }
  if (const auto* gone = std::get_if<ChatVoid>(&event)) {
    return {{"event", "void"}, {"turn", gone->turn}, {"attempt", gone->attempt}};
  }
  const auto& phase = std::get<ChatPhase>(event);
  return {
      {"event", "phase"}, {"turn", phase.turn}, {"message", phase.message}, {"phase", phase.phase}};
}

}  // namespace

void ChatPrinter::show(const ChatEvent& event) {
  if (const auto* own = std::get_if<ChatLine>(&event);
      own != nullptr && mine_.contains(own->message) && own->turn != 0) {
    turns_.insert(own->turn);
  }
  if (mode_ == Mode::kJson) {
    console_.out << safe_json(json_of(event)) << "\n";
    console_.out.flush();
    return;
  }
  if (const auto* a_line = std::get_if<ChatLine>(&event)) {
    line(*a_line);
  } else if (mode_ == Mode::kTerminal) {
    if (const auto* piece = std::get_if<ChatPiece>(&event)) {
      if (!in_answer_) begin(kAnswerLabel);
      in_answer_ = true;
      console_.out << stream_.put(piece->text);
    } else if (std::holds_alternative<ChatVoid>(event) && in_answer_) {
      failure("that answer was interrupted and is void");
    }
  }
  console_.out.flush();
}

bool ChatPrinter::is_ours(const ChatLine& line) const {
  return mine_.contains(line.message) || (line.turn != 0 && turns_.contains(line.turn));
}

void ChatPrinter::line(const ChatLine& line) {
  if (mode_ == Mode::kPlain) {
    plain_line(line);
  } else {
    terminal_line(line);
  }
}

void ChatPrinter::plain_line(const ChatLine& line) {
  if (!is_ours(line) || line.kind == "person" || line.kind == "command") return;
  if (line.kind == "notice") {
    console_.err << "sluice: " << safe_text(line.text) << "\n";
  } else {
    console_.out << safe_text(line.text) << (line.cut ? "\n[cut off]\n" : "\n");
  }
}

void ChatPrinter::terminal_line(const ChatLine& line) {
  const bool own = line.kind == "person" || line.kind == "command";
  if (own && unseen_.erase(line.message) > 0) return;  // it was typed here
  // What was shown of it stands on the current line, or it is shown whole.
  const bool goes_on = in_answer_ && line.given > 0;
  if (!goes_on) {
    end_answer();
    begin(label_of(line));
  }
  console_.out << stream_.put(std::string_view(line.text).substr(goes_on ? line.given : 0))
               << stream_.end() << (line.cut ? " [cut off]\n" : "\n");
  in_answer_ = false;
}

void ChatPrinter::show_earlier(const ChatLine& line) {
  if (mode_ == Mode::kTerminal) terminal_line(line);
}

void ChatPrinter::begin(std::string_view label) {
  if (at_prompt_) console_.out << "\r";
  at_prompt_ = false;
  console_.out << label;
}

void ChatPrinter::end_answer() {
  if (in_answer_) console_.out << stream_.end() << "\n";
  in_answer_ = false;
}

void ChatPrinter::accepted(std::int64_t message, std::string_view client_id) {
  if (mode_ == Mode::kPlain) mine_.insert(message);
  if (mode_ == Mode::kTerminal) unseen_.insert(message);
  if (mode_ != Mode::kJson) return;
  console_.out << safe_json(
                      json::object{{"event", "accepted"}, {"message", message}, {"id", client_id}})
               << "\n";
  console_.out.flush();
}

void ChatPrinter::ended(std::int64_t message, std::string_view outcome) {
  mine_.erase(message);
  if (mine_.empty()) turns_.clear();
  if (mode_ != Mode::kJson) return;
  console_.out << safe_json(
                      json::object{{"event", "ended"}, {"message", message}, {"outcome", outcome}})
               << "\n";
  console_.out.flush();
}

void ChatPrinter::say(std::string_view text) { tell(kOwnLabel, text); }

void ChatPrinter::failure(std::string_view text) { tell(kNoticeLabel, text); }

void ChatPrinter::tell(std::string_view label, std::string_view text) {
  if (mode_ != Mode::kTerminal) {
    console_.err << "sluice: " << safe_line(text) << "\n";
    return;
  }
  end_answer();
  begin(label);
  console_.out << safe_line(text) << "\n";
  console_.out.flush();
}

void ChatPrinter::broken_off() {
  if (!in_answer_) console_.out << "\n";
  at_prompt_ = false;
}

void ChatPrinter::prompt() {
  if (mode_ != Mode::kTerminal || at_prompt_ || in_answer_) return;
  console_.out << kPrompt;
  console_.out.flush();
  at_prompt_ = true;
}

}  // namespace sluice::ctl
