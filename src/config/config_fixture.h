#pragma once
// A small schema with one option of every type, for the tests and the fuzz target of this folder.

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "config/load.h"
#include "config/schema.h"

namespace sluice::config::example {

using std::chrono::milliseconds;

enum class Format : std::uint8_t { kText, kJson };

struct TopOptions {
  std::string data_dir = "data";
};

struct TlsOptions {
  std::string certificate;
  std::string key;
};

struct HttpOptions {
  std::string listen = "127.0.0.1:8480";
  milliseconds timeout{30'000};
  std::uint64_t body_max = 1 << 20;
  std::uint16_t backlog = 128;
  std::int64_t offset = -3;
  bool compress = true;
  Format format = Format::kText;
  std::vector<std::string> origins = {"http://localhost", "a\"b"};
  TlsOptions tls;
};

struct AccountOptions {
  bool enabled = true;
  std::string agent = "echo";
};

struct HookOptions {
  std::string callback;
  Secret secret;
  std::chrono::nanoseconds timeout = std::chrono::seconds(10);
};

struct WebOptions {
  std::string title = "Sluice";
};

inline void declare(Section<TopOptions>& s) {
  s.path("data_dir", &TopOptions::data_dir, "Where everything is kept.").restart();
}

inline void declare(Section<TlsOptions>& s) {
  s.path("certificate", &TlsOptions::certificate, "The chain, PEM.");
  s.path("key", &TlsOptions::key, "Its private key, PEM.");
  s.check([](const TlsOptions& o) {
    return o.certificate.empty() == o.key.empty() ? "" : "certificate and key belong together";
  });
}

inline void declare(Section<HttpOptions>& s) {
  using std::chrono::hours;
  s.text("listen", &HttpOptions::listen, "Address and port.")
      .restart()
      .check([](const std::string& text) {
        return text.find(':') == std::string::npos ? "the port is missing" : "";
      });
  s.duration("timeout", &HttpOptions::timeout, "How long a request may take.")
      .between(milliseconds(100), hours(1));
  s.size("body_max", &HttpOptions::body_max, "The largest body.").between(1024, 64 << 20);
  s.integer("backlog", &HttpOptions::backlog, "Connections that wait | to be accepted.");
  s.integer("offset", &HttpOptions::offset, "A number below zero.");
  s.flag("compress", &HttpOptions::compress, "Whether answers are compressed.");
  s.choice("format", &HttpOptions::format, {{"text", Format::kText}, {"json", Format::kJson}},
           "How lines look.");
  s.list("origins", &HttpOptions::origins, "Who may write.").length(0, 3);
  s.section("tls", &HttpOptions::tls, "TLS on the listener.");
}

inline void declare(Section<AccountOptions>& s) {
  s.flag("enabled", &AccountOptions::enabled, "Whether it runs.");
  s.text("agent", &AccountOptions::agent, "Who answers.");
}

inline void declare(Section<HookOptions>& s) {
  s.text("callback", &HookOptions::callback, "Where answers are posted to.").required();
  s.secret("secret", &HookOptions::secret, "Signs what is posted.");
  s.duration("timeout", &HookOptions::timeout, "How long an answer may take.");
}

inline void declare(Section<WebOptions>& s) {
  s.text("title", &WebOptions::title, "What the page is called.");
}

inline Schema schema() {
  Schema out;
  out.section<HttpOptions>("http", "The HTTP listener.");
  out.section<TopOptions>("", "What concerns everything.");
  Kinds channels;
  channels.common<AccountOptions>()
      .add<HookOptions>("hook", "Text in by POST, text out by POST.")
      .add<WebOptions>("web", "A chat page.")
      .builtin("page", "web");
  out.instances("channels", "Accounts that messages come from.", std::move(channels));
  return out;
}

/// Secrets without an environment and without files.
class FakeSecrets : public SecretSource {
 public:
  std::optional<Secret> environment(const std::string& name) override {
    const auto found = variables.find(name);
    if (found == variables.end()) return std::nullopt;
    return Secret(found->second);
  }
  Result<Secret> file(const std::string& path) override {
    const auto found = files.find(path);
    if (found == files.end()) return Error(ErrorKind::kNotFound, path + " can't be read");
    return Secret(found->second);
  }

  std::map<std::string, std::string> variables;
  std::map<std::string, std::string> files;
};

}  // namespace sluice::config::example
