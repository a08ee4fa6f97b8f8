#include "services/service_manager.h"

#include <algorithm>

#include <fmt/format.h>

namespace sluice::services {
namespace {

Error unknown(std::string_view name) {
  return Error(ErrorKind::kNotFound, fmt::format("there is no service \"{}\"", name));
}

}  // namespace

ServiceManager::ServiceManager(Parts parts)
    : parts_(std::move(parts)),
      callbacks_({parts_.loop, parts_.metrics, parts_.new_token,
                  [this](std::string service, std::string tool, boost::json::value arguments,
                         Duration most, CallOrigin origin) {
                    return call(std::move(service), std::move(tool), std::move(arguments), most,
                                std::move(origin));
                  },
                  [this](const std::vector<std::string>& among, const std::string& tool) {
                    return who_has(among, tool);
                  }}),
      tasks_(parts_.loop) {}

ServiceManager::~ServiceManager() { abandon_all(); }

void ServiceManager::abandon_all() {
  tasks_.cancel();
  for (auto& [name, one] : entries_) one.service->abandon();
}

Result<ServiceManager::Entry*> ServiceManager::entry(std::string_view name) {
  const auto found = entries_.find(name);
  if (found == entries_.end()) return unknown(name);
  return &found->second;
}

Result<void> ServiceManager::add(ServicePlan plan) {
  if (entries_.contains(plan.name)) {
    return Error(ErrorKind::kConflict, fmt::format("there is a service \"{}\"", plan.name));
  }
  if (entries_.size() >= kServicesMost) {
    return Error(ErrorKind::kOverloaded, fmt::format("there are {} services", kServicesMost));
  }
  std::string name = plan.name;
  Service::Parts parts{parts_.loop, parts_.log, parts_.metrics,
                       events_,     callbacks_, parts_.version};
  auto service = std::make_shared<Service>(std::move(parts), std::move(plan));
  entries_.emplace(std::move(name), Entry{std::move(service)});
  return {};
}

Result<void> ServiceManager::start(std::string_view name) {
  const auto found = entry(name);
  if (!found) return found.error();
  if (stopping_) return Error(ErrorKind::kConflict, "the daemon is stopping");
  Entry& one = **found;
  if (one.service->retry()) return {};
  if (!one.service->stopped().is_set()) {
    return Error(ErrorKind::kConflict,
                 fmt::format("service {} is {}", name, to_string(one.service->status())));
  }
  one.started = ++starts_;
  tasks_.spawn("service", one.service->run());
  return {};
}

Task<Result<void>> ServiceManager::stop(std::string name) {
  const auto found = entry(name);
  if (!found) co_return found.error();
  const std::shared_ptr<Service> service = (*found)->service;
  if (service->stopped().is_set()) {
    co_return Error(ErrorKind::kConflict, fmt::format("service {} is not started", name));
  }
  service->stop(MonoTime::max());
  co_await service->stopped().wait();
  co_return Result<void>();
}

Task<Result<void>> ServiceManager::remove(std::string name) {
  const auto found = entry(name);
  if (!found) co_return found.error();
  const std::shared_ptr<Service> service = (*found)->service;
  service->stop(MonoTime::max());
  co_await service->stopped().wait();
  const auto still = entries_.find(name);
  if (still != entries_.end() && still->second.service == service) entries_.erase(still);
  co_return Result<void>();
}

Task<void> ServiceManager::stop_all(MonoTime deadline) {
  stopping_ = true;
  std::vector<const Entry*> started;
  for (const auto& [name, one] : entries_) started.push_back(&one);
  std::sort(started.begin(), started.end(),
            [](const Entry* a, const Entry* b) { return a->started > b->started; });
  for (const Entry* one : started) one->service->stop(deadline);
  co_await tasks_.join(deadline);
  abandon_all();
}

Task<Service::Answer> ServiceManager::call(std::string name, std::string tool,
                                           boost::json::value arguments, Duration timeout,
                                           std::optional<CallOrigin> origin) {
  const auto found = entry(name);
  if (!found) co_return found.error();
  const std::shared_ptr<Service> service = (*found)->service;
  co_return co_await Service::call_tool(service, std::move(tool), std::move(arguments), timeout,
                                        std::move(origin));
}

std::string ServiceManager::who_has(const std::vector<std::string>& among,
                                    const std::string& tool) const {
  for (const std::string& name : among) {
    const auto info = find(name);
    if (!info || info->status != ServiceStatus::kRunning) continue;
    const auto named = [&](const ToolInfo& one) { return one.name == tool; };
    if (std::any_of(info->tools.begin(), info->tools.end(), named)) return name;
  }
  return {};
}

std::size_t ServiceManager::count() const {
  return static_cast<std::size_t>(std::count_if(entries_.begin(), entries_.end(), [](auto& one) {
    return one.second.service->status() != ServiceStatus::kStopped;
  }));
}

std::vector<ServiceInfo> ServiceManager::list(std::string_view capability) const {
  std::vector<ServiceInfo> out;
  for (const auto& [name, one] : entries_) {
    ServiceInfo info = one.service->info();
    const auto& all = info.capabilities;
    const bool has = std::find(all.begin(), all.end(), capability) != all.end();
    if (capability.empty() || has) out.push_back(std::move(info));
  }
  return out;
}

Result<void> ServiceManager::heartbeat(std::string_view name) {
  const auto found = entry(name);
  if (!found) return found.error();
  (*found)->service->heartbeat();
  return {};
}

Result<ServiceInfo> ServiceManager::find(std::string_view name) const {
  const auto found = entries_.find(name);
  if (found == entries_.end()) return unknown(name);
  return found->second.service->info();
}

Result<std::vector<LogRing::Line>> ServiceManager::log_of(std::string_view name) const {
  const auto found = entries_.find(name);
  if (found == entries_.end()) return unknown(name);
  const auto& lines = found->second.service->log().lines();
  return std::vector<LogRing::Line>(lines.begin(), lines.end());
}

std::vector<std::string> ServiceManager::health_check() const {
  std::vector<std::string> out;
  for (const auto& [name, one] : entries_) {
    if (one.service->is_ill()) out.push_back(name);
  }
  return out;
}

std::vector<std::string> ServiceManager::critical_ill() const {
  std::vector<std::string> out;
  for (const auto& [name, one] : entries_) {
    if (one.service->settings().critical && one.service->status() != ServiceStatus::kRunning) {
      out.push_back(name);
    }
  }
  return out;
}

}  // namespace sluice::services
