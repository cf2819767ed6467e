// SPDX-License-Identifier: MIT
#include "core/parallel.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <cstdlib>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <new>
#include <thread>

#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#define PYDARTS_HAS_FORK 1
#endif
#ifdef __linux__
#include <sched.h>
#endif

#include "core/memory.hpp"
#include "core/placement.hpp"

namespace pydarts {
namespace {

constexpr int kMaxParts = 64;
// So long a thread that waits stays awake: longer than the serial parts between the phases of a pass, shorter than the
// time slice that the thread for which it waits may be without a core.
constexpr std::chrono::microseconds kAwake{60};
// So long the calling thread sleeps until it looks again whether those that it waits for have a core.
constexpr std::chrono::milliseconds kAsleep{1};
constexpr int kCalmLoops = 400;  // after so many, threads may use the calling thread's core again

void pause() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

// Something that threads wait for: awake at first, then asleep, so that others have their core.
class Condition {
 public:
  template <class Holds>
  void wait(Holds holds) {
    if (stay_awake(kAwake, holds)) return;
    std::unique_lock<std::mutex> lock(mutex_);
    ++asleep_;
    changed_.wait(lock, holds);
    --asleep_;
  }
  // Whether it holds, after that time at the latest.
  template <class Holds>
  bool stay_awake(std::chrono::microseconds time, Holds holds) {
    for (const auto end = std::chrono::steady_clock::now() + time; std::chrono::steady_clock::now() < end;)
      for (int i = 0; i < 16; ++i, pause())
        if (holds()) return true;
    return false;
  }
  template <class Holds>
  bool sleep(std::chrono::milliseconds time, Holds holds) {
    std::unique_lock<std::mutex> lock(mutex_);
    ++asleep_;
    const bool result = changed_.wait_for(lock, time, holds);
    --asleep_;
    return result;
  }
  // After what makes it hold: both that and `asleep_` are in the one order of sequentially consistent atomics.
  void notify() {
    if (asleep_ == 0) return;
    {
      std::lock_guard<std::mutex> lock(mutex_);
    }  // who counts as asleep, but is not yet, holds it
    changed_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::atomic<int> asleep_{0};
};

// The threads that help one calling thread. A loop is over when its tasks are: only who has begun to take some is
// waited for, not who has yet to wake up or to get a core.
class Pool {
 public:
  ~Pool() {
    state_ |= kStop;
    opened_.notify();
    for (Helper& helper : helpers_) helper.thread.join();
  }

  // Whether the calling thread is in a loop already: a task may have led it to another network.
  bool running() const { return running_; }

  void run(int count, int tasks, Threads::Run run, const void* body) {
    running_ = true;
    start(count - 1);
    run_ = run;
    body_ = body;
    count_ = count;
    // A thread begins with the same tasks every time, whose data its cache may still hold, then helps the others.
    parts_ = std::min(count, kMaxParts);
    for (int i = 0; i < parts_; ++i) {
      part_[i].next.store(int((long long)tasks * i / parts_), std::memory_order_relaxed);
      part_[i].end = int((long long)tasks * (i + 1) / parts_);
    }
    state_ += kLoop + kOpen;
    opened_.notify();
    take_tasks(0);
    if ((state_ -= kOpen) & kInside) wait_for_helpers();
    if (drawn_ && ++calm_ == kCalmLoops) {
      for (Helper& helper : helpers_) helper.placement.release();
      drawn_ = false;
    }
    running_ = false;
  }

 private:
  // How many threads are in the loop; whether one may enter it; whether all shall end; which loop it is.
  static constexpr std::uint64_t kInside = 0xffff, kOpen = 1 << 16, kStop = 1 << 17, kLoop = 1 << 18;

  struct alignas(kCacheLine) Part {  // tasks that a thread takes first
    std::atomic<int> next;
    int end;
  };

  struct Helper {
    std::thread thread;
    Placement placement;
    std::atomic<bool> inside{false};  // a loop, or about to enter it
  };

  void start(int threads) {
    while (int(helpers_.size()) < threads) {
      try {
        Helper& helper = helpers_.emplace_back();
        helper.thread = std::thread([this, &helper, thread = int(helpers_.size())] { work(helper, thread); });
      } catch (const std::exception&) {  // no more are to be had: others do their tasks
        if (!helpers_.empty() && !helpers_.back().thread.joinable()) helpers_.pop_back();
        return;
      }
    }
  }

  // A thread in the midst of a task may have lost its core to another process, for a time slice in which all would
  // wait. It gets the calling thread's, which has nothing to do, and keeps off that from then on: threads that sleep
  // while they wait look half idle to the system, which leaves both on one core and the other to the other process.
  void wait_for_helpers() {
    const auto left = [&] { return (state_ & kInside) == 0; };
    for (bool over = false; !over;) {
      if (left_.stay_awake(kAwake / 2, left)) break;
      for (Helper& helper : helpers_)
        if (helper.inside) helper.placement.look();
      if (left_.stay_awake(kAwake / 2, left)) break;
      for (Helper& helper : helpers_)
        if (helper.inside && !helper.placement.has_core()) {
          helper.placement.draw();
          drawn_ = true;
          calm_ = 0;
        }
      over = left_.sleep(kAsleep, left);
    }
    if (drawn_ && calm_ == 0)
      for (Helper& helper : helpers_) helper.placement.keep_off();
  }

  void take_tasks(int thread) {
    for (int i = 0; i < parts_; ++i) {
      Part& from = part_[(thread + i) % parts_];
      for (int task; (task = from.next.fetch_add(1, std::memory_order_relaxed)) < from.end;) run_(body_, task, thread);
    }
  }

  void work(Helper& own, int thread) {
    own.placement.begin();
    for (std::uint64_t seen = 0;;) {
      auto may_enter = [&](std::uint64_t state) { return (state & kOpen) && state / kLoop != seen; };
      opened_.wait([&] { return (state_ & kStop) || may_enter(state_); });
      std::uint64_t state = state_;
      if (state & kStop) return;
      own.inside = true;
      while (may_enter(state)) {
        if (!state_.compare_exchange_weak(state, state + 1)) continue;
        seen = state / kLoop;
        own.inside = true;
        if (thread < count_) take_tasks(thread);
        own.inside = false;
        if ((--state_ & (kInside | kOpen)) == 0) left_.notify();
        break;
      }
      own.inside = false;
    }
  }

  std::atomic<std::uint64_t> state_{0};
  Condition opened_, left_;
  bool running_ = false;  // the calling thread's alone
  Threads::Run run_ = nullptr;
  const void* body_ = nullptr;
  int count_ = 0, parts_ = 0;
  Part part_[kMaxParts];
  std::deque<Helper> helpers_;  // they stay where they are
  bool drawn_ = false;          // whether one of them keeps off a core; since then, loops without need for it:
  int calm_ = 0;
};

// A thread's own pool, from its first loop to its end; null if there is no memory for one.
Pool* own_pool() {
  thread_local std::unique_ptr<Pool> pool;
#ifdef PYDARTS_HAS_FORK
  // In a forked child the pool's threads do not exist: it gets another one, and the old one stays as it is.
  static const bool fork_watched = [] {
    pthread_atfork(nullptr, nullptr, [] { (void)pool.release(); });
    return true;
  }();
  (void)fork_watched;
#endif
  try {
    if (!pool) pool = std::make_unique<Pool>();
  } catch (const std::bad_alloc&) {
  }
  return pool.get();
}

int cores() {
#ifdef __linux__
  cpu_set_t set;  // that this process may use
  if (sched_getaffinity(0, sizeof set, &set) == 0) return CPU_COUNT(&set);
#endif
  return int(std::thread::hardware_concurrency());
}

}  // namespace

int default_threads() {
  const char* wanted = std::getenv("OMP_NUM_THREADS");
  const int threads = wanted ? std::atoi(wanted) : 0;
  return std::clamp(threads > 0 ? threads : cores(), 1, kMaxThreads);
}

void run_tasks(const Threads& threads, int tasks, Threads::Run run, const void* body) {
  const int count = std::min(threads.count, tasks);
  if (count > 1 && threads.parallel_for) return threads.parallel_for(threads.context, tasks, run, body);
  Pool* pool = count > 1 ? own_pool() : nullptr;
  if (pool && !pool->running()) return pool->run(count, tasks, run, body);
  for (int task = 0; task < tasks; ++task) run(body, task, 0);
}

}  // namespace pydarts
