#pragma once
// Face: what a channel shares with the requests that it serves. Internal to this folder.
//
// A request runs in its connection, the channel belongs to the gateway, and either may end first: a
// client hangs up, an account is unregistered. So both hold the Face, and host is null once the
// channel has gone. Shard-confined.

#include <algorithm>
#include <memory>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "channels/openai/options.h"
#include "gateway/channel.h"
#include "gateway/turn_follower.h"
#include "media/library.h"
#include "observe/metrics.h"
#include "runtime/wait.h"

namespace sluice::openai {

struct Face {
  Face(ChannelHost& h, std::string account_name, OpenAiFaceOptions o, Metrics& metrics,
       media::Library& library)
      : host(&h),
        media(library),
        loop(h.loop()),
        account(std::move(account_name)),
        options(std::move(o)),
        started_at(loop.wall()),
        opened(loop),
        changed(loop),
        followers(std::make_shared<TurnFollowers>(h)),
        waiting(metrics.gauge("sluice_openai_requests", "Requests that wait for an answer.",
                              {{"account", account}})),
        refused(metrics.counter("sluice_openai_requests_refused_total",
                                "Requests beyond the bounds of their account.",
                                {{"account", account}})),
        broken(metrics.counter("sluice_openai_streams_broken_total",
                               "Streams ended because the answer began anew.",
                               {{"account", account}})) {
    list_models();
  }

  void list_models() {
    models = {options.agent};
    for (const std::string& name : options.models) {
      if (!has_model(name)) models.push_back(name);
    }
  }

  bool has_model(std::string_view name) const {
    return std::find(models.begin(), models.end(), name) != models.end();
  }

  ChannelHost* host;  // null once the channel has gone
  media::Library& media;
  Loop& loop;
  const std::string account;
  OpenAiFaceOptions options;
  std::vector<std::string> models;  // the agent's own name first
  const UnixMillis started_at;
  bool stopping = false;
  /// Chats whose first message is being accepted: a second one waits for it (see TurnFollower).
  std::unordered_set<std::string> opening;
  Event opened;   // pulsed when one leaves `opening`
  Event changed;  // pulsed when a request ends
  std::size_t requests = 0;
  const std::shared_ptr<TurnFollowers> followers;
  std::unordered_map<std::string, std::uint32_t> requests_of;  // by person
  Gauge& waiting;
  Counter& refused;
  Counter& broken;
};

/// Counts a request while it runs.
class InRequest {
 public:
  explicit InRequest(std::shared_ptr<Face> face) : face_(std::move(face)) { ++face_->requests; }
  ~InRequest() {
    --face_->requests;
    face_->changed.pulse();
  }
  InRequest(const InRequest&) = delete;
  InRequest& operator=(const InRequest&) = delete;

 private:
  std::shared_ptr<Face> face_;
};

}  // namespace sluice::openai
