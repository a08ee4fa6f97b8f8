#include "agents/model/model_agent.h"

#include <algorithm>

#include <fmt/format.h>

#include "agents/model/model_error.h"
#include "agents/model/pictures.h"

namespace sluice {
namespace {

using std::chrono::milliseconds;

// The call's own deadlines come first: their errors tell what may be done again.
constexpr milliseconds kTimeoutSlack{5'000};
constexpr milliseconds kErrorBodyPatience{5'000};

net::HttpClientOptions client_options(const ModelOptions& options) {
  net::HttpClientOptions made;
  made.tls.extra_ca_file = options.ca_file;
  made.connect_timeout = options.connect_timeout;
  made.timeout = options.timeout;
  made.header_bytes = ModelAgent::kHeaderBytes;
  return made;
}

/// Whether the last call says something about the API; a text that it can't take does not.
bool is_about_the_api(const Error& error) {
  return error.kind() != ErrorKind::kInvalidArgument && error.kind() != ErrorKind::kTooLarge;
}

}  // namespace

/// One attempt, as far as it has come.
struct ModelAgent::Call {
  Call(const ModelAgent& agent, const TurnRequest& t, DeltaSink& s)
      : turn(t),
        sink(s),
        decoder(agent.protocol_->decoder()),
        reader(agent.shard_, agent.stream_limits(), *decoder, s) {}

  const TurnRequest& turn;
  DeltaSink& sink;
  const std::unique_ptr<StreamDecoder> decoder;
  StreamReader reader;
};

Result<std::unique_ptr<ModelAgent>> ModelAgent::make(std::string name, std::string kind,
                                                     ModelOptions options,
                                                     std::shared_ptr<const ModelProtocol> protocol,
                                                     ModelSurroundings around) {
  auto url = model_url(options.base_url, protocol->path());
  if (!url) return url.error().within("agent \"" + name + "\"");
  AgentInfo info;
  info.name = std::move(name);
  info.kind = std::move(kind);
  info.on_interrupt = options.on_interrupt;
  info.max_turns = options.max_turns;
  info.history_tokens = options.history_tokens;
  info.timeout = options.timeout + kTimeoutSlack;
  return std::unique_ptr<ModelAgent>(new ModelAgent(std::move(info), std::move(options),
                                                    std::move(*url), std::move(protocol), around));
}

ModelAgent::ModelAgent(AgentInfo info, ModelOptions options, net::Url url,
                       std::shared_ptr<const ModelProtocol> protocol, ModelSurroundings around)
    : info_(std::move(info)),
      options_(std::move(options)),
      url_(std::move(url)),
      protocol_(std::move(protocol)),
      library_(around.library),
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

StreamLimits ModelAgent::stream_limits() const {
  return {options_.first_token_timeout, options_.gap_timeout, options_.timeout};
}

net::HttpClientRequest ModelAgent::request_with(std::string body) const {
  net::HttpClientRequest post;
  post.method = "POST";
  post.url = url_;
  post.headers = protocol_->headers();
  post.headers.set("Content-Type", "application/json");
  post.headers.set("Accept", "text/event-stream");
  post.headers.set("Accept-Encoding", "identity");
  post.body = std::move(body);
  post.timeout = std::min(options_.first_token_timeout, options_.timeout);
  return post;
}

Task<Result<std::string>> ModelAgent::body_of(std::vector<Speech> conversation, std::string model) {
  if (!any_picture(conversation, [](const Picture&) { return true; })) {
    co_return protocol_->body(conversation, model);
  }
  const PictureLimits limits{std::min(protocol_->picture_bytes_max(), kPicturesBytes),
                             kPicturesBytes};
  // Megabytes of JSON are not for the shard either.
  co_return co_await library_->on_disk<std::string>(
      [protocol = protocol_, limits, model,
       all = std::move(conversation)](const media::Folder& folder) mutable -> Result<std::string> {
        load_pictures(folder, limits, all);
        return protocol->body(all, model);
      });
}

Task<Result<AgentReply>> ModelAgent::run(TurnRequest request, DeltaSink& sink) {
  std::vector<Speech> conversation = conversation_of(request);
  std::size_t left = options_.images && library_ != nullptr ? options_.images_max : 0;
  filter_pictures(conversation, [&left](Picture&) { return left > 0 && left-- > 0; });
  bool again = any_picture(conversation, [](const Picture& p) { return p.in_history; });
  for (;; again = false) {
    Call call(*this, request, sink);
    std::vector<Speech> shown = again ? conversation : std::move(conversation);
    Result<AgentReply> reply = co_await ask(&call, std::move(shown));
    const bool refused = !reply && (reply.error().kind() == ErrorKind::kInvalidArgument ||
                                    reply.error().kind() == ErrorKind::kTooLarge);
    if (!again || !refused || !call.reader.stream().text.empty()) co_return reply;
    filter_pictures(conversation, [](const Picture& p) { return !p.in_history; });
  }
}

Task<Result<AgentReply>> ModelAgent::ask(Call* call, std::vector<Speech> conversation) {
  const Result<void> done = co_await converse(call, std::move(conversation));
  record(*call, done);
  ModelStream& stream = call->reader.stream();
  if (!done) {
    const Error& error = done.error();
    // What the person has seen the beginning of must not begin again.
    const Retry retry = stream.text.empty() ? error.retry() : Retry::never();
    co_return Error(error.kind(), info_.kind + ": " + error.context(), error.source(), retry);
  }
  AgentReply reply;
  reply.usage = {stream.usage.prompt, stream.usage.completion};
  reply.text = std::move(stream.text);
  if (const std::string notice = notice_of(stream); !notice.empty()) {
    const std::string more = reply.text.empty() ? notice : "\n\n" + notice;
    call->sink.delta(more);
    reply.text += more;
  }
  co_return reply;
}

Task<Result<void>> ModelAgent::converse(Call* call, std::vector<Speech> conversation) {
  Result<std::string> body = co_await body_of(std::move(conversation), call->turn.model);
  if (!body) co_return body.error();
  auto opened = co_await client_.open_stream(request_with(std::move(*body)));
  if (!opened) co_return lost_answer(opened.error());
  net::HttpStream answer = std::move(*opened);
  if (!is_plain(answer.headers())) {
    co_return bad_answer("answered compressed, which was not asked for");
  }
  if (answer.status() != 200 || !is_event_stream(answer.headers())) {
    co_return co_await refused(call, &answer);
  }
  const Result<void> followed = co_await call->reader.follow(&answer);
  if (!followed) co_return followed.error();
  const ModelStream& stream = call->reader.stream();
  const bool empty = stream.text.find_first_not_of(" \t\r\n") == std::string::npos;
  if (empty && notice_of(stream).empty()) co_return bad_answer("the model answered nothing");
  co_return Result<void>();
}

Task<Error> ModelAgent::refused(Call* call, net::HttpStream* answer) {
  const MonoTime by = std::min(shard_.now() + kErrorBodyPatience,
                               call->reader.began() + Duration(options_.timeout));
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

void ModelAgent::record(const Call& call, const Result<void>& result) {
  const TokenUsage& usage = call.reader.stream().usage;
  counters_.prompt.add(usage.prompt);
  counters_.completion.add(usage.completion);
  counters_.cached.add(usage.cached);
  if (const auto waited = call.reader.first_token()) {
    counters_.first_token.observe(std::chrono::duration<double>(*waited).count());
  }
  log_.debug("model_answered", {{"agent", info_.name},
                                {"turn", call.turn.turn.value},
                                {"attempt", call.turn.attempt},
                                {"prompt_tokens", usage.prompt},
                                {"completion_tokens", usage.completion},
                                {"cached_tokens", usage.cached},
                                {"stream_bytes", call.reader.bytes()},
                                {"error", result ? std::string() : result.error().to_string()}});
  last_failure_.reset();
  if (!result && is_about_the_api(result.error())) last_failure_ = result.error();
}

Result<void> ModelAgent::health() const {
  if (last_failure_) return *last_failure_;
  return {};
}

}  // namespace sluice
