#pragma once
// Norms computed within the products on both sides of them. For norms that are transient (RmsNormArgs::is_transient):
// what they read and write besides the residual is nobody else's. Used by backend.cc while it collects a step.

#include <vector>

#include "backends/cuda/backend/step_work.h"

namespace cove::cuda {

// Lets the product that ends the list, and makes the norm's delta, add it to the residual. False: it cannot.
bool add_in_product(std::vector<Work>& list, const RmsNormLaunch& norm);

// Lets a product of few tokens norm its inputs itself, if the list ends with the norm that would make them; the norm
// goes.
void norm_in_product(std::vector<Work>& list, LinearLaunch& launch);

// Lets the norm that ends the list round the inputs of a product in 8 bits.
void round_in_norm(std::vector<Work>& list, LinearWork& work);

}  // namespace cove::cuda
