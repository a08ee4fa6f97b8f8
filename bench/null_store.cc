#include "null_store.h"

namespace sluice::bench {
namespace {

class NullReader : public StoreReader {
 public:
  Result<std::optional<ConversationRow>> conversation(LaneId) override {
    return std::optional<ConversationRow>();
  }
  Result<std::vector<ListedConversation>> conversations_of(const std::string&, const std::string&,
                                                           LaneId, std::size_t) override {
    return std::vector<ListedConversation>();
  }
  Result<std::vector<std::shared_ptr<const MessageRow>>> messages(
      std::span<const MessageId>) override {
    return std::vector<std::shared_ptr<const MessageRow>>();
  }
  Result<std::vector<std::shared_ptr<const PartRow>>> parts(std::span<const PartId>) override {
    return std::vector<std::shared_ptr<const PartRow>>();
  }
  Result<std::vector<HistoryRow>> history(HistoryId, HistoryId, std::size_t, std::size_t) override {
    return std::vector<HistoryRow>();
  }
  Result<std::optional<MessageId>> find_event(Key128) override {
    return std::optional<MessageId>();
  }
  Result<std::optional<MessageLife>> life(MessageId) override {
    return std::optional<MessageLife>();
  }
  Result<std::vector<FoundMessage>> find_messages(const MessageFilter&) override {
    return std::vector<FoundMessage>();
  }
  Result<std::vector<DeadLetter>> dead_letters(std::size_t, std::int64_t) override {
    return std::vector<DeadLetter>();
  }
  Result<std::optional<DeadLetter>> dead_letter(std::int64_t) override {
    return std::optional<DeadLetter>();
  }
};

}  // namespace

std::unique_ptr<StoreReader> make_null_reader() { return std::make_unique<NullReader>(); }

void NullStore::submit(std::shared_ptr<CommitRequest> request) {
  commits_.push_back(std::move(request));
  arrived_.set();
}

void NullStore::submit(std::shared_ptr<ReadRequest> request) {
  reads_.push_back(std::move(request));
  arrived_.set();
}

Task<void> NullStore::answer() {
  NullReader reader;
  std::vector<std::shared_ptr<CommitRequest>> commits;
  std::vector<std::shared_ptr<ReadRequest>> reads;
  for (;;) {
    co_await arrived_.wait();
    // One round of the ready list gathers a batch, as an fsync under way would.
    co_await yield(loop_);
    arrived_.reset();
    commits.swap(commits_);
    reads.swap(reads_);
    transactions_ += commits.size();
    for (auto& request : commits) {
      Receipt receipt;
      receipt.events.resize(request->transaction.events.size());
      request->result.emplace(std::move(receipt));
      request->complete();
    }
    for (auto& request : reads) {
      request->run(reader);
      request->complete();
    }
    commits.clear();
    reads.clear();
  }
}

}  // namespace sluice::bench
