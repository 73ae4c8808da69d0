// A plugin for tests that does what its settings say: refuse to open, hang, throw, block.
#include <chrono>
#include <stdexcept>
#include <thread>

#include "services/plugins/sdk/cove_plugin.h"

namespace {

class Misbehaves : public cove_plugin::PluginBase {
 public:
  explicit Misbehaves(cove_plugin::Request request) : PluginBase(std::move(request)) {
    if (this->request().settings == "throw at begin") throw std::runtime_error("no request today");
  }

  void preprocess(cove_plugin::Input& input) override {
    if (request().settings == "hang") std::this_thread::sleep_for(std::chrono::seconds(1));
    if (request().settings == "throw") throw std::runtime_error("thrown in preprocess");
    if (request().settings == "throw anything") throw 1;
    input.texts[0].text = "changed for " + request().role;
    input.system = "\xFF is no UTF-8";
  }

  void postprocess(const cove_plugin::Piece& piece, std::string& out) override {
    out += piece.text.substr(0, 2);
    if (piece.text.find('!') != std::string_view::npos) block();
  }
};

}  // namespace

COVE_PLUGIN(Misbehaves)
