#pragma once
// Registration: what a service says of itself when it registers at run time: where it listens, and
// how it is spoken to. Never a command: those come from the configuration only.
//
// Any thread; pure. Limits: kNameMost, kCapabilitiesMost, kCapabilityMost, kPathMost.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <boost/json/object.hpp>

#include "base/result.h"
#include "services/options.h"

namespace sluice::services {

struct Registration {
  static constexpr std::size_t kNameMost = 64;
  static constexpr std::size_t kCapabilitiesMost = 32;
  static constexpr std::size_t kCapabilityMost = 64;  // bytes of one
  static constexpr std::size_t kPathMost = 107;       // unix(7)

  std::string name;
  std::string kind;     // "tcp" or "unix"
  std::string address;  // of the loopback
  std::uint16_t port = 0;
  std::string path;
  ServiceOptions options;  // what it leaves open comes from [service_defaults]
  std::vector<std::string> capabilities;
};

/// The members of docs/services.md, and no others. kInvalidArgument: which one is wrong;
/// kPermissionDenied: it wants a program to be started, or to be connected to elsewhere than here.
Result<Registration> read_registration(const boost::json::object& members);
/// What read_registration() reads.
boost::json::object to_json(const Registration& registration);

}  // namespace sluice::services
