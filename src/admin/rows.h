#pragma once
// The gateway's rows as JSON, as operators see them. Times are RFC 3339 in UTC with milliseconds,
// null if there is none; ids are numbers. Any thread.

#include <string>

#include <boost/json/object.hpp>

#include "admin/operations.h"

namespace sluice::admin {

boost::json::value time_json(UnixMillis time);

boost::json::object status_json(const GatewayStatus& status);
boost::json::object life_json(const Hooks::Life& life);
boost::json::object check_json(const Check& check);
boost::json::object found_json(const FoundMessage& message);
boost::json::object life_json(const MessageLife& life);
boost::json::object conversation_json(const ConversationRow& row);
boost::json::object line_json(const HistoryRow& line);
/// Without the text, which only dead_json's caller adds where one letter is shown.
boost::json::object dead_json(const DeadLetter& letter);
boost::json::object token_json(const TokenInfo& token);
/// The tools by name only; `whole` adds what is known of each.
boost::json::object service_json(const services::ServiceInfo& service, bool whole);
boost::json::object operation_json(const Operation& operation);

Answer json_answer(boost::json::object object);

}  // namespace sluice::admin
