#pragma once
// `sluice chat`: talks over the HTTP channel's API (docs/http-api.md) on the control socket, where
// the account is "cli". A restart of the daemon neither loses nor repeats anything: reading goes on
// behind the last line seen, and a message whose answer was lost is posted again with the same id.

#include <chrono>
#include <string>

#include "ctl/commands.h"
#include "runtime/task.h"

namespace sluice::ctl {

struct ChatOptions {
  std::string conversation = "main";
  bool whole_input = false;  // all of standard input is one message
  bool json = false;
  Duration patience = std::chrono::seconds(60);  // with a daemon that went away; in a pipe only
};

/// At a terminal: until the person leaves. In a pipe: each line is a message, and the next is sent
/// when its answer is complete. kFailed if one was not answered; kUnreachable if there is no
/// daemon, or if it stays away for `patience`.
Task<int> chat(Session* session, ChatOptions options);

}  // namespace sluice::ctl
