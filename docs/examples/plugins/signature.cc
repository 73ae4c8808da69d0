// An example of a plugin in C++: puts a line under every answer, and refuses prompts that ask for the impossible.
// Build: c++ -std=c++17 -shared -fPIC -I src/services/plugins/sdk -o signature.so docs/examples/plugins/signature.cc
#include "cove_plugin.h"

namespace {

class Signature : public cove_plugin::PluginBase {
 public:
  using PluginBase::PluginBase;

  void preprocess(cove_plugin::Input& input) override {
    for (cove_plugin::InputText& text : input.texts) {
      if (text.text.find("square the circle") != std::string::npos) block("that cannot be done");
    }
  }

  void postprocess(const cove_plugin::Piece& piece, std::string& out) override {
    out += piece.text;
    const bool end_of_answer = piece.last && piece.stage == COVE_STAGE_ANSWER;
    if (end_of_answer) out += "\n-- " + request().settings;
  }
};

}  // namespace

COVE_PLUGIN(Signature)
