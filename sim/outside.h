#pragma once
// Outside: everything that a crash of the daemon does not touch, and that the checkers compare with
// what the store says: people and what they sent, platforms and what reached them, agents and how
// they were called. Values only; owned by the world.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "gateway/agent.h"
#include "gateway/channel.h"

namespace sluice::sim {

/// What an agent does with a message; carried in its text: "m7:slow secret-ann".
enum class Behaviour : std::uint8_t {
  kOk,
  kSlow,         // seconds
  kStream,       // in pieces
  kErrorOnce,    // fails in a way that may be retried, then works
  kErrorAlways,  // … and never works
  kRefuse,       // an error that no retry helps
  kThrow,
  kHang,
  kFlood,   // more than the reply's bound
  kLong,    // many parts
  kPoison,  // kills the process, each time
  kPark,    // promises an answer for later, and mostly keeps it
  kCount,
};

struct SentEvent {
  int n = 0;
  std::string account;
  InboundMessage message;
  MonoTime due;  // of the next delivery
  bool acknowledged = false;
  bool refused = false;  // told that it will never be taken
  int deliveries = 0;
  int extra = 0;  // deliveries after the acknowledgement
  MessageId id;
  LaneId lane;
  bool control = false;   // a command
  bool outsider = false;  // must be kept out by the access gate (C8)
  bool old = false;       // older than expire_inbound
  TurnId about;           // for an answer: the interrupted turn that the person was asked about
  std::uint32_t about_attempt = 0;
  int after = -1;  // sent only when that event has been acknowledged
  MonoTime acknowledged_at;
};

struct AgentCall {
  TurnId turn;
  std::uint32_t attempt = 0;
  int process = 0;
  LaneId lane;
  std::string agent;
  std::string account;
  std::vector<MessageId> messages;
  std::vector<std::string> texts;
  std::vector<std::string> history;
  std::string streamed;
  std::string sender;
  MonoTime at;
  bool completed = false;  // the agent came to its own end
  bool ended = false;
  bool cut_by_crash = false;
};

struct Arrival {
  std::string account;
  std::string chat;
  PartId part;
  TurnId turn;
  MessageId event;
  std::uint32_t n = 0;
  PartKind kind = PartKind::kReply;
  std::string text;
  std::string key;
  bool labelled = false;
  bool dropped_by_key = false;  // the platform knew the key
  int process = 0;
  MonoTime at;
};

/// A wait that a platform has named.
struct FloodWait {
  std::string account;
  PartId part;  // 0: the whole account
  MonoTime from;
  MonoTime until;
  int process = 0;
};

/// A platform would not take a part, for good, and the process of that time heard it if it lived.
struct Refusal {
  PartId part;
  int process = 0;
};

/// What an agent promised when it parked a turn.
struct Promise {
  TurnId turn;
  std::uint32_t attempt = 0;
  int process = 0;
  std::string text;
  MonoTime due;         // when it is told next
  bool kept = true;     // some are not
  bool parked = false;  // a process that died held it as parked: so it is on disk
  bool taken = false;   // the gateway said that it has the answer
  bool told = false;    // it is being told
};

struct Violation {
  std::string sentence;  // "C5"
  std::string what;
};

struct Outside {
  std::vector<SentEvent> events;
  std::vector<AgentCall> calls;
  std::vector<Arrival> arrivals;
  std::vector<FloodWait> waits;
  std::vector<Refusal> refused;
  std::vector<Promise> promises;
  std::map<std::string, std::uint64_t> situations;
  std::vector<Violation> violations;
  int process = 0;       // incarnation
  bool calm = false;     // no more faults: everything must come to its end
  bool die_now = false;  // an agent killed the process
  bool dying = false;    // frames are being destroyed by a crash
  bool jumped = false;   // the wall clock was moved
  bool disk_is_low = false;
  bool held = false;            // the store was restored and no operator has looked yet
  std::int64_t held_below = 0;  // ids from before the restoration
  bool pruned = false;          // retention ran
  std::map<LaneId, int> retries_granted;
  std::vector<TurnId> stopped;     // ran when an acknowledged /stop was sent
  bool stop_acknowledged = false;  // just now: the best moment to die

  void saw(const std::string& sentence) { ++situations[sentence]; }
  void violated(std::string sentence, std::string what) {
    if (violations.size() < 20) violations.push_back({std::move(sentence), std::move(what)});
  }
};

Behaviour behaviour_of(const std::string& text);
std::string_view name_of(Behaviour behaviour);

}  // namespace sluice::sim
