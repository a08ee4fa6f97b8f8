#pragma once
// What is wrong with a configuration, for a person with the file open in an editor:
//   sluice.toml:12:1: unknown key "tiemout" in [agents.main]; did you mean "timeout"?
// No diagnostic ever holds the value of a secret, and what it quotes is stripped of control
// characters.
//
// Thread: values.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::config {

/// Both from 1; line 0 is the file as a whole.
struct Position {
  std::uint32_t line = 0;
  std::uint32_t column = 0;
};

struct Diagnostic {
  enum class Severity : std::uint8_t { kError, kWarning };
  Severity severity = Severity::kError;
  std::string file;
  Position at;
  std::string key;  // the full path, "agents.main.timeout"; empty for the file as a whole
  std::string message;

  /// "file:line:column: message", as compilers write it, so that editors can jump there.
  std::string to_string() const;
};

/// Collects them. Keeps the first kMost; the last one then says how many more there were.
class Problems {
 public:
  static constexpr std::size_t kMost = 100;

  explicit Problems(std::string file) : file_(std::move(file)) {}

  void error(Position at, std::string key, std::string message);
  void warning(Position at, std::string key, std::string message);

  std::size_t errors() const { return errors_; }
  /// In the order of the file.
  std::vector<Diagnostic> take();

 private:
  void add(Diagnostic::Severity severity, Position at, std::string key, std::string message);

  std::string file_;
  std::vector<Diagnostic> all_;
  std::size_t errors_ = 0;
  std::size_t dropped_ = 0;
};

/// The candidate that differs least from word, by insertions, deletions, replacements and swaps of
/// neighbours; empty if none is near enough to be a slip of the fingers. Words over 64 bytes match
/// nothing.
std::string_view nearest(std::string_view word, const std::vector<std::string>& candidates);

/// Text from the file as part of a one-line message: no control characters, at most limit bytes.
std::string printable(std::string_view text, std::size_t limit = 64);

}  // namespace sluice::config
