/*
 * background: leave the terminal, but only once it is known how it went.
 *
 *   parent:  background_start ------------- waits, prints, exits 0 or 1
 *   child:       returns;  ... background_ready or background_failed
 *
 * The child is made before there is any thread or lock, because neither
 * survives a fork.  With -f there is no parent and messages go to stderr.
 *
 * Thread rule: start by the only thread; then ready or failed, the first call
 * counts, from any thread.
 */
#ifndef VS_TOOLS_BACKGROUND_H
#define VS_TOOLS_BACKGROUND_H

#include <stdbool.h>

/*
 * Fork, unless foreground.  Returns in the process that is to do the work.  The
 * parent exits: 0 when the child is ready and mountpoint answers, else 1 with
 * the child's sentence on stderr.
 */
void background_start(bool foreground, const char *mountpoint);

/*
 * It works: leave the session, the directory and the terminal; let the parent
 * go.  stderr goes to messages_fd from now on (-1: nowhere), so that the last
 * words of a failing assertion are kept.
 */
void background_ready(int messages_fd);

/*
 * It cannot work: one sentence, without a newline, for the user.  Nothing
 * happens when background_ready was first.
 */
void background_failed(const char *sentence);

#endif
