// SPDX-License-Identifier: MIT
// Which cores a thread of ours may use. Where the system does not let us choose, nothing happens.
#pragma once
#include <cstdint>

#ifdef __linux__
#include <sched.h>
#include <time.h>
#endif

namespace pydarts {

class Placement {
 public:
  // Of the thread that calls it; the other functions are called by another thread, after this.
  void begin();

  // Notes how long the thread has had a core.
  void look();
  // Whether it had one for a part of the time since then.
  bool has_core() const;

  // Onto the core of the calling thread, if there is another one besides; then off it; then wherever it was allowed.
  void draw();
  void keep_off();
  void release();

  bool moved() const { return moved_; }

 private:
  bool moved_ = false;
#ifdef __linux__
  void allow(const cpu_set_t& cores) const;

  int thread_ = 0;
  clockid_t clock_ = 0;
  cpu_set_t allowed_;
  std::int64_t seen_ = 0, computed_ = 0;  // nanoseconds
#endif
};

}  // namespace pydarts
