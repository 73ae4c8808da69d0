// A plugin in a shared object, behind the C interface of sdk/cove_plugin_abi.h.
#include <atomic>
#include <cstring>

#include <dlfcn.h>
#include <fmt/format.h>

#include "base/utf8.h"
#include "services/plugins/native/timed_calls.h"
#include "services/plugins/plugin_set.h"
#include "services/plugins/sdk/cove_plugin_abi.h"

namespace cove::plugins {
namespace {

constexpr int kThreads = 4;
constexpr size_t kOutputBytesMax = size_t{64} << 20;

// One call: what goes in and what comes out, owned here, because the call may outlive its caller.
struct Call {
  Input input;
  Piece piece;
  std::string piece_text;
  std::string output;
  std::string message;
  std::vector<bool> changed;
  int32_t result = COVE_PLUGIN_PASS;
};

std::string_view limited(const char* data, size_t bytes) {
  return data == nullptr ? std::string_view() : std::string_view(data, std::min(bytes, kOutputBytesMax));
}

void set_text(void* call, size_t index, const char* data, size_t bytes) {
  auto& own = *static_cast<Call*>(call);
  if (index >= own.changed.size()) return;
  own.input.texts[index].text = limited(data, bytes);
  own.changed[index] = true;
}
void set_system(void* call, const char* data, size_t bytes) {
  static_cast<Call*>(call)->input.system = limited(data, bytes);
}
void append(void* call, const char* data, size_t bytes) {
  std::string& out = static_cast<Call*>(call)->output;
  out += limited(data, std::min(bytes, kOutputBytesMax - std::min(kOutputBytesMax, out.size())));
}
void set_message(void* call, const char* data, size_t bytes) {
  static_cast<Call*>(call)->message = limited(data, std::min<size_t>(bytes, 1000));
}

constexpr cove_plugin_host kHost = {
    sizeof(cove_plugin_host), COVE_PLUGIN_ABI_VERSION, set_text, set_system, append, set_message};

cove_text text_of(std::string_view text) { return {text.data(), text.size()}; }

// The loaded library and its plugin. Shared with calls that have not come back: it is not unloaded under them.
class Library {
 public:
  static Result<std::shared_ptr<Library>> open(const SharedObjectOptions& options) {
    auto library = std::make_shared<Library>();
    // By its own path, so that no library of the same name elsewhere is taken.
    const std::filesystem::path path = std::filesystem::absolute(options.file);
    library->handle_ = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (library->handle_ == nullptr) return invalid_argument(fmt::format("cannot be loaded: {}", ::dlerror()));
    auto* get = reinterpret_cast<cove_plugin_get_function>(::dlsym(library->handle_, COVE_PLUGIN_SYMBOL));
    if (get == nullptr)
      return invalid_argument(fmt::format("{} does not export {}", path.string(), COVE_PLUGIN_SYMBOL));
    TRY(library->take_api(get(COVE_PLUGIN_ABI_VERSION), path.string()));
    Call call;
    library->plugin_ = library->api_.open(&kHost, text_of(options.settings), &call);
    if (library->plugin_ == nullptr)
      return invalid_argument(fmt::format("{} cannot work: {}", path.string(), call.message));
    return library;
  }
  Library() = default;
  Library(const Library&) = delete;
  Library& operator=(const Library&) = delete;
  ~Library() {
    if (plugin_ != nullptr) api_.close(plugin_);
    if (handle_ != nullptr) ::dlclose(handle_);
  }

  const cove_plugin_api& api() const { return api_; }
  void* plugin() const { return plugin_; }

 private:
  // Reads no more of the table than the plugin knows of.
  Status take_api(const cove_plugin_api* api, const std::string& path) {
    if (api == nullptr)
      return invalid_argument(
          fmt::format("{} does not work with version {} of the interface", path, COVE_PLUGIN_ABI_VERSION));
    uint32_t head[2] = {};
    std::memcpy(head, api, sizeof head);
    if (head[1] != COVE_PLUGIN_ABI_VERSION) {
      return invalid_argument(
          fmt::format("{} was made for version {} of the interface, this server has version {}; rebuild it", path,
                      head[1], COVE_PLUGIN_ABI_VERSION));
    }
    if (head[0] < offsetof(cove_plugin_api, preprocess) || head[0] > 4096)
      return invalid_argument(fmt::format("{}: its table claims {} bytes, which cannot be", path, head[0]));
    std::memcpy(&api_, api, std::min<size_t>(head[0], sizeof api_));
    if (api_.open == nullptr || api_.close == nullptr || api_.begin == nullptr || api_.end == nullptr)
      return invalid_argument(path + ": lacks one of open, close, begin, end");
    return {};
  }

  void* handle_ = nullptr;
  void* plugin_ = nullptr;
  cove_plugin_api api_{};
};

// The plugin's object for one request.
struct Work {
  std::shared_ptr<Library> library;
  void* handle = nullptr;
  ~Work() {
    if (handle != nullptr) library->api().end(handle);
  }
};

int32_t call_preprocess(const Work& work, Call& call) {
  std::vector<cove_plugin_input_text> texts;
  const Input given = call.input;  // set_text writes into call.input while the plugin reads
  for (const InputText& text : given.texts) texts.push_back({text_of(text.role), text_of(text.text)});
  const cove_plugin_input input = {sizeof(cove_plugin_input), texts.size(), texts.data(), text_of(given.system)};
  return work.library->api().preprocess(work.handle, &input, &call);
}

int32_t call_postprocess(const Work& work, Call& call) {
  const cove_plugin_piece piece = {sizeof(cove_plugin_piece),
                                   static_cast<int32_t>(call.piece.stage),
                                   call.piece.text_id,
                                   static_cast<uint32_t>(call.piece.choice),
                                   call.piece.end == End::kLast ? 1 : 0,
                                   text_of(call.piece_text)};
  return work.library->api().postprocess(work.handle, &piece, &call);
}

class SharedObjectPlugin final : public PluginBase {
 public:
  SharedObjectPlugin(std::shared_ptr<Work> work, TimedCalls& calls, std::chrono::milliseconds timeout)
      : work_(std::move(work)), calls_(&calls), timeout_(timeout) {}

  Result<Verdict> preprocess(Input& input) override {
    if (work_->library->api().preprocess == nullptr) return Verdict{};
    const auto call = std::make_shared<Call>();
    call->input = input;
    call->changed.resize(input.texts.size());
    TRY_ASSIGN(Verdict verdict, make(call, call_preprocess));
    for (size_t i = 0; i < call->changed.size(); ++i) changed_ += call->changed[i] ? 1 : 0;
    input = std::move(call->input);
    input.system = replace_invalid_utf8(input.system);
    return verdict;
  }

  Result<Verdict> postprocess(const Piece& piece, std::string& out) override {
    if (work_->library->api().postprocess == nullptr) {
      out += piece.text;
      return Verdict{};
    }
    const auto call = std::make_shared<Call>();
    call->piece = piece;
    call->piece_text = piece.text;
    call->piece.text = call->piece_text;
    TRY_ASSIGN(Verdict verdict, make(call, call_postprocess));
    changed_ += call->output == piece.text ? 0 : 1;
    out += replace_invalid_utf8(call->output);
    return verdict;
  }

  void take_notes(NoteTaker& notes) override {
    notes.add("changed", std::exchange(changed_, 0));
    notes.add("blocked", std::exchange(blocked_, 0));
  }

 private:
  Result<Verdict> make(const std::shared_ptr<Call>& call, int32_t (*body)(const Work&, Call&)) {
    TRY(calls_->make(timeout_, [work = work_, call, body] { call->result = body(*work, *call); }));
    if (call->result == COVE_PLUGIN_PASS) return Verdict{};
    const std::string message = replace_invalid_utf8(call->message);
    if (call->result == COVE_PLUGIN_BLOCK) {
      ++blocked_;
      return Verdict{Decision::kBlock, message};
    }
    return make_error(ErrorCode::kUnavailable, message.empty() ? "gave no reason" : message);
  }

  std::shared_ptr<Work> work_;
  TimedCalls* calls_;
  std::chrono::milliseconds timeout_;
  uint64_t changed_ = 0;
  uint64_t blocked_ = 0;
};

class SharedObjectFactory final : public PluginFactory {
 public:
  SharedObjectFactory(std::shared_ptr<Library> library, std::chrono::milliseconds timeout)
      : library_(std::move(library)), timeout_(timeout), calls_(kThreads) {}

  Result<std::unique_ptr<PluginBase>> open(const RequestInfo& request) override {
    const auto work = std::make_shared<Work>();
    work->library = library_;
    const auto call = std::make_shared<Call>();
    TRY(calls_.make(timeout_, [work, call, request] {
      const cove_plugin_request given = {sizeof(cove_plugin_request), text_of(request.request_id),
                                         text_of(request.route),      text_of(request.model),
                                         text_of(request.identity),   text_of(request.role)};
      work->handle = work->library->api().begin(work->library->plugin(), &given, call.get());
    }));
    if (work->handle == nullptr)
      return make_error(ErrorCode::kUnavailable, call->message.empty() ? "gave no reason" : call->message);
    return std::unique_ptr<PluginBase>(std::make_unique<SharedObjectPlugin>(work, calls_, timeout_));
  }
  Pace pace() const override { return Pace::kMayWait; }

 private:
  std::shared_ptr<Library> library_;
  std::chrono::milliseconds timeout_;
  TimedCalls calls_;
};

}  // namespace

Result<std::unique_ptr<PluginFactory>> make_shared_object_plugin(const PluginOptions& options) {
  if (options.shared_object.file.empty()) return invalid_argument("needs 'file', the shared object");
  TRY_ASSIGN(auto library, Library::open(options.shared_object));
  return std::unique_ptr<PluginFactory>(std::make_unique<SharedObjectFactory>(std::move(library), options.timeout));
}

}  // namespace cove::plugins
