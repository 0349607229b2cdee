/*
 * bench_machine: the machine in words: processor, cores, memory, kernel, file
 * system under a directory.
 *
 * Thread rule: one thread.
 */
#ifndef VS_TOOLS_BENCH_MACHINE_H
#define VS_TOOLS_BENCH_MACHINE_H

#include <stdio.h>

/* Print the sentence with a newline; what cannot be found out is left out. */
void machine_print(const char *dir, FILE *out);

#endif
