#pragma once
// The optimizer: Muon for the layers' matrices (momentum, orthogonalised by a Newton-Schulz iteration; Jordan et al.
// 2024, with the update scale of Liu et al. 2025, arXiv:2502.16982), AdamW for embeddings and vectors. Master weights
// and state in f32.

#include <cstdint>
#include <vector>

#include <torch/torch.h>

#include "student/student.h"

namespace cove::trainer {

struct OptimizerOptions {
  double weight_decay = 0.05;  // matrices and embeddings
  double adam_beta1 = 0.9;
  double adam_beta2 = 0.95;
  double muon_momentum = 0.95;
  double gradient_norm_max = 1.0;
};

class Optimizer {
 public:
  Optimizer(Student& student, const OptimizerOptions& options);

  // Applies the accumulated gradient with this learning rate, then clears it. Returns the gradient's norm (on the
  // device).
  torch::Tensor step(double learning_rate);

  // f32, for checkpoints: master weights, first and second moments, each [N]; and the step count.
  torch::Tensor master;
  torch::Tensor first_moment;
  torch::Tensor second_moment;
  int64_t steps = 0;

  // Copies the master weights into the student's compute weights.
  void publish();

 private:
  void step_adam(const ParameterGroup& group, const torch::Tensor& gradient, double learning_rate);
  void step_muon(const ParameterGroup& group, const torch::Tensor& gradient, double learning_rate);

  Student& student_;
  OptimizerOptions options_;
};

// The orthogonal factor of each matrix of `m` [count, rows, columns] f32, approximately: singular values end between
// 0.7 and 1.2. Computed in `dtype` (the iteration is stable in bf16); the result is f32.
torch::Tensor orthogonalise(const torch::Tensor& m, torch::ScalarType dtype = torch::kFloat);

}  // namespace cove::trainer
