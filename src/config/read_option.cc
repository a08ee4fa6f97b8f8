#include "config/read_option.h"

#include <algorithm>
#include <chrono>

#include <fmt/format.h>

#include "base/units.h"

namespace sluice::config {
namespace {

std::string number_text(Type type, std::int64_t number) {
  if (type == Type::kDuration) return format_duration(std::chrono::milliseconds(number));
  if (type == Type::kSize) return format_size(static_cast<std::uint64_t>(number));
  return fmt::format("{}", number);
}

/// Reads one value; errors go to context.problems, at the value's place.
class OptionReader {
 public:
  OptionReader(ReadContext& context, const Option& option, std::string_view table)
      : context_(context), option_(option), table_(table) {}

  std::optional<Plain> read(const Value& value) {
    switch (option_.type) {
      case Type::kFlag:
        if (value.kind == Value::Kind::kFlag) return Plain(value.flag);
        break;
      case Type::kInteger:
        if (value.kind == Value::Kind::kInteger) return in_bounds(value, value.integer);
        break;
      case Type::kDuration:
      case Type::kSize:
        return read_with_unit(value);
      case Type::kChoice:
        if (value.kind == Value::Kind::kText) return read_choice(value);
        break;
      case Type::kText:
      case Type::kPath:
        if (value.kind == Value::Kind::kText) return read_text(value);
        break;
      case Type::kList:
        if (value.kind == Value::Kind::kList) return read_list(value);
        break;
      case Type::kSecret:
        if (value.kind == Value::Kind::kText) return read_literal_secret(value);
        if (value.kind == Value::Kind::kTable) return read_secret_table(value);
        break;
    }
    return wrong(value.at,
                 fmt::format("expected {}, found {}", expectation(option_), describe(value.kind)));
  }

 private:
  std::nullopt_t wrong(Position at, std::string_view why) {
    context_.problems.error(at, join(table_, option_.key),
                            fmt::format("{}: {}", key_in(table_, option_.key), why));
    return std::nullopt;
  }

  std::optional<Plain> in_bounds(const Value& value, std::int64_t number) {
    if (number >= option_.least && number <= option_.most) return Plain(number);
    return wrong(value.at,
                 fmt::format("{} is too {}; {} is allowed", number_text(option_.type, number),
                             number < option_.least ? "small" : "large", bounds_text(option_)));
  }

  std::optional<Plain> read_with_unit(const Value& value) {
    if (value.kind == Value::Kind::kInteger && value.integer == 0) return in_bounds(value, 0);
    if (value.kind != Value::Kind::kText) {
      const bool number = value.kind == Value::Kind::kInteger || value.kind == Value::Kind::kReal;
      return wrong(value.at, fmt::format("expected {}, found {}{}", expectation(option_),
                                         describe(value.kind), number ? " without a unit" : ""));
    }
    // Longer ones are not worth quoting back.
    const std::string text = printable(value.text);
    if (option_.type == Type::kDuration) {
      const auto duration = parse_duration(text);
      if (!duration) return wrong(value.at, duration.error().context());
      return in_bounds(value, duration->count());
    }
    const auto size = parse_size(text);
    if (!size) return wrong(value.at, size.error().context());
    return in_bounds(value, static_cast<std::int64_t>(*size));
  }

  std::optional<Plain> read_choice(const Value& value) {
    const auto& words = option_.choices;
    const auto found = std::find(words.begin(), words.end(), value.text);
    if (found != words.end()) return Plain(static_cast<std::int64_t>(found - words.begin()));
    return wrong(value.at, fmt::format("expected {}, found \"{}\"{}", expectation(option_),
                                       printable(value.text), suggestion(value.text, words)));
  }

  std::optional<Plain> read_text(const Value& value) {
    const auto length = static_cast<std::int64_t>(value.text.size());
    if (length > option_.most || length < option_.least) {
      return wrong(value.at,
                   fmt::format("{} bytes are too {}; {} are allowed", length,
                               length < option_.least ? "few" : "many", bounds_text(option_)));
    }
    if (option_.required && value.text.empty()) return wrong(value.at, "must not be empty");
    // Nothing that is configured as one text (a path, an address, a name) holds any of these.
    if (std::any_of(value.text.begin(), value.text.end(), [](char c) {
          return (static_cast<unsigned char>(c) < 0x20 && c != '\n' && c != '\t') || c == 0x7F;
        })) {
      return wrong(value.at, "control characters are not allowed");
    }
    Plain plain(value.text);
    if (!checked(value.at, plain)) return std::nullopt;
    if (option_.type == Type::kPath && !value.text.empty()) {
      plain = (context_.folder / value.text).lexically_normal().string();
    }
    return plain;
  }

  std::optional<Plain> read_list(const Value& value) {
    const auto length = static_cast<std::int64_t>(value.items.size());
    if (length > option_.most || length < option_.least) {
      return wrong(value.at,
                   fmt::format("{} items are too {}; {} are allowed", length,
                               length < option_.least ? "few" : "many", bounds_text(option_)));
    }
    std::vector<std::string> items;
    bool good = true;
    for (const Value& item : value.items) {
      if (item.kind != Value::Kind::kText) {
        wrong(item.at, fmt::format("expected a string in the list, found {}", describe(item.kind)));
        good = false;
      } else {
        items.push_back(item.text);
      }
    }
    if (!good) return std::nullopt;
    Plain plain(std::move(items));
    return checked(value.at, plain) ? std::optional(std::move(plain)) : std::nullopt;
  }

  bool checked(Position at, const Plain& plain) {
    if (!option_.check) return true;
    const std::string why = option_.check(plain);
    if (why.empty()) return true;
    wrong(at, printable(why, 300));
    return false;
  }

  std::optional<Plain> read_literal_secret(const Value& value) {
    if (value.text.empty()) {
      if (option_.required) return wrong(value.at, "must not be empty");
      return Plain(Secret());
    }
    if (value.text.size() > kMaxSecretBytes) {
      return wrong(value.at, fmt::format("at most {} bytes are allowed", kMaxSecretBytes));
    }
    context_.problems.warning(
        value.at, join(table_, option_.key),
        fmt::format("{}: this secret stands in the file itself; {{ env = \"NAME\" }} or "
                    "{{ file = \"/path\" }} keeps it out",
                    key_in(table_, option_.key)));
    return Plain(Secret(value.text));
  }

  std::optional<Plain> read_secret_table(const Value& value) {
    static const std::vector<std::string> kKeys = {"env", "file"};
    for (const Member& member : value.members) {
      if (member.key == "env" || member.key == "file") continue;
      return wrong(member.at, fmt::format("unknown key \"{}\" of a secret{}", printable(member.key),
                                          suggestion(member.key, kKeys)));
    }
    if (value.members.size() != 1) {
      return wrong(value.at, fmt::format("expected {}, with one key", expectation(option_)));
    }
    const Member& source = value.members.front();
    if (source.value.kind != Value::Kind::kText || source.value.text.empty()) {
      return wrong(source.value.at,
                   fmt::format("\"{}\" must be a string, and not an empty one", source.key));
    }
    return source.key == "env" ? from_environment(source.value) : from_file(source.value);
  }

  std::optional<Plain> from_environment(const Value& name) {
    if (name.text.find_first_of(std::string_view("=\0", 2)) != std::string::npos) {
      return wrong(name.at, "this can't be the name of an environment variable");
    }
    const std::optional<Secret> secret = context_.secrets.environment(name.text);
    if (!secret || secret->empty()) {
      return wrong(name.at, fmt::format("the environment variable {} is {}", printable(name.text),
                                        secret ? "empty" : "not set"));
    }
    if (secret->reveal().size() > kMaxSecretBytes) {
      return wrong(name.at,
                   fmt::format("the environment variable has more than {} bytes", kMaxSecretBytes));
    }
    return Plain(*secret);
  }

  std::optional<Plain> from_file(const Value& path) {
    if (path.text.find('\0') != std::string::npos) return wrong(path.at, "this can't be a path");
    const Result<Secret> secret = context_.secrets.file((context_.folder / path.text).string());
    if (!secret) return wrong(path.at, printable(secret.error().context(), 300));
    return Plain(*secret);
  }

  ReadContext& context_;
  const Option& option_;
  std::string_view table_;
};

}  // namespace

std::string key_in(std::string_view table, std::string_view key) {
  return table.empty() ? std::string(key) : fmt::format("[{}] {}", table, key);
}

std::string join(std::string_view table, std::string_view key) {
  return table.empty() ? std::string(key) : fmt::format("{}.{}", table, key);
}

std::string suggestion(std::string_view word, const std::vector<std::string>& candidates) {
  const std::string_view near = nearest(word, candidates);
  return near.empty() ? std::string() : fmt::format("; did you mean \"{}\"?", near);
}

std::optional<Plain> read_option(ReadContext& context, const Option& option, std::string_view table,
                                 const Value& value) {
  return OptionReader(context, option, table).read(value);
}

std::string bounds_text(const Option& option) {
  return fmt::format("{} to {}", number_text(option.type, option.least),
                     number_text(option.type, option.most));
}

std::string expectation(const Option& option) {
  switch (option.type) {
    case Type::kFlag:
      return "true or false";
    case Type::kInteger:
      return "an integer";
    case Type::kDuration:
      return "a duration such as \"300ms\", \"30s\" or \"24h\"";
    case Type::kSize:
      return "a size such as \"64KiB\" or \"10MB\"";
    case Type::kChoice:
      return fmt::format("one of \"{}\"", fmt::join(option.choices, "\", \""));
    case Type::kText:
      return "a string";
    case Type::kPath:
      return "a path as a string";
    case Type::kList:
      return "a list of strings";
    case Type::kSecret:
      return "{ env = \"NAME\" } or { file = \"/path\" }";
  }
  return {};
}

}  // namespace sluice::config
