#pragma once
// Face: what a channel shares with the requests that it serves. Internal to this folder.
//
// A request runs in its connection, the channel belongs to the gateway, and either may end first: a
// client hangs up, an account is unregistered. So both hold the Face, and host is null once the
// channel has gone. Shard-confined.

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>

#include "channels/http/options.h"
#include "gateway/channel.h"
#include "media/library.h"
#include "observe/metrics.h"
#include "runtime/list.h"
#include "runtime/wait.h"

namespace sluice::http {

/// A reader of events, to be woken when the channel stops.
class StreamBase : public ListNode {
 public:
  virtual ~StreamBase() = default;
  virtual void wake() = 0;
};

struct Face {
  Face(ChannelHost& h, std::string account_name, HttpChannelOptions o, Metrics& metrics,
       media::Library* kept_media = nullptr)
      : host(&h),
        media(kept_media),
        loop(h.loop()),
        account(std::move(account_name)),
        options(std::move(o)),
        arrivals(loop),
        changed(loop),
        stopped(loop),
        readers(metrics.gauge("sluice_http_streams", "Readers of events.", {{"account", account}})),
        refused(metrics.counter("sluice_http_streams_refused_total",
                                "Readers beyond the bounds of their account.",
                                {{"account", account}})),
        lagged(
            metrics.counter("sluice_http_streams_lagged_total",
                            "Times a reader was too slow for live events and read the log again.",
                            {{"account", account}})) {}

  ChannelHost* host;            // null once the channel has gone
  media::Library* const media;  // null: nothing can be attached
  Loop& loop;
  const std::string account;
  HttpChannelOptions options;
  bool stopping = false;
  Event arrivals;  // pulsed when a conversation may have come into being
  Event changed;   // pulsed when a request ends
  Event stopped;   // set with `stopping`
  std::size_t requests = 0;
  std::size_t leaving = 0;  // of the requests: they only say goodbye
  List<StreamBase> streams;
  std::size_t stream_count = 0;
  std::unordered_map<std::string, std::uint32_t> streams_of;  // by person
  Gauge& readers;
  Counter& refused;
  Counter& lagged;
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

/// What a request that has only its goodbye to say holds: the channel need not wait for that.
class Leaving {
 public:
  explicit Leaving(std::shared_ptr<Face> face) : face_(std::move(face)) {
    ++face_->leaving;
    face_->changed.pulse();
  }
  ~Leaving() { --face_->leaving; }
  Leaving(const Leaving&) = delete;
  Leaving& operator=(const Leaving&) = delete;

 private:
  std::shared_ptr<Face> face_;
};

}  // namespace sluice::http
