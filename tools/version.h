/* version: of the programs.  What is on disk and on the wire has versions of its own. */
#ifndef VS_TOOLS_VERSION_H
#define VS_TOOLS_VERSION_H

#define VS_VERSION "0.1.0"

#endif
