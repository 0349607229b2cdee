/*
 * veristore: mount a VeriStore data directory.  This file is the command line;
 * daemon.c is the life of the process.
 */
#include "tools/background.h"
#include "tools/daemon.h"
#include "tools/version.h"

#include <stdio.h>

static void print_help(void)
{
	puts("usage: veristore DATA_DIR MOUNTPOINT [-f] [-d] [-o OPTION[,OPTION...]]\n"
	     "\n"
	     "Mount the VeriStore file system kept in DATA_DIR, which is made on first use.\n"
	     "\n"
	     "  -f                  stay in the foreground, log to stderr\n"
	     "  -d                  the same, and show every FUSE request\n"
	     "  -h, --help          print this and exit\n"
	     "  -V, --version       print the version and exit\n"
	     "  -o OPTION[,...]     mount options:\n"
	     "    durability=close    close and fsync wait for the disk (default)\n"
	     "    durability=strict   every operation waits for the disk\n"
	     "    durability=fsync    only fsync and O_SYNC wait\n"
	     "    commit=SECONDS      commit files updated in place this often (default 5)\n"
	     "    cache=SIZE          memory for cached metadata (default 128M)\n"
	     "    dirty=SIZE          memory for data not yet stored (default 128M)\n"
	     "    chunk=SIZE          largest piece of file data (default 1M); new stores only\n"
	     "    segment=SIZE        size of a log file (default 64M); new stores only\n"
	     "    log=FILE            log there (default DATA_DIR/veristore.log), or\n"
	     "    log=syslog          to syslog, or\n"
	     "    log=stderr          to stderr (with -f, where it is the default)\n"
	     "    loglevel=LEVEL      error, warning, info (default) or debug\n"
	     "    no_allow_other      when root mounts: other users do not get in\n"
	     "  Other options are libfuse's and mount(8)'s: ro, allow_other, noatime, ...\n"
	     "  SIZE is a number with K, M, G or T behind it.\n"
	     "\n"
	     "Unmount with: fusermount3 -u MOUNTPOINT   (or umount as root)");
}

int main(int argc, char **argv)
{
	static struct config config;
	char why[CONFIG_WHY_MAX];

	if (config_parse(argc, (const char *const *)argv, &config, why)) {
		fprintf(stderr, "veristore: %s; see veristore --help\n", why);
		return DAEMON_CANNOT_START;
	}
	if (config.help) {
		print_help();
		return DAEMON_OK;
	}
	if (config.version) {
		puts("veristore " VS_VERSION);
		return DAEMON_OK;
	}
	background_start(config.foreground, config.mountpoint);
	return (int)daemon_run(&config);
}
