// Masking of personal data as a plugin.
#include <algorithm>
#include <map>

#include <fmt/format.h>

#include "services/plugins/mask/mask_stream.h"
#include "services/plugins/plugin_set.h"

namespace cove::plugins {
namespace {

struct MaskSettings {
  DataKinds kinds;
  MaskStyle style = MaskStyle::kPlaceholder;
  bool restore = false;
};

// The prompt's texts share one vault, so that a number keeps its placeholder in all of them. Each choice goes on
// numbering in a copy: what one choice says does not depend on how far another is.
class MaskPlugin final : public PluginBase {
 public:
  explicit MaskPlugin(const MaskSettings& settings) : settings_(&settings) {}

  Result<Verdict> preprocess(Input& input) override {
    for (InputText& text : input.texts) {
      MaskStream stream({.kinds = settings_->kinds, .style = settings_->style, .masking = &prompt_});
      std::string out;
      stream.push(text.text, out);
      stream.finish(out);
      done_.masked += stream.counts().masked;
      text.text = std::move(out);
    }
    return Verdict{};
  }

  Result<Verdict> postprocess(const Piece& piece, std::string& out) override {
    const auto [own, fresh] = choices_.try_emplace(piece.choice);
    if (fresh) own->second = prompt_;
    MaskStream& stream =
        streams_
            .try_emplace(piece.text_id, MaskStreamOptions{.kinds = settings_->kinds,
                                                          .style = settings_->style,
                                                          .masking = &own->second,
                                                          .restoring = settings_->restore ? &prompt_ : nullptr})
            .first->second;
    const MaskCounts before = stream.counts();
    stream.push(piece.text, out);
    if (piece.end == End::kLast) stream.finish(out);
    done_.masked += stream.counts().masked - before.masked;
    done_.restored += stream.counts().restored - before.restored;
    if (piece.end == End::kLast) streams_.erase(piece.text_id);
    return Verdict{};
  }

  void take_notes(NoteTaker& notes) override {
    notes.add("masked", done_.masked);
    notes.add("restored", done_.restored);
    done_ = {};
  }

 private:
  const MaskSettings* settings_;
  Vault prompt_;
  std::map<size_t, Vault> choices_;
  std::map<uint64_t, MaskStream> streams_;
  MaskCounts done_;
};

class MaskFactory final : public PluginFactory {
 public:
  explicit MaskFactory(const MaskSettings& settings) : settings_(settings) {}
  Result<std::unique_ptr<PluginBase>> open(const RequestInfo&) override {
    return std::unique_ptr<PluginBase>(std::make_unique<MaskPlugin>(settings_));
  }

 private:
  MaskSettings settings_;
};

}  // namespace

Result<std::unique_ptr<PluginFactory>> make_mask_plugin(const PluginOptions& options) {
  MaskSettings settings{.kinds = {}, .style = options.mask.style, .restore = options.mask.restore};
  for (const std::string& name : options.mask.kinds) {
    const auto kind = std::ranges::find_if(kDataKinds, [&](DataKind k) { return to_string(k) == name; });
    if (kind == std::end(kDataKinds))
      return invalid_argument(fmt::format("kinds: '{}' is none of id, mobile, card, email", name));
    settings.kinds.add(*kind);
  }
  if (settings.kinds.bits == 0) return invalid_argument("kinds: nothing is left to mask");
  if (settings.restore && settings.style != MaskStyle::kPlaceholder)
    return invalid_argument("restore needs style: placeholder; from stars no value can be read");
  return std::unique_ptr<PluginFactory>(std::make_unique<MaskFactory>(settings));
}

}  // namespace cove::plugins
