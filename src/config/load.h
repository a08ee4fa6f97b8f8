#pragma once
// Reading a configuration: text against a Schema. Every problem is found in one go, not the first
// one only; a text that is not TOML is the exception.
//
// Thread: any; reads secrets from the environment and from files, so at start and on reload only.
// Limits: 1 MiB of text (parse.h), kMaxInstances a group, kMaxSecretBytes a secret.

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "config/config.h"
#include "config/diagnostic.h"
#include "config/schema.h"

namespace sluice::config {

inline constexpr std::size_t kMaxInstances = 256;
inline constexpr std::size_t kMaxSecretBytes = 64 * 1024;

/// Where { env = "NAME" } and { file = "/path" } are looked up.
class SecretSource {
 public:
  virtual ~SecretSource() = default;
  /// Nothing if the variable is not set.
  virtual std::optional<Secret> environment(const std::string& name) = 0;
  /// The error's context says why, as a person should read it.
  virtual Result<Secret> file(const std::string& path) = 0;
};

/// The process' environment and file system. A file that others may read or write is refused; one
/// line break at its end is not part of the secret.
class SystemSecrets : public SecretSource {
 public:
  std::optional<Secret> environment(const std::string& name) override;
  Result<Secret> file(const std::string& path) override;
};

struct Loaded {
  std::optional<Config> config;      // there unless a problem is an error
  std::vector<Diagnostic> problems;  // in the order of the file; warnings too

  /// One line each, ready for standard error.
  std::string to_string() const;
};

/// file is what diagnostics call it; paths in the text are taken from its folder. The schema
/// outlives the Config.
Loaded load(const Schema& schema, std::string_view text, const std::string& file,
            SecretSource& secrets);

/// The same for a file on disk; one that can't be read is a problem of line 0.
Loaded load_file(const Schema& schema, const std::string& path, SecretSource& secrets);

}  // namespace sluice::config
