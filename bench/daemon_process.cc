#include "daemon_process.h"

#include <filesystem>
#include <fstream>

#include <fmt/core.h>

#include "base/assert.h"
#include "measure.h"

namespace sluice::bench {
namespace {

std::vector<std::string> command_of(const std::string& program, const std::string& directory,
                                    const std::string& config) {
  const std::string file = directory + "/sluice.toml";
  std::filesystem::create_directories(directory);
  std::ofstream(file) << config << "[server]\nlisten = [\"127.0.0.1:0\"]\n";
  return {program, "run", "--config", file, "--data", directory + "/data"};
}

}  // namespace

const std::string DaemonProcess::kEcho =
    "[agents.echo]\nkind = \"echo\"\n[channels.http]\nkind = \"http\"\nagent = \"echo\"\n";

DaemonProcess::DaemonProcess(const std::string& program, const std::string& directory,
                             const std::string& config)
    : program_(program),
      data_(directory + "/data"),
      began_(wall_seconds()),
      process_(command_of(program, directory, config)) {
  port_ = port_behind(process_.read_until("  control "), "http://127.0.0.1:");
  ready_ms_ = (wall_seconds() - began_) * 1e3;
}

std::string DaemonProcess::authorization() const {
  std::ifstream in(data_ + "/owner.token");
  std::string token;
  in >> token;
  return fmt::format("Authorization: Bearer {}\r\n", token);
}

std::string DaemonProcess::authorization_of_new(const std::string& person) const {
  const std::string said = output_of({program_, "token", "add", person, "--data", data_, "--json"});
  constexpr std::string_view kToken = "\"token\":\"";
  const std::size_t at = said.find(kToken);
  SLUICE_ASSERT(at != std::string::npos);
  const std::size_t begin = at + kToken.size();
  return fmt::format("Authorization: Bearer {}\r\n",
                     said.substr(begin, said.find('"', begin) - begin));
}

std::string output_of(const std::vector<std::string>& command, double* seconds) {
  const double began = wall_seconds();
  std::string all;
  {
    ChildProcess process(command);
    all = process.read_all();
  }
  if (seconds != nullptr) *seconds = wall_seconds() - began;
  return all;
}

double bare_process_milliseconds() {
  double seconds = 0;
  (void)output_of({"/bin/true"}, &seconds);
  return seconds * 1e3;
}

}  // namespace sluice::bench
