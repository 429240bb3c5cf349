/* file.h: small files that are read and replaced as a whole. Blocks; any thread that may. */
#ifndef PETREL_BASE_FILE_H
#define PETREL_BASE_FILE_H

#include "base/bytes.h"

/* Put the content in the place of the file: written to "<path>.new", 0600, synced, and renamed, so that a reader finds the old or the new
 * one, whole. 0, or an errno, and the old one is as it was. */
int file_replace(const char *path, struct bytes content);

/* Append the content of a regular file of at most max bytes. Whether it was read. */
bool file_read(const char *path, size_t max, struct bytebuf *out);

#endif
