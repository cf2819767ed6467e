/* SPDX-License-Identifier: MIT
 * What runs before main on a Cortex-M3 or M4 of an MPS2 board, with input and output by semihosting. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

extern uint32_t data_load, data_start, data_end, bss_start, bss_end, stack_top;
extern void initialise_monitor_handles(void);
extern int main(void);

void reset(void);
static void fault(void) { abort(); }

__attribute__((section(".vectors"), used)) static void *const vectors[16] = {
    &stack_top, (void *)reset, (void *)fault, (void *)fault, (void *)fault, (void *)fault, (void *)fault};

void reset(void)
{
  *(volatile uint32_t *)0xE000ED88 |= 0xFu << 20; /* the floating-point unit */
  memcpy(&data_start, &data_load, (size_t)((char *)&data_end - (char *)&data_start));
  memset(&bss_start, 0, (size_t)((char *)&bss_end - (char *)&bss_start));
  initialise_monitor_handles();
  exit(main());
}
