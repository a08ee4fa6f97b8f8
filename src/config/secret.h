#pragma once
// Secret: a token, key or password. It cannot be printed, logged or formatted; who needs the bytes
// says reveal(), which is what a reviewer searches for. Its memory is zeroed when it goes.
//
// What this cannot reach: the environment block of the process, and a configuration file in which
// the secret stands as text (load() warns of that).
//
// Thread: a value; as a std::string.

#include <cstddef>
#include <iosfwd>
#include <memory>
#include <string_view>

namespace sluice::config {

class Secret {
 public:
  Secret() = default;
  explicit Secret(std::string_view bytes);
  Secret(const Secret& other);
  Secret(Secret&& other) noexcept;
  Secret& operator=(Secret other) noexcept;
  ~Secret();

  /// Empty means: not configured.
  bool empty() const { return size_ == 0; }
  /// The bytes, as long as this Secret lives. Only for the call that needs them.
  std::string_view reveal() const { return {bytes_.get(), size_}; }

  /// In time that depends on the lengths only.
  friend bool operator==(const Secret& a, const Secret& b);
  friend std::ostream& operator<<(std::ostream&, const Secret&) = delete;

 private:
  std::unique_ptr<char[]>
      bytes_;  // never a std::string: its short form leaves copies behind when moved
  std::size_t size_ = 0;
};

}  // namespace sluice::config
