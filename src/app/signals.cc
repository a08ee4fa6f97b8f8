#include "app/signals.h"

#include <csignal>

#include <boost/asio/signal_set.hpp>

namespace sluice::app {

namespace {

void mask(int how) {
  sigset_t set;
  ::sigemptyset(&set);
  ::sigaddset(&set, SIGHUP);
  ::sigaddset(&set, SIGUSR1);
  ::sigaddset(&set, SIGUSR2);
  ::sigprocmask(how, &set, nullptr);
}

}  // namespace

void hold_signals() { mask(SIG_BLOCK); }

struct Signals::Impl : std::enable_shared_from_this<Impl> {
  Impl(Shard& shard, std::function<void(int)> f)
      : set(shard.io(), SIGTERM, SIGINT), on_signal(std::move(f)) {
    set.add(SIGQUIT);
    set.add(SIGHUP);
    set.add(SIGUSR1);
    set.add(SIGUSR2);
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
  mask(SIG_UNBLOCK);  // one that was held comes now
}

Signals::~Signals() {
  impl_->on_signal = nullptr;
  impl_->set.cancel();
}

}  // namespace sluice::app
