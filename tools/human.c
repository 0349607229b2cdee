#include "tools/human.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

const char *human_bytes(uint64_t bytes, char buf[HUMAN_MAX])
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	double v = (double)bytes;
	int u = 0;

	while (v >= 1024 && u < 6) {
		v /= 1024;
		u++;
	}
	snprintf(buf, HUMAN_MAX, u ? "%.1f %s" : "%.0f %s", v, units[u]);
	return buf;
}

const char *human_ns(uint64_t ns, char buf[HUMAN_MAX])
{
	if (ns < 1000)
		snprintf(buf, HUMAN_MAX, "%" PRIu64 " ns", ns);
	else if (ns < 1000000)
		snprintf(buf, HUMAN_MAX, "%.1f us", (double)ns / 1e3);
	else if (ns < 1000000000)
		snprintf(buf, HUMAN_MAX, "%.1f ms", (double)ns / 1e6);
	else
		snprintf(buf, HUMAN_MAX, "%.2f s", (double)ns / 1e9);
	return buf;
}

const char *human_seconds(uint64_t s, char buf[HUMAN_MAX])
{
	if (s < 60)
		snprintf(buf, HUMAN_MAX, "%" PRIu64 " s", s);
	else if (s < 3600)
		snprintf(buf, HUMAN_MAX, "%" PRIu64 " min %" PRIu64 " s", s / 60, s % 60);
	else if (s < 86400)
		snprintf(buf, HUMAN_MAX, "%" PRIu64 " h %" PRIu64 " min", s / 3600, s % 3600 / 60);
	else
		snprintf(buf, HUMAN_MAX, "%" PRIu64 " d %" PRIu64 " h", s / 86400,
			 s % 86400 / 3600);
	return buf;
}

const char *human_count(uint64_t n, char buf[HUMAN_MAX])
{
	char digits[24];
	size_t len, out = 0;

	snprintf(digits, sizeof digits, "%" PRIu64, n);
	len = strlen(digits);
	for (size_t i = 0; i < len; i++) {
		if (i && (len - i) % 3 == 0)
			buf[out++] = ' ';
		buf[out++] = digits[i];
	}
	buf[out] = 0;
	return buf;
}

const char *human_time(uint64_t unix_s, char buf[HUMAN_MAX])
{
	time_t t = (time_t)unix_s;
	struct tm tm;

	if (!unix_s || !localtime_r(&t, &tm) || !strftime(buf, HUMAN_MAX, "%Y-%m-%d %H:%M:%S", &tm))
		snprintf(buf, HUMAN_MAX, "never");
	return buf;
}
