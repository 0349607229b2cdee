#include "tools/json.h"

#include <inttypes.h>

/* Length of the well-formed UTF-8 sequence at p (table 3-7 of Unicode), 0 when there is none. */
static unsigned sequence(const unsigned char *p)
{
	unsigned n;

	if (p[0] < 0x80)
		return 1;
	if (p[0] < 0xc2 || p[0] > 0xf4)
		return 0;
	n = p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
	for (unsigned i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	}
	if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
	    (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
		return 0;
	return n;
}

void json_text(FILE *f, const char *text)
{
	const unsigned char *p = (const unsigned char *)text;

	fputc('"', f);
	while (*p) {
		unsigned n = sequence(p);

		if (n == 0) {
			fputs("\\ufffd", f);
			n = 1;
		} else if (*p == '"' || *p == '\\') {
			fprintf(f, "\\%c", *p);
		} else if (*p < 0x20 || *p == 0x7f) {
			fprintf(f, "\\u%04x", *p);
		} else {
			fwrite(p, 1, n, f);
		}
		p += n;
	}
	fputc('"', f);
}

void json_fields(FILE *f, struct bytes payload)
{
	struct reader r = reader_of(payload.p, payload.len);
	struct admin_field field;
	const char *before = "{\n";

	while (admin_next(&r, &field) == VS_OK) {
		fprintf(f, "%s  \"%s\": ", before, field.name);
		if (field.kind == ADMIN_TEXT)
			json_text(f, field.text);
		else if (field.kind == ADMIN_MILLI)
			fprintf(f, "%" PRIu64 ".%03u", field.number / 1000,
				(unsigned)(field.number % 1000));
		else
			fprintf(f, "%" PRIu64, field.number);
		before = ",\n";
	}
	fputs(*before == '{' ? "{}\n" : "\n}\n", f);
}
