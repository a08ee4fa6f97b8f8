#include "channels/http/follower.h"

#include <algorithm>
#include <limits>
#include <variant>

#include "base/utf8.h"

namespace sluice::http {
namespace {

/// How much of text can be shown: all but a code point at its end that is not whole yet.
std::size_t whole_code_points(std::string_view text) {
  const std::size_t most = std::min<std::size_t>(text.size(), 3);
  for (std::size_t back = 1; back <= most; ++back) {
    const auto byte = static_cast<unsigned char>(text[text.size() - back]);
    if ((byte & 0xC0) == 0x80) continue;
    const std::size_t needs = byte >= 0xF0 ? 4 : byte >= 0xE0 ? 3 : byte >= 0xC0 ? 2 : 1;
    return needs > back ? text.size() - back : text.size();
  }
  return text.size();
}

}  // namespace

Follower::Follower(std::shared_ptr<Face> face, EventSink& sink, std::string chat, Start start,
                   std::function<bool()> still_allowed, lifecycle::Guard* guard)
    : face_(std::move(face)),
      sink_(sink),
      store_(face_->host->store()),
      feeds_(face_->host->feeds()),
      chat_(std::move(chat)),
      start_(start),
      html_(start.html),
      still_allowed_(std::move(still_allowed)),
      guard_(guard) {
  face_->streams.push_back(*this);
  if (guard_ != nullptr) guard_->follow(0, *this);
}

Follower::~Follower() {
  unlink();
  if (guard_ != nullptr) guard_->stop_following();
}

void Follower::wake() {
  if (feed_ != nullptr) feed_->wake();
}

void Follower::part(const lifecycle::Parting& parting) {
  parting_ = parting;
  wake();
  face_->arrivals.pulse();
}

Task<bool> Follower::put(std::vector<StreamEvent> events) {
  if (events.empty()) co_return true;
  const Result<void> written = co_await sink_.write(std::move(events));
  co_return written.has_value() && !face_->stopping;
}

/// What happens every few seconds, whatever else does. False: end.
Task<bool> Follower::tick(MonoTime now) {
  next_tick_ = now + kHeartbeat;
  if (still_allowed_ && !still_allowed_()) co_return false;
  const Result<void> written = co_await sink_.heartbeat();
  co_return written.has_value() && !face_->stopping;
}

Task<bool> Follower::find_lane() {
  for (;;) {
    if (face_->stopping || parting_) co_return false;
    lane_ = face_->host->find_lane(chat_, "");
    if (lane_ && guard_ != nullptr) guard_->set_conversation(lane_.value);
    if (lane_) co_return true;
    const MonoTime now = face_->loop.now();
    if (now >= next_tick_) {
      const bool go_on = co_await tick(now);
      if (!go_on) co_return false;
      continue;
    }
    co_await face_->arrivals.wait_until(std::min(next_tick_, now + kLookAgain));
  }
}

Task<void> Follower::run() {
  next_tick_ = face_->loop.now() + kHeartbeat;
  const bool found = co_await find_lane();
  if (!found) co_return;
  for (;;) {
    // One step, without a wait: lines up to head are in the log, those behind it will be told.
    feed_.reset();
    feed_ = feeds_.subscribe(lane_);
    snapshot_ = !feeds_.streamed(lane_).empty();
    const HistoryId head = face_->host->head(lane_);
    if (start_) {
      const bool chosen = co_await choose_start(head);
      if (!chosen) co_return;
    }
    const bool sent = co_await send_log(head);
    if (!sent) co_return;
    std::vector<StreamEvent> live;
    live.push_back(live_event(head));
    const bool told = co_await put(std::move(live));
    if (!told) co_return;
    const Next next = co_await follow_live();
    if (next == Next::kEnd) co_return;
    face_->lagged.add();
  }
}

Task<bool> Follower::choose_start(HistoryId head) {
  const Start start = *start_;
  start_.reset();
  bool recent = start.from == Start::From::kRecent;
  sent_ = start.from == Start::From::kLatest ? head : start.after;
  if (start.from == Start::From::kAfter && start.after > head) {
    std::vector<StreamEvent> rewind;
    rewind.push_back(rewind_event(head));
    const bool told = co_await put(std::move(rewind));
    if (!told) co_return false;
    recent = true;
  }
  if (!recent) co_return true;
  sent_ = HistoryId{};
  const Result<std::vector<HistoryRow>> newest = co_await read(head, HistoryId{}, kRecentLines);
  if (!newest || face_->stopping) co_return false;
  if (!newest->empty()) sent_ = newest->front().prev;
  co_return true;
}

Task<Result<std::vector<HistoryRow>>> Follower::read(HistoryId from, HistoryId after,
                                                     std::size_t lines) {
  using Rows = std::vector<HistoryRow>;
  Result<Rows> rows = co_await store_.read<Rows>([from, after, lines](StoreReader& reader) {
    Result<Rows> some = reader.history(from, after, lines, kChunkBytes);
    if (!some || !some->empty()) return some;
    // Nothing there, or one line that is longer than the bound.
    return reader.history(from, after, 1, std::numeric_limits<std::size_t>::max());
  });
  co_return rows;
}

/// The log can only be walked from its end. So chunks are walked down to the first line that is
/// due, keeping nothing but where each begins, and sent on the way back: two reads a line, and one
/// chunk in memory.
Task<bool> Follower::send_log(HistoryId head) {
  if (head <= sent_) co_return true;
  std::vector<HistoryId> ends{head};
  while (!ends.empty()) {
    const Result<std::vector<HistoryRow>> lines = co_await read(ends.back(), sent_, kChunkLines);
    if (!lines || face_->stopping) co_return false;
    if (lines->empty()) {  // retention has cut the log here
      sent_ = std::max(sent_, ends.back());
      ends.pop_back();
      continue;
    }
    if (lines->front().prev > sent_) {
      ends.push_back(lines->front().prev);
      continue;
    }
    std::vector<StreamEvent> events;
    events.reserve(lines->size());
    for (const HistoryRow& line : *lines) {
      if (line.kind != HistoryKind::kSummary) events.push_back(line_event(line, html_));
      forget_preview_of(line);
    }
    sent_ = lines->back().id;
    ends.pop_back();
    const bool sent = co_await put(std::move(events));
    if (!sent) co_return false;
  }
  co_return true;
}

Task<Follower::Next> Follower::follow_live() {
  for (;;) {
    const MonoTime now = face_->loop.now();
    if (now >= next_tick_) {
      const bool go_on = co_await tick(now);
      if (!go_on) co_return Next::kEnd;
    }
    const MonoTime deadline =
        preview_.unrendered ? std::min(next_tick_, preview_.next_render) : next_tick_;
    const std::optional<FeedEvent> event = co_await feed_->next(parting_ ? now : deadline);
    if (face_->stopping || (parting_ && !event)) co_return Next::kEnd;
    std::vector<StreamEvent> events;
    if (event) {
      if (std::holds_alternative<FeedLagged>(*event)) co_return Next::kAgain;
      if (const auto* grew = std::get_if<FeedGrew>(&*event)) {
        const bool sent = co_await send_log(grew->head);
        if (!sent) co_return Next::kEnd;
      }
      events = show(*event);
    }
    render_if_due(&events);
    const bool sent = co_await put(std::move(events));
    if (!sent) co_return Next::kEnd;
  }
}

std::vector<StreamEvent> Follower::show(const FeedEvent& event) {
  std::vector<StreamEvent> events;
  if (const auto* delta = std::get_if<FeedDelta>(&event)) return show_delta(*delta);
  if (const auto* reset = std::get_if<FeedReset>(&event)) {
    preview_ = Preview(reset->turn, reset->attempt);
    events.push_back(reset_event(reset->turn, reset->attempt));
  } else if (const auto* phase = std::get_if<FeedPhase>(&event)) {
    events.push_back(phase_event(*phase));
  }
  return events;
}

std::vector<StreamEvent> Follower::show_delta(const FeedDelta& delta) {
  std::vector<StreamEvent> events;
  const bool snapshot = std::exchange(snapshot_, false);
  if (delta.turn != preview_.turn || delta.attempt != preview_.attempt) {
    preview_ = Preview(delta.turn, delta.attempt);
    preview_.broken = delta.offset != 0;
    // Of an attempt that we saw begin, and the first of its turn, the reader can have nothing yet.
    if (snapshot || delta.attempt > 1) events.push_back(reset_event(delta.turn, delta.attempt));
  }
  Preview& p = preview_;
  const std::uint64_t have = p.sent + p.tail.size();
  const std::uint64_t end = delta.offset + delta.text.size();
  if (p.broken || end <= have) return events;
  if (delta.offset > have) {  // never: the feed has no holes
    p.broken = true;
    return events;
  }
  p.tail.append(delta.text, have - delta.offset);
  const std::size_t whole = whole_code_points(p.tail);
  if (whole == 0) return events;
  FeedDelta shown{p.turn, p.attempt, p.sent, p.tail.substr(0, whole)};
  p.tail.erase(0, whole);
  if (!is_utf8(shown.text)) {
    p.broken = true;
    return events;
  }
  p.sent += whole;
  if (html_) {
    p.markdown.append(shown.text);
    p.unrendered = true;
  } else {
    events.push_back(delta_event(shown));
  }
  return events;
}

void Follower::render_if_due(std::vector<StreamEvent>* events) {
  const MonoTime now = face_->loop.now();
  if (!preview_.unrendered || now < preview_.next_render) return;
  preview_.unrendered = false;
  events->push_back(html_event(preview_.turn, preview_.attempt, preview_.markdown.render()));
  preview_.next_render =
      now + kRenderEvery + kRenderPerByte * static_cast<long>(preview_.markdown.tail_bytes());
}

void Follower::forget_preview_of(const HistoryRow& line) {
  if (line.turn == preview_.turn) preview_ = Preview{};
}

}  // namespace sluice::http
