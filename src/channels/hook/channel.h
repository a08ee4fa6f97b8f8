#pragma once
// Channel "hook": other programs post messages in, and parts are posted to a callback URL of
// theirs, or the answer comes in the response, or is fetched by a link (docs/channels/hook.md). It
// is the channel that pushes: claims, outcomes and the unknown rule are for real here. Its guide
// says what is done when an outcome is unknown: the receiver's idempotency window while it lasts,
// then one more post labelled as a possible duplicate (C19).
//
// Callers' callbacks may only lead to public addresses and what callback_allow lists; the account's
// own callback is trusted as written. Nothing is redirected.
//
// Shard-confined. The gateway owns the channel; shard, mount and client outlive it. A send that is
// destroyed closes its connection: its outcome is then unknown.

#include <memory>
#include <string>

#include "channels/hook/body.h"
#include "channels/hook/door.h"
#include "channels/hook/face.h"
#include "channels/hook/mount.h"
#include "channels/hook/options.h"
#include "gateway/channel.h"
#include "net/egress.h"
#include "net/http_client.h"
#include "runtime/shard.h"

namespace sluice::hook {

/// The label of a possible duplicate is a field and a header here, for programs to read: the text
/// stays what it was.
class HookFormatter : public Formatter {
 public:
  std::string possible_duplicate(std::string_view text) const override;
};

class HookChannel : public Channel, private Receiver {
 public:
  static constexpr std::size_t kAnswerBytesMax = 64 << 10;  // of a callback's answer

  /// kInvalidArgument: a callback or an entry of callback_allow that is none.
  static Result<std::unique_ptr<HookChannel>> make(std::string name, HookOptions options,
                                                   HookMount& mount, net::HttpClient& client,
                                                   Shard& shard);
  ~HookChannel() override;

  const ChannelInfo& info() const override { return info_; }
  const AccountOptions& account() const override { return options_; }
  void set_account(const AccountOptions& account) override;
  const Formatter& formatter() const override { return formatter_; }
  /// kConflict: the name is taken on the mount. Without a token or secret nothing is mounted: the
  /// account then only sends.
  Task<Result<void>> start(ChannelHost& host) override;
  /// New posts get 503, those that wait for answers get their links, and 404 once the channel is
  /// destroyed.
  Task<void> stop() override;
  Task<SendOutcome> send(SendRequest request) override;
  std::string memory() const override { return door_.memory(); }
  void remember(const std::string& memory) override { door_.remember(memory); }

 private:
  HookChannel(std::string name, HookOptions options, net::EgressPolicy policy, HookMount& mount,
              net::HttpClient& client, Shard& shard);

  Door& door() override { return door_; }
  std::uint64_t body_max() const override { return options_.body_max; }
  Result<HookBody> read(const net::HttpRequest& request) const override;
  std::shared_ptr<Face> face() const override { return face_; }

  void leave();
  /// Whether a caller may name this as a callback, as far as the URL alone tells.
  Result<void> check_callback(const std::string& callback) const;
  net::HttpClientRequest post(const SendRequest& request, const ReplyTo& to, net::Url url) const;

  const ChannelInfo info_;
  HookOptions options_;
  Door door_;
  const net::EgressPolicy policy_;
  const HookFormatter formatter_;
  HookMount& mount_;
  net::HttpClient& client_;
  Shard& shard_;
  std::shared_ptr<Face> face_;
  bool mounted_ = false;
};

/// The body of a POST to a callback.
std::string part_json(const std::string& account, const SendRequest& request, const ReplyTo& to);

}  // namespace sluice::hook
