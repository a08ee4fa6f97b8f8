#include "gateway/answer.h"

#include <limits>
#include <optional>
#include <vector>

#include <boost/json.hpp>

#include "gateway/commands.h"

namespace sluice {
namespace {

using Lines = std::vector<HistoryRow>;

Task<Result<Lines>> read_lines(Store* store, HistoryId from, HistoryId after) {
  co_return co_await store->read<Lines>([from, after](StoreReader& reader) {
    Result<Lines> some = reader.history(from, after, kChunkLines, kChunkBytes);
    if (!some || !some->empty()) return some;
    // Nothing there, or one line that is longer than the bound.
    return reader.history(from, after, 1, std::numeric_limits<std::size_t>::max());
  });
}

std::string error_of(const std::string& meta) {
  if (meta.empty()) return {};
  boost::system::error_code ec;
  const boost::json::value value = boost::json::parse(meta, ec);
  const boost::json::object* object = ec ? nullptr : value.if_object();
  const boost::json::value* error = object == nullptr ? nullptr : object->if_contains("error");
  if (error == nullptr || !error->is_string()) return {};
  return std::string(std::string_view(error->get_string()));
}

/// Takes what a line says about the message that ended like this.
void take(Answer& answer, const HistoryRow& line, const MessageEnd& end) {
  const bool of_turn = end.turn && line.turn == end.turn;
  const bool of_message = !end.turn && line.message == end.id;
  if (!of_turn && !of_message) return;
  if (line.kind == HistoryKind::kAgent || line.kind == HistoryKind::kAnswer) {
    answer.text = line.text;
    answer.cut = line.cut;
  } else if (line.kind == HistoryKind::kNotice) {
    answer.notice = line.text;
  } else {
    return;
  }
  const std::string error = error_of(line.meta);
  if (!error.empty()) answer.error = error;
}

/// Whether the newest word about an open turn is our question.
void look_for_question(Answer& answer, const Lines& lines, MessageId message) {
  for (auto line = lines.rbegin(); line != lines.rend(); ++line) {
    if (line->kind == HistoryKind::kCommand) {
      const std::optional<CommandLine> command = parse_command(line->text);
      if (command == Command::kRetry || command == Command::kDrop) return;
    }
    if (line->kind == HistoryKind::kNotice && line->message == message && line->turn) {
      answer.state = Answer::State::kAsking;
      answer.notice = line->text;
      return;
    }
  }
}

}  // namespace

bool Answer::is_good() const {
  if (text.empty()) return false;
  return outcome == MessageOutcome::kAnswered || outcome == MessageOutcome::kHandled ||
         outcome == MessageOutcome::kStopped;
}

Task<Result<Answer>> read_answer(Store* store, MessageId message, HistoryId head, bool question) {
  using MaybeLife = std::optional<MessageLife>;
  const Result<MaybeLife> life = co_await store->read<MaybeLife>(
      [message](StoreReader& reader) { return reader.life(message); });
  if (!life) co_return life.error();
  if (!*life) {
    co_return Error(ErrorKind::kNotFound, "what became of this message is not kept any more",
                    ErrorSource::kPeer);
  }
  const MessageEnd& end = (*life)->end;
  Answer answer;
  answer.accepted_at = end.accepted_at;
  if ((*life)->pending) {
    if (!question) co_return answer;
    const Result<Lines> newest = co_await read_lines(store, head, HistoryId{});
    if (!newest) co_return newest.error();
    look_for_question(answer, *newest, message);
    co_return answer;
  }
  // On disk, and not yet told: the feed is about to say that the log has grown.
  if (end.history && head <= end.history) co_return answer;
  answer.state = Answer::State::kEnded;
  answer.outcome = end.outcome;
  // Bounded by the conversation's log: each chunk ends below the one before it.
  for (HistoryId from = head; end.history && from > end.history;) {
    const Result<Lines> lines = co_await read_lines(store, from, end.history);
    if (!lines) co_return lines.error();
    if (lines->empty()) break;  // retention has cut the log here
    for (const HistoryRow& line : *lines) take(answer, line, end);
    from = lines->front().prev;
  }
  co_return answer;
}

}  // namespace sluice
