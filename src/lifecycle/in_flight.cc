#include "lifecycle/in_flight.h"

#include <numeric>
#include <utility>

namespace sluice::lifecycle {

std::string_view to_string(Work work) {
  constexpr std::array<std::string_view, kWorks> kNames = {"request", "socket", "turn", "append"};
  return kNames[static_cast<std::size_t>(work)];
}

void Guard::take(Guard& other) {
  take_place_of(other);
  owner_ = std::exchange(other.owner_, nullptr);
  who_ = std::exchange(other.who_, nullptr);
  request_id_ = std::move(other.request_id_);
  conversation_ = other.conversation_;
  since_ = other.since_;
  work_ = other.work_;
}

void Guard::change(Work work) {
  if (owner_ == nullptr) return;
  --owner_->counts_[static_cast<std::size_t>(work_)];
  work_ = work;
  ++owner_->counts_[static_cast<std::size_t>(work_)];
  owner_->released_.pulse();
}

void Guard::follow(std::int64_t conversation, Parts& who) {
  conversation_ = conversation;
  who_ = &who;
  change(Work::kSocket);
}

void Guard::stop_following() {
  who_ = nullptr;
  change(Work::kRequest);
}

bool Guard::ask_to_part(const Parting& parting) {
  Parts* const who = std::exchange(who_, nullptr);
  if (who == nullptr) return false;
  who->part(parting);
  return true;
}

std::size_t InFlight::count() const {
  return std::accumulate(counts_.begin(), counts_.end(), std::size_t{0});
}

Task<void> InFlight::none_left() {
  while (count() > 0) co_await released_.wait();
}

}  // namespace sluice::lifecycle
