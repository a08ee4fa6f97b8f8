#include "config/load.h"

#include <algorithm>
#include <filesystem>
#include <utility>

#include <fmt/format.h>

#include "config/file.h"
#include "config/parse.h"
#include "config/read_option.h"

namespace sluice::config {
namespace {

constexpr std::size_t kMaxName = 64;

bool is_instance_name(std::string_view name) {
  return !name.empty() && name.size() <= kMaxName &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '_' || c == '-';
         });
}

}  // namespace

/// One reading of one text.
class Loader {
 public:
  Loader(const Schema& schema, const std::string& file, SecretSource& secrets)
      : schema_(schema),
        problems_(file),
        context_{problems_, secrets, std::filesystem::path(file).parent_path()} {}

  Loaded load(std::string_view text) {
    if (const std::optional<Value> root = parse_toml(text, problems_)) read_root(*root);
    return finish();
  }

  Loaded unreadable(const std::string& why) {
    problems_.error({}, "", why);
    return finish();
  }

 private:
  /// A section and the struct that it fills; a table can have several (a kind's own and the common
  /// ones).
  struct Part {
    const SectionSpec* spec;
    void* options;
  };
  using Parts = std::vector<Part>;

  Loaded finish() {
    Loaded out;
    if (problems_.errors() == 0) out.config = std::move(config_);
    out.problems = problems_.take();
    return out;
  }

  void read_root(const Value& root) {
    std::vector<std::string> tables;
    Parts top;
    for (const auto& section : schema_.sections()) {
      void* options = config_.sections_[section->name].add(*section);
      if (section->name.empty()) {
        top.push_back({section.get(), options});
      } else {
        tables.push_back(section->name);
        read_named_table(root.find(section->name), section->name, {{section.get(), options}});
      }
    }
    for (const Schema::Group& group : schema_.groups()) {
      tables.push_back(group.name);
      read_group(group, root.find(group.name));
    }
    read_table(root, "", top, tables);
  }

  void read_named_table(const Member* member, const std::string& path, const Parts& parts) {
    static const Value kNothing;
    if (member == nullptr) {
      read_table(kNothing, path, parts, {});
    } else if (member->value.kind == Value::Kind::kTable) {
      read_table(member->value, path, parts, {});
    } else {
      expected_table(*member, path);
    }
  }

  void expected_table(const Member& member, const std::string& path) {
    problems_.error(
        member.at, path,
        fmt::format("expected a table [{}], found {}", path, describe(member.value.kind)));
  }

  /// path is empty for the top of the file; known are the keys that somebody else reads.
  void read_table(const Value& table, const std::string& path, const Parts& parts,
                  std::vector<std::string> known) {
    const std::size_t errors_before = problems_.errors();
    for (const Part& part : parts) {
      for (const auto& option : part.spec->options) {
        known.push_back(option->key);
        read_one(table, path, *option, part.options);
      }
      for (const auto& nested : part.spec->sections) {
        const std::string& name = nested.section->name;
        known.push_back(name);
        read_named_table(table.find(name), join(path, name),
                         {{nested.section.get(), nested.member(part.options)}});
      }
    }
    for (const Member& member : table.members) {
      if (std::find(known.begin(), known.end(), member.key) == known.end()) {
        unknown_key(member, path, known);
      }
    }
    if (problems_.errors() == errors_before) check_together(table, path, parts);
  }

  void read_one(const Value& table, const std::string& path, const Option& option, void* options) {
    const std::string key = join(path, option.key);
    Plain plain = option.fallback;
    if (const Member* member = table.find(option.key)) {
      std::optional<Plain> read = read_option(context_, option, path, member->value);
      if (!read) return;
      plain = std::move(*read);
      option.assign(options, plain);
    } else if (option.required) {
      problems_.error(table.at, key,
                      path.empty()
                          ? fmt::format("\"{}\" is missing: {}", option.key, option.doc)
                          : fmt::format("[{}] needs \"{}\": {}", path, option.key, option.doc));
      return;
    } else if (option.type == Type::kPath && !std::get<std::string>(plain).empty()) {
      plain = (context_.folder / std::get<std::string>(plain)).lexically_normal().string();
      option.assign(options, plain);
    }
    config_.settings_.emplace(key, Config::Setting{&option, std::move(plain)});
  }

  void unknown_key(const Member& member, const std::string& path,
                   const std::vector<std::string>& known) {
    const bool is_table = member.value.kind == Value::Kind::kTable;
    const std::string name = printable(member.key);
    const std::string what =
        is_table ? fmt::format("unknown table [{}]", join(path, name))
                 : fmt::format("unknown key \"{}\"{}", name,
                               path.empty() ? std::string() : fmt::format(" in [{}]", path));
    problems_.error(is_table ? member.value.at : member.at, join(path, name),
                    what + suggestion(member.key, known));
  }

  void check_together(const Value& table, const std::string& path, const Parts& parts) {
    for (const Part& part : parts) {
      for (const auto& check : part.spec->checks) {
        const std::string why = check(part.options);
        if (why.empty()) continue;
        problems_.error(
            table.at, path,
            path.empty() ? printable(why, 300) : fmt::format("[{}] {}", path, printable(why, 300)));
      }
    }
  }

  void read_group(const Schema::Group& group, const Member* member) {
    auto& instances = config_.instances_[group.name];
    std::vector<const Member*> written;
    if (member != nullptr && member->value.kind != Value::Kind::kTable) {
      expected_table(*member, group.name + ".NAME");
    } else if (member != nullptr) {
      if (member->value.members.size() > kMaxInstances) {
        problems_.error(member->at, group.name,
                        fmt::format("[{}] has {} tables; at most {} are allowed", group.name,
                                    member->value.members.size(), kMaxInstances));
        return;
      }
      for (const Member& instance : member->value.members) written.push_back(&instance);
    }
    std::sort(written.begin(), written.end(), [](const Member* a, const Member* b) {
      return std::pair(a->at.line, a->at.column) < std::pair(b->at.line, b->at.column);
    });
    for (const Member* instance : written) read_instance(group, *instance, instances);
    static const Value kNothing;
    for (const Kinds::Builtin& builtin : group.kinds.builtins()) {
      if (member != nullptr && member->value.find(builtin.name) != nullptr) continue;
      fill_instance(group, builtin.name, *group.kinds.find(builtin.kind), kNothing, instances);
    }
  }

  void read_instance(const Schema::Group& group, const Member& member,
                     std::vector<Instance>& instances) {
    const std::string path = join(group.name, printable(member.key));
    if (!is_instance_name(member.key)) {
      problems_.error(
          member.at, path,
          fmt::format("[{}]: a name has 1 to {} letters, digits, \"_\" and \"-\"", path, kMaxName));
      return;
    }
    if (member.value.kind != Value::Kind::kTable) return expected_table(member, path);
    if (const SectionSpec* kind = kind_of(group, member, path)) {
      fill_instance(group, member.key, *kind, member.value, instances);
    }
  }

  const SectionSpec* kind_of(const Schema::Group& group, const Member& member,
                             const std::string& path) {
    const std::vector<std::string> names = group.kinds.names();
    const Member* kind = member.value.find("kind");
    if (kind == nullptr) {
      if (names.size() == 1) return group.kinds.find(names.front());
      if (const auto* builtin = group.kinds.find_builtin(member.key)) {
        return group.kinds.find(builtin->kind);
      }
      problems_.error(
          member.value.at, path + ".kind",
          fmt::format("[{}] needs \"kind\", one of \"{}\"", path, fmt::join(names, "\", \"")));
      return nullptr;
    }
    if (kind->value.kind != Value::Kind::kText) {
      problems_.error(kind->value.at, path + ".kind",
                      fmt::format("[{}] kind: expected one of \"{}\", found {}", path,
                                  fmt::join(names, "\", \""), describe(kind->value.kind)));
      return nullptr;
    }
    if (const SectionSpec* found = group.kinds.find(kind->value.text)) return found;
    problems_.error(kind->value.at, path + ".kind",
                    fmt::format("[{}] kind: expected one of \"{}\", found \"{}\"{}", path,
                                fmt::join(names, "\", \""), printable(kind->value.text),
                                suggestion(kind->value.text, names)));
    return nullptr;
  }

  void fill_instance(const Schema::Group& group, const std::string& name, const SectionSpec& kind,
                     const Value& table, std::vector<Instance>& instances) {
    Instance& instance = instances.emplace_back();
    instance.name = name;
    instance.kind = kind.name;
    instance.at = table.at;
    Parts parts;
    for (const auto& common : group.kinds.common_sections()) {
      parts.push_back({common.get(), instance.options.add(*common)});
    }
    parts.push_back({&kind, instance.options.add(kind)});
    const std::string path = join(group.name, name);
    config_.settings_.emplace(path, Config::Setting{nullptr, Plain(kind.name)});
    read_table(table, path, parts, {"kind"});
  }

  const Schema& schema_;
  Problems problems_;
  ReadContext context_;
  Config config_;
};

std::string Loaded::to_string() const {
  std::string out;
  for (const Diagnostic& problem : problems) out += problem.to_string() + "\n";
  return out;
}

Loaded load(const Schema& schema, std::string_view text, const std::string& file,
            SecretSource& secrets) {
  return Loader(schema, file, secrets).load(text);
}

Loaded load_file(const Schema& schema, const std::string& path, SecretSource& secrets) {
  Loader loader(schema, path, secrets);
  const Result<std::string> text = read_file(path, kMaxBytes);
  return text ? loader.load(*text) : loader.unreadable(text.error().context());
}

}  // namespace sluice::config
