#pragma once
// The optional fields of messages and replies, as the store keeps them: compact JSON, empty in most
// rows. Any thread; values.

#include <string>
#include <string_view>
#include <vector>

#include "gateway/message.h"

namespace sluice {

/// JSON of what is set; empty if nothing is.
std::string to_json(const ResponseMeta& meta);

/// The optional fields of a message, as MessageRow::extra keeps them.
struct MessageExtra {
  std::string session;
  std::vector<std::string> projects;
  std::vector<std::string> attachments;
  std::string request_id;
  std::string agent;  // who answers, if it is not the account's own agent
  std::string model;
  std::string time_zone;
};
std::string to_json(const MessageExtra& extra);
MessageExtra parse_extra(std::string_view json);

/// HistoryRow::meta of a person's line: what belongs to the message beside its text, as JSON;
/// empty if there is nothing. From MessageRow::extra; parse_extra() reads it.
std::string line_meta(std::string_view extra);

}  // namespace sluice
