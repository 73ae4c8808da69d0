// The sensitive-word filter as a plugin.
#include <map>

#include <fmt/format.h>

#include "base/log.h"
#include "services/plugins/plugin_set.h"
#include "services/plugins/words/word_filter.h"

namespace cove::plugins {
namespace {

class WordsPlugin final : public PluginBase {
 public:
  WordsPlugin(const WordFilter& filter, const std::string& message) : filter_(&filter), message_(&message) {}

  Result<Verdict> preprocess(Input& input) override {
    for (InputText& text : input.texts) {
      WordStream stream(*filter_);
      std::string out;
      stream.push(text.text, out);
      stream.finish(out);
      count(stream.counts(), {});
      if (stream.blocked()) return Verdict{Decision::kBlock, "the prompt holds a word that is not allowed here"};
      if (stream.counts().replaced > 0) text.text = std::move(out);
    }
    return Verdict{};
  }

  Result<Verdict> postprocess(const Piece& piece, std::string& out) override {
    auto found = streams_.find(piece.text_id);
    if (found == streams_.end()) found = streams_.try_emplace(piece.text_id, *filter_).first;
    WordStream& stream = found->second;
    const WordCounts before = stream.counts();
    stream.push(piece.text, out);
    if (piece.end == End::kLast) stream.finish(out);
    count(stream.counts(), before);
    const bool blocked = stream.blocked();
    if (blocked) out += *message_;
    if (blocked || piece.end == End::kLast) streams_.erase(found);
    return Verdict{blocked ? Decision::kBlock : Decision::kPass};
  }

  void take_notes(NoteTaker& notes) override {
    notes.add("logged", done_.logged);
    notes.add("replaced", done_.replaced);
    notes.add("blocked", done_.blocked);
    done_ = {};
  }

 private:
  void count(const WordCounts& now, const WordCounts& before) {
    done_.logged += now.logged - before.logged;
    done_.replaced += now.replaced - before.replaced;
    done_.blocked += now.blocked - before.blocked;
  }

  const WordFilter* filter_;
  const std::string* message_;
  std::map<uint64_t, WordStream> streams_;
  WordCounts done_;
};

class WordsFactory final : public PluginFactory {
 public:
  WordsFactory(std::unique_ptr<WordFilter> filter, std::string message)
      : filter_(std::move(filter)), message_(std::move(message)) {}
  Result<std::unique_ptr<PluginBase>> open(const RequestInfo&) override {
    return std::unique_ptr<PluginBase>(std::make_unique<WordsPlugin>(*filter_, message_));
  }

 private:
  std::unique_ptr<WordFilter> filter_;
  std::string message_;
};

Status add_lists(const std::vector<std::filesystem::path>& files, WordAction action, std::vector<WordSource>& out) {
  for (const auto& file : files) {
    TRY_ASSIGN(WordSource source, read_words(file, action));
    out.push_back(std::move(source));
  }
  return {};
}

}  // namespace

Result<std::unique_ptr<PluginFactory>> make_words_plugin(const PluginOptions& options) {
  const WordsOptions& words = options.words;
  if (words.block.empty() && words.replace.empty() && words.log.empty())
    return invalid_argument("needs lists of words: block, replace or log, each a list of files");
  std::vector<WordSource> sources;
  TRY(add_lists(words.block, WordAction::kBlock, sources));
  TRY(add_lists(words.replace, WordAction::kReplace, sources));
  TRY(add_lists(words.log, WordAction::kLog, sources));
  TRY_ASSIGN(WordList list, make_word_list(sources));
  const size_t dropped = list.dropped;
  const WordFilterOptions filter_options{.gap_max = words.gap_max,
                                         .whole_words = words.whole_words ? WholeWords::kRequired : WholeWords::kAny,
                                         .replacement = words.replacement};
  TRY_ASSIGN(auto filter, WordFilter::create(std::move(list), filter_options));
  log::info("plugin.words", {{"plugin", options.name},
                             {"words", static_cast<int64_t>(filter->list().words.size())},
                             {"dropped_lines", static_cast<int64_t>(dropped)},
                             {"matcher", filter->matcher().name()}});
  return std::unique_ptr<PluginFactory>(std::make_unique<WordsFactory>(std::move(filter), words.message));
}

}  // namespace cove::plugins
