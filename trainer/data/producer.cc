#include "data/producer.h"

#include <atomic>
#include <mutex>
#include <optional>
#include <thread>

#include "data/conversation.h"

namespace cove::trainer {
namespace {

constexpr size_t kPassageTokensMax = 1024;

Result<Document> passage_document(const std::string& passage, const text::Tokenizer& tokenizer) {
  TRY_ASSIGN(const auto ids, tokenizer.encode(passage, {.parse_special = false}));
  Document out;
  out.ids.push_back(static_cast<uint16_t>(tokenizer.find_token(kBos).value_or(0)));
  out.ids.insert(out.ids.end(), ids.begin(),
                 ids.begin() + static_cast<int64_t>(std::min(ids.size(), kPassageTokensMax)));
  out.mask.assign(out.ids.size(), 1);
  out.mask[0] = 0;
  return out;
}

}  // namespace

Result<std::vector<Document>> shard_documents(const ProducerOptions& options, int64_t shard,
                                              const std::vector<std::string>& corpus,
                                              const text::Tokenizer& tokenizer) {
  std::vector<Document> documents;
  Rng rng(options.seed ^ (static_cast<uint64_t>(shard) * 0xA24BAED4963EE407ULL + 17));
  for (int64_t i = 0; i < options.samples_per_shard; ++i) {
    const auto index = static_cast<uint64_t>(shard * options.samples_per_shard + i);
    const bool passage = !corpus.empty() && rng.chance(options.corpus_share);
    auto document = passage ? passage_document(rng.pick(corpus), tokenizer)
                            : tokenize(training_sample(options.seed, index, options.mix), tokenizer);
    if (!document) return document.error();
    documents.push_back(std::move(*document));
  }
  return documents;
}

Result<int64_t> produce_shards(const ProducerOptions& options, const std::vector<std::string>& corpus,
                               const text::Tokenizer& tokenizer) {
  std::atomic<int64_t> next{options.first}, tokens{0};
  std::mutex mutex;
  std::optional<Error> failure;
  auto work = [&] {
    for (;;) {
      const int64_t shard = next.fetch_add(1);
      if (shard >= options.first + options.count) return;
      auto documents = shard_documents(options, shard, corpus, tokenizer);
      Status written = documents ? write_shard(options.dir, shard, *documents) : Status(documents.error());
      if (!written) {
        std::lock_guard lock(mutex);
        failure = written.error();
        next = options.first + options.count;
        return;
      }
      for (const Document& d : *documents) tokens += static_cast<int64_t>(d.ids.size());
    }
  };
  std::vector<std::thread> threads;
  for (int64_t i = 0; i < options.threads; ++i) threads.emplace_back(work);
  for (std::thread& thread : threads) thread.join();
  if (failure) return *failure;
  return tokens.load();
}

}  // namespace cove::trainer
