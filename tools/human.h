/*
 * human: numbers as people read them.
 *
 * Thread rule: pure.
 */
#ifndef VS_TOOLS_HUMAN_H
#define VS_TOOLS_HUMAN_H

#include <stddef.h>
#include <stdint.h>

#define HUMAN_MAX 48u /* bytes that every result fits, with the NUL */

/* "0 B", "999 B", "1.5 KiB", "64.0 MiB". */
const char *human_bytes(uint64_t bytes, char buf[HUMAN_MAX]);
/* "850 ns", "12.3 us", "4.5 ms", "1.20 s". */
const char *human_ns(uint64_t ns, char buf[HUMAN_MAX]);
/* "45 s", "3 min 20 s", "5 h 12 min", "12 d 3 h". */
const char *human_seconds(uint64_t s, char buf[HUMAN_MAX]);
/* "1 234 567". */
const char *human_count(uint64_t n, char buf[HUMAN_MAX]);
/* Local date and time, "never" for 0. */
const char *human_time(uint64_t unix_s, char buf[HUMAN_MAX]);

#endif
