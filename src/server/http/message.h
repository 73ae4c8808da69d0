#pragma once
// A parsed HTTP request and an answer, as plain data: nothing of the network library shows here.

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace cove::http {

enum class Method : uint8_t { kGet, kHead, kPost, kPut, kPatch, kDelete, kOptions, kOther };

struct Header {
  std::string name;
  std::string value;
};

struct Request {
  Method method = Method::kOther;
  std::string method_name;  // as sent
  std::string path;         // percent-decoded, without the query; begins with '/'
  std::string query;        // as sent, without '?'
  std::vector<Header> headers;
  std::string body;
  std::string peer;               // address without port
  bool secure = false;            // came over TLS
  std::string client_subject;     // of the verified client certificate (RFC 2253); empty without one
  bool expects_body = false;      // a body follows the head
  std::shared_ptr<void> context;  // the handler's own notes on this request, kept from check_head to done

  // The first header of that name, compared without case; empty when there is none.
  std::string_view header(std::string_view name) const;
};

struct Response {
  int status = 200;
  std::string content_type = "application/json";
  std::vector<Header> headers;
  std::string body;
  std::string_view error{};  // its code (api/errors.def) when it is one; for the handler's notes, not sent by itself
};

std::string_view reason_phrase(int status);

// "%41b+c" to "Ab+c". Broken escapes stay as they are.
std::string percent_decode(std::string_view text);
// The value of `name` in "a=1&b=2", decoded ('+' is a space); empty when absent.
std::string query_value(std::string_view query, std::string_view name);
// The value of a cookie of the request; empty when absent.
std::string_view cookie_value(const Request& request, std::string_view name);
bool equal_ignoring_case(std::string_view a, std::string_view b);

}  // namespace cove::http
