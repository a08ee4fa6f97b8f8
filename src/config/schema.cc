#include "config/schema.h"

#include <algorithm>

namespace sluice::config {
namespace {

bool is_key(std::string_view key) {
  return !key.empty() && std::all_of(key.begin(), key.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
  });
}

bool has_key(const SectionSpec& spec, std::string_view key) {
  return std::any_of(spec.options.begin(), spec.options.end(),
                     [&](const auto& option) { return option->key == key; }) ||
         std::any_of(spec.sections.begin(), spec.sections.end(),
                     [&](const auto& nested) { return nested.section->name == key; });
}

void assert_disjoint(const SectionSpec& a, const SectionSpec& b) {
  for (const auto& option : a.options) SLUICE_ASSERT(!has_key(b, option->key));
  for (const auto& nested : a.sections) SLUICE_ASSERT(!has_key(b, nested.section->name));
}

/// Bounds are set after the default is known, so a default out of bounds is found here.
void assert_consistent(const SectionSpec& spec) {
  for (const auto& option : spec.options) {
    SLUICE_ASSERT(option->least <= option->most);
    const auto* number = std::get_if<std::int64_t>(&option->fallback);
    if (number == nullptr || option->required) continue;
    SLUICE_ASSERT(*number >= option->least && *number <= option->most);
  }
  for (const auto& nested : spec.sections) assert_consistent(*nested.section);
}

}  // namespace

Option& SectionSpec::add(std::string_view key, Type value_type, std::string_view text,
                         Plain fallback) {
  SLUICE_ASSERT(is_key(key) && !has_key(*this, key));
  auto option = std::make_unique<Option>();
  option->key = key;
  option->doc = text;
  option->type = value_type;
  option->fallback = std::move(fallback);
  return *options.emplace_back(std::move(option));
}

void SectionSpec::add_section(std::unique_ptr<SectionSpec> section,
                              std::function<void*(void*)> member) {
  SLUICE_ASSERT(is_key(section->name) && !has_key(*this, section->name));
  sections.push_back({std::move(section), std::move(member)});
}

const SectionSpec* Kinds::find(std::string_view kind) const {
  const auto found = std::find_if(kinds_.begin(), kinds_.end(),
                                  [&](const auto& spec) { return spec->name == kind; });
  return found == kinds_.end() ? nullptr : found->get();
}

const Kinds::Builtin* Kinds::find_builtin(std::string_view name) const {
  const auto found = std::find_if(builtins_.begin(), builtins_.end(),
                                  [&](const Builtin& builtin) { return builtin.name == name; });
  return found == builtins_.end() ? nullptr : &*found;
}

std::vector<std::string> Kinds::names() const {
  std::vector<std::string> out;
  for (const auto& kind : kinds_) out.push_back(kind->name);
  return out;
}

Schema& Schema::add(std::unique_ptr<SectionSpec> section) {
  SLUICE_ASSERT(section->name.empty() || is_key(section->name));
  assert_consistent(*section);
  for (const auto& other : sections_) {
    SLUICE_ASSERT(other->name != section->name);
    if (section->name.empty()) SLUICE_ASSERT(!has_key(*section, other->name));
    if (other->name.empty()) SLUICE_ASSERT(!has_key(*other, section->name));
  }
  sections_.push_back(std::move(section));
  return *this;
}

Schema& Schema::instances(std::string name, std::string doc, Kinds kinds) {
  SLUICE_ASSERT(is_key(name) && !kinds.all().empty());
  const auto& common = kinds.common_sections();
  for (std::size_t i = 0; i < common.size(); ++i) {
    assert_consistent(*common[i]);
    SLUICE_ASSERT(!has_key(*common[i], "kind"));
    for (std::size_t j = 0; j < i; ++j) assert_disjoint(*common[i], *common[j]);
    for (const auto& kind : kinds.all()) assert_disjoint(*kind, *common[i]);
  }
  for (const auto& kind : kinds.all()) {
    assert_consistent(*kind);
    SLUICE_ASSERT(!has_key(*kind, "kind"));
  }
  for (const auto& builtin : kinds.builtins()) SLUICE_ASSERT(kinds.find(builtin.kind) != nullptr);
  for (const auto& section : sections_) SLUICE_ASSERT(section->name != name);
  groups_.push_back({std::move(name), std::move(doc), std::move(kinds)});
  return *this;
}

}  // namespace sluice::config
