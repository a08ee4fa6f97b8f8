#include "app/goodbye.h"

#include <fmt/format.h>

#include "app/version.h"
#include "auth/signature.h"
#include "runtime/task_group.h"

namespace sluice::app {
namespace {

constexpr std::uint64_t kAnswerBytes = 64 * 1024;

struct Failures {
  std::size_t count = 0;
  std::string first;
};

Task<void> post(net::HttpClient* client, net::HttpClientRequest request, Failures* failures) {
  const std::string where = request.url.authority();
  const auto answer = co_await client->fetch(std::move(request));
  std::string why;
  if (!answer) {
    why = answer.error().error.to_string();
  } else if (answer->status / 100 != 2) {
    why = fmt::format("status {}", answer->status);
  }
  if (why.empty()) co_return;
  if (failures->count++ == 0) failures->first = fmt::format("{}: {}", where, why);
}

}  // namespace

Task<Result<void>> say_goodbye(Shard* shard, net::HttpClient* client, const GoodbyeOptions* options,
                               Goodbye goodbye) {
  const std::string body =
      fmt::format(R"({{"event":"stopping","restart":{},"version":"{}","generation":{},"at":{}}})",
                  goodbye.restart, kVersion, goodbye.generation, shard->wall().ms);
  Failures failures;
  {
    TaskGroup posts(*shard);
    for (const std::string& text : options->notify) {
      auto url = net::Url::parse(text);
      if (!url) co_return url.error();  // checked when the configuration was read
      net::HttpClientRequest request;
      request.method = "POST";
      request.url = *std::move(url);
      request.headers.set("Content-Type", "application/json");
      if (!options->secret.empty()) {
        request.headers.set(auth::kSignatureHeader,
                            auth::signature(options->secret.reveal(), body, shard->wall()));
      }
      request.body = body;
      request.timeout = kGoodbyeTimeout;
      request.max_response_bytes = kAnswerBytes;
      posts.spawn("goodbye", post(client, std::move(request), &failures));
    }
    co_await posts.join(MonoTime::max());
  }
  if (failures.count == 0) co_return Result<void>();
  co_return Error(ErrorKind::kUnavailable,
                  fmt::format("{} of {} were not told, {}", failures.count, options->notify.size(),
                              failures.first),
                  ErrorSource::kPeer);
}

}  // namespace sluice::app
