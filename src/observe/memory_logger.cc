#include "observe/memory_logger.h"

#include <algorithm>

#include "observe/log_format.h"

namespace sluice {

std::vector<std::string> MemoryLogger::lines() const {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> out;
  out.reserve(lines_.size());
  for (const Line& line : lines_) out.push_back(line.text);
  return out;
}

std::size_t MemoryLogger::count(std::string_view event) const {
  const std::lock_guard lock(mutex_);
  return static_cast<std::size_t>(std::count_if(
      lines_.begin(), lines_.end(), [&](const Line& line) { return line.event == event; }));
}

std::string MemoryLogger::last(std::string_view event) const {
  const std::lock_guard lock(mutex_);
  const auto found = std::find_if(lines_.rbegin(), lines_.rend(),
                                  [&](const Line& line) { return line.event == event; });
  return found == lines_.rend() ? std::string() : found->text;
}

void MemoryLogger::clear() {
  const std::lock_guard lock(mutex_);
  lines_.clear();
}

void MemoryLogger::write(LogLevel level, std::string_view event, std::span<const LogField> fields) {
  fmt::memory_buffer line;
  append_text(line, event, fields);
  const std::lock_guard lock(mutex_);
  if (lines_.size() == kMaxLines) lines_.pop_front();
  lines_.push_back(
      {std::string(event), fmt::format("{} {}", to_string(level), fmt::to_string(line))});
}

}  // namespace sluice
