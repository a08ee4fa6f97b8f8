#include "config/reference.h"

#include <algorithm>

#include <fmt/format.h>

#include "config/config.h"
#include "config/read_option.h"

namespace sluice::config {
namespace {

constexpr std::size_t kWidth = 100;

/// "# " lines, broken between words.
std::string comment(std::string_view text) {
  std::string out;
  std::string line = "#";
  while (!text.empty()) {
    const std::size_t end = std::min(text.find_first_of(" \n"), text.size());
    const std::string_view word = text.substr(0, end);
    if (line.size() + 1 + word.size() > kWidth && line.size() > 1) {
      out += line + "\n";
      line = "#";
    }
    if (!word.empty()) line.append(" ").append(word);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return line.size() > 1 ? out + line + "\n" : out;
}

std::string type_name(const Option& option) {
  switch (option.type) {
    case Type::kFlag:
      return "true or false";
    case Type::kInteger:
      return "integer";
    case Type::kDuration:
      return "duration";
    case Type::kSize:
      return "size";
    case Type::kChoice:
      return fmt::format("one of \"{}\"", fmt::join(option.choices, "\", \""));
    case Type::kText:
      return "text";
    case Type::kPath:
      return "path";
    case Type::kList:
      return "list of texts";
    case Type::kSecret:
      return "secret";
  }
  return {};
}

/// "duration, 100ms to 1h".
std::string type_and_bounds(const Option& option) {
  const bool counts = option.type == Type::kText || option.type == Type::kPath;
  if (!option.bounds_told) return type_name(option);
  return fmt::format("{}, {}{}", type_name(option), bounds_text(option),
                     counts                       ? " bytes"
                     : option.type == Type::kList ? " items"
                                                  : "");
}

/// The line to uncomment. A secret has no default; the line shows how one is given.
std::string example(const SectionSpec& section, const Option& option) {
  if (option.type == Type::kSecret) {
    std::string name =
        fmt::format("{}_{}", section.name.empty() ? "sluice" : section.name, option.key);
    std::transform(name.begin(), name.end(), name.begin(),
                   [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; });
    return fmt::format("{} = {{ env = \"{}\" }}", option.key, name);
  }
  return fmt::format("{} = {}", option.key, written(option, option.fallback));
}

std::string option_toml(const SectionSpec& section, const Option& option) {
  std::string facts = type_and_bounds(option);
  if (option.required) facts += "; required";
  if (option.restart) facts += "; a change needs a restart";
  return comment(option.doc + " (" + facts + ")") + "#" + example(section, option) + "\n";
}

std::string keys_toml(const SectionSpec& section) {
  std::string out;
  for (const auto& option : section.options) out += option_toml(section, *option) + "\n";
  return out;
}

std::string section_toml(const SectionSpec& section, const std::string& path,
                         std::string_view mark);

/// The tables within it. TOML wants them behind all keys of their parent.
std::string nested_toml(const SectionSpec& section, const std::string& path,
                        std::string_view mark) {
  std::string out;
  for (const auto& nested : section.sections) {
    const std::string inner = path + "." + nested.section->name;
    out += comment(nested.section->doc) + fmt::format("{}[{}]\n\n", mark, inner);
    out += section_toml(*nested.section, inner, mark);
  }
  return out;
}

std::string section_toml(const SectionSpec& section, const std::string& path,
                         std::string_view mark) {
  return keys_toml(section) + nested_toml(section, path, mark);
}

/// An instance of a kind. Its table is live only if it is built in; else it is an example.
std::string instance_toml(const Schema::Group& group, const SectionSpec& kind,
                          const std::string& name, bool builtin) {
  const std::string path = group.name + "." + name;
  const std::string_view mark = builtin ? "" : "#";
  std::string out =
      comment(kind.doc + (builtin ? " Built in: it exists without being written." : ""));
  out += fmt::format("{}[{}]\n", mark, path);
  if (group.kinds.all().size() > 1) out += fmt::format("#kind = \"{}\"\n", kind.name);
  out += "\n";
  for (const auto& common : group.kinds.common_sections()) out += keys_toml(*common);
  out += keys_toml(kind);
  for (const auto& common : group.kinds.common_sections()) out += nested_toml(*common, path, mark);
  return out + nested_toml(kind, path, mark);
}

std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '|') out += '\\';
    out += c == '\n' ? ' ' : c;
  }
  return out;
}

std::string default_cell(const Option& option) {
  if (option.required) return "required";
  if (option.type == Type::kSecret) return "none";
  return fmt::format("`{}`", escaped(written(option, option.fallback)));
}

std::string table_markdown(const SectionSpec& section) {
  if (section.options.empty()) return {};
  std::string out = "| Key | Type | Default | Meaning |\n| --- | --- | --- | --- |\n";
  for (const auto& option : section.options) {
    out += fmt::format("| `{}` | {} | {} | {}{} |\n", option->key,
                       escaped(type_and_bounds(*option)), default_cell(*option),
                       escaped(option->doc), option->restart ? " Needs a restart." : "");
  }
  return out + "\n";
}

std::string section_markdown(const SectionSpec& section, const std::string& path) {
  std::string out = table_markdown(section);
  for (const auto& nested : section.sections) {
    const std::string inner = path + "." + nested.section->name;
    out += fmt::format("#### `[{}]`\n\n{}\n\n", inner, escaped(nested.section->doc));
    out += section_markdown(*nested.section, inner);
  }
  return out;
}

std::string group_markdown(const Schema::Group& group) {
  const std::string path = group.name + ".NAME";
  std::string out = fmt::format("## `[{}]`\n\n{}", path, escaped(group.doc));
  if (group.kinds.all().size() == 1) {
    const SectionSpec& only = *group.kinds.all().front();
    return out + fmt::format("\n\n{}\n\n", escaped(only.doc)) + section_markdown(only, path);
  }
  out += " `kind` says which of the following it is.\n\n";
  for (const auto& builtin : group.kinds.builtins()) {
    out += fmt::format("`[{}.{}]` (kind `{}`) exists without being written.\n\n", group.name,
                       builtin.name, builtin.kind);
  }
  if (!group.kinds.common_sections().empty()) {
    out += fmt::format("### Every `[{}]`\n\n", path);
    for (const auto& common : group.kinds.common_sections()) out += section_markdown(*common, path);
  }
  for (const auto& kind : group.kinds.all()) {
    out += fmt::format("### `kind = \"{}\"`\n\n{}\n\n", kind->name, escaped(kind->doc));
    out += section_markdown(*kind, path);
  }
  return out;
}

/// The keys at the top of the file come before any table, in TOML and so here.
std::vector<const SectionSpec*> in_file_order(const Schema& schema) {
  std::vector<const SectionSpec*> out;
  for (const bool top : {true, false}) {
    for (const auto& section : schema.sections()) {
      if (section->name.empty() == top) out.push_back(section.get());
    }
  }
  return out;
}

}  // namespace

std::string reference_toml(const Schema& schema) {
  std::string out = comment(
      "Configuration of Sluice. Every key is shown with its default; take the # away to change "
      "it.");
  out += comment("Durations: \"300ms\", \"30s\", \"24h\", \"7d\". Sizes: \"64KiB\", \"10MB\".");
  out += comment(
      "Secrets: { env = \"NAME\" } or { file = \"/path\" }, a file that only its owner reads.");
  out += "\n";
  for (const SectionSpec* section : in_file_order(schema)) {
    if (!section->name.empty())
      out += comment(section->doc) + fmt::format("[{}]\n\n", section->name);
    out += section_toml(*section, section->name, "");
  }
  for (const Schema::Group& group : schema.groups()) {
    out += comment(group.doc);
    const bool kinds = group.kinds.all().size() > 1;
    out += comment(fmt::format("Any number of tables [{}.NAME]{}.", group.name,
                               kinds ? ", each with its kind" : ""));
    out += "\n";
    for (const auto& builtin : group.kinds.builtins()) {
      out += instance_toml(group, *group.kinds.find(builtin.kind), builtin.name, true);
    }
    for (const auto& kind : group.kinds.all()) {
      const auto& builtins = group.kinds.builtins();
      const bool shown = std::any_of(builtins.begin(), builtins.end(), [&](const auto& builtin) {
        return builtin.kind == kind->name;
      });
      if (!shown) out += instance_toml(group, *kind, "my_" + kind->name, false);
    }
  }
  while (out.ends_with("\n\n")) out.pop_back();
  return out;
}

std::string reference_markdown(const Schema& schema) {
  std::string out;
  for (const SectionSpec* section : in_file_order(schema)) {
    out += section->name.empty() ? std::string("## Top of the file")
                                 : fmt::format("## `[{}]`", section->name);
    out += fmt::format("\n\n{}\n\n", escaped(section->doc));
    out += section_markdown(*section, section->name);
  }
  for (const Schema::Group& group : schema.groups()) out += group_markdown(group);
  while (out.ends_with("\n\n")) out.pop_back();
  return out;
}

}  // namespace sluice::config
