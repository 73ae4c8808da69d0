#include <map>
#include <set>

#include <fmt/format.h>
#include <boost/json/object.hpp>

#include "base/json.h"
#include "tensor/io/mapped_weights.h"
#include "tensor/io/printable.h"
#include "tensor/io/safetensors.h"

namespace cove {
namespace {

namespace fs = std::filesystem;

constexpr const char* kIndexName = "model.safetensors.index.json";
constexpr std::string_view kIndexEnding = ".safetensors.index.json";
constexpr size_t kIndexBytesMax = 100'000'000;

Status add_file(MappedWeights& weights, const FileSource& files, const std::string& name) {
  TRY_ASSIGN(FileBytes file, files.open(name));
  TRY_ASSIGN(SafetensorsHeader header, parse_safetensors(file.bytes(), name));
  return weights.add(name, std::move(file), std::move(header.tensors));
}

// A shard must lie beside its index: a hostile index names no other file of this machine.
bool is_plain_file_name(std::string_view name) {
  return !name.empty() && name != "." && name != ".." && name.find('/') == std::string_view::npos &&
         name.find('\0') == std::string_view::npos;
}

using WeightMap = std::map<std::string, std::string>;  // tensor to file

Result<WeightMap> read_index(const FileSource& source, const std::string& index) {
  TRY_ASSIGN(const std::string text, source.read(index, kIndexBytesMax));
  TRY_ASSIGN(const json::value root, parse_json(text));
  const json::value* map = find_member(root, "weight_map");
  if (map == nullptr || !map->is_object()) return data_corrupt("has no object 'weight_map'");
  WeightMap files;
  for (const auto& [tensor, file] : map->get_object()) {
    const std::string name = printable_name(tensor);
    if (!file.is_string()) return data_corrupt(fmt::format("weight_map: the file of {} is not a string", name));
    const std::string_view file_name = file.get_string();
    if (!is_plain_file_name(file_name)) {
      return data_corrupt(fmt::format("weight_map: {} is in {}, which is not a file beside the index", name,
                                      printable_name(file_name)));
    }
    files.emplace(tensor, file_name);
  }
  if (files.empty()) return data_corrupt("weight_map is empty");
  return files;
}

Status add_shards(MappedWeights& weights, const FileSource& source, const WeightMap& map) {
  std::set<std::string> files;
  for (const auto& [tensor, file] : map) files.insert(file);
  for (const std::string& file : files) {
    if (!source.has(file)) {
      return make_error(ErrorCode::kNotFound,
                        fmt::format("file {} is named by the index but is not there; the download is incomplete",
                                    printable_name(file)));
    }
    TRY(add_file(weights, source, file));
  }
  for (const auto& [tensor, file] : map) {
    const TensorInfo* info = weights.find(tensor);
    if (info != nullptr && info->file == file) continue;
    return data_corrupt(fmt::format("tensor {} should be in {} but is {}{}", printable_name(tensor),
                                    printable_name(file), info == nullptr ? "in none of the files" : "in ",
                                    info == nullptr ? "" : info->file));
  }
  return {};
}

Status add_index(MappedWeights& weights, const FileSource& source, const std::string& index) {
  auto map = read_index(source, index);
  if (!map) return with_context(std::move(map).error(), index);
  const Status added = add_shards(weights, source, *map);
  if (!added) return with_context(added.error(), index);
  return {};
}

Status add_folder(MappedWeights& weights, const FileSource& source) {
  if (source.has(kIndexName)) return add_index(weights, source, kIndexName);
  if (source.has("model.safetensors")) return add_file(weights, source, "model.safetensors");
  bool found = false;
  for (const std::string& name : source.names()) {
    if (!name.ends_with(".safetensors")) continue;
    found = true;
    TRY(add_file(weights, source, name));
  }
  if (found) return {};
  return make_error(ErrorCode::kNotFound, fmt::format("{}: has no *.safetensors files", source.path().string()));
}

Status add_path(MappedWeights& weights, const fs::path& path) {
  std::error_code ignored;
  if (fs::is_directory(path, ignored)) return add_folder(weights, DirectoryFiles(path));
  const DirectoryFiles folder(path.parent_path());
  const std::string name = path.filename().string();
  return name.ends_with(kIndexEnding) ? add_index(weights, folder, name) : add_file(weights, folder, name);
}

}  // namespace

Result<std::unique_ptr<WeightSource>> open_safetensors(const fs::path& path) {
  auto weights = std::make_unique<MappedWeights>();
  TRY(add_path(*weights, path));
  return std::unique_ptr<WeightSource>(std::move(weights));
}

Result<std::unique_ptr<WeightSource>> open_safetensors(const FileSource& files) {
  auto weights = std::make_unique<MappedWeights>();
  TRY(add_folder(*weights, files));
  return std::unique_ptr<WeightSource>(std::move(weights));
}

}  // namespace cove
