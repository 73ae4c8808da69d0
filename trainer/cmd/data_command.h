#pragma once
// cove-train's subcommands that need no LibTorch: data, score, export. Each returns the exit code (0, 1, 2) and prints
// its own messages.

namespace cove::trainer {

int run_data(int argc, char** argv);    // tokenizer, shards, held-out tasks
int run_score(int argc, char** argv);   // judges generated answers
int run_export(int argc, char** argv);  // completes a Hugging Face directory around model.safetensors

}  // namespace cove::trainer
