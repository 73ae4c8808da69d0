// A stand-in for libnvidia-ml.so.1 with two GPUs, the second of which answers nothing, and the first not what power it
// takes; loaded by nvml_test.cc.
#include <cstdio>

extern "C" {

struct FakeMemory {
  unsigned long long total;
  unsigned long long free;
  unsigned long long used;
};

constexpr int kSuccess = 0;
constexpr int kUnknownError = 999;

int nvmlInit_v2() { return kSuccess; }
int nvmlShutdown() { return kSuccess; }
int nvmlSystemGetDriverVersion(char* out, unsigned size) {
  std::snprintf(out, size, "580.95.05");
  return kSuccess;
}
int nvmlSystemGetCudaDriverVersion_v2(int* out) {
  *out = 13010;
  return kSuccess;
}
int nvmlDeviceGetCount_v2(unsigned* out) {
  *out = 2;
  return kSuccess;
}
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void** out) {
  static char handle = 0;
  *out = &handle;
  return index == 0 ? kSuccess : kUnknownError;
}
int nvmlDeviceGetName(void*, char* out, unsigned size) {
  std::snprintf(out, size, "NVIDIA H200");
  return kSuccess;
}
int nvmlDeviceGetMemoryInfo(void*, FakeMemory* out) {
  *out = {.total = 150'754'820'096ULL, .free = 150'000'000'000ULL, .used = 754'820'096ULL};
  return kSuccess;
}
struct FakeUtilization {
  unsigned gpu;
  unsigned memory;
};
int nvmlDeviceGetUtilizationRates(void*, FakeUtilization* out) {
  *out = {.gpu = 97, .memory = 63};
  return kSuccess;
}
int nvmlDeviceGetTemperature(void*, int sensor, unsigned* out) {
  *out = 41;
  return sensor == 0 ? kSuccess : kUnknownError;
}
int nvmlDeviceGetPowerUsage(void*, unsigned*) { return kUnknownError; }
int nvmlDeviceGetCudaComputeCapability(void*, int* major, int* minor) {
  *major = 9;
  *minor = 0;
  return kSuccess;
}
}
