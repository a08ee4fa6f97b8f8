#include "app/signals.h"

#include <csignal>

#include <boost/asio/signal_set.hpp>

namespace sluice::app {

namespace {

void mask_sighup(int how) {
  sigset_t set;
  ::sigemptyset(&set);
  ::sigaddset(&set, SIGHUP);
  ::sigprocmask(how, &set, nullptr);
}

}  // namespace

void hold_sighup() { mask_sighup(SIG_BLOCK); }

struct Signals::Impl : std::enable_shared_from_this<Impl> {
  Impl(Shard& shard, std::function<void(int)> f)
      : set(shard.io(), SIGTERM, SIGINT), on_signal(std::move(f)) {
    set.add(SIGQUIT);
    set.add(SIGHUP);
  }

  void wait() {
    set.async_wait([self = shared_from_this()](const boost::system::error_code& error, int signal) {
      if (error || !self->on_signal) return;
      self->wait();
      self->on_signal(signal);
    });
  }

  boost::asio::signal_set set;
  std::function<void(int)> on_signal;
};

Signals::Signals(Shard& shard, std::function<void(int)> on_signal)
    : impl_(std::make_shared<Impl>(shard, std::move(on_signal))) {
  impl_->wait();
  mask_sighup(SIG_UNBLOCK);  // one that was held comes now
}

Signals::~Signals() {
  impl_->on_signal = nullptr;
  impl_->set.cancel();
}

}  // namespace sluice::app
