#pragma once
// For authors of plugins in C++17: derive from cove_plugin::PluginBase, write COVE_PLUGIN(YourClass) once, build a
// shared object. Needs this file and cove_plugin_abi.h, nothing else of Cove.
//
//     struct Shout : cove_plugin::PluginBase {
//       using PluginBase::PluginBase;
//       void postprocess(const cove_plugin::Piece& piece, std::string& out) override { ... }
//     };
//     COVE_PLUGIN(Shout)
//
//     c++ -std=c++17 -shared -fPIC -o shout.so shout.cc
//
// One object per request. An exception, of any kind, means that the plugin failed.

#include <exception>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cove_plugin_abi.h"

namespace cove_plugin {

struct Request {
  std::string id, route, model, identity, role;
  std::string settings;  // of the configuration
};

struct InputText {
  std::string role;
  std::string text;
};

struct Input {
  std::vector<InputText> texts;  // to be changed in place
  std::string system;            // put in front of the system prompt
};

struct Piece {
  int32_t stage = COVE_STAGE_ANSWER;
  uint64_t text_id = 0;
  uint32_t choice = 0;
  bool last = false;
  std::string_view text;
};

class PluginBase {
 public:
  explicit PluginBase(Request request) : request_(std::move(request)) {}
  virtual ~PluginBase() = default;
  PluginBase(const PluginBase&) = delete;
  PluginBase& operator=(const PluginBase&) = delete;

  virtual void preprocess(Input& input) { (void)input; }
  // Appends to `out` what becomes of the piece.
  virtual void postprocess(const Piece& piece, std::string& out) { out += piece.text; }

 protected:
  const Request& request() const { return request_; }
  // Refuses the prompt, or ends the answer after this piece.
  void block(std::string message = {}) {
    blocked_ = true;
    message_ = std::move(message);
  }

 private:
  template <class Plugin>
  friend struct Exports;
  Request request_;
  bool blocked_ = false;
  std::string message_;
};

inline std::string_view view(cove_text text) { return {text.data, text.bytes}; }

// What COVE_PLUGIN exports.
template <class Plugin>
struct Exports {
  struct Shared {
    const cove_plugin_host* host;
    std::string settings;
  };
  struct Work {
    const cove_plugin_host* host;
    Plugin plugin;
  };

  static void* open(const cove_plugin_host* host, cove_text settings, void*) {
    return new Shared{host, std::string(view(settings))};
  }
  static void close(void* plugin) { delete static_cast<Shared*>(plugin); }

  // Runs `body`; what it throws becomes the call's message.
  template <class Body>
  static bool guard(const cove_plugin_host* host, void* call, const Body& body) {
    std::string why = "an unknown exception";
    try {
      body();
      return true;
    } catch (const std::exception& error) {
      why = error.what();
    } catch (...) {}
    host->set_message(call, why.data(), why.size());
    return false;
  }

  static void* begin(void* plugin, const cove_plugin_request* r, void* call) {
    const auto& shared = *static_cast<Shared*>(plugin);
    Work* work = nullptr;
    guard(shared.host, call, [&] {
      const auto text = [](cove_text t) { return std::string(view(t)); };
      work = new Work{shared.host, Plugin(Request{text(r->id), text(r->route), text(r->model), text(r->identity),
                                                  text(r->role), shared.settings})};
    });
    return work;
  }
  static void end(void* work) { delete static_cast<Work*>(work); }

  static int32_t outcome(Work& work, void* call) {
    PluginBase& base = work.plugin;
    if (!base.blocked_) return COVE_PLUGIN_PASS;
    work.host->set_message(call, base.message_.data(), base.message_.size());
    return COVE_PLUGIN_BLOCK;
  }

  static int32_t preprocess(void* handle, const cove_plugin_input* input, void* call) {
    auto& work = *static_cast<Work*>(handle);
    const bool done = guard(work.host, call, [&] {
      Input own;
      own.system = view(input->system);
      for (size_t i = 0; i < input->text_count; ++i)
        own.texts.push_back({std::string(view(input->texts[i].role)), std::string(view(input->texts[i].text))});
      static_cast<PluginBase&>(work.plugin).preprocess(own);
      for (size_t i = 0; i < input->text_count && i < own.texts.size(); ++i) {
        if (own.texts[i].text != view(input->texts[i].text))
          work.host->set_text(call, i, own.texts[i].text.data(), own.texts[i].text.size());
      }
      if (own.system != view(input->system)) work.host->set_system(call, own.system.data(), own.system.size());
    });
    return done ? outcome(work, call) : COVE_PLUGIN_FAILED;
  }

  static int32_t postprocess(void* handle, const cove_plugin_piece* p, void* call) {
    auto& work = *static_cast<Work*>(handle);
    const bool done = guard(work.host, call, [&] {
      std::string out;
      static_cast<PluginBase&>(work.plugin)
          .postprocess(Piece{p->stage, p->text_id, p->choice, p->last != 0, view(p->text)}, out);
      work.host->append(call, out.data(), out.size());
    });
    return done ? outcome(work, call) : COVE_PLUGIN_FAILED;
  }

  static const cove_plugin_api* get(uint32_t host_abi_version) {
    static const cove_plugin_api kApi = {
        sizeof(cove_plugin_api), COVE_PLUGIN_ABI_VERSION, open, close, begin, end, preprocess, postprocess};
    return host_abi_version == COVE_PLUGIN_ABI_VERSION ? &kApi : nullptr;
  }
};

}  // namespace cove_plugin

#define COVE_PLUGIN(Class)                                                                                     \
  extern "C" __attribute__((visibility("default"))) const cove_plugin_api* cove_plugin_get(uint32_t version) { \
    return cove_plugin::Exports<Class>::get(version);                                                          \
  }
