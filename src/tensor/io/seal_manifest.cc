#include "tensor/io/seal_manifest.h"

#include <filesystem>

#include <fmt/format.h>
#include <boost/json.hpp>

#include "base/json.h"
#include "tensor/io/printable.h"

namespace cove {
namespace {

constexpr int64_t kFormat = 1;

bool is_inside(const std::string& name) {
  const std::filesystem::path path(name);
  if (name.empty() || name.find('\0') != std::string::npos || path.is_absolute()) return false;
  for (const auto& part : path) {
    if (part == ".." || part == "." || part.empty()) return false;
  }
  return true;
}

Result<ManifestEntry> parse_entry(const json::value& value) {
  const json::value* name = find_member(value, "name");
  const json::value* header = find_member(value, "header");
  const json::value* bytes = find_member(value, "bytes");
  if (name == nullptr || !name->is_string() || header == nullptr || !header->is_string() || bytes == nullptr ||
      !bytes->is_int64() || bytes->get_int64() < 0) {
    return data_corrupt("an entry without name, header or bytes");
  }
  ManifestEntry entry{.name = std::string(name->get_string()),
                      .header = std::string(header->get_string()),
                      .bytes = static_cast<uint64_t>(bytes->get_int64())};
  if (!is_inside(entry.name))
    return data_corrupt(fmt::format("{} is no name of a file inside the folder", printable_name(entry.name)));
  return entry;
}

}  // namespace

std::string manifest_text(const std::vector<ManifestEntry>& entries) {
  json::array files;
  for (const ManifestEntry& entry : entries) {
    files.push_back(json::object{{"name", entry.name}, {"header", entry.header}, {"bytes", entry.bytes}});
  }
  return json::serialize(json::object{{"format", kFormat}, {"files", std::move(files)}});
}

Result<std::vector<ManifestEntry>> parse_manifest(std::string_view text) {
  TRY_ASSIGN(const json::value root, parse_json(text));
  const json::value* format = find_member(root, "format");
  if (format == nullptr || !format->is_int64() || format->get_int64() != kFormat)
    return data_corrupt("the manifest's format is unknown; a newer Cove wrote it");
  const json::value* files = find_member(root, "files");
  if (files == nullptr || !files->is_array()) return data_corrupt("the manifest has no list 'files'");
  std::vector<ManifestEntry> entries;
  for (const json::value& file : files->get_array()) {
    TRY_ASSIGN(ManifestEntry entry, parse_entry(file));
    entries.push_back(std::move(entry));
  }
  return entries;
}

}  // namespace cove
