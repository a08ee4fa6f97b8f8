#include "runtime/task.h"

#include <array>
#include <cstdlib>
#include <new>

namespace sluice::detail {
namespace {

constexpr std::size_t kStep = 64;
constexpr std::size_t kClasses = 32;  // frames up to 2 KiB are pooled; larger ones go to malloc
constexpr std::size_t kKeep =
    256;  // at most this many free frames a class and thread (16 MiB in all)

struct FreeFrame {
  FreeFrame* next;
};
struct FrameClass {
  FreeFrame* free = nullptr;
  std::size_t count = 0;
};
struct Pool {
  std::array<FrameClass, kClasses> classes;
  std::size_t live = 0;
  ~Pool() {
    for (auto& c : classes) {
      while (c.free != nullptr) {
        FreeFrame* next = c.free->next;
        std::free(c.free);
        c.free = next;
      }
      c.count = kKeep;  // frames that outlive the pool (thread exit) go straight to free()
    }
  }
};
thread_local Pool pool;

[[maybe_unused]] std::size_t class_of(std::size_t size) { return (size + kStep - 1) / kStep - 1; }

}  // namespace

void* allocate_frame(std::size_t size) {
  ++pool.live;
#ifndef SLUICE_SANITIZED  // a pool would hide a use after free from ASan
  const std::size_t c = class_of(size);
  if (c < kClasses) {
    FrameClass& frames = pool.classes[c];
    if (frames.free != nullptr) {
      FreeFrame* frame = frames.free;
      frames.free = frame->next;
      --frames.count;
      return frame;
    }
    size = (c + 1) * kStep;
  }
#endif
  void* memory = std::malloc(size);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

void free_frame(void* frame, std::size_t size) noexcept {
  --pool.live;
#ifndef SLUICE_SANITIZED
  const std::size_t c = class_of(size);
  if (c < kClasses && pool.classes[c].count < kKeep) {
    auto* node = static_cast<FreeFrame*>(frame);
    node->next = pool.classes[c].free;
    pool.classes[c].free = node;
    ++pool.classes[c].count;
    return;
  }
#endif
  std::free(frame);
}

std::size_t live_frames() { return pool.live; }

}  // namespace sluice::detail
