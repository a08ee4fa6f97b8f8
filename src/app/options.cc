#include "app/options.h"

#include <charconv>
#include <set>

#include <fmt/format.h>

#include "net/endpoint.h"
#include "net/url.h"

namespace sluice {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

namespace {

using Core = config::Section<CoreOptions>;
constexpr std::uint32_t kMillion = 1'000'000;

void declare_turns(Core& s) {
  s.integer("max_concurrent_turns", &CoreOptions::max_concurrent_turns,
            "Turns that run at once, in all.")
      .between(1, 10'000);
  s.integer("max_turns_per_person", &CoreOptions::max_turns_per_person,
            "Of these, how many one person may hold.")
      .between(1, 10'000);
  s.integer("max_turns_per_account_percent", &CoreOptions::max_turns_per_account_percent,
            "Of these, how many percent one account may hold.")
      .between(1, 100);
  s.integer("max_turn_attempts", &CoreOptions::max_turn_attempts,
            "How often a turn is tried before its message is a dead letter.")
      .between(1, 100);
  s.duration("turn_timeout", &CoreOptions::turn_timeout,
             "How long one attempt may take; an agent's own limit may be shorter.")
      .between(milliseconds(100), hours(24));
  s.duration("retry_backoff", &CoreOptions::retry_backoff,
             "The wait before the second attempt; doubled with each further one.")
      .between(milliseconds(1), hours(1));
  s.duration("retry_backoff_max", &CoreOptions::retry_backoff_max,
             "The longest wait between two attempts.")
      .between(milliseconds(1), hours(24));
  s.size("reply_bytes_max", &CoreOptions::reply_bytes_max,
         "The longest reply. An agent that writes more is cut off, and the person is told.")
      .between(1024, 64 << 20);
  s.integer("history_messages", &CoreOptions::history_messages,
            "Lines of the conversation that an agent is given.")
      .between(0, 10'000);
  s.size("history_bytes", &CoreOptions::history_bytes, "The most text of these lines together.")
      .between(0, 64 << 20);
  s.integer("history_tokens", &CoreOptions::history_tokens,
            "The most tokens of these lines, as estimated: four letters of English, one of most "
            "other scripts. 0: no bound of this kind.")
      .between(0, 100 * kMillion);
}

void declare_lanes(Core& s) {
  s.duration("reorder_window", &CoreOptions::reorder_window,
             "How long a message waits for one before it that is known to be missing.")
      .between(milliseconds(0), minutes(1));
  s.duration("collect_quiet", &CoreOptions::collect_quiet,
             "With mode = \"collect\": how long nobody must have written before the turn starts.")
      .between(milliseconds(0), minutes(10));
  s.duration("collect_longest", &CoreOptions::collect_longest,
             "With mode = \"collect\": the turn starts after this time at the latest.")
      .between(milliseconds(0), hours(1));
  s.integer("collect_messages_max", &CoreOptions::collect_messages_max,
            "With mode = \"collect\": the most messages of one turn.")
      .between(1, 10'000);
  s.integer("turns_ahead_of_delivery", &CoreOptions::turns_ahead_of_delivery,
            "How many turns a conversation may be ahead of its delivery.")
      .between(1, 1'000);
}

void declare_intake(Core& s) {
  s.integer("inbox_capacity", &CoreOptions::inbox_capacity,
            "Messages whose text is kept in memory: being accepted, or waiting for a turn.")
      .between(1, kMillion);
  s.size("text_bytes_max", &CoreOptions::text_bytes_max, "The longest message.")
      .between(1, 64 << 20);
  s.size("field_bytes_max", &CoreOptions::field_bytes_max,
         "The longest id or name that comes with a message.")
      .between(64, 64 << 10);
  s.integer("attachments_max", &CoreOptions::attachments_max,
            "Attachments of one message, and project ids.")
      .between(0, 1'000);
  s.integer("batch_max", &CoreOptions::batch_max, "Events in one body.").between(1, 10'000);
  s.integer("pending_per_conversation", &CoreOptions::pending_per_conversation,
            "Messages of one conversation that wait; more are refused.")
      .between(1, kMillion);
  s.integer("pending_per_person", &CoreOptions::pending_per_person,
            "Messages of one person that wait; more are refused.")
      .between(1, 10 * kMillion);
  s.integer("pending_per_account", &CoreOptions::pending_per_account,
            "Messages of one account that wait; more are refused.")
      .between(1, 100 * kMillion);
  s.size("pending_bytes", &CoreOptions::pending_bytes,
         "Text of all messages that wait; more are refused.")
      .between(1 << 20, std::uint64_t{1} << 40);
  s.size("disk_low_bytes", &CoreOptions::disk_low_bytes,
         "With less free disk than this nothing new is accepted, so that running work can end.")
      .between(0, std::uint64_t{1} << 40);
}

void declare_delivery(Core& s) {
  s.duration("send_timeout", &CoreOptions::send_timeout,
             "How long one send may take; then its outcome is unknown.")
      .between(milliseconds(100), hours(1));
  s.duration("send_backoff", &CoreOptions::send_backoff,
             "The wait before the second try; doubled with each further one.")
      .between(milliseconds(1), hours(1));
  s.duration("send_backoff_max", &CoreOptions::send_backoff_max,
             "The longest wait between two tries.")
      .between(milliseconds(1), hours(24));
  s.integer("sends_per_account", &CoreOptions::sends_per_account, "Sends of one account at once.")
      .between(1, 10'000);
  s.duration("expire_inbound", &CoreOptions::expire_inbound,
             "A message older than this when its turn comes is not answered; the person is told.")
      .between(minutes(1), hours(24 * 365));
  s.duration("expire_outbound", &CoreOptions::expire_outbound,
             "A reply that could not be delivered for this long is given up.")
      .between(minutes(1), hours(24 * 365));
  s.duration("expire_question", &CoreOptions::expire_question,
             "How long a person has to decide about an interrupted turn.")
      .between(minutes(1), hours(24 * 365));
  s.duration("channel_stop_timeout", &CoreOptions::channel_stop_timeout,
             "How long a channel may take to stop before it is cut off.")
      .between(milliseconds(100), minutes(10));
  s.integer("feed_events_max", &CoreOptions::feed_events_max,
            "Live events queued for one reader; one that is slower catches up from the log.")
      .between(16, kMillion);
}

}  // namespace

void declare(config::Section<CoreOptions>& s) {
  declare_turns(s);
  declare_lanes(s);
  declare_intake(s);
  declare_delivery(s);
  s.restart();
}

void media::declare(config::Section<LibraryOptions>& s) {
  s.size("file_max", &LibraryOptions::file_bytes, "The largest image.")
      .between(64 << 10, 100 << 20)
      .restart();
  s.integer("files_per_person", &LibraryOptions::person_files,
            "Images that are kept of one person; more are refused until older ones are forgotten.")
      .between(1, kMillion)
      .restart();
  s.size("bytes_per_person", &LibraryOptions::person_bytes, "And their size together.")
      .between(1 << 20, std::uint64_t{1} << 40)
      .restart();
  s.integer("uploads", &LibraryOptions::uploads, "Images on their way in at once.")
      .between(1, 10'000)
      .restart();
  s.integer("uploads_per_person", &LibraryOptions::uploads_per_person, "And of one person.")
      .between(1, 1'000)
      .restart();
}

void declare(config::Section<LogOptions>& s) {
  s.choice("format", &LogOptions::format,
           {{"text", LogOptions::Format::kText}, {"json", LogOptions::Format::kJson}},
           "How lines look.")
      .restart();
  s.choice("level", &LogOptions::level,
           {{"debug", LogLevel::kDebug},
            {"info", LogLevel::kInfo},
            {"warn", LogLevel::kWarn},
            {"error", LogLevel::kError}},
           "The least important lines that are written.");
  s.path("file", &LogOptions::file, "Where lines go; empty for standard error.").restart();
}

void declare(config::Section<SessionRules>& s) {
  s.duration("idle", &SessionRules::idle,
             "A conversation begins anew after a silence of this length; 0: never.")
      .between(milliseconds(0), hours(24 * 366));
  s.text("daily", &SessionRules::daily,
         "And each day at this time of the person's clock, like \"04:00\"; empty: never.")
      .check([](const std::string& text) {
        return text.empty() || parse_time_of_day(text) ? "" : "expected a time like \"04:00\"";
      });
  s.text("time_zone", &SessionRules::time_zone,
         "The time zone of people who tell none, like \"Europe/Berlin\"; empty: UTC.")
      .check([](const std::string& text) {
        return text.empty() || is_time_zone(text) ? "" : "this machine knows no such time zone";
      });
}

void declare(config::Section<AccountOptions>& s) {
  using O = AccountOptions;
  s.text("agent", &O::agent,
         "The agent that answers, by its name under [agents], where no route says another.");
  s.choice<LaneMode>("mode", &O::mode,
                     {{"followup", LaneMode::kFollowup},
                      {"collect", LaneMode::kCollect},
                      {"interrupt", LaneMode::kInterrupt}},
                     "What messages do that come while a turn of their conversation runs: wait for "
                     "their own turns, become one turn together, or stop it.");
  s.list("allow", &O::allow,
         "Who may write, by the platform's id; \"*\" is everybody who gets in.");
  s.flag("groups_need_mention", &O::groups_need_mention,
         "Where there are groups: whether a message is ignored that does not mention the bot.");
  s.list("choose_agents", &O::choose_agents,
         "The agents that people may choose for their conversation by /agent.")
      .length(0, 64);
  s.list("choose_models", &O::choose_models,
         "The models that they may choose by /model, of agents that ask a model API.")
      .length(0, 64);
  s.text("summary_agent", &O::summary_agent,
         "The agent that tells in fewer words what no longer fits an agent's view of a "
         "conversation; empty: it is left out.");
  s.integer("turns_per_day", &O::turns_per_day,
            "The turns that one person has a day (of session.time_zone); 0: no bound.");
  s.integer("tokens_per_day", &O::tokens_per_day,
            "The tokens, in and out, as the agents' APIs count them; 0: no bound. The turn that "
            "goes over it is still answered.");
  s.section("session", &O::session, "When a conversation begins anew by itself.");
}

namespace {

std::string check_command(const std::string& text) {
  const bool word = text.find_first_of(" \t\r\n@") == std::string::npos;
  if (text.empty() || (text.size() > 1 && text.starts_with('/') && word)) return {};
  return "expected a slash and a word, like \"/draw\"";
}

}  // namespace

void declare(config::Section<RouteRule>& s) {
  using O = RouteRule;
  s.list("account", &O::account, "Accounts, by their names under [channels].").length(0, 64);
  s.list("chat", &O::chat, "Chats, by the platform's id; a \"*\" at the end matches any rest.")
      .length(0, 256);
  s.list("sender", &O::sender, "People, the same way.").length(0, 256);
  s.choice<RouteChats>(
      "chats", &O::chats,
      {{"any", RouteChats::kAny}, {"direct", RouteChats::kDirect}, {"group", RouteChats::kGroup}},
      "The kind of chat.");
  s.text("command", &O::command, "The first word of the message, like \"/draw\".")
      .length(0, 64)
      .check(check_command);
  s.text("text", &O::text,
         "A regular expression (RE2) that is found in the first 4 KiB of the message; \"(?i)\" in "
         "front ignores case.")
      .check(Routes::check_pattern);
  s.text("agent", &O::agent, "The agent that answers what matches.").required();
  s.text("model", &O::model, "With this model, if it is an agent that asks a model API.");
}

namespace app {

void declare(config::Section<ProcessOptions>& s) {
  s.duration(
       "shutdown_timeout", &ProcessOptions::shutdown_timeout,
       "How long a stop may take in all. Its end is reserved: up to 7 s for cutting off, hooks "
       "and closing the store.")
      .between(seconds(1), hours(1));
  s.duration("drain_timeout", &ProcessOptions::drain_timeout,
             "How long requests and turns that are under way at a stop may take to end by "
             "themselves; at most what shutdown_timeout leaves. What is left then goes on at the "
             "next start.")
      .between(milliseconds(0), hours(1));
  s.duration("pre_stop_delay", &ProcessOptions::pre_stop_delay,
             "How long a stop goes on serving while it says that it is not ready, so that load "
             "balancers look elsewhere first; 5 s behind Kubernetes. Part of shutdown_timeout.")
      .between(milliseconds(0), minutes(10));
  s.duration("upgrade_timeout", &ProcessOptions::upgrade_timeout,
             "How long a successor may take at a restart to say that it is ready, and again to "
             "serve once it was given everything. Then it is killed; before the hand-over nothing "
             "has changed, after it this process's own program takes its place.")
      .between(milliseconds(100), minutes(10));
  s.duration("rollback_window", &ProcessOptions::rollback_window,
             "How long a process stays at least once its successor serves: if that dies meanwhile, "
             "this process's own program takes its place.")
      .between(milliseconds(0), minutes(10));
  s.flag("watch", &ProcessOptions::watch,
         "Reload the configuration whenever its file changes, without being told.")
      .restart();
}

void declare(config::Section<GoodbyeOptions>& s) {
  s.list("notify", &GoodbyeOptions::notify,
         "URLs that are posted to at the end of a stop: this gateway is gone.")
      .length(0, 16)
      .check([](const std::vector<std::string>& all) {
        for (const std::string& one : all) {
          if (const auto parsed = net::Url::parse(one); !parsed) return parsed.error().context();
        }
        return std::string();
      });
  s.secret("secret", &GoodbyeOptions::secret,
           "Signs what is posted there, as the hook channel signs: X-Sluice-Signature.");
}

void declare(config::Section<TlsOptions>& s) {
  s.path("certificate", &TlsOptions::certificate,
         "The certificate and its chain, PEM, leaf first.");
  s.path("key", &TlsOptions::key, "Its private key, PEM, without a passphrase.");
  s.choice("min_version", &TlsOptions::min_version,
           {{"1.2", net::TlsVersion::k1_2}, {"1.3", net::TlsVersion::k1_3}},
           "The least version of TLS that is spoken.");
  s.check([](const TlsOptions& o) {
    return o.certificate.empty() == o.key.empty() ? "" : "certificate and key belong together";
  });
}

void declare(config::Section<ServerOptions>& s) {
  s.list("listen", &ServerOptions::listen,
         "Addresses and ports of the HTTP listener. Anything but loopback should have TLS, here or "
         "in a proxy in front. None: only the control socket.")
      .length(0, 16)
      .check([](const std::vector<std::string>& all) {
        std::set<std::string> places;
        for (const std::string& one : all) {
          const auto parsed = parse_listen(one);
          if (!parsed) return parsed.error().context();
          if (!places.insert(parsed->place()).second) return "\"" + one + "\" is there twice";
        }
        return std::string();
      });
  s.list("public_hosts", &ServerOptions::public_hosts,
         "Names under which people reach it, \"chat.example.org\" or \"chat.example.org:8443\". "
         "Requests for any other name, and from pages of any other, are refused.")
      .length(0, 64);
  s.path("control_socket", &ServerOptions::control_socket,
         "The socket of the command line; empty: control.sock in the data directory. Its directory "
         "must be closed to others.")
      .restart();
  s.section("tls", &ServerOptions::tls, "TLS on the HTTP listener.");
}

void declare(config::Section<StoreSettings>& s) {
  s.path("dir", &StoreSettings::dir,
         "The data directory; empty: $STATE_DIRECTORY, else $XDG_DATA_HOME/sluice, else "
         "~/.local/share/sluice. The option --data goes before it.")
      .restart();
  s.duration("retention", &StoreSettings::retention, "How long texts and history are kept.")
      .between(hours(1), hours(24 * 36500))
      .restart();
  s.duration("key_retention", &StoreSettings::key_retention,
             "How long a repeated event is recognised; longer than any platform redelivers.")
      .between(hours(24), hours(24 * 3650))
      .restart();
  s.size("cache", &StoreSettings::cache, "The most memory for pages of the store.")
      .between(256 << 10, std::uint64_t{16} << 30)
      .restart();
  s.flag("allow_network_fs", &StoreSettings::allow_network_fs,
         "Run on a network file system all the same. Locks and syncs do not hold there: a crash "
         "may cost messages.")
      .restart();
}

void declare(config::Section<LimitOptions>& s) {
  s.integer("connections", &LimitOptions::connections,
            "Connections at once; more are answered 503.")
      .between(1, 1'000'000)
      .restart();
  s.size("body", &LimitOptions::body, "The largest request body; a larger one is answered 413.")
      .between(1024, 256 << 20)
      .restart();
  s.size("headers", &LimitOptions::headers,
         "The largest request head; a larger one is answered 431.")
      .between(1024, 1 << 20)
      .restart();
  s.integer("header_count", &LimitOptions::header_count, "The most header fields of one request.")
      .between(16, 1'000)
      .restart();
  s.duration("header_timeout", &LimitOptions::header_timeout,
             "From the first to the last byte of a request's head.")
      .between(milliseconds(100), minutes(10))
      .restart();
  s.duration("body_timeout", &LimitOptions::body_timeout,
             "For a request's body, besides a second for each 16 KiB.")
      .between(milliseconds(100), hours(1))
      .restart();
  s.duration("idle_timeout", &LimitOptions::idle_timeout,
             "How long a connection may wait between two requests.")
      .between(milliseconds(100), hours(24))
      .restart();
  s.duration("stall_timeout", &LimitOptions::stall_timeout,
             "A client that reads nothing of its answer for this long is cut off.")
      .between(milliseconds(100), hours(1))
      .restart();
}

void declare(config::Section<InstanceOptions>& s) {
  s.flag("enabled", &InstanceOptions::enabled, "Whether it is started.");
}

net::HttpServerOptions http_options(const LimitOptions& limits) {
  net::HttpServerOptions out;
  out.max_connections = limits.connections;
  out.limits.body_bytes = limits.body;
  out.limits.header_bytes = limits.headers;
  out.limits.header_count = limits.header_count;
  out.header_timeout = limits.header_timeout;
  out.body_timeout = limits.body_timeout;
  out.idle_timeout = limits.idle_timeout;
  out.stall_timeout = limits.stall_timeout;
  return out;
}

lifecycle::ShutdownOptions shutdown_options(const ProcessOptions& process) {
  return {process.drain_timeout, process.shutdown_timeout, process.pre_stop_delay};
}

std::string shutdown_in_words(const ProcessOptions& process) {
  const lifecycle::Budgets budgets = lifecycle::budgets_of(shutdown_options(process));
  const auto in_seconds = [](Duration d) {
    return static_cast<double>(std::chrono::duration_cast<milliseconds>(d).count()) / 1000.0;
  };
  return fmt::format(
      "a stop takes {} s at most: {} s for what is under way, {} s for hooks and the store",
      in_seconds(process.shutdown_timeout), in_seconds(budgets.drain),
      in_seconds(budgets.hooks + budgets.store));
}

std::string ListenAddress::place() const {
  const auto address = net::IpAddress::parse(host == "localhost" ? "127.0.0.1" : host);
  return fmt::format("{} {}", address ? address->to_string() : host, port);
}

Result<ListenAddress> parse_listen(std::string_view text) {
  const auto wrong = [&](std::string_view why) {
    return Error(ErrorKind::kInvalidArgument, "\"" + std::string(text) + "\" " + std::string(why));
  };
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return wrong("has no port, as in \"127.0.0.1:8484\"");
  ListenAddress out;
  std::string_view host = text.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  out.host = host;
  const std::string_view port = text.substr(colon + 1);
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), out.port);
  if (error != std::errc() || end != port.data() + port.size()) return wrong("has no port number");
  if (out.host != "localhost" && !net::IpAddress::parse(out.host)) {
    return wrong("does not begin with an IP address (IPv6 in brackets) or localhost");
  }
  return out;
}

}  // namespace app
}  // namespace sluice
