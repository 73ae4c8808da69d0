#include "tensor/io/sealed_model.h"

#include <algorithm>
#include <atomic>
#include <chrono>

#include <fmt/format.h>

#include "base/check.h"
#include "base/log.h"
#include "base/utf8.h"
#include "tensor/io/printable.h"
#include "tensor/io/seal_manifest.h"
#include "tensor/io/staged_folder.h"

namespace cove {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kManifestBytesMax = 64U << 20;
constexpr uint64_t kLoggedBytesMin = 1U << 20;  // smaller files are no news

struct SourceFile {
  std::string name;
  uint64_t bytes = 0;
};

// Names stand in JSON.
Status check_name(const fs::path& path, const std::string& name) {
  if (find_invalid_utf8(name) == std::string_view::npos) return {};
  return invalid_argument(fmt::format("{}: its name is not UTF-8; rename it", printable_name(path.string())));
}

// Everything in the folder, links to files followed (as in Hugging Face's cache), sorted by name.
Result<std::vector<SourceFile>> list_folder(const fs::path& folder) {
  std::vector<SourceFile> files;
  std::error_code error;
  for (fs::recursive_directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
    std::error_code ignored;
    const fs::path name = entry->path().lexically_relative(folder);
    if (entry->is_regular_file(ignored)) {
      TRY(check_name(entry->path(), name.generic_string()));
      TRY_ASSIGN(const uint64_t bytes, bytes_of_file(entry->path()));
      files.push_back({name.generic_string(), bytes});
    } else if (!entry->is_directory(ignored) || entry->is_symlink(ignored)) {
      return invalid_argument(
          fmt::format("{}: is neither a file nor a folder (links to folders are not followed); "
                      "remove it or replace it by what it stands for",
                      entry->path().string()));
    }
  }
  if (error) return make_error(ErrorCode::kIo, fmt::format("{}: cannot list: {}", folder.string(), error.message()));
  if (files.empty()) return invalid_argument(fmt::format("{}: is an empty folder", folder.string()));
  std::sort(files.begin(), files.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  return files;
}

// Turns the bytes done of one file into those of all.
class TotalProgress {
 public:
  TotalProgress(const ModelSealProgress& tell, uint64_t total) : tell_(tell), total_(total) {}
  SealProgress for_file() const {
    return [this](uint64_t done) { return tell_ ? tell_(before_ + done, total_) : Status(); };
  }
  void file_done(uint64_t bytes) { before_ += bytes; }

 private:
  const ModelSealProgress& tell_;
  const uint64_t total_;
  uint64_t before_ = 0;
};

Status make_parent(const fs::path& path) {
  std::error_code error;
  fs::create_directories(path.parent_path(), error);
  if (!error) return {};
  return make_error(ErrorCode::kIo, fmt::format("{}: cannot create: {}", path.parent_path().string(), error.message()));
}

// Whether `target` would lie inside `source`, and so become part of what is being read.
bool lies_inside(const fs::path& target, const fs::path& source) {
  std::error_code ignored;
  const fs::path inner = fs::weakly_canonical(target, ignored);
  const fs::path outer = fs::weakly_canonical(source / "", ignored);
  const fs::path relative = inner.lexically_relative(outer.has_filename() ? outer : outer.parent_path());
  return !relative.empty() && *relative.begin() != "..";
}

Status check_places(const fs::path& source, const fs::path& target) {
  std::error_code error;
  if (!fs::exists(source, error)) {
    return make_error(ErrorCode::kNotFound, fmt::format("{}: there is no such file or folder", source.string()));
  }
  if (fs::is_directory(source, error) && lies_inside(target, source)) {
    return invalid_argument(fmt::format("{} lies inside {}; choose another place", target.string(), source.string()));
  }
  return {};
}

Status check_new_file(const fs::path& target) {
  std::error_code error;
  if (!fs::exists(target, error)) return {};
  return invalid_argument(
      fmt::format("{} exists already; remove it or choose another name, nothing is overwritten", target.string()));
}

Result<std::vector<ManifestEntry>> seal_files(const fs::path& source, const fs::path& target, const SealKey& key,
                                              const std::vector<SourceFile>& files, SealOptions& options,
                                              const ModelSealProgress& tell) {
  uint64_t total = 0;
  for (const SourceFile& file : files) total += file.bytes;
  TotalProgress progress(tell, total);
  std::vector<ManifestEntry> entries;
  for (const SourceFile& file : files) {
    options.name = file.name;
    options.on_progress = progress.for_file();
    TRY(make_parent(target / file.name));
    TRY_ASSIGN(const SealedInfo sealed, seal_file(source / file.name, target / file.name, key, options));
    progress.file_done(sealed.plain_bytes);
    entries.push_back({.name = file.name, .header = sealed.header, .bytes = sealed.plain_bytes});
  }
  options.on_progress = nullptr;
  return entries;
}

Status seal_manifest(const fs::path& folder, const SealKey& key, const std::vector<ManifestEntry>& entries,
                     SealOptions options) {
  const fs::path plain = folder / (std::string(kSealManifestName) + ".plain");  // names and sizes, no content
  options.name = kSealManifestName;
  TRY(write_file_atomic(plain, manifest_text(entries)));
  const auto sealed = seal_file(plain, folder / kSealManifestName, key, options);
  std::error_code ignored;
  fs::remove(plain, ignored);
  if (!sealed) return sealed.error();
  return {};
}

ModelSealReport report_of(const std::vector<ManifestEntry>& entries) {
  ModelSealReport report{.files = entries.size(), .bytes = 0};
  for (const ManifestEntry& entry : entries) report.bytes += entry.bytes;
  return report;
}

Result<ModelSealReport> seal_folder(const fs::path& source, const fs::path& target, const SealKey& key,
                                    const ModelSealOptions& options) {
  TRY_ASSIGN(const std::vector<SourceFile> files, list_folder(source));
  TRY_ASSIGN(StagedFolder staged, StagedFolder::create(target));
  SealOptions file_options{
      .name = {}, .collection = new_collection_id(), .chunk_bytes = options.chunk_bytes, .on_progress = {}};
  TRY_ASSIGN(const auto entries, seal_files(source, staged.path(), key, files, file_options, options.on_progress));
  TRY(seal_manifest(staged.path(), key, entries, file_options));
  TRY(staged.finish());
  return report_of(entries);
}

Result<std::vector<ManifestEntry>> read_manifest(const fs::path& folder, const SealKey& key) {
  const fs::path path = folder / kSealManifestName;
  std::error_code ignored;
  if (!fs::exists(path, ignored)) {
    return data_corrupt(fmt::format("{}: holds encrypted files, but its list {} is missing; encrypt the model again",
                                    folder.string(), kSealManifestName));
  }
  TRY_ASSIGN(const SealedFile sealed, SealedFile::open(path));
  if (sealed.name() != kSealManifestName) {
    return data_corrupt(
        fmt::format("{}: is the encrypted file {}, moved here", path.string(), printable_name(sealed.name())));
  }
  if (sealed.plain_bytes() > kManifestBytesMax) return data_corrupt(fmt::format("{}: is too large", path.string()));
  TRY_ASSIGN(const std::string text, sealed.decrypt_head(key, sealed.plain_bytes()));
  auto entries = parse_manifest(text);
  if (!entries) return with_context(std::move(entries).error(), path.string());
  return entries;
}

// The file is the one that was sealed together with the others.
Result<SealedFile> open_listed(const fs::path& folder, const ManifestEntry& entry) {
  const fs::path path = folder / entry.name;
  auto sealed = SealedFile::open(path);
  if (!sealed && sealed.error().code == ErrorCode::kNotFound) {
    return make_error(ErrorCode::kNotFound,
                      fmt::format("{}: belongs to the encrypted model, but is not there", path.string()));
  }
  if (!sealed) return sealed.error();
  if (sealed->name() != entry.name) {
    return data_corrupt(
        fmt::format("{}: is the encrypted file {} under another name", path.string(), printable_name(sealed->name())));
  }
  if (sealed->header_digest() != entry.header || sealed->plain_bytes() != entry.bytes) {
    return data_corrupt(
        fmt::format("{}: belongs to another version of the model, or its header was changed; all files "
                    "of an encrypted model must come from one 'cove encrypt'",
                    path.string()));
  }
  return sealed;
}

std::string file_name_of(const SealedFile& sealed) {
  const std::string name = fs::path(sealed.name()).filename().string();
  return name.empty() ? "model" : name;
}

}  // namespace

bool is_sealed_model(const fs::path& path) {
  std::error_code ignored;
  if (!fs::is_directory(path, ignored)) return is_sealed_file(path);
  return fs::exists(path / kSealManifestName, ignored) || is_sealed_file(path / "config.json");
}

Result<ModelSealReport> seal_model(const fs::path& source, const fs::path& target, const SealKey& key,
                                   const ModelSealOptions& options) {
  TRY(check_places(source, target));
  if (is_sealed_model(source)) return invalid_argument(fmt::format("{}: is encrypted already", source.string()));
  std::error_code ignored;
  if (fs::is_directory(source, ignored)) return seal_folder(source, target, key, options);
  TRY(check_new_file(target));
  TRY(check_name(source, source.filename().string()));
  TRY_ASSIGN(const uint64_t bytes, bytes_of_file(source));
  const TotalProgress progress(options.on_progress, bytes);
  TRY_ASSIGN(const SealedInfo sealed, seal_file(source, target, key,
                                                {.name = source.filename().string(),
                                                 .collection = new_collection_id(),
                                                 .chunk_bytes = options.chunk_bytes,
                                                 .on_progress = progress.for_file()}));
  return ModelSealReport{.files = 1, .bytes = sealed.plain_bytes};
}

Result<ModelSealReport> unseal_model(const fs::path& source, const fs::path& target, const SealKey& key,
                                     const ModelSealOptions& options) {
  TRY(check_places(source, target));
  if (!is_sealed_model(source)) return invalid_argument(fmt::format("{}: is not encrypted", source.string()));
  TRY_ASSIGN(const auto files, SealedFiles::open(source, key));
  const std::vector<std::string> names = files->all_names();
  ModelSealReport report{.files = names.size(), .bytes = 0};
  for (const std::string& name : names) {
    TRY_ASSIGN(const uint64_t bytes, files->size(name));
    report.bytes += bytes;
  }
  TotalProgress progress(options.on_progress, report.bytes);
  std::error_code ignored;
  if (!fs::is_directory(source, ignored)) {
    TRY(check_new_file(target));
    TRY(files->decrypt_to(names.front(), target, progress.for_file()));
    return report;
  }
  TRY_ASSIGN(StagedFolder staged, StagedFolder::create(target));
  for (const std::string& name : names) {
    TRY(make_parent(staged.path() / name));
    TRY(files->decrypt_to(name, staged.path() / name, progress.for_file()));
    TRY_ASSIGN(const uint64_t bytes, files->size(name));
    progress.file_done(bytes);
  }
  TRY(staged.finish());
  return report;
}

namespace {

bool opens(const SealedFile& file, const SealKey& key) { return file.key_ids().find(key.id()) != std::string::npos; }

// The manifest under whichever of the two keys it is at the moment. A file that holds both is half way through.
Result<std::vector<ManifestEntry>> read_manifest_in_change(const fs::path& folder, const SealKey& from,
                                                           const SealKey& to) {
  const fs::path path = folder / kSealManifestName;
  TRY_ASSIGN(const SealedFile sealed, SealedFile::open(path));
  if (opens(sealed, from) && opens(sealed, to)) TRY(rewrap_key(path, from, to));
  auto entries = read_manifest(folder, from);
  if (!entries && entries.error().code == ErrorCode::kPermissionDenied && opens(sealed, to))
    return read_manifest(folder, to);
  return entries;
}

}  // namespace

Result<ModelSealReport> rewrap_model(const fs::path& path, const SealKey& from, const SealKey& to) {
  std::error_code ignored;
  if (!fs::is_directory(path, ignored)) {
    TRY(rewrap_key(path, from, to));
    TRY_ASSIGN(const SealedFile sealed, SealedFile::open(path));
    return ModelSealReport{.files = 1, .bytes = sealed.plain_bytes()};
  }
  if (!is_sealed_model(path)) return invalid_argument(fmt::format("{}: is not encrypted", path.string()));
  TRY_ASSIGN(const auto entries, read_manifest_in_change(path, from, to));
  for (const ManifestEntry& entry : entries) {
    TRY_ASSIGN(const SealedFile sealed, open_listed(path, entry));
    if (opens(sealed, from) || opens(sealed, to)) continue;
    return make_error(ErrorCode::kPermissionDenied,
                      fmt::format("{}: is encrypted with key {}, but the given keys are {} and {}; nothing was changed",
                                  sealed.path(), sealed.key_ids(), from.id(), to.id()));
  }
  for (const ManifestEntry& entry : entries) TRY(rewrap_key(path / entry.name, from, to));
  TRY(rewrap_key(path / kSealManifestName, from, to));
  return report_of(entries);
}

Result<std::unique_ptr<SealedFiles>> SealedFiles::open(const fs::path& path, const SealKey& key) {
  std::unique_ptr<SealedFiles> files(new SealedFiles(path, key));
  std::error_code ignored;
  if (!fs::is_directory(path, ignored)) {
    TRY_ASSIGN(SealedFile sealed, SealedFile::open(path));
    TRY(sealed.check_key(key));
    std::string name = file_name_of(sealed);
    files->path_ = path.parent_path();
    files->files_.emplace(std::move(name), std::move(sealed));
    return files;
  }
  TRY_ASSIGN(const std::vector<ManifestEntry> entries, read_manifest(path, key));
  for (const ManifestEntry& entry : entries) {
    TRY_ASSIGN(SealedFile sealed, open_listed(path, entry));
    TRY(sealed.check_key(key));
    files->files_.emplace(entry.name, std::move(sealed));
  }
  return files;
}

std::vector<std::string> SealedFiles::names() const {
  std::vector<std::string> names = all_names();
  std::erase_if(names, [](const std::string& name) { return name.find('/') != std::string::npos; });
  return names;
}

std::vector<std::string> SealedFiles::all_names() const {
  std::vector<std::string> names;
  for (const auto& [name, file] : files_) names.push_back(name);
  return names;
}

Result<const SealedFile*> SealedFiles::file(const std::string& name) const {
  const auto found = files_.find(name);
  if (found != files_.end()) return &found->second;
  return make_error(ErrorCode::kNotFound,
                    fmt::format("{}: is not a file of the encrypted model", (path_ / name).string()));
}

Result<uint64_t> SealedFiles::size(const std::string& name) const {
  TRY_ASSIGN(const SealedFile* sealed, file(name));
  return sealed->plain_bytes();
}

Result<std::string> SealedFiles::read_head(const std::string& name, uint64_t bytes) const {
  TRY_ASSIGN(const SealedFile* sealed, file(name));
  return sealed->decrypt_head(key_, bytes);
}

Result<FileBytes> SealedFiles::open(const std::string& name) const {
  TRY_ASSIGN(const SealedFile* sealed, file(name));
  const auto begin = std::chrono::steady_clock::now();
  auto memory = SecretMemory::allocate(static_cast<size_t>(sealed->plain_bytes()));
  if (!memory) return with_context(std::move(memory).error(), sealed->path());
  TRY(sealed->decrypt(key_, memory->bytes()));
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  if (sealed->plain_bytes() >= kLoggedBytesMin) {
    log::info("model.decrypted", {{"file", name},
                                  {"bytes", sealed->plain_bytes()},
                                  {"seconds", seconds},
                                  {"gb_s", static_cast<double>(sealed->plain_bytes()) / seconds / 1e9},
                                  {"locked", memory->locked()}});
  }
  return FileBytes(std::move(*memory));
}

Status SealedFiles::decrypt_to(const std::string& name, const fs::path& target, const SealProgress& progress) const {
  TRY_ASSIGN(const SealedFile* sealed, file(name));
  return sealed->decrypt_to(key_, target, progress);
}

}  // namespace cove
