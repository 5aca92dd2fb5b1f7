package kafkaio

/*
#include <stddef.h>

// Only glibc has it.
extern int malloc_trim(size_t pad) __attribute__((weak));

static void mr_trim(void) {
	if (malloc_trim)
		malloc_trim(0);
}
*/
import "C"

// TrimMemory gives memory that closed clients have left to C's allocator back to the system.
func TrimMemory() { C.mr_trim() }
