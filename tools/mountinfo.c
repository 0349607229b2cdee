#include "tools/mountinfo.h"

#include "engine/base/assert.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool octal(char c)
{
	return c >= '0' && c <= '7';
}

/* The word at *p, unescaped, to out; *p moves behind it and the blank. */
static bool word(const char **p, char *out, size_t cap)
{
	const char *s = *p;
	size_t n = 0;

	while (*s && *s != ' ' && *s != '\n') {
		char c = *s++;

		if (c == '\\' && octal(s[0]) && octal(s[1]) && octal(s[2])) {
			c = (char)((s[0] - '0') * 64 + (s[1] - '0') * 8 + (s[2] - '0'));
			s += 3;
		}
		if (n + 1 >= cap)
			return false;
		out[n++] = c;
	}
	out[n] = 0;
	*p = *s == ' ' ? s + 1 : s;
	return n > 0;
}

enum vs_err mountinfo_line(const char *line, struct mountinfo *out)
{
	char skip[MOUNTINFO_PATH_MAX];
	const char *p = line;

	vs_assert(line && out);
	for (int i = 0; i < 4; i++) {
		if (!word(&p, skip, sizeof skip))
			return VS_ERR_CORRUPT_VALUE;
	}
	if (!word(&p, out->point, sizeof out->point))
		return VS_ERR_CORRUPT_VALUE;
	do {
		if (!word(&p, skip, sizeof skip))
			return VS_ERR_CORRUPT_VALUE;
	} while (strcmp(skip, "-") != 0);
	if (!word(&p, out->type, sizeof out->type))
		return VS_ERR_CORRUPT_VALUE;
	if (!word(&p, out->source, sizeof out->source))
		*out->source = 0; /* some file systems have none */
	return VS_OK;
}

bool mountinfo_below(const char *path, const char *dir)
{
	size_t n = strlen(dir);

	if (n == 1)
		return true; /* the root */
	return !strncmp(path, dir, n) && (!path[n] || path[n] == '/');
}

enum vs_err mountinfo_find(const char *path, struct mountinfo *out)
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	enum vs_err err = VS_ERR_NOENT;
	struct mountinfo m;
	char *line = NULL;
	size_t cap = 0, best = 0;

	vs_assert(path[0] == '/');
	if (!f)
		return VS_ERR_NOENT;
	while (getline(&line, &cap, f) > 0) {
		if (mountinfo_line(line, &m) || !mountinfo_below(path, m.point) ||
		    strlen(m.point) < best)
			continue;
		best = strlen(m.point);
		*out = m;
		err = VS_OK;
	}
	free(line);
	fclose(f);
	return err;
}

enum vs_err mountinfo_absolute(const char *path, char *out)
{
	char whole[2 * MOUNTINFO_PATH_MAX], cwd[MOUNTINFO_PATH_MAX] = "";
	char *save = NULL;
	size_t n = 0;

	vs_assert(path && out);
	if (path[0] != '/' && !getcwd(cwd, sizeof cwd))
		return VS_ERR_NOENT;
	if (strlen(path) >= MOUNTINFO_PATH_MAX)
		return VS_ERR_NAMETOOLONG;
	snprintf(whole, sizeof whole, "%s/%s", cwd, path);
	for (char *w = strtok_r(whole, "/", &save); w; w = strtok_r(NULL, "/", &save)) {
		if (!strcmp(w, "."))
			continue;
		if (!strcmp(w, "..")) {
			while (n && out[--n] != '/')
				;
			continue;
		}
		if (n + 1 + strlen(w) >= MOUNTINFO_PATH_MAX)
			return VS_ERR_NAMETOOLONG;
		out[n++] = '/';
		memcpy(out + n, w, strlen(w));
		n += strlen(w);
	}
	if (!n)
		out[n++] = '/';
	out[n] = 0;
	return VS_OK;
}
