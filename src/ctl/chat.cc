#include "ctl/chat.h"

#include <algorithm>
#include <deque>
#include <optional>
#include <set>

#include <boost/json.hpp>
#include <fmt/format.h>
#include <sys/random.h>

#include "base/assert.h"
#include "ctl/chat_input.h"
#include "ctl/chat_log.h"
#include "ctl/chat_printer.h"
#include "ctl/fields.h"
#include "net/http_types.h"
#include "runtime/task_group.h"
#include "runtime/wait.h"

namespace sluice::ctl {

namespace json = boost::json;

namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr Duration kFirstBackoff = milliseconds(100);
constexpr Duration kLongestBackoff = seconds(2);
constexpr Duration kSilence = seconds(45);    // three heartbeats: the connection is dead
constexpr Duration kLookAgain = seconds(10);  // at a message whose end did not show
constexpr int kEarlierLines = 10;             // shown when a person comes back
constexpr std::size_t kUnsentMax = 64;        // typed while the daemon is away

/// Different for every message of every run: a prefix of the operating system's, and a count.
class ClientIds {
 public:
  ClientIds() {
    std::uint64_t words[2];
    SLUICE_ASSERT(::getrandom(words, sizeof words, 0) == sizeof words);
    prefix_ = fmt::format("cli-{:016x}{:016x}", words[0], words[1]);
  }
  std::string next() { return fmt::format("{}-{}", prefix_, ++count_); }

 private:
  std::string prefix_;
  std::uint64_t count_ = 0;
};

class Backoff {
 public:
  explicit Backoff(Loop& loop) : loop_(loop) {}
  Sleep wait() {
    const auto jitter = static_cast<std::int64_t>(loop_.random().below(100));
    const Duration wait = next_ * (50 + jitter) / 100;
    next_ = std::min(next_ * 2, kLongestBackoff);
    return sleep_for(loop_, wait);
  }
  void reset() { next_ = kFirstBackoff; }

 private:
  Loop& loop_;
  Duration next_ = kFirstBackoff;
};

ChatPrinter::Mode mode_of(const Session& session, const ChatOptions& options) {
  if (options.json) return ChatPrinter::Mode::kJson;
  return session.console.interactive && !options.whole_input ? ChatPrinter::Mode::kTerminal
                                                             : ChatPrinter::Mode::kPlain;
}

bool worth_trying_again(const Reply& reply) {
  // Without a status nobody answered, or the connection broke: every request here may be repeated.
  return reply.status == 0 || reply.status == 429 || reply.status == 503;
}

class Chat {
 public:
  Chat(Session& session, ChatOptions options)
      : session_(session),
        options_(std::move(options)),
        base_("/v1/conversations/" + net::percent_encode(options_.conversation)),
        printer_(session.console, mode_of(session, options_)),
        terminal_(mode_of(session, options_) == ChatPrinter::Mode::kTerminal),
        changed_(session.shard),
        queued_(session.shard),
        posted_(session.shard),
        group_(session.shard) {}

  Task<int> run();

 private:
  Task<bool> begin();
  Task<void> follow();
  Task<void> read_stream(net::HttpStream* stream);
  Task<Reply> ask(std::string target);
  Task<Reply> post_message(std::string text);

  Task<int> piped();
  Task<int> say_and_wait(std::string text);
  Task<bool> wait_for_own_line(std::int64_t message);
  Task<bool> wait_until_read();

  Task<int> interactive();
  Task<void> send_queued();
  Task<void> send_stop();
  void took(const ChatEvent& event);
  int gave_up(const Reply& reply);
  int lost();
  /// The daemon has been away for longer than a script should wait.
  bool given_up() const {
    return away_since_ && session_.shard.now() - *away_since_ >= options_.patience;
  }

  Session& session_;
  const ChatOptions options_;
  const std::string base_;
  ChatPrinter printer_;
  const bool terminal_;
  ClientIds ids_;
  ChatLog log_{0};
  std::optional<Reply> refused_;        // the stream: for good
  std::optional<MonoTime> away_since_;  // while there is no connection
  std::set<std::int64_t> open_;         // of ours, accepted, whose own line has not come
  std::set<std::int64_t> asked_;        // of those, where the person has to decide something
  std::deque<std::string> unsent_;      // terminal: typed, not accepted
  bool sending_ = false;
  Event changed_;         // something was read, or the connection went
  Event queued_;          // unsent_ grew
  Event posted_;          // posting_ went back
  bool posting_ = false;  // a message of ours may have been accepted, and we don't know its id
  bool told_away_ = false;
  TaskGroup group_;
};

Task<int> Chat::run() {
  const bool begun = co_await begin();
  if (!begun) co_return gave_up(*refused_);
  group_.spawn("follow", follow());
  const int code = terminal_ ? co_await interactive() : co_await piped();
  group_.cancel();
  co_return code;
}

int Chat::gave_up(const Reply& reply) {
  printer_.failure(reply.error);
  if (!reply.hint.empty()) session_.console.err << "  " << reply.hint << "\n";
  return reply.exit_code;
}

int Chat::lost() {
  printer_.failure("the daemon did not come back; what it has accepted it will answer");
  return kUnreachable;
}

/// Where the conversation stands now: what comes later is read from there.
Task<bool> Chat::begin() {
  const int lines = terminal_ ? kEarlierLines : 1;
  const std::string target = fmt::format("{}/history?limit={}", base_, lines);
  Reply reply = co_await session_.client.get(target);
  // Nobody there at the start is told at once; a daemon that is just starting is waited for.
  if (!reply.ok() && reply.status != 0 && worth_trying_again(reply)) {
    reply = co_await ask(target);
  }
  if (!reply.ok()) {
    refused_ = std::move(reply);
    co_return false;
  }
  for (const json::value& row : list_of(reply.body, "lines")) {
    std::vector<ChatEvent> events;
    const net::SseEvent event{"message", json::serialize(row), ""};
    const Result<void> read = log_.put(event, events);
    (void)read;  // a line that can't be read is not shown
    for (const ChatEvent& earlier : events) {
      if (const auto* line = std::get_if<ChatLine>(&earlier)) printer_.show_earlier(*line);
    }
  }
  co_return true;
}

/// Asks until there is an answer, or until the daemon has been away for too long.
Task<Reply> Chat::ask(std::string target) {
  Backoff backoff(session_.shard);
  const MonoTime give_up = session_.shard.now() + options_.patience;
  for (;;) {
    Reply reply = co_await session_.client.get(target);
    if (!worth_trying_again(reply)) co_return reply;
    if (!terminal_ && session_.shard.now() >= give_up) co_return reply;
    co_await backoff.wait();
  }
}

/// Posts until it is accepted or refused, always with the same id. What is read meanwhile waits: it
/// may be the answer to this message, and nobody could tell.
Task<Reply> Chat::post_message(std::string text) {
  Backoff backoff(session_.shard);
  const std::string id = ids_.next();
  const MonoTime give_up = session_.shard.now() + options_.patience;
  for (;;) {
    posting_ = true;
    Reply reply = co_await session_.client.post(base_ + "/messages", {{"id", id}, {"text", text}},
                                                seconds(30));
    if (reply.ok()) {
      const std::int64_t message = number_of(reply.body, "message");
      printer_.accepted(message, id);
      open_.insert(message);
    }
    const bool late = !terminal_ && session_.shard.now() >= give_up;
    const bool over = late || !worth_trying_again(reply);
    if (over || reply.status != 0) {
      posting_ = false;
      posted_.pulse();
    }
    if (over) co_return reply;
    co_await backoff.wait();
  }
}

/// Reads the conversation for as long as the command runs.
Task<void> Chat::follow() {
  Backoff backoff(session_.shard);
  for (;;) {
    net::HttpClientRequest request = session_.client.request("GET", base_ + "/events");
    request.headers.set("Last-Event-ID", fmt::format("{}", log_.last()));
    request.timeout = seconds(30);
    auto opened = co_await session_.client.http().open_stream(std::move(request));
    if (opened && opened->status() == 200) {
      net::HttpStream stream = std::move(*opened);
      if (std::exchange(told_away_, false)) printer_.say("the daemon is back");
      away_since_.reset();
      backoff.reset();
      changed_.pulse();
      co_await read_stream(&stream);
    } else if (opened && opened->status() != 429 && opened->status() != 503) {
      refused_ = Client::reply_of(opened->status(), "");
      changed_.pulse();
      co_return;
    } else if (terminal_ && !std::exchange(told_away_, true)) {
      printer_.say("the daemon is away; waiting for it");
    }
    if (!away_since_) away_since_ = session_.shard.now();
    changed_.pulse();
    co_await backoff.wait();
  }
}

Task<void> Chat::read_stream(net::HttpStream* stream) {
  net::SseParser parser(ChatLog::kPreviewBytes);
  for (;;) {
    const auto piece = co_await stream->next(session_.shard.now() + kSilence);
    if (!piece || !*piece) co_return;
    std::vector<net::SseEvent> events;
    const Result<void> parsed = parser.put(**piece, events);
    while (posting_) co_await posted_.wait();
    for (const net::SseEvent& event : events) {
      std::vector<ChatEvent> news;
      const Result<void> read = log_.put(event, news);
      if (!read) co_return;  // connecting again may help, guessing does not
      for (const ChatEvent& one : news) {
        printer_.show(one);
        took(one);
      }
    }
    if (!parsed) co_return;
    if (terminal_ && open_.empty() && !sending_) printer_.prompt();
    changed_.pulse();
  }
}

void Chat::took(const ChatEvent& event) {
  const auto* line = std::get_if<ChatLine>(&event);
  if (line == nullptr || line->message == 0) return;
  const bool own = line->kind == "person" || line->kind == "command";
  if (own) {
    open_.erase(line->message);
    asked_.erase(line->message);
  } else if (line->kind == "notice" && open_.contains(line->message)) {
    asked_.insert(line->message);  // before its own line: a question about an interrupted turn
  }
}

Task<int> Chat::piped() {
  ChatInput input(session_.shard, session_.console.in, {options_.whole_input, false});
  int code = kDone;
  for (;;) {
    InputEvent event = co_await input.next();
    if (event.what == InputEvent::What::kEnd) co_return code;
    if (event.what == InputEvent::What::kTooLong) {
      printer_.failure(
          fmt::format("a message of more than {} bytes was not sent", ChatInput::kLineBytes));
      code = kFailed;
      continue;
    }
    if (event.text.find_first_not_of(" \t\n") == std::string::npos) continue;
    const int one = co_await say_and_wait(std::move(event.text));
    if (one == kUnreachable) co_return one;
    code = std::max(code, one);
  }
}

/// One message from its posting to the last line of its answer.
Task<int> Chat::say_and_wait(std::string text) {
  const Reply posted = co_await post_message(std::move(text));
  if (!posted.ok()) co_return gave_up(posted);
  const std::int64_t message = number_of(posted.body, "message");
  const bool shown = co_await wait_for_own_line(message);
  open_.erase(message);
  const bool asked = asked_.erase(message) > 0;
  if (refused_) co_return gave_up(*refused_);
  if (!shown && !asked && given_up()) co_return lost();
  const bool all = co_await wait_until_read();
  if (!all) co_return lost();
  const Reply life = co_await ask(fmt::format("/v1/messages/{}", message));
  if (!life.ok()) co_return gave_up(life);
  const std::string outcome = text_of(life.body, "status");
  printer_.ended(message, outcome);
  co_return outcome == "answered" || outcome == "handled" ? kDone : kFailed;
}

/// A message's own line of the log is written when its turn ends. True if it was read; false if it
/// can't be waited for any longer: it asks something, it is gone, the daemon stays away.
Task<bool> Chat::wait_for_own_line(std::int64_t message) {
  while (open_.contains(message)) {
    if (refused_ || given_up() || asked_.contains(message)) co_return false;
    const bool in_time = co_await changed_.wait_until(session_.shard.now() + kLookAgain);
    if (in_time || away_since_) continue;
    const Reply life = co_await ask(fmt::format("/v1/messages/{}", message));
    if (!life.ok() || text_of(life.body, "status") != "pending") co_return false;
  }
  co_return true;
}

/// A turn's lines are committed together: those of the message's turn are all behind the newest
/// one.
Task<bool> Chat::wait_until_read() {
  const Reply newest = co_await ask(base_ + "/history?limit=1");
  const json::array& lines = list_of(newest.body, "lines");
  const std::int64_t head = lines.empty() ? 0 : number_of(lines.back(), "id");
  while (log_.last() < head) {
    if (refused_ || given_up()) co_return false;
    co_await changed_.wait_until(session_.shard.now() + kLookAgain);
  }
  co_return newest.ok();
}

Task<int> Chat::interactive() {
  printer_.say("/help shows commands, Ctrl-C stops an answer, Ctrl-D leaves");
  ChatInput input(session_.shard, session_.console.in, {false, true});
  group_.spawn("send", send_queued());
  bool stopping = false;
  for (;;) {
    if (open_.empty() && !sending_) {
      stopping = false;
      printer_.prompt();
    }
    const InputEvent event = co_await input.next();
    if (refused_) co_return gave_up(*refused_);
    const bool busy = !open_.empty() || sending_;
    const bool line =
        event.what == InputEvent::What::kLine || event.what == InputEvent::What::kTooLong;
    line ? printer_.typed() : printer_.broken_off();
    if (event.what == InputEvent::What::kEnd) break;
    if (event.what == InputEvent::What::kInterrupt) {
      if (!busy || stopping) break;
      stopping = true;
      printer_.say("stopping; Ctrl-C again leaves");
      group_.spawn("stop", send_stop());
      continue;
    }
    if (event.what == InputEvent::What::kTooLong || unsent_.size() >= kUnsentMax) {
      printer_.failure("not sent: it is too long, or too much is waiting to be sent");
    } else if (event.text.find_first_not_of(" \t") != std::string::npos) {
      unsent_.push_back(event.text);
      sending_ = true;
      queued_.pulse();
    }
  }
  if (!unsent_.empty())
    printer_.failure(fmt::format("{} message(s) were not sent", unsent_.size()));
  if (!open_.empty()) printer_.say("the answer will be here when you come back");
  co_return unsent_.empty() ? kDone : kFailed;
}

/// What was typed, one after the other, so that it stays in order.
Task<void> Chat::send_queued() {
  for (;;) {
    while (unsent_.empty()) co_await queued_.wait();
    const Reply posted = co_await post_message(unsent_.front());
    unsent_.pop_front();
    if (!posted.ok()) printer_.failure("not sent: " + posted.error);
    sending_ = !unsent_.empty();
    if (!sending_ && open_.empty()) printer_.prompt();
  }
}

Task<void> Chat::send_stop() {
  const Reply reply = co_await session_.client.post(base_ + "/stop", {});
  if (!reply.ok()) printer_.failure(reply.error);
}

}  // namespace

Task<int> chat(Session* session, ChatOptions options) {
  Chat running(*session, std::move(options));
  co_return co_await running.run();
}

}  // namespace sluice::ctl
