#include "app/init_edit.h"

#include <algorithm>
#include <optional>

#include <fmt/format.h>

#include "config/parse.h"

namespace sluice::app {
namespace {

using config::Member;
using config::Value;

std::vector<std::string> split(std::string_view table) {
  std::vector<std::string> out;
  while (true) {
    const std::size_t dot = table.find('.');
    out.emplace_back(table.substr(0, dot));
    if (dot == std::string_view::npos) return out;
    table.remove_prefix(dot + 1);
  }
}

const Member* find_member(const Value& root, const TomlEdit& edit) {
  const Value* at = &root;
  for (const std::string& name : split(edit.table)) {
    const Member* member = at->find(name);
    if (member == nullptr) return nullptr;
    at = &member->value;
  }
  return at->find(edit.key);
}

std::string_view trimmed(std::string_view line) {
  const std::size_t first = line.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  const std::size_t last = line.find_last_not_of(" \t\r\n");
  return line.substr(first, last - first + 1);
}

/// Where each line begins; the end of the text is the last entry.
std::vector<std::size_t> line_starts(std::string_view text) {
  std::vector<std::size_t> out = {0};
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\n') out.push_back(i + 1);
  }
  if (out.back() != text.size()) out.push_back(text.size());
  return out;
}

/// Behind the string that begins at pos.
std::size_t string_end(std::string_view text, std::size_t pos) {
  const char quote = text[pos];
  const std::string_view triple = quote == '"' ? "\"\"\"" : "'''";
  const bool longer = text.substr(pos, 3) == triple;
  const std::string_view closing = longer ? triple : triple.substr(0, 1);
  pos += closing.size();
  while (pos < text.size()) {
    if (quote == '"' && text[pos] == '\\') {
      pos += 2;
    } else if (text.substr(pos, closing.size()) == closing) {
      return pos + closing.size();
    } else {
      ++pos;
    }
  }
  return text.size();
}

/// Behind the value that begins at pos, without blanks and the comment that may follow.
std::size_t value_end(std::string_view text, std::size_t pos) {
  std::size_t end = pos;
  int depth = 0;
  while (pos < text.size()) {
    const char c = text[pos];
    if (c == '"' || c == '\'') {
      end = pos = string_end(text, pos);
      continue;
    }
    if (c == '#') {
      if (depth == 0) return end;
      while (pos < text.size() && text[pos] != '\n') ++pos;
      continue;
    }
    if (c == '\n' && depth == 0) return end;
    if (c == '[' || c == '{') ++depth;
    if (c == ']' || c == '}') --depth;
    ++pos;
    if (c != ' ' && c != '\t' && c != '\r' && c != '\n') end = pos;
  }
  return end;
}

/// The text with the value of a key that stands on this line replaced.
Result<std::string> replace_value(std::string_view text, std::uint32_t line, const TomlEdit& edit) {
  const std::vector<std::size_t> starts = line_starts(text);
  const Error odd(ErrorKind::kInvalidArgument,
                  fmt::format("line {} is not written as {} = …", line, edit.key));
  if (line == 0 || line >= starts.size()) return odd;
  const std::size_t equals = text.find('=', starts[line - 1]);
  if (equals == std::string_view::npos || equals >= starts[line]) return odd;
  if (trimmed(text.substr(starts[line - 1], equals - starts[line - 1])) != edit.key) return odd;
  const std::size_t begin = text.find_first_not_of(" \t", equals + 1);
  if (begin == std::string_view::npos) return odd;
  std::string out(text.substr(0, begin));
  out += edit.value;
  out += text.substr(value_end(text, begin));
  return out;
}

bool is_head(std::string_view line) { return trimmed(line).starts_with('['); }

bool is_head_of(std::string_view line, std::string_view table) {
  std::string bare;
  for (const char c : trimmed(line)) {
    if (c == '#') break;
    if (c != ' ' && c != '\t' && c != '"' && c != '\'') bare += c;
  }
  return bare == fmt::format("[{}]", table);
}

bool is_commented(std::string_view line, std::string_view key) {
  line = trimmed(line);
  if (!line.starts_with('#')) return false;
  line = trimmed(line.substr(1));
  if (!line.starts_with(key)) return false;
  return trimmed(line.substr(key.size())).starts_with('=');
}

std::string add_key(std::string_view text, const TomlEdit& edit, bool& new_table) {
  const std::string_view eol = text.find("\r\n") == std::string_view::npos ? "\n" : "\r\n";
  const std::vector<std::size_t> starts = line_starts(text);
  std::optional<std::size_t> below;  // the line, from 0
  bool inside = false;
  for (std::size_t i = 0; i + 1 < starts.size(); ++i) {
    const std::string_view line = text.substr(starts[i], starts[i + 1] - starts[i]);
    // Behind a head that is only commented out are the keys of that table, not of this one.
    if (is_head(line) || trimmed(line).starts_with("#[")) {
      if (below) break;
      inside = is_head_of(line, edit.table);
      if (inside) below = i;
    } else if (inside && is_commented(line, edit.key)) {
      below = i;
      break;
    }
  }
  const std::string added = fmt::format("{} = {}{}", edit.key, edit.value, eol);
  std::string out(text.substr(0, below ? starts[*below + 1] : text.size()));
  if (!out.empty() && out.back() != '\n') out += eol;
  new_table = !below.has_value();
  if (new_table) {
    if (!out.empty()) out += eol;
    out += fmt::format("[{}]{}", edit.table, eol);
  }
  out += added;
  if (below) out += text.substr(starts[*below + 1]);
  return out;
}

bool is_edited(const std::string& path, const std::vector<TomlEdit>& edits) {
  return std::any_of(edits.begin(), edits.end(),
                     [&path](const TomlEdit& edit) { return path == edit.table + "." + edit.key; });
}

/// Whether nothing differs but what the edits name.
bool same_but(const Value& before, const Value& after, const std::string& path,
              const std::vector<TomlEdit>& edits) {
  if (is_edited(path, edits)) return true;
  if (before.kind != after.kind || before.flag != after.flag || before.integer != after.integer ||
      before.text != after.text || before.items.size() != after.items.size()) {
    return false;
  }
  for (std::size_t i = 0; i < before.items.size(); ++i) {
    if (!same_but(before.items[i], after.items[i], path + "[]", edits)) return false;
  }
  const Value nothing;
  const auto below = [&path](const std::string& key) {
    return path.empty() ? key : path + "." + key;
  };
  for (const Member& member : before.members) {
    const Member* now = after.find(member.key);
    if (now == nullptr || !same_but(member.value, now->value, below(member.key), edits)) {
      return false;
    }
  }
  for (const Member& member : after.members) {
    if (before.find(member.key) != nullptr) continue;
    const bool table = member.value.kind == Value::Kind::kTable;
    if (table && same_but(nothing, member.value, below(member.key), edits)) continue;
    if (!is_edited(below(member.key), edits)) return false;
  }
  return true;
}

Result<Value> parse(std::string_view text) {
  config::Problems problems("");
  std::optional<Value> value = config::parse_toml(text, problems);
  if (value) return std::move(*value);
  return Error(ErrorKind::kInvalidArgument, "it is not TOML");
}

}  // namespace

std::string toml_string(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte < 0x20 || byte == 0x7f) {
      out += fmt::format("\\u{:04X}", byte);
    } else {
      out += c;
    }
  }
  return out + "\"";
}

std::string toml_lines(const std::vector<TomlEdit>& edits) {
  std::string out;
  std::string_view table;
  for (const TomlEdit& edit : edits) {
    if (edit.table != table) out += fmt::format("{}[{}]\n", out.empty() ? "" : "\n", edit.table);
    table = edit.table;
    out += fmt::format("{} = {}\n", edit.key, edit.value);
  }
  return out;
}

Result<std::string> edit_toml(std::string_view text, const std::vector<TomlEdit>& edits) {
  Result<Value> before = parse(text);
  if (!before) return before.error();
  std::string out(text);
  std::string_view opened;  // the table that now ends the file
  for (const TomlEdit& edit : edits) {
    const Result<Value> now = parse(out);
    if (!now) return now.error();
    const Member* there = find_member(*now, edit);
    if (there != nullptr) {
      Result<std::string> replaced = replace_value(out, there->at.line, edit);
      if (!replaced) return replaced.error();
      out = std::move(*replaced);
    } else if (edit.table == opened) {
      out += fmt::format("{} = {}{}", edit.key, edit.value, out.ends_with("\r\n") ? "\r\n" : "\n");
    } else {
      bool new_table = false;
      out = add_key(out, edit, new_table);
      if (new_table) opened = edit.table;
    }
  }
  const Result<Value> after = parse(out);
  const bool all_there =
      after && std::all_of(edits.begin(), edits.end(), [&after](const TomlEdit& edit) {
        return find_member(*after, edit) != nullptr;
      });
  if (!all_there || !same_but(*before, *after, "", edits)) {
    return Error(ErrorKind::kInvalidArgument, "it is written in a way that can't be edited here");
  }
  return out;
}

}  // namespace sluice::app
