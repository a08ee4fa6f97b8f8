#include "gateway/channel.h"

#include "base/utf8.h"

namespace sluice {

std::vector<std::string> Formatter::reply(std::string_view text, std::size_t part_bytes_max) const {
  std::vector<std::string> parts;
  if (part_bytes_max == 0) return {std::string(text)};
  while (text.size() > part_bytes_max) {
    // At a line's end if there is one in the second half, else at a space, else between code
    // points.
    std::size_t cut = utf8_floor(text, part_bytes_max);
    for (const char separator : {'\n', ' '}) {
      const std::size_t at = text.substr(0, cut).rfind(separator);
      if (at != std::string_view::npos && at + 1 >= part_bytes_max / 2) {
        cut = at + 1;
        break;
      }
    }
    if (cut == 0) cut = part_bytes_max;  // a bound below one code point: cut it rather than loop
    parts.emplace_back(text.substr(0, cut));
    text.remove_prefix(cut);
  }
  if (!text.empty() || parts.empty()) parts.emplace_back(text);
  return parts;
}

std::string Formatter::notice(std::string_view text, std::string_view suggestion) const {
  std::string all(text);
  if (!suggestion.empty()) all.append(" ").append(suggestion);
  return all;
}

std::string Formatter::possible_duplicate(std::string_view text) const {
  return "(This may be a duplicate.)\n" + std::string(text);
}

const Formatter& Channel::formatter() const {
  static const Formatter plain;
  return plain;
}

Task<SendOutcome> Channel::send(SendRequest) {
  co_return SendOutcome::of(SendOutcome::What::kRefused, "this channel does not send");
}

Task<Result<std::optional<std::string>>> Channel::find_sent(SendRequest) {
  co_return Error(ErrorKind::kUnsupported, "this channel can't look back");
}

}  // namespace sluice
