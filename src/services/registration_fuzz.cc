// What is read of a registration is written as the same again.

#include <cstddef>
#include <cstdint>
#include <string_view>

#include <boost/json.hpp>

#include "base/assert.h"
#include "services/registration.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  boost::system::error_code wrong;
  const boost::json::value value =
      boost::json::parse(std::string_view(reinterpret_cast<const char*>(data), size), wrong);
  if (wrong || !value.is_object()) return 0;
  const auto registration = sluice::services::read_registration(value.get_object());
  if (!registration) return 0;
  SLUICE_ASSERT(registration->kind == "tcp" || registration->kind == "unix");
  const boost::json::object written = to_json(*registration);
  const auto again = sluice::services::read_registration(written);
  SLUICE_ASSERT(again && to_json(*again) == written);
  return 0;
}
