// SPDX-License-Identifier: MIT
// model.json of a language model, as Python's LanguageModel.save writes it.
#pragma once
#include <string>
#include <vector>

#include "core/json.hpp"
#include "recurrent/recurrent.hpp"
#include "spaces/recurrent_genotype.hpp"

namespace pydarts {

struct TextDescription {
  CellGenotype genotype;
  int hidden;
  Dropout dropout;
  std::string level;                // "word" or "char"; with `tokens` empty: not known
  std::vector<std::string> tokens;  // by number
  Json config, history;             // as they were read; null in a network that comes from no file
};

constexpr std::size_t kMaxTextDescription = std::size_t(1) << 26;  // a million words

// The cell as the engine wants it.
RecurrentCell derived_cell(const CellGenotype& genotype);

// Of the members `level` and `tokens` of an object into `description`. BadFile.
void read_vocabulary(const Json& json, TextDescription& description);

// BadFile if it is anything else.
TextDescription read_text_description(const char* text, std::size_t size);

std::string write_text_description(const TextDescription& description);

}  // namespace pydarts
