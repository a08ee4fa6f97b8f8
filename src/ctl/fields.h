#pragma once
// Reading the daemon's JSON without trusting its shape: what is missing or of another type is empty
// or 0. Any thread.

#include <cstdint>
#include <string>
#include <string_view>

#include <boost/json/value.hpp>

namespace sluice::ctl {

/// null if value is no object or has no such member.
const boost::json::value& field_of(const boost::json::value& value, std::string_view name);
std::string text_of(const boost::json::value& value, std::string_view name);
std::int64_t number_of(const boost::json::value& value, std::string_view name);
bool flag_of(const boost::json::value& value, std::string_view name);
/// The member's entries; none if it is no array.
const boost::json::array& list_of(const boost::json::value& value, std::string_view name);

}  // namespace sluice::ctl
