#include "config/config.h"

#include <algorithm>
#include <iterator>

#include <fmt/format.h>

#include "base/units.h"

namespace sluice::config {
namespace {

/// The key of the instance that an option's key lies under, empty if there is none.
template <class Settings>
std::string_view instance_of(const Settings& settings, std::string_view key) {
  const auto second_dot = key.find('.', std::min(key.find('.'), key.size() - 1) + 1);
  if (second_dot == std::string_view::npos) return {};
  const auto found = settings.find(key.substr(0, second_dot));
  if (found == settings.end() || found->second.option != nullptr) return {};
  return found->first;
}

}  // namespace

const std::vector<Instance>& Config::instances(std::string_view group) const {
  const auto found = instances_.find(group);
  SLUICE_ASSERT(found != instances_.end());
  return found->second;
}

std::vector<std::pair<std::string, std::string>> Config::settings() const {
  std::vector<std::pair<std::string, std::string>> out;
  for (const auto& [key, setting] : settings_) {
    if (setting.option != nullptr) {
      out.emplace_back(key, written(*setting.option, setting.value));
    } else {
      out.emplace_back(key + ".kind", quoted(std::get<std::string>(setting.value)));
    }
  }
  return out;
}

std::vector<Change> diff(const Config& before, const Config& after) {
  std::vector<Change> out;
  const auto& a = before.settings_;
  const auto& b = after.settings_;
  // Is the key part of an instance that is not in both, or not of the same kind there?
  const auto told_by_instance = [&](std::string_view key) {
    const std::string_view in_a = instance_of(a, key);
    const std::string_view in_b = instance_of(b, key);
    if (in_a.empty() && in_b.empty()) return false;
    return in_a.empty() || in_b.empty() || a.find(in_a)->second.value != b.find(in_b)->second.value;
  };
  const auto needs_restart = [](const auto& setting) {
    return setting.option != nullptr && setting.option->restart;
  };
  for (const auto& [key, setting] : a) {
    const auto other = b.find(key);
    if (told_by_instance(key)) continue;
    if (other == b.end()) {
      out.push_back({Change::What::kRemoved, key, needs_restart(setting)});
    } else if (setting.value != other->second.value) {
      out.push_back({Change::What::kChanged, key, needs_restart(setting)});
    }
  }
  for (const auto& [key, setting] : b) {
    if (a.contains(key) || told_by_instance(key)) continue;
    out.push_back({Change::What::kAdded, key, needs_restart(setting)});
  }
  std::sort(out.begin(), out.end(), [](const Change& x, const Change& y) { return x.key < y.key; });
  return out;
}

std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) {
      out += fmt::format("\\u{:04X}", static_cast<unsigned>(c));
    } else {
      out += c;
    }
  }
  return out + '"';
}

std::string written(const Option& option, const Plain& value) {
  switch (option.type) {
    case Type::kFlag:
      return std::get<bool>(value) ? "true" : "false";
    case Type::kInteger:
      return fmt::format("{}", std::get<std::int64_t>(value));
    case Type::kDuration:
      return quoted(format_duration(std::chrono::milliseconds(std::get<std::int64_t>(value))));
    case Type::kSize:
      return quoted(format_size(static_cast<std::uint64_t>(std::get<std::int64_t>(value))));
    case Type::kChoice:
      return quoted(option.choices[static_cast<std::size_t>(std::get<std::int64_t>(value))]);
    case Type::kText:
    case Type::kPath:
      return quoted(std::get<std::string>(value));
    case Type::kList: {
      std::string out;
      for (const std::string& item : std::get<std::vector<std::string>>(value)) {
        out += (out.empty() ? "" : ", ") + quoted(item);
      }
      return "[" + out + "]";
    }
    case Type::kSecret:
      return std::get<Secret>(value).empty() ? "(none)" : "(secret)";
  }
  return {};
}

}  // namespace sluice::config
