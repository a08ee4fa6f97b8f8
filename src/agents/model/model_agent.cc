#include "agents/model/model_agent.h"

#include <algorithm>

#include <fmt/format.h>

#include "agents/model/model_error.h"
#include "runtime/wait.h"

namespace sluice {
namespace {

using std::chrono::milliseconds;

// The call's own deadlines come first: their errors tell what may be done again.
constexpr milliseconds kTimeoutSlack{5'000};
// How long the end of the HTTP message may take after the end of the answer; a connection whose
// message is complete can be used again.
constexpr milliseconds kEndPatience{20};
// How long the end marker may take once the model has said why it finished; usage comes between.
constexpr milliseconds kMarkerPatience{1'000};
// A stream that always has something to read lets timers and other sockets have their turn after so
// much of it. Yielding alone would not: what is ready again at once goes on in the same round.
constexpr std::uint64_t kBurstBytes = 64 * 1024;
constexpr std::chrono::microseconds kBreath{1};
constexpr milliseconds kErrorBodyPatience{5'000};

net::HttpClientOptions client_options(const ModelOptions& options) {
  net::HttpClientOptions made;
  made.tls.extra_ca_file = options.ca_file;
  made.connect_timeout = options.connect_timeout;
  made.timeout = options.timeout;
  made.header_bytes = ModelAgent::kHeaderBytes;
  return made;
}

bool is_event_stream(const net::HttpHeaders& headers) {
  std::string_view type = headers.get("content-type").value_or("");
  type = type.substr(0, type.find_first_of("; "));
  return net::equal_ignoring_case(type, "text/event-stream");
}

Error too_slow(std::string what) {
  return Error(ErrorKind::kTimeout, std::move(what), ErrorSource::kPeer, Retry::with_backoff());
}

Error cut_short(std::string what) {
  return Error(ErrorKind::kBadResponse, std::move(what), ErrorSource::kPeer, Retry::with_backoff());
}

/// Whether the last call says something about the API; a text that it can't take does not.
bool is_about_the_api(const Error& error) {
  return error.kind() != ErrorKind::kInvalidArgument && error.kind() != ErrorKind::kTooLarge;
}

}  // namespace

/// One attempt, as far as it has come.
struct ModelAgent::Call {
  Call(const TurnRequest& t, DeltaSink& s, std::unique_ptr<StreamDecoder> d, MonoTime now)
      : turn(t), sink(s), decoder(std::move(d)), began(now), last_progress(now) {}

  const TurnRequest& turn;
  DeltaSink& sink;
  std::unique_ptr<StreamDecoder> decoder;
  MonoTime began;
  MonoTime last_progress;
  ModelStream stream;
  net::SseParser parser;
  std::vector<net::SseEvent> events;
  std::uint64_t bytes = 0;
  std::uint64_t burst_from = 0;  // of bytes
};

Result<std::unique_ptr<ModelAgent>> ModelAgent::make(std::string name, std::string kind,
                                                     ModelOptions options,
                                                     std::unique_ptr<const ModelProtocol> protocol,
                                                     ModelSurroundings around) {
  auto url = model_url(options.base_url, protocol->path());
  if (!url) return url.error().within("agent \"" + name + "\"");
  AgentInfo info;
  info.name = std::move(name);
  info.kind = std::move(kind);
  info.on_interrupt = options.on_interrupt;
  info.max_turns = options.max_turns;
  info.timeout = options.timeout + kTimeoutSlack;
  return std::unique_ptr<ModelAgent>(new ModelAgent(std::move(info), std::move(options),
                                                    std::move(*url), std::move(protocol), around));
}

ModelAgent::ModelAgent(AgentInfo info, ModelOptions options, net::Url url,
                       std::unique_ptr<const ModelProtocol> protocol, ModelSurroundings around)
    : info_(std::move(info)),
      options_(std::move(options)),
      url_(std::move(url)),
      protocol_(std::move(protocol)),
      shard_(around.shard),
      log_(around.log),
      counters_{around.metrics.counter("sluice_model_tokens_total", "Tokens, as the API tells.",
                                       {{"agent", info_.name}, {"kind", "prompt"}}),
                around.metrics.counter("sluice_model_tokens_total", "Tokens, as the API tells.",
                                       {{"agent", info_.name}, {"kind", "completion"}}),
                around.metrics.counter("sluice_model_tokens_total", "Tokens, as the API tells.",
                                       {{"agent", info_.name}, {"kind", "cached"}}),
                around.metrics.histogram("sluice_model_first_token_seconds",
                                         "From the call to the first sign of an answer.",
                                         {{"agent", info_.name}})},
      client_(around.shard, client_options(options_)) {}

net::HttpClientRequest ModelAgent::request_for(const TurnRequest& turn) const {
  net::HttpClientRequest post;
  post.method = "POST";
  post.url = url_;
  post.headers = protocol_->headers();
  post.headers.set("Content-Type", "application/json");
  post.headers.set("Accept", "text/event-stream");
  post.headers.set("Accept-Encoding", "identity");
  post.body = protocol_->body(turn);
  post.timeout = std::min(options_.first_token_timeout, options_.timeout);
  return post;
}

Task<Result<AgentReply>> ModelAgent::run(TurnRequest request, DeltaSink& sink) {
  Call call(request, sink, protocol_->decoder(), shard_.now());
  const Result<void> done = co_await converse(&call);
  record(call, done);
  if (!done) {
    const Error& error = done.error();
    // What the person has seen the beginning of must not begin again.
    const Retry retry = call.stream.text.empty() ? error.retry() : Retry::never();
    co_return Error(error.kind(), info_.kind + ": " + error.context(), error.source(), retry);
  }
  AgentReply reply;
  reply.text = std::move(call.stream.text);
  if (const std::string notice = notice_of(call.stream); !notice.empty()) {
    const std::string more = reply.text.empty() ? notice : "\n\n" + notice;
    sink.delta(more);
    reply.text += more;
  }
  co_return reply;
}

Task<Result<void>> ModelAgent::converse(Call* call) {
  auto opened = co_await client_.open_stream(request_for(call->turn));
  if (!opened) co_return lost_answer(opened.error());
  net::HttpStream answer = std::move(*opened);
  const std::string_view encoding = answer.headers().get("content-encoding").value_or("identity");
  if (!net::equal_ignoring_case(encoding, "identity")) {
    co_return bad_answer("answered compressed, which was not asked for");
  }
  if (answer.status() != 200 || !is_event_stream(answer.headers())) {
    co_return co_await refused(call, &answer);
  }
  const Result<void> followed = co_await follow(call, &answer);
  if (!followed) co_return followed.error();
  const ModelStream& stream = call->stream;
  const bool empty = stream.text.find_first_not_of(" \t\r\n") == std::string::npos;
  if (empty && notice_of(stream).empty()) co_return bad_answer("the model answered nothing");
  co_return Result<void>();
}

Task<Error> ModelAgent::refused(Call* call, net::HttpStream* answer) {
  const MonoTime by =
      std::min(shard_.now() + kErrorBodyPatience, call->began + Duration(options_.timeout));
  std::string body;
  while (body.size() < kErrorBytesMax) {
    const auto piece = co_await answer->next(by);
    if (!piece || !*piece) break;
    body += **piece;
  }
  body.resize(std::min(body.size(), kErrorBytesMax));
  co_return refusal_of(answer->status(), answer->headers(), body, options_.retry_after_max,
                       shard_.wall());
}

ModelAgent::Patience ModelAgent::patience_of(const Call& call) const {
  const MonoTime total = call.began + Duration(options_.timeout);
  const ModelStream& stream = call.stream;
  Patience one = {call.began + Duration(options_.first_token_timeout),
                  "no token within first_token_timeout"};
  if (stream.finish != Finish::kNone) {
    one = {call.last_progress + Duration(kMarkerPatience), ""};
  } else if (stream.progress > 0) {
    one = {call.last_progress + Duration(options_.gap_timeout),
           "the stream fell silent for longer than gap_timeout"};
  }
  if (one.until >= total) one = {total, "the answer was not complete within timeout"};
  return one;
}

Task<Result<void>> ModelAgent::follow(Call* call, net::HttpStream* answer) {
  const ModelStream& stream = call->stream;
  while (!stream.ended) {
    const Patience patience = patience_of(*call);
    // A stream that always has something to read would never meet the deadline of next().
    bool late = shard_.now() >= patience.until;
    net::FetchResult<std::optional<std::string>> piece = std::optional<std::string>();
    if (!late) piece = co_await answer->next(patience.until);
    late = late || (!piece && piece.error().error.kind() == ErrorKind::kTimeout);
    if (!late && piece && *piece) {
      const Result<void> taken = take(call, **piece);
      if (!taken) co_return taken.error();
      if (call->bytes - call->burst_from >= kBurstBytes) {
        call->burst_from = call->bytes;
        co_await sleep_for(shard_, kBreath);
      }
      continue;
    }
    // The model has said that it is done: that the marker behind it does not come costs nothing.
    if (stream.finish != Finish::kNone) co_return Result<void>();
    if (late) co_return too_slow(patience.otherwise);
    if (!piece && stream.progress == 0) co_return lost_answer(piece.error());
    co_return cut_short("the stream ended before the answer did");
  }
  if (stream.finish == Finish::kNone) {
    co_return cut_short("the stream ended without a reason to finish");
  }
  (void)co_await answer->next(shard_.now() + kEndPatience);
  co_return Result<void>();
}

Result<void> ModelAgent::take(Call* call, std::string_view bytes) {
  call->bytes += bytes.size();
  if (call->bytes > kStreamBytesMax) return bad_answer("the stream is too long");
  call->events.clear();
  const Result<void> parsed = call->parser.put(bytes, call->events);
  ModelStream& stream = call->stream;
  const std::size_t text_before = stream.text.size();
  const std::uint64_t progress_before = stream.progress;
  Result<void> taken;
  for (const net::SseEvent& event : call->events) {
    taken = call->decoder->take(event, stream);
    if (!taken || stream.ended) break;
  }
  if (stream.progress != progress_before) {
    call->last_progress = shard_.now();
    if (progress_before == 0) {
      const std::chrono::duration<double> waited = call->last_progress - call->began;
      counters_.first_token.observe(waited.count());
    }
  }
  // All text of one piece is one delta: fewer, larger ones cost everyone less.
  if (stream.text.size() > text_before) {
    call->sink.delta(std::string_view(stream.text).substr(text_before));
  }
  if (!taken) return taken;
  if (!parsed) return bad_answer("a line or event of the stream is too long");
  return {};
}

void ModelAgent::record(const Call& call, const Result<void>& result) {
  const TokenUsage& usage = call.stream.usage;
  counters_.prompt.add(usage.prompt);
  counters_.completion.add(usage.completion);
  counters_.cached.add(usage.cached);
  log_.debug("model_answered", {{"agent", info_.name},
                                {"turn", call.turn.turn.value},
                                {"attempt", call.turn.attempt},
                                {"prompt_tokens", usage.prompt},
                                {"completion_tokens", usage.completion},
                                {"cached_tokens", usage.cached},
                                {"stream_bytes", call.bytes},
                                {"error", result ? std::string() : result.error().to_string()}});
  last_failure_.reset();
  if (!result && is_about_the_api(result.error())) last_failure_ = result.error();
}

Result<void> ModelAgent::health() const {
  if (last_failure_) return *last_failure_;
  return {};
}

}  // namespace sluice
