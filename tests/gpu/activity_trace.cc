#include "tests/gpu/activity_trace.h"

#include <cupti.h>
#include <dlfcn.h>

#include <algorithm>
#include <cstdlib>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/memory/memory.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/base/check.h"
#include "common/base/mutex.h"
#include "common/base/status_macros.h"

namespace spearfish::gpu {
namespace {

constexpr size_t kBufferBytes = size_t{4} << 20;
constexpr size_t kBufferAlignment = 64;
constexpr CUpti_ActivityKind kKinds[] = {CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL,
                                         CUPTI_ACTIVITY_KIND_MEMCPY, CUPTI_ACTIVITY_KIND_MEMSET};
constexpr const char* kLibraries[] = {"libcupti.so.13",
                                      "/usr/local/cuda/extras/CUPTI/lib64/libcupti.so.13",
                                      "/usr/local/cuda/lib64/libcupti.so.13"};

const char* CopyName(uint8_t kind) {
  switch (kind) {
    case CUPTI_ACTIVITY_MEMCPY_KIND_HTOD:
      return "copy, host to device";
    case CUPTI_ACTIVITY_MEMCPY_KIND_DTOH:
      return "copy, device to host";
    case CUPTI_ACTIVITY_MEMCPY_KIND_DTOD:
      return "copy on the device";
    default:
      return "copy";
  }
}

template <typename Record>
Activity Timed(std::string name, const CUpti_Activity* record) {
  const auto* timed = reinterpret_cast<const Record*>(record);
  return {.name = std::move(name), .start_ns = timed->start, .end_ns = timed->end};
}

Activity ToActivity(const CUpti_Activity* record) {
  switch (record->kind) {
    case CUPTI_ACTIVITY_KIND_MEMCPY: {
      const auto kind = reinterpret_cast<const CUpti_ActivityMemcpy6*>(record)->copyKind;
      return Timed<CUpti_ActivityMemcpy6>(CopyName(kind), record);
    }
    case CUPTI_ACTIVITY_KIND_MEMSET:
      return Timed<CUpti_ActivityMemset4>("fill", record);
    default: {
      const char* name = reinterpret_cast<const CUpti_ActivityKernel10*>(record)->name;
      return Timed<CUpti_ActivityKernel10>(name == nullptr ? "kernel" : KernelName(name), record);
    }
  }
}

}  // namespace

struct ActivityTrace::Cupti {
  decltype(&cuptiActivityEnable) enable = nullptr;
  decltype(&cuptiActivityDisable) disable = nullptr;
  decltype(&cuptiActivityRegisterCallbacks) register_callbacks = nullptr;
  decltype(&cuptiActivityFlushAll) flush = nullptr;
  decltype(&cuptiActivityGetNextRecord) next_record = nullptr;
  decltype(&cuptiActivityGetNumDroppedRecords) num_dropped = nullptr;
  decltype(&cuptiGetResultString) result_string = nullptr;

  Mutex mutex;
  std::vector<Activity> activities ABSL_GUARDED_BY(mutex);
  size_t dropped ABSL_GUARDED_BY(mutex) = 0;

  absl::Status Load();
  absl::Status Check(CUptiResult result, const char* call) const;
  static void BufferRequested(uint8_t** buffer, size_t* size, size_t* max_records);
  static void BufferCompleted(CUcontext context, uint32_t stream, uint8_t* buffer, size_t size,
                              size_t valid);
  void Parse(CUcontext context, uint32_t stream, uint8_t* buffer, size_t valid);

  // CUPTI's callbacks have no argument of ours.
  static Cupti* running;
};

ActivityTrace::Cupti* ActivityTrace::Cupti::running = nullptr;

absl::Status ActivityTrace::Cupti::Load() {
  void* library = nullptr;
  for (const char* name : kLibraries) {
    if (library == nullptr) library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
  }
  if (library == nullptr) {
    return absl::NotFoundError(
        "no libcupti.so.13: neither on LD_LIBRARY_PATH nor in /usr/local/cuda; install the CUDA "
        "toolkit's CUPTI");
  }
  // Never closed: CUPTI keeps threads of its own.
  const auto find = [library](auto& function, const char* name) {
    function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(dlsym(library, name));
    return function != nullptr;
  };
  if (find(enable, "cuptiActivityEnable") && find(disable, "cuptiActivityDisable") &&
      find(register_callbacks, "cuptiActivityRegisterCallbacks") &&
      find(flush, "cuptiActivityFlushAll") && find(next_record, "cuptiActivityGetNextRecord") &&
      find(num_dropped, "cuptiActivityGetNumDroppedRecords") &&
      find(result_string, "cuptiGetResultString")) {
    return absl::OkStatus();
  }
  return absl::NotFoundError(absl::StrCat("libcupti.so.13 is not CUPTI: ", dlerror()));
}

absl::Status ActivityTrace::Cupti::Check(CUptiResult result, const char* call) const {
  if (result == CUPTI_SUCCESS) return absl::OkStatus();
  const char* text = nullptr;
  result_string(result, &text);
  return absl::UnavailableError(
      absl::StrCat("CUPTI refuses: ", call, ": ", text == nullptr ? "unknown error" : text));
}

void ActivityTrace::Cupti::BufferRequested(uint8_t** buffer, size_t* size, size_t* max_records) {
  *buffer = static_cast<uint8_t*>(std::aligned_alloc(kBufferAlignment, kBufferBytes));
  SF_CHECK(*buffer != nullptr);
  *size = kBufferBytes;
  *max_records = 0;  // as many as it holds
}

void ActivityTrace::Cupti::BufferCompleted(CUcontext context, uint32_t stream, uint8_t* buffer,
                                           size_t /*size*/, size_t valid) {
  if (running != nullptr) running->Parse(context, stream, buffer, valid);
  std::free(buffer);
}

void ActivityTrace::Cupti::Parse(CUcontext context, uint32_t stream, uint8_t* buffer,
                                 size_t valid) {
  MutexLock lock(mutex);
  CUpti_Activity* record = nullptr;
  while (valid > 0 && next_record(buffer, valid, &record) == CUPTI_SUCCESS) {
    activities.push_back(ToActivity(record));
  }
  size_t lost = 0;
  if (num_dropped(context, stream, &lost) == CUPTI_SUCCESS) dropped += lost;
}

absl::StatusOr<std::unique_ptr<ActivityTrace>> ActivityTrace::Start() {
  SF_CHECK(Cupti::running == nullptr);
  auto cupti = std::make_unique<Cupti>();
  SF_RETURN_IF_ERROR(cupti->Load());
  SF_RETURN_IF_ERROR(
      cupti->Check(cupti->register_callbacks(&Cupti::BufferRequested, &Cupti::BufferCompleted),
                   "cuptiActivityRegisterCallbacks"));
  for (const CUpti_ActivityKind kind : kKinds) {
    SF_RETURN_IF_ERROR(cupti->Check(cupti->enable(kind), "cuptiActivityEnable"));
  }
  Cupti::running = cupti.get();
  return absl::WrapUnique(new ActivityTrace(std::move(cupti)));
}

ActivityTrace::ActivityTrace(std::unique_ptr<Cupti> cupti) : cupti_(std::move(cupti)) {}

ActivityTrace::~ActivityTrace() {
  for (const CUpti_ActivityKind kind : kKinds) cupti_->disable(kind);
  cupti_->flush(CUPTI_ACTIVITY_FLAG_FLUSH_FORCED);
  Cupti::running = nullptr;
}

absl::StatusOr<std::vector<Activity>> ActivityTrace::Take() {
  SF_RETURN_IF_ERROR(
      cupti_->Check(cupti_->flush(CUPTI_ACTIVITY_FLAG_FLUSH_FORCED), "cuptiActivityFlushAll"));
  std::vector<Activity> taken;
  MutexLock lock(cupti_->mutex);
  if (cupti_->dropped > 0) {
    return absl::DataLossError(absl::StrCat("CUPTI dropped records: ", cupti_->dropped));
  }
  taken.swap(cupti_->activities);
  std::sort(taken.begin(), taken.end(),
            [](const Activity& a, const Activity& b) { return a.start_ns < b.start_ns; });
  return taken;
}

}  // namespace spearfish::gpu
