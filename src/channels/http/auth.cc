#include "channels/http/auth.h"

namespace sluice::http {

std::string owner_of(std::string_view person) { return net::percent_encode(person) + "/"; }

std::string chat_of(const Caller& caller, std::string_view chat) {
  std::string id;
  if (!caller.all_conversations) id = owner_of(caller.person);
  return id.append(chat);
}

std::string_view name_of(const Caller& caller, std::string_view chat_id) {
  if (!caller.all_conversations) chat_id.remove_prefix(owner_of(caller.person).size());
  return chat_id;
}

bool may_see(const Caller& caller, std::string_view chat_id) {
  return caller.all_conversations || chat_id.starts_with(owner_of(caller.person));
}

}  // namespace sluice::http
