// SPDX-License-Identifier: MIT
// Python's view of the engine: checks, releases the GIL, calls. No algorithms.
#include <pybind11/functional.h>
#include <pybind11/stl.h>

#include <map>
#include <optional>

#include "bilevel/network_oracle.hpp"
#include "bindings/engine.hpp"
#include "core/bad_file.hpp"
#include "core/processor.hpp"
#include "kernels/fma.hpp"
#include "network/limits.hpp"

using namespace pydarts;

namespace {

Genotype genotype_of(const std::string& json) { return read_genotype(json.data(), json.size()); }

LossFunction loss_of(const std::string& name, double delta) {
  const std::map<std::string, LossKind> kinds = {{"cross-entropy", LossKind::softmax},
                                                 {"sigmoid", LossKind::sigmoid},
                                                 {"mse", LossKind::squared},
                                                 {"huber", LossKind::huber}};
  const auto found = kinds.find(name);
  require(found != kinds.end(), "`loss` (=", name, ") must be 'cross-entropy', 'sigmoid', 'mse' or 'huber'");
  return {found->second, delta};
}

std::size_t derived_num_weights(const std::string& genotype, int channels, int cells, int classes, int in_channels,
                                const std::string& stem, bool auxiliary, const std::string& loss) {
  NetworkConfig config{channels, cells, classes, in_channels, stem_of(stem)};
  config.loss = loss_of(loss, 1);
  return derived_graph(genotype_of(genotype), config, auxiliary, 0).num_weights;
}

// Labels (N,), or targets (N, classes): floating-point numbers. Either may come as a pair with weights (N,) of the
// samples.
template <class T>
struct Truth {
  explicit Truth(const py::object& given) {
    const bool weighted = py::isinstance<py::tuple>(given);
    if (weighted) weights = py::cast<Array<T>>(py::tuple(given)[1]);
    const auto values = py::cast<py::array>(weighted ? py::object(py::tuple(given)[0]) : given);
    const bool floats = values.dtype().kind() == 'f';
    if (floats) targets = values;
    if (!floats) labels = values;
  }
  Integers labels;
  Array<T> targets;
  std::optional<Array<T>> weights;
};

template <class T>
Batch<T> batch_of(const Network<T>& network, const Array<T>& images) {
  require(images.ndim() == 4, "images must have 4 axes (N, C, H, W), not ", images.ndim());
  check_images(network.graph(), images.shape(0), images.shape(1), images.shape(2), images.shape(3));
  return {images.data(), nullptr, int(images.shape(0)), int(images.shape(2)), int(images.shape(3))};
}

template <class T>
Batch<T> batch_of(const Network<T>& network, const Array<T>& images, const Truth<T>& truth) {
  const Graph& graph = network.graph();
  Batch<T> batch = batch_of(network, images);
  if (truth.weights) {
    require(truth.weights->ndim() == 1 && truth.weights->shape(0) == batch.samples, "there are ", batch.samples,
            " images and ", truth.weights->size(), " weights");
    check_sample_weights(truth.weights->data(), batch.samples);
    batch.sample_weights = truth.weights->data();
  }
  if (truth.targets.size() > 0) {
    require(
        truth.targets.ndim() == 2 && truth.targets.shape(0) == batch.samples && truth.targets.shape(1) == graph.classes,
        "`targets` must have the shape (", batch.samples, ", ", graph.classes, ")");
    check_targets(graph, truth.targets.data(), batch.samples);
    batch.targets = truth.targets.data();
    return batch;
  }
  require(truth.labels.ndim() == 1 && truth.labels.shape(0) == batch.samples, "there are ", batch.samples,
          " images and ", truth.labels.size(), " labels");
  check_labels(graph, truth.labels.data(), batch.samples);
  batch.labels = truth.labels.data();
  return batch;
}

template <class T>
const T* drop_of(const Network<T>& network, const std::optional<Array<T>>& drop, int samples) {
  if (!drop) return nullptr;
  require(drop->ndim() == 2 && drop->shape(0) == network.graph().droppables && drop->shape(1) == samples,
          "`drop_masks` must have the shape (", network.graph().droppables, ", ", samples, ")");
  return drop->data();
}

template <class T>
Mixture<T> mixture_of(const Network<T>& network, const std::optional<Array<T>>& mixing,
                      const std::optional<Array<std::uint8_t>>& active) {
  const std::size_t alphas = network.graph().num_alphas;
  if (!mixing) {
    require(!active, "`active` needs `mixing`");
    return {};
  }
  require(std::size_t(mixing->size()) == alphas, "`mixing` has ", mixing->size(), " entries, not ", alphas);
  check_mixing(mixing->data(), alphas);
  require(!active || std::size_t(active->size()) == alphas, "`active` has ", active ? active->size() : 0,
          " entries, not ", alphas);
  return {mixing->data(), active ? active->data() : nullptr};
}

// Runs the tasks of each loop on the calling thread, and keeps what they took.
class TaskTimes {
 public:
  Threads threads() { return Threads(2, &TaskTimes::run, this); }

  // For each loop the seconds since the one before, and those of its tasks; at last what came after the last one.
  py::list result() {
    loops_.push_back({since_last(), {}});
    py::list list;
    for (const Loop& loop : loops_) list.append(py::make_tuple(loop.before, loop.tasks));
    return list;
  }

 private:
  struct Loop {
    double before;
    std::vector<double> tasks;
  };

  static void run(void* context, int tasks, Threads::Run run, const void* body) {
    TaskTimes& self = *static_cast<TaskTimes*>(context);
    Loop loop{self.since_last(), std::vector<double>(tasks)};
    for (int task = 0; task < tasks; ++task) {
      run(body, task, 0);
      loop.tasks[task] = self.since_last();
    }
    self.loops_.push_back(std::move(loop));
  }

  double since_last() {
    const auto before = std::exchange(last_, Clock::now());
    return std::chrono::duration<double>(last_ - before).count();
  }

  Clock::time_point last_ = Clock::now();
  std::vector<Loop> loops_;
};

template <class T>
void bind(py::module_& m, const std::string& suffix) {
  using Net = Engine<Network<T>>;
  py::class_<Net>(m, ("Network" + suffix).c_str())
      .def_property_readonly("weights", [](py::object self) { return view(self.cast<Net&>().network.weights(), self); })
      .def_property_readonly("alphas", [](py::object self) { return view(self.cast<Net&>().network.alphas(), self); })
      .def_property_readonly("running", [](py::object self) { return view(self.cast<Net&>().network.running(), self); })
      .def_property(
          "noise_step", [](const Net& self) { return self.network.noise_step(); },
          [](Net& self, std::uint64_t step) { self.network.set_noise_step(step); })
      .def_property(
          "skip_weight", [](const Net& self) { return self.network.skip_weight(); },
          [](Net& self, double weight) { self.network.set_skip_weight(weight); })
      .def_property_readonly("threads", [](const Net& self) { return self.network.threads().count; })
      .def("set_deadline", &Net::set_deadline, py::arg("seconds"))
      .def("use_communicator", &use_communicator<Network<T>>, py::arg("rank"), py::arg("size"), py::arg("gather"),
           py::arg("broadcast"))
      .def("leave_communicator", &leave_communicator<Network<T>>)
      .def(
          "record_tasks",
          [](Net& self, const py::function& call) {  // which uses this network, and nobody else does
            require(self.network.threads().count >= 2, "a network of one thread has no tasks");
            const Threads own = self.network.threads();
            TaskTimes times;
            self.network.use_threads(times.threads());
            try {
              call();
            } catch (...) {
              self.network.use_threads(own);
              throw;
            }
            self.network.use_threads(own);
            return times.result();
          },
          py::arg("call"))
      .def_property_readonly("in_channels", [](const Net& self) { return self.network.graph().in_channels; })
      .def_property_readonly("classes", [](const Net& self) { return self.network.graph().classes; })
      .def_property_readonly("droppables", [](const Net& self) { return self.network.graph().droppables; })
      .def_property_readonly("parameters",
                             [](const Net& self) {
                               py::list list;
                               for (const Parameter& p : self.network.graph().parameters)
                                 list.append(py::make_tuple(p.name, py::tuple(py::cast(p.shape)), p.offset, p.size));
                               return list;
                             })
      .def_property_readonly("norms",
                             [](const Net& self) {
                               py::list list;
                               for (const BatchNorm& n : self.network.graph().norms)
                                 list.append(py::make_tuple(n.name, n.channels, n.running));
                               return list;
                             })
      .def_property_readonly("alpha_groups",
                             [](const Net& self) {
                               py::list list;
                               for (const AlphaGroup& g : self.network.graph().alpha_groups)
                                 list.append(py::make_tuple(g.name, g.rows, g.columns, g.offset));
                               return list;
                             })
      .def(
          "memory",
          [](const Net& self, int samples, int height, int width, bool backward) {
            const Graph& graph = self.network.graph();
            check_images(graph, samples, graph.in_channels, height, width);
            const auto memory = self.network.memory(samples, height, width, backward);
            return py::make_tuple(memory.activations, memory.scratch);
          },
          py::arg("samples"), py::arg("height"), py::arg("width"), py::arg("backward"))
      .def(
          "logits",
          [](Net& self, const Array<T>& images, bool training, const std::optional<Array<T>>& mixing,
             const std::optional<Array<std::uint8_t>>& active) {
            require(!self.network.graph().heads.empty(), "a mixed operation has no logits");
            const Batch<T> batch = batch_of(self.network, images);
            const Mixture<T> mixture = mixture_of(self.network, mixing, active);
            py::array_t<T> out({py::ssize_t(batch.samples), py::ssize_t(self.network.graph().classes)});
            T* data = out.mutable_data();
            run(self, [&](Network<T>& network) { network.logits(batch, training, data, mixture); });
            return out;
          },
          py::arg("images"), py::arg("training"), py::arg("mixing") = py::none(), py::arg("active") = py::none())
      .def(
          "evaluate",
          [](Net& self, const Array<T>& images, const py::object& labels, bool weights, bool alphas,
             const std::optional<Array<T>>& drop, const std::optional<Array<T>>& mixing,
             const std::optional<Array<std::uint8_t>>& active) {
            require(!self.network.graph().heads.empty(), "a mixed operation has no loss");
            const Truth<T> truth(labels);
            const Batch<T> batch = batch_of(self.network, images, truth);
            const T* factors = drop_of(self.network, drop, batch.samples);
            const Mixture<T> mixture = mixture_of(self.network, mixing, active);
            const Graph& graph = self.network.graph();
            py::array_t<T> dw(weights ? py::ssize_t(graph.num_weights) : 0);
            py::array_t<T> da(alphas ? py::ssize_t(graph.num_alphas) : 0);
            T* to_w = weights ? dw.mutable_data() : nullptr;
            T* to_a = alphas ? da.mutable_data() : nullptr;
            const Loss loss = run(self, [&](Network<T>& network) {
              return network.evaluate(batch, network.weights().data(), to_w, to_a, factors, mixture);
            });
            return py::make_tuple(loss.value, loss.correct, dw, da);
          },
          py::arg("images"), py::arg("labels"), py::arg("weights"), py::arg("alphas"), py::arg("drop") = py::none(),
          py::arg("mixing") = py::none(), py::arg("active") = py::none())
      .def(
          "forward",
          [](Net& self, const Array<T>& images) {
            const Batch<T> batch = batch_of(self.network, images);
            const auto& states = self.network.graph().states;
            const Plan plan(self.network.graph(), batch.samples, batch.height, batch.width, false, false);
            py::array_t<T> out({py::ssize_t(batch.samples), py::ssize_t(states.back().channels.count()),
                                py::ssize_t(plan.states.back().h), py::ssize_t(plan.states.back().w)});
            T* data = out.mutable_data();
            run(self, [&](Network<T>& network) { network.forward(batch, network.weights().data(), data); });
            return out;
          },
          py::arg("images"))
      .def(
          "backward",
          [](Net& self, const Array<T>& images, const Array<T>& d_output) {
            const Batch<T> batch = batch_of(self.network, images);
            const Graph& graph = self.network.graph();
            const Plan plan(graph, batch.samples, batch.height, batch.width, false, false);
            require(d_output.ndim() == 4 && d_output.shape(0) == images.shape(0) &&
                        d_output.shape(1) == graph.states.back().channels.count() &&
                        d_output.shape(2) == plan.states.back().h && d_output.shape(3) == plan.states.back().w,
                    "the output gradient does not have the output's shape");
            py::array_t<T> dw(py::ssize_t(graph.num_weights)), da(py::ssize_t(graph.num_alphas));
            py::array_t<T> dx(std::vector<py::ssize_t>(images.shape(), images.shape() + 4));
            T *to_w = dw.mutable_data(), *to_a = da.mutable_data(), *to_x = dx.mutable_data();
            const T* from = d_output.data();
            run(self, [&](Network<T>& network) {
              network.backward(batch, network.weights().data(), from, to_w, to_a, to_x);
            });
            return py::make_tuple(dx, dw, da);
          },
          py::arg("images"), py::arg("d_output"));

  m.def(("arch_gradient" + suffix).c_str(),
        [](Net& net, const Array<T>& x, const py::object& y, const Array<T>& xv, const py::object& yv, int order,
           double eta, double momentum, const std::optional<Array<T>>& buffer, double weight_decay, double epsilon,
           bool central) {
          const Truth<T> train(y), valid(yv);
          const SearchBatches<T> batches{batch_of(net.network, x, train), batch_of(net.network, xv, valid)};
          const Graph& graph = net.network.graph();
          require(!buffer || std::size_t(buffer->size()) == graph.num_weights, "`momentum_buffer` has ",
                  buffer ? buffer->size() : 0, " entries, not ", graph.num_weights);
          py::array_t<T> out(py::ssize_t(graph.num_alphas));
          T* to = out.mutable_data();
          const T* from = buffer ? buffer->data() : nullptr;
          run(net, [&](Network<T>& network) {
            Workspace<T> workspace;
            arch_gradient(oracle_of(network, batches), network.weights().data(), from,
                          {order, eta, momentum, weight_decay, epsilon, difference(central)}, to, workspace);
          });
          return out;
        },
        py::arg("net"), py::arg("x"), py::arg("y"), py::arg("x_valid"), py::arg("y_valid"), py::arg("order"),
        py::arg("eta"), py::arg("momentum"), py::arg("momentum_buffer"), py::arg("weight_decay"), py::arg("epsilon"),
        py::arg("central"));

  using Step = BilevelStep<T>;
  py::class_<Step>(m, ("BilevelStep" + suffix).c_str())
      .def(py::init([](const Net& net, int order, double momentum, double weight_decay, double clip, double alpha_lr,
                       double beta1, double beta2, double alpha_weight_decay, double epsilon, bool central,
                       bool reuse_gradient) {
             const Graph& graph = net.network.graph();
             const Vector<T> zeros(graph.num_alphas, T(0));
             return std::make_unique<Step>(UnrolledStep{order, 0, momentum, weight_decay, epsilon, difference(central)},
                                           reuse_gradient,
                                           WeightStep<T>(momentum, weight_decay, clip, graph.num_weights),
                                           Adam<T>{alpha_lr, beta1, beta2, alpha_weight_decay, zeros, zeros, 0});
           }),
           py::arg("net"), py::arg("order"), py::arg("momentum"), py::arg("weight_decay"), py::arg("clip"),
           py::arg("alpha_lr"), py::arg("beta1"), py::arg("beta2"), py::arg("alpha_weight_decay"), py::arg("epsilon"),
           py::arg("central"), py::arg("reuse_gradient"))
      .def_property_readonly("buffer", [](py::object self) { return view(self.cast<Step&>().weights().buffer, self); })
      .def_property_readonly("first", [](py::object self) { return view(self.cast<Step&>().adam().first, self); })
      .def_property_readonly("second", [](py::object self) { return view(self.cast<Step&>().adam().second, self); })
      .def_property(
          "steps", [](Step& self) { return self.adam().steps; },
          [](Step& self, long long steps) { self.adam().steps = steps; })
      .def(
          "__call__",
          [](Step& self, Net& net, const Array<T>& x, const py::object& y, const Array<T>& xv, const py::object& yv,
             double lr) {
            const Truth<T> train(y), valid(yv);
            const SearchBatches<T> batches{batch_of(net.network, x, train), batch_of(net.network, xv, valid)};
            const auto info = run(net, [&](Network<T>& network) {
              const auto result =
                  self(oracle_of(network, batches), network.weights().data(), network.alphas().data(), lr);
              network.update_running();
              return result;
            });
            return py::make_tuple(info.train.value, info.valid.value, info.train.correct, info.valid.correct,
                                  info.gradient_norm, info.alpha_gradient_norm);
          },
          py::arg("net"), py::arg("x"), py::arg("y"), py::arg("x_valid"), py::arg("y_valid"), py::arg("lr"));

  using Optimizer = WeightStep<T>;
  py::class_<Optimizer>(m, ("WeightStep" + suffix).c_str())
      .def(py::init([](const Net& net, double momentum, double weight_decay, double clip) {
             return std::make_unique<Optimizer>(momentum, weight_decay, clip, net.network.graph().num_weights);
           }),
           py::arg("net"), py::arg("momentum"), py::arg("weight_decay"), py::arg("clip"))
      .def_property_readonly("buffer", [](py::object self) { return view(self.cast<Optimizer&>().buffer, self); })
      .def(
          "__call__",
          [](Optimizer& self, Net& net, const Array<T>& x, const py::object& y, double lr,
             const std::optional<Array<T>>& drop, const std::optional<Array<T>>& mixing,
             const std::optional<Array<std::uint8_t>>& active) {
            const Truth<T> truth(y);
            const Batch<T> batch = batch_of(net.network, x, truth);
            const SearchBatches<T> batches{batch, batch, drop_of(net.network, drop, batch.samples),
                                           mixture_of(net.network, mixing, active)};
            double norm = 0;
            const Loss loss = run(net, [&](Network<T>& network) {
              const Loss result = self(oracle_of(network, batches), network.weights().data(), lr, &norm);
              network.update_running();
              return result;
            });
            return py::make_tuple(loss.value, loss.correct, norm);
          },
          py::arg("net"), py::arg("x"), py::arg("y"), py::arg("lr"), py::arg("drop") = py::none(),
          py::arg("mixing") = py::none(), py::arg("active") = py::none());

  m.def(("hessian_vector_product" + suffix).c_str(),
        [](const std::function<Array<T>(py::array_t<T>)>& gradient, const Array<T>& w, const Array<T>& v,
           double epsilon) {
          require(w.ndim() == 1 && v.ndim() == 1 && w.size() == v.size(), "`w` and `v` must be flat and equally long");
          const std::size_t n = std::size_t(w.size());
          const Array<T> probe = gradient(py::array_t<T>(w.size(), w.data()));
          require(probe.ndim() == 1, "the gradient must be a flat array, not one of ", probe.ndim(), " axes");
          py::array_t<T> out(probe.size());
          Workspace<T> workspace;
          hessian_vector_product<T>(
              [&](const T* at, T* to) {
                const Array<T> g = gradient(py::array_t<T>(py::ssize_t(n), at));
                require(g.ndim() == 1 && g.size() == out.size(), "the gradient changed its shape");
                std::copy(g.data(), g.data() + g.size(), to);
              },
              w.data(), v.data(), n, std::size_t(out.size()), epsilon, out.mutable_data(), 1, workspace);
          return out;
        },
        py::arg("gradient"), py::arg("w"), py::arg("v"), py::arg("epsilon"));

  m.def(("supernet" + suffix).c_str(),
        [](const std::string& space, int channels, int cells, int classes, int in_channels, const std::string& stem,
           bool auxiliary_skip, int partial_channels, bool recompute, const std::string& loss, double huber_delta,
           std::uint64_t seed, int threads) {
          const NetworkConfig config{channels,      cells,          classes,          in_channels,
                                     stem_of(stem), auxiliary_skip, partial_channels, loss_of(loss, huber_delta)};
          return std::make_unique<Net>(supernet_graph(read_space(space.data(), space.size()), config), seed,
                                       Environment{threads}, recompute);
        },
        py::arg("space"), py::arg("channels"), py::arg("cells"), py::arg("classes"), py::arg("in_channels"),
        py::arg("stem"), py::arg("auxiliary_skip"), py::arg("partial_channels"), py::arg("recompute"), py::arg("loss"),
        py::arg("huber_delta"), py::arg("seed"), py::arg("threads"));
  m.def(("derived" + suffix).c_str(),
        [](const std::string& genotype, int channels, int cells, int classes, int in_channels, const std::string& stem,
           bool auxiliary, double auxiliary_weight, bool recompute, const std::string& loss, double huber_delta,
           std::uint64_t seed, int threads) {
          NetworkConfig config{channels, cells, classes, in_channels, stem_of(stem)};
          config.loss = loss_of(loss, huber_delta);
          return std::make_unique<Net>(derived_graph(genotype_of(genotype), config, auxiliary, auxiliary_weight), seed,
                                       Environment{threads}, recompute);
        },
        py::arg("genotype"), py::arg("channels"), py::arg("cells"), py::arg("classes"), py::arg("in_channels"),
        py::arg("stem"), py::arg("auxiliary"), py::arg("auxiliary_weight"), py::arg("recompute"), py::arg("loss"),
        py::arg("huber_delta"), py::arg("seed"), py::arg("threads"));
  m.def(("mixed_operation" + suffix).c_str(),
        [](const std::string& operations, int channels, int stride, int dimensions, std::uint64_t seed, int threads) {
          const Json json = parse_json(operations.data(), operations.size());
          return std::make_unique<Net>(
              mixed_operation_graph(read_operations(json, dimensions), channels, stride, dimensions), seed,
              Environment{threads});
        },
        py::arg("operations"), py::arg("channels"), py::arg("stride"), py::arg("dimensions"), py::arg("seed"),
        py::arg("threads"));
}

}  // namespace

PYBIND11_MODULE(_core, m) {
  m.doc() = "The engine of pydarts; the public names are in the package above.";
  py::register_exception<InvalidArgument>(m, "InvalidArgument", PyExc_ValueError);
  py::register_exception<BadFile>(m, "BadFile", PyExc_ValueError);
  py::register_exception<NonFinite>(m, "NonFinite", PyExc_ArithmeticError);
  py::register_exception<OutOfTime>(m, "OutOfTime");
  m.attr("__version__") = PYDARTS_VERSION;
  m.def("default_threads", &default_threads);
  m.def("instruction_set", [] { return instruction_set().name; });
  m.def("instruction_sets", [] {
    int count = 0;
    const InstructionSet* sets = instruction_sets(&count);
    std::vector<std::pair<std::string, bool>> list;
    for (int i = 0; i < count; ++i) list.emplace_back(sets[i].name, sets[i].supported);
    return list;
  });
  m.def("full_width_512", [] { return full_width_512(processor()); });
  m.def("processor", [] {
    const Processor& here = processor();
    return py::make_tuple(here.vendor, here.family, here.model);
  });
  m.def(
      "fma_peak",
      [](int threads) {
        require(threads >= 1 && threads <= kMaxThreads, "`threads` (=", threads, ") must lie in 1..", kMaxThreads);
        std::map<int, double> peaks;
        for (const FmaKernel& kernel : fma_kernels()) {
          {
            py::gil_scoped_release release;
            peaks[kernel.bits] = fma_peak(kernel, threads);
          }
          if (PyErr_CheckSignals() != 0) throw py::error_already_set();
        }
        return peaks;
      },
      py::arg("threads"));
  m.def("derived_num_weights", &derived_num_weights, py::arg("genotype"), py::arg("channels"), py::arg("cells"),
        py::arg("classes"), py::arg("in_channels"), py::arg("stem"), py::arg("auxiliary"), py::arg("loss"));
  bind<float>(m, "32");
  bind<double>(m, "64");
  bind_recurrent(m);
  bind_costs(m);
}
