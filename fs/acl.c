/* acl: see acl.h. */
#include "fs/acl.h"

#include "engine/base/assert.h"

enum {
	ACL_VERSION = 2,
	TAG_USER_OBJ = 0x01,
	TAG_USER = 0x02,
	TAG_GROUP_OBJ = 0x04,
	TAG_GROUP = 0x08,
	TAG_MASK = 0x10,
	TAG_OTHER = 0x20,
};

/* Entries come in the order of their tags; each but named ones exactly once. */
static enum vs_err VS_MUST_USE check(const struct acl *a)
{
	uint32_t seen = 0, last = 0;

	for (uint32_t i = 0; i < a->count; i++) {
		const struct acl_entry *e = &a->e[i];
		bool named = e->tag == TAG_USER || e->tag == TAG_GROUP;

		if (e->perm > 7 || e->tag < last)
			return VS_ERR_INVAL;
		switch (e->tag) {
		case TAG_USER_OBJ:
		case TAG_USER:
		case TAG_GROUP_OBJ:
		case TAG_GROUP:
		case TAG_MASK:
		case TAG_OTHER:
			break;
		default:
			return VS_ERR_INVAL;
		}
		if (!named && (seen & e->tag))
			return VS_ERR_INVAL;
		seen |= e->tag;
		last = e->tag;
	}
	if ((seen & (TAG_USER_OBJ | TAG_GROUP_OBJ | TAG_OTHER)) !=
	    (TAG_USER_OBJ | TAG_GROUP_OBJ | TAG_OTHER))
		return VS_ERR_INVAL;
	if ((seen & (TAG_USER | TAG_GROUP)) && !(seen & TAG_MASK))
		return VS_ERR_INVAL;
	return VS_OK;
}

enum vs_err acl_decode(struct bytes value, struct acl *out)
{
	struct reader r = reader_of(value.p, value.len);

	if (value.len > ACL_BYTES_MAX)
		return VS_ERR_TOOBIG;
	if (reader_le32(&r) != ACL_VERSION || r.bad || (value.len - 4) % 8)
		return VS_ERR_INVAL;
	out->count = (uint32_t)((value.len - 4) / 8);
	for (uint32_t i = 0; i < out->count; i++) {
		out->e[i].tag = reader_le16(&r);
		out->e[i].perm = reader_le16(&r);
		out->e[i].id = reader_le32(&r);
	}
	vs_assert(reader_done(&r));
	return check(out);
}

size_t acl_encode(const struct acl *a, uint8_t *out)
{
	struct writer w = writer_of(out, ACL_BYTES_MAX);

	writer_le32(&w, ACL_VERSION);
	for (uint32_t i = 0; i < a->count; i++) {
		writer_le16(&w, a->e[i].tag);
		writer_le16(&w, a->e[i].perm);
		writer_le32(&w, a->e[i].id);
	}
	vs_assert(!w.bad);
	return w.len;
}

static struct acl_entry *entry_of(struct acl *a, uint16_t tag)
{
	for (uint32_t i = 0; i < a->count; i++)
		if (a->e[i].tag == tag)
			return &a->e[i];
	return NULL;
}

uint32_t acl_mode(const struct acl *a, bool *minimal)
{
	uint32_t mode = 0, group = 0;
	bool mask = false;

	for (uint32_t i = 0; i < a->count; i++) {
		switch (a->e[i].tag) {
		case TAG_USER_OBJ:
			mode |= (uint32_t)a->e[i].perm << 6;
			break;
		case TAG_GROUP_OBJ:
			if (!mask)
				group = a->e[i].perm;
			break;
		case TAG_MASK:
			group = a->e[i].perm;
			mask = true;
			break;
		case TAG_OTHER:
			mode |= a->e[i].perm;
			break;
		default:
			break;
		}
	}
	*minimal = a->count == 3;
	return mode | group << 3;
}

void acl_chmod(struct acl *a, uint32_t mode)
{
	struct acl_entry *group = entry_of(a, TAG_MASK);

	if (!group)
		group = entry_of(a, TAG_GROUP_OBJ);
	entry_of(a, TAG_USER_OBJ)->perm = mode >> 6 & 7;
	group->perm = mode >> 3 & 7;
	entry_of(a, TAG_OTHER)->perm = mode & 7;
}

uint32_t acl_create(struct acl *a, uint32_t mode, bool *minimal)
{
	struct acl_entry *user = entry_of(a, TAG_USER_OBJ);
	struct acl_entry *group = entry_of(a, TAG_MASK);
	struct acl_entry *other = entry_of(a, TAG_OTHER);

	if (!group)
		group = entry_of(a, TAG_GROUP_OBJ);
	user->perm &= mode >> 6 & 7;
	group->perm &= mode >> 3 & 7;
	other->perm &= mode & 7;
	return acl_mode(a, minimal);
}
