// SPDX-License-Identifier: MIT
// Threads that wait for their turn on a core get the calling thread's, and keep off it until all is calm.
#include "check.hpp"
#include "core/parallel.hpp"
#include "core/placement.hpp"

#ifdef __linux__
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

using namespace pydarts;

namespace {

cpu_set_t allowed(int thread) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CHECK(sched_getaffinity(thread, sizeof set, &set) == 0);
  return set;
}

// Whether there are two cores, and the system lets a thread choose.
bool may_choose() {
  const cpu_set_t own = allowed(0);
  return CPU_COUNT(&own) > 1 && sched_setaffinity(0, sizeof own, &own) == 0;
}

void pause() { std::this_thread::sleep_for(std::chrono::milliseconds(1)); }

// The calling thread stays on one core: it is asked where it is more than once.
struct OnOneCore {
  const cpu_set_t before = allowed(0);
  OnOneCore() {
    cpu_set_t here;
    CPU_ZERO(&here);
    CPU_SET(sched_getcpu(), &here);
    CHECK(sched_setaffinity(0, sizeof here, &here) == 0);
  }
  ~OnOneCore() { CHECK(sched_setaffinity(0, sizeof before, &before) == 0); }
};

void test_a_thread_is_moved() {
  const cpu_set_t all = allowed(0);
  Placement placement;
  std::atomic<int> thread{0};
  std::mutex mutex;
  std::condition_variable changed;
  bool over = false;
  std::thread sleeper([&] {
    placement.begin();
    std::unique_lock<std::mutex> lock(mutex);
    thread = int(syscall(SYS_gettid));
    changed.wait(lock, [&] { return over; });
  });
  while (thread == 0) pause();
  {
    std::lock_guard<std::mutex> lock(mutex);  // it sleeps from here on
  }
  placement.look();
  for (int i = 0; i < 20; ++i) pause();
  CHECK(!placement.has_core());

  const OnOneCore here;
  placement.keep_off();  // it was not drawn
  placement.release();
  cpu_set_t set = allowed(thread);
  CHECK(CPU_EQUAL(&set, &all) && !placement.moved());
  for (int i = 0; i < 2; ++i) {
    placement.draw();
    set = allowed(thread);
    CHECK(CPU_COUNT(&set) == 1 && CPU_ISSET(sched_getcpu(), &set) && placement.moved());
    placement.keep_off();
    set = allowed(thread);
    CHECK(CPU_COUNT(&set) == CPU_COUNT(&all) - 1 && !CPU_ISSET(sched_getcpu(), &set));
  }
  placement.release();
  set = allowed(thread);
  CHECK(CPU_EQUAL(&set, &all) && !placement.moved());
  {
    std::lock_guard<std::mutex> lock(mutex);
    over = true;
  }
  changed.notify_all();
  sleeper.join();
}

// Task 1 ends when its thread has been drawn; both tasks are of different threads.
void test_a_loop_draws_who_has_no_core() {
  const cpu_set_t all = allowed(0);
  std::atomic<int> begun{0}, helper{0};
  const auto both_begin = [&](int thread) {
    if (thread > 0) helper = int(syscall(SYS_gettid));
    ++begun;
    while (begun < 2) pause();
  };
  parallel_for(Threads(2), 2, [&](int, int thread) { both_begin(thread); });
  CHECK(helper != 0);
  const OnOneCore here;  // not the helper, which is there by now
  begun = 0;
  parallel_for(Threads(2), 2, [&](int, int thread) {
    both_begin(thread);
    cpu_set_t set = allowed(0);
    for (int i = 0; i < 20000 && thread > 0 && CPU_COUNT(&set) > 1; ++i, set = allowed(0)) pause();
  });
  cpu_set_t set = allowed(helper);
  CHECK(CPU_COUNT(&set) == CPU_COUNT(&all) - 1 && !CPU_ISSET(sched_getcpu(), &set));
  for (int i = 0; i < 1000000 && !CPU_EQUAL(&set, &all); ++i) {
    parallel_for(Threads(2), 2, [](int, int) {});
    set = allowed(helper);
  }
  CHECK(CPU_EQUAL(&set, &all));
}

}  // namespace

int main() {
  if (may_choose()) {
    test_a_thread_is_moved();
    test_a_loop_draws_who_has_no_core();
  }
  return checked();
}
#else
int main() {
  pydarts::Placement placement;
  placement.draw();
  CHECK(placement.has_core() && !placement.moved());
  return checked();
}
#endif
