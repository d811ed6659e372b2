/* A stand-in for NVIDIA's management library: init answers FAKE_NVML_INIT, and there are FAKE_NVML_COUNT devices. */
#include <stdlib.h>
#include <string.h>

typedef int result_t;
typedef struct { unsigned long long total, free, used; } memory_t;

static int number(const char *name) {
    const char *text = getenv(name);
    return text ? atoi(text) : 0;
}

result_t nvmlInit_v2(void) { return number("FAKE_NVML_INIT"); }
result_t nvmlInitWithFlags(unsigned flags) { (void)flags; return nvmlInit_v2(); }
result_t nvmlShutdown(void) { return 0; }
const char *nvmlErrorString(result_t code) { (void)code; return "an error of the stand-in"; }
result_t nvmlDeviceGetCount_v2(unsigned *count) { *count = number("FAKE_NVML_COUNT"); return 0; }
result_t nvmlDeviceGetHandleByIndex_v2(unsigned index, void **handle) { *handle = (void *)(size_t)(index + 1); return 0; }
result_t nvmlDeviceGetName(void *device, char *name, unsigned length) { (void)device; strncpy(name, "Stand-in A10", length); return 0; }
result_t nvmlDeviceGetCudaComputeCapability(void *device, int *major, int *minor) { (void)device; *major = 8; *minor = 6; return 0; }
result_t nvmlDeviceGetMemoryInfo(void *device, memory_t *memory) {
    (void)device;
    memory->total = 24ULL << 30;
    memory->used = 0;
    memory->free = memory->total;
    return 0;
}
