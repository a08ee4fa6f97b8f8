#include "ctl/export.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include "ctl/commands.h"

namespace sluice::ctl {
namespace {

Reply failure(std::string text) {
  Reply reply;
  reply.exit_code = kFailed;
  reply.error = std::move(text);
  return reply;
}

/// A file of its own, gone again unless it was kept.
class NewFile {
 public:
  explicit NewFile(std::string path) : path_(std::move(path)) {
    fd_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  }
  ~NewFile() {
    if (fd_ < 0) return;
    ::close(fd_);
    if (!kept_) ::unlink(path_.c_str());
  }
  NewFile(const NewFile&) = delete;
  NewFile& operator=(const NewFile&) = delete;

  bool is_open() const { return fd_ >= 0; }
  bool write(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t n = ::write(fd_, bytes.data(), bytes.size());
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(n));
    }
    return true;
  }
  bool keep() {
    kept_ = ::fsync(fd_) == 0;
    return kept_;
  }

 private:
  std::string path_;
  int fd_ = -1;
  bool kept_ = false;
};

/// An answer that is no export: the daemon's refusal.
Task<Reply> refusal(Client* client, net::HttpStream stream) {
  std::string body;
  const MonoTime never = MonoTime::max();
  while (body.size() < Client::kAnswerBytes) {
    auto piece = co_await stream.next(never);
    if (!piece) co_return client->failure_of(piece.error());
    if (!*piece) break;
    body += **piece;
  }
  co_return Client::reply_of(stream.status(), std::move(body));
}

}  // namespace

Task<Reply> export_to(Session* session, std::string target, std::string file) {
  std::unique_ptr<NewFile> to;
  if (!file.empty()) {
    to = std::make_unique<NewFile>(file);
    if (!to->is_open()) co_return failure(fmt::format("{}: {}", file, std::strerror(errno)));
  }
  net::HttpClientRequest request = session->client.request("GET", std::move(target));
  request.timeout = Client::kPatient;
  auto opened = co_await session->client.http().open_stream(std::move(request));
  if (!opened) co_return session->client.failure_of(opened.error());
  net::HttpStream stream = std::move(*opened);
  if (stream.status() != 200) co_return co_await refusal(&session->client, std::move(stream));
  std::int64_t promised = -1;
  const std::string_view said = stream.headers().get("Sluice-Lines").value_or("");
  std::from_chars(said.data(), said.data() + said.size(), promised);
  std::int64_t lines = 0;
  for (;;) {
    const auto piece = co_await stream.next(MonoTime::max());
    if (!piece) co_return session->client.failure_of(piece.error());
    if (!*piece) break;
    lines += std::count((*piece)->begin(), (*piece)->end(), '\n');
    if (to == nullptr) {
      session->console.out << (session->console.interactive ? safe_text(**piece) : **piece);
    } else if (!to->write(**piece)) {
      co_return failure(fmt::format("{}: {}", file, std::strerror(errno)));
    }
  }
  if (lines != promised) co_return failure("the export broke off; try again");
  if (to != nullptr && !to->keep())
    co_return failure(fmt::format("{}: {}", file, std::strerror(errno)));
  if (to != nullptr)
    session->console.err << fmt::format("{} lines in {}\n", lines, safe_line(file));
  co_return Reply{};
}

}  // namespace sluice::ctl
