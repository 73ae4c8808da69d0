#include "server/audit_trail.h"

#include <chrono>
#include <utility>

#include <fmt/format.h>

#include "server/gateway.h"
#include "server/generation/audited.h"

namespace cove::server {
namespace {

constexpr size_t kPathBytesMax = 512;

bool changes_nothing(const http::Request& request) {
  return request.method == http::Method::kGet || request.method == http::Method::kHead;
}

bool leaves_record(const http::Request& request) {
  const RequestContext& context = context_of(request);
  if (context.route == nullptr || context.route->access != Access::kPublic || !changes_nothing(request)) return true;
  return context.failed_login || context.audit.signed_in || !context.audit.details.empty();
}

audit::Caller caller_of(const RequestContext& context) {
  const auth::Identity& identity = context.audit.signed_in ? *context.audit.signed_in : context.identity;
  if (identity.id.empty()) return {};
  return {.id = identity.id,
          .user = identity.owner,
          .name = identity.name,
          .role = std::string(auth::to_string(identity.role)),
          .key_id = identity.key_id};
}

audit::Outcome outcome_of(const AuditNotes& notes, const http::Outcome& outcome) {
  if (!outcome.complete) return audit::Outcome::kAborted;
  const bool begun = notes.generation && notes.generation->completion_tokens > 0;
  if (outcome.status < 400) return notes.error.empty() ? audit::Outcome::kComplete : audit::Outcome::kFailed;
  const bool ours = outcome.status >= 500 && (outcome.status != 503 || begun);
  return ours ? audit::Outcome::kFailed : audit::Outcome::kRefused;
}

std::map<std::string, std::string> details_of(const http::Request& request, const http::Outcome& outcome) {
  RequestContext& context = context_of(request);
  std::map<std::string, std::string> details = std::move(context.audit.details);
  if (context.failed_login && !context.failed_login->empty()) details["account"] = *context.failed_login;
  if (!outcome.complete) details["abort"] = outcome.reason;
  if (!request.client_subject.empty()) details["client_certificate"] = request.client_subject;
  return details;
}

audit::Record record_of(const http::Request& request, const http::Outcome& outcome) {
  RequestContext& context = context_of(request);
  AuditNotes& notes = context.audit;
  audit::Record record;
  record.time_ns = notes.arrived_ns;
  record.request_id = context.id;
  record.caller = caller_of(context);
  record.address = request.peer;
  record.method = request.method_name;
  if (context.route != nullptr) record.route = context.route->path;
  record.path = request.path.substr(0, kPathBytesMax);
  record.status = outcome.status;
  record.outcome = outcome_of(notes, outcome);
  record.error = notes.error;
  record.total_ms = static_cast<double>(now_ns() - notes.arrived_ns) / 1e6;
  record.details = details_of(request, outcome);
  record.generation = std::move(notes.generation);
  record.plugin_notes = context.plugin_notes;
  return record;
}

}  // namespace

int64_t now_ns() {
  const auto since_1970 = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::nanoseconds>(since_1970).count();
}

std::optional<ApiError> admit_to_audit(Gateway& gateway, const http::Request& request) {
  audit::Log* log = gateway.services().audit;
  RequestContext& context = context_of(request);
  if (log == nullptr || !leaves_record(request)) return std::nullopt;
  auto slot = log->admit();
  if (slot) {
    context.audit.slot = std::move(*slot);
    return std::nullopt;
  }
  if (answered_unaudited(request)) return std::nullopt;
  return ApiError{ApiErrorKind::kAuditUnavailable,
                  "the audit log cannot be written at the moment, and nothing is answered without it "
                  "(audit.on_failure: refuse); try again in a moment",
                  {}};
}

bool answered_unaudited(const http::Request& request) {
  const Route* route = context_of(request).route;
  return route != nullptr && route->access == Access::kMetrics;
}

KeepShown keep_texts(Gateway& gateway, const auth::Identity& identity) {
  const audit::Log* log = gateway.services().audit;
  const bool keep = log != nullptr && log->prompt_form(auth::to_string(identity.role)) != audit::PromptForm::kNone;
  return keep ? KeepShown::kYes : KeepShown::kNo;
}

uint64_t changes_of(const plugins::PluginNotes& notes) {
  uint64_t count = 0;
  for (const plugins::PluginNote& note : notes) count += note.action == "logged" ? 0 : note.count;
  return count;
}

void audit_generation(AuditNotes& notes, GenerationReport report) {
  notes.error = report.error;
  if (!notes.generation) return;
  if (changes_of(report.plugin_notes) > notes.prompt_changes) notes.details["answer_filtered"] = "true";
  note_end(std::move(report), notes.keep, *notes.generation);
}

void audit_request(Gateway& gateway, const http::Request& request, const http::Outcome& outcome,
                   audit::Log::OnDurable on_durable) {
  audit::Log* log = gateway.services().audit;
  AuditNotes& notes = context_of(request).audit;
  if (log == nullptr || notes.recorded || !leaves_record(request)) {
    if (on_durable) on_durable({});
    return;
  }
  notes.recorded = true;
  audit::Log::Slot slot = std::move(notes.slot);
  log->append(std::move(slot), record_of(request, outcome), std::move(on_durable));
}

void audit_handshake(Gateway& gateway, const std::string& peer, std::map<std::string, std::string> details) {
  audit::Log* log = gateway.services().audit;
  if (log == nullptr) return;
  audit::Record record;
  record.time_ns = now_ns();
  record.address = peer;
  record.outcome = audit::Outcome::kRefused;
  record.error = "tls_handshake";
  record.details = std::move(details);
  log->append({}, std::move(record));
}

}  // namespace cove::server
