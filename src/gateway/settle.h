#pragma once
// What to do with a part after a try (C19, C21, C23): a pure function, so that every rule can be
// read and tested in one place.

#include "gateway/channel.h"
#include "gateway/options.h"

namespace sluice {

struct Settlement {
  PartSettlement row;
  bool park_account = false;        // our credentials were refused
  bool drop_rest_of_reply = false;  // refused for good: the reply's later parts go with it
  UnixMillis account_not_before;    // flood wait of the whole account; 0: none
};

/// `part` is the row before the try, tries included; `jitter` in [0, 1).
Settlement settle(const PartRow& part, const SendOutcome& outcome, const Capabilities& can,
                  const CoreOptions& options, UnixMillis now, double jitter);

/// What a process does with a claimed part whose outcome it does not know (after a crash, or a send
/// that answered nothing). look_back: the channel looked and found nothing.
enum class UnknownRule : std::uint8_t { kRepeatWithKey, kLookBack, kRepeatLabelled, kGiveUp };
UnknownRule unknown_rule(const PartRow& part, const Capabilities& can, UnixMillis now,
                         bool looked_back);

}  // namespace sluice
