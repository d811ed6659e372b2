/* A stand-in for NVIDIA's management library. nvmlInit answers FAKE_NVML_INIT; the devices are those that FAKE_NVML
 * lists as "name:major.minor:MiB:uuid", separated by commas. Counting them answers FAKE_NVML_DEVICES. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef int result_t;
typedef struct { unsigned long long total, free, used; } memory_t;
typedef struct { char name[96], uuid[80]; int major, minor; unsigned long long mib; } device_t;

static device_t devices[16];
static unsigned n_devices;

static int number(const char *name) {
    const char *text = getenv(name);
    return text ? atoi(text) : 0;
}

static void read_devices(void) {
    char text[2048], *rest = NULL;
    const char *listed = getenv("FAKE_NVML");
    snprintf(text, sizeof text, "%s", listed ? listed : "");
    n_devices = 0;
    for (char *item = strtok_r(text, ",", &rest); item && n_devices < 16; item = strtok_r(NULL, ",", &rest)) {
        device_t *device = &devices[n_devices];
        if (sscanf(item, "%95[^:]:%d.%d:%llu:%79s", device->name, &device->major, &device->minor, &device->mib, device->uuid) == 5)
            n_devices++;
    }
}

result_t nvmlInit_v2(void) { read_devices(); return number("FAKE_NVML_INIT"); }
result_t nvmlInitWithFlags(unsigned flags) { (void)flags; return nvmlInit_v2(); }
result_t nvmlShutdown(void) { return 0; }
const char *nvmlErrorString(result_t code) { (void)code; return "an error of the stand-in"; }
result_t nvmlDeviceGetCount_v2(unsigned *count) { *count = n_devices; return number("FAKE_NVML_DEVICES"); }
result_t nvmlDeviceGetHandleByIndex_v2(unsigned index, void **handle) {
    if (index >= n_devices) return 2;
    *handle = &devices[index];
    return 0;
}
result_t nvmlDeviceGetName(void *handle, char *name, unsigned length) {
    snprintf(name, length, "%s", ((device_t *)handle)->name);
    return 0;
}
result_t nvmlDeviceGetUUID(void *handle, char *uuid, unsigned length) {
    snprintf(uuid, length, "%s", ((device_t *)handle)->uuid);
    return 0;
}
result_t nvmlDeviceGetCudaComputeCapability(void *handle, int *major, int *minor) {
    *major = ((device_t *)handle)->major;
    *minor = ((device_t *)handle)->minor;
    return 0;
}
result_t nvmlDeviceGetMemoryInfo(void *handle, memory_t *memory) {
    memory->total = memory->free = ((device_t *)handle)->mib << 20;
    memory->used = 0;
    return 0;
}
