// SPDX-License-Identifier: MIT
#include <cmath>
#include <limits>
#include <locale>
#include <sstream>

#include "core/bad_file.hpp"
#include "costs/profile.hpp"

namespace pydarts {
namespace {

using Kind = Json::Kind;

constexpr const char* kFormat = "pydarts-profile";
constexpr int kVersion = 1;
constexpr long long kMostOfEach = 1 << 24;

// As many digits as it takes to read the same number again.
std::string number(double value) {
  for (int digits = std::numeric_limits<double>::digits10;; ++digits) {
    std::ostringstream out;
    out.imbue(std::locale::classic());
    out.precision(digits);
    out << value;
    std::istringstream in(out.str());
    in.imbue(std::locale::classic());
    double again = 0;
    in >> again;
    if (again == value || digits == std::numeric_limits<double>::max_digits10) return out.str();
  }
}

std::string timing_text(const Timing& t) {
  return "{\"median\": " + number(t.median) + ", \"low\": " + number(t.low) + ", \"high\": " + number(t.high) + "}";
}

std::string counts_text(const Counts& c) {
  return text("\"macs\": ", c.macs, ", \"weights\": ", c.weights, ", \"memory\": ", c.memory);
}

double finite(const Json& json, const char* name) {
  const double value = json.at(name, Kind::number).number;
  require_file(std::isfinite(value), "`", name, "` (=", json.find(name)->text.substr(0, 40), ") must be finite");
  return value;
}

double factor(const Json& json) {
  const double value = finite(json, "factor");
  require_file(value > 0, "`factor` (=", value, ") must be positive");
  return value;
}

int integer(const Json& json, const char* name, int least = 1) {
  return int(json.at(name, Kind::number).integer(name, least, kMostOfEach));
}

Timing timing(const Json& json, const char* name) {
  const Json& seconds = json.at(name, Kind::object);
  return {finite(seconds, "median"), finite(seconds, "low"), finite(seconds, "high")};
}

void read_size(const Json& json, const char* name, int& height, int& width) {
  const Json& size = json.at(name, Kind::array);
  require_file(size.items.size() == 2, "`", name, "` is not a pair");
  height = int(size.items[0].integer(name, 1, kMostOfEach));
  width = int(size.items[1].integer(name, 1, kMostOfEach));
}

NetworkShape read_shape(const Json& json) {
  NetworkShape shape{};
  read_size(json, "image_size", shape.height, shape.width);
  shape.channels = integer(json, "channels");
  shape.cells = integer(json, "cells");
  shape.classes = integer(json, "classes");
  shape.in_channels = integer(json, "in_channels");
  const std::string& stem = json.at("stem", Kind::string).text;
  require_file(stem == "cifar" || stem == "imagenet", "`stem` (=", stem.substr(0, 40),
               ") must be 'cifar' or 'imagenet'");
  shape.stem = stem_of(stem);
  return shape;
}

std::string shown(const NetworkShape& s) {
  return text(s.cells, " cells of ", s.channels, " channels for ", s.in_channels, " x ", s.height, " x ", s.width,
              " images of ", s.classes, " classes behind the stem '", s.stem == Stem::cifar ? "cifar" : "imagenet",
              "'");
}

}  // namespace

Profile read_profile(const char* text, std::size_t size, const Space& space, const NetworkShape& shape) {
  require_file(size <= kMaxProfileText, "it has ", size, " bytes, more than ", kMaxProfileText);
  const Json json = parse_json(text, size);
  const Json* format = json.find("format");
  require_file(format && format->kind == Kind::string && format->text == kFormat, "it is no pydarts profile");
  json.at("version", Kind::number).integer("version", kVersion, kVersion);
  const Json* of = json.find("space");
  require_file(of, "`space` is missing");
  const Space found_space = read_space(*of);
  require_file(is_same(found_space, space), "it is of the space '", found_space.name, "', not of '", space.name, "'");
  const NetworkShape found = read_shape(json.at("shape", Kind::object));
  require_file(found == shape, "it is of ", shown(found), "; the target has ", shown(shape));
  const Json& fixed = json.at("fixed", Kind::object);
  Profile profile{space,
                  shape,
                  integer(json, "batch"),
                  integer(json, "threads"),
                  {},
                  timing(fixed, "seconds"),
                  timing(fixed, "stem_seconds")};
  profile.fixed_factor = factor(fixed);
  for (const Json& each : json.at("operations", Kind::array).items) {
    Place place{each.at("operation", Kind::string).text,
                integer(each, "inputs"),
                integer(each, "channels"),
                0,
                0,
                integer(each, "stride")};
    read_size(each, "size", place.height, place.width);
    profile.timings[place] = timing(each, "seconds");
  }
  std::map<Place, Timing> needed;
  for (const auto& where : places(profile.space, profile.shape))
    for (const Place& place : where) {
      const auto found = profile.timings.find(place);
      require_file(found != profile.timings.end(), "`operations` lacks '", place.operation, "' from ", place.inputs,
                   " to ", place.channels, " channels at ", place.height, " x ", place.width, " with stride ",
                   place.stride);
      needed.insert(*found);
    }
  profile.timings = std::move(needed);
  for (const Json& each : json.at("factors", Kind::array).items)
    profile.factors[{each.at("cell", Kind::string).text, each.at("operation", Kind::string).text,
                     integer(each, "stride")}] = factor(each);
  profile.networks = integer(json, "networks", 0);
  const Json* error = json.find("error");
  require_file(error, "`error` is missing");
  if (error->kind != Kind::null) profile.error = finite(json, "error");
  profile.environment = json.at("environment", Kind::object);
  return profile;
}

std::string write_profile(const Profile& p) {
  const NetworkShape& s = p.shape;
  std::string out = text(
      "{\n  \"format\": \"", kFormat, "\",\n  \"version\": ", kVersion, ",\n  \"space\": ", write_json(p.space.json),
      ",\n  \"shape\": {\"image_size\": [", s.height, ", ", s.width, "], \"channels\": ", s.channels,
      ", \"cells\": ", s.cells, ", \"classes\": ", s.classes, ", \"in_channels\": ", s.in_channels, ", \"stem\": \"",
      s.stem == Stem::cifar ? "cifar" : "imagenet", "\"},\n  \"batch\": ", p.batch, ",\n  \"threads\": ", p.threads,
      ",\n  \"environment\": ", write_json(p.environment), ",\n  \"fixed\": {\"seconds\": ", timing_text(p.fixed),
      ", \"stem_seconds\": ", timing_text(p.stem), ", \"factor\": ", number(p.fixed_factor), ", ",
      counts_text(count_network(without_operations(p.space), s)), "},\n  \"operations\": [");
  const char* comma = "";
  for (const auto& [place, timing] : p.timings) {
    out += text(comma, "\n    {\"operation\": ", quoted(place.operation), ", \"inputs\": ", place.inputs,
                ", \"channels\": ", place.channels, ", \"size\": [", place.height, ", ", place.width,
                "], \"stride\": ", place.stride, ", \"seconds\": ", timing_text(timing), ", ",
                counts_text(count_operation(operation_of(p.space, place.operation), place, p.space)), "}");
    comma = ",";
  }
  out += "\n  ],\n  \"factors\": [";
  comma = "";
  for (const auto& [group, factor] : p.factors) {
    out += text(comma, "\n    {\"cell\": ", quoted(std::get<0>(group)), ", \"operation\": ", quoted(std::get<1>(group)),
                ", \"stride\": ", std::get<2>(group), ", \"factor\": ", number(factor), "}");
    comma = ",";
  }
  return out +
         text("\n  ],\n  \"networks\": ", p.networks, ",\n  \"error\": ", p.error ? number(*p.error) : "null", "\n}\n");
}

}  // namespace pydarts
