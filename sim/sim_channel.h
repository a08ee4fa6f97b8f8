#pragma once
// SimChannel: one account on a platform of the simulated world. The platform itself, with what it
// knows and what it answers, is in Outside and in the seed; this is the daemon's end of it, gone
// with a crash.

#include "gateway/channel.h"
#include "runtime/task_group.h"
#include "sim/outside.h"

namespace sluice::sim {

class SimChannel : public Channel {
 public:
  SimChannel(Loop& loop, Outside& outside, ChannelInfo info, AccountOptions account)
      : loop_(loop),
        outside_(outside),
        info_(std::move(info)),
        account_(std::move(account)),
        tasks_(loop) {}

  const ChannelInfo& info() const override { return info_; }
  const AccountOptions& account() const override { return account_; }
  void set_account(const AccountOptions& account) override { account_ = account; }
  Task<Result<void>> start(ChannelHost& host) override;
  Task<void> stop() override;
  Task<SendOutcome> send(SendRequest request) override;
  Task<Result<std::optional<std::string>>> find_sent(SendRequest request) override;

  /// The platform delivers an event; its acknowledgement is written down when accept() answers.
  void deliver(std::size_t event);
  /// Several events in one body.
  void deliver_body(std::vector<std::size_t> events);
  bool started() const { return host_ != nullptr; }
  ChannelHost* host() { return host_; }

  /// What the committed store says about a part when a send of it begins; set by the world (C18).
  std::function<void(const SendRequest&)> on_send;

 private:
  Task<void> accept(std::vector<std::size_t> events);
  void arrive(const SendRequest& request);

  Loop& loop_;
  Outside& outside_;
  ChannelInfo info_;
  AccountOptions account_;
  ChannelHost* host_ = nullptr;
  TaskGroup tasks_;
};

}  // namespace sluice::sim
