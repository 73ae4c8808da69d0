#include "loop/optimizer.h"

#include <algorithm>
#include <cmath>

namespace cove::trainer {

torch::Tensor orthogonalise(const torch::Tensor& m, torch::ScalarType dtype) {
  constexpr double kA = 3.4445;
  constexpr double kB = -4.7750;
  constexpr double kC = 2.0315;
  const bool tall = m.size(1) > m.size(2);
  torch::Tensor x = m.to(dtype);
  if (tall) x = x.transpose(1, 2);
  x = x / (x.to(torch::kFloat).flatten(1).norm(2, 1).view({-1, 1, 1}) + 1e-7).to(x.scalar_type());
  for (int i = 0; i < 5; ++i) {
    const torch::Tensor gram = torch::bmm(x, x.transpose(1, 2));
    const torch::Tensor polynomial = kB * gram + kC * torch::bmm(gram, gram);
    x = kA * x + torch::bmm(polynomial, x);
  }
  if (tall) x = x.transpose(1, 2);
  return x.to(torch::kFloat);
}

Optimizer::Optimizer(Student& student, const OptimizerOptions& options)
    : master(student.flat().to(torch::kFloat, /*non_blocking=*/false, /*copy=*/true)),
      first_moment(torch::zeros_like(master)),
      second_moment(torch::zeros_like(master)),
      student_(student),
      options_(options) {}

void Optimizer::publish() {
  const torch::NoGradGuard guard;
  student_.flat().copy_(master);
}

void Optimizer::step_adam(const ParameterGroup& group, const torch::Tensor& gradient, double learning_rate) {
  const auto part = [&](const torch::Tensor& t) { return t.narrow(0, group.offset, group.elements()); };
  torch::Tensor m = part(first_moment);
  torch::Tensor v = part(second_moment);
  torch::Tensor p = part(master);
  const torch::Tensor g = part(gradient);
  m.mul_(options_.adam_beta1).add_(g, 1.0 - options_.adam_beta1);
  v.mul_(options_.adam_beta2).addcmul_(g, g, 1.0 - options_.adam_beta2);
  const double t = static_cast<double>(steps);
  const double correction1 = 1.0 - std::pow(options_.adam_beta1, t);
  const double correction2 = 1.0 - std::pow(options_.adam_beta2, t);
  if (group.kind == GroupKind::kEmbedding) p.mul_(1.0 - learning_rate * options_.weight_decay);
  p.addcdiv_(m, (v / correction2).sqrt_().add_(1e-8), -learning_rate / correction1);
}

void Optimizer::step_muon(const ParameterGroup& group, const torch::Tensor& gradient, double learning_rate) {
  const std::vector<int64_t> shape = {group.count, group.shape[0], group.shape[1]};
  const auto part = [&](const torch::Tensor& t) { return t.narrow(0, group.offset, group.elements()).view(shape); };
  torch::Tensor m = part(first_moment);
  torch::Tensor p = part(master);
  const torch::Tensor g = part(gradient);
  m.mul_(options_.muon_momentum).add_(g);
  const torch::Tensor direction = g + options_.muon_momentum * m;
  p.mul_(1.0 - learning_rate * options_.weight_decay);
  const torch::ScalarType dtype = student_.flat().scalar_type();
  int64_t row = 0;
  for (const int64_t rows : group.row_splits) {
    const double scale = 0.2 * std::sqrt(static_cast<double>(std::max(rows, shape[2])));
    p.narrow(1, row, rows).add_(orthogonalise(direction.narrow(1, row, rows), dtype), -learning_rate * scale);
    row += rows;
  }
}

torch::Tensor Optimizer::step(double learning_rate) {
  const torch::NoGradGuard guard;
  ++steps;
  torch::Tensor gradient = student_.flat_gradient().to(torch::kFloat);
  const torch::Tensor norm = gradient.norm();
  gradient.mul_((options_.gradient_norm_max / (norm + 1e-6)).clamp_max(1.0));
  for (const ParameterGroup& group : student_.groups()) {
    if (group.kind == GroupKind::kMatrix) {
      step_muon(group, gradient, learning_rate);
    } else {
      step_adam(group, gradient, learning_rate);
    }
  }
  student_.flat_gradient().zero_();
  publish();
  return norm;
}

}  // namespace cove::trainer
