/* fuzz.h: what libFuzzer calls. Each fuzz_<name>.c defines it once: 0 always; a fault is an abort. */
#ifndef PETREL_TESTS_FUZZ_H
#define PETREL_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
