/* fuzz_txn: any bytes as an encoded transaction: items or an error, nothing read outside. */
#include "engine/txn.h"

#include "engine/base/assert.h"

#include <stdlib.h>

static volatile uint32_t read_bytes;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static uint32_t use(struct bytes b)
{
	return b.len ? checksum_crc32c(b.p, b.len) : 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct txn_reader r;
	struct txn_item it;
	uint32_t sum = 0, items = 0;

	if (txn_reader_init(&r, bytes_of(data, len)))
		return 0;
	while (txn_reader_next(&r, &it) == VS_OK) {
		vs_assert(it.key.len <= TREE_KEY_MAX && it.value.len <= TREE_VALUE_MAX);
		vs_assert(it.kind == TXN_CHUNK ? it.len && it.refs : key_replicated(it.key));
		if (it.kind == TXN_PUT_SELF)
			vs_assert((size_t)it.off + 8 <= it.value.len);
		sum += use(it.key) + use(it.value);
		items++;
	}
	vs_assert(items <= UINT16_MAX);
	read_bytes = sum; /* so that the reads are not optimised away */
	return 0;
}
