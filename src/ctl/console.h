#pragma once
// Module ctl: the command line, a thin client of the control socket. It knows what the daemon
// answers only as JSON. It may include base, runtime and net.
//
// Console: where a command writes, and what may be written there: text that came from a message or
// from the daemon never carries a terminal escape with it.

#include <ostream>
#include <string>
#include <string_view>

#include <boost/json/fwd.hpp>

namespace sluice::ctl {

/// Exit codes of every command (docs/cli.md).
inline constexpr int kDone = 0;
inline constexpr int kFailed = 1;
inline constexpr int kUsage = 2;
inline constexpr int kUnreachable = 69;  // EX_UNAVAILABLE of sysexits.h

struct Console {
  std::ostream& out;
  std::ostream& err;
  int in = 0;                // chat reads it
  bool interactive = false;  // a person types there and reads here: prompts, streaming
};

/// For several lines of text: no control characters but \n and \t.
std::string safe_text(std::string_view text);
/// For one line: line breaks and tabs become spaces too.
std::string safe_line(std::string_view text);
/// JSON in one line, control characters (C0, DEL and C1) as escapes.
std::string safe_json(const boost::json::value& value);

/// safe_text() for a text that comes in pieces: an escape sequence cut between two of them goes as
/// a whole.
class SafeStream {
 public:
  /// What can be shown now.
  std::string put(std::string_view piece);
  /// The rest, when no more comes.
  std::string end();

 private:
  static constexpr std::size_t kHeldMax =
      4096;  // of an unfinished sequence; longer ones are no sequence
  std::string held_;
};

}  // namespace sluice::ctl
