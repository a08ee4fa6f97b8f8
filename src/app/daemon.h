#pragma once
// Daemon: the composition root. It makes every part, connects them, and takes them down again in
// the right order.
//
// One per process, shard-confined. Lifetime: make(), start(), the steps of a stop (stop.cc) as the
// coordinator takes them, destroy. What is on disk is enough to go on from at any instant, so it
// may also just be destroyed.

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "admin/control_socket.h"
#include "admin/operations.h"
#include "agents/webhook/callback_mount.h"
#include "app/front.h"
#include "app/kinds.h"
#include "app/options.h"
#include "app/service_host.h"
#include "app/settings.h"
#include "auth/codes.h"
#include "auth/grants.h"
#include "config/load.h"
#include "gateway/gateway.h"
#include "lifecycle/announcer.h"
#include "lifecycle/coordinator.h"
#include "media/library.h"
#include "net/http_client.h"
#include "net/http_server.h"
#include "runtime/list.h"
#include "runtime/task_group.h"
#include "services/descriptor.h"
#include "store/threaded_store.h"

namespace sluice::app {

/// What goes to a successor beside the agents' calls: one descriptor each.
struct Estate {
  services::Descriptor lock;     // of the data directory
  services::Descriptor control;  // the control socket, if it is listened on
  std::map<std::string, services::Descriptor> listeners;  // by ListenAddress::place
  /// What is on no disk: by account, Channel::memory(); under kCodes, the codes of printed URLs.
  std::map<std::string, std::string> memory;
  static constexpr const char* kCodes = " codes";  // no account's name
  bool in_good_order = false;                      // nothing was left half done, but for the calls
  MonoTime pause_began;                            // of what comes in
};

class Daemon : public lifecycle::ShutdownSteps {
 public:
  struct Parts {
    Shard& shard;
    Clock& clock;
    Logger& log;
    Metrics& metrics;
    std::shared_ptr<const config::Config> config;  // that it starts with
    std::string config_path;
    std::function<config::Loaded()> load;  // reads the file again
    lifecycle::InFlight& in_flight;
    lifecycle::ShutdownCoordinator& coordinator;
    lifecycle::Announcer& announcer;
    std::string data;          // the data directory
    std::string control;       // the control socket
    AgentCalls& calls;         // of the process; they outlive the daemon at a hand-over
    Estate* estate = nullptr;  // what the process before this one has handed over; null: nothing
    std::shared_ptr<EarlyRead> early;  // of its store; may be null
    /// Asks for a successor (Succession::ask, and ask_in_turn to queue).
    std::function<Task<Result<void>>(bool queue)> restart;
    std::function<std::string()> restart_failed;  // why the last one came to nothing; or empty
    std::function<bool()> predecessor;            // the process before this one still lives
    /// Leftovers::ask, once a successor has the store.
    std::function<Task<Result<AgentReply>>(std::string agent, TurnRequest request,
                                           std::string prompt, milliseconds most)>
        ask_successor;
    /// A write or fsync failed (C28): ends the process and does not return.
    std::function<void(const Error&)> on_storage_failed;
  };

  /// Opens the store and takes over what is in it. Blocks. Errors: the store's (engine.h).
  static Result<std::unique_ptr<Daemon>> make(Parts parts);
  ~Daemon() override;
  Daemon(const Daemon&) = delete;
  Daemon& operator=(const Daemon&) = delete;

  /// Listens, and starts agents and channels. After an error the daemon is to be destroyed.
  /// kConflict: an address or the control socket is in use.
  Task<Result<void>> start();

  /// From now on reloads are served, the first one that was asked for before. Once, when ready.
  void serve_reloads();
  /// Has the configuration read again and what changed applied. One at a time: whoever asks while
  /// one runs is served by the next one, which reads the file when its turn comes, so that quick
  /// edits end in the last one.
  void ask_for_reload();
  /// The same, and what came of it.
  Task<admin::Hooks::Reload> reload();

  /// Before leave(), while everything goes on: so that the successor finds little to do. Two
  /// seconds at most.
  Task<void> tidy();
  /// Comes to rest for a successor: no turn starts, nothing is accepted or sent, the store is
  /// closed and what waits at the listeners stays there. Agents' calls run on; their daemon stays
  /// for their sake, and answers nobody. Sends under way are waited for first, 5 s at most, while
  /// everything else goes on; the rest takes some milliseconds. There is no way back.
  Task<Result<Estate>> leave();
  /// The successor serves: requests that are still open here are served by it from now on.
  void open_relay() { relay_open_.set(); }
  /// Once those are answered, and nobody follows any more: connections are closed.
  Task<void> close_what_is_left();

  Gateway& gateway() { return *gateway_; }
  /// As they are now, after reloads.
  const ProcessOptions& process_options() const { return config_->section<ProcessOptions>(""); }
  /// "http://127.0.0.1:8484"; empty if nothing listens.
  std::string base_url() const;
  /// A sign-in link that works once.
  std::string sign_in_url();
  /// The file that holds the owner's token.
  std::string owner_token_path() const;

 private:
  explicit Daemon(Parts parts);
  Result<void> open_store();
  Result<void> open_library(const HashKey& key);
  void make_gateway(Recovered recovered, const HashKey& key);
  void make_admin();
  void make_server();
  Result<void> listen();
  /// What is listened on, by the configured place (ListenAddress::place).
  using Listening = std::map<std::string, net::Endpoint>;
  using Tls = std::shared_ptr<net::TlsContext>;  // null: none
  static Result<Tls> read_tls(const ServerOptions& options);
  /// Those that are open already stay as they are; after an error nothing new is open.
  Result<Listening> open_listeners(const std::vector<std::string>& wanted, const Tls& tls);
  /// The one that the process before this one listened on, else a new one.
  Result<net::Endpoint> open_listener(const ListenAddress& address, const Tls& tls);
  void close_listeners(const Listening& these, const Listening& but);
  /// In the place of those that were there, which are closed.
  void use_listeners(Listening next);
  static Result<auth::Origins> make_origins(const Listening& listening,
                                            const ServerOptions& options);
  Surroundings surroundings();
  const ServerOptions& options() const { return config_->section<ServerOptions>("server"); }

  // reload.cc
  struct Reload;
  struct NextConfig;
  Task<void> reloads();
  Task<admin::Hooks::Reload> reload_once();
  Result<NextConfig> prepare(std::vector<std::string>& problems);
  Result<void> prepare_agents(NextConfig& next);
  Result<void> prepare_channels(NextConfig& next);
  Result<void> prepare_listeners(NextConfig& next);
  void apply(NextConfig& next);
  Task<void> replace_channels(NextConfig* next, std::vector<std::string>* failed);
  Error at_table(const config::Instance& table, std::string_view group, const Error& error) const;
  Task<void> stop_channel(std::string name);
  Task<void> start_channel(std::unique_ptr<Channel> channel, std::vector<std::string>* failed);
  Task<void> reload_over(MonoTime until);
  Task<Result<void>> make_owner_token();
  /// What the process before this one remembered of it; null: nothing.
  const std::string* inherited_memory(const std::string& of) const;
  Task<Result<void>> register_channels();
  Task<Result<void>> keep_mark(std::string mark, std::string value);
  Task<void> housekeeping();
  Task<void> keep_token_uses();
  Task<void> sweep_media();
  void tell_metrics();
  enum class Door : std::uint8_t { kNetwork, kControl };
  /// leave.cc: has the successor serve a request that was asked of us. Kept connections are not
  /// moved, so their requests are passed on, and the answers come back, until they are closed.
  Task<void> relay(net::HttpExchange* exchange, Door door);
  Task<void> answer_from(net::HttpStream* stream, net::HttpExchange* exchange);
  Task<void> end_unanswered(net::HttpExchange* exchange);
  std::string relay_socket() const { return parts_.data + "/relay.sock"; }
  /// Holds a guard while the request is served.
  Task<void> serve(net::HttpExchange& exchange, Door door);
  /// False: a successor is to serve it, or the rest of it.
  Task<bool> serve_here(net::HttpExchange* exchange, const net::Router* router);
  net::GateDecision gate(const net::HttpRequest& request);

  // stop.cc
  void lame_duck() override;
  void stop_accepting() override;
  Task<void> drain(MonoTime until) override;
  void cut_off() override;
  Task<std::size_t> close_connections(MonoTime until) override;
  void stop_background() override;
  Task<Result<void>> close_store() override;
  void finish() override;
  void add_hooks();
  Result<void> keep_metrics();
  Readiness readiness() const;
  Result<void> park(bool parked);
  admin::Hooks::Life life() const;

  admin::Hooks admin_hooks();
  Task<std::vector<admin::Check>> checks(bool deep);

  Parts parts_;
  services::Descriptor lock_;                     // of the data directory, for a successor
  std::shared_ptr<const config::Config> config_;  // in effect, but for what needs a restart
  UnixMillis config_read_at_;
  admin::Hooks::Reload last_reload_;
  UnixMillis last_reload_at_;
  Listening listening_;
  // In the order in which each may use those before it; destroyed in reverse.
  std::unique_ptr<ThreadedStore> store_;
  std::unique_ptr<media::Library> library_;
  std::optional<auth::Grants> grants_;
  auth::OneTimeCodes codes_;
  std::optional<Front> front_;
  LocalCallers local_callers_;
  net::HttpClient client_;
  net::Router router_;
  Mounts mounts_;
  hook::HookMount hooks_;
  services::Registry::Marks registrations_;  // as recovered, until services are started
  ServiceHost services_;
  std::optional<CallbackMount> callbacks_;
  std::unique_ptr<Gateway> gateway_;
  std::optional<admin::Operations> operations_;
  std::optional<admin::ControlSocket> control_;
  std::optional<net::HttpServer> server_;
  std::shared_ptr<Reload> reload_;       // that runs; shared with those who asked
  std::shared_ptr<Reload> next_reload_;  // that waits for its turn
  Event reload_asked_;
  TaskGroup tasks_;
  std::uint64_t request_number_ = 0;
  bool parked_ = false;  // by an operator: nothing new is accepted
  /// A request that is being served, for as long as it may have to be served by a successor.
  struct Served : ListNode {
    Served(net::HttpExchange& e, Daemon& d) : exchange(e), cut(d.parts_.shard), daemon(d) {}
    ~Served() {
      if (!cut.is_set()) return;
      --daemon.being_cut_;
      daemon.cut_.pulse();
    }
    net::HttpExchange& exchange;
    Event cut;
    Daemon& daemon;
  };
  List<Served> serving_;
  std::size_t being_cut_ = 0;
  Event cut_{parts_.shard};  // pulsed when one is
  bool left_ = false;        // a successor serves, or is about to
  Event relay_open_{parts_.shard};
};

}  // namespace sluice::app
