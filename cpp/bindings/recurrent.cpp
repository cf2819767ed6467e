// SPDX-License-Identifier: MIT
// Python's view of the recurrent engine.
#include "recurrent/recurrent.hpp"

#include <pybind11/stl.h>

#include <map>
#include <optional>

#include "bilevel/recurrent_oracle.hpp"
#include "bindings/engine.hpp"
#include "core/vector.hpp"
#include "network/limits.hpp"

namespace pydarts {
namespace {

template <class T>
using Masks = std::map<std::string, Array<T>>;

template <class T>
Segment<T> segment_of(const RecurrentNetwork<T>& network, const Integers& x, const Integers& y,
                      const Array<T>& hidden) {
  require(x.ndim() == 2 && x.shape(0) >= 1 && x.shape(1) >= 1, "`x` must have the axes (length, batch)");
  require(y.ndim() == 2 && y.shape(0) == x.shape(0) && y.shape(1) == x.shape(1), "`x` and `y` differ in shape");
  require(hidden.ndim() == 2 && hidden.shape(0) == x.shape(1) && hidden.shape(1) == network.hidden(),
          "`hidden` must have the shape (", x.shape(1), ", ", network.hidden(), ")");
  require(x.size() < (1 << 26), "`x` is too large");
  for (const Integers* tokens : {&x, &y})
    for (py::ssize_t i = 0; i < tokens->size(); ++i)
      require(tokens->data()[i] >= 0 && tokens->data()[i] < network.vocabulary(), "token ", tokens->data()[i],
              " is not in 0..", network.vocabulary() - 1);
  return {x.data(), y.data(), hidden.data(), int(x.shape(0)), int(x.shape(1))};
}

template <class T>
std::optional<DropoutMasks<T>> masks_of(const RecurrentNetwork<T>& network, const std::optional<Masks<T>>& given,
                                        int batch) {
  if (!given) return std::nullopt;
  DropoutMasks<T> masks{};
  for (const auto& [name, mask] : *given) {
    require(mask.ndim() == 2 && mask.shape(0) == batch && mask.shape(1) == network.hidden(), "`masks`['", name,
            "'] must have the shape (", batch, ", ", network.hidden(), ")");
    const T** place = name == "output"      ? &masks.output
                      : name == "hidden"    ? &masks.hidden
                      : name == "input"     ? &masks.input
                      : name == "embedding" ? &masks.embedding
                                            : nullptr;
    require(place != nullptr, "`masks` holds '", name, "'; it may hold output, hidden, input, embedding");
    *place = mask.data();
  }
  return masks;
}

// The mixing weights, or null.
template <class T>
const T* mixing_of(const RecurrentNetwork<T>& network, const std::optional<Array<T>>& mixing) {
  if (!mixing) return nullptr;
  require(std::size_t(mixing->size()) == network.num_alphas(), "`mixing` has ", mixing->size(), " entries, not ",
          network.num_alphas());
  check_mixing(mixing->data(), network.num_alphas());
  return mixing->data();
}

template <class T>
py::array_t<T> hidden_array(const std::vector<T>& values, int hidden) {
  py::array_t<T> out({py::ssize_t(values.size()) / hidden, py::ssize_t(hidden)});
  std::copy(values.begin(), values.end(), out.mutable_data());
  return out;
}

template <class T>
struct SearchStep {
  BilevelStep<T> step;
  Regularisation regularisation;
  bool shared_masks;
};

template <class T>
struct Descent {
  WeightStep<T> step;
  Regularisation regularisation;
};

template <class T>
void bind(py::module_& m, const std::string& suffix) {
  using Recurrent = RecurrentNetwork<T>;
  using Net = Engine<Recurrent>;
  py::class_<Net>(m, ("RecurrentNetwork" + suffix).c_str())
      .def(py::init([](const std::optional<std::vector<std::pair<int, int>>>& cell, const std::vector<int>& outputs,
                       int nodes, int vocabulary, int hidden, double output, double hidden_dropout, double input,
                       double embedding, std::uint64_t seed, int threads) {
             RecurrentCell built = RecurrentCell::supernet(nodes);
             if (cell) {
               built = {{}, outputs, false};
               for (const auto& [activation, source] : *cell) built.nodes.push_back({source, 1, activation});
             }
             return std::make_unique<Net>(std::move(built), vocabulary, hidden,
                                          Dropout{output, hidden_dropout, input, embedding}, seed, threads);
           }),
           py::arg("cell"), py::arg("outputs"), py::arg("nodes"), py::arg("vocabulary"), py::arg("hidden"),
           py::arg("output_dropout"), py::arg("hidden_dropout"), py::arg("input_dropout"), py::arg("embedding_dropout"),
           py::arg("seed"), py::arg("threads"))
      .def_property_readonly("weights", [](py::object self) { return view(self.cast<Net&>().network.weights(), self); })
      .def_property_readonly("alphas", [](py::object self) { return view(self.cast<Net&>().network.alphas(), self); })
      .def_property_readonly("running", [](py::object self) { return view(self.cast<Net&>().network.running(), self); })
      .def_property_readonly("threads", [](const Net& self) { return self.network.threads().count; })
      .def("set_deadline", &Net::set_deadline, py::arg("seconds"))
      .def("use_communicator", &use_communicator<Recurrent>, py::arg("rank"), py::arg("size"), py::arg("gather"),
           py::arg("broadcast"))
      .def("leave_communicator", &leave_communicator<Recurrent>)
      .def_property(
          "stream", [](Net& self) { return self.network.random().state(); },
          [](Net& self, std::uint64_t state) { self.network.random() = Random(state); })
      .def_property_readonly("vocabulary", [](const Net& self) { return self.network.vocabulary(); })
      .def_property_readonly("hidden", [](const Net& self) { return self.network.hidden(); })
      .def_property_readonly("parameters",
                             [](const Net& self) {
                               py::list list;
                               for (const auto& p : self.network.parameters()) {
                                 std::vector<int> shape{p.rows};
                                 if (p.columns) shape.push_back(p.columns);
                                 list.append(py::make_tuple(p.name, py::tuple(py::cast(shape)), p.offset, p.size));
                               }
                               return list;
                             })
      .def_property_readonly("norms",
                             [](const Net& self) {
                               py::list list;
                               if (self.network.cell().search)
                                 list.append(py::make_tuple("rnns.0.bn", self.network.hidden(), 0));
                               return list;
                             })
      .def_property_readonly("alpha_groups",
                             [](const Net& self) {
                               py::list list;
                               const std::size_t columns = 1 + kActivations, alphas = self.network.num_alphas();
                               if (alphas) list.append(py::make_tuple("recurrent", alphas / columns, columns, 0));
                               return list;
                             })
      .def(
          "memory",
          [](const Net& self, int length, int batch, bool backward) {
            return self.network.memory(length, batch, backward);
          },
          py::arg("length"), py::arg("batch"), py::arg("backward"))
      .def(
          "evaluate",
          [](Net& self, const Integers& x, const Integers& y, const Array<T>& hidden, bool weights, bool alphas,
             const std::optional<Masks<T>>& masks, double activation, double slowness,
             const std::optional<Array<T>>& mixing) {
            const Segment<T> segment = segment_of(self.network, x, y, hidden);
            const T* mixture = mixing_of(self.network, mixing);
            const auto given = masks_of(self.network, masks, segment.batch);
            py::array_t<T> dw(weights ? py::ssize_t(self.network.weights().size()) : 0);
            py::array_t<T> da(alphas ? py::ssize_t(self.network.alphas().size()) : 0);
            T* to_w = weights ? dw.mutable_data() : nullptr;
            T* to_a = alphas ? da.mutable_data() : nullptr;
            std::vector<T> last;
            const Loss loss = run(self, [&](Recurrent& network) {
              const Loss result = network.evaluate(segment, network.weights().data(), to_w, to_a,
                                                   given ? &*given : nullptr, {activation, slowness}, mixture);
              last = network.last_hidden();
              return result;
            });
            return py::make_tuple(loss.value, loss.correct, dw, da, hidden_array(last, self.network.hidden()));
          },
          py::arg("x"), py::arg("y"), py::arg("hidden"), py::arg("weights"), py::arg("alphas"), py::arg("masks"),
          py::arg("activation"), py::arg("slowness"), py::arg("mixing") = py::none())
      .def(
          "test",
          [](Net& self, const Integers& x, const Integers& y, const Array<T>& hidden,
             const std::optional<Array<T>>& mixing) {
            const Segment<T> segment = segment_of(self.network, x, y, hidden);
            const T* mixture = mixing_of(self.network, mixing);
            std::vector<T> last;
            const Loss loss = run(self, [&](Recurrent& network) {
              const Loss result = network.test(segment, mixture);
              last = network.last_hidden();
              return result;
            });
            return py::make_tuple(loss.value, loss.correct, hidden_array(last, self.network.hidden()));
          },
          py::arg("x"), py::arg("y"), py::arg("hidden"), py::arg("mixing") = py::none())
      .def(
          "next",
          [](Net& self, const Integers& x, const Array<T>& hidden) {
            require(x.ndim() == 2 && x.shape(0) == 1, "`x` must have the axes (1, batch)");
            require(x.size() <= kDecoderRows, "`x` holds more than ", kDecoderRows, " sequences");
            const Segment<T> segment = segment_of(self.network, x, x, hidden);
            std::vector<T> last;
            py::array_t<T> out({py::ssize_t(segment.batch), py::ssize_t(self.network.vocabulary())});
            T* to = out.mutable_data();
            run(self, [&](Recurrent& network) {
              network.next_probabilities(segment, to);
              last = network.last_hidden();
            });
            return py::make_tuple(out, hidden_array(last, self.network.hidden()));
          },
          py::arg("x"), py::arg("hidden"));

  m.def(
      ("recurrent_arch_gradient" + suffix).c_str(),
      [](Net& net, const Integers& x, const Integers& y, const Array<T>& hidden, const Integers& xv, const Integers& yv,
         const Array<T>& hidden_valid, int order, double eta, double momentum, const std::optional<Array<T>>& buffer,
         double weight_decay, double epsilon, bool central, double clip, bool capped, bool moved, bool shared_masks) {
        const Segment<T> train = segment_of(net.network, x, y, hidden);
        const Segment<T> valid = segment_of(net.network, xv, yv, hidden_valid);
        require(!buffer || std::size_t(buffer->size()) == net.network.weights().size(), "`momentum_buffer` has ",
                buffer ? buffer->size() : 0, " entries, not ", net.network.weights().size());
        py::array_t<T> out(py::ssize_t(net.network.alphas().size()));
        T* to = out.mutable_data();
        const T* from = buffer ? buffer->data() : nullptr;
        run(net, [&](Recurrent& network) {
          Workspace<T> workspace;
          const std::size_t fixed = moved ? 0 : network.parameters()[0].size;
          SearchSegments<T> segments{train, valid, {}, shared_masks};
          arch_gradient(oracle_of(network, segments), network.weights().data(), from,
                        {order, eta, momentum, weight_decay, epsilon, difference(central), clip, capped, fixed}, to,
                        workspace);
        });
        return out;
      },
      py::arg("net"), py::arg("x"), py::arg("y"), py::arg("hidden"), py::arg("x_valid"), py::arg("y_valid"),
      py::arg("hidden_valid"), py::arg("order"), py::arg("eta"), py::arg("momentum"), py::arg("momentum_buffer"),
      py::arg("weight_decay"), py::arg("epsilon"), py::arg("central"), py::arg("clip"), py::arg("capped"),
      py::arg("moved"), py::arg("shared_masks"));

  using Step = SearchStep<T>;
  py::class_<Step>(m, ("RecurrentBilevelStep" + suffix).c_str())
      .def(py::init([](const Net& net, int order, double momentum, double weight_decay, double clip, double alpha_lr,
                       double beta1, double beta2, double alpha_weight_decay, double epsilon, bool central,
                       bool reuse_gradient, bool capped, bool moved, bool shared_masks, double activation,
                       double slowness) {
             const Recurrent& network = net.network;
             const std::size_t fixed = moved ? 0 : network.parameters()[0].size;
             const Vector<T> zeros(network.num_alphas(), T(0));
             return std::make_unique<Step>(Step{
                 BilevelStep<T>(
                     UnrolledStep{order, 0, momentum, weight_decay, epsilon, difference(central), clip, capped, fixed},
                     reuse_gradient, WeightStep<T>(momentum, weight_decay, clip, network.num_weights()),
                     Adam<T>{alpha_lr, beta1, beta2, alpha_weight_decay, zeros, zeros, 0}),
                 {activation, slowness},
                 shared_masks});
           }),
           py::arg("net"), py::arg("order"), py::arg("momentum"), py::arg("weight_decay"), py::arg("clip"),
           py::arg("alpha_lr"), py::arg("beta1"), py::arg("beta2"), py::arg("alpha_weight_decay"), py::arg("epsilon"),
           py::arg("central"), py::arg("reuse_gradient"), py::arg("capped"), py::arg("moved"), py::arg("shared_masks"),
           py::arg("activation"), py::arg("slowness"))
      .def_property_readonly("buffer",
                             [](py::object self) { return view(self.cast<Step&>().step.weights().buffer, self); })
      .def_property_readonly("first", [](py::object self) { return view(self.cast<Step&>().step.adam().first, self); })
      .def_property_readonly("second",
                             [](py::object self) { return view(self.cast<Step&>().step.adam().second, self); })
      .def_property(
          "steps", [](Step& self) { return self.step.adam().steps; },
          [](Step& self, long long steps) { self.step.adam().steps = steps; })
      .def(
          "__call__",
          [](Step& self, Net& net, const Integers& x, const Integers& y, const Array<T>& hidden, const Integers& xv,
             const Integers& yv, const Array<T>& hidden_valid, double lr) {
            const Segment<T> train = segment_of(net.network, x, y, hidden);
            const Segment<T> valid = segment_of(net.network, xv, yv, hidden_valid);
            std::vector<T> after(hidden.size()), after_valid(hidden_valid.size());
            SearchSegments<T> segments{train,   valid,        self.regularisation, self.shared_masks,
                                       nullptr, after.data(), after_valid.data()};
            const auto info = run(net, [&](Recurrent& network) {
              const auto result =
                  self.step(oracle_of(network, segments), network.weights().data(), network.alphas().data(), lr);
              network.update_running();
              return result;
            });
            return py::make_tuple(info.train.value, info.valid.value, info.train.correct, info.valid.correct,
                                  info.gradient_norm, info.alpha_gradient_norm,
                                  hidden_array(after, net.network.hidden()),
                                  hidden_array(after_valid, net.network.hidden()));
          },
          py::arg("net"), py::arg("x"), py::arg("y"), py::arg("hidden"), py::arg("x_valid"), py::arg("y_valid"),
          py::arg("hidden_valid"), py::arg("lr"));

  using Optimizer = Descent<T>;
  py::class_<Optimizer>(m, ("RecurrentWeightStep" + suffix).c_str())
      .def(py::init([](const Net& net, double momentum, double weight_decay, double clip, double activation,
                       double slowness) {
             return std::make_unique<Optimizer>(Optimizer{
                 WeightStep<T>(momentum, weight_decay, clip, net.network.num_weights()), {activation, slowness}});
           }),
           py::arg("net"), py::arg("momentum"), py::arg("weight_decay"), py::arg("clip"), py::arg("activation"),
           py::arg("slowness"))
      .def_property_readonly("buffer", [](py::object self) { return view(self.cast<Optimizer&>().step.buffer, self); })
      .def(
          "__call__",
          [](Optimizer& self, Net& net, const Integers& x, const Integers& y, const Array<T>& hidden, double lr,
             const std::optional<Array<T>>& mixing) {
            const Segment<T> segment = segment_of(net.network, x, y, hidden);
            const T* mixture = mixing_of(net.network, mixing);
            std::vector<T> after(hidden.size());
            SearchSegments<T> segments{segment, segment, self.regularisation, false, mixture, after.data()};
            double norm = 0;
            const Loss loss = run(net, [&](Recurrent& network) {
              const Loss result = self.step(oracle_of(network, segments), network.weights().data(), lr, &norm);
              network.update_running();
              return result;
            });
            return py::make_tuple(loss.value, loss.correct, norm, hidden_array(after, net.network.hidden()));
          },
          py::arg("net"), py::arg("x"), py::arg("y"), py::arg("hidden"), py::arg("lr"), py::arg("mixing") = py::none());

  m.def(("blend" + suffix).c_str(),
        [](py::array_t<T, py::array::c_style> to, const Array<T>& from, double weight, int threads) {
          require(to.size() == from.size(), "`to` and `from` differ in size");
          blend(threads, to.mutable_data(), from.data(), std::size_t(from.size()), weight);
        },
        py::arg("to").noconvert(), py::arg("from_"), py::arg("weight"), py::arg("threads"));
}

}  // namespace

void bind_recurrent(py::module_& m) {
  bind<float>(m, "32");
  bind<double>(m, "64");
}

}  // namespace pydarts
