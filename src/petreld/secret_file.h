/* secret_file.h: secrets are read from files of their own, so that neither the configuration nor a command line shows them. */
#ifndef PETREL_PETRELD_SECRET_FILE_H
#define PETREL_PETRELD_SECRET_FILE_H

#include <stddef.h>

/* The file's first line into out, NUL-terminated; the caller wipes it. An empty path is an empty secret. 0; PETREL_E_FORBIDDEN: others than
 * its owner may read it; PETREL_E_TOO_LARGE; or an error of opening it. The log has the particulars. */
int secret_file_read(const char *path, char *out, size_t size);

#endif
