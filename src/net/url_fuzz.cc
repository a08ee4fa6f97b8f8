// Whatever the bytes: no crash, and what was accepted reads the same when it is written and read
// again.
#include <cstdlib>

#include "net/egress.h"
#include "net/url.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto url = sluice::net::Url::parse(text);
  if (url) {
    const auto again = sluice::net::Url::parse(url->to_string());
    if (!again || again->to_string() != url->to_string()) std::abort();
  }
  const auto address = sluice::net::IpAddress::parse(text);
  if (address && sluice::net::is_public(*address) &&
      !sluice::net::IpAddress::parse(address->to_string())) {
    std::abort();
  }
  return 0;
}
