#pragma once
// What the commands do, one function each; commands.cc gives them names, arguments and help. Each
// asks the daemon, writes the answer, and returns the exit code. doctor() alone is silent when
// there is no daemon.

#include "ctl/commands.h"

namespace sluice::ctl::command {

Task<int> chat_here(Session* session, Values values);
Task<int> status(Session* session, Values values);
Task<int> link(Session* session, Values values);
Task<int> route(Session* session, Values values);
Task<int> metrics(Session* session, Values values);
Task<int> doctor(Session* session, Values values);
Task<int> messages(Session* session, Values values);
Task<int> messages_show(Session* session, Values values);
Task<int> dead_list(Session* session, Values values);
Task<int> dead_show(Session* session, Values values);
Task<int> dead_redrive(Session* session, Values values);
Task<int> dead_discard(Session* session, Values values);
Task<int> token_add(Session* session, Values values);
Task<int> token_list(Session* session, Values values);
Task<int> token_revoke(Session* session, Values values);
Task<int> pause(Session* session, Values values);
Task<int> resume(Session* session, Values values);
Task<int> erase(Session* session, Values values);
Task<int> export_person(Session* session, Values values);
Task<int> backup(Session* session, Values values);
Task<int> stop_turn(Session* session, Values values);
Task<int> clock_accept(Session* session, Values values);
Task<int> services_list(Session* session, Values values);
Task<int> services_show(Session* session, Values values);
Task<int> services_start(Session* session, Values values);
Task<int> services_stop(Session* session, Values values);
Task<int> services_call(Session* session, Values values);
Task<int> services_logs(Session* session, Values values);
Task<int> drain(Session* session, Values values);
Task<int> reload(Session* session, Values values);
Task<int> restart(Session* session, Values values);
Task<int> shutdown(Session* session, Values values);

}  // namespace sluice::ctl::command
