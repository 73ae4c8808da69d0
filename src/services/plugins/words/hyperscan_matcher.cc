// The word matcher on Hyperscan. Left out of the build where libhs is missing: then no_hyperscan.cc stands in.
#include <cstddef>
#include <mutex>

#include <fmt/format.h>
#include <hs/hs.h>

#include "base/check.h"
#include "services/plugins/words/word_matcher.h"

namespace cove::plugins {
namespace {

struct FreeDatabase {
  void operator()(hs_database_t* database) const { hs_free_database(database); }
};
struct FreeScratch {
  void operator()(hs_scratch_t* scratch) const { hs_free_scratch(scratch); }
};
using Scratch = std::unique_ptr<hs_scratch_t, FreeScratch>;

// Hyperscan needs scratch memory for the time of a scan, one per scanning thread.
class ScratchPool {
 public:
  explicit ScratchPool(Scratch first) { free_.push_back(std::move(first)); }

  Scratch take() {
    {
      const std::lock_guard lock(mutex_);
      if (free_.size() > 1) {
        Scratch scratch = std::move(free_.back());
        free_.pop_back();
        return scratch;
      }
    }
    hs_scratch_t* copy = nullptr;  // the first one is never lent: copies are made of it
    COVE_CHECK(hs_clone_scratch(free_.front().get(), &copy) == HS_SUCCESS);
    return Scratch(copy);
  }
  void give_back(Scratch scratch) {
    const std::lock_guard lock(mutex_);
    free_.push_back(std::move(scratch));
  }

 private:
  std::mutex mutex_;  // guards free_ but its first
  std::vector<Scratch> free_;
};

struct Sink {
  std::vector<WordMatch>* out;
};

int on_match(unsigned id, unsigned long long, unsigned long long to, unsigned, void* context) {
  static_cast<Sink*>(context)->out->push_back({id, to});
  return 0;
}

class HyperscanStream final : public MatchStream {
 public:
  HyperscanStream(hs_stream_t* stream, ScratchPool& pool) : stream_(stream), pool_(&pool) {}
  ~HyperscanStream() override { hs_close_stream(stream_, nullptr, nullptr, nullptr); }
  HyperscanStream(const HyperscanStream&) = delete;
  HyperscanStream& operator=(const HyperscanStream&) = delete;

  void scan(std::string_view bytes, std::vector<WordMatch>& out) override {
    if (bytes.empty()) return;
    Scratch scratch = pool_->take();
    Sink sink{&out};
    const auto length = static_cast<unsigned>(bytes.size());
    COVE_CHECK(hs_scan_stream(stream_, bytes.data(), length, 0, scratch.get(), on_match, &sink) == HS_SUCCESS);
    pool_->give_back(std::move(scratch));
  }

 private:
  hs_stream_t* stream_;
  ScratchPool* pool_;
};

class HyperscanMatcher final : public WordMatcher {
 public:
  HyperscanMatcher(std::unique_ptr<hs_database_t, FreeDatabase> database, Scratch scratch)
      : database_(std::move(database)), pool_(std::move(scratch)) {}

  std::unique_ptr<MatchStream> open() const override {
    hs_stream_t* stream = nullptr;
    COVE_CHECK(hs_open_stream(database_.get(), 0, &stream) == HS_SUCCESS);
    return std::make_unique<HyperscanStream>(stream, pool_);
  }
  std::string_view name() const override { return "hyperscan"; }

 private:
  std::unique_ptr<hs_database_t, FreeDatabase> database_;
  mutable ScratchPool pool_;
};

}  // namespace

Result<std::unique_ptr<WordMatcher>> make_hyperscan(std::span<const std::string> words) {
  if (hs_valid_platform() != HS_SUCCESS) return std::unique_ptr<WordMatcher>();
  std::vector<const char*> texts;
  std::vector<size_t> lengths;
  std::vector<unsigned> ids;
  for (const std::string& word : words) {
    ids.push_back(static_cast<unsigned>(texts.size()));
    texts.push_back(word.data());
    lengths.push_back(word.size());
  }
  const std::vector<unsigned> flags(words.size(), 0);
  hs_database_t* made = nullptr;
  hs_compile_error_t* problem = nullptr;
  const hs_error_t code =
      hs_compile_lit_multi(texts.data(), flags.data(), ids.data(), lengths.data(), static_cast<unsigned>(texts.size()),
                           HS_MODE_STREAM, nullptr, &made, &problem);
  if (code != HS_SUCCESS) {
    const std::string why = problem == nullptr ? "no reason given" : problem->message;
    hs_free_compile_error(problem);
    return make_error(ErrorCode::kResourceExhausted, fmt::format("{} words cannot be compiled: {}", words.size(), why));
  }
  std::unique_ptr<hs_database_t, FreeDatabase> database(made);
  hs_scratch_t* scratch = nullptr;
  if (hs_alloc_scratch(database.get(), &scratch) != HS_SUCCESS)
    return make_error(ErrorCode::kResourceExhausted, "no memory for Hyperscan's scratch space");
  return std::unique_ptr<WordMatcher>(std::make_unique<HyperscanMatcher>(std::move(database), Scratch(scratch)));
}

}  // namespace cove::plugins
