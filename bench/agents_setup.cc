#include "agents_setup.h"

#include <fmt/core.h>
#include <unistd.h>

namespace sluice::bench {
namespace {

constexpr const char* kConfig =
    "[core]\nmax_concurrent_turns = 4000\nmax_turns_per_person = 4000\n"
    "max_turns_per_account_percent = 100\nhistory_messages = 0\n"
    "[agents.model]\nkind = \"openai\"\nbase_url = \"http://127.0.0.1:{}/v1\"\nmodel = \"mock\"\n"
    "max_turns = 4000\n"
    "[channels.http]\nkind = \"http\"\nagent = \"model\"\n"
    "[channels.cli]\nkind = \"cli\"\nagent = \"model\"\n"
    "[channels.openai]\nkind = \"openai\"\nagent = \"model\"\nrequests_max = 4000\n"
    "requests_per_person = 4000\n";

}  // namespace

ModelWorld::ModelWorld(const Scale& scale) : directory_(scale.directory) {
  daemon_.emplace(scale.programs + "/sluice", directory_.path(),
                  fmt::format(kConfig, model_.port()));
}

bool has_daemon(const Scale& scale) {
  return ::access((scale.programs + "/sluice").c_str(), X_OK) == 0;
}

}  // namespace sluice::bench
