/*
 * test_tools_admin: admin frames (good, cut, flipped, hostile: F87), and a
 * server with made-up commands: progress, hang-up, busy, stop.
 */
#include "tools/admin_client.h"
#include "tools/admin_io.h"
#include "tools/admin_server.h"
#include "tools/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static size_t sample(uint8_t *buf, size_t cap)
{
	struct writer w = writer_of(buf, cap);

	admin_put_text(&w, "command", "status");
	admin_put_number(&w, "n", UINT64_MAX);
	admin_put_milli(&w, "mean", 12345);
	admin_put_text(&w, "empty", "");
	assert_false(w.bad);
	return w.len;
}

static void fields_round_trip(void **state)
{
	uint8_t buf[256];
	size_t len = sample(buf, sizeof buf);
	struct reader r = reader_of(buf, len);
	struct admin_field f;

	(void)state;
	assert_int_equal(admin_check(bytes_of(buf, len)), VS_OK);
	assert_int_equal(admin_next(&r, &f), VS_OK);
	assert_int_equal(f.kind, ADMIN_TEXT);
	assert_string_equal(f.name, "command");
	assert_string_equal(f.text, "status");
	assert_int_equal(admin_next(&r, &f), VS_OK);
	assert_true(f.kind == ADMIN_NUMBER && f.number == UINT64_MAX);
	assert_int_equal(admin_next(&r, &f), VS_OK);
	assert_true(f.kind == ADMIN_MILLI && f.number == 12345);
	assert_int_equal(admin_next(&r, &f), VS_OK);
	assert_string_equal(f.text, "");
	assert_int_equal(admin_next(&r, &f), VS_ERR_END);
	assert_int_equal(admin_find(bytes_of(buf, len), "mean", ADMIN_MILLI, &f), VS_OK);
	assert_int_equal(admin_find(bytes_of(buf, len), "mean", ADMIN_TEXT, &f), VS_ERR_NOENT);
	assert_int_equal(admin_find(bytes_of(buf, len), "nix", ADMIN_TEXT, &f), VS_ERR_NOENT);
}

/* F87: cut anywhere, any bit flipped: an error or other fields, never more. */
static void F87_hostile_fields(void **state)
{
	uint8_t good[256], bad[256];
	size_t len = sample(good, sizeof good);
	size_t at[] = {0, 17, 28, 42, 51}; /* field boundaries */

	(void)state;
	for (size_t cut = 1; cut < len; cut++) {
		enum vs_err want = VS_ERR_BAD_FRAME;
		uint8_t *exact = malloc(cut);

		for (size_t i = 0; i < sizeof at / sizeof *at; i++)
			want = at[i] == cut ? VS_OK : want;
		memcpy(exact, good, cut);
		assert_int_equal(admin_check(bytes_of(exact, cut)), want);
		free(exact);
	}
	for (size_t bit = 0; bit < 8 * len; bit++) {
		memcpy(bad, good, len);
		bad[bit / 8] ^= (uint8_t)(1u << bit % 8);
		(void)!admin_check(bytes_of(bad, len));
	}
}

static void F87_limits(void **state)
{
	uint8_t *buf = calloc(1, ADMIN_PAYLOAD_MAX + 1);
	struct writer w = writer_of(buf, ADMIN_PAYLOAD_MAX);
	char *text = malloc(2 * ADMIN_TEXT_MAX);
	struct admin_field f;

	(void)state;
	for (unsigned i = 0; i < ADMIN_FIELDS_MAX; i++)
		admin_put_number(&w, "x", i);
	assert_int_equal(admin_check(bytes_of(buf, w.len)), VS_OK);
	admin_put_number(&w, "x", 0);
	assert_int_equal(admin_check(bytes_of(buf, w.len)), VS_ERR_BAD_FRAME);
	assert_int_equal(admin_check(bytes_of(buf, ADMIN_PAYLOAD_MAX + 1)), VS_ERR_BAD_FRAME);
	/* too long a text is cut */
	memset(text, 'a', 2 * ADMIN_TEXT_MAX);
	text[2 * ADMIN_TEXT_MAX - 1] = 0;
	w = writer_of(buf, ADMIN_PAYLOAD_MAX);
	admin_put_text(&w, "t", text);
	assert_int_equal(admin_find(bytes_of(buf, w.len), "t", ADMIN_TEXT, &f), VS_OK);
	assert_int_equal(strlen(f.text), ADMIN_TEXT_MAX);
	/* no room: the writer says so */
	w = writer_of(buf, 10);
	admin_put_text(&w, "t", text);
	assert_true(w.bad);
	free(text);
	free(buf);
}

static void F87_headers(void **state)
{
	static const struct {
		size_t at;
		uint8_t value;
		enum vs_err err;
	} rows[] = {
		{0, 'X', VS_ERR_BAD_FRAME}, /* magic */
		{4, 2, VS_ERR_NOTSUP},      /* version */
		{6, 0, VS_ERR_BAD_FRAME},   /* type */
		{6, 5, VS_ERR_BAD_FRAME},     {7, 1, VS_ERR_BAD_FRAME},
		{10, 1, VS_ERR_BAD_FRAME}, /* length 64 KiB */
		{11, 0xff, VS_ERR_BAD_FRAME},
	};
	struct admin_header h = {ADMIN_VERSION, ADMIN_RESULT, 7}, got;
	uint8_t buf[ADMIN_HEADER];

	(void)state;
	admin_header_encode(&h, buf);
	assert_int_equal(admin_header_decode(buf, &got), VS_OK);
	assert_memory_equal(&h, &got, sizeof h);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		admin_header_encode(&h, buf);
		buf[rows[i].at] = rows[i].value;
		assert_int_equal(admin_header_decode(buf, &got), rows[i].err);
	}
	assert_int_equal(admin_header_decode((const uint8_t *)"GET / HTTP/1", &got),
			 VS_ERR_BAD_FRAME);
}

static void json_is_exact_and_valid(void **state)
{
	uint8_t buf[512];
	struct writer w = writer_of(buf, sizeof buf);
	char *out = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&out, &len);

	(void)state;
	admin_put_number(&w, "n", UINT64_MAX);
	admin_put_milli(&w, "m", 1005);
	admin_put_text(&w, "t", "a\"b\\c\n\x01\xc3\xa4\xff\xc0\x80\xed\xa0\x80z");
	json_fields(f, bytes_of(buf, w.len));
	fclose(f);
	assert_string_equal(out, "{\n  \"n\": 18446744073709551615,\n  \"m\": 1.005,\n"
				 "  \"t\": \"a\\\"b\\\\c\\u000a\\u0001\xc3\xa4\\ufffd\\ufffd\\ufffd"
				 "\\ufffd\\ufffd\\ufffdz\"\n}\n");
	free(out);
	f = open_memstream(&out, &len);
	json_fields(f, bytes_of(NULL, 0));
	fclose(f);
	assert_string_equal(out, "{}\n");
	free(out);
}

/* --- a server with made-up commands --- */

struct fixture {
	char dir[64];
	struct admin_server *server;
	atomic_int running, cancelled;
};

static enum vs_err quick(void *arg, struct bytes request, const struct store_progress *p,
			 struct writer *out, char *why)
{
	(void)arg;
	(void)request;
	(void)p;
	(void)why;
	admin_put_number(out, "answer", 42);
	return VS_OK;
}

static enum vs_err fails(void *arg, struct bytes request, const struct store_progress *p,
			 struct writer *out, char *why)
{
	(void)arg;
	(void)request;
	(void)p;
	(void)out;
	snprintf(why, ADMIN_WHY_MAX, "it is broken");
	return VS_ERR_CORRUPT_LOG;
}

static enum vs_err floods(void *arg, struct bytes request, const struct store_progress *p,
			  struct writer *out, char *why)
{
	(void)arg;
	(void)request;
	(void)p;
	(void)why;
	while (!out->bad)
		admin_put_number(out, "more", 1);
	return VS_OK;
}

/* Works until it is told to stop. */
static enum vs_err endless(void *arg, struct bytes request, const struct store_progress *p,
			   struct writer *out, char *why)
{
	struct fixture *f = arg;
	uint64_t i = 0;

	(void)request;
	(void)out;
	(void)why;
	atomic_fetch_add(&f->running, 1);
	while (p->step(p->arg, i++, 0))
		usleep(1000);
	atomic_fetch_sub(&f->running, 1);
	atomic_fetch_add(&f->cancelled, 1);
	return VS_ERR_INTR;
}

static const struct admin_command commands[] = {
	{"quick", false, false, quick},   {"slow", true, false, quick},
	{"fails", false, false, fails},   {"floods", false, false, floods},
	{"endless", true, true, endless}, {NULL, false, false, NULL},
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);
	struct admin_server_config c = {.commands = commands, .arg = f};

	snprintf(f->dir, sizeof f->dir, "/tmp/vs-admin.XXXXXX");
	if (!mkdtemp(f->dir))
		return -1;
	c.data_dir = f->dir;
	*state = f;
	return admin_server_start(&c, &f->server) ? -1 : 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	admin_server_stop(f->server);
	rmdir(f->dir);
	free(f);
	return 0;
}

static int ask(const struct fixture *f, const char *command)
{
	uint8_t buf[128];
	struct writer w = writer_of(buf, sizeof buf);
	int fd = -1;

	admin_put_text(&w, "command", command);
	assert_int_equal(admin_connect(f->dir, 5000, &fd), VS_OK);
	assert_int_equal(admin_send(fd, ADMIN_REQUEST, bytes_of(buf, w.len), 5000), VS_OK);
	return fd;
}

static void wait_until(atomic_int *v, int value)
{
	for (int i = 0; i < 10000 && atomic_load(v) != value; i++)
		usleep(1000);
	assert_int_equal(atomic_load(v), value);
}

static void server_answers(void **state)
{
	static const struct {
		const char *command;
		enum admin_type type;
		const char *name, *text;
	} rows[] = {
		{"quick", ADMIN_RESULT, "", ""},
		{"slow", ADMIN_RESULT, "", ""},
		{"fails", ADMIN_ERROR, "CORRUPT_LOG", "it is broken"},
		{"floods", ADMIN_ERROR, "TOOBIG", NULL},
		{"frobnicate", ADMIN_ERROR, "NOTSUP", NULL},
	};
	struct fixture *f = *state;
	struct admin_frame frame;
	struct admin_field field;
	struct stat st;
	char path[128];

	snprintf(path, sizeof path, "%s/" ADMIN_SOCKET, f->dir);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		int fd = ask(f, rows[i].command);

		assert_int_equal(admin_receive(fd, 5000, NULL, &frame), VS_OK);
		assert_int_equal(frame.type, rows[i].type);
		assert_string_equal(admin_text(&frame, "name", &field), rows[i].name);
		if (rows[i].text)
			assert_string_equal(admin_text(&frame, "text", &field), rows[i].text);
		if (frame.type == ADMIN_RESULT)
			assert_int_equal(admin_number(&frame, "answer"), 42);
		assert_int_equal(admin_receive(fd, 5000, NULL, &frame), VS_ERR_END);
		close(fd);
	}
}

static void server_streams_progress_and_notices_hangup(void **state)
{
	struct fixture *f = *state;
	struct admin_frame frame;
	struct admin_field field;
	int fd = ask(f, "endless"), second;

	wait_until(&f->running, 1);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(admin_receive(fd, 5000, NULL, &frame), VS_OK);
		assert_int_equal(frame.type, ADMIN_PROGRESS);
	}
	assert_true(admin_number(&frame, "done") > 0);
	/* one at a time */
	second = ask(f, "endless");
	assert_int_equal(admin_receive(second, 5000, NULL, &frame), VS_OK);
	assert_int_equal(frame.type, ADMIN_ERROR);
	assert_string_equal(admin_text(&frame, "name", &field), "BUSY");
	close(second);
	/* others are answered meanwhile */
	second = ask(f, "quick");
	assert_int_equal(admin_receive(second, 5000, NULL, &frame), VS_OK);
	assert_int_equal(frame.type, ADMIN_RESULT);
	close(second);
	assert_int_equal(atomic_load(&f->cancelled), 0);
	close(fd);
	wait_until(&f->cancelled, 1);
	/* and the place is free again */
	fd = ask(f, "endless");
	wait_until(&f->running, 1);
	admin_server_stop(f->server);
	f->server = NULL;
	assert_int_equal(atomic_load(&f->cancelled), 2);
	close(fd);
	assert_int_equal(admin_connect(f->dir, 1000, &fd), VS_ERR_NOENT);
}

/* F87: garbage, half a frame, a frame of another kind or version: an error, and the next works. */
static void F87_server_survives_garbage(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
		const char *name; /* of the error answered; NULL: just closed */
	} rows[] = {
		{"", 0, NULL},
		{"V", 1, NULL},
		{"VSAD\1\0\1\0\5\0\0\0ab", 14, NULL},
		{"GET / HTTP/1.1\r\n\r\n", 18, "BAD_FRAME"},
		{"VSAD\1\0\1\0\377\377\377\377", 12, "BAD_FRAME"},
		{"VSAD\1\0\1\0\0\0\0\0", 12, "BAD_FRAME"},
		{"VSAD\1\0\2\0\0\0\0\0", 12, "BAD_FRAME"},
		{"VSAD\1\0\1\0\4\0\0\0\2\1A\0", 16, "BAD_FRAME"},
		{"VSAD\2\0\1\0\0\0\0\0", 12, "NOTSUP"},
	};
	struct fixture *f = *state;
	struct admin_frame frame;
	struct admin_field field;

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		int fd;

		assert_int_equal(admin_connect(f->dir, 5000, &fd), VS_OK);
		assert_int_equal(send(fd, rows[i].bytes, rows[i].len, MSG_NOSIGNAL), rows[i].len);
		if (!rows[i].name)
			shutdown(fd, SHUT_WR);
		if (rows[i].name) {
			assert_int_equal(admin_receive(fd, 5000, NULL, &frame), VS_OK);
			assert_int_equal(frame.type, ADMIN_ERROR);
			assert_string_equal(admin_text(&frame, "name", &field), rows[i].name);
		}
		assert_int_equal(admin_receive(fd, 5000, NULL, &frame), VS_ERR_END);
		close(fd);
	}
}

/* More clients than threads: all are answered. */
static void many_clients(void **state)
{
	struct fixture *f = *state;
	struct admin_frame frame;
	int fd[200];

	for (int i = 0; i < 200; i++)
		fd[i] = ask(f, i % 2 ? "quick" : "slow");
	for (int i = 0; i < 200; i++) {
		do
			assert_int_equal(admin_receive(fd[i], 10000, NULL, &frame), VS_OK);
		while (frame.type == ADMIN_PROGRESS);
		assert_int_equal(frame.type, ADMIN_RESULT);
		close(fd[i]);
	}
}

static void silence_is_a_timeout(void **state)
{
	struct admin_frame frame;
	atomic_int stop = 1;
	int fd[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
	assert_int_equal(admin_receive(fd[0], 50, NULL, &frame), VS_ERR_TIMEOUT);
	assert_int_equal(admin_receive(fd[0], 5000, &stop, &frame), VS_ERR_INTR);
	assert_false(admin_hung_up(fd[0], 0));
	close(fd[1]);
	assert_true(admin_hung_up(fd[0], 0));
	assert_int_equal(admin_receive(fd[0], 50, NULL, &frame), VS_ERR_END);
	close(fd[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fields_round_trip),
		cmocka_unit_test(F87_hostile_fields),
		cmocka_unit_test(F87_limits),
		cmocka_unit_test(F87_headers),
		cmocka_unit_test(json_is_exact_and_valid),
		cmocka_unit_test_setup_teardown(server_answers, set_up, tear_down),
		cmocka_unit_test_setup_teardown(server_streams_progress_and_notices_hangup, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(F87_server_survives_garbage, set_up, tear_down),
		cmocka_unit_test_setup_teardown(many_clients, set_up, tear_down),
		cmocka_unit_test(silence_is_a_timeout),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
