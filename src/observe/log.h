#pragma once
// Log: one event a line with typed fields: log.info("turn_ended", {{"turn", id}, {"lane", lane}}).
// Events are named in snake_case so that they can be searched for and counted. A message's text, a
// secret, or a whole URL is never a field.
//
// Logger is the interface that the domain sees. Production writes through spdlog (make_logger), the
// simulation keeps lines in memory. Any thread may call; lines of one thread keep their order.

#include <atomic>
#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <variant>

#include "base/result.h"

namespace sluice {

enum class LogLevel : std::uint8_t { kDebug, kInfo, kWarn, kError };

struct LogField {
  std::string_view name;
  std::variant<std::int64_t, bool, double, std::string_view> value;

  template <std::integral T>
    requires(!std::same_as<T, bool>)
  LogField(std::string_view n, T v) : name(n), value(static_cast<std::int64_t>(v)) {}
  LogField(std::string_view n, bool v) : name(n), value(v) {}
  LogField(std::string_view n, double v) : name(n), value(v) {}
  LogField(std::string_view n, std::string_view v) : name(n), value(v) {}
  LogField(std::string_view n, const std::string& v) : name(n), value(std::string_view(v)) {}
  LogField(std::string_view n, const char* v) : name(n), value(std::string_view(v)) {}
};

class Logger {
 public:
  using Fields = std::initializer_list<LogField>;
  virtual ~Logger() = default;

  void debug(std::string_view event, Fields fields = {}) { log(LogLevel::kDebug, event, fields); }
  void info(std::string_view event, Fields fields = {}) { log(LogLevel::kInfo, event, fields); }
  void warn(std::string_view event, Fields fields = {}) { log(LogLevel::kWarn, event, fields); }
  void error(std::string_view event, Fields fields = {}) { log(LogLevel::kError, event, fields); }

  bool enabled(LogLevel level) const { return level >= least_.load(std::memory_order_relaxed); }
  void set_level(LogLevel least) { least_.store(least, std::memory_order_relaxed); }

 protected:
  virtual void write(LogLevel level, std::string_view event, std::span<const LogField> fields) = 0;

 private:
  void log(LogLevel level, std::string_view event, Fields fields) {
    if (enabled(level)) write(level, event, std::span(fields.begin(), fields.size()));
  }
  std::atomic<LogLevel> least_ = LogLevel::kInfo;
};

struct LogOptions {
  enum class Format : std::uint8_t { kText, kJson };
  Format format = Format::kText;
  LogLevel level = LogLevel::kInfo;
  std::string file;  // empty: standard error. Created 0600.
};

/// Fails with kInvalidArgument if the file cannot be opened for appending.
Result<std::unique_ptr<Logger>> make_logger(const LogOptions& options);

/// Drops everything; for tests and benchmarks.
class NullLogger : public Logger {
  void write(LogLevel, std::string_view, std::span<const LogField>) override {}
};

}  // namespace sluice
