#pragma once
// Names from untrusted files as they go into messages: quoted, control characters and broken UTF-8 escaped, cut when
// long.

#include <string>
#include <string_view>

namespace cove {

std::string printable_name(std::string_view name);  // 'blk.0.attn_q.weight'

}  // namespace cove
