#pragma once
// Answers of the daemon as people read them: tables and short pages. Pure functions; everything
// that comes from the daemon passes safe_line() or safe_text(). Times are UTC.

#include <cstdint>
#include <string>
#include <vector>

#include <boost/json/value.hpp>

namespace sluice::ctl {

/// Columns of equal width, two spaces apart, without trailing spaces. Cells are shown as one line
/// each.
std::string table(const std::vector<std::string>& head,
                  const std::vector<std::vector<std::string>>& rows);

/// "2026-11-21 22:26:41Z"; "-" for 0.
std::string time_text(std::int64_t unix_ms);
/// "1.5s", "250ms", "2h 3m".
std::string took_text(std::int64_t ms);
/// "1.2 MiB".
std::string size_text(std::int64_t bytes);

std::string status_page(const boost::json::value& status);
std::string route_line(const boost::json::value& route);
std::string route_page(const boost::json::value& route);
std::string reload_page(const boost::json::value& reload);
std::string doctor_page(const boost::json::value& doctor);
std::string messages_page(const boost::json::value& found);
std::string message_page(const boost::json::value& message);
std::string dead_page(const boost::json::value& dead);
std::string dead_letter_page(const boost::json::value& letter);
std::string services_page(const boost::json::value& services);
std::string service_page(const boost::json::value& service);
std::string service_log_page(const boost::json::value& log);
/// What a tool answered: its texts if it answered in them, else the JSON.
std::string tool_result_page(const boost::json::value& answer);
std::string tokens_page(const boost::json::value& tokens);

}  // namespace sluice::ctl
