#include "services/outbound/http_client.h"

#include <memory>

#include <curl/curl.h>
#include <fmt/format.h>

namespace cove::outbound {
namespace {

struct CloseHandle {
  void operator()(CURL* handle) const { curl_easy_cleanup(handle); }
};
struct FreeList {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};

struct Body {
  std::string bytes;
  size_t bytes_max = 0;
  bool too_long = false;
};

size_t take_body(char* data, size_t size, size_t count, void* user) {
  auto& body = *static_cast<Body*>(user);
  const size_t bytes = size * count;
  if (body.bytes.size() + bytes > body.bytes_max) {
    body.too_long = true;
    return 0;  // ends the transfer
  }
  body.bytes.append(data, bytes);
  return bytes;
}

bool start_library() {
  static const bool kStarted = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
  return kStarted;
}

Result<HttpResponse> perform(CURL* handle, const HttpRequest& request, const Body& body) {
  const CURLcode code = curl_easy_perform(handle);
  if (body.too_long) {
    return make_error(ErrorCode::kResourceExhausted,
                      fmt::format("{}: the response is longer than {} bytes", request.url, body.bytes_max));
  }
  if (code != CURLE_OK)
    return make_error(ErrorCode::kUnavailable, fmt::format("{}: {}", request.url, curl_easy_strerror(code)));
  long status = 0;
  curl_easy_getinfo(handle, CURLINFO_RESPONSE_CODE, &status);
  const char* type = nullptr;
  curl_easy_getinfo(handle, CURLINFO_CONTENT_TYPE, &type);
  return HttpResponse{.status = static_cast<int>(status), .content_type = type == nullptr ? "" : type, .body = {}};
}

}  // namespace

Result<HttpResponse> send(const HttpRequest& request) {
  if (!request.url.starts_with("http://") && !request.url.starts_with("https://"))
    return invalid_argument(fmt::format("'{}' is no http:// or https:// address", request.url));
  if (!start_library()) return make_error(ErrorCode::kInternal, "libcurl could not be started");
  const std::unique_ptr<CURL, CloseHandle> owned(curl_easy_init());
  CURL* handle = owned.get();
  if (handle == nullptr) return make_error(ErrorCode::kResourceExhausted, "libcurl gave no handle");

  std::unique_ptr<curl_slist, FreeList> headers;
  const auto add_header = [&headers](const std::string& line) {
    curl_slist* longer = curl_slist_append(headers.get(), line.c_str());
    if (longer == nullptr) return;
    [[maybe_unused]] const auto* same = headers.release();
    headers.reset(longer);
  };
  for (const auto& [name, value] : request.headers) add_header(name + ": " + value);
  add_header("Expect:");  // no 100-continue: it costs a second where the other side does not know it

  Body body{.bytes = {}, .bytes_max = request.response_bytes_max};
  curl_easy_setopt(handle, CURLOPT_URL, request.url.c_str());
  curl_easy_setopt(handle, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(handle, CURLOPT_PROXY, "");
  curl_easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(handle, CURLOPT_TIMEOUT_MS, static_cast<long>(request.timeout.count()));
  curl_easy_setopt(handle, CURLOPT_HTTPHEADER, headers.get());
  curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, take_body);
  curl_easy_setopt(handle, CURLOPT_WRITEDATA, &body);
  if (!request.ca_file.empty()) curl_easy_setopt(handle, CURLOPT_CAINFO, request.ca_file.c_str());
  if (request.method == "POST") {
    curl_easy_setopt(handle, CURLOPT_POST, 1L);
    curl_easy_setopt(handle, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
    curl_easy_setopt(handle, CURLOPT_POSTFIELDS, request.body.data());
  }
  TRY_ASSIGN(HttpResponse response, perform(handle, request, body));
  response.body = std::move(body.bytes);
  return response;
}

}  // namespace cove::outbound
