// cove tokenize: text on standard input to token ids, and back.
#include <charconv>
#include <cstdio>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/string.hpp>

#include "base/json.h"
#include "commands.h"
#include "engine/loading/model_files.h"
#include "model_key.h"
#include "text/tokenizer/tokenizer.h"

namespace cove::app {
namespace {

constexpr const char* kName = "tokenize";

struct Options {
  std::string model;
  std::string key_file;
  bool jsonl = false;
  bool decode = false;
  bool add_bos = false;
  bool no_special = false;
};

class Converter {
 public:
  Converter(const text::Tokenizer& tokenizer, const Options& options) : tokenizer_(tokenizer), options_(options) {}

  Result<std::vector<int32_t>> encode(std::string_view text) const {
    TRY_ASSIGN(std::vector<int32_t> ids, tokenizer_.encode(text, {.parse_special = !options_.no_special}));
    if (options_.add_bos) ids.insert(ids.begin(), *tokenizer_.bos_id());
    return ids;
  }

  Result<std::string> decode(const std::vector<int32_t>& ids) const {
    for (const int32_t id : ids) {
      if (id < 0 || id >= tokenizer_.vocab_size()) {
        return invalid_argument(
            fmt::format("token id {} is not in the vocabulary, which ends at {}", id, tokenizer_.vocab_size() - 1));
      }
    }
    return tokenizer_.decode(ids, options_.no_special);
  }

  // One line of --jsonl: {"text"} to {"ids"}, or with --decode {"ids"} to {"text"}.
  Result<json::object> convert(std::string_view line) const {
    TRY_ASSIGN(const json::value entry, parse_json(line));
    json::object result;
    if (options_.decode) {
      TRY_ASSIGN(const std::vector<int32_t> ids, ids_of(entry));
      TRY_ASSIGN(result["text"], decode(ids));
      return result;
    }
    const json::value* text = find_member(entry, "text");
    if (text == nullptr || !text->is_string()) return invalid_argument("the line needs \"text\", a string");
    TRY_ASSIGN(const std::vector<int32_t> ids, encode(text->get_string()));
    result["ids"] = json::array(ids.begin(), ids.end());
    return result;
  }

 private:
  static Result<std::vector<int32_t>> ids_of(const json::value& entry) {
    const json::value* list = find_member(entry, "ids");
    if (list == nullptr || !list->is_array()) return invalid_argument("the line needs \"ids\", an array of numbers");
    std::vector<int32_t> ids;
    for (const json::value& id : list->get_array()) {
      if (!id.is_int64() || id.get_int64() < 0 || id.get_int64() > INT32_MAX)
        return invalid_argument("\"ids\" holds something that is no token id");
      ids.push_back(static_cast<int32_t>(id.get_int64()));
    }
    return ids;
  }

  const text::Tokenizer& tokenizer_;
  const Options& options_;
};

std::string read_all(std::FILE* in) {
  std::string text;
  char buffer[1 << 16];
  while (const size_t got = std::fread(buffer, 1, sizeof buffer, in)) text.append(buffer, got);
  return text;
}

// False at the end of the input; the line comes without its line break.
bool read_line(std::FILE* in, std::string& line) {
  line.clear();
  for (int c = std::getc(in); c != EOF; c = std::getc(in)) {
    if (c == '\n') return true;
    line += static_cast<char>(c);
  }
  return !line.empty();
}

Result<std::vector<int32_t>> parse_ids(std::string_view text) {
  std::vector<int32_t> ids;
  for (size_t at = 0; (at = text.find_first_not_of(" \t\r\n,", at)) != std::string_view::npos;) {
    const std::string_view word = text.substr(at, std::min(text.find_first_of(" \t\r\n,", at), text.size()) - at);
    int32_t id = 0;
    const auto parsed = std::from_chars(word.data(), word.data() + word.size(), id);
    if (parsed.ec != std::errc() || parsed.ptr != word.data() + word.size()) {
      return invalid_argument(fmt::format("'{}' is not a token id", word.substr(0, 40)));
    }
    ids.push_back(id);
    at += word.size();
  }
  return ids;
}

int run_lines(const Converter& converter) {
  int exit_code = kDone;
  std::string line;
  while (read_line(stdin, line)) {
    auto result = converter.convert(line);
    if (!result) {
      result = json::object{{"error", result.error().message}};
      exit_code = kCouldNot;
    }
    fmt::print("{}\n", json::serialize(*result));
  }
  return exit_code;
}

int run_whole(const Converter& converter, const Options& options) {
  const std::string input = read_all(stdin);
  if (options.decode) {
    const auto ids = parse_ids(input);
    if (!ids) return fail(kName, ids.error().message);
    const auto text = converter.decode(*ids);
    if (!text) return fail(kName, text.error().message);
    std::fwrite(text->data(), 1, text->size(), stdout);
    return kDone;
  }
  const auto ids = converter.encode(input);
  if (!ids) return fail(kName, ids.error().message);
  fmt::print("{}\n", fmt::join(*ids, " "));
  return kDone;
}

int run(int argc, const char* const* argv) {
  Options options;
  Flags flags(
      kName,
      "Text on standard input to token ids, separated by spaces on one line. Special tokens written out in the text "
      "become their ids; no BOS is added.");
  flags.add("model", options.model, "a model or tokenizer directory, a tokenizer.json or a .gguf file");
  flags.require("model");
  add_key_flag(flags, options.key_file);
  flags.add_switch("--jsonl", options.jsonl,
                   "one {\"text\"} a line to one {\"ids\"} a line; a bad line gives {\"error\"}");
  flags.add_switch("--decode", options.decode, "the other way: ids to text ({\"ids\"} to {\"text\"} with --jsonl)");
  flags.add_switch("--add-bos", options.add_bos, "put the tokenizer's BOS in front");
  flags.add_switch("--no-special", options.no_special,
                   "special tokens are ordinary text; with --decode they are left out");
  flags.footer(
      "Examples:\n  printf 'hello' | cove tokenize models/cove-mini\n  printf '1 2 3' | cove tokenize models/cove-mini "
      "--decode");
  if (const auto code = flags.parse(argc, argv)) return *code;

  const auto key = ModelKeys(key_places(options.key_file)).key_of(options.model);
  if (!key) return fail(kName, key.error().message);
  const auto tokenizer = engine::open_tokenizer(options.model, *key);
  if (!tokenizer) return fail(kName, tokenizer.error().message);
  if (options.add_bos && !(*tokenizer)->bos_id())
    return fail(kName, fmt::format("{}: the tokenizer declares no BOS", options.model));
  const Converter converter(**tokenizer, options);
  const int exit_code = options.jsonl ? run_lines(converter) : run_whole(converter, options);
  if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) return fail(kName, "cannot write to standard output");
  return exit_code;
}

}  // namespace

extern const Command kTokenize;
const Command kTokenize{kName, "text to token ids and back", run};

}  // namespace cove::app
