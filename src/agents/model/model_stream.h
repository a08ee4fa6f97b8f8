#pragma once
// What a model's stream has told so far, and the two things that differ between APIs: how a request
// is written and how an event is read.

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <boost/json/object.hpp>

#include "agents/model/conversation.h"
#include "base/result.h"
#include "gateway/agent.h"
#include "net/http_types.h"
#include "net/sse.h"

namespace sluice {

enum class Finish : std::uint8_t {
  kNone,  // not told yet
  kStop,
  kLength,   // a limit on tokens was reached
  kTools,    // it waits for the result of a tool
  kRefused,  // a filter or the model itself went no further
};

struct TokenUsage {
  std::uint64_t prompt = 0;  // cached ones included
  std::uint64_t completion = 0;
  std::uint64_t cached = 0;
};

/// A value. text has no bound of its own: the core cuts off what exceeds the reply's bound.
struct ModelStream {
  static constexpr std::size_t kToolsMax = 16;

  std::string text;            // well-formed UTF-8
  std::uint64_t progress = 0;  // grows with whatever shows that the model works
  Finish finish = Finish::kNone;
  bool ended = false;  // the API's end marker came
  TokenUsage usage;
  std::vector<std::string> tools;  // names of the tools it asked for, as it wrote them
  std::size_t tools_total = 0;

  void add_text(std::string_view more);
  void add_tool(std::string_view name);
  void finish_by(Finish reason);
};

/// Reads one answer. One decoder an answer.
class StreamDecoder {
 public:
  virtual ~StreamDecoder() = default;
  /// Unknown events change nothing. Errors: what the API told (its kind and retry() by
  /// model_error.h), or kBadResponse for what is not its protocol.
  virtual Result<void> take(const net::SseEvent& event, ModelStream& stream) = 0;
};

/// What tells one API from another. Immutable.
class ModelProtocol {
 public:
  virtual ~ModelProtocol() = default;
  virtual std::string_view path() const = 0;     // below the base URL
  virtual net::HttpHeaders headers() const = 0;  // the key among them
  /// Its pictures have been loaded. Any thread.
  /// model: the one that was chosen for this turn; empty: the configured one.
  virtual std::string body(const std::vector<Speech>& conversation,
                           const std::string& model) const = 0;
  /// The largest image that the API takes, in bytes.
  virtual std::size_t picture_bytes_max() const { return std::numeric_limits<std::size_t>::max(); }
  virtual std::unique_ptr<StreamDecoder> decoder() const = 0;
};

/// What the person has to be told besides the text: that it was cut off by a limit, that a tool was
/// asked for, that the model or a filter declined. Empty for an answer that ended as it should.
std::string notice_of(const ModelStream& stream);

// ---- for decoders

/// The object in an event's data, or kBadResponse.
Result<boost::json::object> parse_event(std::string_view data, boost::json::storage_ptr storage);
/// Empty if it is not there or no text.
std::string_view text_in(const boost::json::object& o, std::string_view name);
const boost::json::object* object_in(const boost::json::object& o, std::string_view name);
/// nullopt if it is not there or no count.
std::optional<std::uint64_t> count_in(const boost::json::object& o, std::string_view name);

// ---- for requests

/// temperature and so on, where they are set; then `parameters`, which may add and replace.
struct ModelOptions;
void add_parameters(const ModelOptions& options, boost::json::object& body);

}  // namespace sluice
