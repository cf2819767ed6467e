// SPDX-License-Identifier: MIT
#include "core/json.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <locale>
#include <sstream>

namespace pydarts {
namespace {

constexpr int kMaxDepth = 32;

class Reader {
 public:
  Reader(const char* text, std::size_t size) : begin_(text), at_(text), end_(text + size) {}

  Json document() {
    Json json = value(0);
    skip_blank();
    check(at_ == end_, "text after the end");
    return json;
  }

 private:
  void check(bool condition, const char* what) const { require_file(condition, what, " at byte ", at_ - begin_); }
  bool next_is(char c) const { return at_ < end_ && *at_ == c; }
  bool next_is_digit() const { return at_ < end_ && *at_ >= '0' && *at_ <= '9'; }
  bool take(char c) {
    if (!next_is(c)) return false;
    ++at_;
    return true;
  }
  bool take_word(const char* word) {
    const std::size_t length = std::strlen(word);
    if (std::size_t(end_ - at_) < length || std::memcmp(at_, word, length) != 0) return false;
    at_ += length;
    return true;
  }
  void skip_blank() {
    while (at_ < end_ && (*at_ == ' ' || *at_ == '\t' || *at_ == '\n' || *at_ == '\r')) ++at_;
  }

  Json value(int depth) {
    check(depth <= kMaxDepth, "too deep nesting");
    skip_blank();
    Json json;
    if (next_is('"')) {
      json.kind = Json::Kind::string;
      json.text = string();
    } else if (take('[')) {
      json.kind = Json::Kind::array;
      for (bool more = !closes(']'); more; more = !ends(']')) json.items.push_back(value(depth + 1));
    } else if (take('{')) {
      json.kind = Json::Kind::object;
      for (bool more = !closes('}'); more; more = !ends('}')) member(json, depth);
    } else if (take_word("null")) {
    } else if (take_word("true")) {
      json.kind = Json::Kind::boolean;
      json.truth = true;
    } else if (take_word("false")) {
      json.kind = Json::Kind::boolean;
    } else {
      number(json);
    }
    return json;
  }

  bool closes(char bracket) {
    skip_blank();
    return take(bracket);
  }
  bool ends(char bracket) {
    if (closes(bracket)) return true;
    check(take(','), "no comma or bracket");
    return false;
  }

  void member(Json& object, int depth) {
    skip_blank();
    check(next_is('"'), "no member name");
    object.names.push_back(string());
    skip_blank();
    check(take(':'), "no colon");
    object.items.push_back(value(depth + 1));
  }

  void number(Json& json) {
    json.kind = Json::Kind::number;
    const char* first = at_;
    const bool negative = take('-');
    if (take_word("Infinity")) {
      json.number = std::numeric_limits<double>::infinity() * (negative ? -1 : 1);
    } else if (!negative && take_word("NaN")) {
      json.number = std::numeric_limits<double>::quiet_NaN();
    } else {
      json.whole = true;
      if (!take('0')) digits();
      if (take('.')) {
        json.whole = false;
        digits();
      }
      if (take('e') || take('E')) {
        json.whole = false;
        if (!take('-')) take('+');
        digits();
      }
      std::istringstream in(std::string(first, at_));
      in.exceptions(std::ios::badbit);
      in.imbue(std::locale::classic());
      // Beyond the range it gives the largest number: infinity is refused where it is used.
      if (!(in >> json.number) && std::abs(json.number) == std::numeric_limits<double>::max())
        json.number = std::copysign(std::numeric_limits<double>::infinity(), json.number);
    }
    json.text.assign(first, at_);
  }
  void digits() {
    check(next_is_digit(), "no value");
    while (next_is_digit()) ++at_;
  }

  std::string string() {
    ++at_;
    std::string text;
    while (!take('"')) {
      check(at_ < end_, "an unfinished string");
      check(static_cast<unsigned char>(*at_) >= 0x20, "a control character");
      if (take('\\'))
        escape(text);
      else
        character(text);
    }
    return text;
  }

  // In UTF-8: the shortest form of what is no half of a pair.
  void character(std::string& text) {
    const unsigned first = static_cast<unsigned char>(*at_);
    const int following = first < 0x80   ? 0
                          : first < 0xC0 ? -1
                          : first < 0xE0 ? 1
                          : first < 0xF0 ? 2
                          : first < 0xF8 ? 3
                                         : -1;
    check(following >= 0 && end_ - at_ > following, "no UTF-8");
    unsigned code = following == 0 ? first : first & (0x3Fu >> following);
    for (int i = 1; i <= following; ++i) {
      const unsigned next = static_cast<unsigned char>(at_[i]);
      check((next & 0xC0) == 0x80, "no UTF-8");
      code = code << 6 | (next & 0x3F);
    }
    static const unsigned least[] = {0, 0x80, 0x800, 0x10000};
    check(code >= least[following] && code <= 0x10FFFF && (code < 0xD800 || code >= 0xE000), "no UTF-8");
    text.append(at_, std::size_t(following) + 1);
    at_ += following + 1;
  }

  void escape(std::string& text) {
    check(at_ < end_, "an unfinished string");
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    const char* known = static_cast<const char*>(std::memchr(from, *at_, sizeof(from) - 1));
    if (known) {
      ++at_;
      text += to[known - from];
      return;
    }
    check(take('u'), "an unknown escape");
    unsigned code = hex4();
    if (code >= 0xD800 && code < 0xDC00) {
      check(take_word("\\u"), "half a character");
      const unsigned low = hex4();
      check(low >= 0xDC00 && low < 0xE000, "half a character");
      code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
    }
    check(code < 0xDC00 || code >= 0xE000, "half a character");
    if (code < 0x80) {
      text += char(code);
      return;
    }
    const int following = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
    text += char((0xFF00u >> (following + 1) & 0xFFu) | code >> 6 * following);
    for (int i = following - 1; i >= 0; --i) text += char(0x80 | (code >> 6 * i & 0x3F));
  }

  unsigned hex4() {
    unsigned code = 0;
    for (int i = 0; i < 4; ++i) {
      check(at_ < end_, "an unfinished string");
      static const char digits[] = "0123456789abcdef";
      const char c = *at_ >= 'A' && *at_ <= 'F' ? char(*at_ - 'A' + 'a') : *at_;
      const void* found = std::memchr(digits, c, 16);
      check(found != nullptr, "no hexadecimal digit");
      code = 16 * code + unsigned(static_cast<const char*>(found) - digits);
      ++at_;
    }
    return code;
  }

  const char *begin_, *at_, *end_;
};

void require_unique_names(const Json& json) {
  for (const Json& item : json.items) require_unique_names(item);
  std::vector<std::string> sorted = json.names;
  std::sort(sorted.begin(), sorted.end());
  const auto twice = std::adjacent_find(sorted.begin(), sorted.end());
  if (twice != sorted.end()) throw BadFile(text("the member '", *twice, "' is given twice"));
}

const char* kind_name(Json::Kind kind) {
  static const char* const names[] = {"null", "a boolean", "a number", "a string", "an array", "an object"};
  return names[int(kind)];
}

}  // namespace

const Json* Json::find(const char* name) const {
  for (std::size_t i = 0; i < names.size(); ++i)
    if (names[i] == name) return &items[i];
  return nullptr;
}

const Json& Json::at(const char* name, Kind wanted) const {
  const Json* found = find(name);
  require_file(found, "`", name, "` is missing");
  require_file(found->kind == wanted, "`", name, "` is ", kind_name(found->kind), ", not ", kind_name(wanted));
  return *found;
}

long long Json::integer(const char* what, long long least, long long most) const {
  require_file(kind == Kind::number && whole && number >= double(least) && number <= double(most), "`", what,
               "` (=", kind == Kind::number ? text.substr(0, 40) : kind_name(kind), ") must be an integer in ", least,
               "..", most);
  return static_cast<long long>(number);
}

Json parse_json(const char* text, std::size_t size) {
  Json json = Reader(text, size).document();
  require_unique_names(json);
  return json;
}

std::string quoted(const std::string& text) {
  std::string out = "\"";
  auto escape = [&](unsigned unit) {
    out += "\\u";
    for (int shift = 12; shift >= 0; shift -= 4) out += "0123456789abcdef"[unit >> shift & 15];
  };
  for (std::size_t i = 0; i < text.size();) {
    const unsigned char c = static_cast<unsigned char>(text[i++]);
    static const char from[] = "\"\\\b\f\n\r\t", to[] = "\"\\bfnrt";
    const char* known = c ? static_cast<const char*>(std::memchr(from, c, sizeof(from) - 1)) : nullptr;
    if (known) {
      out += '\\';
      out += to[known - from];
    } else if (c >= 0x20 && c < 0x7f) {
      out += char(c);
    } else if (c < 0xc0) {
      escape(c);
    } else {
      const int following = c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;
      unsigned code = c & (0x3fu >> following);
      for (int k = 0; k < following && i < text.size(); ++k) code = code << 6 | (text[i++] & 0x3f);
      if (code >= 0x10000) escape(0xd800 + ((code - 0x10000) >> 10 & 0x3ff));
      escape(code >= 0x10000 ? 0xdc00 + (code & 0x3ff) : code);
    }
  }
  return out + "\"";
}

std::string write_json(const Json& json) {
  switch (json.kind) {
    case Json::Kind::null:
      return "null";
    case Json::Kind::boolean:
      return json.truth ? "true" : "false";
    case Json::Kind::number:
      return json.text;
    case Json::Kind::string:
      return quoted(json.text);
    case Json::Kind::array:
    case Json::Kind::object:
      break;
  }
  const bool object = json.kind == Json::Kind::object;
  std::string out = object ? "{" : "[";
  for (std::size_t i = 0; i < json.items.size(); ++i) {
    if (i > 0) out += ", ";
    if (object) out += quoted(json.names[i]) + ": ";
    out += write_json(json.items[i]);
  }
  return out + (object ? "}" : "]");
}

}  // namespace pydarts
