#pragma once
// cove-train's subcommands that need LibTorch: fit, generate, weights. Each returns the exit code (0, 1, 2) and prints
// its own messages.

#include <filesystem>

#include "base/result.h"

namespace cove::trainer {

class Student;

// How `fit --from` reads a model's weights into the student; null where Cove's tensor layer is not built.
using ReadWeights = Status (*)(const std::filesystem::path& path, Student& student);

// Trains and leaves a checkpoint.
int run_fit(int argc, char** argv, ReadWeights read_weights);
int run_generate(int argc, char** argv);  // answers held-out prompts with a checkpoint
int run_weights(int argc, char** argv);   // checkpoint -> model.safetensors

}  // namespace cove::trainer
