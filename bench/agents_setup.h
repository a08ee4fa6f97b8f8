#pragma once
// What the sections of the suite "agents" share: the daemon with a model that is mocked.

#include <memory>
#include <optional>
#include <string>

#include "child_process.h"
#include "daemon_process.h"
#include "measure.h"
#include "report.h"
#include "stream_load.h"

namespace sluice::bench {

inline constexpr const char* kCompletions = "/v1/chat/completions";

/// A mock model, and the daemon that asks it, through the OpenAI face; the bounds on concurrency
/// are out of the way.
class ModelWorld {
 public:
  explicit ModelWorld(const Scale& scale);
  std::uint16_t model_port() const { return model_.port(); }
  const DaemonProcess& daemon() const { return *daemon_; }

 private:
  Helper model_{{"mock-model"}};
  TempDir directory_;
  std::optional<DaemonProcess> daemon_;
};

/// By then the daemon has given back what its start needed; memory grows from there.
inline constexpr double kStartIsOver = 2;  // seconds

/// Whether there is a daemon to measure.
bool has_daemon(const Scale& scale);

}  // namespace sluice::bench
