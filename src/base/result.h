#pragma once
// Result<T>: a value or an Error. Expected failures travel in it; exceptions mean a broken
// invariant.
//   Result<int> r = parse(text);
//   if (!r) return r.error();
//   use(*r);

#include <boost/system/result.hpp>

#include "base/error.h"

namespace sluice {

template <class T>
using Result = boost::system::result<T, Error>;

/// Found by argument-dependent look-up when value() is called on an error: a broken invariant.
[[noreturn]] void throw_exception_from_error(const Error& error, const boost::source_location& loc);

}  // namespace sluice
