// SPDX-License-Identifier: MIT
// What the bindings share.
#pragma once
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <thread>
#include <utility>

#include "bilevel/bilevel.hpp"
#include "core/communicator.hpp"
#include "core/error.hpp"

namespace pydarts {

namespace py = pybind11;

template <class T>
using Array = py::array_t<T, py::array::c_style | py::array::forcecast>;
using Integers = Array<std::int32_t>;

using Clock = std::chrono::steady_clock;

// A call was stopped because the deadline of its network had passed.
struct OutOfTime : std::runtime_error {
  OutOfTime() : std::runtime_error("the deadline has passed") {}
};

// Ctrl-C and the deadline are looked for between phases, at most twenty times a second. A signal handler may set the
// deadline of the call that it interrupts.
class Interrupt {
 public:
  explicit Interrupt(const std::optional<Clock::time_point>& deadline) : deadline_(deadline) {}

  bool operator()() {
    const auto now = Clock::now();
    if (now - last_ < std::chrono::milliseconds(50)) return false;
    last_ = now;
    {
      py::gil_scoped_acquire gil;
      if (PyErr_CheckSignals() != 0) return true;
    }
    return deadline_ && Clock::now() >= *deadline_;
  }

 private:
  const std::optional<Clock::time_point>& deadline_;
  Clock::time_point last_ = Clock::now();
};

// A communicator whose functions are Python's. What they raise is left for run() to find.
class PythonCommunicator {
 public:
  PythonCommunicator(int rank, int size, py::function gather, py::function broadcast)
      : rank_(rank), size_(size), gather_(std::move(gather)), broadcast_(std::move(broadcast)) {}

  Communicator communicator() { return {rank_, size_, &gather, &broadcast, this}; }

 private:
  static int gather(void* context, const void* mine, void* all, const std::size_t* bytes) {
    PythonCommunicator& self = *static_cast<PythonCommunicator*>(context);
    return call([&] {
      py::tuple counts(self.size_);
      std::size_t total = 0;
      for (int r = 0; r < self.size_; ++r) {
        counts[r] = bytes[r];
        total += bytes[r];
      }
      self.gather_(py::memoryview::from_memory(mine, py::ssize_t(bytes[self.rank_])),
                   py::memoryview::from_memory(all, py::ssize_t(total)), counts);
    });
  }

  static int broadcast(void* context, void* data, std::size_t bytes, int root) {
    PythonCommunicator& self = *static_cast<PythonCommunicator*>(context);
    return call([&] { self.broadcast_(py::memoryview::from_memory(data, py::ssize_t(bytes)), root); });
  }

  template <class Call>
  static int call(Call function) {
    py::gil_scoped_acquire gil;
    PyObject *type, *value, *traceback;  // of the interrupt check: the other ranks have yet to hear of it
    PyErr_Fetch(&type, &value, &traceback);
    try {
      function();
    } catch (py::error_already_set& error) {
      if (!type) {
        error.restore();
        return 1;
      }
      PyErr_Restore(type, value, traceback);
      return 1;
    }
    PyErr_Restore(type, value, traceback);
    return 0;
  }

  int rank_, size_;
  py::function gather_, broadcast_;
};

template <class Net>
struct Engine {
  template <class... Arguments>
  explicit Engine(Arguments&&... arguments) : network(std::forward<Arguments>(arguments)...) {}
  Net network;
  std::mutex busy;                     // one call at a time
  std::atomic<std::thread::id> owner;  // of the call, if there is one
  std::optional<Clock::time_point> deadline;
  std::optional<PythonCommunicator> communicator;

  void set_deadline(std::optional<double> seconds) {
    deadline.reset();
    if (seconds)
      deadline = Clock::now() + std::chrono::duration_cast<Clock::duration>(
                                    std::chrono::duration<double>(std::min(*seconds, kLongest)));
  }

 private:
  static constexpr double kLongest = 1e9;  // seconds; Clock's own range is not much larger
};

// Marks the thread whose call an engine is in.
class Owned {
 public:
  Owned(std::atomic<std::thread::id>& owner, std::thread::id self) : owner_(owner) { owner_ = self; }
  Owned(const Owned&) = delete;
  ~Owned() { owner_ = std::thread::id(); }

 private:
  std::atomic<std::thread::id>& owner_;
};

// Runs `call` without the GIL; a Python error that the interrupt check met is raised, else OutOfTime.
template <class Net, class Call>
auto run(Engine<Net>& engine, Call call) {
  try {
    py::gil_scoped_release release;
    const std::thread::id self = std::this_thread::get_id();
    require(engine.owner.load() != self, "the network is in a call of this thread: what interrupts that cannot use it");
    std::lock_guard<std::mutex> lock(engine.busy);
    const Owned owned(engine.owner, self);
    engine.network.set_cancel(Interrupt(engine.deadline));
    return call(engine.network);
  } catch (const Cancelled&) {
    if (PyErr_Occurred()) throw py::error_already_set();
    throw OutOfTime();
  } catch (const CommunicationFailed&) {
    if (PyErr_Occurred()) throw py::error_already_set();
    throw;
  }
}

template <class Net>
void use_communicator(Engine<Net>& engine, int rank, int size, const py::function& gather,
                      const py::function& broadcast) {
  engine.communicator.emplace(rank, size, gather, broadcast);
  run(engine, [&](Net& network) { network.use_communicator(engine.communicator->communicator()); });
}

template <class Net>
void leave_communicator(Engine<Net>& engine) {
  run(engine, [](Net& network) { network.use_communicator({}); });
  engine.communicator.reset();
}

// An array over memory that `owner` keeps alive.
template <class T>
py::array_t<T> view(Vector<T>& values, py::handle owner) {
  return py::array_t<T>(py::ssize_t(values.size()), values.data(), owner);
}

inline Difference difference(bool central) { return central ? Difference::central : Difference::forward; }

// The classes and functions over text: recurrent.cpp.
void bind_recurrent(py::module_& m);

// What networks cost: costs.cpp.
void bind_costs(py::module_& m);

}  // namespace pydarts
