// The bytes of CallNews.

#include <bit>
#include <cstring>
#include <limits>
#include <type_traits>

#include "gateway/succession.h"

namespace sluice {
namespace {

static_assert(std::endian::native == std::endian::little);

enum class Tag : std::uint8_t { kBegun = 1, kDelta, kEnded, kDropped, kAsked, kUnasked, kAnswered };

class Writer {
 public:
  template <class T>
  void number(T value) {
    static_assert(std::is_integral_v<T>);
    out_.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  void text(std::string_view value) {
    number(static_cast<std::uint32_t>(value.size()));
    out_.append(value);
  }
  std::string take() { return std::move(out_); }

 private:
  std::string out_;
};

/// Reads past the end give zeroes, and done() false.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : rest_(bytes) {}
  template <class T>
  T number() {
    T value{};
    if (rest_.size() < sizeof value) {
      fail();
      return value;
    }
    std::memcpy(&value, rest_.data(), sizeof value);
    rest_.remove_prefix(sizeof value);
    return value;
  }
  std::string text() {
    const auto size = number<std::uint32_t>();
    if (rest_.size() < size) {
      fail();
      return {};
    }
    std::string value(rest_.substr(0, size));
    rest_.remove_prefix(size);
    return value;
  }
  /// A number below `end`.
  template <class E>
  E below(std::uint8_t end) {
    const auto value = number<std::uint8_t>();
    if (value >= end) fail();
    return static_cast<E>(value >= end ? 0 : value);
  }
  /// A number of this value at least.
  std::int64_t from(std::int64_t least) {
    const auto value = number<std::int64_t>();
    if (value < least) fail();
    return value;
  }
  bool good() const { return ok_; }
  bool done() const { return ok_ && rest_.empty(); }

 private:
  void fail() {
    ok_ = false;
    rest_ = {};
  }
  std::string_view rest_;
  bool ok_ = true;
};

constexpr std::uint8_t kErrorKinds = static_cast<std::uint8_t>(ErrorKind::kCorrupt) + 1;
constexpr std::uint8_t kErrorSources = static_cast<std::uint8_t>(ErrorSource::kPlatform) + 1;
constexpr std::uint8_t kChatKinds = static_cast<std::uint8_t>(ChatKind::kGroup) + 1;
constexpr std::uint8_t kRetries = static_cast<std::uint8_t>(Retry::When::kAfter) + 1;

void write_error(Writer& w, const Error& error) {
  w.number(static_cast<std::uint8_t>(error.kind()));
  w.number(static_cast<std::uint8_t>(error.source()));
  w.number(static_cast<std::uint8_t>(error.retry().when));
  w.number(static_cast<std::int64_t>(error.retry().delay.count()));
  w.text(error.context());
}

Error read_error(Reader& r) {
  const auto kind = r.below<ErrorKind>(kErrorKinds);
  const auto source = r.below<ErrorSource>(kErrorSources);
  Retry retry;
  retry.when = r.below<Retry::When>(kRetries);
  retry.delay = milliseconds(r.number<std::int64_t>());
  return Error(kind, r.text(), source, retry);
}

void write_meta(Writer& w, const ResponseMeta& meta) {
  for (const std::string* field :
       {&meta.session, &meta.project, &meta.project_tag, &meta.seed, &meta.phase, &meta.error}) {
    w.text(*field);
  }
  w.number(static_cast<std::uint8_t>(!meta.evaluation_passed   ? 0
                                     : *meta.evaluation_passed ? 2
                                                               : 1));
  w.number(meta.duration_ms);
}

ResponseMeta read_meta(Reader& r) {
  ResponseMeta meta;
  for (std::string* field :
       {&meta.session, &meta.project, &meta.project_tag, &meta.seed, &meta.phase, &meta.error}) {
    *field = r.text();
  }
  const auto passed = r.below<std::uint8_t>(3);
  if (passed != 0) meta.evaluation_passed = passed == 2;
  meta.duration_ms = r.number<std::int64_t>();
  return meta;
}

void write_outcome(Writer& w, const Result<AgentReply>& outcome) {
  w.number(static_cast<std::uint8_t>(outcome.has_value()));
  if (!outcome) {
    write_error(w, outcome.error());
    return;
  }
  const AgentReply& reply = outcome.value();
  w.text(reply.text);
  w.number(reply.usage.input_tokens);
  w.number(reply.usage.output_tokens);
  w.number(reply.parked_for ? static_cast<std::int64_t>(reply.parked_for->count())
                            : std::int64_t{-1});
  w.number(static_cast<std::uint8_t>(reply.meta.has_value()));
  if (reply.meta) write_meta(w, *reply.meta);
}

Result<AgentReply> read_outcome(Reader& r) {
  if (r.below<std::uint8_t>(2) == 0) return read_error(r);
  AgentReply reply;
  reply.text = r.text();
  reply.usage.input_tokens = r.number<std::uint64_t>();
  reply.usage.output_tokens = r.number<std::uint64_t>();
  const auto parked = r.from(-1);
  if (parked >= 0) reply.parked_for = milliseconds(parked);
  if (r.below<std::uint8_t>(2) == 1) reply.meta = read_meta(r);
  return reply;
}

/// What Gateway::ask and the agent need of it.
void write_request(Writer& w, const TurnRequest& request) {
  for (const std::string* field : {&request.request_id, &request.account, &request.channel_kind,
                                   &request.chat, &request.thread}) {
    w.text(*field);
  }
  w.number(static_cast<std::uint8_t>(request.chat_kind));
  w.number(static_cast<std::uint32_t>(request.projects.size()));
  for (const std::string& project : request.projects) w.text(project);
  const MessageRow none;
  const MessageRow& message = request.messages.empty() ? none : *request.messages.front();
  w.number(message.lane.value);
  w.text(message.sender);
  w.text(message.sender_name);
}

TurnRequest read_request(Reader& r) {
  TurnRequest request;
  for (std::string* field : {&request.request_id, &request.account, &request.channel_kind,
                             &request.chat, &request.thread}) {
    *field = r.text();
  }
  request.chat_kind = r.below<ChatKind>(kChatKinds);
  const auto projects = r.number<std::uint32_t>();
  for (std::uint32_t i = 0; i < projects && r.good(); ++i) request.projects.push_back(r.text());
  auto message = std::make_shared<MessageRow>();
  message->lane = LaneId{r.number<std::int64_t>()};
  message->sender = r.text();
  message->sender_name = r.text();
  request.messages.push_back(std::move(message));
  return request;
}

struct Encoder {
  Writer w;
  template <class News>
  void head(Tag tag, const News& news) {
    w.number(static_cast<std::uint8_t>(tag));
    w.number(news.turn.value);
    w.number(news.attempt);
  }
  void operator()(const CallBegun& news) {
    head(Tag::kBegun, news);
    w.number(static_cast<std::int64_t>(news.running_for.count()));
    w.number(news.memory.new_session.value);
    w.text(news.memory.session);
    w.number(static_cast<std::uint8_t>(news.memory.summarise));
    w.number(static_cast<std::uint8_t>(news.memory.suspect));
    w.number(static_cast<std::uint8_t>(news.not_made));
  }
  void operator()(const CallDelta& news) {
    head(Tag::kDelta, news);
    w.text(news.text);
  }
  void operator()(const CallEnded& news) {
    head(Tag::kEnded, news);
    write_outcome(w, news.outcome);
  }
  void operator()(const CallDropped& news) { head(Tag::kDropped, news); }
  void operator()(const AgentAsked& news) {
    head(Tag::kAsked, news);
    w.number(news.question);
    w.text(news.agent);
    w.text(news.prompt);
    w.number(static_cast<std::int64_t>(news.most.count()));
    write_request(w, news.of);
  }
  void operator()(const AgentUnasked& news) {
    head(Tag::kUnasked, news);
    w.number(news.question);
  }
  void operator()(const AgentAnswered& news) {
    head(Tag::kAnswered, news);
    w.number(news.question);
    write_outcome(w, news.outcome);
  }
};

}  // namespace

std::string encode(const CallNews& news) {
  Encoder encoder;
  std::visit(encoder, news);
  return encoder.w.take();
}

Result<CallNews> decode_call_news(std::string_view bytes) {
  Reader r(bytes);
  const auto tag = static_cast<Tag>(r.number<std::uint8_t>());
  const TurnId turn{r.number<std::int64_t>()};
  const auto attempt = r.number<std::uint32_t>();
  CallNews news = CallDropped{turn, attempt};
  switch (tag) {
    case Tag::kBegun: {
      CallBegun begun{turn, attempt, milliseconds(r.number<std::int64_t>()), {}, false};
      begun.memory.new_session = HistoryId{r.number<std::int64_t>()};
      begun.memory.session = r.text();
      begun.memory.summarise = r.below<std::uint8_t>(2) == 1;
      begun.memory.suspect = r.below<std::uint8_t>(2) == 1;
      begun.not_made = r.below<std::uint8_t>(2) == 1;
      news = std::move(begun);
      break;
    }
    case Tag::kDelta:
      news = CallDelta{turn, attempt, r.text()};
      break;
    case Tag::kEnded:
      news = CallEnded{turn, attempt, read_outcome(r)};
      break;
    case Tag::kDropped:
      break;
    case Tag::kAsked: {
      AgentAsked asked{turn, attempt, r.number<std::uint64_t>(), {}, {}, {}, {}};
      asked.agent = r.text();
      asked.prompt = r.text();
      asked.most = milliseconds(r.number<std::int64_t>());
      asked.of = read_request(r);
      asked.of.turn = turn;
      asked.of.attempt = attempt;
      news = std::move(asked);
      break;
    }
    case Tag::kUnasked:
      news = AgentUnasked{turn, attempt, r.number<std::uint64_t>()};
      break;
    case Tag::kAnswered: {
      const auto question = r.number<std::uint64_t>();
      news = AgentAnswered{turn, attempt, question, read_outcome(r)};
      break;
    }
    default:
      return Error(ErrorKind::kInvalidArgument, "no news of a call begins so");
  }
  if (!r.done())
    return Error(ErrorKind::kInvalidArgument, "news of a call that is cut or too long");
  return news;
}

}  // namespace sluice
