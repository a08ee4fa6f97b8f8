// Whatever is posted: a refusal that can be told, or a request that keeps the promises of body.h.

#include <cstdint>
#include <cstdlib>
#include <string_view>

#include <boost/json/parse.hpp>

#include "base/utf8.h"
#include "channels/openai/body.h"
#include "net/json_body.h"

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace sluice;
  const auto request =
      openai::parse_body(std::string_view(reinterpret_cast<const char*>(data), size));
  if (!request) {
    const openai::Refusal& refusal = request.error();
    require(refusal.status == 400 && !refusal.message.empty() && !refusal.code.empty());
    require(is_utf8(refusal.message) && is_utf8(refusal.param));
    boost::system::error_code ec;
    (void)boost::json::parse(openai::to_json(refusal), ec);
    require(!ec);
    return 0;
  }
  require(is_utf8(request->text) && request->text.find('\0') == std::string::npos);
  require(!normalise_text(request->text).empty() || !request->images.empty());
  require(request->images.size() <= openai::kImagesMax);
  require(net::is_clean_name(request->model));
  require(request->user.empty() || net::is_clean_name(request->user));
  require(request->stream || !request->include_usage);
  const auto rest = openai::parse_without_messages(openai::without_messages(*request));
  require(rest && rest->model == request->model && rest->user == request->user);
  require(rest->stream == request->stream && rest->include_usage == request->include_usage);
  return 0;
}
