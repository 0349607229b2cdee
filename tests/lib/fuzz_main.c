/*
 * fuzz_main: runs a fuzz target over the files of a corpus, without libFuzzer,
 * so that every input ever found is replayed by `make test`.
 *
 * Arguments: files and directories of files.  A missing directory is an empty
 * corpus.  Exit 0 when the target returned for every input.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static int replay_file(const char *path)
{
	FILE *f = fopen(path, "rb");
	uint8_t *buf = NULL;
	struct stat st;
	int rc = 1;

	if (!f || fstat(fileno(f), &st) < 0)
		goto out;
	/* exactly the size, so that a read past the end is seen by ASan */
	buf = malloc(st.st_size ? (size_t)st.st_size : 1);
	if (!buf || fread(buf, 1, (size_t)st.st_size, f) != (size_t)st.st_size)
		goto out;
	LLVMFuzzerTestOneInput(buf, (size_t)st.st_size);
	rc = 0;
out:
	if (rc)
		perror(path);
	free(buf);
	if (f)
		fclose(f);
	return rc;
}

static int replay(const char *path, unsigned *count)
{
	char name[4096];
	struct dirent *d;
	struct stat st;
	int rc = 0;
	DIR *dir;

	if (stat(path, &st) < 0)
		return 0;
	if (!S_ISDIR(st.st_mode)) {
		++*count;
		return replay_file(path);
	}
	dir = opendir(path);
	if (!dir)
		return 1;
	while (!rc && (d = readdir(dir))) {
		if (d->d_name[0] == '.')
			continue;
		snprintf(name, sizeof name, "%s/%s", path, d->d_name);
		rc = replay(name, count);
	}
	closedir(dir);
	return rc;
}

int main(int argc, char **argv)
{
	unsigned count = 0;
	int rc = 0;

	LLVMFuzzerTestOneInput((const uint8_t *)"", 0);
	for (int i = 1; i < argc && !rc; i++)
		rc = replay(argv[i], &count);
	printf("%u inputs\n", count);
	return rc;
}
