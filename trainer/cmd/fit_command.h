#pragma once
// cove-train's subcommands that need LibTorch: fit, generate, weights. Each returns the exit code (0, 1, 2) and prints
// its own messages.

namespace cove::trainer {

int run_fit(int argc, char** argv);       // trains and leaves a checkpoint
int run_generate(int argc, char** argv);  // answers held-out prompts with a checkpoint
int run_weights(int argc, char** argv);   // checkpoint -> model.safetensors

}  // namespace cove::trainer
