// SPDX-License-Identifier: MIT
#include "core/processor.hpp"

#include <cstring>

#if defined(__x86_64__) || defined(__i386__) || defined(_M_X64) || defined(_M_IX86)
#define PYDARTS_CPUID 1
#ifdef _MSC_VER
#include <intrin.h>
#else
#include <cpuid.h>
#endif
#endif

namespace pydarts {
namespace {

Processor detect() {
  Processor found = {};
#ifdef PYDARTS_CPUID
  unsigned name[4] = {}, signature[4] = {}, features[4] = {};  // eax, ebx, ecx, edx
#ifdef _MSC_VER
  __cpuid(reinterpret_cast<int*>(name), 0);
  __cpuid(reinterpret_cast<int*>(signature), 1);
  if (name[0] >= 7) __cpuidex(reinterpret_cast<int*>(features), 7, 0);
#else
  __get_cpuid(0, name, name + 1, name + 2, name + 3);
  __get_cpuid(1, signature, signature + 1, signature + 2, signature + 3);
  __get_cpuid_count(7, 0, features, features + 1, features + 2, features + 3);
#endif
  std::memcpy(found.vendor, name + 1, 4);
  std::memcpy(found.vendor + 4, name + 3, 4);
  std::memcpy(found.vendor + 8, name + 2, 4);
  const unsigned eax = signature[0];
  found.family = eax >> 8 & 15;
  found.model = eax >> 4 & 15;
  if (found.family == 6 || found.family == 15) found.model += (eax >> 16 & 15) << 4;
  if (found.family == 15) found.family += eax >> 20 & 255;
  found.tiles = features[3] >> 24 & 1;
#endif
  return found;
}

// Zen 5; Zen 4 (family 25) takes two cycles for 512 bits. Models: arch/x86/kernel/cpu/amd.c of Linux. Widths:
// chipsandcheese.com on Strix Point and Strix Halo, numberworld.org/blogs/2024_8_7_zen5_avx512_teardown.
bool full_width_amd(int family, int model) {
  if (family != 26) return false;
  switch (model >> 4) {
    case 0x0:  // Turin
    case 0x1:  // Turin with Zen 5c cores
    case 0x4:  // Granite Ridge, Fire Range
    case 0x7:  // Strix Halo
      return true;
    default:  // Strix Point (2) and Krackan Point (6) have 256-bit units
      return false;
  }
}

// Server cores have a second 512-bit unit. Models: arch/x86/include/asm/intel-family.h of Linux; units: Intel's
// product pages. A few parts lack it (Xeon Bronze, Silver and Gold 5000 of 0x55, Xeon D-1700 of 0x6C), whose 512-bit
// vectors are then as fast as 256-bit ones. A virtual machine may tell the model of another processor (0xA7 was seen on
// a server core), but not AMX where there is none.
bool full_width_intel(int family, int model, bool tiles) {
  if (family != 6) return false;
  if (tiles) return true;
  switch (model) {
    case 0x55:  // Skylake-SP, Cascade Lake, Cooper Lake
    case 0x6A:  // Ice Lake-SP
    case 0x6C:  // Ice Lake-D
    case 0x8F:  // Sapphire Rapids
    case 0xCF:  // Emerald Rapids
    case 0xAD:  // Granite Rapids
    case 0xAE:  // Granite Rapids-D
      return true;
    default:  // client parts: Ice Lake (0x7D, 0x7E), Tiger Lake (0x8C, 0x8D), Rocket Lake (0xA7)
      return false;
  }
}

}  // namespace

const Processor& processor() {
  static const Processor found = detect();
  return found;
}

bool full_width_512(const Processor& processor) {
  if (std::strcmp(processor.vendor, "AuthenticAMD") == 0) return full_width_amd(processor.family, processor.model);
  if (std::strcmp(processor.vendor, "GenuineIntel") == 0)
    return full_width_intel(processor.family, processor.model, processor.tiles);
  return false;
}

bool fast_streams(const Processor& processor) {
  return std::strcmp(processor.vendor, "GenuineIntel") == 0 && full_width_512(processor);
}

}  // namespace pydarts
