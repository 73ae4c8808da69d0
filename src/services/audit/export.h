#pragma once
// Records as tables and lines for people and their spreadsheets: `cove audit export` and `tail`.

#include <string>
#include <string_view>

#include "services/audit/record.h"

namespace cove::audit {

// One cell: quoted where RFC 4180 asks for it, and a text that a spreadsheet would run as a formula (it begins with = +
// -
// @, a tab or a carriage return) gets a ' in front.
std::string csv_cell(std::string_view text);

// The columns' names, and one record; both with CR LF at the end.
std::string csv_header();
std::string csv_row(uint64_t sequence, const Record& record);

// "2026-11-29T05:37:45.123Z user:alice POST /v1/chat/completions 200 complete cove-mini 21+40 tokens 12.5 ms". Control
// characters are left out: what clients send must not command a terminal.
std::string summary_line(const Record& record);

}  // namespace cove::audit
