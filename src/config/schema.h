#pragma once
// Schema: what can be configured, declared by each module beside its code and composed by app/.
// Options are bound to the members of a plain struct; a member's initialiser is the default, so
// that the struct by itself is a valid configuration and no default is written twice.
//
//   struct HookOptions {
//     std::string path = "/hook";
//     std::chrono::milliseconds timeout = 10s;
//     Secret secret;
//   };
//   inline void declare(config::Section<HookOptions>& s) {
//     s.text("path", &HookOptions::path, "Where messages are posted to.").restart();
//     s.duration("timeout", &HookOptions::timeout, "How long an answer may take.").between(100ms,
//     1h); s.secret("secret", &HookOptions::secret, "Signs what is posted.").required();
//     s.check([](const HookOptions& o) { return o.path.starts_with("/") ? "" : "path starts with
//     /"; });
//   }
//
//   Schema schema;                                            // in app/
//   schema.section<HttpOptions>("http", "The HTTP listener.");
//   Kinds channels;
//   channels.common<AccountOptions>().add<HookOptions>("hook", "Text in by POST.").builtin("web",
//   "http"); schema.instances("channels", "Accounts that messages come from.",
//   std::move(channels));
//
// declare() is found by the options' namespace. Keys are snake_case. A wrong declaration (a key
// twice, a default out of bounds) is a programmer's error and ends the process at start.
//
// Thread: built by one; const from then on, any.

#include <chrono>
#include <concepts>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <ratio>
#include <string>
#include <string_view>
#include <type_traits>
#include <typeindex>
#include <utility>
#include <variant>
#include <vector>

#include "base/assert.h"
#include "config/secret.h"

namespace sluice::config {

enum class Type : std::uint8_t {
  kFlag,      // true, false
  kInteger,   //
  kDuration,  // "30s"; held in milliseconds
  kSize,      // "64KiB"; held in bytes
  kChoice,    // one of a few words; held as its place among them
  kText,
  kPath,  // relative to the folder of the file
  kList,  // of strings
  kSecret,
};

/// An option's value without its struct.
using Plain = std::variant<bool, std::int64_t, std::string, std::vector<std::string>, Secret>;

struct Option {
  std::string key;
  std::string doc;
  Type type;
  Plain fallback;
  // Numbers: the value itself, in the unit of its type. Texts and lists: bytes and items.
  std::int64_t least = 0;
  std::int64_t most = 0;
  bool bounds_told = false;  // narrower than what the type can hold: worth a word in the reference
  bool required = false;
  bool restart = false;  // a reload can't apply it
  std::vector<std::string> choices;
  std::function<void(void* options, const Plain&)> assign;
  std::function<std::string(const Plain&)> check;  // what is wrong, or nothing
};

/// One table of the file and the struct that it fills.
struct SectionSpec {
  struct Nested {
    std::unique_ptr<SectionSpec> section;
    std::function<void*(void* options)> member;
  };
  using Object = std::unique_ptr<void, void (*)(void*)>;

  explicit SectionSpec(std::type_index t) : type(t) {}

  std::string name;
  std::string doc;
  std::type_index type;
  Object (*make)() = nullptr;
  std::vector<std::unique_ptr<Option>> options;
  std::vector<Nested> sections;
  std::vector<std::function<std::string(const void*)>> checks;

  Option& add(std::string_view key, Type type, std::string_view doc, Plain fallback);
  void add_section(std::unique_ptr<SectionSpec> section, std::function<void*(void*)> member);
};

/// What can be said about an option once it is declared. V is what its member holds.
template <class V>
class OptionRef {
 public:
  explicit OptionRef(Option& option) : option_(&option) {}

  /// Must be written; a required text or secret must not be empty either.
  OptionRef& required() {
    option_->required = true;
    return *this;
  }
  /// Changing it needs a restart.
  OptionRef& restart() {
    option_->restart = true;
    return *this;
  }
  /// Both included.
  OptionRef& between(V least, V most)
    requires(!std::same_as<V, bool> && (std::integral<V> || requires(V v) { v.count(); }))
  {
    return bound(plain_number(least), plain_number(most));
  }
  /// Bytes of a text, items of a list.
  OptionRef& length(std::size_t least, std::size_t most)
    requires requires(V v) { v.size(); }
  {
    return bound(static_cast<std::int64_t>(least), static_cast<std::int64_t>(most));
  }
  /// Returns what is wrong with the value, in words that follow "key: ", or an empty string.
  OptionRef& check(std::function<std::string(const V&)> check)
    requires(std::same_as<V, std::string> || std::same_as<V, std::vector<std::string>>)
  {
    option_->check = [check = std::move(check)](const Plain& plain) {
      return check(std::get<V>(plain));
    };
    return *this;
  }

 private:
  static std::int64_t plain_number(V v) {
    if constexpr (std::integral<V>) {
      return static_cast<std::int64_t>(v);
    } else {
      return std::chrono::duration_cast<std::chrono::milliseconds>(v).count();
    }
  }
  OptionRef& bound(std::int64_t least, std::int64_t most) {
    option_->least = least;
    option_->most = most;
    option_->bounds_told = true;
    return *this;
  }
  Option* option_;
};

/// Binds the keys of one table to the members of T. Lives only while declare() runs.
template <class T>
class Section {
 public:
  static constexpr std::size_t kMaxText = 4096;
  static constexpr std::size_t kMaxItems = 1000;
  static constexpr std::chrono::hours kMaxDuration{24 * 36500};
  static constexpr std::int64_t kMaxSize = std::int64_t{1} << 53;

  Section(SectionSpec& spec, const T& defaults) : spec_(spec), defaults_(defaults) {}

  OptionRef<bool> flag(std::string_view key, bool T::* member, std::string_view doc) {
    return bind<bool, bool>(key, Type::kFlag, member, doc, defaults_.*member);
  }

  template <std::integral I>
    requires(!std::same_as<I, bool>)
  OptionRef<I> integer(std::string_view key, I T::* member, std::string_view doc) {
    return whole_number(key, Type::kInteger, member, doc, std::numeric_limits<std::int64_t>::max());
  }

  template <std::unsigned_integral I>
  OptionRef<I> size(std::string_view key, I T::* member, std::string_view doc) {
    return whole_number(key, Type::kSize, member, doc, kMaxSize);
  }

  template <class Period>
    requires std::ratio_less_equal_v<Period, std::milli>
  OptionRef<std::chrono::duration<std::int64_t, Period>> duration(
      std::string_view key, std::chrono::duration<std::int64_t, Period> T::* member,
      std::string_view doc) {
    using D = std::chrono::duration<std::int64_t, Period>;
    using std::chrono::milliseconds;
    const auto fallback = std::chrono::duration_cast<milliseconds>(defaults_.*member).count();
    Option& option = spec_.add(key, Type::kDuration, doc, fallback);
    option.most = milliseconds(kMaxDuration).count();
    option.assign = [member](void* options, const Plain& plain) {
      static_cast<T*>(options)->*member = D(milliseconds(std::get<std::int64_t>(plain)));
    };
    return OptionRef<D>(option);
  }

  /// One of a few words.
  template <class E>
  OptionRef<E> choice(std::string_view key, E T::* member,
                      std::vector<std::pair<std::string, E>> words, std::string_view doc) {
    std::vector<E> values;
    std::int64_t fallback = -1;
    Option& option = spec_.add(key, Type::kChoice, doc, std::int64_t{0});
    for (auto& [word, value] : words) {
      if (value == defaults_.*member) fallback = static_cast<std::int64_t>(values.size());
      option.choices.push_back(std::move(word));
      values.push_back(value);
    }
    SLUICE_ASSERT(fallback >= 0);  // the default is not among the words
    option.fallback = fallback;
    option.most = static_cast<std::int64_t>(values.size()) - 1;
    option.assign = [member, values](void* options, const Plain& plain) {
      static_cast<T*>(options)->*member =
          values[static_cast<std::size_t>(std::get<std::int64_t>(plain))];
    };
    return OptionRef<E>(option);
  }

  OptionRef<std::string> text(std::string_view key, std::string T::* member, std::string_view doc) {
    return bind<std::string, std::string>(key, Type::kText, member, doc, defaults_.*member,
                                          kMaxText);
  }

  /// A relative one is taken from the folder of the configuration file. Empty stays empty.
  OptionRef<std::string> path(std::string_view key, std::string T::* member, std::string_view doc) {
    return bind<std::string, std::string>(key, Type::kPath, member, doc, defaults_.*member,
                                          kMaxText);
  }

  OptionRef<std::vector<std::string>> list(std::string_view key,
                                           std::vector<std::string> T::* member,
                                           std::string_view doc) {
    using List = std::vector<std::string>;
    return bind<List, List>(key, Type::kList, member, doc, defaults_.*member, kMaxItems);
  }

  OptionRef<Secret> secret(std::string_view key, Secret T::* member, std::string_view doc) {
    return bind<Secret, Secret>(key, Type::kSecret, member, doc, Secret());
  }

  /// A table within this one, bound to a struct within T.
  template <class U>
  void section(std::string_view name, U T::* member, std::string_view doc) {
    auto nested = std::make_unique<SectionSpec>(typeid(U));
    nested->name = name;
    nested->doc = doc;
    Section<U> inner(*nested, defaults_.*member);
    declare(inner);
    spec_.add_section(std::move(nested), [member](void* options) -> void* {
      return &(static_cast<T*>(options)->*member);
    });
  }

  /// Changing any option declared so far needs a restart.
  void restart() {
    for (const auto& option : spec_.options) option->restart = true;
  }

  /// For what several options say together. Called only if each by itself is right; returns what is
  /// wrong, or an empty string.
  void check(std::function<std::string(const T&)> check) {
    spec_.checks.push_back([check = std::move(check)](const void* options) {
      return check(*static_cast<const T*>(options));
    });
  }

 private:
  template <class P, class M>
  OptionRef<M> bind(std::string_view key, Type type, M T::* member, std::string_view doc,
                    P fallback, std::size_t longest = 0) {
    Option& option = spec_.add(key, type, doc, std::move(fallback));
    option.most = static_cast<std::int64_t>(longest);
    option.assign = [member](void* options, const Plain& plain) {
      static_cast<T*>(options)->*member = std::get<P>(plain);
    };
    return OptionRef<M>(option);
  }

  template <class I>
  OptionRef<I> whole_number(std::string_view key, Type type, I T::* member, std::string_view doc,
                            std::int64_t most) {
    Option& option = spec_.add(key, type, doc, static_cast<std::int64_t>(defaults_.*member));
    if constexpr (std::signed_integral<I>) option.least = std::numeric_limits<I>::min();
    option.most = std::cmp_less(std::numeric_limits<I>::max(), most)
                      ? static_cast<std::int64_t>(std::numeric_limits<I>::max())
                      : most;
    option.assign = [member](void* options, const Plain& plain) {
      static_cast<T*>(options)->*member = static_cast<I>(std::get<std::int64_t>(plain));
    };
    return OptionRef<I>(option);
  }

  SectionSpec& spec_;
  const T& defaults_;
};

template <class T>
std::unique_ptr<SectionSpec> make_section(std::string name, std::string doc) {
  auto spec = std::make_unique<SectionSpec>(typeid(T));
  spec->name = std::move(name);
  spec->doc = std::move(doc);
  spec->make = [] {
    return SectionSpec::Object(new T(), [](void* options) { delete static_cast<T*>(options); });
  };
  const T defaults{};
  Section<T> section(*spec, defaults);
  declare(section);
  return spec;
}

/// What the tables [group.NAME] of one group can be: the key "kind" says which.
class Kinds {
 public:
  struct Builtin {
    std::string name;
    std::string kind;
  };

  template <class T>
  Kinds& add(std::string kind, std::string doc) {
    kinds_.push_back(make_section<T>(std::move(kind), std::move(doc)));
    return *this;
  }
  /// Options that every kind has besides its own. May be called for several structs.
  template <class T>
  Kinds& common() {
    common_.push_back(make_section<T>("", ""));
    return *this;
  }
  /// An instance that exists without being written. The file may set its options, and need not
  /// repeat its kind.
  Kinds& builtin(std::string name, std::string kind) {
    builtins_.push_back({std::move(name), std::move(kind)});
    return *this;
  }

  const SectionSpec* find(std::string_view kind) const;
  const Builtin* find_builtin(std::string_view name) const;
  std::vector<std::string> names() const;
  const std::vector<std::unique_ptr<SectionSpec>>& all() const { return kinds_; }
  const std::vector<std::unique_ptr<SectionSpec>>& common_sections() const { return common_; }
  const std::vector<Builtin>& builtins() const { return builtins_; }

 private:
  std::vector<std::unique_ptr<SectionSpec>> kinds_;
  std::vector<std::unique_ptr<SectionSpec>> common_;
  std::vector<Builtin> builtins_;
};

class Schema {
 public:
  struct Group {
    std::string name;
    std::string doc;
    Kinds kinds;
  };

  /// The empty name means the keys at the top of the file, before any table.
  template <class T>
  Schema& section(std::string name, std::string doc) {
    return add(make_section<T>(std::move(name), std::move(doc)));
  }
  Schema& instances(std::string name, std::string doc, Kinds kinds);

  const std::vector<std::unique_ptr<SectionSpec>>& sections() const { return sections_; }
  const std::vector<Group>& groups() const { return groups_; }

 private:
  Schema& add(std::unique_ptr<SectionSpec> section);
  std::vector<std::unique_ptr<SectionSpec>> sections_;
  std::vector<Group> groups_;
};

}  // namespace sluice::config
