#pragma once
// Questions to a person at a terminal, one line each.
//
// Thread: one; blocks until the line is there. Limits: kLineMax bytes a line.

#include <functional>
#include <optional>
#include <ostream>
#include <string>
#include <string_view>

namespace sluice::app {

class Terminal {
 public:
  static constexpr std::size_t kLineMax = 16 << 10;

  Terminal(int in, std::ostream& out) : in_(in), out_(out) {}

  /// The line without blanks around it, or fallback if it is empty. Nothing at the end of input,
  /// on ^C, or if the line is too long: the person wants no more of this.
  std::optional<std::string> ask(std::string_view question, std::string_view fallback);
  /// The same, not shown while it is typed; no fallback.
  std::optional<std::string> ask_hidden(std::string_view question);
  /// A number from 1 to count; asks again while it is anything else, at most kTriesMax times.
  std::optional<std::size_t> choose(std::string_view question, std::size_t count,
                                    std::size_t fallback);
  void say(std::string_view text);

 private:
  static constexpr int kTriesMax = 10;
  /// wait: called before each byte is read; false ends it. May be empty.
  std::optional<std::string> read_line(const std::function<bool()>& wait);
  int in_;
  std::ostream& out_;
};

}  // namespace sluice::app
