// SPDX-License-Identifier: MIT
#include "capi/text_description.hpp"

#include <algorithm>
#include <limits>
#include <locale>
#include <sstream>
#include <unordered_set>

#include "core/bad_file.hpp"

namespace pydarts {
namespace {

using Kind = Json::Kind;

constexpr const char* kFormat = "pydarts-language-model";
constexpr int kVersion = 1;
constexpr int kMostHidden = 1 << 14;
constexpr std::size_t kMostWords = 1 << 20, kMostCharacters = 1 << 16;

double rate(const Json& config, const char* name) {
  const double value = config.at(name, Kind::number).number;
  require_file(value >= 0 && value < 1, "`", name, "` (=", value, ") must lie in [0, 1)");
  return value;
}

// One character in UTF-8, or one word. White space beyond ASCII is not looked for.
bool is_token(const std::string& text, bool word) {
  if (word) return !text.empty() && text.find_first_of(" \t\n\v\f\r") == std::string::npos;
  const auto begins = [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; };
  return std::count_if(text.begin(), text.end(), begins) == 1 || text == "<unk>";
}

// What Python's TextTrainConfig wants of a network that came from no file of its own.
std::string usual_config(const TextDescription& d) {
  std::ostringstream out;
  out.imbue(std::locale::classic());
  out.precision(std::numeric_limits<double>::max_digits10);
  out << "{\"preset\": \"paper\", \"hidden_size\": " << d.hidden
      << ", \"epochs\": 3600, \"batch_size\": 64, \"bptt\": 35, \"lr\": 20.0, \"weight_decay\": 8e-07, "
         "\"max_grad_norm\": 0.25, \"patience\": 5, \"dropout\": "
      << d.dropout.output << ", \"dropout_hidden\": " << d.dropout.hidden << ", \"dropout_input\": " << d.dropout.input
      << ", \"dropout_embedding\": " << d.dropout.embedding
      << ", \"ar\": 0.0, \"tar\": 0.001, \"restore_best_weights\": true, \"seed\": 0}";
  return out.str();
}

}  // namespace

RecurrentCell derived_cell(const CellGenotype& genotype) {
  RecurrentCell cell{{}, {}, false};
  for (const auto& [name, input] : genotype.operations) cell.nodes.push_back({input, 1, recurrent_activation(name)});
  for (int node : genotype.concat) cell.outputs.push_back(node - 1);
  return cell;
}

void read_vocabulary(const Json& json, TextDescription& d) {
  d.level = json.at("level", Kind::string).text;
  const bool words = d.level == "word";
  require_file(words || d.level == "char", "`level` (=", d.level.substr(0, 40), ") must be 'word' or 'char'");
  const std::vector<Json>& tokens = json.at("tokens", Kind::array).items;
  const std::size_t most = words ? kMostWords : kMostCharacters;
  require_file(tokens.size() >= 2 && tokens.size() <= most, "`tokens` has ", tokens.size(), " entries, not 2 to ",
               most);
  std::unordered_set<std::string> seen;
  for (const Json& token : tokens) {
    require_file(token.kind == Kind::string, "`tokens` holds what is no text");
    require_file(is_token(token.text, words), "`tokens` holds '", token.text.substr(0, 40), "', which is not one ",
                 words ? "word" : "character");
    require_file(seen.insert(token.text).second, "`tokens` holds '", token.text.substr(0, 40), "' twice");
    d.tokens.push_back(token.text);
  }
  require_file(seen.count("<unk>"), "`tokens` lacks '<unk>'");
  require_file(!words || seen.count("<eos>"), "`tokens` lacks '<eos>'");
}

TextDescription read_text_description(const char* text, std::size_t size) {
  require_file(size <= kMaxTextDescription, "it has ", size, " bytes, more than ", kMaxTextDescription);
  const Json json = parse_json(text, size);
  const Json* format = json.find("format");
  require_file(format && format->kind == Kind::string && format->text == kFormat,
               "it is not the description of a pydarts language model");
  json.at("version", Kind::number).integer("version", kVersion, kVersion);
  TextDescription d;
  d.config = json.at("config", Kind::object);
  d.history = json.at("history", Kind::array);
  d.hidden = int(d.config.at("hidden_size", Kind::number).integer("hidden_size", 1, kMostHidden));
  d.dropout = {rate(d.config, "dropout"), rate(d.config, "dropout_hidden"), rate(d.config, "dropout_input"),
               rate(d.config, "dropout_embedding")};
  d.genotype = read_recurrent_genotype(json.at("genotype", Kind::object));
  read_vocabulary(json, d);
  return d;
}

std::string write_text_description(const TextDescription& d) {
  std::string out = text("{\"format\": \"", kFormat, "\", \"version\": ", kVersion,
                         ", \"genotype\": ", write_recurrent_genotype(d.genotype), ", \"level\": ", quoted(d.level),
                         ", \"tokens\": [");
  for (std::size_t i = 0; i < d.tokens.size(); ++i) out += (i ? ", " : "") + quoted(d.tokens[i]);
  out += "], \"config\": " + (d.config.kind == Kind::object ? write_json(d.config) : usual_config(d));
  return out + ", \"history\": " + (d.history.kind == Kind::array ? write_json(d.history) : "[]") + "}\n";
}

}  // namespace pydarts
