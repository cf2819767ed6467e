// SPDX-License-Identifier: MIT
// Where the engine takes memory from: everything whose size grows with weights, batch or image. What describes a
// network (graph, plans, names, error texts) is small and stays with operator new.
#pragma once
#include <cstddef>
#include <new>
#include <type_traits>
#include <vector>

namespace pydarts {

constexpr std::size_t kCacheLine = 64;

struct MemoryHooks {
  void* context = nullptr;
  void* (*allocate)(void* context, std::size_t bytes, std::size_t alignment) = nullptr;  // may give null
  void (*release)(void* context, void* pointer, std::size_t bytes) = nullptr;

  bool given() const { return allocate != nullptr; }  // else operator new
  void* take(std::size_t bytes, std::size_t alignment) const {
    if (!given()) return ::operator new(bytes, std::align_val_t(alignment));
    if (void* pointer = allocate(context, bytes, alignment)) return pointer;
    throw std::bad_alloc();
  }
  void give_back(void* pointer, std::size_t bytes, std::size_t alignment) const {
    if (given())
      release(context, pointer, bytes);
    else
      ::operator delete(pointer, std::align_val_t(alignment));
  }
};

// The hooks as the standard library wants them.
template <class T>
class Allocator {
 public:
  using value_type = T;
  using propagate_on_container_move_assignment = std::true_type;

  Allocator(const MemoryHooks& hooks = {}) : hooks_(hooks) {}
  template <class U>
  Allocator(const Allocator<U>& other) : hooks_(other.hooks()) {}

  T* allocate(std::size_t size) { return static_cast<T*>(hooks_.take(size * sizeof(T), kCacheLine)); }
  void deallocate(T* pointer, std::size_t size) { hooks_.give_back(pointer, size * sizeof(T), kCacheLine); }
  const MemoryHooks& hooks() const { return hooks_; }

  template <class U>
  bool operator==(const Allocator<U>& other) const {
    return hooks_.context == other.hooks().context && hooks_.allocate == other.hooks().allocate &&
           hooks_.release == other.hooks().release;
  }
  template <class U>
  bool operator!=(const Allocator<U>& other) const {
    return !(*this == other);
  }

 private:
  MemoryHooks hooks_;
};

template <class T>
using Vector = std::vector<T, Allocator<T>>;

}  // namespace pydarts
