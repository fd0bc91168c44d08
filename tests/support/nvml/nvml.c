/* libnvidia-ml.so.1 for the tests: answers from the flat snapshot of one GPU (lab/remediation_lab/ollama/snapshot.py) that the
 * variable REMEDIATION_GPU_SNAPSHOT names.  Without the file nvmlInit fails as on a machine without a driver.
 * Structures and numbers are NVML's own (nvml.h); under WDDM and WSL per-process memory is "not available", and so it is here.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SUCCESS = 0, UNINITIALIZED = 1, INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6, INSUFFICIENT_SIZE = 7, DRIVER_NOT_LOADED = 9 };

typedef struct { char name[96], uuid[96], compute[16], cuda[16], driver[80]; unsigned long long total, used; unsigned busy, count, pids[64]; } gpu_t;
typedef struct { unsigned long long total, free, used; } memory_t;
typedef struct { unsigned version; unsigned long long total, reserved, free, used; } memory_v2_t;
typedef struct { unsigned gpu, memory; } utilization_t;
typedef struct { unsigned pid; unsigned long long used; unsigned gpu_instance, compute_instance; } process_t;
typedef struct { char bus_legacy[16]; unsigned domain, bus, device, pci_device, pci_subsystem; char bus_id[32]; } pci_t;

static int ready;
static char the_device;

static int look(gpu_t *gpu)
{
    const char *path = getenv("REMEDIATION_GPU_SNAPSHOT");
    FILE *file = path ? fopen(path, "r") : NULL;
    char line[512];
    if (!file)
        return DRIVER_NOT_LOADED;
    memset(gpu, 0, sizeof *gpu);
    while (fgets(line, sizeof line, file)) {
        char *value = strchr(line, ' ');
        if (!value)
            continue;
        *value++ = 0;
        value[strcspn(value, "\n")] = 0;
        if (!strcmp(line, "name")) snprintf(gpu->name, sizeof gpu->name, "%s", value);
        else if (!strcmp(line, "uuid")) snprintf(gpu->uuid, sizeof gpu->uuid, "%s", value);
        else if (!strcmp(line, "compute")) snprintf(gpu->compute, sizeof gpu->compute, "%s", value);
        else if (!strcmp(line, "cuda")) snprintf(gpu->cuda, sizeof gpu->cuda, "%s", value);
        else if (!strcmp(line, "driver")) snprintf(gpu->driver, sizeof gpu->driver, "%s", value);
        else if (!strcmp(line, "total")) gpu->total = strtoull(value, NULL, 10);
        else if (!strcmp(line, "busy")) gpu->busy = (unsigned)strtoul(value, NULL, 10);
        else if (!strcmp(line, "hold")) {
            char *owner;
            gpu->used += strtoull(value, &owner, 10);
            unsigned pid = (unsigned)strtoul(owner, &owner, 10); /* an owner written "4312/chrome.exe" is a process */
            if (*owner == '/' && gpu->count < 64)
                gpu->pids[gpu->count++] = pid;
        }
    }
    fclose(file);
    return SUCCESS;
}

static int text(char *to, unsigned size, const char *from)
{
    if (strlen(from) >= size)
        return INSUFFICIENT_SIZE;
    strcpy(to, from);
    return SUCCESS;
}

#define LOOK(gpu) gpu_t gpu; int status = ready ? look(&gpu) : UNINITIALIZED; if (status) return status
#define DEVICE(gpu, device) LOOK(gpu); if ((device) != &the_device) return INVALID_ARGUMENT

int nvmlInit_v2(void) { gpu_t gpu; int status = look(&gpu); ready = !status; return status; }
int nvmlInit(void) { return nvmlInit_v2(); }
int nvmlInitWithFlags(unsigned flags) { (void)flags; return nvmlInit_v2(); }
int nvmlShutdown(void) { if (!ready) return UNINITIALIZED; ready = 0; return SUCCESS; }

const char *nvmlErrorString(int code)
{
    switch (code) {
    case SUCCESS: return "Success";
    case UNINITIALIZED: return "Uninitialized";
    case INVALID_ARGUMENT: return "Invalid Argument";
    case NOT_SUPPORTED: return "Not Supported";
    case NOT_FOUND: return "Not Found";
    case INSUFFICIENT_SIZE: return "Insufficient Size";
    case DRIVER_NOT_LOADED: return "Driver Not Loaded";
    default: return "Unknown Error";
    }
}

int nvmlSystemGetDriverVersion(char *to, unsigned size) { LOOK(gpu); return text(to, size, gpu.driver); }
int nvmlSystemGetNVMLVersion(char *to, unsigned size) { char made[96]; LOOK(gpu); snprintf(made, sizeof made, "12.%s", gpu.driver); return text(to, size, made); }
int nvmlSystemGetCudaDriverVersion_v2(int *version)
{
    int major = 0, minor = 0;
    LOOK(gpu);
    sscanf(gpu.cuda, "%d.%d", &major, &minor);
    *version = 1000 * major + 10 * minor;
    return SUCCESS;
}
int nvmlSystemGetCudaDriverVersion(int *version) { return nvmlSystemGetCudaDriverVersion_v2(version); }

int nvmlDeviceGetCount_v2(unsigned *count) { LOOK(gpu); *count = 1; return SUCCESS; }
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **device)
{
    LOOK(gpu);
    if (index) return INVALID_ARGUMENT;
    *device = &the_device;
    return SUCCESS;
}
int nvmlDeviceGetHandleByUUID(const char *uuid, void **device)
{
    LOOK(gpu);
    if (strcmp(uuid, gpu.uuid)) return NOT_FOUND;
    *device = &the_device;
    return SUCCESS;
}
int nvmlDeviceGetIndex(void *device, unsigned *index) { DEVICE(gpu, device); *index = 0; return SUCCESS; }
int nvmlDeviceGetName(void *device, char *to, unsigned size) { DEVICE(gpu, device); return text(to, size, gpu.name); }
int nvmlDeviceGetUUID(void *device, char *to, unsigned size) { DEVICE(gpu, device); return text(to, size, gpu.uuid); }
int nvmlDeviceGetCudaComputeCapability(void *device, int *major, int *minor)
{
    DEVICE(gpu, device);
    return sscanf(gpu.compute, "%d.%d", major, minor) == 2 ? SUCCESS : NOT_SUPPORTED;
}
int nvmlDeviceGetPciInfo_v3(void *device, pci_t *pci)
{
    DEVICE(gpu, device);
    memset(pci, 0, sizeof *pci);
    pci->bus = 1;
    strcpy(pci->bus_legacy, "0000:01:00.0");
    strcpy(pci->bus_id, "00000000:01:00.0");
    return SUCCESS;
}

int nvmlDeviceGetMemoryInfo(void *device, memory_t *memory)
{
    DEVICE(gpu, device);
    memory->total = gpu.total;
    memory->used = gpu.used < gpu.total ? gpu.used : gpu.total;
    memory->free = gpu.total - memory->used;
    return SUCCESS;
}
int nvmlDeviceGetMemoryInfo_v2(void *device, memory_v2_t *memory)
{
    DEVICE(gpu, device);
    memory->total = gpu.total;
    memory->reserved = 0;
    memory->used = gpu.used < gpu.total ? gpu.used : gpu.total;
    memory->free = gpu.total - memory->used;
    return SUCCESS;
}
int nvmlDeviceGetUtilizationRates(void *device, utilization_t *rates) { DEVICE(gpu, device); rates->gpu = gpu.busy; rates->memory = gpu.busy / 2; return SUCCESS; }
int nvmlDeviceGetTemperature(void *device, int sensor, unsigned *degrees) { DEVICE(gpu, device); (void)sensor; *degrees = 45; return SUCCESS; }
int nvmlDeviceGetPowerUsage(void *device, unsigned *milliwatts) { DEVICE(gpu, device); (void)milliwatts; return NOT_SUPPORTED; }

int nvmlDeviceGetComputeRunningProcesses_v3(void *device, unsigned *count, process_t *list)
{
    unsigned room = *count;
    DEVICE(gpu, device);
    *count = gpu.count;
    if (room < gpu.count)
        return INSUFFICIENT_SIZE;
    for (unsigned index = 0; index < gpu.count; index++) {
        memset(&list[index], 0, sizeof list[index]);
        list[index].pid = gpu.pids[index];
        list[index].used = ~0ULL; /* NVML_VALUE_NOT_AVAILABLE */
        list[index].gpu_instance = list[index].compute_instance = ~0U;
    }
    return SUCCESS;
}
int nvmlDeviceGetComputeRunningProcesses_v2(void *device, unsigned *count, process_t *list) { return nvmlDeviceGetComputeRunningProcesses_v3(device, count, list); }
int nvmlDeviceGetGraphicsRunningProcesses_v3(void *device, unsigned *count, process_t *list) { DEVICE(gpu, device); (void)list; *count = 0; return SUCCESS; }
int nvmlDeviceGetGraphicsRunningProcesses_v2(void *device, unsigned *count, process_t *list) { return nvmlDeviceGetGraphicsRunningProcesses_v3(device, count, list); }
int nvmlDeviceGetMPSComputeRunningProcesses_v3(void *device, unsigned *count, process_t *list) { return nvmlDeviceGetGraphicsRunningProcesses_v3(device, count, list); }
int nvmlSystemGetProcessName(unsigned pid, char *to, unsigned size) { LOOK(gpu); (void)pid; (void)to; (void)size; return NOT_FOUND; }
