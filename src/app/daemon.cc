#include "app/daemon.h"

#include <fmt/format.h>

#include "admin/routes.h"
#include "app/memory.h"
#include "app/paths.h"
#include "app/version.h"
#include "config/file.h"
#include "net/json_body.h"
#include "store/files.h"

namespace sluice::app {
namespace {

constexpr Duration kHousekeeping = std::chrono::seconds(10);
constexpr Duration kTokenUses = std::chrono::minutes(1);
constexpr Duration kMediaSweep = std::chrono::minutes(10);
/// By then whoever waited for the start has had their first answer.
constexpr Duration kStartIsOver = std::chrono::seconds(1);
constexpr std::string_view kOwner = "owner";
constexpr std::size_t kTokenBytes = 256;
constexpr std::size_t kRequestIdBytes = 128;

/// With a value, for run_until.
Task<bool> dispatch(const net::Router* router, net::HttpExchange* exchange) {
  co_await router->dispatch(*exchange);
  co_return true;
}

Error in_words(const Error& error, const std::string& address) {
  return error.within("listening on " + address);
}

}  // namespace

Result<std::unique_ptr<Daemon>> Daemon::make(Parts parts) {
  std::unique_ptr<Daemon> daemon(new Daemon(std::move(parts)));
  if (auto opened = daemon->open_store(); !opened) return opened.error();
  return daemon;
}

Daemon::Daemon(Parts parts)
    : parts_(std::move(parts)),
      config_(parts_.config),
      config_read_at_(parts_.clock.wall()),
      codes_(parts_.shard),
      client_(parts_.shard, net::HttpClientOptions{}),
      hooks_(router_),
      services_({parts_.shard, parts_.log, parts_.metrics, parts_.data,
                 [this](std::string mark, std::string value) {
                   return keep_mark(std::move(mark), std::move(value));
                 }}),
      reload_asked_(parts_.shard),
      tasks_(parts_.shard) {}

Daemon::~Daemon() {
  tasks_.cancel();
  server_.reset();
  control_.reset();
}

Result<void> Daemon::open_store() {
  const auto& settings = config_->section<StoreSettings>("store");
  StoreOptions options;
  options.directory = parts_.data;
  options.now = parts_.clock.wall();
  options.allow_network_file_system = settings.allow_network_fs;
  options.cache_bytes = settings.cache;
  options.key_retention = settings.key_retention;
  options.text_retention = settings.retention;
  if (parts_.estate != nullptr) {
    options.lock = parts_.estate->lock.release();
    options.log_is_synced = parts_.estate->in_good_order;
    options.early = std::move(parts_.early);
  }
  auto engine = SqliteEngine::open(std::move(options));
  if (!engine) return engine.error();
  const MigrationReport migration = (*engine)->migration();
  if (migration.from != 0 && migration.from != migration.to) {
    parts_.log.info("store_migrated",
                    {{"from", migration.from}, {"to", migration.to}, {"backup", migration.backup}});
  }
  Recovered recovered = std::move((*engine)->recovered());
  const HashKey key = (*engine)->hash_key();
  lock_ = services::Descriptor((*engine)->share_lock());
  ThreadedStoreOptions threads;
  threads.clock = &parts_.clock;
  threads.log = &parts_.log;
  threads.metrics = &parts_.metrics;
  threads.on_failure = parts_.on_storage_failed;
  auto store = ThreadedStore::start(parts_.shard, std::move(*engine), std::move(threads));
  if (!store) return store.error();
  store_ = std::move(*store);
  if (auto opened = open_library(key); !opened) return opened;
  make_gateway(std::move(recovered), key);
  make_admin();
  make_server();
  add_hooks();
  return {};
}

Result<void> Daemon::open_library(const HashKey& key) {
  media::LibraryOptions options = config_->section<media::LibraryOptions>("media");
  options.retention = config_->section<StoreSettings>("store").retention;
  options.disk_low_bytes = config_->section<CoreOptions>("core").disk_low_bytes;
  auto library = media::Library::open(parts_.shard, parts_.metrics, key,
                                      media_directory(parts_.data), options);
  if (!library) return library.error();
  library_ = std::move(*library);
  return {};
}

void Daemon::make_gateway(Recovered recovered, const HashKey& key) {
  Logger& log = parts_.log;
  for (const auto& [mark, value] : recovered.marks) {
    if (mark.starts_with(services::Registry::kMark)) registrations_.emplace_back(mark, value);
  }
  grants_.emplace(parts_.shard, *store_);
  for (const std::string& mark : grants_->load(recovered.marks)) {
    log.warn("credential_unreadable", {{"mark", mark}});
  }
  front_.emplace(
      Front::Parts{*grants_, codes_, parts_.metrics, log, [this] { return readiness(); },
                   [this] { return parts_.coordinator.phase() != lifecycle::Phase::kStarting; }});
  log.info("store_opened", {{"generation", recovered.generation},
                            {"conversations", recovered.conversations.size()},
                            {"pending", recovered.messages.size()},
                            {"open_turns", recovered.turns.size()},
                            {"outbox", recovered.parts.size()},
                            {"restored", recovered.restored}});
  const auto answer_parked = [this](TurnId turn, std::uint32_t attempt, Result<AgentReply> reply) {
    return gateway_->answer_parked(turn, attempt, std::move(reply));
  };
  callbacks_.emplace(
      router_, CallbackMount::Parts{
                   .key = key, .answer = answer_parked, .base_url = [this] { return base_url(); }});
  Gateway::Parts parts{.loop = parts_.shard,
                       .store = *store_,
                       .log = log,
                       .metrics = parts_.metrics,
                       .hash_key = key,
                       .free_disk_bytes =
                           [directory = parts_.data] {
                             const auto free = files::free_bytes(directory);
                             return free ? *free : UINT64_MAX;  // not known: not low
                           },
                       .on_storage_failed = parts_.on_storage_failed,
                       .in_flight = &parts_.in_flight,
                       .calls = &parts_.calls};
  gateway_ = std::make_unique<Gateway>(std::move(parts), config_->section<CoreOptions>("core"));
  gateway_->recover(std::move(recovered), parts_.estate != nullptr && parts_.estate->in_good_order);
}

void Daemon::make_server() {
  front_->mount(router_);
  admin::mount(router_, *operations_, parts_.log, admin::Face::kNetwork,
               front_->needs(auth::Scope::kAdmin));
  net::HttpServerHooks hooks;
  hooks.gate = [this](const net::HttpRequest& request) { return gate(request); };
  hooks.handler = [this](net::HttpExchange& exchange) { return serve(exchange, Door::kNetwork); };
  Counter& requests = parts_.metrics.counter("sluice_http_requests_total", "Requests answered.");
  Counter& failed =
      parts_.metrics.counter("sluice_http_requests_failed_total", "Requests answered 5xx.");
  Counter& errors = parts_.metrics.counter(
      "sluice_http_errors_total", "Connections and handshakes that failed, or were refused.");
  Logger& log = parts_.log;
  hooks.on_access = [&requests, &failed, &log](const net::HttpAccess& access) {
    requests.add();
    if (access.status >= 500) failed.add();
    if (!log.enabled(LogLevel::kDebug)) return;
    const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(access.took).count();
    log.debug("http_request", {{"method", access.request.method},
                               {"path", access.request.path},
                               {"status", access.status},
                               {"bytes_in", access.bytes_in},
                               {"bytes_out", access.bytes_out},
                               {"ms", ms},
                               {"peer", access.request.peer}});
  };
  hooks.on_error = [&errors, &log](const Error& error) {
    errors.add();
    log.debug("http_error", {{"error", error.to_string()}});
  };
  server_.emplace(parts_.shard, http_options(config_->section<LimitOptions>("limits")),
                  std::move(hooks));
}

net::GateDecision Daemon::gate(const net::HttpRequest& request) {
  if (left_) return net::GateDecision::pass();  // the successor has its own
  if (parts_.in_flight.accepting() || is_answered_while_stopping(request)) {
    return router_.gate(request);
  }
  return net::GateDecision::refuse(stopping_response(parts_.coordinator.remaining()));
}

Task<void> Daemon::serve(net::HttpExchange& exchange, Door door) {
  using lifecycle::Guard;
  using lifecycle::Work;
  const net::HttpRequest& request = exchange.request();
  std::string id(request.headers.get("X-Request-Id").value_or(""));
  if (id.empty() || id.size() > kRequestIdBytes || !net::is_clean_name(id)) {
    id = fmt::format("r{}", ++request_number_);
  }
  std::optional<Guard> guard;
  // The core itself refuses messages that come through the control socket.
  const bool control = door == Door::kControl;
  if (control || is_answered_while_stopping(request)) {
    guard = parts_.in_flight.hold(Work::kRequest, std::move(id));
  } else {
    guard = parts_.in_flight.acquire(Work::kRequest, std::move(id));
  }
  if (!guard) {  // its body came while we stopped accepting
    exchange.respond(stopping_response(parts_.coordinator.remaining()));
    co_return;
  }
  exchange.attachment() = &*guard;
  if (left_) {
    co_await relay(&exchange, door);
    co_return;
  }
  const net::Router& router = control ? control_->router() : router_;
  const bool ended = co_await serve_here(&exchange, &router);
  if (!ended) co_await relay(&exchange, door);
}

Task<bool> Daemon::serve_here(net::HttpExchange* exchange, const net::Router* router) {
  Served served(*exchange, *this);
  serving_.push_back(served);
  const auto done =
      co_await run_until(parts_.shard, dispatch(router, exchange), MonoTime::max(), &served.cut);
  co_return done.ended != Ended::kStopped && exchange->goes_on_at().empty();
}

Result<Daemon::Tls> Daemon::read_tls(const ServerOptions& options) {
  if (options.tls.certificate.empty()) return Tls();
  auto context = net::TlsContext::for_server(
      {options.tls.certificate, options.tls.key, options.tls.min_version});
  if (!context) return context.error().within("server.tls");
  return std::move(*context);
}

Result<Daemon::Listening> Daemon::open_listeners(const std::vector<std::string>& wanted,
                                                 const Tls& tls) {
  Listening out;
  for (const std::string& text : wanted) {
    const Result<ListenAddress> address = parse_listen(text);
    if (!address) return address.error();
    const auto open = listening_.find(address->place());
    if (open != listening_.end()) {
      out.insert(*open);
      continue;
    }
    const Result<net::Endpoint> bound = open_listener(*address, tls);
    if (!bound) {
      close_listeners(out, listening_);
      return in_words(bound.error(), text);
    }
    out.emplace(address->place(), *bound);
  }
  return out;
}

Result<net::Endpoint> Daemon::open_listener(const ListenAddress& address, const Tls& tls) {
  if (parts_.estate != nullptr) {
    const auto inherited = parts_.estate->listeners.find(address.place());
    if (inherited != parts_.estate->listeners.end() && inherited->second.is_open())
      return server_->adopt_tcp(inherited->second.release(), tls);
  }
  return server_->listen_tcp(address.host, address.port, tls);
}

void Daemon::use_listeners(Listening next) {
  close_listeners(listening_, next);
  std::swap(listening_, next);
  for (const auto& [place, bound] : listening_) {
    if (next.contains(place)) continue;
    const bool tls = !options().tls.certificate.empty();
    parts_.log.info("listening", {{"address", bound.to_string()}, {"tls", tls}});
  }
}

void Daemon::close_listeners(const Listening& these, const Listening& but) {
  for (const auto& [place, bound] : these) {
    if (!but.contains(place)) server_->close_listener(bound);
  }
}

Result<auth::Origins> Daemon::make_origins(const Listening& listening,
                                           const ServerOptions& options) {
  std::vector<auth::Origins::Listener> listeners;
  for (const auto& [place, bound] : listening) {
    listeners.push_back({bound.address.to_string(), bound.port, !options.tls.certificate.empty()});
  }
  auto origins = auth::Origins::make(listeners, options.public_hosts);
  if (!origins) return origins.error().within("server.public_hosts");
  return origins;
}

Result<void> Daemon::listen() {
  const Result<Tls> tls = read_tls(options());
  if (!tls) return tls.error();
  Result<Listening> listening = open_listeners(options().listen, *tls);
  if (!listening) return listening.error();
  use_listeners(std::move(*listening));
  auto origins = make_origins(listening_, options());
  if (!origins) return origins.error();
  front_->set_origins(std::move(*origins));
  const Result<void> relay = server_->listen_unix(relay_socket());
  // Without it requests on connections of before a restart are told to come again.
  if (!relay) parts_.log.warn("no_relay", {{"error", relay.error().to_string()}});
  ServiceHost::Sockets none;
  const Result<void> services =
      services_.listen(*config_, parts_.estate != nullptr ? &parts_.estate->listeners : &none);
  if (!services) return services.error();
  const bool inherited = parts_.estate != nullptr && parts_.estate->control.is_open();
  const Result<void> control =
      inherited ? control_->adopt(parts_.estate->control.release(), parts_.control)
                : control_->listen(parts_.control);
  if (!control) return in_words(control.error(), parts_.control);
  return {};
}

const std::string* Daemon::inherited_memory(const std::string& of) const {
  if (parts_.estate == nullptr) return nullptr;
  const auto found = parts_.estate->memory.find(of);
  return found == parts_.estate->memory.end() ? nullptr : &found->second;
}

Task<Result<void>> Daemon::start() {
  if (const std::string* codes = inherited_memory(Estate::kCodes)) codes_.remember(*codes);
  const Result<void> token = co_await make_owner_token();
  if (!token) co_return token.error();
  const Result<void> services = services_.start(*config_, std::exchange(registrations_, {}));
  if (!services) co_return services.error();
  const Result<void> registered = co_await register_channels();
  if (!registered) co_return registered.error();
  // Last: a request that gets in finds everything in its place.
  const Result<void> listening = listen();
  if (!listening) co_return listening.error();
  tell_metrics();
  tasks_.spawn("daemon_housekeeping", housekeeping());
  tasks_.spawn("daemon_token_uses", keep_token_uses());
  tasks_.spawn("daemon_sweep_media", sweep_media());
  co_return Result<void>();
}

Surroundings Daemon::surroundings() {
  return {.shard = parts_.shard,
          .log = parts_.log,
          .metrics = parts_.metrics,
          .library = *library_,
          .client = client_,
          .router = router_,
          .callers = *front_,
          .control_router = control_->router(),
          .local_callers = local_callers_,
          .mounts = mounts_,
          .hooks = hooks_,
          .callbacks = *callbacks_,
          .find_agent = [this](std::string_view name) { return gateway_->agent(name); },
          .services = services_.manager(),
          .ask_agent =
              [this](std::string agent, TurnRequest request, std::string prompt, Duration time) {
                const auto most = std::chrono::duration_cast<std::chrono::milliseconds>(time);
                if (left_)
                  return parts_.ask_successor(std::move(agent), std::move(request),
                                              std::move(prompt), most);
                return gateway_->ask(std::move(agent), std::move(request), std::move(prompt), most);
              }};
}

Task<Result<void>> Daemon::register_channels() {
  Surroundings around = surroundings();
  for (const config::Instance* agent : agent_plans(*config_)) {
    auto made = agent_kind(agent->kind).make(*agent, around);
    if (!made) co_return made.error().within("agents." + agent->name);
    const Result<void> added = gateway_->add_agent(std::move(*made));
    if (!added) co_return added.error();
  }
  Result<Routes> routes = Routes::make(route_plans(*config_));
  if (!routes) co_return routes.error();
  gateway_->set_routes(std::move(*routes));
  for (const ChannelPlan& plan : channel_plans(*config_)) {
    auto made = channel_kind(plan.instance->kind).make(*plan.instance, plan.account, around);
    if (!made) co_return made.error().within("channels." + plan.instance->name);
    std::unique_ptr<Channel> channel = std::move(*made);
    if (const std::string* memory = inherited_memory(plan.instance->name))
      channel->remember(*memory);
    const Result<void> registered = co_await gateway_->register_channel(std::move(channel));
    if (!registered) co_return registered.error();
  }
  co_return Result<void>();
}

std::string Daemon::owner_token_path() const { return parts_.data + "/owner.token"; }

Task<Result<void>> Daemon::make_owner_token() {
  const std::string path = owner_token_path();
  Result<std::string> kept = config::read_file(path, kTokenBytes);
  while (kept && kept->ends_with('\n')) kept->pop_back();
  if (kept && grants_->check_token(*kept)) co_return Result<void>();
  // Gone, or of another store: it is made anew, and the old one ends.
  const Result<void> revoked = co_await grants_->revoke_token(std::string(kOwner));
  if (!revoked && revoked.error().kind() != ErrorKind::kNotFound) co_return revoked.error();
  const auto made = co_await grants_->add_token(std::string(kOwner), std::string(kOwner),
                                                {auth::Scope::kChat, auth::Scope::kMetrics});
  if (!made) co_return made.error();
  co_return config::write_file_atomically(path, made->text + "\n");
}

Task<Result<void>> Daemon::keep_mark(std::string mark, std::string value) {
  Transaction transaction;
  transaction.changes.marks.emplace_back(std::move(mark), std::move(value));
  const Result<Receipt> receipt = co_await store_->commit(std::move(transaction));
  if (!receipt) co_return receipt.error();
  co_return Result<void>();
}

Task<void> Daemon::housekeeping() {
  store_->allow_pruning(gateway_->core().clock->may_expire());
  co_await sleep_for(parts_.shard, kStartIsOver);
#ifndef SLUICE_SANITIZED
  const std::size_t released = release_start_pages();
  parts_.log.debug("start_pages_released", {{"bytes", released}, {"resident", resident_bytes()}});
#endif
  while (true) {
    store_->allow_pruning(gateway_->core().clock->may_expire());
    co_await sleep_for(parts_.shard, kHousekeeping);
  }
}

Task<void> Daemon::keep_token_uses() {
  while (true) {
    co_await sleep_for(parts_.shard, kTokenUses);
    const Result<void> saved = co_await grants_->save_uses();
    if (!saved) parts_.log.debug("token_uses_not_saved", {{"error", saved.error().to_string()}});
  }
}

Task<void> Daemon::sweep_media() {
  co_await sleep_for(parts_.shard, kStartIsOver);
  while (true) {
    // While the clock is suspect nothing grows old (C29).
    if (gateway_->core().clock->may_expire()) co_await library_->sweep(parts_.shard.wall());
    co_await sleep_for(parts_.shard, kMediaSweep);
  }
}

void Daemon::tell_metrics() {
  Metrics& metrics = parts_.metrics;
  metrics
      .gauge("sluice_build_info", "Always 1; the version is the label.",
             {{"version", std::string(kVersion)}})
      .set(1);
  metrics.gauge("process_start_time_seconds", "Start of the process, since 1970.")
      .set(parts_.clock.wall().ms / 1000);
  metrics.gauge_from("process_resident_memory_bytes", "Memory that the process holds.", {},
                     [] { return static_cast<double>(resident_bytes()); });
  metrics.gauge_from("sluice_http_connections", "Open connections.", {},
                     [this] { return static_cast<double>(server_->stats().connections); });
  using lifecycle::Work;
  for (const Work work : {Work::kRequest, Work::kSocket, Work::kTurn, Work::kAppend}) {
    metrics.gauge_from("sluice_in_flight", "What a stop waits for, by what it is.",
                       {{"work", std::string(to_string(work))}},
                       [this, work] { return static_cast<double>(parts_.in_flight.count(work)); });
  }
}

std::string Daemon::base_url() const {
  if (options().listen.empty() || listening_.empty()) return {};
  const net::Endpoint& bound = listening_.at(parse_listen(options().listen.front())->place());
  const bool tls = !options().tls.certificate.empty();
  std::string host = bound.address.to_string();
  if (host == "0.0.0.0") host = "127.0.0.1";
  if (host == "::") host = "::1";
  if (host.find(':') != std::string::npos) host = "[" + host + "]";
  // A certificate is made for a name.
  if (tls && !options().public_hosts.empty()) {
    host = options().public_hosts.front();
    host = host.substr(0, host.rfind(':'));
  }
  return fmt::format("{}://{}:{}", tls ? "https" : "http", host, bound.port);
}

std::string Daemon::sign_in_url() {
  const std::string code = codes_.issue({std::string(kOwner), {auth::Scope::kChat}});
  return fmt::format("{}/login?code={}", base_url(), code);
}

}  // namespace sluice::app
