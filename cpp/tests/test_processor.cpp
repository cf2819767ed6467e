// SPDX-License-Identifier: MIT
// Which processor this is, and whose 512-bit units are of full width.
#include <cstring>

#include "check.hpp"
#include "core/processor.hpp"

using namespace pydarts;

namespace {

void test_detected() {
  const Processor& here = processor();
  CHECK(&here == &processor());
#if defined(__x86_64__) || defined(__i386__) || defined(_M_X64) || defined(_M_IX86)
  CHECK(std::strlen(here.vendor) == 12);
  CHECK(here.family >= 4 && here.model >= 0 && here.model < 256);
#if defined(__GNUC__) || defined(__clang__)
  CHECK(!__builtin_cpu_is("amd") || std::strcmp(here.vendor, "AuthenticAMD") == 0);
  CHECK(!__builtin_cpu_is("intel") || std::strcmp(here.vendor, "GenuineIntel") == 0);
  CHECK(bool(__builtin_cpu_is("amdfam17h")) == (std::strcmp(here.vendor, "AuthenticAMD") == 0 && here.family == 23));
#endif
#else
  CHECK(here.vendor[0] == '\0' && here.family == 0 && here.model == 0 && !here.tiles);
#endif
}

void test_full_width() {
  const Processor full[] = {
      {"AuthenticAMD", 26, 0x02}, {"AuthenticAMD", 26, 0x11}, {"AuthenticAMD", 26, 0x44},
      {"AuthenticAMD", 26, 0x70}, {"GenuineIntel", 6, 0x55},  {"GenuineIntel", 6, 0x6A},
      {"GenuineIntel", 6, 0x6C},  {"GenuineIntel", 6, 0x8F},  {"GenuineIntel", 6, 0xCF},
      {"GenuineIntel", 6, 0xAD},  {"GenuineIntel", 6, 0xAE},  {"GenuineIntel", 6, 0xA7, true},
  };
  for (const Processor& p : full) {
    CHECK(full_width_512(p));
    CHECK(fast_streams(p) == (std::strcmp(p.vendor, "GenuineIntel") == 0));
  }
  const Processor half[] = {
      {"AuthenticAMD", 25, 0x11}, {"AuthenticAMD", 25, 0x44}, {"AuthenticAMD", 25, 0x61},
      {"AuthenticAMD", 26, 0x24}, {"AuthenticAMD", 26, 0x60}, {"AuthenticAMD", 26, 0x50},
      {"AuthenticAMD", 27, 0x02}, {"AuthenticAMD", 6, 0x55},  {"AuthenticAMD", 25, 0x11, true},
      {"GenuineIntel", 6, 0x7D},  {"GenuineIntel", 6, 0x7E},  {"GenuineIntel", 6, 0x8C},
      {"GenuineIntel", 6, 0x8D},  {"GenuineIntel", 6, 0xA7},  {"GenuineIntel", 19, 0x01},
      {"GenuineIntel", 26, 0x02}, {"HygonGenuine", 26, 0x02}, {"", 0, 0},
  };
  for (const Processor& p : half) CHECK(!full_width_512(p) && !fast_streams(p));
}

}  // namespace

int main() {
  test_detected();
  test_full_width();
  return checked();
}
