/*
 * bench_engine: the store in this process against a plain file: append and
 * fdatasync, pwrite, pread on the same disk in the same run.
 *
 * The raw variant does what a program without an engine would: threads append
 * records to one shared file and call fdatasync after each.
 *
 * Thread rule: one thread calls; the threads of the work are its own.
 */
#ifndef VS_TOOLS_BENCH_ENGINE_H
#define VS_TOOLS_BENCH_ENGINE_H

#include <stdbool.h>
#include <stdint.h>

struct bench_engine_settings {
	const char *dir;
	unsigned rounds;
	uint64_t put_count;    /* durable puts of one thread; 8 and 64 threads do more */
	uint64_t get_count;    /* keys put without waiting, random gets, entries scanned */
	uint64_t stream_bytes; /* chunks */
	bool markdown, quiet;
};

/* Measure and print; false when nothing could be measured. */
bool bench_engine(const struct bench_engine_settings *s);

#endif
