#pragma once
// Module lifecycle: how the process ends. What is under way and since when (here), the phases of a
// stop and their budgets (coordinator.h), hooks (hooks.h), goodbyes to those who follow
// (parting.h), and what systemd is told (announcer.h). It may include base,
// runtime and observe; system calls come through an interface that app/ fills.
//
// InFlight: everything that a stop waits for. A Guard is held for as long as its work is under
// way, and says what it is, so that a stop can tell what it had to force. No polling: whoever waits
// is woken when a guard goes.
//
// Shard-confined, so the count needs no atomics and acquire() can't race a shutdown: between its
// look at accepting() and its place in the list nobody else runs. InFlight outlives its guards.
// Nothing here fails. Bounds: as many guards as requests, turns and appends, which are bounded by
// their owners.

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "runtime/list.h"
#include "runtime/loop.h"
#include "runtime/wait.h"

namespace sluice::lifecycle {

enum class Work : std::uint8_t {
  kRequest,  // an HTTP exchange
  kSocket,   // one that follows a conversation: it goes on until it is asked to end
  kTurn,     // a turn or a command of a person's, until its end is on disk
  kAppend,   // what a channel has received, until it is on disk
};
inline constexpr std::size_t kWorks = 4;
std::string_view to_string(Work work);

/// Why somebody who follows is asked to end, and when to come back.
struct Parting {
  bool restart = false;  // somebody else serves at once: WebSocket close 1012, else 1001
  std::chrono::milliseconds come_back{0};
  std::chrono::milliseconds goodbye{0};  // how long to wait before saying so
};

/// Whoever holds a kSocket guard. Called at most once; ends in its own time, after what is queued.
class Parts {
 public:
  virtual void part(const Parting& parting) = 0;

 protected:
  ~Parts() = default;
};

class InFlight;

/// One piece of work under way; released by its destructor. Movable: it keeps its place and its
/// start.
class Guard : ListNode {
 public:
  /// InFlight's alone to make: a guard is made where it stays, because moving costs.
  class Key {
    friend class InFlight;
    Key() = default;
  };
  Guard() = default;  // holds nothing
  Guard(Key, InFlight& owner, Work work, std::string&& request_id, std::int64_t conversation);
  ~Guard() { release(); }
  Guard(Guard&& other) noexcept { take(other); }
  Guard& operator=(Guard&& other) noexcept {
    if (this != &other) {
      release();
      take(other);
    }
    return *this;
  }

  void release();
  bool held() const { return owner_ != nullptr; }

  Work work() const { return work_; }
  /// As the client or the gateway calls it.
  const std::string& request_id() const { return request_id_; }
  /// 0: of none, or not known yet.
  std::int64_t conversation() const { return conversation_; }
  MonoTime since() const { return since_; }

  void set_request_id(std::string id) { request_id_ = std::move(id); }
  void set_conversation(std::int64_t conversation) { conversation_ = conversation; }
  /// A request turns out to follow a conversation. who outlives the guard or calls
  /// stop_following().
  void follow(std::int64_t conversation, Parts& who);
  void stop_following();
  /// False if it was asked before, or does not follow.
  bool ask_to_part(const Parting& parting);
  bool may_be_asked() const { return who_ != nullptr; }

 private:
  friend class InFlight;
  template <class T>
  friend class sluice::List;
  void take(Guard& other);
  void change(Work work);

  InFlight* owner_ = nullptr;
  Parts* who_ = nullptr;
  std::string request_id_;
  std::int64_t conversation_ = 0;
  MonoTime since_;
  Work work_ = Work::kRequest;
};

class InFlight {
 public:
  explicit InFlight(Loop& loop) : loop_(loop), released_(loop) {}
  InFlight(const InFlight&) = delete;
  InFlight& operator=(const InFlight&) = delete;

  /// For what may be refused: nullopt once the shutdown has begun to drain.
  std::optional<Guard> acquire(Work work, std::string&& request_id = {},
                               std::int64_t conversation = 0) {
    std::optional<Guard> guard;
    if (accepting_) {
      guard.emplace(Guard::Key(), *this, work, std::move(request_id), conversation);
    }
    return guard;
  }
  /// For what follows from work that was accepted: never refused.
  Guard hold(Work work, std::string&& request_id = {}, std::int64_t conversation = 0) {
    return Guard(Guard::Key(), *this, work, std::move(request_id), conversation);
  }

  bool accepting() const { return accepting_; }
  void stop_accepting() { accepting_ = false; }

  std::size_t count() const;
  std::size_t count(Work work) const { return counts_[static_cast<std::size_t>(work)]; }
  /// Pulsed whenever a guard is released, or stops or begins to follow.
  Event& changed() { return released_; }
  /// Until nothing is under way.
  Task<void> none_left();

  /// The longest under way first. f must not release guards other than its own.
  template <class F>
  void for_each(F&& f) {
    guards_.for_each(f);
  }
  Loop& loop() { return loop_; }

 private:
  friend class Guard;
  Loop& loop_;
  List<Guard> guards_;
  std::array<std::size_t, kWorks> counts_{};
  Event released_;
  bool accepting_ = true;
};

// Each request passes here twice.
inline Guard::Guard(Key, InFlight& owner, Work work, std::string&& request_id,
                    std::int64_t conversation)
    : owner_(&owner),
      request_id_(std::move(request_id)),
      conversation_(conversation),
      since_(owner.loop_.now()),
      work_(work) {
  ++owner_->counts_[static_cast<std::size_t>(work_)];
  owner_->guards_.push_back(*this);
}

inline void Guard::release() {
  if (owner_ == nullptr) return;
  InFlight& owner = *std::exchange(owner_, nullptr);
  who_ = nullptr;
  unlink();
  --owner.counts_[static_cast<std::size_t>(work_)];
  owner.released_.pulse();
}

}  // namespace sluice::lifecycle
