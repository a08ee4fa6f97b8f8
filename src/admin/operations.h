#pragma once
// Module admin: what an operator may ask of a running daemon. One list of operations, each with its
// name, parameters and words of documentation; two faces, both HTTP (routes.h): the control socket
// (control_socket.h) and, for those with the right to it, the TCP listener. It may include base,
// runtime, observe, net, services and gateway.
//
// Everything that is not the gateway's own comes as a hook, so that admin knows neither SQL nor
// files. Shard-confined, on the gateway's shard.

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "admin/arguments.h"
#include "admin/spool.h"
#include "base/result.h"
#include "gateway/gateway.h"
#include "runtime/task.h"
#include "services/service_manager.h"

namespace sluice::admin {

/// What of a Gateway operators use; gateway_face() fills it, tests may do without a gateway.
struct GatewayFace {
  std::function<GatewayStatus()> status;
  std::function<Task<Result<void>>(std::string account, std::string reason)> pause;
  std::function<Task<Result<void>>(std::string account)> resume;
  std::function<Task<Result<void>>(std::int64_t dead_id)> redrive;
  std::function<Task<Result<void>>(std::int64_t dead_id)> discard;
  std::function<Result<void>(LaneId)> stop_turn;
  std::function<Task<Result<void>>()> accept_clock;
  std::function<bool(std::string_view account, std::string_view person)> person_is_active;
  /// True: nothing of the person is accepted until it is called with false.
  std::function<void(std::string_view account, std::string_view person, bool)> hold_person;
  std::function<HistoryId(LaneId)> head;
  std::function<RouteExplanation(const InboundMessage& event, std::string_view account)> route;
};
GatewayFace gateway_face(Gateway& gateway);

struct TokenInfo {
  std::string id;
  std::string name;
  std::vector<std::string> scopes;
  UnixMillis created_at;
  UnixMillis last_used_at;  // 0: never
};
struct NewToken {
  TokenInfo info;
  std::string secret;  // shown this once
};

/// What was removed or counted, by kind of row, in the hook's own words.
using Counts = std::vector<std::pair<std::string, std::int64_t>>;

/// One line of `sluice doctor`.
struct Check {
  enum class State : std::uint8_t { kOk, kWarning, kFailed };
  std::string name;  // "file system"
  State state = State::kOk;
  std::string detail;
  std::string hint;  // what to do; empty if all is well
};
std::string_view to_string(Check::State state);

/// Filled by app/. An empty hook makes its operations answer kUnsupported.
struct Hooks {
  std::function<Task<Result<NewToken>>(std::string name, std::vector<std::string> scopes)>
      token_add;
  std::function<Task<Result<std::vector<TokenInfo>>>()> token_list;
  /// kNotFound if there is no such token.
  std::function<Task<Result<void>>(std::string id)> token_revoke;

  /// Removes a person's texts for good (C31). Called when nothing of that person is pending.
  std::function<Task<Result<Counts>>(std::string account, std::string person)> erase_person;
  /// Gives line() every stored line of the person as one JSON object, in the store's order, and
  /// then the images; line() may be called on any thread, one at a time, and stops the export by
  /// returning false.
  std::function<Task<Result<void>>(std::string account, std::string person,
                                   std::function<bool(std::string_view)> line)>
      export_person;
  struct Backup {
    std::string path;
    std::uint64_t bytes = 0;
    std::string images;  // the directory of what people attached; empty: there is nothing
    std::uint64_t image_bytes = 0;
  };
  /// kConflict if the file or the directory exists.
  std::function<Task<Result<Backup>>(std::string path)> backup;
  /// Where the process is in its life, and what is under way.
  struct Life {
    struct Underway {
      std::string work;  // "request", "socket", "turn", "append"
      std::string request_id;
      std::int64_t conversation = 0;  // 0: of none
      std::int64_t age_ms = 0;
    };
    std::string phase;
    bool drained = false;  // by an operator
    std::string config_path;
    UnixMillis config_read_at;                 // the one that is in effect
    std::vector<std::string> needs_restart;    // its keys that are not
    UnixMillis reload_refused_at;              // 0: the last reload was applied
    std::vector<std::string> reload_problems;  // why, or what of it has failed
    std::string restart_failed;                // why the last restart came to nothing; or empty
    bool predecessor = false;                  // the process before this one has not ended yet
    std::size_t calls_elsewhere = 0;           // agents' calls that run in it
    std::vector<std::pair<std::string, std::size_t>> by_work;  // how many are under way
    std::vector<Underway> oldest;                              // of these; at most kUnderwayMost
  };
  static constexpr std::size_t kUnderwayMost = 100;
  std::function<Life()> life;
  /// True: unready, and nothing new is accepted; what is under way goes on, and so does the
  /// process. kConflict if it is stopping.
  std::function<Result<void>(bool drained)> drain;
  /// What a reload of the configuration came to.
  struct Reload {
    bool applied = false;                    // false: nothing was changed, and the problems say why
    std::vector<std::string> problems;       // "sluice.toml:12:1: …"
    std::vector<std::string> changed;        // keys
    std::vector<std::string> needs_restart;  // keys that wait for one, from this reload or before
    std::vector<std::string> failed;         // what could not be started again
  };
  std::function<Task<Reload>()> reload;
  /// Begins to hand over to a successor, as SIGUSR1 does. kConflict: a restart is under way, or the
  /// process before this one has not ended yet; with `queue` it waits for both, and kConflict says
  /// that a newer one was asked for, or that the process stops. kUnavailable: a successor is to be
  /// asked, on a new connection.
  std::function<Task<Result<void>>(bool queue)> restart;
  /// Begins a stop, as SIGTERM does. False if one has begun.
  std::function<bool()> shutdown;
  /// The checks that are not the gateway's: directory, file system, disk, listeners; with `deep`
  /// the whole store is read.
  std::function<Task<std::vector<Check>>(bool deep)> checks;
  /// A URL that signs a browser in as the owner, once; empty where there is no listener.
  std::function<std::string()> sign_in_link;
};

struct Parts {
  Loop& loop;
  Store& store;
  Metrics& metrics;
  GatewayFace gateway;
  Hooks hooks;
  std::string version;
  std::string data_directory;  // shown; and where an export lies, without a name, while it is sent
  UnixMillis started_at;
  services::ServiceManager* services = nullptr;  // nullptr: there are none
};

/// What an operation answers: a body of some type, or a spool that is sent piece by piece.
struct Answer {
  std::string content_type = "application/json";
  std::string body;
  std::shared_ptr<Spool> spool;
};

struct Operation {
  std::string name;    // "dead.redrive"
  std::string method;  // GET, POST or DELETE
  std::string path;    // "/v1/admin/dead/{id}/redrive"
  std::vector<Param> params;
  std::string doc;
  bool changes = false;     // something: told in the log, with who asked
  bool local_only = false;  // names a file of this machine: not for the network
  bool may_wait = false;    // for others: given up when its asker is gone
  std::function<Task<Result<Answer>>(Arguments)> run;
};

/// Longest lists and waits; docs/limits.md.
inline constexpr std::int64_t kListDefault = 50;
inline constexpr std::int64_t kListMost = 500;
inline constexpr std::size_t kRedriveAllMost = 500;  // dead letters in one call; then a cursor
inline constexpr std::size_t kLifeLines = 200;  // of a conversation's log looked at for one message
inline constexpr std::size_t kLifeBytes = 1 << 20;
inline constexpr std::int64_t kCallBytes = 48 * 1024;        // arguments of a service's tool
inline constexpr std::int64_t kCallMsMost = 24 * 3'600'000;  // how long such a call may take
inline constexpr Duration kErasePatience =
    std::chrono::seconds(10);  // for what a person has running

/// The list. Must outlive what it is mounted on and every task of its operations.
class Operations {
 public:
  explicit Operations(Parts parts);
  Operations(const Operations&) = delete;
  Operations& operator=(const Operations&) = delete;

  const std::vector<Operation>& list() const { return list_; }
  const Operation* find(std::string_view name) const;
  Loop& loop() const { return parts_.loop; }

 private:
  using Answered = Task<Result<Answer>>;
  using Member = Answered (Operations::*)(Arguments);
  /// Returns what it added, until the next one.
  Operation& add(std::string name, std::string_view route, std::vector<Param> params,
                 std::string doc, Member member);
  void add_health();
  void add_messages();
  void add_people();
  void add_accounts();
  void add_life();
  void add_services();

  Answered status(Arguments arguments);
  Answered doctor(Arguments arguments);
  Answered metrics(Arguments arguments);
  Answered operations(Arguments arguments);
  Answered accept_clock(Arguments arguments);
  Answered sign_in_link(Arguments arguments);

  Answered messages_search(Arguments arguments);
  Answered messages_show(Arguments arguments);
  Answered dead_list(Arguments arguments);
  Answered dead_show(Arguments arguments);
  Answered dead_redrive(Arguments arguments);
  Answered dead_redrive_all(Arguments arguments);
  Answered dead_discard(Arguments arguments);
  Task<Result<std::vector<HistoryRow>>> lines_of(MessageLife life);

  Answered token_add(Arguments arguments);
  Answered token_list(Arguments arguments);
  Answered token_revoke(Arguments arguments);
  Answered person_erase(Arguments arguments);
  Answered person_export(Arguments arguments);
  Task<Result<void>> until_quiet(std::string account, std::string person, bool stop);

  Answered account_pause(Arguments arguments);
  Answered account_resume(Arguments arguments);
  Answered route_explain(Arguments arguments);
  Answered conversation_stop(Arguments arguments);
  Answered backup(Arguments arguments);

  Answered services_list(Arguments arguments);
  Answered services_show(Arguments arguments);
  Answered services_start(Arguments arguments);
  Answered services_stop(Arguments arguments);
  Answered services_call(Arguments arguments);
  Answered services_logs(Arguments arguments);

  Answered drain(Arguments arguments);
  Answered restart(Arguments arguments);
  Answered shutdown(Arguments arguments);
  Answered reload(Arguments arguments);

  Parts parts_;
  std::vector<Operation> list_;
};

}  // namespace sluice::admin
