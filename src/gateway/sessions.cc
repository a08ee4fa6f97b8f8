#include "gateway/sessions.h"

#include <charconv>
#include <stdexcept>

#include <date/tz.h>

namespace sluice {
namespace {

const date::time_zone* find_zone(std::string_view name) {
  if (name.empty()) return nullptr;
  try {
    return date::locate_zone(std::string(name));
  } catch (const std::runtime_error&) {  // the library's way to say that there is none
    return nullptr;
  }
}

}  // namespace

bool is_time_zone(std::string_view name) { return find_zone(name) != nullptr; }

std::optional<std::chrono::minutes> parse_time_of_day(std::string_view text) {
  if (text.size() != 5 || text[2] != ':') return std::nullopt;
  int hour = 0;
  int minute = 0;
  const char* p = text.data();
  const auto h = std::from_chars(p, p + 2, hour);
  const auto m = std::from_chars(p + 3, p + 5, minute);
  if (h.ptr != p + 2 || m.ptr != p + 5 || hour < 0 || hour > 23 || minute < 0 || minute > 59)
    return std::nullopt;
  return std::chrono::hours(hour) + std::chrono::minutes(minute);
}

std::int64_t local_day(std::string_view zone, UnixMillis at, std::chrono::minutes day_begins) {
  using std::chrono::milliseconds;
  const date::sys_time<milliseconds> when{milliseconds(at.ms)};
  const date::time_zone* known = find_zone(zone);
  const auto local = known == nullptr
                         ? date::local_time<milliseconds>{when.time_since_epoch()}
                         : std::chrono::time_point_cast<milliseconds>(known->to_local(when));
  return date::floor<date::days>(local - day_begins).time_since_epoch().count();
}

bool begins_session(const SessionRules& rules, std::string_view persons_zone, UnixMillis last,
                    UnixMillis now) {
  if (now <= last) return false;
  if (rules.idle.count() > 0 && now - last >= rules.idle) return true;
  const auto day_begins = parse_time_of_day(rules.daily);
  if (!day_begins) return false;
  const std::string_view zone = is_time_zone(persons_zone) ? persons_zone : rules.time_zone;
  return local_day(zone, last, *day_begins) != local_day(zone, now, *day_begins);
}

}  // namespace sluice
