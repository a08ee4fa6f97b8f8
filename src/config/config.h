#pragma once
// Config: a configuration that was read and found right: one filled struct for each section, and
// the instances of each group. It is never changed; a reload makes another one and asks diff() what
// differs.
//
//   const HttpOptions& http = config.section<HttpOptions>("http");
//   for (const Instance& channel : config.instances("channels")) {
//     if (channel.kind == "hook") start(channel.name, channel.get<HookOptions>());
//   }
//
// Thread: any, once loaded. References live as long as the Config (or the Instance).

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <typeindex>
#include <utility>
#include <vector>

#include "base/assert.h"
#include "config/diagnostic.h"
#include "config/schema.h"

namespace sluice::config {

/// Options structs, told apart by type. Asking for one that is not there is a programmer's error.
class Objects {
 public:
  void* add(const SectionSpec& spec) {
    return all_.emplace_back(spec.type, spec.make()).second.get();
  }
  template <class T>
  const T& get() const {
    for (const auto& [type, object] : all_) {
      if (type == typeid(T)) return *static_cast<const T*>(object.get());
    }
    SLUICE_ASSERT(!"these options were not declared here");
  }

 private:
  std::vector<std::pair<std::type_index, SectionSpec::Object>> all_;
};

/// One table [group.NAME].
struct Instance {
  std::string name;
  std::string kind;
  Position at;  // line 0 for a built-in one that is not written
  Objects options;

  /// The options of its kind, or those that every kind has.
  template <class T>
  const T& get() const {
    return options.get<T>();
  }
};

struct Change {
  enum class What : std::uint8_t { kAdded, kRemoved, kChanged };
  What what;
  std::string key;  // an option, "http.listen", or an instance, "channels.web"
  bool needs_restart;
  friend bool operator==(const Change&, const Change&) = default;
};

class Config {
 public:
  template <class T>
  const T& section(std::string_view name) const {
    const auto found = sections_.find(name);
    SLUICE_ASSERT(found != sections_.end());
    return found->second.get<T>();
  }
  /// Written ones in the order of the file, then built-in ones.
  const std::vector<Instance>& instances(std::string_view group) const;

  /// Every option's key and effective value as it would be written; "(secret)" or "(none)" for
  /// secrets.
  std::vector<std::pair<std::string, std::string>> settings() const;

 private:
  friend class Loader;
  friend std::vector<Change> diff(const Config& before, const Config& after);

  struct Setting {
    const Option* option;  // null for an instance; then the value is its kind
    Plain value;
  };
  std::map<std::string, Objects, std::less<>> sections_;
  std::map<std::string, std::vector<Instance>, std::less<>> instances_;
  std::map<std::string, Setting, std::less<>> settings_;
};

/// What a reload would change, sorted by key. An instance that came, went or changed its kind is
/// one change; its options are not told by themselves. Both must come from one Schema, which
/// outlives them.
std::vector<Change> diff(const Config& before, const Config& after);

/// A value as it is written in TOML. Secrets: "(secret)", "(none)".
std::string written(const Option& option, const Plain& value);
/// A TOML basic string.
std::string quoted(std::string_view text);

}  // namespace sluice::config
