/*
 * veristore-admin: asks a running daemon.  One file per command
 * (admin_<command>.c); what the commands do is in the daemon
 * (admin_commands.c).
 */
#include "tools/admin_client.h"
#include "tools/version.h"

#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TIMEOUT_S_DEFAULT 10u
#define TIMEOUT_S_MAX 3600u

static const struct command {
	const char *name;
	enum admin_exit (*run)(const struct admin_client *c);
	const char *help;
} commands[] = {
	{"status", admin_status, "state in one word, and the figures"},
	{"snapshot", admin_snapshot, "take a checkpoint now and free what the log no longer needs"},
	{"gc", admin_gc, "collect garbage and clean segments"},
	{"scrub", admin_scrub, "verify everything that is stored"},
};

#define COMMANDS (sizeof commands / sizeof *commands)

static atomic_int stop;

static void on_signal(int sig)
{
	(void)sig;
	atomic_store(&stop, 1);
}

static void print_help(void)
{
	puts("usage: veristore-admin [-s PATH] COMMAND [--json] [--timeout SECONDS]\n"
	     "\n"
	     "Ask a running veristore daemon.\n"
	     "\n"
	     "commands:");
	for (size_t i = 0; i < COMMANDS; i++)
		printf("  %-10s %s\n", commands[i].name, commands[i].help);
	puts("\n"
	     "options:\n"
	     "  -s, --store PATH   data directory, mount point or a path in the mount (default: "
	     ".)\n"
	     "  --json             print the answer as one JSON object\n"
	     "  --timeout SECONDS  give up when the daemon is silent that long (default: 10)\n"
	     "  -h, --help         print this and exit\n"
	     "  -V, --version      print the version and exit\n"
	     "\n"
	     "exit status: 0 done, 1 wrong usage, 2 the daemon cannot be reached,\n"
	     "  3 it reported damage or a failure, 130 interrupted");
}

static enum admin_exit usage(const char *what, const char *arg)
{
	fprintf(stderr, "veristore-admin: %s%s; see veristore-admin --help\n", what, arg);
	return ADMIN_USAGE;
}

static bool seconds(const char *text, uint32_t *ms)
{
	unsigned long v = 0;
	const char *p;

	for (p = text; *p >= '0' && *p <= '9' && v <= TIMEOUT_S_MAX; p++)
		v = v * 10 + (unsigned long)(*p - '0');
	if (*p || p == text || !v || v > TIMEOUT_S_MAX)
		return false;
	*ms = (uint32_t)v * 1000;
	return true;
}

static void catch_signals(void)
{
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
	struct sigaction a;

	memset(&a, 0, sizeof a);
	a.sa_handler = on_signal;
	a.sa_flags = (int)SA_RESETHAND; /* a second one ends the program at once */
	sigemptyset(&a.sa_mask);
	for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
		sigaction(signals[i], &a, NULL);
}

static enum admin_exit perform(const struct admin_client *c, const char *name)
{
	enum admin_exit rc;

	for (size_t i = 0; i < COMMANDS; i++) {
		if (strcmp(commands[i].name, name) != 0)
			continue;
		catch_signals();
		rc = commands[i].run(c);
		if (fflush(stdout) || ferror(stdout)) {
			fputs("veristore-admin: the answer cannot be written\n", stderr);
			rc = rc ? rc : ADMIN_FAILED;
		}
		return rc;
	}
	return usage("unknown command ", name);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {{"store", required_argument, NULL, 's'},
						{"json", no_argument, NULL, 'j'},
						{"timeout", required_argument, NULL, 't'},
						{"help", no_argument, NULL, 'h'},
						{"version", no_argument, NULL, 'V'},
						{NULL, 0, NULL, 0}};
	struct admin_client c = {.path = ".",
				 .timeout_ms = TIMEOUT_S_DEFAULT * 1000,
				 .stop = &stop};
	int o;

	while ((o = getopt_long(argc, argv, "s:hV", options, NULL)) != -1) {
		switch (o) {
		case 's':
			c.path = optarg;
			break;
		case 'j':
			c.json = true;
			break;
		case 't':
			if (!seconds(optarg, &c.timeout_ms))
				return usage("--timeout wants seconds from 1 to 3600, not ",
					     optarg);
			break;
		case 'h':
			print_help();
			return ADMIN_OK;
		case 'V':
			puts("veristore-admin " VS_VERSION);
			return ADMIN_OK;
		default:
			return ADMIN_USAGE;
		}
	}
	if (optind == argc)
		return usage("no command", "");
	if (optind + 1 < argc)
		return usage("too many arguments: ", argv[optind + 1]);
	if (!*c.path)
		return usage("-s needs a path", "");
	return (int)perform(&c, argv[optind]);
}
