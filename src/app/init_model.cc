#include "app/init_model.h"

#include <algorithm>
#include <memory>

#include <boost/json.hpp>
#include <fmt/format.h>

#include "agents/anthropic/anthropic_agent.h"
#include "agents/model/model_options.h"
#include "agents/openai/openai_agent.h"
#include "base/utf8.h"
#include "ctl/console.h"
#include "net/sse.h"

namespace sluice::app {
namespace {

namespace json = boost::json;
using std::chrono::milliseconds;

constexpr std::string_view kQuestion = "Answer with the one word: ready";
constexpr std::size_t kWordsMax = 300;      // of an API's own explanation
constexpr std::size_t kModelNameMax = 256;  // bytes
constexpr std::size_t kRefusalBytes = 64 << 10;
constexpr std::uint64_t kStreamBytes = 1 << 20;
constexpr std::size_t kEnoughText = 80;  // the call is dropped once so much has come

bool is_anthropic(const ModelPlace& place) { return place.kind == "anthropic"; }

std::unique_ptr<const ModelProtocol> protocol_of(const ModelPlace& place) {
  if (is_anthropic(place)) {
    AnthropicOptions options;
    options.base_url = place.base_url;
    options.model = place.model;
    options.api_key = place.key;
    return std::make_unique<AnthropicProtocol>(std::move(options));
  }
  OpenAiOptions options;
  options.base_url = place.base_url;
  options.model = place.model;
  options.api_key = place.key;
  return std::make_unique<OpenAiProtocol>(std::move(options));
}

/// An API's words in one line that is safe to print, shortened.
std::string words_of(std::string_view text) {
  std::string line = ctl::safe_line(text);
  if (line.size() <= kWordsMax) return line;
  std::size_t end = kWordsMax;
  while (end > 0 && (static_cast<unsigned char>(line[end]) & 0xC0) == 0x80) --end;
  return line.substr(0, end) + "…";
}

/// error.message, error as a text, message, or detail: what APIs of these kinds write.
std::string told_words(std::string_view body) {
  boost::system::error_code ec;
  const json::value value = json::parse(body, ec);
  const json::object* o = ec ? nullptr : value.if_object();
  if (o == nullptr) return {};
  const json::value* error = o->if_contains("error");
  if (error != nullptr && error->is_string()) return words_of(error->get_string());
  if (error != nullptr && error->is_object()) o = &error->get_object();
  for (const char* name : {"message", "detail"}) {
    const json::value* text = o->if_contains(name);
    if (text != nullptr && text->is_string()) return words_of(text->get_string());
  }
  return {};
}

Error unreachable(const net::Url& url, const net::FetchError& failure) {
  return Error(failure.error.kind(), fmt::format("{} can't be reached: {}", url.authority(),
                                                 ctl::safe_line(failure.error.context())));
}

Error refused(std::string words, int status) {
  const bool key = status == 401 || status == 403;
  return Error(key ? ErrorKind::kUnauthenticated : ErrorKind::kBadResponse, std::move(words));
}

bool is_event_stream(const net::HttpHeaders& headers) {
  std::string_view type = headers.get("content-type").value_or("");
  type = type.substr(0, type.find_first_of("; "));
  return net::equal_ignoring_case(type, "text/event-stream");
}

net::HttpClientRequest get(net::Url url, net::HttpHeaders headers, Duration timeout) {
  net::HttpClientRequest request;
  request.url = std::move(url);
  request.headers = std::move(headers);
  request.headers.set("Accept", "application/json");
  request.headers.set("Accept-Encoding", "identity");
  request.timeout = timeout;
  request.max_response_bytes = kListBytes;
  return request;
}

/// The models of a server on this machine, or an error if there is none on this port.
Task<Result<std::vector<std::string>>> look_at(net::HttpClient* client, std::uint16_t port,
                                               std::string path) {
  net::Url url;
  url.host = "127.0.0.1";
  url.port = port;
  url.target = std::move(path);
  auto answer = co_await client->fetch(get(std::move(url), {}, kLookPatience));
  if (!answer) co_return answer.error().error;
  if (answer->status != 200) co_return Error(ErrorKind::kBadResponse, "not a model server");
  co_return parse_models(answer->body);
}

/// The rest of a refusal, as far as it comes.
Task<std::string> read_refusal(net::HttpStream* answer, MonoTime by) {
  std::string body;
  while (body.size() < kRefusalBytes) {
    const auto piece = co_await answer->next(by);
    if (!piece || !*piece) break;
    body += **piece;
  }
  co_return body;
}

/// Reads until there is enough of an answer, it ends, or something goes wrong.
Task<Result<std::string>> read_answer(net::HttpStream* answer, const ModelProtocol* protocol,
                                      MonoTime by) {
  const std::unique_ptr<StreamDecoder> decoder = protocol->decoder();
  net::SseParser parser;
  ModelStream stream;
  std::uint64_t bytes = 0;
  while (!stream.ended && stream.text.size() < kEnoughText && bytes < kStreamBytes) {
    const auto piece = co_await answer->next(by);
    if (!piece) {
      const bool late = piece.error().error.kind() == ErrorKind::kTimeout;
      if (late && stream.progress > 0) break;
      if (late) co_return Error(ErrorKind::kTimeout, "it began an answer, but no word of it came");
      co_return Error(ErrorKind::kBadResponse, "the connection broke within the answer");
    }
    if (!*piece) break;
    bytes += (*piece)->size();
    std::vector<net::SseEvent> events;
    const Result<void> parsed = parser.put(**piece, events);
    for (const net::SseEvent& event : events) {
      const Result<void> taken = decoder->take(event, stream);
      if (!taken) {
        const std::string told = told_words(event.data);
        const std::string& said = taken.error().context();
        co_return Error(taken.error().kind(), told.empty() ? said : said + ": " + told);
      }
    }
    if (!parsed) co_return Error(ErrorKind::kBadResponse, "a line of the answer is too long");
  }
  if (stream.progress == 0 && stream.text.empty()) {
    co_return Error(ErrorKind::kBadResponse, "the model answered nothing");
  }
  co_return std::move(stream.text);
}

}  // namespace

Result<std::vector<std::string>> parse_models(std::string_view body) {
  boost::system::error_code ec;
  const json::value value = json::parse(body, ec);
  const json::object* o = ec ? nullptr : value.if_object();
  const Error none(ErrorKind::kBadResponse, "the answer is no list of models");
  if (o == nullptr) return none;
  const json::value* list = o->if_contains("data");
  const char* key = "id";
  if (list == nullptr) {
    list = o->if_contains("models");
    key = "name";
  }
  // A server of Ollama's kind without models says null.
  if (list != nullptr && list->is_null()) return std::vector<std::string>();
  if (list == nullptr || !list->is_array()) return none;
  std::vector<std::string> names;
  for (const json::value& entry : list->get_array()) {
    const json::object* model = entry.if_object();
    const json::value* name = model == nullptr ? nullptr : model->if_contains(key);
    if (name == nullptr || !name->is_string()) continue;
    const std::string_view text = name->get_string();
    const bool fit = !text.empty() && text.size() <= kModelNameMax && ctl::safe_line(text) == text;
    if (fit && names.size() < kModelsMax) names.emplace_back(text);
  }
  return names;
}

std::string refusal_words(const ModelPlace& place, int status, const net::HttpHeaders& headers,
                          std::string_view body) {
  const std::string told = told_words(body);
  std::string out = fmt::format("it answered {}{}{}", status, told.empty() ? "" : ": ", told);
  if (status == 401 || status == 403) {
    out += place.key.empty() ? "\n  A key seems to be needed."
                             : "\n  The key seems to be wrong, or to lack a right.";
  } else if (status >= 300 && status < 400) {
    out += fmt::format("\n  It redirects to {}, which is not followed: is the base URL right?",
                       words_of(headers.get("location").value_or("nowhere")));
  } else if (status == 404 || status == 405) {
    const bool versioned = is_anthropic(place) || place.base_url.find("/v1") != std::string::npos;
    out += versioned ? "\n  Is the base URL right, and the model's name?"
                     : "\n  Is the base URL right? It usually ends with /v1.";
  } else if (status == 200) {
    const std::string type = words_of(headers.get("content-type").value_or("something"));
    out = fmt::format("it answered {} where an event stream was asked for{}{}", type,
                      told.empty() ? "" : ": ", told);
    out += is_anthropic(place) ? "\n  Is the base URL right?"
                               : "\n  Is the base URL right? It usually ends with /v1.";
  }
  return out;
}

Task<std::vector<FoundServer>> find_servers(net::HttpClient* client,
                                            std::vector<std::uint16_t> ports) {
  std::vector<FoundServer> found;
  for (const std::uint16_t port : ports) {
    auto models = co_await look_at(client, port, "/v1/models");
    const bool other = !models && models.error().kind() == ErrorKind::kBadResponse;
    if (other) models = co_await look_at(client, port, "/api/tags");
    if (models) found.push_back({fmt::format("http://127.0.0.1:{}/v1", port), std::move(*models)});
  }
  co_return found;
}

Task<Result<std::vector<std::string>>> list_models(net::HttpClient* client, ModelPlace place) {
  const bool anthropic = is_anthropic(place);
  auto url = model_url(place.base_url, anthropic ? "/v1/models" : "/models");
  if (!url) co_return url.error();
  net::HttpClientRequest request = get(*url, protocol_of(place)->headers(), kListPatience);
  auto answer = co_await client->fetch(std::move(request));
  if (!answer) co_return unreachable(*url, answer.error());
  if (answer->status != 200) {
    co_return refused(refusal_words(place, answer->status, answer->headers, answer->body),
                      answer->status);
  }
  co_return parse_models(answer->body);
}

Task<Result<Answered>> ask_model(Shard* shard, net::HttpClient* client, ModelPlace place) {
  const std::unique_ptr<const ModelProtocol> protocol = protocol_of(place);
  auto url = model_url(place.base_url, protocol->path());
  if (!url) co_return url.error();
  const MonoTime began = shard->now();
  const MonoTime by = began + Duration(kAnswerPatience);
  net::HttpClientRequest request;
  request.method = "POST";
  request.url = *url;
  request.headers = protocol->headers();
  request.headers.set("Content-Type", "application/json");
  request.headers.set("Accept", "text/event-stream");
  request.headers.set("Accept-Encoding", "identity");
  request.body = protocol->body({Speech{true, std::string(kQuestion)}}, "");
  request.timeout = kAnswerPatience;
  auto opened = co_await client->open_stream(std::move(request));
  if (!opened) co_return unreachable(*url, opened.error());
  net::HttpStream answer = std::move(*opened);
  if (answer.status() != 200 || !is_event_stream(answer.headers())) {
    const std::string body = co_await read_refusal(&answer, by);
    co_return refused(refusal_words(place, answer.status(), answer.headers(), body),
                      answer.status());
  }
  auto text = co_await read_answer(&answer, protocol.get(), by);
  if (!text) co_return text.error();
  Answered out;
  out.text = words_of(*text);
  out.took = std::chrono::duration_cast<milliseconds>(shard->now() - began);
  co_return out;
}

}  // namespace sluice::app
