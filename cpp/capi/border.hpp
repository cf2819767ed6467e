// SPDX-License-Identifier: MIT
// The border between C and the engine: no exception passes it.
#pragma once
#include <atomic>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <exception>
#include <new>
#include <stdexcept>

#include "core/bad_file.hpp"
#include "core/communicator.hpp"
#include "core/error.hpp"
#include "pydarts.h"

namespace pydarts {

struct Busy : std::runtime_error {
  Busy() : std::runtime_error("the other handle is in use") {}
};

// A caller's buffer is too small for the text.
struct TooSmall : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// The only place where exceptions become statuses. `message` may be null with size 0.
template <class Body>
pydarts_status guarded(char* message, std::size_t size, const Body& body) noexcept {
  const auto failed = [&](pydarts_status status, const char* what) {
    if (message && size > 0) std::snprintf(message, size, "%s", what);
    return status;
  };
  try {
    body();
    return failed(PYDARTS_OK, "");
  } catch (const InvalidArgument& error) {
    return failed(PYDARTS_INVALID_ARGUMENT, error.what());
  } catch (const NonFinite& error) {
    return failed(PYDARTS_NOT_FINITE, error.what());
  } catch (const Cancelled& error) {
    return failed(PYDARTS_CANCELLED, error.what());
  } catch (const BadFile& error) {
    return failed(PYDARTS_BAD_FILE, error.what());
  } catch (const TooSmall& error) {
    return failed(PYDARTS_TOO_SMALL, error.what());
  } catch (const Busy& error) {
    return failed(PYDARTS_BUSY, error.what());
  } catch (const CommunicationFailed& error) {
    return failed(PYDARTS_UNCONNECTED, error.what());
  } catch (const std::bad_alloc&) {
    return failed(PYDARTS_OUT_OF_MEMORY, "out of memory");
  } catch (const std::length_error&) {  // a vector longer than there are addresses
    return failed(PYDARTS_OUT_OF_MEMORY, "out of memory");
  } catch (const std::exception& error) {
    return failed(PYDARTS_INTERNAL, error.what());
  } catch (...) {
    return failed(PYDARTS_INTERNAL, "an exception of unknown kind");
  }
}

constexpr const char* kNoHandle = "the handle is null";

// What every handle has: the text of its last call's error, and whether a call is under way.
class Border {
 public:
  // Runs a call whose first argument is `border`.
  template <class Body>
  static pydarts_status cross(const Border* border, const Body& body) noexcept {
    if (!border) return PYDARTS_INVALID_ARGUMENT;
    if (border->busy_.test_and_set(std::memory_order_acquire)) return PYDARTS_BUSY;
    const pydarts_status status = guarded(border->message_, sizeof(border->message_), body);
    border->busy_.clear(std::memory_order_release);
    return status;
  }

  template <class Handle>
  static pydarts_status destroy(Handle* handle) noexcept {
    if (!handle) return PYDARTS_OK;
    if (handle->busy_.test_and_set(std::memory_order_acquire)) return PYDARTS_BUSY;
    delete handle;
    return PYDARTS_OK;
  }

  const char* message() const noexcept { return message_; }

  // The use of a further handle by a call.
  class Use {
   public:
    Use(const Border* border, const char* name) : border_(border) {
      require(border, "`", name, "` is null");
      if (border->busy_.test_and_set(std::memory_order_acquire)) throw Busy();
    }
    Use(const Use&) = delete;
    Use& operator=(const Use&) = delete;
    ~Use() { border_->busy_.clear(std::memory_order_release); }

   private:
    const Border* border_;
  };

 private:
  mutable std::atomic_flag busy_ = ATOMIC_FLAG_INIT;
  mutable char message_[512] = "";
};

// A caller's struct, of this header or of an older one; what it lacks is as in `defaults`.
template <class Struct>
Struct known(const Struct* given, const char* name, Struct defaults) {
  require(given, "`", name, "` is null");
  require(given->size > sizeof(std::size_t) && given->size <= sizeof(Struct), "`", name, "->size` (=", given->size,
          ") must be sizeof, at most ", sizeof(Struct));
  std::memcpy(&defaults, given, given->size);
  return defaults;
}

// Fills a caller's struct as far as it goes.
template <class Struct>
void fill(Struct* to, const char* name, Struct values) {
  values.size = known(to, name, values).size;
  std::memcpy(to, &values, values.size);
}

}  // namespace pydarts
