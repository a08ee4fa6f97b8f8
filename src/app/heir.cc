// Heir: the successor's side of a succession.

#include <algorithm>
#include <cstdlib>
#include <utility>

#include <boost/json.hpp>
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include "app/paths.h"
#include "app/successor.h"
#include "app/version.h"

namespace sluice::app {
namespace {

using Type = HandoverLink::Type;

/// An earlier process of another version may have sent none.
std::map<std::string, std::string> read_memory(std::string_view bytes) {
  std::map<std::string, std::string> memory;
  boost::system::error_code wrong;
  const boost::json::value all = boost::json::parse(bytes, wrong);
  if (wrong || !all.is_object()) return memory;
  for (const auto& [name, text] : all.get_object()) {
    if (text.is_string()) memory.emplace(name, text.get_string());
  }
  return memory;
}

}  // namespace

Result<std::unique_ptr<Heir>> Heir::from_environment(Shard& shard, Logger& log) {
  const char* text = std::getenv(kHandoverVariable);
  if (text == nullptr) return std::unique_ptr<Heir>();
  const int fd = std::atoi(text);
  ::unsetenv(kHandoverVariable);
  if (fd <= STDERR_FILENO || ::fcntl(fd, F_SETFD, FD_CLOEXEC) != 0)
    return Error(ErrorKind::kInvalidArgument, "there is nobody to take over from");
  auto link = HandoverLink::make(shard, services::Descriptor(fd));
  if (!link) return link.error();
  return std::unique_ptr<Heir>(new Heir(std::move(*link), log));
}

Result<std::unique_ptr<Heir>> Heir::at_door(Shard& shard, Logger& log, const std::string& path) {
  Result<services::Descriptor> socket = HandoverDoor::knock(path);
  if (!socket) {
    const bool none = socket.error().kind() == ErrorKind::kNotFound;
    const char* why = none ? "there is no daemon to take over from: " : "can't take over: ";
    return Error(socket.error().kind(), why + socket.error().context());
  }
  auto link = HandoverLink::make(shard, std::move(*socket));
  if (!link) return link.error();
  return std::unique_ptr<Heir>(new Heir(std::move(*link), log));
}

std::optional<CallNews> Heir::read(std::string_view bytes) {
  Result<CallNews> news = decode_call_news(bytes);
  if (news) return std::move(*news);
  log_.error("handover_garbage", {{"error", news.error().to_string()}});
  return std::nullopt;
}

void Heir::hear(CallNews news) { hear_from_earlier(*calls_, std::move(news), tell_earlier_); }

Task<Result<void>> Heir::take_over(AgentCalls* calls, std::string data) {
  calls_ = calls;
  tell_earlier_ = [this](CallDropped dropped) { link_->send(Type::kNews, encode(dropped)); };
  link_->send(Type::kHello,
              fmt::format("{} {} {}", kHandoverProtocol, kVersion, identity_of(data)));
  link_->send(Type::kReady, {});
  for (;;) {
    Result<HandoverLink::Frame> frame = co_await link_->receive(MonoTime::max());
    if (!frame) co_return frame.error();
    if (frame->type == Type::kRefused) {
      co_return Error(ErrorKind::kConflict, "the running daemon goes on: " + frame->payload,
                      ErrorSource::kPeer);
    }
    if (frame->type == Type::kNews) {
      if (std::optional<CallNews> news = read(frame->payload)) hear(std::move(*news));
    }
    if (frame->type != Type::kCommit) continue;
    // One name a line, in the order of the descriptors: the lock first. Then what is remembered.
    std::string_view names = frame->payload;
    estate_.in_good_order = names.starts_with("good\n");
    names.remove_prefix(std::min(names.size(), names.find('\n') + 1));
    for (services::Descriptor& fd : frame->fds) {
      const std::string name(names.substr(0, names.find('\n')));
      names.remove_prefix(std::min(names.size(), name.size() + 1));
      if (name == "lock") {
        estate_.lock = std::move(fd);
      } else if (name == kControlOfEstate) {
        estate_.control = std::move(fd);
      } else {
        estate_.listeners.emplace(name, std::move(fd));
      }
    }
    estate_.memory = read_memory(names);
    if (!estate_.lock.is_open()) co_return Error(ErrorKind::kInvalidArgument, "no lock was given");
    co_return Result<void>();
  }
}

Task<void> Heir::listen(Gateway* gateway) {
  {
    AsksForEarlier asks(*gateway,
                        [this](const CallNews& news) { link_->send(Type::kNews, encode(news)); });
    for (;;) {
      const Result<HandoverLink::Frame> frame = co_await link_->receive(MonoTime::max());
      if (!frame) break;
      std::optional<CallNews> news;
      if (frame->type == Type::kNews) news = read(frame->payload);
      if (!news) continue;
      asks.hear(*news);
      hear(std::move(*news));
    }
  }
  gone_ = true;
  log_.info("earlier_process_ended", {{"calls", calls_->all().size()}});
  calls_->lose_adopted();
}

}  // namespace sluice::app
