// SPDX-License-Identifier: MIT
#include "core/placement.hpp"

#ifdef __linux__
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace pydarts {

#ifdef __linux__
namespace {

constexpr int kPart = 4;  // a thread with a core has computed for a fourth of the time at least

std::int64_t nanoseconds(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return std::int64_t(now.tv_sec) * 1000000000 + now.tv_nsec;
}

}  // namespace

void Placement::begin() {
  thread_ = int(syscall(SYS_gettid));
  if (pthread_getcpuclockid(pthread_self(), &clock_) != 0) thread_ = 0;
}

void Placement::look() {
  seen_ = nanoseconds(CLOCK_MONOTONIC);
  computed_ = nanoseconds(clock_);
}

bool Placement::has_core() const {
  const std::int64_t computed = nanoseconds(clock_) - computed_;
  return kPart * computed >= nanoseconds(CLOCK_MONOTONIC) - seen_;
}

void Placement::allow(const cpu_set_t& cores) const { sched_setaffinity(thread_, sizeof cores, &cores); }

// What the thread is allowed is asked anew: somebody else may have changed it since it was released.
void Placement::draw() {
  if (thread_ == 0 || (!moved_ && sched_getaffinity(thread_, sizeof allowed_, &allowed_) != 0)) return;
  const int core = sched_getcpu();
  if (core < 0 || CPU_COUNT(&allowed_) < 2 || !CPU_ISSET(core, &allowed_)) return;
  cpu_set_t here;
  CPU_ZERO(&here);
  CPU_SET(core, &here);
  moved_ = true;
  allow(here);
}

void Placement::keep_off() {
  if (!moved_) return;
  const int core = sched_getcpu();
  cpu_set_t others = allowed_;
  if (core >= 0) CPU_CLR(core, &others);
  allow(others);
}

void Placement::release() {
  if (moved_) allow(allowed_);
  moved_ = false;
}
#else
void Placement::begin() {}
void Placement::look() {}
bool Placement::has_core() const { return true; }
void Placement::draw() {}
void Placement::keep_off() {}
void Placement::release() {}
#endif

}  // namespace pydarts
