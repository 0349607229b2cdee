#include "tools/admin_server.h"

#include "engine/base/assert.h"
#include "engine/base/thread.h"
#include "tools/admin_io.h"
#include "tools/logfile.h"
#include "tools/version.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define PROGRESS_MS 200u /* between PROGRESS frames */

struct admin_server {
	struct admin_server_config config;
	char data_dir[4096];
	int listen_fd;
	int wake_fd; /* readable once the server stops */
	atomic_int stop;
	struct mutex lock;
	const char *exclusive; /* under lock: name of the command that runs, or NULL */
	pthread_t threads[ADMIN_THREADS];
	unsigned thread_count;
};

/* One request on its way. */
struct job {
	const struct admin_command *command;
	void *arg;
	const struct admin_frame *request;
	struct writer out;
	uint8_t buf[ADMIN_PAYLOAD_MAX];
	char why[ADMIN_WHY_MAX];
	enum vs_err err;
	_Atomic uint64_t done, total;
	atomic_bool cancel;
	struct mutex lock;
	struct cond changed;
	bool finished; /* under lock */
};

/* --- one connection -------------------------------------------------------------- */

static void answer_error(int fd, enum vs_err err, const char *text)
{
	uint8_t buf[ADMIN_WHY_MAX + 128];
	struct writer w = writer_of(buf, sizeof buf);

	admin_put_text(&w, "name", vs_err_name(err));
	admin_put_text(&w, "text", text);
	vs_assert(!w.bad);
	/* the client may be gone; there is nobody else to tell */
	(void)!admin_send(fd, ADMIN_ERROR, bytes_of(buf, w.len), ADMIN_IO_MS);
}

static bool step(void *arg, uint64_t done, uint64_t total)
{
	struct job *j = arg;

	atomic_store(&j->done, done);
	atomic_store(&j->total, total);
	return !atomic_load(&j->cancel);
}

static void run(struct job *j)
{
	struct store_progress p = {step, j};

	j->err = j->command->run(j->arg, bytes_of(j->request->buf, j->request->len), &p, &j->out,
				 j->why);
	if (!j->err && j->out.bad)
		j->err = VS_ERR_TOOBIG;
}

static void *run_thread(void *arg)
{
	struct job *j = arg;

	run(j);
	mutex_lock(&j->lock);
	j->finished = true;
	cond_signal(&j->changed);
	mutex_unlock(&j->lock);
	return NULL;
}

static bool finished_within(struct job *j, uint32_t ms)
{
	bool done;

	mutex_lock(&j->lock);
	if (!j->finished)
		(void)cond_wait_ms(&j->changed, &j->lock, ms);
	done = j->finished;
	mutex_unlock(&j->lock);
	return done;
}

static bool send_progress(int fd, struct job *j)
{
	uint8_t buf[64];
	struct writer w = writer_of(buf, sizeof buf);

	admin_put_number(&w, "done", atomic_load(&j->done));
	admin_put_number(&w, "total", atomic_load(&j->total));
	vs_assert(!w.bad);
	return !admin_send(fd, ADMIN_PROGRESS, bytes_of(buf, w.len), ADMIN_IO_MS);
}

/* Run a lengthy command in a thread of its own; keep the client informed. */
static void run_watched(struct admin_server *s, int fd, struct job *j)
{
	pthread_t t;

	mutex_init(&j->lock);
	cond_init(&j->changed);
	j->finished = false;
	if (pthread_create(&t, NULL, run_thread, j)) {
		j->err = VS_ERR_NOMEM;
		goto out;
	}
	while (!finished_within(j, PROGRESS_MS)) {
		if (atomic_load(&s->stop) || admin_hung_up(fd, 0) || !send_progress(fd, j))
			atomic_store(&j->cancel, true);
	}
	vs_assert(!pthread_join(t, NULL));
out:
	cond_fini(&j->changed);
	mutex_fini(&j->lock);
}

/* Claim the one place for exclusive work; else why says who has it. */
static bool claim(struct admin_server *s, struct job *j)
{
	bool free_place;

	mutex_lock(&s->lock);
	free_place = !s->exclusive;
	if (free_place)
		s->exclusive = j->command->name;
	else
		snprintf(j->why, sizeof j->why, "%s is already running; try again when it is done",
			 s->exclusive);
	mutex_unlock(&s->lock);
	return free_place;
}

static void unclaim(struct admin_server *s)
{
	mutex_lock(&s->lock);
	s->exclusive = NULL;
	mutex_unlock(&s->lock);
}

static const struct admin_command *command_of(struct admin_server *s, const char *name)
{
	for (const struct admin_command *c = s->config.commands; c->name; c++) {
		if (!strcmp(c->name, name))
			return c;
	}
	return NULL;
}

static void perform(struct admin_server *s, int fd, struct job *j)
{
	if (j->command->exclusive && !claim(s, j)) {
		j->err = VS_ERR_BUSY;
		return;
	}
	if (j->command->lengthy) {
		logfile(LOG_ID_ADMIN_REQUEST, "%s begins", j->command->name);
		run_watched(s, fd, j);
		logfile(LOG_ID_ADMIN_REQUEST, "%s ended: %s", j->command->name,
			j->why[0] ? j->why : vs_err_text(j->err));
	} else {
		run(j);
	}
	if (j->command->exclusive)
		unclaim(s);
}

static void serve_request(struct admin_server *s, int fd, const struct admin_frame *request)
{
	struct admin_field f;
	struct job *j;
	char text[ADMIN_WHY_MAX];

	if (request->type != ADMIN_REQUEST ||
	    admin_find(bytes_of(request->buf, request->len), "command", ADMIN_TEXT, &f)) {
		answer_error(fd, VS_ERR_BAD_FRAME, "not a request");
		return;
	}
	j = calloc(1, sizeof *j);
	if (!j) {
		answer_error(fd, VS_ERR_NOMEM, vs_err_text(VS_ERR_NOMEM));
		return;
	}
	j->command = command_of(s, f.text);
	if (!j->command) {
		snprintf(text, sizeof text,
			 "the daemon (version " VS_VERSION ") does not know the command %.64s",
			 f.text);
		answer_error(fd, VS_ERR_NOTSUP, text);
		goto out;
	}
	j->arg = s->config.arg;
	j->request = request;
	j->out = writer_of(j->buf, sizeof j->buf);
	perform(s, fd, j);
	if (j->err)
		answer_error(fd, j->err, j->why[0] ? j->why : vs_err_text(j->err));
	else
		(void)!admin_send(fd, ADMIN_RESULT, bytes_of(j->buf, j->out.len), ADMIN_IO_MS);
out:
	free(j);
}

static void serve(struct admin_server *s, int fd)
{
	struct admin_frame request;
	uint32_t uid = 0;
	int pid = 0;
	enum vs_err err;

	if (!admin_peer(fd, &uid, &pid) || (uid != 0 && uid != geteuid())) {
		logfile(LOG_ID_ADMIN_REFUSED, "process %d of user %u was refused", pid, uid);
		answer_error(fd, VS_ERR_ACCES, "only the daemon's user and root may ask");
		return;
	}
	err = admin_receive(fd, ADMIN_IO_MS, &s->stop, &request);
	if (err == VS_ERR_NOTSUP)
		answer_error(fd, err,
			     "the daemon (version " VS_VERSION
			     ") speaks another protocol version; use its own veristore-admin");
	else if (err == VS_ERR_BAD_FRAME)
		answer_error(fd, err, vs_err_text(err));
	else if (!err)
		serve_request(s, fd, &request);
	if (err == VS_ERR_NOTSUP || err == VS_ERR_BAD_FRAME)
		logfile(LOG_ID_ADMIN_BAD_FRAME, "process %d sent a frame of another kind: %s", pid,
			vs_err_text(err));
}

/* --- threads ----------------------------------------------------------------------- */

static void *serve_thread(void *arg)
{
	struct admin_server *s = arg;

	while (!atomic_load(&s->stop)) {
		struct pollfd p[2] = {{.fd = s->listen_fd, .events = POLLIN},
				      {.fd = s->wake_fd, .events = POLLIN}};
		int fd;

		if (poll(p, 2, -1) < 0 || p[1].revents)
			continue;
		/* another thread may have been faster: the socket does not block */
		fd = accept4(s->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (fd < 0) {
			/* out of descriptors or memory: let go of the CPU and try again */
			if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
				poll(&p[1], 1, 100);
			continue;
		}
		serve(s, fd);
		close(fd);
	}
	return NULL;
}

static void stop_threads(struct admin_server *s)
{
	uint64_t one = 1;

	atomic_store(&s->stop, 1);
	vs_assert(write(s->wake_fd, &one, sizeof one) == (ssize_t)sizeof one);
	for (unsigned i = 0; i < s->thread_count; i++)
		vs_assert(!pthread_join(s->threads[i], NULL));
}

static void free_server(struct admin_server *s)
{
	if (s->wake_fd >= 0)
		close(s->wake_fd);
	if (s->listen_fd >= 0) {
		admin_unlisten(s->data_dir);
		close(s->listen_fd);
	}
	mutex_fini(&s->lock);
	free(s);
}

enum vs_err admin_server_start(const struct admin_server_config *config, struct admin_server **out)
{
	struct admin_server *s = calloc(1, sizeof *s);
	enum vs_err err = VS_ERR_NOMEM;

	vs_assert(config && config->commands && out);
	if (!s)
		return VS_ERR_NOMEM;
	mutex_init(&s->lock);
	s->config = *config;
	s->listen_fd = s->wake_fd = -1;
	snprintf(s->data_dir, sizeof s->data_dir, "%s", config->data_dir);
	s->wake_fd = eventfd(0, EFD_CLOEXEC);
	if (s->wake_fd < 0)
		goto fail;
	err = admin_listen(s->data_dir, ADMIN_BACKLOG, &s->listen_fd);
	if (err)
		goto fail;
	for (; s->thread_count < ADMIN_THREADS; s->thread_count++) {
		if (pthread_create(&s->threads[s->thread_count], NULL, serve_thread, s)) {
			stop_threads(s);
			err = VS_ERR_NOMEM;
			goto fail;
		}
	}
	logfile(LOG_ID_ADMIN_LISTEN, "listening on %s/" ADMIN_SOCKET, s->data_dir);
	*out = s;
	return VS_OK;
fail:
	free_server(s);
	return err;
}

void admin_server_stop(struct admin_server *s)
{
	if (!s)
		return;
	stop_threads(s);
	free_server(s);
}
