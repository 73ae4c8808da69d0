#include "compute/rope_table.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/check.h"

namespace cove {
namespace {

constexpr double kTwoPi = 2.0 * std::numbers::pi;

// theta^(-2i/dim), the frequencies of the original paper (RoFormer, equation 15).
std::vector<double> plain_frequencies(const RopeTableArgs& args) {
  std::vector<double> frequencies(static_cast<size_t>(args.dim / 2));
  for (size_t i = 0; i < frequencies.size(); ++i) {
    frequencies[i] = std::pow(args.theta, -2.0 * static_cast<double>(i) / static_cast<double>(args.dim));
  }
  return frequencies;
}

// Llama 3.1: long wavelengths are stretched by `factor`, short ones kept, those between blended.
void scale_llama3(const RopeTableArgs& args, std::vector<double>& frequencies) {
  const auto context = static_cast<double>(args.original_context);
  const double wavelength_low = context / args.low_freq_factor;
  const double wavelength_high = context / args.high_freq_factor;
  for (double& frequency : frequencies) {
    const double wavelength = kTwoPi / frequency;
    if (wavelength > wavelength_low) {
      frequency /= args.factor;
    } else if (wavelength >= wavelength_high) {
      const double smooth =
          (context / wavelength - args.low_freq_factor) / (args.high_freq_factor - args.low_freq_factor);
      frequency = (1.0 - smooth) * frequency / args.factor + smooth * frequency;
    }
  }
}

// The dimension whose wavelength turns `rotations` times over the original context (YaRN, section 3.2).
double yarn_dimension(const RopeTableArgs& args, double rotations) {
  const double turns = static_cast<double>(args.original_context) / (rotations * kTwoPi);
  return static_cast<double>(args.dim) * std::log(turns) / (2.0 * std::log(args.theta));
}

void scale_yarn(const RopeTableArgs& args, std::vector<double>& frequencies) {
  const double low = std::max(std::floor(yarn_dimension(args, args.beta_fast)), 0.0);
  double high = std::min(std::ceil(yarn_dimension(args, args.beta_slow)), static_cast<double>(args.dim - 1));
  if (high == low) high += 0.001;
  for (size_t i = 0; i < frequencies.size(); ++i) {
    const double ramp = std::clamp((static_cast<double>(i) - low) / (high - low), 0.0, 1.0);
    frequencies[i] = frequencies[i] / args.factor * ramp + frequencies[i] * (1.0 - ramp);
  }
}

double yarn_attention_factor(const RopeTableArgs& args) {
  if (args.attention_factor > 0.0) return args.attention_factor;
  return args.factor > 1.0 ? 0.1 * std::log(args.factor) + 1.0 : 1.0;
}

}  // namespace

RopeTable make_rope_table(const RopeTableArgs& args) {
  COVE_CHECK(args.dim > 0 && args.dim % 2 == 0);
  std::vector<double> frequencies = plain_frequencies(args);
  RopeTable table;
  switch (args.kind) {
    case RopeTableArgs::Kind::kPlain: break;
    case RopeTableArgs::Kind::kLinear:
      for (double& frequency : frequencies) frequency /= args.factor;
      break;
    case RopeTableArgs::Kind::kLlama3: scale_llama3(args, frequencies); break;
    case RopeTableArgs::Kind::kYarn:
      scale_yarn(args, frequencies);
      table.scale = static_cast<float>(yarn_attention_factor(args));
      break;
  }
  if (!args.frequency_factors.empty()) {
    COVE_CHECK(args.frequency_factors.size() == frequencies.size());
    for (size_t i = 0; i < frequencies.size(); ++i) frequencies[i] /= static_cast<double>(args.frequency_factors[i]);
  }
  table.inv_freq.reserve(frequencies.size());
  for (const double frequency : frequencies) table.inv_freq.push_back(static_cast<float>(frequency));
  return table;
}

}  // namespace cove
