#include "observe/log.h"

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>
#include <functional>
#include <mutex>
#include <utility>

#include <fcntl.h>
#include <poll.h>
#include <spdlog/logger.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/base_sink.h>
#include <sys/stat.h>
#include <unistd.h>

#include "observe/log_format.h"

namespace sluice {
namespace {

/// Each line is one write(2) to a descriptor opened for appending: lines of several processes (the
/// old and the new one of a restart) never mix, nothing is lost in a buffer when the process dies,
/// and logrotate's copytruncate works. spdlog's own file sinks buffer, create 0644 and leak their
/// descriptor to children.
///
/// A pipe or a terminal that nobody reads any more holds nobody up for longer than kPatience: lines
/// are lost then, and counted, until there is room again.
class DescriptorSink : public spdlog::sinks::base_sink<std::mutex> {
 public:
  static constexpr int kPatience = 100;  // milliseconds

  /// tell_lost: what a line says that stands for so many lost ones.
  DescriptorSink(int fd, bool owned, std::function<std::string(std::uint64_t)> tell_lost)
      : fd_(fd), owned_(owned), tell_lost_(std::move(tell_lost)) {
    struct stat what{};
    may_fill_up_ = ::fstat(fd, &what) != 0 || !S_ISREG(what.st_mode);
  }
  ~DescriptorSink() override {
    if (owned_) ::close(fd_);
  }

 private:
  void sink_it_(const spdlog::details::log_msg& message) override {
    if (lost_ > 0 && has_room()) {
      const std::string said = tell_lost_(std::exchange(lost_, 0));
      spdlog::details::log_msg note = message;
      note.payload = said;
      put(note);
    }
    put(message);
  }
  void flush_() override {}

  void put(const spdlog::details::log_msg& message) {
    spdlog::memory_buf_t line;
    formatter_->format(message, line);
    const char* data = line.data();
    std::size_t left = line.size();
    while (left > 0) {
      if (!has_room()) {
        ++lost_;
        return;
      }
      // A pipe with room takes so much without waiting (pipe(7)).
      const std::size_t piece = may_fill_up_ ? std::min<std::size_t>(left, PIPE_BUF) : left;
      const ssize_t written = ::write(fd_, data, piece);
      if (written < 0 && errno == EINTR) continue;
      // Without a log there is nobody to tell but standard error, which spdlog does, once a second.
      if (written <= 0) throw spdlog::spdlog_ex("writing the log failed", errno);
      data += written;
      left -= static_cast<std::size_t>(written);
    }
  }
  bool has_room() {
    if (!may_fill_up_) return true;
    pollfd out{fd_, POLLOUT, 0};
    full_ = ::poll(&out, 1, full_ ? 0 : kPatience) == 0;
    return !full_;
  }

  const int fd_;
  const bool owned_;
  const std::function<std::string(std::uint64_t)> tell_lost_;
  bool may_fill_up_ = false;
  bool full_ = false;
  std::uint64_t lost_ = 0;
};

fmt::memory_buffer payload_of(LogOptions::Format format, LogLevel level, std::string_view event,
                              std::span<const LogField> fields) {
  fmt::memory_buffer line;
  if (format == LogOptions::Format::kJson) {
    fmt::format_to(std::back_inserter(line), "\"level\":\"{}\",", to_string(level));
    append_json(line, event, fields);
  } else {
    fmt::format_to(std::back_inserter(line), "{:5} ", to_string(level));
    append_text(line, event, fields);
  }
  return line;
}

class SpdlogLogger : public Logger {
 public:
  SpdlogLogger(const LogOptions& options, spdlog::sink_ptr sink)
      : format_(options.format), logger_("sluice", std::move(sink)) {
    const bool json = format_ == LogOptions::Format::kJson;
    logger_.set_formatter(std::make_unique<spdlog::pattern_formatter>(
        json ? "{\"time\":\"%Y-%m-%dT%H:%M:%S.%eZ\",%v}" : "%Y-%m-%dT%H:%M:%S.%eZ %v",
        spdlog::pattern_time_type::utc));
    logger_.set_level(spdlog::level::trace);  // Logger has decided already
    set_level(options.level);
  }

 private:
  void write(LogLevel level, std::string_view event, std::span<const LogField> fields) override {
    const fmt::memory_buffer line = payload_of(format_, level, event, fields);
    logger_.log(spdlog_level(level), spdlog::string_view_t(line.data(), line.size()));
  }

  static spdlog::level::level_enum spdlog_level(LogLevel level) {
    switch (level) {
      case LogLevel::kDebug:
        return spdlog::level::debug;
      case LogLevel::kInfo:
        return spdlog::level::info;
      case LogLevel::kWarn:
        return spdlog::level::warn;
      case LogLevel::kError:
        return spdlog::level::err;
    }
    return spdlog::level::err;
  }

  const LogOptions::Format format_;
  spdlog::logger logger_;
};

}  // namespace

Result<std::unique_ptr<Logger>> make_logger(const LogOptions& options) {
  int fd = STDERR_FILENO;
  if (!options.file.empty()) {
    fd = ::open(options.file.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0600);
    if (fd < 0) {
      return Error(ErrorKind::kInvalidArgument, fmt::format("the log file {} can't be opened: {}",
                                                            options.file, std::strerror(errno)));
    }
  }
  const auto tell_lost = [format = options.format](std::uint64_t count) {
    const LogField fields[] = {{"count", count}};
    return fmt::to_string(payload_of(format, LogLevel::kWarn, "log_lines_lost", fields));
  };
  auto sink = std::make_shared<DescriptorSink>(fd, !options.file.empty(), tell_lost);
  return std::unique_ptr<Logger>(std::make_unique<SpdlogLogger>(options, std::move(sink)));
}

}  // namespace sluice
