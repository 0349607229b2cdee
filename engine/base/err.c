#include "engine/base/err.h"

#include <errno.h>
#include <stddef.h>

struct row {
	const char *name;
	const char *text;
	enum vs_err_class class;
	int eno;
};

static const struct row table[VS_ERR_COUNT] = {
#define X(name, class, eno, text) {#name, text, VS_CLASS_##class, eno},
	VS_ERR_TABLE(X)
#undef X
};

static const struct row *row_of(enum vs_err e)
{
	size_t i = (size_t)e;

	return &table[i < VS_ERR_COUNT ? i : VS_ERR_INTERNAL];
}

const char *vs_err_name(enum vs_err e)
{
	return row_of(e)->name;
}

const char *vs_err_text(enum vs_err e)
{
	return row_of(e)->text;
}

enum vs_err_class vs_err_class(enum vs_err e)
{
	return row_of(e)->class;
}

int vs_err_errno(enum vs_err e)
{
	return row_of(e)->eno;
}
