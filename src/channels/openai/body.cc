#include "channels/openai/body.h"

#include <algorithm>
#include <array>
#include <optional>

#include <boost/json.hpp>
#include <fmt/core.h>

#include "base/utf8.h"
#include "net/json_body.h"

namespace sluice::openai {
namespace {

namespace json = boost::json;

struct Sent {
  std::string param;
  std::string_view url;  // of the body, which outlives it
};

struct Said {
  std::string role;
  std::string text;
  std::vector<Sent> images;
};

constexpr std::string_view kUnsupported = "unsupported_parameter";

/// What is there; null is what is not.
const json::value* find(const json::object& object, std::string_view name) {
  const json::value* value = object.if_contains(name);
  return value == nullptr || value->is_null() ? nullptr : value;
}

Refusal wrong_type(std::string param, std::string_view wanted) {
  std::string message = fmt::format("'{}' must be {}.", param, wanted);
  return invalid(std::move(param), std::move(message), "invalid_type");
}

Refusal missing(std::string param) {
  std::string message = fmt::format("Missing required parameter: '{}'.", param);
  return invalid(std::move(param), std::move(message), "missing_required_parameter");
}

Refusal unsupported(std::string param, std::string_view why) {
  std::string message = fmt::format("'{}' is not supported here: {}.", param, why);
  return invalid(std::move(param), std::move(message), std::string(kUnsupported));
}

Checked<std::string> text_of(const json::value& value, const std::string& param) {
  if (!value.is_string()) return wrong_type(param, "a string");
  const std::string_view text = value.get_string();
  if (!is_utf8(text) || text.find('\0') != std::string_view::npos)
    return invalid(param, fmt::format("'{}' must be Unicode text without NUL.", param));
  return std::string(text);
}

Checked<bool> flag_of(const json::object& object, std::string_view name) {
  const json::value* value = find(object, name);
  if (value == nullptr) return false;
  if (!value->is_bool()) return wrong_type(std::string(name), "a boolean");
  return value->get_bool();
}

bool is_empty_list(const json::value& value) {
  return value.is_array() && value.get_array().empty();
}

bool is_one_of(const json::value& value, std::initializer_list<std::string_view> words) {
  if (!value.is_string()) return false;
  for (const std::string_view word : words) {
    if (std::string_view(value.get_string()) == word) return true;
  }
  return false;
}

bool asks_for_text(const json::value& format) {
  const json::object* object = format.if_object();
  const json::value* type = object == nullptr ? nullptr : find(*object, "type");
  return type != nullptr && is_one_of(*type, {"text"});
}

bool is_only_text(const json::value& modalities) {
  const json::array* list = modalities.if_array();
  return list != nullptr && list->size() == 1 && is_one_of(list->front(), {"text"});
}

/// A field whose wish can't be granted, unless it wishes for what is the case anyway.
struct Barred {
  std::string_view name;
  bool (*harmless)(const json::value&);
  std::string_view why;
};
constexpr auto kBarred = std::to_array<Barred>({
    {"tools", &is_empty_list, "the agent has its own tools"},
    {"functions", &is_empty_list, "the agent has its own tools"},
    {"tool_choice", [](const json::value& v) { return is_one_of(v, {"none", "auto"}); },
     "the agent has its own tools"},
    {"function_call", [](const json::value& v) { return is_one_of(v, {"none", "auto"}); },
     "the agent has its own tools"},
    {"n", [](const json::value& v) { return v.is_int64() && v.get_int64() == 1; },
     "there is one answer to a message"},
    {"logprobs", [](const json::value& v) { return v.is_bool() && !v.get_bool(); },
     "agents tell no probabilities"},
    {"top_logprobs", [](const json::value& v) { return v.is_int64() && v.get_int64() == 0; },
     "agents tell no probabilities"},
    {"response_format", &asks_for_text, "agents answer with text"},
    {"modalities", &is_only_text, "agents answer with text"},
    {"audio", [](const json::value&) { return false; }, "agents answer with text"},
    {"web_search_options", [](const json::value&) { return false; }, "the agent has its own tools"},
});

Refusal unsupported_content(const std::string& at, std::string_view why) {
  return invalid(at, fmt::format("'{}': {}.", at, why), "unsupported_content");
}

Checked<Sent> image_of(const json::object& part, const std::string& at, std::string_view role) {
  if (role != "user") return unsupported_content(at, "only the user's messages may have images");
  const std::string param = at + ".image_url";
  const json::value* image = find(part, "image_url");
  if (image == nullptr) return missing(param);
  if (!image->is_object()) return wrong_type(param, "an object");
  const json::value* url = find(image->get_object(), "url");
  if (url == nullptr) return missing(param + ".url");
  if (!url->is_string()) return wrong_type(param + ".url", "a string");
  const std::string_view text = url->get_string();
  if (!text.starts_with("data:")) {
    return unsupported_content(at,
                               "only images in the request itself are taken, as data: URLs; "
                               "nothing is fetched for clients");
  }
  return Sent{at, text};
}

/// "data:image/png;base64,…"
Checked<Image> decode(const Sent& sent) {
  constexpr std::string_view kScheme = "data:";
  constexpr std::string_view kEncoding = ";base64";
  const std::size_t comma = std::min(sent.url.find(','), sent.url.size());
  std::string_view kind = sent.url.substr(kScheme.size(), comma - kScheme.size());
  const bool encoded = kind.ends_with(kEncoding);
  if (encoded) kind.remove_suffix(kEncoding.size());
  // Many a client makes the type from a file's name.
  const std::optional<media::Type> type =
      media::type_of_mime(kind == "image/jpg" ? "image/jpeg" : kind);
  if (!encoded || !type) {
    return unsupported_content(sent.param,
                               "images are PNG, JPEG, GIF or WebP, written as "
                               "data:image/png;base64,…");
  }
  std::optional<std::string> bytes =
      media::from_base64(sent.url.substr(std::min(comma + 1, sent.url.size())));
  if (!bytes) return invalid(sent.param, fmt::format("'{}' is no base64.", sent.param));
  return Image{sent.param, *type, *std::move(bytes)};
}

/// Texts of the parts, joined, and the images among them.
Checked<void> join(const json::array& parts, const std::string& param, Said& out) {
  if (parts.size() > kPartsMax) {
    return invalid(param, fmt::format("'{}' has more than {} parts.", param, kPartsMax));
  }
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const std::string at = fmt::format("{}[{}]", param, i);
    const json::object* part = parts[i].if_object();
    if (part == nullptr) return wrong_type(at, "an object");
    const json::value* type = find(*part, "type");
    if (type == nullptr || !type->is_string()) return missing(at + ".type");
    if (is_one_of(*type, {"image_url"})) {
      Checked<Sent> image = image_of(*part, at, out.role);
      if (!image) return image.error();
      out.images.push_back(std::move(*image));
      continue;
    }
    // What a model declined to say is what it said.
    const bool refusal = is_one_of(*type, {"refusal"});
    if (!refusal && !is_one_of(*type, {"text"}))
      return unsupported_content(at, "only text and images are supported here");
    const std::string field = refusal ? "refusal" : "text";
    const json::value* value = find(*part, field);
    if (value == nullptr) return missing(at + "." + field);
    const Checked<std::string> piece = text_of(*value, at + "." + field);
    if (!piece) return piece.error();
    out.text += *piece;
  }
  return {};
}

Checked<Said> said(const json::value& value, const std::string& at) {
  const json::object* message = value.if_object();
  if (message == nullptr) return wrong_type(at, "an object");
  Said out;
  const json::value* role = find(*message, "role");
  if (role == nullptr) return missing(at + ".role");
  if (is_one_of(*role, {"tool", "function"}))
    return unsupported(at + ".role", "the agent has its own tools");
  if (!is_one_of(*role, {"system", "developer", "user", "assistant"})) {
    return invalid(at + ".role", fmt::format("'{}.role' must be 'system', 'developer', 'user' or "
                                             "'assistant'.",
                                             at));
  }
  out.role = std::string(std::string_view(role->get_string()));
  for (const std::string_view calls : {"tool_calls", "function_call"}) {
    const json::value* call = find(*message, calls);
    if (call != nullptr && !is_empty_list(*call))
      return unsupported(fmt::format("{}.{}", at, calls), "the agent has its own tools");
  }
  const std::string param = at + ".content";
  const json::value* content = find(*message, "content");
  if (content == nullptr) return missing(param);
  if (content->is_array()) {
    const Checked<void> joined = join(content->get_array(), param, out);
    if (!joined) return joined.error();
    return out;
  }
  Checked<std::string> text = text_of(*content, param);
  if (!text) return text.error();
  out.text = std::move(*text);
  return out;
}

Checked<std::vector<Said>> messages_of(const json::object& body) {
  const json::value* list = find(body, "messages");
  if (list == nullptr) return missing("messages");
  if (!list->is_array()) return wrong_type("messages", "an array");
  const json::array& items = list->get_array();
  if (items.empty()) return invalid("messages", "'messages' is empty.");
  if (items.size() > kMessagesMax) {
    return invalid("messages", fmt::format("'messages' has more than {} entries.", kMessagesMax));
  }
  std::vector<Said> out;
  out.reserve(items.size());
  for (std::size_t i = 0; i < items.size(); ++i) {
    Checked<Said> one = said(items[i], fmt::format("messages[{}]", i));
    if (!one) return one.error();
    out.push_back(std::move(*one));
  }
  if (out.back().role != "user") {
    return invalid("messages",
                   "The last message must be the user's: it is the one that is "
                   "answered.");
  }
  if (normalise_text(out.back().text).empty() && out.back().images.empty())
    return invalid("messages", "The last message is empty.");
  return out;
}

/// Those of the messages from `first` on. Where words will stand for an earlier message, they say
/// which images were its own.
Checked<std::vector<Image>> images_of(std::vector<Said>& messages, std::size_t first) {
  std::vector<Image> images;
  for (std::size_t i = first; i < messages.size(); ++i) {
    for (const Sent& sent : messages[i].images) {
      if (images.size() == kImagesMax) {
        return invalid("messages",
                       fmt::format("The messages have more than {} images.", kImagesMax));
      }
      Checked<Image> image = decode(sent);
      if (!image) return image.error();
      images.push_back(std::move(*image));
      if (i + 1 < messages.size()) messages[i].text += fmt::format("[image {}]", images.size());
    }
  }
  return images;
}

/// JSON, because nobody's words can then pass for somebody else's.
std::string fold(std::vector<Said>& messages) {
  if (messages.size() == 1) return std::move(messages.back().text);
  std::string text = "Earlier messages of this conversation, one JSON object a line:\n";
  for (std::size_t i = 0; i + 1 < messages.size(); ++i) {
    const json::object line{{"role", messages[i].role}, {"content", messages[i].text}};
    text += json::serialize(line);
    text += '\n';
  }
  text += "\nThe message to answer:\n";
  return text += messages.back().text;
}

Checked<bool> usage_wanted(const json::object& body, bool stream) {
  const json::value* options = find(body, "stream_options");
  if (options == nullptr) return false;
  if (!options->is_object()) return wrong_type("stream_options", "an object");
  if (!stream) {
    return invalid("stream_options", "'stream_options' goes with 'stream': true.");
  }
  const json::value* wanted = find(options->get_object(), "include_usage");
  if (wanted == nullptr) return false;
  if (!wanted->is_bool()) return wrong_type("stream_options.include_usage", "a boolean");
  return wanted->get_bool();
}

Checked<std::string> name_of(const json::object& body, std::string_view field) {
  const json::value* value = find(body, field);
  if (value == nullptr) return std::string();
  Checked<std::string> name = text_of(*value, std::string(field));
  if (!name || name->empty()) return name;
  if (!net::is_clean_name(*name) || name->size() > kUserBytesMax) {
    return invalid(std::string(field),
                   fmt::format("'{}' must have at most {} bytes and no control characters.", field,
                               kUserBytesMax));
  }
  return name;
}

/// All but the messages.
Checked<ChatRequest> frame_of(const json::object& body) {
  for (const Barred& field : kBarred) {
    const json::value* value = find(body, field.name);
    if (value != nullptr && !field.harmless(*value))
      return unsupported(std::string(field.name), field.why);
  }
  ChatRequest out;
  Checked<std::string> model = name_of(body, "model");
  if (!model) return model.error();
  if (model->empty()) return missing("model");
  out.model = std::move(*model);
  Checked<std::string> user = name_of(body, "user");
  if (!user) return user.error();
  out.user = std::move(*user);
  const Checked<bool> stream = flag_of(body, "stream");
  if (!stream) return stream.error();
  out.stream = *stream;
  const Checked<bool> usage = usage_wanted(body, out.stream);
  if (!usage) return usage.error();
  out.include_usage = *usage;
  return out;
}

Checked<ChatRequest> request_of(const json::object& body) {
  Checked<ChatRequest> frame = frame_of(body);
  if (!frame) return frame;
  ChatRequest& out = *frame;
  Checked<std::vector<Said>> messages = messages_of(body);
  if (!messages) return messages.error();
  const std::size_t first = out.user.empty() ? 0 : messages->size() - 1;
  Checked<std::vector<Image>> images = images_of(*messages, first);
  if (!images) return images.error();
  out.images = std::move(*images);
  out.text = out.user.empty() ? fold(*messages) : std::move(messages->back().text);
  return frame;
}

Checked<ChatRequest> parse(std::string_view text,
                           Checked<ChatRequest> (*read)(const json::object&)) {
  boost::system::error_code ec;
  const json::value value = json::parse(text, ec);
  if (ec) return invalid({}, "The body is not JSON: " + ec.message() + ".", "invalid_json");
  if (!value.is_object()) return invalid({}, "The body must be a JSON object.", "invalid_json");
  return read(value.get_object());
}

}  // namespace

Checked<ChatRequest> parse_body(std::string_view text) { return parse(text, &request_of); }

std::string without_messages(const ChatRequest& request) {
  json::object body{{"model", request.model}, {"stream", request.stream}};
  if (!request.user.empty()) body.emplace("user", request.user);
  if (request.include_usage) body.emplace("stream_options", json::object{{"include_usage", true}});
  return json::serialize(body);
}

Checked<ChatRequest> parse_without_messages(std::string_view text) {
  return parse(text, &frame_of);
}

}  // namespace sluice::openai
