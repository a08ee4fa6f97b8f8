#include "app/checks.h"

#include <cerrno>
#include <cstring>

#include <fmt/format.h>
#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "app/kinds.h"
#include "app/options.h"
#include "app/settings.h"
#include "base/units.h"
#include "net/endpoint.h"
#include "net/url.h"
#include "store/files.h"
#include "store/schema.h"

namespace sluice::app {
namespace {

using admin::Check;
using State = Check::State;

constexpr int kConnectMillis = 3'000;
constexpr std::int64_t kAheadMillis =
    std::int64_t{7} * 24 * 3'600'000;  // as the core's clock guard

}  // namespace

std::vector<Check> disk_checks(const std::string& data, std::uint64_t low_bytes) {
  std::vector<Check> out;
  out.push_back({"data directory", State::kOk, data, ""});
  const files::FileSystem where = files::file_system(data);
  out.push_back({"file system", where.network ? State::kFailed : State::kOk, where.type,
                 where.network ? "locks and syncs do not hold there: use a local disk" : ""});
  const Result<std::uint64_t> free = files::free_bytes(data);
  if (!free) {
    out.push_back({"disk", State::kFailed, free.error().context(), ""});
  } else {
    const bool low = *free < low_bytes;
    out.push_back({"disk", low ? State::kFailed : State::kOk,
                   fmt::format("{:.1f} GiB free", static_cast<double>(*free) / (1 << 30)),
                   low ? fmt::format("below core.disk_low_bytes ({}) nothing is accepted",
                                     format_size(low_bytes))
                       : ""});
  }
  return out;
}

Check integrity_check(const Result<CheckReport>& report) {
  if (!report) {
    return {"store file", State::kFailed, report.error().to_string(),
            "stop the daemon and restore the last backup: sluice restore"};
  }
  if (!report->problems.empty()) {
    return {"store file", State::kFailed,
            fmt::format("{} problems, the first: {}", report->problems.size(),
                        report->problems.front()),
            "stop the daemon and restore the last backup: sluice restore"};
  }
  return {"store file", State::kOk,
          fmt::format("sound; schema {}, {:.1f} MiB and a log of {:.1f} MiB", report->schema,
                      static_cast<double>(report->file_bytes) / (1 << 20),
                      static_cast<double>(report->log_bytes) / (1 << 20)),
          ""};
}

Check media_check(const Result<media::Usage>& look) {
  if (look) {
    return {"attachments", State::kOk,
            fmt::format("{} images, {:.1f} MiB", look->files,
                        static_cast<double>(look->bytes) / (1 << 20)),
            ""};
  }
  return {"attachments", State::kFailed, look.error().context(),
          "the directory must be the daemon's own, with mode 0700"};
}

namespace {

Check config_check(const config::Loaded& loaded, const std::string& path) {
  if (!loaded.config) {
    return {"configuration", State::kFailed, path, "see: sluice check-config " + path};
  }
  if (!loaded.problems.empty()) {
    return {"configuration", State::kWarning,
            fmt::format("{}: {} warnings", path, loaded.problems.size()),
            "see: sluice check-config " + path};
  }
  return {"configuration", State::kOk, path, ""};
}

Check clock_check(sqlite::Database& db) {
  const auto newest = meta_integer(db, "newest_stamp");
  SystemClock clock;
  const std::int64_t now = clock.wall().ms;
  const std::int64_t stamp = newest ? newest->value_or(0) : 0;
  if (now < stamp || (stamp != 0 && now - stamp > kAheadMillis)) {
    return {"clock", State::kWarning,
            now < stamp ? "behind the newest entry of the store"
                        : "more than seven days ahead of the newest entry of the store",
            "set the system's clock, or if it is right: sluice clock accept, once it runs"};
  }
  return {"clock", State::kOk, "plausible", ""};
}

void check_store(const std::string& data, std::vector<Check>& out) {
  const std::string path = files::join(data, files::kDatabase);
  if (!files::exists(path)) {
    out.push_back({"store file", State::kOk, "none yet: the first start makes it", ""});
    return;
  }
  const auto lock = files::LockFile::take(files::join(data, files::kLock));
  if (!lock) {
    out.push_back({"store file", State::kFailed, lock.error().context(),
                   "a process holds the store but does not answer on its control socket"});
    return;
  }
  const auto key = files::read_key(files::join(data, files::kKey));
  if (!key) {
    out.push_back({"hash key", State::kFailed, key.error().context(),
                   "without it the daemon does not start: restore the last backup"});
  }
  auto db = sqlite::Database::open(path, sqlite::Database::Mode::kQuery);
  if (!db) {
    out.push_back(integrity_check(db.error()));
    return;
  }
  out.push_back(integrity_check(check_database(*db, path)));
  out.push_back(clock_check(*db));
}

Check port_check(const std::string& text) {
  const Result<ListenAddress> address = parse_listen(text);
  const std::string host = address && address->host == "localhost" ? "127.0.0.1"
                           : address                               ? address->host
                                                                   : std::string();
  const auto ip = net::IpAddress::parse(host);
  if (!address || !ip) return {"listener", State::kFailed, text + " is not an address", ""};
  sockaddr_storage where{};
  const socklen_t size = net::to_sockaddr({*ip, address->port}, where);
  const int fd = ::socket(where.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int on = 1;
  ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  const bool free = ::bind(fd, reinterpret_cast<const sockaddr*>(&where), size) == 0;
  const std::string why = std::strerror(errno);
  ::close(fd);
  if (free) return {"listener", State::kOk, text + " is free", ""};
  return {"listener", State::kFailed, fmt::format("{}: {}", text, why),
          "stop what listens there, or change server.listen"};
}

/// Why nobody answers there; nothing if somebody does.
std::string unreachable(const net::Url& url) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int code =
      ::getaddrinfo(url.host.c_str(), std::to_string(url.port).c_str(), &hints, &found);
  if (code != 0) return ::gai_strerror(code);
  std::string why = "no address";
  for (const addrinfo* one = found; one != nullptr && !why.empty(); one = one->ai_next) {
    const int fd =
        ::socket(one->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, one->ai_protocol);
    int error = ::connect(fd, one->ai_addr, one->ai_addrlen) == 0 ? 0 : errno;
    pollfd wait{fd, POLLOUT, 0};
    if (error == EINPROGRESS) {
      socklen_t size = sizeof error;
      if (::poll(&wait, 1, kConnectMillis) != 1) {
        error = ETIMEDOUT;
      } else {
        ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
      }
    }
    ::close(fd);
    why = error == 0 ? "" : std::strerror(error);
  }
  ::freeaddrinfo(found);
  return why;
}

Check agent_check(const config::Instance& agent) {
  const std::string text = agent_kind(agent.kind).url(agent);
  const std::string name = "agent " + agent.name;
  if (text.empty()) return {name, State::kOk, "needs no network", ""};
  const auto url = net::Url::parse(text);
  if (!url) return {name, State::kFailed, url.error().context(), ""};
  // Never the whole URL: its path may be a secret.
  const std::string where = fmt::format("{}:{}", url->host, url->port);
  const std::string why = unreachable(*url);
  if (why.empty()) return {name, State::kOk, where + " answers", ""};
  return {name, State::kWarning, fmt::format("{}: {}", where, why),
          "its turns are retried, then become dead letters"};
}

}  // namespace

std::vector<Check> offline_checks(const config::Schema& schema, const PathOptions& paths) {
  std::vector<Check> out;
  const Result<ConfigPath> found = find_config(paths.config);
  if (!found) return {{"configuration", State::kFailed, found.error().context(), ""}};
  config::SystemSecrets secrets;
  const bool written = found->given || files::exists(found->path);
  const config::Loaded loaded = written ? load_settings(schema, found->path, secrets)
                                        : config::load(schema, "", found->path, secrets);
  out.push_back(written ? config_check(loaded, found->path)
                        : Check{"configuration", State::kOk,
                                "none yet: the first start writes " + found->path, ""});
  const std::string configured =
      loaded.config ? loaded.config->section<StoreSettings>("store").dir : std::string();
  const Result<std::string> data = find_data(paths.data, configured);
  if (!data) {
    out.push_back({"data directory", State::kFailed, data.error().context(), ""});
    return out;
  }
  if (!files::exists(*data)) {
    out.push_back({"data directory", State::kOk, "none yet: the first start makes " + *data, ""});
  } else {
    const std::uint64_t low = loaded.config
                                  ? loaded.config->section<CoreOptions>("core").disk_low_bytes
                                  : CoreOptions{}.disk_low_bytes;
    for (Check& check : disk_checks(*data, low)) out.push_back(std::move(check));
    check_store(*data, out);
    if (files::exists(media_directory(*data))) {
      out.push_back(media_check(media::Folder(media_directory(*data)).look()));
    }
  }
  if (!loaded.config) return out;
  for (const std::string& text : loaded.config->section<ServerOptions>("server").listen) {
    out.push_back(port_check(text));
  }
  for (const config::Instance* agent : agent_plans(*loaded.config)) {
    out.push_back(agent_check(*agent));
  }
  return out;
}

}  // namespace sluice::app
