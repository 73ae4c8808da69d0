#pragma once
// A self-signed certificate for trying TLS before there is a real one. Used by `cove tls new` and the server's tests.

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"

namespace cove::certificates {

struct SelfSignedOptions {
  std::vector<std::string> hosts;  // DNS names ("*.example.com" too) and IP addresses; the first is the subject
  int64_t not_before_s = 0;        // Unix time
  int64_t not_after_s = 0;
};

struct CertificateAndKey {
  std::string certificate_pem;
  std::string key_pem;  // PKCS #8, no passphrase
};

// ECDSA P-256, usable by a server and by a client. It is no CA for others, but clients can be told to trust it. Errors:
// kInvalidArgument (no host, or one that is neither a name nor an address, or an empty period), kInternal.
Result<CertificateAndKey> make_self_signed(const SelfSignedOptions& options);

}  // namespace cove::certificates
