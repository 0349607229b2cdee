#include "tools/background.h"

#include "tools/probe.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#define SENTENCE_MAX 2048u
#define ANSWER_MS 30000u

static int to_parent = -1; /* -1: in the foreground */
static atomic_bool told;

static _Noreturn void end_parent(const char *sentence)
{
	if (sentence)
		fprintf(stderr, "veristore: %s\n", sentence);
	/* no atexit handlers: they are the child's */
	_exit(sentence ? 1 : 0);
}

/* What the child has to say: "R", or "E" and a sentence; "" when it ended without a word. */
static void listen_to(int fd, char buf[SENTENCE_MAX])
{
	size_t got = 0;
	ssize_t n;

	do {
		n = read(fd, buf + got, SENTENCE_MAX - 1 - got);
		got += n > 0 ? (size_t)n : 0;
	} while ((n > 0 || (n < 0 && errno == EINTR)) && buf[0] != 'R');
	buf[got] = 0;
}

static _Noreturn void be_parent(int fd, pid_t child, const char *mountpoint)
{
	char said[SENTENCE_MAX] = "", sentence[256];
	int status = 0, is_dir;

	listen_to(fd, said);
	if (said[0] == 'E')
		end_parent(said + 1);
	if (said[0] == 'R') {
		if (probe_stat(mountpoint, ANSWER_MS, &is_dir) == VS_ERR_TIMEOUT)
			end_parent("the mount does not answer");
		end_parent(NULL);
	}
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFSIGNALED(status))
		snprintf(sentence, sizeof sentence, "the daemon was ended by signal %d (%s)",
			 WTERMSIG(status), strsignal(WTERMSIG(status)));
	else
		snprintf(sentence, sizeof sentence, "the daemon ended with status %d",
			 WEXITSTATUS(status));
	end_parent(sentence);
}

void background_start(bool foreground, const char *mountpoint)
{
	int fd[2];
	pid_t pid;

	if (foreground)
		return;
	if (pipe2(fd, O_CLOEXEC) < 0)
		end_parent("no pipe to be had");
	pid = fork();
	if (pid < 0)
		end_parent("no process to be had");
	if (pid) {
		close(fd[1]);
		be_parent(fd[0], pid, mountpoint);
	}
	to_parent = fd[1];
	/* what the caller had open may lie in the mount and would keep it busy for ever */
	if (to_parent > STDERR_FILENO + 1)
		close_range(STDERR_FILENO + 1, (unsigned)to_parent - 1, 0);
	close_range((unsigned)to_parent + 1, ~0u, 0);
}

/* The whole text, so that the parent never reads half a sentence. */
static void tell(char kind, const char *sentence)
{
	char buf[SENTENCE_MAX];
	const char *text = buf;
	size_t len;

	snprintf(buf, sizeof buf, "%c%s", kind, sentence);
	len = strlen(buf);
	while (len) {
		ssize_t n = write(to_parent, text, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break; /* the parent is gone: nobody to tell */
		text += n;
		len -= (size_t)n;
	}
	close(to_parent);
}

void background_ready(int messages_fd)
{
	int null;

	if (atomic_exchange(&told, true) || to_parent < 0)
		return;
	setsid();
	if (chdir("/") < 0)
		fputs("veristore: cannot leave the directory\n", stderr);
	null = open("/dev/null", O_RDWR);
	if (null >= 0) {
		dup2(null, STDIN_FILENO);
		dup2(null, STDOUT_FILENO);
		dup2(messages_fd >= 0 ? messages_fd : null, STDERR_FILENO);
		if (null > STDERR_FILENO)
			close(null);
	}
	tell('R', "");
}

void background_failed(const char *sentence)
{
	if (atomic_exchange(&told, true))
		return;
	if (to_parent < 0) {
		fprintf(stderr, "veristore: %s\n", sentence);
		return;
	}
	tell('E', sentence);
}
