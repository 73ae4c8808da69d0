#include "tensor/io/sealed_model.h"

#include <fstream>
#include <map>
#include <random>

#include <gtest/gtest.h>
#include <unistd.h>

#include "base/file.h"

namespace cove {
namespace {

namespace fs = std::filesystem;

// A folder of small files with a subfolder, sealed in chunks of 4096.
class SealedModelTest : public ::testing::Test {
 protected:
  void SetUp() override {
    root_ = fs::temp_directory_path() / ("cove_sealed_model_" + std::to_string(::getpid()));
    fs::remove_all(root_);
    write("plain/config.json", R"({"model_type": "none"})");
    write("plain/model.safetensors", random_text(10'000));
    write("plain/notes/readme.txt", "in a subfolder");
    write("plain/empty", "");
  }
  void TearDown() override { fs::remove_all(root_); }

  void write(const std::string& name, const std::string& content) const {
    fs::create_directories((root_ / name).parent_path());
    std::ofstream(root_ / name, std::ios::binary | std::ios::trunc) << content;
  }
  std::string random_text(size_t size) {
    std::string text(size, '\0');
    for (char& c : text) c = static_cast<char>(random_());
    return text;
  }
  void seal(const std::string& target = "sealed") const {
    const auto report = seal_model(root_ / "plain", root_ / target, key_, {.chunk_bytes = 4096, .on_progress = {}});
    ASSERT_TRUE(report) << report.error().message;
  }
  // Everything below a folder, by name.
  std::map<std::string, std::string> content(const std::string& folder) const {
    std::map<std::string, std::string> files;
    for (const auto& entry : fs::recursive_directory_iterator(root_ / folder)) {
      if (entry.is_regular_file())
        files[entry.path().lexically_relative(root_ / folder).string()] = *read_file(entry.path());
    }
    return files;
  }
  // Reads every file whole; the first error.
  Status read_all(const std::string& folder, const SealKey& key) const {
    TRY_ASSIGN(const auto files, SealedFiles::open(root_ / folder, key));
    for (const std::string& name : files->all_names()) {
      TRY_ASSIGN([[maybe_unused]] const FileBytes bytes, files->open(name));
    }
    return {};
  }
  std::string refusal(const std::string& folder) const {
    const Status read = read_all(folder, key_);
    return read ? "accepted" : read.error().message;
  }

  fs::path root_;
  SealKey key_ = SealKey::generate();
  std::mt19937_64 random_{11};
};

TEST_F(SealedModelTest, gives_back_every_file_and_leaves_nothing_else) {
  seal();
  EXPECT_TRUE(is_sealed_model(root_ / "sealed"));
  EXPECT_FALSE(is_sealed_model(root_ / "plain"));
  for (const auto& [name, bytes] : content("sealed")) EXPECT_EQ(bytes.substr(0, 8), "COVESEAL") << name;
  const auto back = unseal_model(root_ / "sealed", root_ / "back", key_);
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(back->files, 4U);
  EXPECT_EQ(content("back"), content("plain"));
  EXPECT_EQ(std::distance(fs::directory_iterator(root_), {}), 3) << "plain, sealed, back";
}

TEST_F(SealedModelTest, reads_like_a_folder) {
  seal();
  const auto files = SealedFiles::open(root_ / "sealed", key_);
  ASSERT_TRUE(files) << files.error().message;
  const DirectoryFiles plain(root_ / "plain");
  EXPECT_EQ((*files)->names(), plain.names());
  EXPECT_FALSE((*files)->has("cove.sealed"));
  for (const std::string& name : plain.names()) {
    EXPECT_TRUE((*files)->has(name));
    EXPECT_EQ(*(*files)->size(name), *plain.size(name));
    EXPECT_EQ(*(*files)->read(name, 1 << 20), *plain.read(name, 1 << 20));
    EXPECT_EQ(*(*files)->read_head(name, 5), *plain.read_head(name, 5));
    const auto open = (*files)->open(name);
    const auto expected = plain.open(name);
    ASSERT_TRUE(open);
    ASSERT_TRUE(expected);
    EXPECT_TRUE(std::ranges::equal(open->bytes(), expected->bytes()));
  }
  EXPECT_FALSE((*files)->read("model.safetensors", 9'999)) << "larger than asked for";
  EXPECT_FALSE((*files)->open("other"));
}

TEST_F(SealedModelTest, a_released_part_is_wiped_and_the_rest_stays) {
  seal();
  const auto files = SealedFiles::open(root_ / "sealed", key_);
  const auto open = (*files)->open("model.safetensors");
  const std::string text = *read_file(root_ / "plain" / "model.safetensors");
  EXPECT_EQ(open->held_bytes(), text.size());
  open->release(open->bytes().subspan(100, 9'000));
  std::string expected = text;
  std::fill_n(expected.begin() + 100, 9'000, '\0');
  EXPECT_TRUE(std::ranges::equal(open->bytes(), std::as_bytes(std::span(expected))));
}

// "VmHWM" or "VmRSS" of this process, in bytes.
uint64_t memory_figure(const std::string& name) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with(name + ":")) return std::stoull(line.substr(name.size() + 1)) * 1024;
  }
  return 0;
}

// The most memory that opening and reading a file takes, beyond what is there.
uint64_t peak_of_opening(const FileSource& files, const std::string& name) {
  std::ofstream("/proc/self/clear_refs") << "5";  // the peak counts anew
  const uint64_t before = memory_figure("VmRSS");
  const auto open = files.open(name);
  EXPECT_TRUE(open);
  unsigned sum = 0;
  for (size_t i = 0; i < open->bytes().size(); i += 4096) sum += static_cast<unsigned>(open->bytes()[i]);
  EXPECT_GT(sum, 0U);
  return memory_figure("VmHWM") - before;
}

TEST_F(SealedModelTest, takes_the_memory_of_a_plain_file_and_no_second_copy) {
  constexpr uint64_t kBytes = 64 << 20;
  write("plain/model.safetensors", std::string(kBytes, 'w'));
  ASSERT_TRUE(seal_model(root_ / "plain", root_ / "sealed", key_));
  const auto files = SealedFiles::open(root_ / "sealed", key_);
  ASSERT_TRUE(files);
  const uint64_t plain = peak_of_opening(DirectoryFiles(root_ / "plain"), "model.safetensors");
  const uint64_t sealed = peak_of_opening(**files, "model.safetensors");
  // Above the file itself: buffers, and pages that are large.
  EXPECT_GE(plain, kBytes);
  EXPECT_GE(sealed, kBytes);
  EXPECT_LT(sealed, plain + (12 << 20)) << "plain " << plain;
}

TEST_F(SealedModelTest, another_key_is_refused_naming_both) {
  seal();
  const SealKey other = SealKey::generate();
  const auto opened = SealedFiles::open(root_ / "sealed", other);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, ErrorCode::kPermissionDenied);
  EXPECT_NE(opened.error().message.find(other.id()), std::string::npos);
  EXPECT_NE(opened.error().message.find(key_.id()), std::string::npos);
  EXPECT_EQ(opened.error().message.find(key_.to_hex()), std::string::npos);
}

// Every byte of every file's head and end, and of the chunks every seventh; sealed_file_test takes every byte of a
// file.
TEST_F(SealedModelTest, one_flipped_bit_anywhere_in_any_file_is_refused) {
  seal();
  for (const auto& [name, bytes] : content("sealed")) {
    for (size_t at = 0; at < bytes.size(); at += at < 520 || at + 40 > bytes.size() ? 1 : 7) {
      std::string changed = bytes;
      changed[at] = static_cast<char>(changed[at] ^ (1 << (random_() % 8)));
      write("sealed/" + name, changed);
      ASSERT_FALSE(read_all("sealed", key_)) << name << ": bit in byte " << at;
    }
    write("sealed/" + name, bytes);
  }
  EXPECT_TRUE(read_all("sealed", key_));
}

TEST_F(SealedModelTest, a_file_cut_off_anywhere_or_longer_is_refused) {
  seal();
  for (const auto& [name, bytes] : content("sealed")) {
    for (size_t size = 0; size < bytes.size(); size += 1 + bytes.size() / 60) {
      write("sealed/" + name, bytes.substr(0, size));
      EXPECT_FALSE(read_all("sealed", key_)) << name << " cut to " << size;
    }
    write("sealed/" + name, bytes + '\0');
    EXPECT_FALSE(read_all("sealed", key_)) << name;
    write("sealed/" + name, bytes);
  }
}

TEST_F(SealedModelTest, swapped_missing_and_foreign_files_are_refused) {
  write("plain/model-2.safetensors", *read_file(root_ / "plain" / "model.safetensors"));  // the same content
  seal();
  const fs::path one = root_ / "sealed" / "model.safetensors";
  const fs::path two = root_ / "sealed" / "model-2.safetensors";
  fs::rename(one, root_ / "kept");
  EXPECT_NE(refusal("sealed").find("is not there"), std::string::npos) << refusal("sealed");
  fs::rename(two, one);
  fs::rename(root_ / "kept", two);
  EXPECT_NE(refusal("sealed").find("under another name"), std::string::npos) << refusal("sealed");
  fs::remove_all(root_ / "sealed");
  seal();
  write("sealed/chat_template.jinja", "not encrypted, not listed");
  EXPECT_TRUE(read_all("sealed", key_)) << "not part of the model";
  EXPECT_FALSE((*SealedFiles::open(root_ / "sealed", key_))->has("chat_template.jinja"));
  write("sealed/config.json", *read_file(root_ / "plain" / "config.json"));
  EXPECT_NE(refusal("sealed").find("is not a sealed file"), std::string::npos) << refusal("sealed");
}

TEST_F(SealedModelTest, files_of_two_versions_do_not_mix) {
  seal("sealed");
  seal("other");  // the same files under the same key
  for (const auto& [name, bytes] : content("other")) {
    const std::string mine = *read_file(root_ / "sealed" / name);
    write("sealed/" + name, bytes);
    EXPECT_NE(refusal("sealed").find("another version"), std::string::npos) << name << ": " << refusal("sealed");
    write("sealed/" + name, mine);
  }
  EXPECT_TRUE(read_all("sealed", key_));
}

TEST_F(SealedModelTest, without_its_list_a_model_is_refused) {
  seal();
  fs::remove(root_ / "sealed" / kSealManifestName);
  EXPECT_TRUE(is_sealed_model(root_ / "sealed"));
  EXPECT_NE(refusal("sealed").find("cove.sealed is missing"), std::string::npos) << refusal("sealed");
  fs::copy(root_ / "sealed" / "config.json", root_ / "sealed" / kSealManifestName);
  EXPECT_NE(refusal("sealed").find("moved here"), std::string::npos) << refusal("sealed");
}

TEST_F(SealedModelTest, rotation_rewrites_key_slots_only) {
  seal();
  const auto before = content("sealed");
  const SealKey next = SealKey::generate();
  ASSERT_TRUE(rewrap_model(root_ / "sealed", key_, next));
  const auto after = content("sealed");
  for (const auto& [name, bytes] : before) {
    ASSERT_EQ(after.at(name).size(), bytes.size());
    size_t changed = 0;
    for (size_t i = 0; i < bytes.size(); ++i) changed += bytes[i] != after.at(name)[i];
    EXPECT_LE(changed, 136U) << name;
    EXPECT_GT(changed, 60U) << name;
  }
  EXPECT_FALSE(read_all("sealed", key_));
  EXPECT_TRUE(read_all("sealed", next));
  ASSERT_TRUE(unseal_model(root_ / "sealed", root_ / "back", next));
  EXPECT_EQ(content("back"), content("plain"));
}

TEST_F(SealedModelTest, an_interrupted_rotation_is_finished_by_the_same_command) {
  seal();
  const SealKey next = SealKey::generate();
  ASSERT_TRUE(rewrap_key(root_ / "sealed" / "config.json", key_, next));
  ASSERT_TRUE(rewrap_key(root_ / "sealed" / "notes" / "readme.txt", key_, next));
  EXPECT_FALSE(read_all("sealed", key_));
  EXPECT_FALSE(read_all("sealed", next));
  ASSERT_TRUE(rewrap_model(root_ / "sealed", key_, next));
  EXPECT_TRUE(read_all("sealed", next));
  ASSERT_TRUE(rewrap_model(root_ / "sealed", key_, next)) << "again, all done already";
  const auto before = content("sealed");
  const auto wrong = rewrap_model(root_ / "sealed", SealKey::generate(), SealKey::generate());
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().code, ErrorCode::kPermissionDenied);
  EXPECT_EQ(content("sealed"), before);
}

TEST_F(SealedModelTest, one_file_alone) {
  write("plain.gguf", random_text(9'000));
  ASSERT_TRUE(seal_model(root_ / "plain.gguf", root_ / "sealed.gguf", key_));
  const auto files = SealedFiles::open(root_ / "sealed.gguf", key_);
  ASSERT_TRUE(files);
  EXPECT_EQ((*files)->names(), std::vector<std::string>{"plain.gguf"});
  ASSERT_TRUE(unseal_model(root_ / "sealed.gguf", root_ / "back.gguf", key_));
  EXPECT_EQ(*read_file(root_ / "back.gguf"), *read_file(root_ / "plain.gguf"));
  const SealKey next = SealKey::generate();
  ASSERT_TRUE(rewrap_model(root_ / "sealed.gguf", key_, next));
  EXPECT_TRUE(SealedFiles::open(root_ / "sealed.gguf", next));
}

TEST_F(SealedModelTest, nothing_is_overwritten_or_left_behind) {
  seal();
  const auto refuses = [&](const fs::path& source, const fs::path& target) {
    const auto sealed = seal_model(source, target, key_);
    return sealed ? std::string("accepted") : sealed.error().message;
  };
  EXPECT_NE(refuses(root_ / "plain", root_ / "sealed").find("exists already"), std::string::npos);
  EXPECT_NE(refuses(root_ / "plain", root_ / "plain" / "inner").find("lies inside"), std::string::npos);
  EXPECT_NE(refuses(root_ / "sealed", root_ / "twice").find("encrypted already"), std::string::npos);
  EXPECT_NE(refuses(root_ / "missing", root_ / "x").find("no such file"), std::string::npos);
  EXPECT_FALSE(unseal_model(root_ / "plain", root_ / "x", key_));
  EXPECT_FALSE(unseal_model(root_ / "sealed", root_ / "plain", key_));
  const auto stopped = seal_model(root_ / "plain", root_ / "x", key_,
                                  {.chunk_bytes = 4096, .on_progress = [](uint64_t done, uint64_t total) -> Status {
                                     EXPECT_LE(done, total);
                                     if (done < 5'000) return {};
                                     return make_error(ErrorCode::kCancelled, "stop");
                                   }});
  EXPECT_FALSE(stopped);
  EXPECT_FALSE(fs::exists(root_ / "x"));
  EXPECT_FALSE(fs::exists(root_ / "x.partial"));
  // What a killed run left is cleared.
  write("x.partial/rest", "half a file");
  ASSERT_TRUE(seal_model(root_ / "plain", root_ / "x", key_));
  EXPECT_FALSE(fs::exists(root_ / "x" / "rest"));
  EXPECT_TRUE(read_all("x", key_));
}

TEST_F(SealedModelTest, folders_above_the_target_are_made) {
  ASSERT_TRUE(seal_model(root_ / "plain", root_ / "new" / "deep" / "sealed", key_));
  EXPECT_TRUE(read_all("new/deep/sealed", key_));
}

TEST_F(SealedModelTest, names_that_are_not_utf8_are_refused) {
  write("plain/bad\xff", "x");
  const auto refused = seal_model(root_ / "plain", root_ / "sealed", key_);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("UTF-8"), std::string::npos);
}

TEST_F(SealedModelTest, a_damaged_model_is_not_decrypted_to_disk) {
  seal();
  std::string bytes = *read_file(root_ / "sealed" / "model.safetensors");
  bytes[bytes.size() - 20] = static_cast<char>(bytes[bytes.size() - 20] ^ 1);
  write("sealed/model.safetensors", bytes);
  const auto back = unseal_model(root_ / "sealed", root_ / "back", key_);
  ASSERT_FALSE(back);
  EXPECT_NE(back.error().message.find("chunk 2 of 3"), std::string::npos) << back.error().message;
  EXPECT_FALSE(fs::exists(root_ / "back"));
  EXPECT_FALSE(fs::exists(root_ / "back.partial"));
}

TEST_F(SealedModelTest, links_to_files_are_followed_and_links_to_folders_refused) {
  fs::create_symlink(root_ / "plain" / "config.json", root_ / "plain" / "linked.json");
  seal();
  EXPECT_EQ(*(*SealedFiles::open(root_ / "sealed", key_))->read("linked.json", 100),
            *read_file(root_ / "plain" / "config.json"));
  fs::create_directory_symlink(root_ / "plain" / "notes", root_ / "plain" / "more");
  const auto refused = seal_model(root_ / "plain", root_ / "again", key_);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("more"), std::string::npos);
}

}  // namespace
}  // namespace cove
