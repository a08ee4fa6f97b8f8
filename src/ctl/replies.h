#pragma once
// What the operators' commands share: where to ask, and how an answer is shown.

#include <initializer_list>
#include <string>
#include <string_view>

#include <boost/json/value.hpp>

#include "ctl/commands.h"

namespace sluice::ctl {

using Page = std::string (*)(const boost::json::value&);

/// The path of an operation.
std::string target(std::string_view path);
/// "?account=a&limit=3" of those options that were given. "person" is the API's "sender".
std::string query(const Values& values, std::initializer_list<std::string_view> names);
/// Says that the command line was wrong; returns the exit code, as the others do.
int usage(Session& session, std::string_view text);
/// Says what went wrong.
int failed(Session& session, const Reply& reply);
/// The answer as JSON or as a page.
int show(Session& session, const Reply& reply, Page page);
/// The answer as JSON or as one sentence.
int say(Session& session, const Reply& reply, const std::string& sentence);

}  // namespace sluice::ctl
