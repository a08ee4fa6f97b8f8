#pragma once
// ChatPrinter: shows a conversation, in one of three ways: to a person at a terminal, as plain text
// for scripts, or as JSON events, one a line. One thread; the console outlives it.

#include <set>
#include <string>
#include <string_view>

#include "ctl/chat_log.h"
#include "ctl/console.h"

namespace sluice::ctl {

class ChatPrinter {
 public:
  enum class Mode : std::uint8_t {
    kTerminal,  // everything, answers as they grow, a prompt
    kPlain,     // answers to our own messages on out, whole; notices on err
    kJson,      // everything
  };
  ChatPrinter(Console& console, Mode mode) : console_(console), mode_(mode) {}

  void show(const ChatEvent& event);
  /// A message of ours was accepted: its line is not shown again, and what answers it is ours.
  void accepted(std::int64_t message, std::string_view client_id);
  /// It has ended; nothing of it will come any more.
  void ended(std::int64_t message, std::string_view outcome);
  /// A line from before this session.
  void show_earlier(const ChatLine& line);

  /// Something that the command itself has to say. Not for kJson's output: it goes to err.
  void say(std::string_view text);
  void failure(std::string_view text);
  /// Waits for the person to type; kTerminal only.
  void prompt();
  /// The person has typed a line: the cursor is at the beginning of the next.
  void typed() { at_prompt_ = false; }
  /// Ctrl-C or Ctrl-D: the cursor stands behind the prompt, and behind "^C".
  void broken_off();

 private:
  void line(const ChatLine& line);
  void terminal_line(const ChatLine& line);
  void plain_line(const ChatLine& line);
  void begin(std::string_view label);
  void end_answer();
  void tell(std::string_view label, std::string_view text);
  bool is_ours(const ChatLine& line) const;

  Console& console_;
  const Mode mode_;
  SafeStream stream_;
  bool at_prompt_ = false;
  bool in_answer_ = false;         // pieces of one are on the current line
  std::set<std::int64_t> mine_;    // kPlain: messages of ours that have not ended
  std::set<std::int64_t> turns_;   // kPlain: and the turns that answer them
  std::set<std::int64_t> unseen_;  // kTerminal: of ours, whose own line has not come
};

}  // namespace sluice::ctl
