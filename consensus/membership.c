#include "consensus/membership.h"

#include "engine/base/assert.h"

#define MEMBERSHIP_VERSION 1u

const struct member *membership_find(const struct membership *m, uint32_t id)
{
	vs_assert(m->count <= MEMBERS_MAX);
	for (uint32_t i = 0; i < m->count; i++) {
		if (m->m[i].id == id)
			return &m->m[i];
	}
	return NULL;
}

bool membership_is_voter(const struct membership *m, uint32_t id)
{
	const struct member *found = membership_find(m, id);

	return found && found->role == MEMBER_VOTER;
}

uint32_t membership_voters(const struct membership *m)
{
	uint32_t n = 0;

	vs_assert(m->count <= MEMBERS_MAX);
	for (uint32_t i = 0; i < m->count; i++)
		n += m->m[i].role == MEMBER_VOTER;
	return n;
}

static bool member_valid(const struct member *node)
{
	return node->id != 0 && (node->role == MEMBER_VOTER || node->role == MEMBER_LEARNER) &&
	       memchr(node->addr, 0, sizeof node->addr) != NULL;
}

/* Copies field by field with zeroed tail, so that equal members are equal bytes. */
static void member_copy(struct member *to, const struct member *from)
{
	struct member clean = {.id = from->id, .role = from->role, .promote = from->promote};

	memcpy(clean.addr, from->addr, strlen(from->addr));
	*to = clean;
}

enum vs_err membership_set(struct membership *m, const struct member *node)
{
	uint32_t at = 0;

	if (!member_valid(node))
		return VS_ERR_INVAL;
	while (at < m->count && m->m[at].id < node->id)
		at++;
	if (at == m->count || m->m[at].id != node->id) {
		if (m->count == MEMBERS_MAX)
			return VS_ERR_RANGE;
		memmove(&m->m[at + 1], &m->m[at], (m->count - at) * sizeof m->m[0]);
		m->count++;
	}
	member_copy(&m->m[at], node);
	membership_check(m);
	return VS_OK;
}

enum vs_err membership_remove(struct membership *m, uint32_t id)
{
	const struct member *found = membership_find(m, id);
	uint32_t at;

	if (!found)
		return VS_ERR_NOENT;
	at = (uint32_t)(found - m->m);
	m->count--;
	memmove(&m->m[at], &m->m[at + 1], (m->count - at) * sizeof m->m[0]);
	membership_check(m);
	return VS_OK;
}

bool membership_one_step(const struct membership *a, const struct membership *b)
{
	uint32_t differ = 0;

	membership_check(a);
	membership_check(b);
	for (uint32_t i = 0; i < a->count; i++) {
		if (a->m[i].role == MEMBER_VOTER)
			differ += !membership_is_voter(b, a->m[i].id);
	}
	for (uint32_t i = 0; i < b->count; i++) {
		if (b->m[i].role == MEMBER_VOTER)
			differ += !membership_is_voter(a, b->m[i].id);
	}
	return differ <= 1;
}

bool membership_equal(const struct membership *a, const struct membership *b)
{
	membership_check(a);
	membership_check(b);
	if (a->count != b->count)
		return false;
	for (uint32_t i = 0; i < a->count; i++) {
		const struct member *x = &a->m[i], *y = &b->m[i];

		if (x->id != y->id || x->role != y->role || x->promote != y->promote ||
		    strcmp(x->addr, y->addr) != 0)
			return false;
	}
	return true;
}

size_t membership_encode(const struct membership *m, void *buf, size_t cap)
{
	struct writer w = writer_of(buf, cap);

	membership_check(m);
	writer_u8(&w, MEMBERSHIP_VERSION);
	writer_u8(&w, (uint8_t)m->count);
	writer_le16(&w, 0);
	for (uint32_t i = 0; i < m->count; i++) {
		const struct member *node = &m->m[i];
		size_t len = strlen(node->addr);

		writer_le32(&w, node->id);
		writer_u8(&w, (uint8_t)node->role);
		writer_u8(&w, node->promote);
		writer_le16(&w, (uint16_t)len);
		writer_bytes(&w, node->addr, len);
	}
	vs_assert(!w.bad);
	return w.len;
}

enum vs_err membership_decode(struct membership *out, struct bytes b)
{
	struct reader r = reader_of(b.p, b.len);
	struct membership m = {0};
	uint32_t last_id = 0, count;

	if (reader_u8(&r) != MEMBERSHIP_VERSION)
		return VS_ERR_BAD_FRAME;
	count = reader_u8(&r);
	if (reader_le16(&r) != 0 || count > MEMBERS_MAX)
		return VS_ERR_BAD_FRAME;
	for (uint32_t i = 0; i < count; i++) {
		struct member *node = &m.m[i];
		const uint8_t *addr;
		uint8_t role, promote;
		size_t len;

		node->id = reader_le32(&r);
		role = reader_u8(&r);
		promote = reader_u8(&r);
		len = reader_le16(&r);
		addr = reader_take(&r, len);
		if (r.bad || node->id <= last_id || promote > 1 || len >= MEMBER_ADDR_MAX ||
		    (role != MEMBER_VOTER && role != MEMBER_LEARNER) || memchr(addr, 0, len))
			return VS_ERR_BAD_FRAME;
		node->role = role;
		node->promote = promote;
		memcpy(node->addr, addr, len);
		last_id = node->id;
	}
	if (!reader_done(&r))
		return VS_ERR_BAD_FRAME;
	m.count = count;
	membership_check(&m);
	*out = m;
	return VS_OK;
}

void membership_check(const struct membership *m)
{
	vs_assert(m->count <= MEMBERS_MAX);
	for (uint32_t i = 0; i < m->count; i++) {
		vs_assert(member_valid(&m->m[i]));
		vs_assert(i == 0 || m->m[i - 1].id < m->m[i].id);
	}
}
