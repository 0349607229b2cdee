#include "tools/admin_proto.h"

#include "engine/base/assert.h"

#define MAGIC 0x44415356u /* "VSAD" */

_Static_assert(ADMIN_TEXT_MAX <= UINT16_MAX && ADMIN_NAME_MAX <= UINT8_MAX, "lengths fit");
_Static_assert(ADMIN_TEXT_MAX + ADMIN_NAME_MAX + 4 < ADMIN_PAYLOAD_MAX, "a field fits a frame");

void admin_header_encode(const struct admin_header *h, uint8_t out[ADMIN_HEADER])
{
	vs_assert(h->len <= ADMIN_PAYLOAD_MAX);
	put_le32(out, MAGIC);
	put_le16(out + 4, h->version);
	put_le16(out + 6, h->type);
	put_le32(out + 8, h->len);
}

enum vs_err admin_header_decode(const uint8_t in[ADMIN_HEADER], struct admin_header *out)
{
	if (get_le32(in) != MAGIC)
		return VS_ERR_BAD_FRAME;
	out->version = get_le16(in + 4);
	out->type = get_le16(in + 6);
	out->len = get_le32(in + 8);
	if (out->version != ADMIN_VERSION)
		return VS_ERR_NOTSUP;
	if (out->type < ADMIN_REQUEST || out->type > ADMIN_ERROR || out->len > ADMIN_PAYLOAD_MAX)
		return VS_ERR_BAD_FRAME;
	return VS_OK;
}

static bool name_ok(const char *name, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		char c = name[i];

		if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '_')
			return false;
	}
	return len > 0 && len <= ADMIN_NAME_MAX;
}

static void put_name(struct writer *w, enum admin_kind kind, const char *name)
{
	size_t len = strlen(name);

	vs_assert(name_ok(name, len));
	writer_u8(w, (uint8_t)kind);
	writer_u8(w, (uint8_t)len);
	writer_bytes(w, name, len);
}

void admin_put_number(struct writer *w, const char *name, uint64_t number)
{
	put_name(w, ADMIN_NUMBER, name);
	writer_le64(w, number);
}

void admin_put_milli(struct writer *w, const char *name, uint64_t thousandths)
{
	put_name(w, ADMIN_MILLI, name);
	writer_le64(w, thousandths);
}

void admin_put_text(struct writer *w, const char *name, const char *text)
{
	size_t len = strlen(text);

	if (len > ADMIN_TEXT_MAX)
		len = ADMIN_TEXT_MAX;
	put_name(w, ADMIN_TEXT, name);
	writer_le16(w, (uint16_t)len);
	writer_bytes(w, text, len);
}

enum vs_err admin_next(struct reader *r, struct admin_field *out)
{
	const uint8_t *p;
	size_t len;
	uint8_t kind;

	if (!r->bad && r->off == r->len)
		return VS_ERR_END;
	kind = reader_u8(r);
	len = reader_u8(r);
	p = reader_take(r, len);
	if (!p || !name_ok((const char *)p, len))
		return VS_ERR_BAD_FRAME;
	memcpy(out->name, p, len);
	out->name[len] = 0;
	out->number = 0;
	out->text[0] = 0;
	switch (kind) {
	case ADMIN_NUMBER:
	case ADMIN_MILLI:
		out->kind = (enum admin_kind)kind;
		out->number = reader_le64(r);
		break;
	case ADMIN_TEXT:
		out->kind = ADMIN_TEXT;
		len = reader_le16(r);
		p = reader_take(r, len);
		if (!p || len > ADMIN_TEXT_MAX || memchr(p, 0, len))
			return VS_ERR_BAD_FRAME;
		memcpy(out->text, p, len);
		out->text[len] = 0;
		break;
	default:
		return VS_ERR_BAD_FRAME;
	}
	return r->bad ? VS_ERR_BAD_FRAME : VS_OK;
}

enum vs_err admin_find(struct bytes payload, const char *name, enum admin_kind kind,
		       struct admin_field *out)
{
	struct reader r = reader_of(payload.p, payload.len);
	enum vs_err err;

	while (!(err = admin_next(&r, out))) {
		if (out->kind == kind && !strcmp(out->name, name))
			return VS_OK;
	}
	return err == VS_ERR_END ? VS_ERR_NOENT : err;
}

enum vs_err admin_check(struct bytes payload)
{
	struct reader r = reader_of(payload.p, payload.len);
	struct admin_field f;
	unsigned count = 0;
	enum vs_err err;

	if (payload.len > ADMIN_PAYLOAD_MAX)
		return VS_ERR_BAD_FRAME;
	while (!(err = admin_next(&r, &f))) {
		if (++count > ADMIN_FIELDS_MAX)
			return VS_ERR_BAD_FRAME;
	}
	return err == VS_ERR_END ? VS_OK : err;
}
