#include "base/result.h"

#include <stdexcept>

namespace sluice {

void throw_exception_from_error(const Error& error, const boost::source_location& loc) {
  throw std::logic_error("value() of an error at " + loc.to_string() + ": " + error.to_string());
}

}  // namespace sluice
