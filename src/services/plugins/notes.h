#pragma once
// What plugins did to a request: for the audit log and the metrics.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace cove::plugins {

// Actions: blocked, replaced, logged (words); masked, restored (personal data); changed (templates, Lua, shared
// objects, hooks); failed, skipped (errors).
struct PluginNote {
  std::string plugin;
  std::string action;
  uint64_t count = 0;
};
using PluginNotes = std::vector<PluginNote>;

// Adds to the notes of one plugin.
class NoteTaker {
 public:
  NoteTaker(std::string_view plugin, PluginNotes& notes) : plugin_(plugin), notes_(&notes) {}
  void add(std::string_view action, uint64_t count) {
    if (count == 0) return;
    for (PluginNote& note : *notes_) {
      if (note.plugin == plugin_ && note.action == action) {
        note.count += count;
        return;
      }
    }
    notes_->push_back({std::string(plugin_), std::string(action), count});
  }

 private:
  std::string_view plugin_;
  PluginNotes* notes_;
};

}  // namespace cove::plugins
