#pragma once
// The gateway's part of the audit log: what is gathered on a request's way, and the one record at its end. Everything
// here belongs to the I/O thread.
//
// Every request leaves a record but successful looks at public things: probes, the login page, its static files.

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "server/dto/api_error.h"
#include "server/generation/shown_text.h"
#include "server/http/exchange.h"
#include "services/audit/audit_log.h"
#include "services/auth/identity.h"

namespace cove::server {

class Gateway;
struct GenerationReport;

// Part of a request's context.
struct AuditNotes {
  audit::Log::Slot slot;
  int64_t arrived_ns = 0;  // since 1970
  bool recorded = false;
  std::string_view error;  // the answer's code of api/errors.def
  KeepShown keep = KeepShown::kNo;
  std::optional<audit::Generation> generation;
  std::optional<auth::Identity> signed_in;  // whom a sign-in made known
  uint64_t prompt_changes = 0;              // what plugins did to the prompt, counted
  std::map<std::string, std::string> details;
};

int64_t now_ns();

// A place for the request's record. An error when there can be none, and none means no service.
std::optional<ApiError> admit_to_audit(Gateway& gateway, const http::Request& request);
// Whether this one is answered although its record cannot be written: who watches must still see what is wrong.
bool answered_unaudited(const http::Request& request);
// Whether the log keeps texts of this caller.
KeepShown keep_texts(Gateway& gateway, const auth::Identity& identity);
// What is known when the generation has ended, before the request does.
void audit_generation(AuditNotes& notes, GenerationReport report);
// How many times plugins changed something; what they only logged does not count.
uint64_t changes_of(const plugins::PluginNotes& notes);

// Appends the record, once; later calls do nothing. `on_durable` as in audit::Log::append; called at once when there is
// nothing to record.
void audit_request(Gateway& gateway, const http::Request& request, const http::Outcome& outcome,
                   audit::Log::OnDurable on_durable);
// A peer that never got as far as a request.
void audit_handshake(Gateway& gateway, const std::string& peer, std::map<std::string, std::string> details);

}  // namespace cove::server
