// Who exists in a world and what they send.

#include <algorithm>

#include "sim/world.h"

namespace sluice::sim {
namespace {

ChannelInfo account(std::string name, Capabilities can) {
  ChannelInfo info;
  info.name = std::move(name);
  info.kind = "sim";
  info.can = can;
  return info;
}

}  // namespace

void World::add_event(int n, const std::string& account_name, const std::string& chat,
                      const std::string& person, const std::string& word, std::int64_t at_ms) {
  SentEvent event;
  event.n = n;
  event.account = account_name;
  event.message.chat = chat;
  event.message.sender = person;
  event.message.sender_name = "Name of " + person;
  event.message.event = "e" + std::to_string(n);
  event.message.text = "m" + std::to_string(n) + ":" + word + " secret-" + person;
  event.message.reply_to = "to-" + chat;
  event.due = clock_.mono + milliseconds(at_ms);
  outside_.events.push_back(std::move(event));
}

void World::write_script() {
  Capabilities pull;
  pull.pull = pull.own_face = pull.streaming = true;
  Capabilities push;
  push.part_bytes_max = 40;
  Capabilities keyed = push;
  keyed.idempotency_window = milliseconds(3'600'000);
  Capabilities back = push;
  back.can_look_back = true;
  accounts_ = {account("web", pull), account("push", push), account("keyed", keyed),
               account("back", back)};

  options_.max_concurrent_turns = 4;
  options_.max_turns_per_person = 2;
  options_.reply_bytes_max = 5'000;
  options_.turn_timeout = milliseconds(20'000);
  options_.disk_low_bytes = 64 << 10;
  options_.collect_quiet = milliseconds(500);
  for (const ChannelInfo& info : accounts_) {
    AccountOptions o;
    const std::uint64_t agent = random_.below(10);
    o.agent = agent < 6 ? "eager" : agent < 9 ? "careful" : "strict";
    const std::uint64_t mode = random_.below(10);
    o.mode = mode < 6 ? LaneMode::kFollowup : mode < 8 ? LaneMode::kCollect : LaneMode::kInterrupt;
    o.allow = {"ann", "bob", "cid"};
    account_options_[info.name] = o;
  }

  static const std::vector<std::string> kPeople = {"ann", "bob", "cid"};
  const int count = static_cast<int>(random_.between(12, 30));
  const bool burst = random_.percent(30);
  const bool poison = random_.percent(15);
  std::map<std::string, std::int64_t> orders;
  std::map<std::string, int> last_in_chat;
  for (int n = 0; n < count; ++n) {
    const ChannelInfo& info = accounts_[random_.below(accounts_.size())];
    const std::string person = kPeople[random_.below(burst ? 1 : kPeople.size())];
    const std::string chat =
        "chat" + std::to_string(random_.below(burst ? 6 : 2)) + "-" + info.name;
    const std::int64_t at = burst ? random_.between(0, 500) : random_.between(0, 20'000);
    const std::uint64_t luck = random_.below(100);
    Behaviour behaviour = luck < 35   ? Behaviour::kOk
                          : luck < 50 ? Behaviour::kSlow
                          : luck < 65 ? Behaviour::kStream
                          : luck < 75 ? Behaviour::kLong
                          : luck < 80 ? Behaviour::kErrorOnce
                          : luck < 84 ? Behaviour::kErrorAlways
                          : luck < 88 ? Behaviour::kRefuse
                          : luck < 92 ? Behaviour::kThrow
                          : luck < 95 ? Behaviour::kHang
                          : luck < 96 ? Behaviour::kFlood
                          : luck < 99 ? Behaviour::kPark
                                      : Behaviour::kOk;
    if (poison && n == count / 2) behaviour = Behaviour::kPoison;
    add_event(n, info.name, chat, person, std::string(name_of(behaviour)), at);
    SentEvent& event = outside_.events.back();
    if (info.name == "web") {
      event.message.order = ++orders[chat];
      // Close together, so that the network can swap them.
      if (last_in_chat.contains(chat)) {
        const SentEvent& before = outside_.events[static_cast<std::size_t>(last_in_chat[chat])];
        event.due = before.due + milliseconds(random_.between(-150, 200));
        event.due = std::max(event.due, clock_.mono);
      }
    }
    last_in_chat[chat] = n;
    if (random_.percent(6)) {
      event.old = true;
      event.message.sent_at = clock_.wall() + milliseconds(-25 * 3'600'000LL);
    } else if (random_.percent(50)) {
      event.message.sent_at = clock_.wall();
    }
    if (random_.percent(4)) {
      event.outsider = true;
      event.message.sender = "mallory";
      event.message.order.reset();
    }
  }
  // Edits and deletions of what was sent; commands.
  int n = count;
  for (int i = 0; i < count; ++i) {
    const SentEvent original = outside_.events[static_cast<std::size_t>(i)];
    if (original.outsider || original.old || !random_.percent(15)) continue;
    SentEvent change = original;
    change.n = n;
    change.extra = 0;
    change.message.order.reset();
    change.message.kind = random_.percent(60) ? EventKind::kEdit : EventKind::kDelete;
    change.message.revision = "r1";
    change.message.text = change.message.kind == EventKind::kEdit
                              ? "m" + std::to_string(n) + ":ok secret-" + change.message.sender
                              : "";
    change.after = i;
    change.due = original.due + milliseconds(random_.between(1, 3'000));
    outside_.events.push_back(std::move(change));
    ++n;
  }
  static const std::vector<std::string> kCommands = {"/stop", "/status", "/new", "/help", "/stop"};
  for (int i = 0; i < 5; ++i) {
    const SentEvent& near = outside_.events[random_.below(static_cast<std::uint64_t>(count))];
    if (near.outsider) continue;
    SentEvent command = near;
    command.n = n;
    command.control = true;
    command.old = false;
    command.message.sent_at = UnixMillis{};
    command.message.order.reset();
    command.message.event = "c" + std::to_string(n);
    command.message.text = kCommands[random_.below(kCommands.size())];
    command.due = near.due + milliseconds(random_.between(1, 2'500));
    outside_.events.push_back(std::move(command));
    ++n;
  }
}

}  // namespace sluice::sim
