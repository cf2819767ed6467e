// SPDX-License-Identifier: MIT
// Replaces the global operator new of a test program by one that counts and, when told to, fails. To be included once.
#pragma once
#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <new>

struct Allocations {
  std::atomic<long long> made{0}, live{0}, fail_at{-1};  // fail_at: the number, from now, of the one that fails
  std::atomic<std::size_t> bytes{0};                     // of all that were made

  void* take(std::size_t size, std::size_t alignment) {
    if (fail_at >= 0 && fail_at-- == 0) return nullptr;
    return make(size, alignment);
  }
  void* make(std::size_t size, std::size_t alignment) {
    alignment = alignment < sizeof(void*) ? sizeof(void*) : alignment;
    void* pointer = std::aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
    if (!pointer) return nullptr;
    std::memset(pointer, 0xff, size);  // NaN: nobody may take it for zero
    ++made;
    ++live;
    bytes += size;
    return pointer;
  }
  void give_back(void* pointer) {
    if (pointer) --live;
    std::free(pointer);
  }
};

inline Allocations heap;    // of operator new
inline Allocations hooked;  // of the hooks

inline void* heap_take(std::size_t size, std::size_t alignment) {
  if (void* pointer = heap.take(size ? size : 1, alignment)) return pointer;
  throw std::bad_alloc();
}
void* operator new(std::size_t size) { return heap_take(size, alignof(std::max_align_t)); }
void* operator new[](std::size_t size) { return heap_take(size, alignof(std::max_align_t)); }
void* operator new(std::size_t size, std::align_val_t alignment) { return heap_take(size, std::size_t(alignment)); }
void* operator new[](std::size_t size, std::align_val_t alignment) { return heap_take(size, std::size_t(alignment)); }
// Who asks like this does without: std::stable_sort. To let it fail would show nothing.
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  return heap.make(size ? size : 1, alignof(std::max_align_t));
}
void operator delete(void* pointer) noexcept { heap.give_back(pointer); }
void operator delete[](void* pointer) noexcept { heap.give_back(pointer); }
void operator delete(void* pointer, std::size_t) noexcept { heap.give_back(pointer); }
void operator delete[](void* pointer, std::size_t) noexcept { heap.give_back(pointer); }
void operator delete(void* pointer, std::align_val_t) noexcept { heap.give_back(pointer); }
void operator delete[](void* pointer, std::align_val_t) noexcept { heap.give_back(pointer); }
void operator delete(void* pointer, std::size_t, std::align_val_t) noexcept { heap.give_back(pointer); }
void operator delete[](void* pointer, std::size_t, std::align_val_t) noexcept { heap.give_back(pointer); }
