#pragma once
// Written arithmetic that a small network can carry out: every line needs only single digits and a carry. Used by all
// tasks. Small results are stated at once ("23+48=71"); longer ones are worked out from the ones digit up:
//   4827+395:7+5=12,2+9+1=12,8+3+1=12,4+0+1=5=>5222

#include <cstdint>
#include <string>

namespace cove::trainer {

std::string add_steps(int64_t a, int64_t b);       // a, b >= 0
std::string subtract_steps(int64_t a, int64_t b);  // any a, b >= 0
std::string multiply_steps(int64_t a, int64_t b);  // a, b >= 0
std::string divide_steps(int64_t a, int64_t b);    // a >= 0, b > 0; states quotient and remainder

// value / 10^digits without trailing zeros: 3645, 2 -> "36.45".
std::string decimal(int64_t value, int digits);

}  // namespace cove::trainer
