#include "channels/http/auth.h"

namespace sluice::http {
namespace {

std::string prefix_of(const Caller& caller) { return net::percent_encode(caller.person) + "/"; }

}  // namespace

std::string chat_of(const Caller& caller, std::string_view chat) {
  std::string id;
  if (!caller.all_conversations) id = prefix_of(caller);
  return id.append(chat);
}

std::string_view name_of(const Caller& caller, std::string_view chat_id) {
  if (!caller.all_conversations) chat_id.remove_prefix(prefix_of(caller).size());
  return chat_id;
}

bool may_see(const Caller& caller, std::string_view chat_id) {
  return caller.all_conversations || chat_id.starts_with(prefix_of(caller));
}

}  // namespace sluice::http
