#include "gateway/history_window.h"

#include <algorithm>
#include <cstdlib>

#include <fmt/core.h>

#include "gateway/tokens.h"

namespace sluice {
namespace {

constexpr std::string_view kUpto = "{\"upto\":";

HistoryId upto_of(const HistoryRow& summary) {
  if (!summary.meta.starts_with(kUpto)) return {};
  return HistoryId{std::atoll(summary.meta.c_str() + kUpto.size())};
}

/// One walk back through the log.
class Walk {
 public:
  Walk(StoreReader& reader, HistoryId from, HistoryId after, HistoryBounds bounds)
      : reader_(reader), at_(from), after_(after), bounds_(bounds) {
    rows_ = bounds.messages * 2 + 50;
    if (bounds_.tokens == 0) bounds_.tokens = SIZE_MAX;
  }

  Result<HistoryWindow> run() {
    while (at_ > after_ && said_.size() < bounds_.messages && rows_ > 0 && bounds_.bytes > 0 &&
           !full_) {
      const std::size_t ask = std::min(rows_, bounds_.messages - said_.size());
      auto lines = reader_.history(at_, after_, ask, bounds_.bytes);
      if (!lines) return lines.error();
      for (auto line = lines->rbegin(); line != lines->rend() && !full_; ++line) take(*line);
      if (lines->size() < ask) break;
      rows_ -= ask;
    }
    HistoryWindow window;
    window.more = full_ || at_ > after_;
    if (!summary_.text.empty()) said_.push_back(std::move(summary_));
    window.lines = std::move(said_);
    std::reverse(window.lines.begin(), window.lines.end());
    return window;
  }

 private:
  void take(HistoryRow& line) {
    if (line.id <= after_) return;  // a summary met just now stands for it
    if (line.kind == HistoryKind::kSummary) {
      // One of an earlier session may have been late.
      if (summary_.text.empty() && !line.text.empty() && upto_of(line) > after_) {
        after_ = upto_of(line);
        charge(line);
        summary_ = line;
        summary_.kind = HistoryKind::kPerson;
        summary_.text = "Summary of our conversation before this:\n" + line.text;
      }
    } else if (line.kind == HistoryKind::kPerson || line.kind == HistoryKind::kAgent) {
      full_ = !charge(line);
      if (full_) return;
      said_.push_back(std::move(line));
    } else {
      charge_bytes(line);
    }
    at_ = line.prev;
  }
  void charge_bytes(const HistoryRow& line) {
    bounds_.bytes -= std::min(bounds_.bytes, line.text.size());
  }
  bool charge(const HistoryRow& line) {
    charge_bytes(line);
    if (bounds_.tokens == SIZE_MAX) return true;
    const std::size_t tokens = estimate_tokens(line.text);
    if (tokens > bounds_.tokens) return false;
    bounds_.tokens -= tokens;
    return true;
  }

  StoreReader& reader_;
  HistoryId at_;
  HistoryId after_;
  HistoryBounds bounds_;
  std::size_t rows_ = 0;
  bool full_ = false;
  std::vector<HistoryRow> said_;  // newest first
  HistoryRow summary_;
};

}  // namespace

Result<HistoryWindow> read_window(StoreReader& reader, HistoryId from, HistoryId after,
                                  HistoryBounds bounds) {
  return Walk(reader, from, after, bounds).run();
}

Result<HistoryWindow> read_window(StoreReader& reader, HistoryId from, HistoryId after,
                                  HistoryBounds bounds, const SessionRules& rules,
                                  const std::string& persons_zone, UnixMillis now) {
  if (!rules.any()) return read_window(reader, from, after, bounds);
  const bool blind = bounds.messages == 0;
  if (blind) bounds = {1, SIZE_MAX, 0};  // the last words are looked at all the same
  auto window = read_window(reader, from, after, bounds);
  if (!window || window->lines.empty()) return window;
  if (begins_session(rules, persons_zone, window->lines.back().at, now)) {
    HistoryWindow fresh;
    fresh.new_session = true;
    return fresh;
  }
  if (blind) window->lines.clear();
  return window;
}

std::string summary_meta(HistoryId upto) { return fmt::format("{}{}}}", kUpto, upto.value); }

}  // namespace sluice
