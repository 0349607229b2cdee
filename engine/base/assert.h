/*
 * assert: checks that stay on in production.
 *
 * vs_assert(cond) ends the process with place and text when cond is false: a
 * program whose invariant is broken must not go on acknowledging writes, and
 * kill is a supported way to stop (P9).  Never used on bytes from outside.
 *
 * Thread rule: pure.
 */
#ifndef VS_BASE_ASSERT_H
#define VS_BASE_ASSERT_H

_Noreturn void vs_assert_failed(const char *file, int line, const char *text);

#define vs_assert(cond)                                              \
	do {                                                         \
		if (__builtin_expect(!(cond), 0))                    \
			vs_assert_failed(__FILE__, __LINE__, #cond); \
	} while (0)

#endif
