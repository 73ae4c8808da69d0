#pragma once
// What `cove model inspect|list` say of a model file or directory. Internal to cmd_model.cc and its parts.

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <boost/json/object.hpp>

#include "base/json.h"
#include "engine/loading/model_files.h"

namespace cove::app {

// A model as far as it can be read: a file that Cove cannot run still lists its tensors.
struct ModelReport {
  std::filesystem::path path;
  std::optional<engine::ModelFiles> model;  // when it opened
  std::string problem;                      // why not, otherwise
  std::vector<TensorInfo> tensors;          // of the container, also when the model did not open
  std::string template_problem;  // why the chat template does not compile; empty when it does or there is none
};

ModelReport report_on(const std::filesystem::path& path, const std::optional<SealKey>& key);

std::string report_text(const ModelReport& report);
json::object report_json(const ModelReport& report);

// Directories with config.json and weights, and .gguf files, below `root`; at most a few levels deep.
Result<std::vector<std::filesystem::path>> find_models(const std::filesystem::path& root);

// "1.78 G", "3.55 GB".
std::string count_text(double value);
std::string bytes_text(double bytes);

}  // namespace cove::app
