#include "follow_load.h"

#include <algorithm>

#include <boost/json.hpp>
#include <fmt/core.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/assert.h"
#include "measure.h"
#include "socket_load.h"

namespace sluice::bench {
namespace json = boost::json;
namespace {

constexpr int kLook = 2;         // milliseconds
constexpr double kNoHint = 0.1;  // seconds: who was cut off comes back by itself

}  // namespace

FollowLoad::FollowLoad(std::uint16_t port, std::string authorization)
    : port_(port),
      authorization_(std::move(authorization)),
      epoll_(::epoll_create1(EPOLL_CLOEXEC)) {}

FollowLoad::~FollowLoad() {
  for (const Page& page : pages_) {
    if (page.fd >= 0) ::close(page.fd);
  }
  ::close(epoll_);
}

void FollowLoad::open(const std::string& chat) {
  pages_.emplace_back().chat = chat;
  connect(pages_.size() - 1, "0");
}

void FollowLoad::connect(std::size_t i, const std::string& after) {
  Page& page = pages_[i];
  page.open = false;
  page.fd = ask_for_web_socket(
      port_, fmt::format("/v1/conversations/{}/socket?after={}", page.chat, after), authorization_);
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = i;
  SLUICE_ASSERT(::epoll_ctl(epoll_, EPOLL_CTL_ADD, page.fd, &event) == 0);
}

void FollowLoad::leave(Page& page) {
  ::close(page.fd);
  page.fd = -1;
  page.in.clear();
  ++page.times_sent_off;
  page.comes_back_at = wall_seconds() + (page.retry_ms < 0 ? kNoHint : page.retry_ms / 1e3);
}

void FollowLoad::take(std::size_t i) {
  Page& page = pages_[i];
  char chunk[16384];
  const ssize_t n = ::recv(page.fd, chunk, sizeof chunk, 0);
  if (n <= 0) {
    page.code = 0;
    page.retry_ms = -1;
    return leave(page);
  }
  page.in.append(chunk, static_cast<std::size_t>(n));
  page.open = page.open || take_upgrade(page.in);
  if (page.open) read_frames(i);
}

void FollowLoad::read_frames(std::size_t i) {
  Page& page = pages_[i];
  for (ServerFrame frame = first_frame(page.in); frame.size != 0; frame = first_frame(page.in)) {
    if (frame.first == kPingFrame) send_control(page.fd, kPongFrame, frame.payload);
    if (frame.first == kTextFrame) show(page, frame.payload);
    if (frame.first == kCloseFrame) {
      const std::string_view said = frame.payload;
      page.code = said.size() < 2
                      ? std::uint16_t{0}
                      : static_cast<std::uint16_t>(static_cast<unsigned char>(said[0]) << 8 |
                                                   static_cast<unsigned char>(said[1]));
      boost::system::error_code bad;
      const json::value hint = json::parse(said.substr(std::min<std::size_t>(2, said.size())), bad);
      const json::value* retry =
          hint.is_object() ? hint.get_object().if_contains("retry_ms") : nullptr;
      page.retry_ms =
          retry != nullptr && retry->is_int64() ? static_cast<double>(retry->get_int64()) : -1;
      send_control(page.fd, kCloseFrame, said.substr(0, 2));
      return leave(page);
    }
    page.in.erase(0, frame.size);
  }
}

void FollowLoad::show(Page& page, std::string_view events) {
  for (const json::value& one : json::parse(events).as_array()) {
    const std::string_view event = one.at("event").as_string();
    const json::value& data = one.at("data");
    if (event == "message") {
      page.last_line = data.at("id").to_number<std::int64_t>();
      if (data.at("kind").as_string() != "agent") continue;
      page.answers.emplace_back(data.at("text").as_string());
      page.missed = page.missed || !page.answers.back().starts_with(page.growing);
      page.growing.clear();
    } else if (event == "reset") {
      page.growing.clear();
    } else if (event == "delta") {
      const auto offset = data.at("offset").to_number<std::size_t>();
      page.missed = page.missed || offset > page.growing.size();
      page.growing.resize(std::min(offset, page.growing.size()));
      page.growing += data.at("text").as_string();
    }
  }
}

bool FollowLoad::run_until(const std::function<bool()>& done, double seconds) {
  const double until = wall_seconds() + seconds;
  epoll_event events[256];
  while (!done()) {
    if (wall_seconds() > until) return false;
    const int n = ::epoll_wait(epoll_, events, 256, kLook);
    for (int k = 0; k < n; ++k) take(static_cast<std::size_t>(events[k].data.u64));
    for (std::size_t i = 0; i < pages_.size(); ++i) {
      Page& page = pages_[i];
      if (page.fd >= 0 || wall_seconds() < page.comes_back_at) continue;
      page.came_back_at.push_back(wall_seconds());
      connect(i, std::to_string(page.last_line));
    }
  }
  return true;
}

}  // namespace sluice::bench
