#include "services/registry.h"

#include <algorithm>

#include <boost/json.hpp>
#include <fmt/format.h>

#include "base/assert.h"

namespace sluice::services {

namespace json = boost::json;

namespace {

constexpr Duration kTidyEvery = std::chrono::minutes(1);

Error refusal(ErrorKind kind, std::string what) {
  return Error(kind, std::move(what), ErrorSource::kPeer);
}

/// Names a registration among all there have been; the token is what keeps others out.
std::string new_id(Random& random) {
  return fmt::format("{:016x}{:016x}", random.next(), random.next());
}

}  // namespace

struct Registry::Request {
  explicit Request(Loop& loop) : done(loop) {}
  std::string method;
  json::object params;
  Answer answer = Error(ErrorKind::kUnsupported, "there is no such method");
  Event done;
};

Registry::Registry(Parts parts)
    : parts_(std::move(parts)),
      writes_(kWritesPerSecond, kWritesBurst, parts_.loop.now()),
      refused_(parts_.metrics.counter("sluice_service_registry_refused_total",
                                      "Requests to the registry without its token.")),
      tasks_(parts_.loop) {
  tasks_.spawn("service_registry_tidies", tidy());
}

void Registry::configure(const RegistryOptions& options, const ServiceDefaults& defaults) {
  std::map<std::string, ServiceSettings> before;
  for (const auto& [name, entry] : entries_) before[name] = settings_for(entry.registration);
  options_ = options;
  defaults_ = defaults;
  for (const auto& [name, settings] : before) {
    if (settings_for(entries_.at(name).registration) == settings) continue;
    tasks_.spawn("service_registry", refresh(name));
  }
}

ServiceSettings Registry::settings_for(const Registration& registration) const {
  ServiceSettings out = settings_of(registration.options, defaults_);
  if (out.protocol == Protocol::kSluice) out.callbacks = options_.callbacks;
  return out;
}

ServicePlan Registry::plan_of(const Registration& registration) const {
  const Framing framing = framing_of(registration.options, registration.kind);
  return {registration.name, settings_for(registration), parts_.connect(registration, framing),
          true, registration.capabilities};
}

Result<void> Registry::start(const Registration& registration) {
  const Result<void> added = parts_.manager.add(plan_of(registration));
  return added ? parts_.manager.start(registration.name) : added;
}

std::vector<std::string> Registry::load(const Marks& marks) {
  std::vector<std::string> broken;
  for (const auto& [mark, value] : marks) {
    if (!mark.starts_with(kMark) || value.empty()) continue;
    boost::system::error_code wrong;
    json::value parsed = json::parse(value, wrong);
    const std::string id = wrong ? std::string() : text_member(parsed, "id");
    if (!id.empty()) parsed.get_object().erase("id");
    auto registration = id.empty() ? Result<Registration>(Error(ErrorKind::kCorrupt))
                                   : read_registration(parsed.get_object());
    const bool started = registration && start(*registration);
    if (started) {
      entries_.emplace(registration->name, Entry{id, *registration});
    } else {
      broken.push_back(mark);
    }
  }
  return broken;
}

Result<json::object> Registry::let_in(json::value params) {
  const std::string given = text_member(params, "token");
  if (options_.token.empty() || !(config::Secret(given) == options_.token)) {
    refused_.add();
    return refusal(ErrorKind::kPermissionDenied, "\"token\" is not the registry's");
  }
  // After the token: who has none can't use up what the others may ask.
  if (const auto wait = writes_.take(parts_.loop.now())) {
    return Error(ErrorKind::kRateLimited, "too many requests a second", ErrorSource::kSelf,
                 Retry::after(std::chrono::ceil<std::chrono::milliseconds>(*wait)));
  }
  params.get_object().erase("token");
  return std::move(params.get_object());
}

Task<Registry::Answer> Registry::serve(std::string method, json::value params) {
  auto object = let_in(std::move(params));
  if (!object) co_return object.error();
  auto request = std::make_shared<Request>(parts_.loop);
  request->method = std::move(method);
  request->params = std::move(*object);
  tasks_.spawn("service_registry", answer(request));
  co_await request->done.wait();
  co_return std::move(request->answer);
}

Task<void> Registry::answer(std::shared_ptr<Request> request) {
  if (request->method == "service.register") {
    request->answer = co_await add(std::move(request->params));
  } else if (request->method == "service.update") {
    request->answer = co_await update(std::move(request->params));
  } else if (request->method == "service.unregister" || request->method == "service.heartbeat") {
    const std::string id = text_member(request->params, "service_id");
    if (id.empty() || request->params.size() != 1) {
      request->answer = refusal(ErrorKind::kInvalidArgument, "\"service_id\" and nothing else");
    } else if (request->method == "service.heartbeat") {
      request->answer = beat(id);
    } else {
      request->answer = co_await remove(id);
    }
  }
  request->done.set();
}

Result<Registry::Entries::iterator> Registry::find(const std::string& id) {
  const auto found = std::find_if(entries_.begin(), entries_.end(),
                                  [&](const auto& entry) { return entry.second.id == id; });
  if (found == entries_.end()) {
    return refusal(ErrorKind::kNotFound, "nothing is registered by that \"service_id\"");
  }
  if (found->second.busy) {
    return refusal(ErrorKind::kConflict, "another request for that service is under way");
  }
  return found;
}

/// The entry as it is now, on disk; nothing of it if it is gone.
Task<Result<void>> Registry::keep(std::string name) {
  std::string value;
  const auto found = entries_.find(name);
  if (found != entries_.end()) {
    json::object whole = to_json(found->second.registration);
    whole["id"] = found->second.id;
    value = json::serialize(whole);
  }
  std::string mark(kMark);
  mark += name;
  return parts_.keep(std::move(mark), std::move(value));
}

Task<Registry::Answer> Registry::add(json::object params) {
  auto registration = read_registration(params);
  if (!registration) co_return registration.error();
  const std::string problem = check_settings(settings_for(*registration));
  if (!problem.empty()) co_return refusal(ErrorKind::kInvalidArgument, problem);
  const std::string name = registration->name;
  const auto known = entries_.find(name);
  if (known != entries_.end()) {
    // It comes again, after a fault of its own or of ours.
    const auto info = parts_.manager.find(name);
    const bool same = to_json(known->second.registration) == to_json(*registration);
    const bool free = same || !info || info->status != ServiceStatus::kRunning;
    if (known->second.busy || !free) {
      co_return refusal(ErrorKind::kConflict, "a service of that name is registered and running");
    }
    if (same) {
      (void)parts_.manager.heartbeat(name);
    } else {
      const Result<void> replaced = co_await replace(name, std::move(*registration));
      if (!replaced) co_return replaced.error();
    }
    const auto now = entries_.find(name);
    if (now == entries_.end()) co_return refusal(ErrorKind::kConflict, "it was unregistered");
    co_return Answer(json::object{{"service_id", now->second.id}});
  }
  if (entries_.size() >= kMost) {
    co_return Error(ErrorKind::kOverloaded, fmt::format("{} services are registered", kMost));
  }
  const Result<void> added = parts_.manager.add(plan_of(*registration));
  if (!added) co_return added.error();
  const std::string id = new_id(parts_.loop.random());
  // In the table at once, so that its name is taken; started once it is on disk.
  entries_.emplace(name, Entry{id, std::move(*registration), true});
  const Result<void> kept = co_await keep(name);
  const Result<void> started = kept ? parts_.manager.start(name) : kept;
  if (!started) {
    co_await remove_service(name);
    entries_.erase(name);
    co_return started.error();
  }
  entries_.at(name).busy = false;
  parts_.log.info("service_registered", {{"service", name}});
  co_return Answer(json::object{{"service_id", id}});
}

Task<void> Registry::remove_service(std::string name) {
  const auto info = parts_.manager.find(name);
  if (!info || !info->registered) co_return;  // the name is the configuration's by now
  const Result<void> gone = co_await parts_.manager.remove(std::move(name));
  (void)gone;  // it was known: nothing can go wrong
}

/// Stops the service of an entry and starts it as it is to be now. After an error it is forgotten,
/// if it could not be put back.
Task<Result<void>> Registry::replace(std::string name, Registration with) {
  Entry& entry = entries_.at(name);  // stays: it is busy
  entry.busy = true;
  Registration before = std::exchange(entry.registration, std::move(with));
  Result<void> done = co_await keep(name);
  if (!done) {
    entry.registration = std::move(before);
    entry.busy = false;
    co_return done;
  }
  co_await remove_service(name);
  done = start(entry.registration);
  entry.busy = false;
  if (done) {
    parts_.log.info("service_updated", {{"service", name}});
  } else {
    co_await forget(name);  // the configuration took the name meanwhile, or we are stopping
  }
  co_return done;
}

Task<Registry::Answer> Registry::update(json::object params) {
  const std::string id = text_member(params, "service_id");
  const auto found = find(id);
  if (!found) co_return found.error();
  params.erase("service_id");
  params["name"] = (*found)->first;  // by which others know it
  auto registration = read_registration(params);
  if (!registration) co_return registration.error();
  const std::string problem = check_settings(settings_for(*registration));
  if (!problem.empty()) co_return refusal(ErrorKind::kInvalidArgument, problem);
  const Result<void> replaced = co_await replace((*found)->first, std::move(*registration));
  if (!replaced) co_return replaced.error();
  co_return Answer(json::object{{"service_id", id}});
}

Task<Registry::Answer> Registry::remove(std::string id) {
  const auto found = find(id);
  if (!found) co_return found.error();
  const std::string name = (*found)->first;
  co_await forget(name);
  parts_.log.info("service_unregistered", {{"service", name}});
  co_return Answer(json::object());
}

Registry::Answer Registry::beat(const std::string& id) {
  const auto found = find(id);
  if (!found) return found.error();
  const Result<void> beaten = parts_.manager.heartbeat((*found)->first);
  if (!beaten) return beaten.error();
  return Answer(json::object());
}

Task<void> Registry::refresh(std::string name) {
  const auto found = entries_.find(name);
  if (found == entries_.end() || found->second.busy) co_return;
  Registration same = found->second.registration;
  const Result<void> again = co_await replace(name, std::move(same));
  if (!again) {
    parts_.log.warn("service_not_begun_anew",
                    {{"service", name}, {"error", again.error().to_string()}});
  }
}

Task<void> Registry::forget(std::string name) {
  const auto found = entries_.find(name);
  if (found == entries_.end() || found->second.busy) co_return;
  found->second.busy = true;
  co_await remove_service(name);
  entries_.erase(name);
  const Result<void> kept = co_await keep(name);
  // It comes back with the next start, and is forgotten again.
  if (!kept) parts_.log.warn("service_not_forgotten", {{"service", name}});
}

Task<void> Registry::yield_name(std::string name) { co_await forget(std::move(name)); }

Task<void> Registry::tidy() {
  for (;;) {
    co_await sleep_for(parts_.loop, kTidyEvery);
    std::vector<std::string> silent;
    for (const auto& [name, entry] : entries_) {
      const auto info = parts_.manager.find(name);
      if (info && info->status == ServiceStatus::kError && info->in_status >= kForgottenAfter) {
        silent.push_back(name);
      }
    }
    for (const std::string& name : silent) {
      parts_.log.info("service_forgotten", {{"service", name}});
      co_await forget(name);
    }
  }
}

}  // namespace sluice::services
