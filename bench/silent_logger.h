#pragma once
// SilentLogger: for what is measured without its log.

#include "observe/log.h"

namespace sluice::bench {

class SilentLogger : public Logger {
 public:
  SilentLogger() { set_level(LogLevel::kError); }

 private:
  void write(LogLevel, std::string_view, std::span<const LogField>) override {}
};

}  // namespace sluice::bench
