// SPDX-License-Identifier: MIT
// What the bindings share.
#pragma once
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <chrono>
#include <mutex>
#include <utility>

#include "bilevel/bilevel.hpp"
#include "core/error.hpp"

namespace pydarts {

namespace py = pybind11;

template <class T>
using Array = py::array_t<T, py::array::c_style | py::array::forcecast>;
using Integers = Array<std::int32_t>;

// Ctrl-C is looked for between phases, at most twenty times a second.
class Interrupt {
 public:
  bool operator()() {
    const auto now = std::chrono::steady_clock::now();
    if (now - last_ < std::chrono::milliseconds(50)) return false;
    last_ = now;
    py::gil_scoped_acquire gil;
    return PyErr_CheckSignals() != 0;
  }

 private:
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

template <class Net>
struct Engine {
  template <class... Arguments>
  explicit Engine(Arguments&&... arguments) : network(std::forward<Arguments>(arguments)...) {}
  Net network;
  std::mutex busy;  // one call at a time
};

// Runs `call` without the GIL; a Python error that the interrupt check met is raised.
template <class Net, class Call>
auto run(Engine<Net>& engine, Call call) {
  try {
    py::gil_scoped_release release;
    std::lock_guard<std::mutex> lock(engine.busy);
    engine.network.set_cancel(Interrupt());
    return call(engine.network);
  } catch (const Cancelled&) {
    throw py::error_already_set();
  }
}

// An array over memory that `owner` keeps alive.
template <class T>
py::array_t<T> view(Vector<T>& values, py::handle owner) {
  return py::array_t<T>(py::ssize_t(values.size()), values.data(), owner);
}

inline Difference difference(bool central) { return central ? Difference::central : Difference::forward; }

// The classes and functions over text: recurrent.cpp.
void bind_recurrent(py::module_& m);

}  // namespace pydarts
