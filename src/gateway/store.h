#pragma once
// Store: where everything is that the contract promises. The interface speaks of rows and
// transactions, never of SQL: SQLite is behind it now (store/), something for many machines may be
// later.
//
// One Transaction is applied whole or not at all, in the order of submission, and answered only
// when it is on disk (C1). Many are grouped into one commit; nobody waits for that grouping. After
// a failed commit everything that was submitted before the failure became known fails too, in
// order, so that no later transaction can build on rows that never were (see Transaction::epoch).

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "base/time.h"
#include "gateway/conversations.h"
#include "gateway/message.h"
#include "runtime/wait.h"

namespace sluice {

// ---- rows
// -------------------------------------------------------------------------------------------

struct ConversationRow {
  LaneId id;
  Key128 key;  // of (account, chat, thread)
  std::string account;
  std::string chat;
  std::string thread;
  ChatKind kind = ChatKind::kDirect;
  UnixMillis created_at;
};

/// What a message asks for once it is accepted.
enum class MessageKind : std::uint8_t {
  kTurn,     // goes to an agent
  kCommand,  // "/new": runs in its lane, without an agent
};

/// An accepted message that is not done. Immutable but for text and content, which an edit
/// replaces.
struct MessageRow {
  MessageId id;
  LaneId lane;
  MessageKind kind = MessageKind::kTurn;
  std::string sender;
  std::string sender_name;
  std::string event;
  std::string text;
  std::string reply_to;
  std::string extra;  // JSON: attachments, session, projects, request id; empty if there is none
  std::int64_t order = 0;  // the platform's, 0 if it has none
  bool late = false;       // came after its gap had been given up (C5)
  UnixMillis sent_at;
  UnixMillis accepted_at;
  std::int64_t held_before_ms = 0;  // the account's held time when this was accepted (C24)
};

enum class TurnState : std::uint8_t {
  kRunning,  // an agent has been called, or is about to be
  kRetry,    // between two attempts, or waiting to be run as a suspect
  kAsking,   // interrupted; the person decides (C13)
  kParked,   // waits for something outside (C15)
  kDropped,  // the person gave it up; its end has yet to be written
  kStopped,  // the person stopped it; its end has yet to be written
};

struct TurnRow {
  TurnId id;
  LaneId lane;
  TurnState state = TurnState::kRunning;
  std::uint32_t attempt = 1;
  std::string agent;
  std::vector<MessageId> messages;  // what it answers, in order
  UnixMillis started_at;            // of the first attempt
  UnixMillis not_before;            // for kRetry
  // The stretch of the conversation's log that every attempt sees, whatever happens meanwhile
  // (C12).
  HistoryId history_from;
  HistoryId history_after;
};

enum class PartKind : std::uint8_t {
  kReply,   // an agent's words
  kNotice,  // ours: an error, an expiry, a question
  kAnswer,  // to a command; may overtake what is not claimed yet (C21)
  kSend,    // of an operator or a job
};

/// One outgoing message. Cause: (turn, n) for replies and what ends a turn, (event, n) for the rest
/// (C20).
struct PartRow {
  PartId id;
  LaneId lane;
  TurnId turn;
  MessageId event;
  std::uint32_t n = 0;
  PartKind kind = PartKind::kReply;
  std::string text;
  std::string reply_to;
  std::string meta;  // JSON of ResponseMeta; empty if there is none
  UnixMillis committed_at;
  std::int64_t held_before_ms = 0;

  // Delivery.
  std::int64_t claimed_by = 0;  // generation; 0: not claimed (C18)
  UnixMillis claimed_at;
  std::uint32_t tries = 0;
  bool plain = false;      // its format was refused once: send as plain text
  bool duplicate = false;  // an earlier send's outcome is unknown: label it (C19)
  UnixMillis not_before;   // flood wait or backoff
};

enum class HistoryKind : std::uint8_t {
  kPerson,
  kAgent,
  kNotice,   // ours
  kCommand,  // of a person, to us: agents don't see it
  kAnswer,   // to a command
  kSummary,  // stands for lines before it when an agent looks back; people don't see it
};

/// One line of a conversation's log: append-only, in the order of the conversation.
struct HistoryRow {
  HistoryId id;
  LaneId lane;
  HistoryId prev;  // the line before it in the same conversation
  HistoryKind kind = HistoryKind::kPerson;
  MessageId message;
  TurnId turn;
  std::uint32_t n = 0;
  bool cut = false;  // stopped before it was finished (C16)
  UnixMillis at;
  std::string author;  // for kPerson: the sender's platform id
  std::string text;
  std::string meta;
};

/// How an accepted message ended.
enum class MessageOutcome : std::uint8_t {
  kAnswered,
  kFailed,     // the person was told what went wrong
  kStopped,    // by the person, or by a later message (interrupt)
  kDead,       // attempts used up; in the dead letters
  kExpired,    // too old when its time came (C24)
  kWithdrawn,  // deleted by its sender before its turn (C6)
  kReplaced,   // an edit that went into the message it edits
  kHandled,    // a command
  kDropped,    // by an operator or the person's own choice
};

struct MessageEnd {
  MessageId id;
  MessageOutcome outcome = MessageOutcome::kAnswered;
  std::string reason;
  TurnId turn;
  std::uint32_t attempts = 0;
  HistoryId history;  // its line in the log, if it got one
  UnixMillis accepted_at;
  UnixMillis started_at;
  UnixMillis ended_at;
};

enum class PartOutcome : std::uint8_t {
  kSent,
  kDead,
  kExpired,
  kAgain,  // not an end: back to waiting, at not_before
};

struct PartSettlement {
  PartId id;
  PartOutcome outcome = PartOutcome::kSent;
  std::string reason;       // why dead or expired, or what the last try met
  std::string platform_id;  // what the platform calls it, once sent
  UnixMillis at;
  // For kAgain:
  bool plain = false;
  bool duplicate = false;
  UnixMillis not_before;
  std::uint32_t tries = 0;
};

struct PartClaim {
  PartId id;
  std::int64_t generation = 0;
  UnixMillis at;
  bool duplicate = false;  // this send is the labelled one (C19): there will be no other
};

enum class AccountState : std::uint8_t {
  kActive,
  kPaused,    // by an operator
  kParked,    // the platform refused our credentials (C21)
  kConflict,  // somebody else uses the account (C30)
  kHeld,      // the store was restored; an operator has to look at what is pending (C30)
};

struct AccountRow {
  std::string name;
  AccountState state = AccountState::kActive;
  std::string reason;
  UnixMillis since;          // of the state
  std::int64_t held_ms = 0;  // total time not active, without the current stay
  UnixMillis not_before;     // flood wait of the whole account (C23)
};

/// What could not be processed or delivered, kept for the operator.
struct DeadLetter {
  std::int64_t id = 0;  // the message's or part's id; `part` tells which
  bool part = false;
  LaneId lane;
  TurnId turn;
  std::string reason;
  UnixMillis at;
  std::optional<MessageRow> message;
  std::optional<PartRow> outgoing;
};

// ---- transactions
// -----------------------------------------------------------------------------------

/// Row changes in the order in which they are applied.
struct Changes {
  std::vector<TurnRow> turns;       // new, or the new state of an open one
  std::vector<TurnId> turns_ended;  // must be open, else the transaction fails with kConflict
  std::vector<MessageEnd>
      ended;  // must be pending, else kConflict; a dead one becomes a dead letter
  std::vector<std::pair<MessageId, std::string>>
      rewrites;  // an edit: the pending message's new text
  std::vector<HistoryRow> history;
  std::vector<PartRow> parts;
  std::vector<PartClaim> claims;
  std::vector<PartSettlement>
      settled;  // must be in the outbox, else kConflict; dead ones become dead letters
  std::vector<std::pair<LaneId, HistoryId>> sessions;  // a session starts after this line
  std::vector<AccountRow> accounts;
  std::vector<std::pair<std::string, std::string>>
      marks;  // named values of the core; empty: removed
  std::vector<std::pair<std::int64_t, bool>>
      redriven;  // dead letters (id, part) leave their table;
                 // the row itself comes back in messages/parts
  std::vector<std::shared_ptr<const MessageRow>> revived;  // a redriven message is pending again
};

/// Something that may happen only once, told by its key (C3, C20).
struct KeyedEvent {
  MessageId id;
  Key128 key;      // of the identity
  Key128 content;  // of the normalised text and attachment ids
  /// On our own faces other content under a known key is refused; from a platform it is a new
  /// event.
  bool refuse_other_content = false;
  UnixMillis at;
  LaneId lane;  // of an event without a message
  std::shared_ptr<const MessageRow>
      message;                        // becomes pending; null for a send or a handled control
  std::optional<MessageEnd> handled;  // done at once: goes straight to the log of messages
  Changes then;                       // applied only if the event is new
};

struct Cursor {
  std::string account;
  std::string value;  // the platform's position, in the channel's own words
};

struct Transaction {
  std::vector<ConversationRow> conversations;  // ignored where the id exists
  std::vector<KeyedEvent> events;
  std::vector<Cursor> cursors;
  Changes changes;
  std::uint64_t epoch = 0;  // set by Store::commit
};

enum class EventVerdict : std::uint8_t { kNew, kDuplicate, kOtherContent };

struct Receipt {
  struct Event {
    EventVerdict verdict = EventVerdict::kNew;
    MessageId id;  // for kDuplicate and kOtherContent: of the earlier one
  };
  std::vector<Event> events;  // in the order of Transaction::events
};

// ---- reading
// ----------------------------------------------------------------------------------------

struct MessageLife {
  MessageEnd end;  // end.ended_at is 0 while it is pending
  bool pending = false;
  std::optional<MessageRow> row;  // while pending, or dead
  LaneId lane;
  struct Part {
    PartRow row;  // text is empty once it has been settled
    std::optional<PartSettlement> settled;
  };
  std::vector<Part> parts;
};

struct MessageFilter {
  std::string account;  // empty: all
  std::string chat;
  std::string sender;
  std::optional<MessageOutcome> outcome;
  bool pending_only = false;
  MessageId before;  // 0: from the newest
  std::size_t limit = 50;
};

/// A conversation as its owner's list shows it.
struct ListedConversation {
  LaneId id;
  std::string chat;
  UnixMillis created_at;
  std::string title;  // the beginning of what was said first; empty where that is not kept
};

struct FoundMessage {
  MessageId id;
  LaneId lane;
  std::string account;
  std::string chat;
  bool pending = false;
  MessageEnd end;
  UnixMillis accepted_at;
};

/// A consistent view of what is committed. Used on the reader's thread only, inside one read()
/// call.
class StoreReader {
 public:
  virtual ~StoreReader() = default;
  virtual Result<std::optional<ConversationRow>> conversation(LaneId id) = 0;
  /// Those of the account whose chat begins with `owner`, which ends with the chat's first '/'. The
  /// newest first, behind `before` (0: from the newest).
  virtual Result<std::vector<ListedConversation>> conversations_of(const std::string& account,
                                                                   const std::string& owner,
                                                                   LaneId before,
                                                                   std::size_t limit) = 0;
  /// In the order asked for; ids that are not pending are left out.
  virtual Result<std::vector<std::shared_ptr<const MessageRow>>> messages(
      std::span<const MessageId> ids) = 0;
  virtual Result<std::vector<std::shared_ptr<const PartRow>>> parts(
      std::span<const PartId> ids) = 0;
  /// Walks back from `from` (included) to `after` (excluded); oldest first; at most max rows and
  /// bytes of text, the newest ones.
  virtual Result<std::vector<HistoryRow>> history(HistoryId from, HistoryId after,
                                                  std::size_t max_rows, std::size_t max_bytes) = 0;
  virtual Result<std::optional<MessageId>> find_event(Key128 key) = 0;
  virtual Result<std::optional<MessageLife>> life(MessageId id) = 0;
  virtual Result<std::vector<FoundMessage>> find_messages(const MessageFilter& filter) = 0;
  virtual Result<std::vector<DeadLetter>> dead_letters(std::size_t limit, std::int64_t before) = 0;
  virtual Result<std::optional<DeadLetter>> dead_letter(std::int64_t id) = 0;
};

/// What a process finds when it opens the store.
struct Recovered {
  struct Message {
    MessageId id;
    LaneId lane;
    std::uint64_t person = 0;  // low half of the hash of (account, sender)
    std::int64_t order = 0;
    std::uint32_t bytes = 0;
    MessageKind kind = MessageKind::kTurn;
    bool late = false;
    std::string extra;  // MessageRow::extra
  };
  struct Part {
    PartId id;
    LaneId lane;
    TurnId turn;
    MessageId event;
    std::uint32_t bytes = 0;
    bool claimed = false;
    PartKind kind = PartKind::kReply;
  };
  std::int64_t generation = 0;  // this process's, greater than any before
  bool restored = false;        // the file came from a backup or another machine (C30)
  std::string restored_reason;
  UnixMillis newest_stamp;             // of anything in the store (C29)
  std::int64_t next_id = 1;            // one counter for all kinds of ids
  std::vector<Message> messages;       // pending, ascending
  std::vector<TurnRow> turns;          // open
  std::vector<Part> parts;             // in the outbox, ascending
  std::vector<ConversationRow> lanes;  // those that any of the three above belong to
  std::vector<AccountRow> accounts;
  std::vector<Cursor> cursors;
  std::vector<std::pair<std::string, std::string>> marks;
  Conversations conversations;
};

// ---- the interface
// ----------------------------------------------------------------------------------

/// Shard-confined; work happens elsewhere and is completed through the shard's ready list. Errors
/// of commit(): kDiskFull (rolled back, may be tried again), kStorageFailed (the process must end,
/// C28), kConflict (a row that had to exist does not: a broken invariant). Destroying a waiting
/// frame does not undo the commit.
class Store {
 public:
  struct CommitRequest {
    CommitRequest(Transaction&& t, Loop* l) : transaction(std::move(t)), loop(l) {}
    Transaction transaction;
    std::optional<Result<Receipt>> result;
    Ready* waiter = nullptr;  // shard side only
    Loop* loop = nullptr;
    /// Called on the shard when the result is there.
    void complete() {
      if (waiter != nullptr) loop->post(*waiter);
    }
  };
  struct ReadRequest {
    std::function<void(StoreReader&)>
        run;  // on the reader's thread; stores its result in the frame's stead
    Ready* waiter = nullptr;
    Loop* loop = nullptr;
    bool done = false;
    void complete() {
      done = true;
      if (waiter != nullptr) loop->post(*waiter);
    }
  };

  explicit Store(Loop& loop) : loop_(loop) {}
  virtual ~Store() = default;

  class Commit : Ready {
   public:
    Commit(Store& store, std::shared_ptr<CommitRequest> request)
        : store_(store), request_(std::move(request)) {}
    ~Commit() { request_->waiter = nullptr; }
    bool await_ready() const { return request_->result.has_value(); }
    void await_suspend(std::coroutine_handle<> h) {
      handle = h;
      request_->waiter = this;
    }
    Result<Receipt> await_resume() {
      Result<Receipt> result = std::move(*request_->result);
      if (!result) store_.epoch_ = std::max(store_.epoch_, request_->transaction.epoch + 1);
      return result;
    }

   private:
    Store& store_;
    std::shared_ptr<CommitRequest> request_;
  };
  /// Submits at once, in the order of the calls; co_await gives the result.
  [[nodiscard]] Commit commit(Transaction&& transaction) {
    auto request = std::make_shared<CommitRequest>(std::move(transaction), &loop_);
    request->transaction.epoch = epoch_;
    submit(request);
    return Commit(*this, std::move(request));
  }

  /// Runs f on a reader and gives its result: co_await store.read<T>(f). Waits are bounded by the
  /// reader (a second a query).
  template <class T>
  Task<Result<T>> read(std::function<Result<T>(StoreReader&)> f) {
    // The slot is shared so that a destroyed frame leaves nothing dangling on the reader's thread.
    auto slot = std::make_shared<std::optional<Result<T>>>();
    auto request = std::make_shared<ReadRequest>();
    request->run = [slot, f = std::move(f)](StoreReader& reader) { slot->emplace(f(reader)); };
    request->loop = &loop_;
    submit(request);
    co_await ReadWait(request);
    if (!*slot) co_return Error(ErrorKind::kStorageFailed, "the reader is closed");
    co_return std::move(**slot);
  }

 protected:
  virtual void submit(std::shared_ptr<CommitRequest> request) = 0;
  virtual void submit(std::shared_ptr<ReadRequest> request) = 0;
  Loop& loop_;

 private:
  class ReadWait : Ready {
   public:
    explicit ReadWait(std::shared_ptr<ReadRequest> request) : request_(std::move(request)) {}
    ~ReadWait() { request_->waiter = nullptr; }
    bool await_ready() const { return request_->done; }
    void await_suspend(std::coroutine_handle<> h) {
      handle = h;
      request_->waiter = this;
    }
    void await_resume() {}

   private:
    std::shared_ptr<ReadRequest> request_;
  };
  /// The failure generation: a transaction submitted with an older one than the store's is refused.
  std::uint64_t epoch_ = 0;
};

}  // namespace sluice
