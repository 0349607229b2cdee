#include "tools/bench_machine.h"
#include "tools/human.h"
#include "tools/mountinfo.h"

#include <dirent.h>
#include <mntent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <unistd.h>

#define MODEL_MAX 128u

static bool cpu_model(char out[MODEL_MAX])
{
	FILE *f = fopen("/proc/cpuinfo", "re");
	char line[256];
	bool found = false;

	while (f && !found && fgets(line, sizeof line, f)) {
		const char *colon = strstr(line, ": ");

		if (strncmp(line, "model name", 10) != 0 || !colon)
			continue;
		snprintf(out, MODEL_MAX, "%.*s", (int)strcspn(colon + 2, "\n"), colon + 2);
		found = true;
	}
	if (f)
		fclose(f);
	return found;
}

/* ext4 may have no journal (fsync is cheaper then): its name is missing in jbd2's list. */
static bool journal(const char *source)
{
	const char *slash = strrchr(source, '/');
	const char *name = slash ? slash + 1 : source;
	size_t len = strlen(name);
	DIR *d = opendir("/proc/fs/jbd2");
	struct dirent *e;
	bool found = !d;

	while (d && !found && (e = readdir(d)))
		found = !strncmp(e->d_name, name, len) && e->d_name[len] == '-';
	if (d)
		closedir(d);
	return found;
}

/* Whether the mount at point discards freed blocks at once. */
static bool discards(const char *point)
{
	FILE *f = setmntent("/proc/self/mounts", "re");
	struct mntent *e;
	bool found = false;

	while (f && (e = getmntent(f)))
		if (!strcmp(e->mnt_dir, point))
			found = hasmntopt(e, "discard") != NULL;
	if (f)
		endmntent(f);
	return found;
}

static void print_fs(const char *path, FILE *out)
{
	struct mountinfo m;

	if (mountinfo_find(path, &m) != VS_OK)
		return;
	fprintf(out, ", %s on %s", m.type, m.source);
	if (!strcmp(m.type, "ext4") && !journal(m.source))
		fprintf(out, " without a journal");
	if (discards(m.point))
		fprintf(out, ", discarding freed blocks at once");
}

void machine_print(const char *dir, FILE *out)
{
	char path[MOUNTINFO_PATH_MAX], model[MODEL_MAX], amount[HUMAN_MAX];
	struct sysinfo si;
	struct utsname u;
	double load = 0;

	fprintf(out, "Machine: %s", cpu_model(model) ? model : "processor unknown");
	fprintf(out, ", %ld cores", sysconf(_SC_NPROCESSORS_ONLN));
	if (!sysinfo(&si))
		fprintf(out, ", %s of memory",
			human_bytes((uint64_t)si.totalram * si.mem_unit, amount));
	if (!uname(&u))
		fprintf(out, ", %s %s", u.sysname, u.release);
	if (realpath(dir, path))
		print_fs(path, out);
	if (getloadavg(&load, 1) == 1)
		fprintf(out, "; load %.1f when it began", load);
	fprintf(out, ".\n");
}
