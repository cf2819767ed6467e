// SPDX-License-Identifier: MIT
// A strict JSON reader of our own: those who embed the library shall need no other one.
#pragma once
#include <cstddef>
#include <string>
#include <vector>

#include "core/bad_file.hpp"

namespace pydarts {

struct Json {
  enum class Kind { null, boolean, number, string, array, object };
  Kind kind = Kind::null;
  bool truth = false;
  bool whole = false;  // a number without point and exponent
  double number = 0;
  std::string text;  // of a string, in UTF-8 as it stands there; of a number, as it is written
  std::vector<std::string> names;
  std::vector<Json> items;  // of an array, or of an object in the order of `names`

  // Of an object; null if there is no such member, or this is no object.
  const Json* find(const char* name) const;
  // Of an object, of that kind; BadFile if not.
  const Json& at(const char* name, Kind kind) const;
  // A whole number in [least, most]; BadFile, naming it as `what`, for anything else.
  long long integer(const char* what, long long least, long long most) const;
};

// RFC 8259 and, as Python writes them, NaN, Infinity and -Infinity. BadFile for anything else, a member given twice,
// or nesting deeper than 32.
Json parse_json(const char* text, std::size_t size);

// As Python writes it on one line, in ASCII. `quoted`: a string.
std::string write_json(const Json& json);
std::string quoted(const std::string& text);

}  // namespace pydarts
